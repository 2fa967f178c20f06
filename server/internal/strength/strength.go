// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package strength estimates how many guesses a well equipped cracker needs
// for a password. The same password and hints give the same estimate on every
// machine: all arithmetic after the tables are read is on integers.
//
// Three views are combined. An exact list gives the rank of a password that
// is known to be common. A character model with back-off (an n-gram) says how
// usual the text is. A structural cover, the cheapest way to write the
// password as words, names, pinyin, dates, walks and so on, says how it is
// made and supplies the explanation; for the estimate a second cover lets the
// character model spell what is no such part. A listed password has the guesses
// of its rank; otherwise a mean of the logarithms of the other two is taken, in
// which the lower one counts more (two imperfect upper bounds average out), and
// turned by a monotone table into the guesses of a cracker. Text that is not
// ASCII is judged by its structure.
//
// The functions do no I/O, keep no state and allocate nothing.
package strength

import "math"

// MaxRunes is the number of leading code points that are analysed. What
// follows is not looked at: a longer password is judged by its beginning,
// which never makes it look stronger than it is.
const MaxRunes = 1024

// MaxSegments bounds the explanation of one estimate. When the cover has
// more parts, the last one reported reaches to the end of the analysed text.
const MaxSegments = 64

// Kind says what a part of a password was recognised as.
type Kind uint8

// The kinds of segment. The zero value is not used in an estimate.
const (
	KindUnspecified Kind = iota
	KindListed           // a common password, whole or as a part
	KindWord             // an English word
	KindName             // a given name or family name
	KindPinyin           // a romanised Chinese word, syllable or family name
	KindHanzi            // a word in Chinese characters
	KindDate             // day, month and year, or two of them
	KindYear             // a recent year
	KindPhone            // a mobile number of mainland China
	KindIDNumber         // a resident identity number (GB 11643)
	KindKeyboard         // neighbouring keys, on the letter or the number block
	KindSequence         // abc, 987, monday, yiersan
	KindRepeat           // what stood just before, again
	KindContext          // something the caller knows about the user or the service
	KindLoveDigits       // digits that sound like a phrase in Chinese, such as 5201314
	KindBruteforce       // nothing recognised
)

var kindNames = [...]string{
	"UNSPECIFIED", "LISTED", "WORD", "NAME", "PINYIN", "HANZI", "DATE", "YEAR", "PHONE", "ID_NUMBER",
	"KEYBOARD", "SEQUENCE", "REPEAT", "CONTEXT", "LOVE_DIGITS", "BRUTEFORCE",
}

// String gives the name in UPPER_SNAKE, as the contract spells it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[0]
}

// Segment is one part of the cover of a password, in code points of the
// text given to Of: Start is the first, End is one past the last.
type Segment struct {
	Kind       Kind
	Start, End int
}

// span is a Segment as an Estimate stores it.
type span struct {
	kind       Kind
	disguised  bool // l33t or reversed
	start, end uint16
}

// Estimate is the answer of Of. It holds no text.
type Estimate struct {
	// GuessesLog10 is the decimal logarithm of the number of guesses.
	GuessesLog10 float64
	// Score is the band of GuessesLog10: 0 below 4, 1 below 6, 2 below 8,
	// 3 below 10, 4 from 10.
	Score int
	// Listed says that exactly this password, full-width forms read as
	// ASCII, is on the built-in list. One in some millions of others is
	// taken for listed by chance.
	Listed bool
	// Rank is the approximate place on that list, from 1, within 6 %;
	// 0 when the password is not listed.
	Rank int

	guesses mil
	nspans  uint8
	spans   [MaxSegments]span
}

// Len returns the number of segments.
func (e *Estimate) Len() int { return int(e.nspans) }

// Segment returns the i-th segment, in order. Together the segments cover the
// analysed text without gap or overlap.
func (e *Estimate) Segment(i int) Segment {
	s := e.spans[:e.nspans][i]
	return Segment{Kind: s.kind, Start: int(s.start), End: int(s.end)}
}

// Segments returns all segments in a new slice, for callers to whom an
// allocation does not matter.
func (e *Estimate) Segments() []Segment {
	out := make([]Segment, e.nspans)
	for i := range out {
		out[i] = e.Segment(i)
	}
	return out
}

// bands are the lower bounds of scores 1 to 4, as logarithms of guesses.
var bands = [4]mil{4000, 6000, 8000, 10000}

// mil is a thousandth of a power of ten, the unit of all costs.
type mil = int32

// setGuesses fills in the number and its band.
func (e *Estimate) setGuesses(g mil) {
	e.guesses, e.GuessesLog10 = g, float64(g)/1000
	e.Score = 0
	for _, b := range bands {
		if g >= b {
			e.Score++
		}
	}
}

// Of estimates the password pw, which is valid UTF-8 in NFC, in the light of
// the hints, which may be nil. An empty password needs one guess. The time
// taken is bounded by the number of code points, of which the first MaxRunes
// are analysed.
func Of(pw []byte, h *Hints) Estimate { return builtin().Of(pw, h) }

const inf mil = math.MaxInt32 / 4

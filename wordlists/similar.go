// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// MaxTweaks is the largest number of passwords that Tweaks yields, for any
// input. It is what one search for similar breached passwords costs in
// look-ups.
const MaxTweaks = 64

// Tweaks yields at most limit passwords, and never more than MaxTweaks, that
// differ from pw as people change a password that they must replace: the last
// number or a year one up or down, a digit or sign at the end taken off, put
// on or exchanged, the case of the first letter or of all, letters written as
// digits and signs and back, and the commonest of these together. A new
// password whose tweaks are breached is one guess away from a breached one
// (Pal et al., IEEE S&P 2019).
//
// The likelier come first and the order is fixed, so that a smaller limit
// yields a prefix of what a larger one does. Nothing is yielded twice, neither
// pw nor the empty string is ever yielded, and valid UTF-8 stays valid. The
// slice is reused: it holds its value until the next one is asked for. The time
// is linear in len(pw).
func Tweaks(pw []byte, limit int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		t := tweaker{pw: pw, left: min(limit, MaxTweaks), yield: yield}
		t.seen = append(t.seen, hash64(pw))
		defer func() { clear(t.buf[:cap(t.buf)]) }()
		t.run()
	}
}

// tweaker is one run of Tweaks. Its methods report whether to go on.
type tweaker struct {
	pw    []byte
	left  int
	yield func([]byte) bool
	buf   []byte
	seen  []uint64 // hashes of what was yielded, and of pw
}

// emit yields the concatenation of parts unless it was yielded before.
func (t *tweaker) emit(parts ...[]byte) bool {
	if t.left <= 0 {
		return false
	}
	t.buf = t.buf[:0]
	for _, p := range parts {
		t.buf = append(t.buf, p...)
	}
	h := hash64(t.buf)
	if len(t.buf) == 0 || slices.Contains(t.seen, h) {
		return true
	}
	t.seen = append(t.seen, h)
	t.left--
	return t.yield(t.buf) && t.left > 0
}

const (
	// tweakSigns are the signs exchanged for one another at the end.
	tweakSigns = "!.@#$*?"

	// tweakLeet are the pairs of a letter and what is written for it.
	tweakLeet = "a@o0e3i1s$a4s5i!t7l1"
)

// tweakEndings are put on at the end.
var tweakEndings = [...]string{"1", "!", "123", "2", "0", "12", "3", ".", "@", "#", "*", "01"}

func (t *tweaker) run() bool {
	pw := t.pw
	first := t.toggleFirst(pw)
	return t.number(pw) &&
		t.shorten(pw) &&
		t.emit(first) &&
		t.lengthen(pw) &&
		t.exchange(pw) &&
		t.cases(pw) &&
		t.number(first) &&
		t.shorten(first) &&
		t.leet(pw) &&
		t.unleet(pw)
}

// stemLen returns the length of s without the ASCII digits and signs at its
// end.
func stemLen(s []byte) int {
	n := len(s)
	for n > 0 && s[n-1] < utf8.RuneSelf && (s[n-1]|0x20 < 'a' || s[n-1]|0x20 > 'z') {
		n--
	}
	return n
}

// number counts the last number in s up and down, and the last digit of s
// around the ring, and a year that is not the last number up and down.
func (t *tweaker) number(s []byte) bool {
	lo, hi := lastDigits(s)
	if lo == hi {
		return true
	}
	if !t.count(s, lo, hi) {
		return false
	}
	if d := int(s[hi-1] - '0'); hi == len(s) {
		for _, next := range [2]int{(d + 1) % 10, (d + 9) % 10} {
			if !t.emit(s[:hi-1], []byte{byte('0' + next)}) {
				return false
			}
		}
	}
	for end := lo; end > 0; {
		lo, hi := lastDigits(s[:end])
		if lo == hi {
			break
		}
		if year := s[lo:hi]; len(year) == 4 && (year[0] == '1' && year[1] == '9' || year[0] == '2' && year[1] == '0') {
			return t.count(s, lo, hi)
		}
		end = lo
	}
	return true
}

// lastDigits returns where the last run of ASCII digits of s lies.
func lastDigits(s []byte) (lo, hi int) {
	hi = len(s)
	for hi > 0 && !isDigitByte(s[hi-1]) {
		hi--
	}
	for lo = hi; lo > 0 && isDigitByte(s[lo-1]); lo-- {
	}
	return lo, hi
}

func isDigitByte(c byte) bool { return '0' <= c && c <= '9' }

// count yields s with the number s[lo:hi] one higher and one lower, as many
// digits wide as it was. Of a long number only the last nine digits count.
func (t *tweaker) count(s []byte, lo, hi int) bool {
	lo = max(lo, hi-9)
	n, err := strconv.Atoi(string(s[lo:hi]))
	if err != nil {
		return true // unreachable: one to nine digits
	}
	for _, next := range [2]int{n + 1, n - 1} {
		if next < 0 {
			continue
		}
		digits := strconv.AppendInt(nil, int64(next), 10)
		for len(digits) < hi-lo {
			digits = append([]byte{'0'}, digits...)
		}
		if !t.emit(s[:lo], digits, s[hi:]) {
			return false
		}
	}
	return true
}

// shorten takes the last digit or sign off, then all signs, then all of both.
func (t *tweaker) shorten(s []byte) bool {
	stem := stemLen(s)
	if stem == len(s) {
		return true
	}
	signless := bytes.TrimRightFunc(s[stem:], func(r rune) bool { return r < '0' || r > '9' })
	return t.emit(s[:len(s)-1]) && t.emit(s[:stem+len(signless)]) && t.emit(s[:stem])
}

func (t *tweaker) lengthen(s []byte) bool {
	for _, ending := range tweakEndings {
		if !t.emit(s, []byte(ending)) {
			return false
		}
	}
	return true
}

// exchange puts other signs in the place of one at the end.
func (t *tweaker) exchange(s []byte) bool {
	if len(s) == 0 || bytes.IndexByte([]byte(tweakSigns), s[len(s)-1]) < 0 {
		return true
	}
	for i := range len(tweakSigns) {
		if !t.emit(s[:len(s)-1], []byte(tweakSigns[i:i+1])) {
			return false
		}
	}
	return true
}

// toggleFirst returns s with the case of its first letter changed, which need
// not be its first character.
func (t *tweaker) toggleFirst(s []byte) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRune(s[i:])
		other := unicode.ToUpper(r)
		if other == r {
			other = unicode.ToLower(r)
		}
		if other != r && (r != utf8.RuneError || size > 1) {
			return slices.Concat(s[:i], utf8.AppendRune(nil, other), s[i+size:])
		}
		i += size
	}
	return s
}

// cases yields s in small letters, in capitals, and with a capital first.
func (t *tweaker) cases(s []byte) bool {
	if !utf8.Valid(s) {
		return true // mapping would repair what is not UTF-8
	}
	lower := bytes.ToLower(s)
	return t.emit(lower) && t.emit(bytes.ToUpper(s)) && t.emit(t.toggleFirst(lower))
}

// leet yields s with one letter written as a digit or sign throughout, and
// the reverse, for each pair.
func (t *tweaker) leet(s []byte) bool {
	for i := 0; i < len(tweakLeet); i += 2 {
		letter, sign := tweakLeet[i], tweakLeet[i+1]
		if !t.replace(s, letter, sign) || !t.replace(s, letter&^0x20, sign) || !t.replace(s, sign, letter) {
			return false
		}
	}
	return true
}

func (t *tweaker) replace(s []byte, from, to byte) bool {
	return t.emit(bytes.ReplaceAll(s, []byte{from}, []byte{to}))
}

// unleet yields the stem of s with all digits and signs read as letters, in
// both ways of reading 1.
func (t *tweaker) unleet(s []byte) bool {
	stem := stemLen(s)
	for i := 1; i < len(leetMaps); i++ {
		word := bytes.Clone(s[:stem])
		for j, c := range word {
			if c < utf8.RuneSelf {
				word[j] = leetMaps[i][c]
			}
		}
		if !t.emit(word, s[stem:]) {
			return false
		}
	}
	return true
}

// stemRunes is how many code points of a password its stem has.
const stemRunes = 4

// stemClasses maps ASCII characters that people write for one another in a word
// to one of them: what the pairs of tweakLeet and all of leetMaps connect.
var stemClasses = func() (class [utf8.RuneSelf]byte) {
	for c := range class {
		class[c] = byte(c)
	}
	for _, alike := range []string{"a@4", "bg689", "c(", "e3", "il1!|", "o0", "s$5", "t7+", "z2"} {
		for i := range len(alike) {
			class[alike[i]] = alike[0]
		}
	}
	return class
}()

// AppendStem appends to dst what pw has in common with most of its Tweaks: its
// first four code points without differences of case and width and, if there is
// a letter anywhere in pw, with letters and what is written for them taken for
// the same. What is made of a stem brings similar passwords together, and tells
// no more of a password than how it begins.
func AppendStem(dst, pw []byte) []byte {
	s := AppendFold(nil, pw)
	defer clear(s)
	word := false
	for i := 0; i < len(s) && !word; {
		r, size := utf8.DecodeRune(s[i:])
		word = !isAffix(r, size)
		i += size
	}
	for i, n := 0, 0; i < len(s) && n < stemRunes; n++ {
		_, size := utf8.DecodeRune(s[i:])
		if c := s[i]; word && c < utf8.RuneSelf {
			dst = append(dst, stemClasses[c])
		} else {
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}

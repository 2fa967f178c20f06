// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

const (
	// maxCore bounds, in code points, the listed string inside a longer one.
	// Longer entries of a list are found as a whole only.
	maxCore      = 40
	maxCoreBytes = maxCore * utf8.UTFMax

	// maxAffix bounds, in code points, what may stand around a core without
	// being regular: as many random digits are worth 40 bits on their own.
	maxAffix = 12

	// disguisedCores is how many of the shortest cores on each side are also
	// read as l33t and backwards, so that letters written as digits at the
	// end of a word ("hell0", "pa$$") survive in front of an affix.
	disguisedCores = 4

	// maxPeriods is how many periods of a repeated string are looked up.
	maxPeriods = 3

	// maxProbes bounds the table look-ups of one Match: the whole and 40
	// cores on each side and two in the middle as they are, and the same for
	// one repeated core; seven disguises of the whole and four of each of ten
	// cores; and eight readings of three periods, each with and without what
	// separates the copies, and the halves, of five stretches. A string without any likeness to a listed
	// one is refused with a probability below maxProbes·1.1e-9, and in
	// practice far below, because most strings need a dozen probes.
	maxProbes = 2*83 + 7 + 4*10 + (1+2*8*maxPeriods)*5

	// inlineFold is the size up to which folding does not allocate.
	inlineFold = 256
)

// Match finds pw as a whole on the list after folding (NIST SP 800-63B-4
// §3.1.1.2: the entire password, not substrings of it). The forms are tried
// from the cheapest to the dearest for an attacker, and combined:
//
//   - capital letters, full-width characters;
//   - a listed core with digits, signs or spaces before or after it: at most
//     twelve and at most twice the core, or any number in an obvious order
//     ("1234567", "!!!!"); around a core without letters only a few, since
//     every string of digits begins with a listed one;
//   - a listed core written twice or more, with or without signs between;
//   - digits and signs read as letters, in three fixed ways, if the string
//     has two letters or more;
//   - the whole or the core backwards.
//
// A shorter core than four code points may have no more around it than it has
// itself, a longer one than 40 nothing. Of several cores the longest counts.
//
// A phrase that contains a listed word among others does not match. The time
// is linear in len(pw) with at most maxProbes look-ups; up to 256 bytes it
// does not allocate.
func (l *CommonList) Match(pw []byte) (CommonMatch, bool) {
	if m, ok := l.Lookup(pw); ok || len(pw) == 0 {
		return m, ok
	}
	var inline [inlineFold]byte
	buf := inline[:0]
	if len(pw) > inlineFold {
		buf = make([]byte, 0, len(pw))
	}
	s, form := appendFold(buf, pw)
	m := matcher{list: l}
	ok := m.match(s, form)
	return m.hit, ok
}

// matcher is one run of Match.
type matcher struct {
	list   *CommonList
	probes int
	hit    CommonMatch
}

// core is a stretch of the folded string that may be a listed one.
type core struct {
	lo, hi   int32
	disguise bool // may also be read as l33t and backwards
}

// cores is what is left of a string when its affixes are taken off.
type cores struct {
	n         int
	list      [2*maxCore + 2]core
	wordStart int // first and last letter: s[wordStart:wordEnd]
	wordEnd   int // 0 if there is none
}

// addIf adds s[lo:hi] if the rule allows it.
func (c *cores) addIf(rule *affixRule, lo, hi, affix int) {
	if ok, disguise := rule.allows(lo, hi, affix); ok {
		c.list[c.n] = core{int32(lo), int32(hi), disguise}
		c.n++
	}
}

func (m *matcher) match(s []byte, form Form) bool {
	if m.probe(s, form) {
		return true
	}
	var found cores
	found.strip(s)
	for _, c := range found.list[:found.n] {
		if m.probe(s[c.lo:c.hi], form|FormAffix) {
			return true
		}
	}
	if m.repeated(s, form, true) || m.disguised(s, form, true) {
		return true
	}
	for _, c := range found.list[:found.n] {
		if c.disguise && m.disguised(s[c.lo:c.hi], form|FormAffix, false) {
			return true
		}
	}
	if lo, hi := found.wordStart, found.wordEnd; repeatable(s, lo, hi) {
		if hi < len(s) && m.repeated(s[:hi], form|FormAffix, false) ||
			lo > 0 && m.repeated(s[lo:], form|FormAffix, false) ||
			lo > 0 && hi < len(s) && m.repeated(s[lo:hi], form|FormAffix, false) {
			return true
		}
		// The copies may have digits of their own ("abc123abc123!").
		if inner := bytes.TrimFunc(s, isSign); len(inner) < len(s) && m.repeated(inner, form|FormAffix, false) {
			return true
		}
	}
	return false
}

// probe looks key up and notes a hit.
func (m *matcher) probe(key []byte, form Form) bool {
	m.probes++
	step, ok := m.list.find(key)
	if !ok {
		return false
	}
	if step&stepFolded != 0 && form&FormWidth == 0 {
		form |= FormCase // the listed string has capitals, pw has others or none
	}
	m.hit = CommonMatch{
		Form:    form,
		Rank:    stepRank(step & stepMask),
		Default: step&stepDefault != 0,
		Kept:    utf8.RuneCount(key),
	}
	return true
}

// disguised looks s up as l33t and backwards, and if asked to as both.
func (m *matcher) disguised(s []byte, form Form, both bool) bool {
	if len(s) < 2 || len(s) > maxCoreBytes {
		return false
	}
	var reversed [maxCoreBytes]byte
	r := appendReversed(reversed[:0], s)
	return m.leet(s, form) ||
		m.probe(r, form|FormReversed) ||
		both && m.leet(r, form|FormReversed)
}

// leet looks up the readings of s as l33t. A string with fewer than two
// letters has none: nearly any few digits would spell some listed word.
func (m *matcher) leet(s []byte, form Form) bool {
	letters := 0
	for _, c := range s {
		if c >= utf8.RuneSelf || 'a' <= c && c <= 'z' {
			letters++
		}
	}
	if letters < 2 || letters == len(s) {
		return false
	}
	var read [maxCoreBytes]byte
	for i := range leetMaps {
		changed := false
		for j, c := range s {
			if c < utf8.RuneSelf {
				read[j] = leetMaps[i][c]
				changed = changed || read[j] != c
			} else {
				read[j] = c
			}
		}
		if changed && m.probe(read[:len(s)], form|FormLeet) {
			return true
		}
	}
	return false
}

// repeated looks up what s is a repetition of. The last copy may be cut
// short; signs and spaces may stand between the copies, but not more of them
// than of the copy. With inner set, affixes of what is repeated are taken off
// too ("abc-123abc-123").
func (m *matcher) repeated(s []byte, form Form, inner bool) bool {
	form |= FormRepeated
	if half := len(s) / 2; half > 0 && bytes.Equal(s[:half], s[len(s)-half:]) {
		between := s[half : len(s)-half]
		if (len(between) == 0 || isSign(rune(between[0]))) && m.probe(s[:half], form) {
			return true
		}
	}
	periods := 0
	for p := 1; p < len(s) && p <= maxCoreBytes && periods < maxPeriods; p++ {
		if s[p] != s[0] || s[len(s)-1] != s[len(s)-1-p] || !bytes.Equal(s[p:], s[:len(s)-p]) {
			continue
		}
		periods++
		unit := s[:p]
		if len(s) >= 2*p && (m.probe(unit, form) || m.disguised(unit, form, true)) {
			return true
		}
		bare := bytes.TrimRightFunc(unit, isSign)
		if len(bare) < p && 2*len(bare) >= p && len(s) >= p+len(bare) &&
			(m.probe(bare, form) || m.disguised(bare, form, true)) {
			return true
		}
		if inner && periods == 1 && len(s) >= 2*p {
			var found cores
			found.strip(unit)
			for _, c := range found.list[:found.n] {
				if m.probe(unit[c.lo:c.hi], form|FormAffix) {
					return true
				}
			}
		}
	}
	return false
}

// strip finds the cores of s, the longest first on each side.
func (c *cores) strip(s []byte) {
	// The word is what is left without any digits and signs at either end.
	lo, hi := 0, len(s)
	for hi > 0 {
		r, size := utf8.DecodeLastRune(s[:hi])
		if !isAffix(r, size) {
			break
		}
		hi -= size
	}
	for lo < hi {
		r, size := utf8.DecodeRune(s[lo:])
		if !isAffix(r, size) {
			break
		}
		lo += size
	}
	c.wordStart, c.wordEnd = lo, hi

	rule := affixRule{s: s, runes: utf8.RuneCount(s), wordStart: lo, wordEnd: hi}

	// Affix behind: cores s[:i] of at most maxCore code points.
	begin := c.n
	i, n := 0, 0
	for n < maxCore && i < len(s) {
		_, size := utf8.DecodeRune(s[i:])
		i += size
		n++
	}
	for i >= max(hi, 1) {
		if i < len(s) {
			c.addIf(&rule, 0, i, rule.runes-n)
		}
		_, size := utf8.DecodeLastRune(s[:i])
		i -= size
		n--
	}
	c.disguiseLast(begin)

	// Affix before: cores s[i:].
	begin = c.n
	i, n = len(s), 0
	for n < maxCore && i > 0 {
		_, size := utf8.DecodeLastRune(s[:i])
		i -= size
		n++
	}
	last := lo
	if hi == 0 {
		last = len(s) - 1
	}
	for i <= last {
		if i > 0 {
			c.addIf(&rule, i, len(s), rule.runes-n)
		}
		_, size := utf8.DecodeRune(s[i:])
		i += size
		n--
	}
	c.disguiseLast(begin)

	// Both: the bare word, and what is left without signs only ("<abc123>").
	if hi == 0 {
		lo, hi = 0, len(s)
	} else if lo > 0 && hi < len(s) {
		c.addIf(&rule, lo, hi, rule.runes-utf8.RuneCount(s[lo:hi]))
	}
	inner := bytes.TrimFunc(s, isSign)
	if left := bytes.TrimLeftFunc(s, isSign); len(left) < len(s) && len(inner) < len(left) && len(inner) > 0 {
		from := len(s) - len(left)
		to := from + len(inner)
		if from != lo || to != hi {
			c.addIf(&rule, from, to, rule.runes-utf8.RuneCount(inner))
		}
	}
}

// disguiseLast lets only the shortest cores added since begin be disguised.
func (c *cores) disguiseLast(begin int) {
	for i := begin; i < c.n-disguisedCores; i++ {
		c.list[i].disguise = false
	}
}

// affixRule decides which parts of a string are affixes.
type affixRule struct {
	s                  []byte
	runes              int // code points of s
	wordStart, wordEnd int
	measured           bool // whether the following are set
	head, tail         int  // s[:head] and s[tail:] are regular
}

// regular reports whether the affixes around s[lo:hi] are regular.
func (a *affixRule) regular(lo, hi int) bool {
	if !a.measured {
		a.measured = true
		a.head, a.tail = regularHead(a.s), regularTail(a.s)
	}
	return lo <= a.head && hi >= a.tail
}

// allows reports whether the string may be taken for the core [lo:hi] with an
// affix of the given number of code points around it, and whether the core may
// be disguised besides. The core must be enough of the string to be what the
// password rests on, and the more so the more strings would pass for a core:
//
//   - With a letter in it, a core of four code points or more may have twice
//     as many around it, but no more than twelve; a shorter one as many. A
//     disguised core needs five code points and may have as many around it.
//   - Without a letter, most strings of digits begin with some listed one, so
//     at least four code points are asked for and an affix of at most a
//     quarter of the core, or half if it has no digit; never a disguise.
//   - A regular affix of three code points or more, around a core of three
//     with a letter or six without, may have any length.
func (a *affixRule) allows(lo, hi, affix int) (ok, disguise bool) {
	n := a.runes - affix
	if n > maxCore {
		return false, false
	}
	if lo >= a.wordEnd || hi <= a.wordStart { // no letter
		return n >= 4 && 4*affix <= n ||
			n >= 4 && 2*affix <= n && !bytes.ContainsFunc(a.s[:lo], unicode.IsDigit) && !bytes.ContainsFunc(a.s[hi:], unicode.IsDigit) ||
			n >= 6 && affix >= 3 && a.regular(lo, hi), false
	}
	most := n
	if n >= 4 {
		most = min(2*n, maxAffix)
	}
	if n >= 2 && affix <= most {
		return true, n >= 5 && affix <= n
	}
	return n >= 3 && affix >= 3 && a.regular(lo, hi), n >= 5
}

// repeatable reports whether the word s[lo:hi] may be a repetition with an
// affix around it: six code points or more, and at most as many around.
func repeatable(s []byte, lo, hi int) bool {
	n := utf8.RuneCount(s[lo:hi])
	return n >= 6 && utf8.RuneCount(s[:lo])+utf8.RuneCount(s[hi:]) <= n
}

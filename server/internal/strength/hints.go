// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

import (
	"cmp"
	"math/bits"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Context is what the caller knows about the user and the service, and what
// an attacker may therefore try first. All fields may be empty.
type Context struct {
	Login     string
	Emails    []string
	Names     []string // full names or parts of names, in any script
	Phones    []string
	Words     []string // organisation, product, host name, nickname …
	BirthDate string   // YYYY-MM-DD; anything else is taken as a word
	Previous  []byte   // the password before this one
}

// Limits of a Context. What lies beyond them is not looked at, so that
// the cost of a request does not depend on the caller's thrift.
const (
	MaxHintWords = 32 // texts, in the order Login, Previous, BirthDate, Names, Emails, Phones, Words
	MaxHintRunes = 64 // code points of each text
	maxParts     = 8
	maxPrefixes  = 6144
	maxApprox    = 24 // patterns matched with errors
	maxMatches   = 4  // places taken of one pattern
)

// Costs of context tokens: an attacker who knows the word needs only few
// guesses for its usual forms, and some tens for each wrong letter.
const (
	costPrevious mil = 300
	costWhole    mil = 1000
	costPart     mil = 1200
	costDerived  mil = 1500
	costEdit     mil = 1050
	costCut      mil = 800 // for a beginning of at least four code points
)

// Hints is a Context made ready for matching: the variants of its words as
// a set of all their beginnings, and bit masks for matching with errors. It
// is immutable and may be shared. It holds personal data in the clear, so it
// should not outlive its request.
type Hints struct {
	keys    []uint64 // open addressing; 0 is free
	costs   []mil    // of the variant that ends here, or 0
	used    int
	longest int
	approx  []pattern
	model   *Model
	buf     []rune
}

// NewHints prepares c. The time and space taken are bounded whatever c holds.
// It returns nil, which Of accepts, when nothing in c is of use.
func NewHints(c Context) *Hints { return builtin().NewHints(c) }

// NewHints is the package function NewHints with these tables.
func (m *Model) NewHints(c Context) *Hints {
	if c.Login == "" && c.BirthDate == "" && len(c.Emails)+len(c.Names)+len(c.Phones)+len(c.Words)+len(c.Previous) == 0 {
		return nil
	}
	h := &Hints{model: m}
	left := MaxHintWords
	each := func(add func([]rune), texts ...string) {
		for _, t := range texts {
			if left == 0 {
				return
			}
			if w := clip(t); len(w) > 0 {
				left--
				add(w)
			}
		}
	}
	each(h.word, c.Login)
	// A string header on the first bytes of the old password, no more.
	each(h.previous, string(c.Previous[:min(len(c.Previous), utf8.UTFMax*MaxHintRunes)]))
	each(h.birth, c.BirthDate)
	each(h.word, c.Names...)
	if n := len(c.Names); 2 <= n && n <= 4 {
		var joined []rune
		for _, t := range c.Names {
			joined = append(append(joined, clip(t)...), ' ')
		}
		h.word(joined[:min(len(joined), MaxHintRunes)])
	}
	each(h.email, c.Emails...)
	each(h.phone, c.Phones...)
	each(h.word, c.Words...)
	if h.used == 0 && len(h.approx) == 0 {
		return nil
	}
	clear(h.buf[:cap(h.buf)])
	h.buf = nil
	return h
}

// clip folds the first MaxHintRunes code points of s, less the white space
// around them.
func clip(s string) []rune {
	var w []rune
	seen := 0
	for _, r := range s {
		if seen++; len(w) == MaxHintRunes || seen > 2*MaxHintRunes {
			break
		}
		if len(w) == 0 && unicode.IsSpace(r) {
			continue
		}
		w = append(w, fold(r))
	}
	for len(w) > 0 && unicode.IsSpace(w[len(w)-1]) {
		w = w[:len(w)-1]
	}
	return w
}

// add makes w a token of the given cost.
func (h *Hints) add(w []rune, cost mil) {
	least := 3
	if len(w) > 0 && w[0] >= 128 {
		least = 2
	}
	if len(w) < least || h.used+len(w) > maxPrefixes {
		return
	}
	w = w[:min(len(w), MaxHintRunes)]
	h.longest = max(h.longest, len(w))
	hash := hashSeed
	for i, r := range w {
		hash = extend(hash, r)
		c := mil(0)
		switch {
		case i == len(w)-1:
			c = cost
		case i >= 3:
			c = cost + costCut
		}
		h.put(hash, c)
	}
}

func (h *Hints) put(key uint64, cost mil) {
	if 2*(h.used+1) > len(h.keys) {
		keys, costs := h.keys, h.costs
		h.keys, h.costs = make([]uint64, max(64, 2*len(keys))), make([]mil, max(64, 2*len(keys)))
		h.used = 0
		for i, k := range keys {
			if k != 0 {
				h.put(k, costs[i])
			}
		}
	}
	i := h.slot(key)
	if h.keys[i] == 0 {
		h.keys[i] = key
		h.used++
	}
	if cost != 0 && (h.costs[i] == 0 || cost < h.costs[i]) {
		h.costs[i] = cost
	}
}

// slot is where key is, or where it would go.
func (h *Hints) slot(key uint64) int {
	mask := uint64(len(h.keys) - 1)
	i := key >> 32 & mask
	for h.keys[i] != 0 && h.keys[i] != key {
		i = (i + 1) & mask
	}
	return int(i)
}

func (h *Hints) concat(parts ...[]rune) []rune {
	h.buf = h.buf[:0]
	for _, p := range parts {
		h.buf = append(h.buf, p...)
	}
	return h.buf
}

// both adds w, w for matching with errors, and w backwards. It may leave w
// reversed when w comes from concat.
func (h *Hints) both(w []rune, cost mil) {
	h.add(w, cost)
	h.approximate(w, cost)
	if len(w) >= 4 {
		b := h.concat(w)
		slices.Reverse(b)
		h.add(b, cost+500)
	}
}

// word takes a text apart: whole, parts, initials and their mixtures.
func (h *Hints) word(w []rune) {
	h.both(w, costWhole)
	h.pieces(split(w))
	h.chinese(w)
}

func (h *Hints) pieces(parts [][]rune) {
	if len(parts) < 2 {
		return
	}
	var joined, initials []rune
	var letters [][]rune
	for _, p := range parts {
		h.both(p, costPart)
		joined = append(joined, p...)
		if !digit(p[0]) {
			initials = append(initials, p[0])
			letters = append(letters, p)
		}
	}
	h.both(joined, costPart)
	if len(letters) < 2 {
		return
	}
	h.add(initials, costDerived)
	first, last := letters[0], letters[len(letters)-1]
	h.add(h.concat(first, last), costPart)
	h.add(h.concat(last, first), costPart)
	h.add(h.concat(first[:1], last), costDerived)
	h.add(h.concat(last, first[:1]), costDerived)
	h.add(h.concat(first, last[:1]), costDerived)
	h.add(h.concat(last[:1], first), costDerived)
}

// split cuts w between letters, digits and everything else, which is dropped.
func split(w []rune) [][]rune {
	var parts [][]rune
	sort := func(r rune) int {
		switch {
		case unicode.IsDigit(r):
			return 1
		case unicode.Is(unicode.Han, r):
			return 2
		case unicode.IsLetter(r) || unicode.IsMark(r):
			return 3
		}
		return 0
	}
	for i := 0; i < len(w) && len(parts) < maxParts; {
		s := sort(w[i])
		j := i + 1
		for j < len(w) && sort(w[j]) == s {
			j++
		}
		if s != 0 {
			parts = append(parts, w[i:j])
		}
		i = j
	}
	return parts
}

// chinese adds the readings of a text in Chinese characters: in full, as
// initials, with the family name first or last or left out.
func (h *Hints) chinese(w []rune) {
	var syll [][]rune
	for _, r := range w {
		if r < 0x2e80 {
			continue
		}
		s := h.model.syllable(r)
		if s == nil || len(syll) == maxParts {
			return
		}
		t := make([]rune, len(s))
		for i, b := range s {
			t[i] = rune(b)
		}
		syll = append(syll, t)
	}
	if len(syll) < 2 {
		for _, s := range syll {
			h.add(s, costPart)
		}
		return
	}
	h.readings(syll)
	// ü is typed as v or as u.
	changed := false
	for _, s := range syll {
		for i, r := range s {
			if r == 'v' {
				s[i], changed = 'u', true
			}
		}
	}
	if changed {
		h.readings(syll)
	}
}

func (h *Hints) readings(syll [][]rune) {
	var full, initials []rune
	for _, s := range syll {
		full = append(full, s...)
		initials = append(initials, s[0])
	}
	h.both(full, costPart)
	h.add(initials, costDerived)
	// Family names have one character, of four-character names mostly two.
	k := 1
	if len(syll) > 3 {
		k = 2
	}
	family, given := slices.Concat(syll[:k]...), slices.Concat(syll[k:]...)
	h.add(family, costPart)
	h.add(given, costPart)
	h.both(h.concat(given, family), costPart)
	h.add(h.concat(family, initials[k:]), costDerived)
	h.add(h.concat(initials[k:], family), costDerived)
	h.add(h.concat(initials[:k], given), costDerived)
	h.add(h.concat(given, initials[:k]), costDerived)
}

// email adds the local part and the labels of the domain but the last.
func (h *Hints) email(w []rune) {
	at := slices.Index(w, '@')
	if at < 0 {
		h.word(w)
		return
	}
	h.add(w, costWhole)
	h.word(w[:at])
	domain := w[at+1:]
	for range maxParts {
		dot := slices.Index(domain, '.')
		if dot < 0 {
			break
		}
		h.word(domain[:dot])
		domain = domain[dot+1:]
	}
}

// phone adds the digits of a number, without country code, and its last
// digits.
func (h *Hints) phone(w []rune) {
	h.add(w, costWhole)
	var d []rune
	for _, r := range w {
		if digit(r) {
			d = append(d, r)
		}
	}
	if len(d) > 11 && d[0] == '8' && d[1] == '6' {
		h.both(d, costPart)
		d = d[2:]
	}
	h.both(d, costWhole)
	for _, k := range []int{4, 5, 6, 7, 8, 10} {
		if k < len(d) {
			h.add(d[len(d)-k:], costPart)
		}
	}
	if len(d) > 7 {
		h.add(d[:7], costPart)
	}
}

// birth adds the ways to write a date; a text of another form is a word.
func (h *Hints) birth(w []rune) {
	dateLike := len(w) == 10 && w[4] == '-' && w[7] == '-'
	for i, r := range w {
		dateLike = dateLike && (digit(r) || i == 4 || i == 7)
	}
	if !dateLike {
		h.word(w)
		return
	}
	y, mo, d := w[:4], w[5:7], w[8:]
	short := func(v []rune) []rune {
		if v[0] == '0' {
			return v[1:]
		}
		return v
	}
	for _, mm := range [][]rune{mo, short(mo)} {
		for _, dd := range [][]rune{d, short(d)} {
			for _, p := range [][][]rune{
				{y, mm, dd}, {y[2:], mm, dd}, {dd, mm, y}, {mm, dd, y}, {dd, mm, y[2:]}, {mm, dd, y[2:]}, {y, dd, mm},
			} {
				h.add(h.concat(p...), costWhole)
				for _, sep := range [][]rune{{'-'}, {'.'}, {'/'}, {'_'}} {
					h.add(h.concat(p[0], sep, p[1], sep, p[2]), costWhole)
				}
			}
			h.add(h.concat(mm, dd), costPart)
			h.add(h.concat(dd, mm), costPart)
		}
		h.add(h.concat(y, mm), costPart)
		h.add(h.concat(mm, y), costPart)
	}
	h.add(y, costWhole)
}

// previous adds the old password, and what is left of it without the digits
// and signs behind.
func (h *Hints) previous(w []rune) {
	h.both(w, costPrevious)
	core := w
	for len(core) > 0 && !letter(core[len(core)-1]) {
		core = core[:len(core)-1]
	}
	if len(core) >= 4 && len(core) < len(w) {
		h.both(core, costPart)
	}
}

// pattern is a word to be matched with errors, in the form of Myers (JACM
// 1999) with Hyyrö's extension for neighbours exchanged (2003): bit i of
// masks[r] says that letter i of the word is r.
type pattern struct {
	text   string
	masks  [128]uint64
	errors int
	cost   mil
}

// approximate lets an ASCII word be matched with one error from 5 letters on,
// with two from 8.
func (h *Hints) approximate(w []rune, cost mil) {
	n := len(w)
	if n < 5 || n > MaxHintRunes || len(h.approx) == maxApprox {
		return
	}
	p := pattern{text: string(w), errors: 1, cost: cost}
	if n >= 8 {
		p.errors = 2
	}
	for i, r := range w {
		if r >= 128 {
			return
		}
		p.masks[r] |= 1 << i
	}
	for i := range h.approx {
		if h.approx[i].text == p.text {
			return
		}
	}
	h.approx = append(h.approx, p)
}

// mask says where in the word r stands, counted from its end when backwards.
func (p *pattern) mask(r rune, backwards bool) uint64 {
	if r >= 128 {
		return 0
	}
	if backwards {
		return bits.Reverse64(p.masks[r]) >> (64 - len(p.text))
	}
	return p.masks[r]
}

// matcher is the state of one run of a pattern over a text: dist is the least
// number of insertions, deletions, replacements and exchanges of neighbours
// between the word and some end of the text read so far, or, when anchored,
// between the word and all of that text.
type matcher struct {
	pv, mv, d0, eq uint64
	dist           int
}

func (p *pattern) start() matcher { return matcher{pv: ^uint64(0), dist: len(p.text)} }

// step reads one more code point, which stands in the word where eq says.
func (s *matcher) step(eq uint64, n int, anchored bool) {
	swapped := ((^s.d0 & eq) << 1) & s.eq
	d0 := swapped | (((eq & s.pv) + s.pv) ^ s.pv) | eq | s.mv
	up := s.mv | ^(d0 | s.pv)
	down := s.pv & d0
	top := uint64(1) << (n - 1)
	if up&top != 0 {
		s.dist++
	} else if down&top != 0 {
		s.dist--
	}
	up <<= 1
	if anchored {
		up |= 1
	}
	s.pv = (down << 1) | ^(d0 | up)
	s.mv = up & d0
	s.d0, s.eq = d0, eq
}

// match is a place where a word of the context stands, with errors.
type match struct {
	start, end uint16
	cost       mil
}

// matches are what hints find in one text.
type matches struct {
	hints *Hints
	deep  int // steps beyond deepWalk that are left
	n, at int
	found [48]match
}

// approximate collects the places that match with errors, by their beginning.
// Of each stretch of ends that are near enough the nearest counts.
func (x *matches) approximate(a *arena) {
	for i := range x.hints.approx {
		p := &x.hints.approx[i]
		n := len(p.text)
		if a.n+p.errors < n {
			continue
		}
		a.steps += a.n
		s := p.start()
		best, at, quota := p.errors+1, 0, maxMatches
		for j := 0; j < a.n && quota > 0; j++ {
			s.step(p.mask(a.low[j], false), n, false)
			if s.dist < best {
				best, at = s.dist, j+1
			}
			if at > 0 && (s.dist > p.errors || j+1 == a.n) {
				x.take(a, p, at)
				best, at = p.errors+1, 0
				quota--
			}
		}
	}
	slices.SortFunc(x.found[:x.n], func(p, q match) int {
		return cmp.Or(cmp.Compare(p.start, q.start), cmp.Compare(p.end, q.end), cmp.Compare(p.cost, q.cost))
	})
}

// take finds where the match that ends before j begins, and keeps it.
func (x *matches) take(a *arena, p *pattern, j int) {
	n := len(p.text)
	s := p.start()
	best, from := p.errors+1, 0
	for i := j - 1; i >= 0 && j-i <= n+p.errors; i-- {
		s.step(p.mask(a.low[i], true), n, true)
		a.steps++
		if s.dist < best {
			best, from = s.dist, i
		}
	}
	if best > p.errors || x.n == len(x.found) {
		return
	}
	x.found[x.n] = match{uint16(from), uint16(j), p.cost + costEdit*mil(best)}
	x.n++
}

// relax offers the variants that begin at i. Within a repeat only places with
// errors are, for the reason given at inRepeat.
func (x *matches) relax(a *arena, i int, again bool) {
	if !again {
		x.walk(a, i)
	}
	for ; x.at < x.n && int(x.found[x.at].start) <= i; x.at++ {
		if f := x.found[x.at]; int(f.start) == i {
			a.known.relax(i, int(f.end), f.cost, KindContext)
		}
	}
}

// hintStates bounds the readings of l33t letters in a walk over hints, for its
// first code points; then one reading is followed.
const hintStates = 2

// deepWalk is how far every walk over hints may go. What all walks of a text
// go beyond is bounded, on average, by deepShare code points for each of its
// own: beginnings of hints are recognised too, so a longer one costs little
// more when it is cut.
const (
	deepWalk  = 8
	deepShare = 4
)

// walk offers the variants that begin at i, reading l33t letters both ways.
func (x *matches) walk(a *arena, i int) {
	h := x.hints
	if h.used == 0 {
		return
	}
	var states [2][hintStates]walkState
	states[0][0] = walkState{h: hashSeed}
	live, steps := 1, 0
	limit := min(a.n, i+h.longest)
	for j := i; j < limit && live > 0; j++ {
		front, next := &states[(j-i)&1], &states[(j-i+1)&1]
		d := j + 1 - i
		if d > deepWalk {
			if x.deep == 0 {
				break
			}
			x.deep--
		}
		kept, most := 0, hintStates
		if d > 8 {
			most = 1
		}
		readings, count := a.readings(j)
		for _, s := range front[:live] {
			for k, r := range readings[:count] {
				if kept == most {
					break
				}
				steps++
				hash := extend(s.h, r)
				slot := h.slot(hash)
				if h.keys[slot] == 0 {
					continue
				}
				subs := s.subs
				if k > 0 {
					subs++
				}
				next[kept] = walkState{hash, subs}
				kept++
				c := h.costs[slot]
				if c == 0 {
					continue
				}
				if subs > 0 {
					c += 300
				}
				if up := int(a.upper[j+1] - a.upper[i]); up > 0 {
					c += capitals(up, d)
				}
				a.known.relax(i, j+1, c, KindContext)
			}
		}
		live = kept
	}
	a.steps += steps
}

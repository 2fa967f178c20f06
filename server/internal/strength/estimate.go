// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// arena is the working memory of one estimate. It lives on the stack of Of,
// and its texts are cleared before Of returns.
type arena struct {
	n     int
	raw   []rune   // the text, full-width forms made narrow
	low   []rune   // raw, lower case
	upper []uint16 // capitals before position i, n+1 of them
	chars []mil    // cost of each symbol in the character model
	mixed []bool   // a sign that is read as a letter too, having one near

	letters int // from a to z, in either case

	plain  chain // the cheapest covers
	known  chain // the cheapest covers for those who know the hints
	hinted bool  // known is of use

	run   []uint16 // end of the run of neighbouring keys that begins at i
	seq   []uint16 // end of the sequence that begins at i
	turns []uint16 // changes of direction in run

	since, again [maxPeriod]uint16 // by period: where the last repeat begins and ends
	reach        int               // the greatest of again

	steps int // units of work, for the test that bounds them
}

// chain is the cheapest cover of what lies before each position i, ending in a
// token or in unrecognised text, and how it was reached.
type chain struct {
	tok, brute []mil
	from       []uint16 // where the token that ends at i begins
	kind       []uint8  // its Kind; the top bit: its predecessor was brute
	bruteCont  []bool   // the unrecognised code point before i continues a run

	// The same for mixed covers, in which the character model spells what is
	// not recognised. Nothing is explained by them.
	mixTok, mixBrute []mil
	mixed            bool
}

// Storage for short and for long texts; two sizes keep the cost of clearing
// the stack away from ordinary passwords.
const shortRunes = 48

type shortStore struct {
	raw, low       [shortRunes]rune
	chars          [shortRunes]mil
	upper          [shortRunes + 1]uint16
	mixed          [shortRunes]bool
	run, seq, turn [shortRunes]uint16
	plain, known   shortChain
}

type shortChain struct {
	tok, brute [shortRunes + 1]mil
	from       [shortRunes + 1]uint16
	kind       [shortRunes + 1]uint8
	bruteCont  [shortRunes + 1]bool

	mixTok, mixBrute [shortRunes + 1]mil
}

type longStore struct {
	raw, low       [MaxRunes]rune
	chars          [MaxRunes]mil
	upper          [MaxRunes + 1]uint16
	mixed          [MaxRunes]bool
	run, seq, turn [MaxRunes]uint16
	plain, known   longChain
}

type longChain struct {
	tok, brute [MaxRunes + 1]mil
	from       [MaxRunes + 1]uint16
	kind       [MaxRunes + 1]uint8
	bruteCont  [MaxRunes + 1]bool

	mixTok, mixBrute [MaxRunes + 1]mil
}

func (s *shortStore) arena() arena {
	return arena{
		raw: s.raw[:], low: s.low[:], chars: s.chars[:], upper: s.upper[:], mixed: s.mixed[:],
		run: s.run[:], seq: s.seq[:], turns: s.turn[:], plain: s.plain.chain(), known: s.known.chain(),
	}
}

func (s *longStore) arena() arena {
	return arena{
		raw: s.raw[:], low: s.low[:], chars: s.chars[:], upper: s.upper[:], mixed: s.mixed[:],
		run: s.run[:], seq: s.seq[:], turns: s.turn[:], plain: s.plain.chain(), known: s.known.chain(),
	}
}

func (s *shortChain) chain() chain {
	return chain{
		tok: s.tok[:], brute: s.brute[:], from: s.from[:], kind: s.kind[:], bruteCont: s.bruteCont[:],
		mixTok: s.mixTok[:], mixBrute: s.mixBrute[:],
	}
}

func (s *longChain) chain() chain {
	return chain{
		tok: s.tok[:], brute: s.brute[:], from: s.from[:], kind: s.kind[:], bruteCont: s.bruteCont[:],
		mixTok: s.mixTok[:], mixBrute: s.mixBrute[:],
	}
}

// Of is the package function Of with these tables.
func (m *Model) Of(pw []byte, h *Hints) Estimate {
	e, _ := m.of(pw, h)
	return e
}

// of also returns the work done.
func (m *Model) of(pw []byte, h *Hints) (e Estimate, steps int) {
	if len(pw) <= shortRunes {
		return m.short(pw, h)
	}
	return m.long(pw, h)
}

func (m *Model) short(pw []byte, h *Hints) (e Estimate, steps int) {
	var s shortStore
	a := s.arena()
	m.estimate(&a, pw, h, &e)
	return e, a.steps
}

//go:noinline
func (m *Model) long(pw []byte, h *Hints) (e Estimate, steps int) {
	var s longStore
	a := s.arena()
	m.estimate(&a, pw, h, &e)
	return e, a.steps
}

// narrow maps the full-width forms of ASCII to ASCII.
func narrow(r rune) rune {
	switch {
	case 0xff01 <= r && r <= 0xff5e:
		return r - 0xfee0
	case r == 0x3000:
		return ' '
	}
	return r
}

// fold is the lower-case form of a code point, full-width forms narrowed.
func fold(r rune) rune {
	if r < 128 {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return unicode.ToLower(narrow(r))
}

// read decodes pw into the arena and returns the running hash of the exact
// text.
func (a *arena) read(pw []byte) uint64 {
	n, up := 0, uint16(0)
	h := hashSeed
	for len(pw) > 0 && n < MaxRunes {
		r, size := rune(pw[0]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(pw)
			r = narrow(r)
		}
		pw = pw[size:]
		h = extend(h, r)
		l := fold(r)
		a.raw[n], a.low[n] = r, l
		a.upper[n] = up
		if l != r {
			up++
		}
		if 'a' <= l && l <= 'z' {
			a.letters++
		}
		n++
	}
	a.upper[n] = up
	a.n = n
	a.raw, a.low = a.raw[:n], a.low[:n]
	return h
}

func (m *Model) estimate(a *arena, pw []byte, h *Hints, e *Estimate) {
	exact := a.read(pw)
	defer func() { clear(a.raw); clear(a.low) }()
	if a.n == 0 {
		return
	}
	list, _ := m.word(mix(exact))
	if list != 0 && !m.plausible(a) {
		list = 0
	}
	if list != 0 {
		g := listCost(list)
		e.Listed, e.Rank = true, rankOf(g)
		e.nspans = 1
		e.spans[0] = span{kind: KindListed, end: uint16(a.n)}
		e.setGuesses(g)
		if h == nil {
			return
		}
	}
	end, known := a.markovCosts(m)
	m.cover(a, h, known)
	if list == 0 {
		s := a.explain(&a.plain, e)
		a.namePhone(e)
		g := s
		if known {
			g = a.blend(a.plain.mix(a.n), m.markov.at(a.markovTotal(&a.plain, e, end)))
		}
		g = m.calib.at(g)
		if g > variantFloor {
			g = max(variantFloor, min(g, m.variantGuesses(a)))
		}
		e.setGuesses(g)
	}
	if a.hinted {
		m.withHints(a, e, end, known)
	}
}

// withHints replaces e by the estimate for those who know the hints, when
// that is lower.
func (m *Model) withHints(a *arena, e *Estimate, end mil, known bool) {
	var c Estimate
	s := a.explain(&a.known, &c)
	if !slices.ContainsFunc(c.spans[:c.nspans], func(p span) bool { return p.kind == KindContext }) {
		return
	}
	mean := s
	if known {
		mean = a.blend(a.known.mix(a.n), m.markov.at(a.markovTotal(&a.known, &c, end)))
	}
	if g := min(s, m.calib.at(mean)); g < e.guesses {
		e.nspans, e.spans = c.nspans, c.spans
		e.setGuesses(g)
	}
}

// blend joins the two views: a weighted mean of both and of the lower one,
// and what they both misjudge. They learn from lists of two languages and are
// thus surprised by letters in one and by digits in the other; crackers are not,
// and try letters first. What is short falls later than its likelihood says, and
// so does what has capitals. The numbers were chosen on parts of the lists that
// were left out, by frequency and by the guesses of attackers (mktables -tune).
func (a *arena) blend(structure, chars mil) mil {
	upper := int(a.upper[a.n])
	g := (3*structure+4*chars+3*min(structure, chars))/10 + 200*mil(upper) - 50*mil(min(a.letters-upper, 8))
	if a.n < 8 {
		g += 50 * mil(8-a.n)
	}
	return max(g, 0)
}

// plausible confirms a hit in the list by the filter, so that a chance
// agreement of fingerprints does not condemn a password.
func (m *Model) plausible(a *arena) bool {
	if a.n > maxToken {
		return true
	}
	h := hashSeed
	for i, r := range a.low {
		h = extend(h, r)
		if d := i + 1; d < 32 && prefixDepths>>d&1 != 0 && !m.hasPrefix(mix(h)) {
			return false
		}
	}
	return true
}

// rankOf turns thousandths of log10(rank) into a rank, by integers.
func rankOf(g mil) int {
	// 10^(i/40) for i = 0…39, times 1000.
	steps := [40]int{
		1000, 1059, 1122, 1189, 1259, 1334, 1413, 1496, 1585, 1679, 1778, 1884, 1995, 2113, 2239, 2371, 2512, 2661, 2818, 2985,
		3162, 3350, 3548, 3758, 3981, 4217, 4467, 4732, 5012, 5309, 5623, 5957, 6310, 6683, 7079, 7499, 7943, 8414, 8913, 9441,
	}
	r := steps[g%1000/listStep]
	for ; g >= 1000; g -= 1000 {
		r *= 10
	}
	return (r + 500) / 1000
}

// markovTotal is the cost of the text in the character model. Where the
// cover repeats, walks or counts, its own cost stands instead, and where it has
// seen through a disguise the mean of both: the character model cannot see that
// "password" comes twice, or with signs for letters.
func (a *arena) markovTotal(p *chain, e *Estimate, end mil) mil {
	total := end
	for i := range int(e.nspans) {
		s := e.spans[i]
		var c mil
		for j := s.start; j < s.end; j++ {
			c += a.chars[j]
		}
		own := p.at(int(s.end)) - p.at(int(s.start))
		switch {
		case structural(s.kind):
			c = min(c, own)
		case s.disguised: // less usual than the plain word, more than it looks
			c = min(c, (c+own)/2)
		}
		total += c
	}
	up := int(a.upper[a.n])
	return total + caseCost(up, a.letters, a.raw[0] != a.low[0])
}

func structural(k Kind) bool {
	switch k {
	case KindRepeat, KindSequence, KindKeyboard, KindContext, KindPhone, KindIDNumber:
		return true
	}
	return false
}

// at is the cost of the best cover of what lies before position i.
func (p *chain) at(i int) mil {
	if i == 0 {
		return 0
	}
	return min(p.tok[i], p.brute[i])
}

// mix is the cost of the best mixed cover of what lies before position i.
func (p *chain) mix(i int) mil { return min(p.mixTok[i], p.mixBrute[i]) }

// variantFloor bounds what the rule below can do: it keeps a listed password
// in other clothes from looking strong, and leaves the order of the weak to the
// curve.
const variantFloor mil = 7000

// variantGuesses rates a text that is a listed password in other clothes: in
// other case, or with a few more digits or signs behind. It is inf for others.
func (m *Model) variantGuesses(a *arena) mil {
	best := inf
	tail := 0
	for tail < 4 && tail < a.n-3 && !letter(a.low[a.n-1-tail]) {
		tail++
	}
	h := hashSeed
	for i, r := range a.low[:min(a.n, 64)] {
		h = extend(h, r)
		d := i + 1
		if d < 32 && prefixDepths>>d&1 != 0 && !m.hasPrefix(mix(h)) {
			break
		}
		if d < a.n-tail || d < 3 {
			continue
		}
		list, token := m.word(mix(h))
		c := inf
		if list != 0 {
			c = listCost(list)
		} else if token != 0 && tokenKinds[token>>5] == KindListed {
			c = mil(token&31) * tokenStep
		}
		if c >= inf {
			continue
		}
		for j := d; j < a.n; j++ {
			if r := a.low[j]; '0' <= r && r <= '9' {
				c += 900
			} else {
				c += 1200
			}
		}
		if up := a.upper[a.n]; up > 0 {
			c += min(300*mil(up), 900)
		}
		best = min(best, c+100)
	}
	return best
}

func letter(r rune) bool { return 'a' <= r && r <= 'z' || r >= 128 }

// Views are the parts of an estimate before they are joined, as logarithms of
// guesses. The builder of the tables fits its curves to them.
type Views struct {
	Structure float64 // the cheapest cover, mixed where Known
	Chars     float64 // the character model
	CharsCost float64 // minus log10 of its probability
	Mean      float64 // both joined, or Structure alone
	Known     bool    // the character model knows all symbols
}

// Views takes the estimate of pw apart, without list and hints.
func (m *Model) Views(pw []byte) Views {
	var s longStore
	a := s.arena()
	a.read(pw)
	if a.n == 0 {
		return Views{}
	}
	var e Estimate
	end, known := a.markovCosts(m)
	m.cover(&a, nil, known)
	g := a.explain(&a.plain, &e)
	v := Views{Structure: float64(g) / 1000, Mean: float64(g) / 1000, Known: known}
	if known {
		c := a.markovTotal(&a.plain, &e, end)
		g = a.plain.mix(a.n)
		v.Structure = float64(g) / 1000
		v.CharsCost, v.Chars = float64(c)/1000, float64(m.markov.at(c))/1000
		v.Mean = float64(a.blend(g, m.markov.at(c))) / 1000
	}
	return v
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

// The cover is found by dynamic programming from left to right: at each
// position all tokens that begin there are tried, and reversed words that end
// there. Work per position is bounded by maxToken times maxStates steps.

const (
	tokenPenalty  mil = 600 // for each part after the first
	pinyinPenalty mil = 250 // between two parts in pinyin: names and phrases

	// In the mixed cover, where what is not recognised costs little, a part
	// must save more.
	mixedPenalty      mil = 1200
	mixedBrutePenalty mil = 600

	maxStates = 6  // readings of the l33t letters of one walk; half from 5, one from 9 on
	maxSubs   = 4  // letters disguised in one word
	maxPeriod = 16 // period of a repeat looked for at each position
)

// kindShort is the kind of short tokens: a few digits, or one sign or letter,
// whose frequency is known. They are reported as KindBruteforce.
const kindShort = KindUnspecified

// cover finds the cheapest covers, and with hints also those for people who
// know them. With spelt, a.chars holds what the character model says.
func (m *Model) cover(a *arena, h *Hints, spelt bool) {
	n := a.n
	a.scan()
	a.again, a.since, a.reach = [maxPeriod]uint16{}, [maxPeriod]uint16{}, 0
	a.plain.begin(n, spelt)
	var x matches
	if a.hinted = h != nil; a.hinted {
		a.known.begin(n, spelt)
		x.hints, x.deep = h, deepShare*n
		x.approximate(a)
	}
	for i := range n {
		again := a.inRepeat(i)
		if !again {
			m.backwards(a, i)
		}
		a.bruteForce(i)
		if !again {
			m.words(a, i)
		}
		a.patterns(m, i)
		if a.hinted {
			x.relax(a, i, again)
		}
	}
	m.backwards(a, n)
}

// begin makes p the covers of nothing.
func (p *chain) begin(n int, mixed bool) {
	for i := 1; i <= n; i++ {
		p.tok[i], p.brute[i] = inf, inf
		p.mixTok[i], p.mixBrute[i] = inf, inf
	}
	p.tok[0], p.brute[0], p.kind[0] = 0, inf, 0
	p.mixTok[0], p.mixBrute[0], p.mixed = 0, inf, mixed
}

// inRepeat tells that a repeat of a short period reaches at least repeatReach
// code points to either side of i. Nearly all tokens that begin or end there
// were tried one period before, and none makes a cheaper cover than the repeat.
func (a *arena) inRepeat(i int) bool {
	if a.reach < min(a.n, i+repeatReach) {
		return false
	}
	for p := range a.again {
		if int(a.again[p]) >= min(a.n, i+repeatReach) && i-int(a.since[p]) >= repeatReach {
			return true
		}
	}
	return false
}

const repeatReach = 8

// plainToken is the length from which a disguise is believed: short words are
// found in random text too.
const plainToken = 5

// The byte that a position keeps of the token that ends there: its kind, and
// whether it is disguised (l33t or reversed) and follows unrecognised text.
const (
	kindMask   = 0x3f
	disguised  = 0x40
	afterBrute = 0x80
)

// relax offers the token of kind k, possibly disguised, and cost c from i to j.
func (a *arena) relax(i, j int, c mil, k Kind) {
	a.plain.relax(i, j, c, k)
	if a.hinted {
		a.known.relax(i, j, c, k)
	}
}

// relax continues the cheaper one of the covers up to i.
func (p *chain) relax(i, j int, c mil, k Kind) {
	base, flag := mil(0), uint8(0)
	if i > 0 {
		base = p.tok[i] + tokenPenalty
		if k == KindPinyin && Kind(p.kind[i]&kindMask) == KindPinyin {
			base = p.tok[i] + pinyinPenalty
		}
		if b := p.brute[i] + tokenPenalty; b < base {
			base, flag = b, afterBrute
		}
	}
	if base += c; base < p.tok[j] {
		p.tok[j], p.from[j], p.kind[j] = base, uint16(i), uint8(k)|flag
	}
	if p.mixed {
		if i > 0 {
			c += min(p.mixTok[i], p.mixBrute[i]) + mixedPenalty
		}
		p.mixTok[j] = min(p.mixTok[j], c)
	}
}

// bruteForce takes the code point at i as unrecognised.
func (a *arena) bruteForce(i int) {
	c := bruteCost(a.raw[i])
	mix := min(c, a.chars[i])
	a.plain.bruteForce(i, c, mix)
	if a.hinted {
		a.known.bruteForce(i, c, mix)
	}
}

func (p *chain) bruteForce(i int, c, mix mil) {
	if p.mixed {
		start := p.mixTok[i]
		if i > 0 {
			start += mixedBrutePenalty
		}
		p.mixBrute[i+1] = mix + min(p.mixBrute[i], start)
	}
	start := p.tok[i]
	if i > 0 {
		start += tokenPenalty
	}
	if p.brute[i] <= start {
		p.brute[i+1], p.bruteCont[i+1] = p.brute[i]+c, true
	} else {
		p.brute[i+1], p.bruteCont[i+1] = start+c, false
	}
}

func bruteCost(r rune) mil {
	switch {
	case '0' <= r && r <= '9':
		return 1000
	case 'a' <= r && r <= 'z':
		return 1150
	case 'A' <= r && r <= 'Z':
		return 1350
	case r < 128:
		return 1500
	case r < 0x2000: // alphabets
		return 1600
	case 0x4e00 <= r && r < 0xa000:
		return 3300
	}
	return 3000
}

// leet gives the letters a sign may stand for, if a letter stands near it.
var leet = [128][2]byte{
	'4': {'a'}, '@': {'a'}, '8': {'b'}, '(': {'c'}, '{': {'c'}, '[': {'c'}, '<': {'c'}, '3': {'e'}, '6': {'g', 'b'}, '9': {'g'},
	'1': {'i', 'l'}, '!': {'i', 'l'}, '|': {'l', 'i'}, '0': {'o'}, '$': {'s'}, '5': {'s'}, '+': {'t'}, '7': {'t', 'l'}, '%': {'x'}, '2': {'z'},
}

// readings gives what the code point at j may stand for: itself, and the
// letters it disguises.
func (a *arena) readings(j int) (rs [3]rune, n int) {
	rs[0], n = a.low[j], 1
	if a.mixed[j] {
		for _, l := range leet[a.low[j]] {
			if l != 0 {
				rs[n] = rune(l)
				n++
			}
		}
	}
	return rs, n
}

type walkState struct {
	h    uint64
	subs uint8
}

// words tries the tokens that begin at i, reading l33t letters both ways as
// the walk goes.
func (m *Model) words(a *arena, i int) {
	limit := min(a.n, i+maxToken)
	run := i // within a run of one letter, the repeat makes the tokens needless
	for i > 0 && run < limit && a.low[run] == a.low[i-1] {
		run++
	}
	// As far as nothing is read both ways there is one state, and no more to
	// see to.
	h, j := hashSeed, i
	for ; j < limit && !a.mixed[j]; j++ {
		r := a.low[j]
		h = extend(h, r)
		d := j + 1 - i
		if d == 1 && r < 128 {
			a.token(i, j, m.letters[r], 0)
			continue
		}
		x := mix(h)
		if prefixDepths>>d&1 != 0 && !m.hasPrefix(x) {
			a.steps += d
			return
		}
		if (d == 1 || j >= run) && m.mayBeToken(x) {
			_, token := m.word(x)
			a.token(i, j, token, 0)
		}
	}
	a.steps += j - i
	if j < limit {
		m.leetWords(a, i, j, h, run)
	}
}

// leetWords goes on with words from j, with the hash of what lies between.
func (m *Model) leetWords(a *arena, i, j int, h uint64, run int) {
	var states [2][maxStates]walkState
	states[(j-i)&1][0] = walkState{h: h}
	live, steps := 1, 0
	for limit := min(a.n, i+maxToken); j < limit && live > 0; j++ {
		front, next := &states[(j-i)&1], &states[(j-i+1)&1]
		readings, count := a.readings(j)
		d := j + 1 - i
		ask := prefixDepths>>d&1 != 0
		kept, most := 0, maxStates
		switch { // what is still in doubt after so long is chance
		case d > 8:
			most = 1
		case d > 4:
			most = maxStates / 2
		}
		for _, s := range front[:live] {
			count := count
			if s.subs == maxSubs {
				count = 1
			}
			for k, r := range readings[:count] {
				if kept == most {
					break
				}
				steps++
				h := extend(s.h, r)
				x := mix(h)
				if ask && !m.hasPrefix(x) {
					continue
				}
				subs := s.subs
				if k > 0 {
					subs++
				}
				next[kept] = walkState{h, subs}
				kept++
				if int(subs) == d || !m.mayBeToken(x) || 1 < d && j < run && subs == 0 {
					continue
				}
				_, token := m.word(x)
				a.token(i, j, token, int(subs))
			}
		}
		live = kept
	}
	a.steps += steps
}

// token offers the token from i up to and including j, if its code says that it
// is one; subs of its letters are disguised.
func (a *arena) token(i, j int, code byte, subs int) {
	if code == 0 {
		return
	}
	c, kind := tokenCost(code)
	d := j + 1 - i
	if subs > 0 {
		c += 300 + 150*mil(subs-1)
		if d >= plainToken {
			kind |= disguised
		}
	}
	if up := int(a.upper[j+1] - a.upper[i]); up > 0 {
		c += capitals(up, d)
	}
	a.relax(i, j+1, c, kind)
}

// tokenCost reads a token code, which is not zero.
func tokenCost(token byte) (mil, Kind) {
	return mil(token&31) * tokenStep, tokenKinds[token>>5]
}

// capitals is the cost of up capitals in a token of d code points.
func capitals(up, d int) mil {
	if up == 1 || up == d {
		return 300
	}
	return min(200+500*mil(min(up, d-up)), 4000)
}

// backwards tries the reversed words that end at j. Digits are not worth it.
func (m *Model) backwards(a *arena, j int) {
	if j > 0 && digit(a.low[j-1]) {
		return
	}
	h := hashSeed
	turned := false // some code point differs, so that backwards is not forwards
	for i := j - 1; i >= 0 && j-i <= maxToken; i-- {
		a.steps++
		turned = turned || a.low[i] != a.low[j-1]
		h = extend(h, a.low[i])
		d := j - i
		x := mix(h)
		if prefixDepths>>d&1 != 0 && !m.hasPrefix(x) {
			return
		}
		if d < 4 || !turned || !m.mayBeToken(x) {
			continue
		}
		if _, token := m.word(x); token != 0 {
			c, k := tokenCost(token)
			if up := int(a.upper[j] - a.upper[i]); up > 0 {
				c += capitals(up, d)
			}
			if d >= plainToken {
				k |= disguised
			}
			a.relax(i, j, c+500, k)
		}
	}
}

// explain writes the cover p into e and returns its cost. Neighbouring code
// points of unrecognised text make one segment.
func (a *arena) explain(p *chain, e *Estimate) mil {
	// First pass, backwards: leave at each boundary where its part ends.
	// a.run and a.seq are free by now and take the links.
	ends, kinds := a.run, a.seq
	i := a.n
	total := p.at(i)
	brute := p.brute[i] < p.tok[i]
	for i > 0 {
		if brute {
			j := i
			for p.bruteCont[i] {
				i--
			}
			i--
			ends[i], kinds[i] = uint16(j), uint16(KindBruteforce)
			brute = false
			continue
		}
		j, k := i, p.kind[i]
		i = int(p.from[i])
		ends[i], kinds[i] = uint16(j), uint16(k&^afterBrute)
		brute = k&afterBrute != 0
	}
	e.nspans = 0
	for i < a.n {
		if e.nspans == MaxSegments {
			last := &e.spans[MaxSegments-1]
			last.end, last.kind, last.disguised = uint16(a.n), KindBruteforce, false
			break
		}
		k, hidden := Kind(kinds[i]&kindMask), kinds[i]&disguised != 0
		if k == kindShort {
			k = KindBruteforce
		}
		if n := e.nspans; n > 0 && k == KindBruteforce && e.spans[n-1].kind == KindBruteforce {
			e.spans[n-1].end = ends[i]
		} else {
			e.spans[n] = span{k, hidden, uint16(i), ends[i]}
			e.nspans++
		}
		i = int(ends[i])
	}
	return total
}

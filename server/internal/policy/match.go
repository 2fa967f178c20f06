// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"slices"
	"sort"
)

// token is a word that a password may be made of, folded.
type token struct {
	text  []rune
	kind  string
	order int // among the tokens it was made with
	// slight marks what says much as part of a whole password but nothing
	// inside a longer one: one syllable, a year, the end of a phone number.
	slight bool
}

// matcher finds tokens in a folded password. The tokens are sorted, so that
// those sharing a prefix are neighbours: walking along the password narrows
// a range of them, and a thousand words with one prefix cost no more than one.
type matcher []token

func newMatcher(tokens []token) matcher {
	// Of equal words the weightier stays, then the first given, which names the
	// kind in a violation.
	slices.SortFunc(tokens, func(a, b token) int {
		for i, r := range a.text[:min(len(a.text), len(b.text))] {
			if d := int(r) - int(b.text[i]); d != 0 {
				return d
			}
		}
		if d := len(a.text) - len(b.text); d != 0 {
			return d
		}
		if a.slight != b.slight {
			if b.slight {
				return -1
			}
			return 1
		}
		return a.order - b.order
	})
	return slices.CompactFunc(tokens, func(a, b token) bool { return slices.Equal(a.text, b.text) })
}

// maxFrontier bounds the readings of one stretch that are followed at a time:
// "1" may be i or l or itself, and without a bound "1111…" would double with
// each character. The first readings kept are the literal ones.
const maxFrontier = 16

// walk calls found for each token that begins at from, reading l33t characters
// both ways. Its cost is bounded by maxFrontier, the longest token and the
// logarithm of the number of tokens.
func (m matcher) walk(s []rune, from int, found func(end int, t token)) {
	type span struct{ lo, hi int }
	frontier := make([]span, 1, maxFrontier)
	frontier[0] = span{0, len(m)}
	next := make([]span, 0, maxFrontier)
	for depth := 0; from+depth < len(s) && len(frontier) > 0; depth++ {
		next = next[:0]
		r := s[from+depth]
		for _, f := range frontier {
			step := func(c rune) {
				lo := f.lo + sort.Search(f.hi-f.lo, func(i int) bool {
					t := m[f.lo+i].text
					return len(t) > depth && t[depth] >= c
				})
				hi := lo + sort.Search(f.hi-lo, func(i int) bool { return m[lo+i].text[depth] > c })
				if lo < hi && len(next) < maxFrontier {
					next = append(next, span{lo, hi})
				}
			}
			step(r)
			for _, c := range unleet(r) {
				step(c)
			}
		}
		for _, f := range next {
			if t := m[f.lo]; len(t.text) == depth+1 {
				found(from+depth+1, t)
			}
		}
		frontier, next = next, frontier
	}
}

// Bounds of what counts as made from context words. A password of at most
// four such words (a word repeated counts once), two customary affixes and ten
// other digits or symbols lies within some 1e10 guesses of one who knows the
// words; one that needs more is not a derivative and is left to the estimate.
const (
	maxDerived    = 128 // code points
	maxUnits      = 4
	maxAffixes    = 2
	maxDecoration = 10
)

// affixes are what people put around a word besides digits and symbols.
var affixes = newMatcher([]token{
	{text: []rune("abc")}, {text: []rune("qwe")}, {text: []rune("qwer")}, {text: []rune("qwerty")}, {text: []rune("asd")},
	{text: []rune("zxc")}, {text: []rune("love")}, {text: []rune("iloveyou")}, {text: []rune("ilove")}, {text: []rune("woaini")},
	{text: []rune("woai")}, {text: []rune("ai")}, {text: []rune("my")}, {text: []rune("the")}, {text: []rune("pass")},
	{text: []rune("password")}, {text: []rune("pwd")}, {text: []rune("mima")}, {text: []rune("admin")}, {text: []rune("test")},
	{text: []rune("hello")}, {text: []rune("nihao")}, {text: []rune("welcome")}, {text: []rune("qq")}, {text: []rune("user")},
	{text: []rune("root")}, {text: []rune("vip")},
})

// derive tells whether the whole password is made of words known to the
// matchers and the decoration above, and out of which. Only whole passwords
// count: one foreign letter, and it is no derivative (SP 800-63B-4 §3.1.1.2
// compares entire passwords, not substrings).
func derive(v view, known ...matcher) []Segment {
	s := v.folded
	words := 0
	for _, m := range known {
		words += len(m)
	}
	if words == 0 || v.length > maxDerived || len(s) > maxDerived || len(s) == 0 {
		return nil
	}
	// best[i][u][a] is the least decoration with which s[:i] can be read as u
	// words and a affixes.
	type cell struct {
		cost      int8
		from      uint8
		unit, aff uint8
		kind      string
		reached   bool
	}
	best := make([][maxUnits + 1][maxAffixes + 1]cell, len(s)+1)
	best[0][0][0].reached = true
	relax := func(i, u, a int, to cell) {
		if to.cost > maxDecoration {
			return
		}
		if c := &best[i][u][a]; !c.reached || to.cost < c.cost {
			*c = to
		}
	}
	type match struct {
		end   int
		kind  string
		affix bool
	}
	for i := range s {
		var ends []match
		looked := false
		for u := range maxUnits + 1 {
			for a := range maxAffixes + 1 {
				here := best[i][u][a]
				if !here.reached {
					continue
				}
				if !looked {
					looked = true
					for _, m := range known {
						m.walk(s, i, func(end int, t token) {
							ends = append(ends, match{end: end, kind: t.kind})
							// The same word again and again is one word.
							n := end - i
							for next := end + n; next <= len(s) && slices.Equal(s[next-n:next], s[i:end]); next += n {
								ends = append(ends, match{end: next, kind: t.kind})
							}
						})
					}
					affixes.walk(s, i, func(end int, _ token) { ends = append(ends, match{end: end, affix: true}) })
				}
				step := cell{cost: here.cost, from: uint8(i), unit: uint8(u), aff: uint8(a), reached: true}
				for _, m := range ends {
					to := step
					switch {
					case m.affix && a < maxAffixes:
						to.kind = "affix"
						relax(m.end, u, a+1, to)
					case !m.affix && u < maxUnits:
						to.kind = m.kind
						relax(m.end, u+1, a, to)
					}
				}
				if c := classOf(s[i]); c == digit || c == symbol {
					step.cost++
					step.kind = "decoration"
					relax(i+1, u, a, step)
				}
			}
		}
	}
	for u := 1; u <= maxUnits; u++ {
		for a := range maxAffixes + 1 {
			if !best[len(s)][u][a].reached {
				continue
			}
			var out []Segment
			for i, u, a := len(s), u, a; i > 0; {
				c := best[i][u][a]
				seg := v.segment(c.kind, int(c.from), i)
				if n := len(out); n > 0 && c.kind == "decoration" && out[n-1].Kind == "decoration" {
					out[n-1].Start = seg.Start
				} else {
					out = append(out, seg)
				}
				i, u, a = int(c.from), int(c.unit), int(c.aff)
			}
			slices.Reverse(out)
			return out
		}
	}
	return nil
}

// contains lists the words of the matchers, at least minimum code points
// long, that occur anywhere in the password, longest first at each place and
// not overlapping.
func contains(v view, minimum int, known ...matcher) []Segment {
	var out []Segment
	for i := 0; i < len(v.folded); {
		end, kind := i, ""
		for _, m := range known {
			m.walk(v.folded, i, func(e int, t token) {
				if !t.slight && e-i >= minimum && e > end {
					end, kind = e, t.kind
				}
			})
		}
		if end == i {
			i++
			continue
		}
		out = append(out, v.segment(kind, i, end))
		i = end
	}
	return out
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

// Steps returns the units of work that one estimate takes. They are counted
// in the innermost loops, so that a bound on them is a bound on time that does
// not depend on the machine.
func Steps(pw []byte, h *Hints) int {
	_, n := builtin().of(pw, h)
	return n
}

// Distance is the least distance between word and an end of text, and between
// word and the whole of text, as a pattern counts them.
func Distance(word, text string) (suffix, whole int, ok bool) {
	var h Hints
	h.approximate([]rune(word), 0)
	if len(h.approx) == 0 {
		return 0, 0, false
	}
	p := &h.approx[0]
	s, t := p.start(), p.start()
	for _, r := range text {
		s.step(p.mask(r, false), len(word), false)
		t.step(p.mask(r, false), len(word), true)
	}
	return s.dist, t.dist, true
}

// Embedded is the file of tables.
func Embedded() []byte { return embedded }

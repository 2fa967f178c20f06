// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// taught are four passwords that an attacker has learned.
var taught = corpus{{"sunshine", 90}, {"dragon12", 9}, {"Qwertyu!", 3}, {"19870911", 1}}

var pupil = sync.OnceValue(func() *attacker { return newAttacker(taught, []string{"sunshine", "lantern"}) })

// TestAttacker finds that what was learned falls in its order, then what rules
// make of it, and last what looks like nothing.
func TestAttacker(t *testing.T) {
	c, a := taught, pupil()
	for i, p := range c {
		if got := a.ruled(p.text); math.Abs(got-math.Log10(float64(i+1))) > 1e-9 {
			t.Errorf("%q falls after 10^%.2f guesses of the list, want its place %d", p.text, got, i+1)
		}
	}
	order := []string{"sunshine", "dragon12", "sunshine7", "lantern42", "x9!Tq#vLw2@p"}
	for i := 1; i < len(order); i++ {
		if p, q := a.guesses(order[i-1]), a.guesses(order[i]); p >= q {
			t.Errorf("%q falls after 10^%.2f guesses, %q after 10^%.2f", order[i-1], p, order[i], q)
		}
	}
	for _, s := range []struct {
		text string
		want float64
	}{{"sunshine7", 30}, {"enihsnus", 5}, {"5unsh1n3", 60}, {"7sunshine", 200}, {"sunshinesunshine", 6}, {"dragon12lantern", 250}} {
		if got := math.Pow(10, a.ruled(s.text)); math.Abs(got/s.want-1) > 1e-6 {
			t.Errorf("%q falls to the rules after %.1f guesses, want %.1f", s.text, got, s.want)
		}
	}
	if got := a.ruled("x9!Tq#vLw2@p"); !math.IsInf(got, 1) {
		t.Errorf("a random text falls to the rules after 10^%.2f guesses", got)
	}
	for text, want := range map[string]float64{"123456": 6.3, "abcdef": 6*math.Log10(26) + 0.3, "abc123": 6*math.Log10(62) + 0.3, "a!": 2*math.Log10(95) + 0.3} {
		if got := masked(text); math.Abs(got-want) > 1e-9 {
			t.Errorf("%q falls to the masks after 10^%.3f guesses, want 10^%.3f", text, got, want)
		}
	}
}

// TestGrammar takes texts apart, and finds that what the grammar draws most it
// rates cheapest.
func TestGrammar(t *testing.T) {
	runs, shape := runsOf("Abc12!?x")
	if !slices.Equal(runs, []string{"Abc", "12", "!?", "x"}) || shape != "L#D\"S\"L!" {
		t.Errorf("runs %q of shape %q", runs, shape)
	}
	a := pupil()
	rng := rand.New(rand.NewPCG(1, 2))
	drawn := map[string]int{}
	for range 3000 {
		drawn[a.drawGrammar(rng)]++
	}
	if drawn["sunshine"] < 5*drawn["dragon12"] || drawn["dragon12"] < 2*drawn["Qwertyu!"] || drawn["Qwertyu!"] == 0 {
		t.Errorf("drawn %d, %d and %d times, in the proportion of 90, 9 and 3", drawn["sunshine"], drawn["dragon12"], drawn["Qwertyu!"])
	}
	if p, q := a.grammarCost("sunshine"), a.grammarCost("dragon12"); p >= q {
		t.Errorf("sunshine costs %.2f, dragon12 %.2f", p, q)
	}
	tail := a.tail(200, func(s string) bool { return strings.HasPrefix(s, "s") })
	if len(tail) != 200 || slices.ContainsFunc(tail, func(k known) bool { return k.text[0] == 's' || len(k.text) < 5 }) {
		t.Errorf("the tail has %d texts, or some that are listed or short", len(tail))
	}
}

// TestParts finds the parts of about one size, and one password in one part
// whatever its case.
func TestParts(t *testing.T) {
	var sizes [parts]int
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		s := word(rng, "abcdefghijklmnopqrstuvwxyz0123456789", 8)
		sizes[partOf(s)]++
		if partOf(s) != partOf(strings.ToUpper(s)) {
			t.Fatalf("%q and its upper case are in two parts", s)
		}
	}
	if lo, hi := slices.Min(sizes[:]), slices.Max(sizes[:]); lo < 1800 || hi > 2200 {
		t.Errorf("sizes %v of parts of 20,000", sizes)
	}
	for _, p := range partsToChoose {
		if slices.Contains(partsToReport, p) {
			t.Errorf("part %d is both for choosing and for reporting", p)
		}
	}
}

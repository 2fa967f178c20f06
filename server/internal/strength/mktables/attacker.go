// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// attacker guesses as crackers do: a list changed by rules, a probabilistic
// grammar of letters, digits and signs (Weir et al., 2009), a Markov chain, and
// masks. A password falls to the one that comes to it first. It shares no
// code with the estimator but what trains n-grams and draws from them.
type attacker struct {
	rank    map[string]int
	shapes  dist             // of whole passwords, such as "L6D2"
	terms   map[string]*dist // by kind and length: letters, digits, signs
	masks   map[int]*dist    // by number of letters: which are capitals
	grammar curveOf
	chain   chars
	chained curveOf
}

// dist is a distribution that leaves unseenShare to what was never seen.
type dist struct {
	p     map[string]float64
	names []string // in the order they came
	total float64
	sums  []float64 // of names, for draw
}

const unseenShare = 0.1

func (d *dist) add(s string, w float64) {
	if d.p == nil {
		d.p = map[string]float64{}
	}
	if _, ok := d.p[s]; !ok {
		d.names = append(d.names, s)
	}
	d.p[s] += w
	d.total += w
}

// addTo adds to the distribution that ds has under k.
func addTo[K comparable](ds map[K]*dist, k K, s string, w float64) {
	if ds[k] == nil {
		ds[k] = &dist{}
	}
	ds[k].add(s, w)
}

// of is the probability of s. What was never seen shares what is left in the
// proportion rest.
func (d *dist) of(s string, rest float64) float64 {
	p := unseenShare * rest
	if d != nil {
		p += (1 - unseenShare) * d.p[s] / d.total
	}
	return p
}

// draw draws what was seen. Nothing is added afterwards.
func (d *dist) draw(rng *rand.Rand) string {
	if d.sums == nil {
		sum := 0.0
		for _, s := range d.names {
			sum += d.p[s]
			d.sums = append(d.sums, sum)
		}
	}
	i, _ := slices.BinarySearch(d.sums, rng.Float64()*d.total)
	return d.names[min(i, len(d.names)-1)]
}

// curveOf turns minus log10 of a probability into log10 of guesses, by the
// cumulated sum of sampled texts (Dell'Amico and Filippone, 2015).
type curveOf struct{ cost, rank []float64 }

func newCurve(costs []float64) curveOf {
	slices.Sort(costs)
	var c curveOf
	sum := 0.0
	for i, x := range costs {
		sum += math.Pow(10, x) / float64(len(costs))
		if i%20 == 19 {
			c.cost, c.rank = append(c.cost, x), append(c.rank, math.Log10(sum))
		}
	}
	return c
}

func (c curveOf) at(x float64) float64 {
	i, _ := slices.BinarySearch(c.cost, x)
	switch {
	case i == 0:
		return c.rank[0] * x / c.cost[0]
	case i == len(c.cost):
		return c.rank[i-1] + x - c.cost[i-1]
	}
	t := (x - c.cost[i-1]) / (c.cost[i] - c.cost[i-1])
	return c.rank[i-1] + t*(c.rank[i]-c.rank[i-1])
}

// newAttacker learns from the passwords c, as often as they are used, and
// knows the words after them.
func newAttacker(c corpus, words []string) *attacker {
	a := &attacker{rank: map[string]int{}, terms: map[string]*dist{}, masks: map[int]*dist{}}
	for i, p := range c {
		a.rank[p.text] = i + 1
		a.learn(p.text, p.share)
	}
	for _, w := range words {
		if _, ok := a.rank[w]; !ok {
			a.rank[w] = len(a.rank) + 1
		}
	}
	a.chain = train(c, settings{order: 5, exponent: 0.6, discount: 0.9})
	for _, ks := range ranks(a.chain) {
		if ks.X > 0 {
			a.chained.cost = append(a.chained.cost, float64(ks.X)/1000)
			a.chained.rank = append(a.chained.rank, float64(ks.Y)/1000)
		}
	}
	rng := rand.New(rand.NewPCG(1, 61))
	costs := make([]float64, 20000)
	for i := range costs {
		costs[i] = a.grammarCost(a.drawGrammar(rng))
	}
	a.grammar = newCurve(costs)
	return a
}

// kindOf is L for letters, D for digits, S for signs.
func kindOf(b byte) byte {
	switch {
	case '0' <= b && b <= '9':
		return 'D'
	case 'a' <= b|0x20 && b|0x20 <= 'z' || b >= 128:
		return 'L'
	}
	return 'S'
}

// runsOf takes a text apart into runs of letters, digits and signs.
func runsOf(t string) (runs []string, shape string) {
	var name strings.Builder // for each run its kind, and its length behind a space
	for from, i := 0, 1; i <= len(t); i++ {
		if i == len(t) || kindOf(t[i]) != kindOf(t[from]) {
			runs = append(runs, t[from:i])
			name.WriteByte(kindOf(t[from]))
			name.WriteByte(byte(min(i-from, 60)) + ' ')
			from = i
		}
	}
	return runs, name.String()
}

func mask(t string) (string, int) {
	var m []byte
	for i := range len(t) {
		switch b := t[i]; {
		case 'a' <= b && b <= 'z':
			m = append(m, 'l')
		case 'A' <= b && b <= 'Z':
			m = append(m, 'U')
		}
	}
	return string(m), len(m)
}

func (a *attacker) learn(t string, w float64) {
	runs, shape := runsOf(t)
	a.shapes.add(shape, w)
	for i, r := range runs {
		addTo(a.terms, shape[2*i:2*i+2], strings.ToLower(r), w)
	}
	m, n := mask(t)
	addTo(a.masks, n, m, w)
}

// grammarCost is minus log10 of the probability in the grammar.
func (a *attacker) grammarCost(t string) float64 {
	runs, shape := runsOf(t)
	c := -math.Log10(a.shapes.of(shape, math.Pow(10, -float64(len(runs))-float64(len(t))/4)))
	for i, r := range runs {
		k := shape[2*i : 2*i+2]
		d := a.terms[k]
		c -= math.Log10(d.of(strings.ToLower(r), math.Pow(float64(len(alphabets[k[0]])), -float64(len(r)))))
	}
	return c + a.maskCost(t)
}

// alphabets holds the likely letters, digits and signs.
var alphabets = map[byte]string{'L': "etaoinshrdlcumwfgypbvk", 'D': "0123456789", 'S': "!@#$%^&*()-_=+.,?/;: "}

// maskCost is minus log10 of the probability of the capitals of t.
func (a *attacker) maskCost(t string) float64 {
	m, n := mask(t)
	if n == 0 {
		return 0
	}
	d := a.masks[n]
	return -math.Log10(d.of(m, math.Pow(2, -float64(n))))
}

// drawGrammar draws a text of the grammar; what was never seen is drawn from
// the alphabet.
func (a *attacker) drawGrammar(rng *rand.Rand) string {
	shape := a.shapes.draw(rng)
	var b []byte
	for i := 0; i < len(shape); i += 2 {
		k := shape[i : i+2]
		if rng.Float64() < unseenShare && k[1] < ' '+12 {
			abc := alphabets[k[0]]
			for range k[1] - ' ' {
				b = append(b, abc[rng.IntN(len(abc))])
			}
			continue
		}
		d := a.terms[k]
		b = append(b, d.draw(rng)...)
	}
	_, n := mask(string(b))
	d := a.masks[n]
	if n == 0 || d == nil {
		return string(b)
	}
	m := d.draw(rng)
	for i, j := 0, 0; i < len(b) && j < len(m); i++ {
		if 'a' <= b[i] && b[i] <= 'z' {
			if m[j] == 'U' {
				b[i] -= 'a' - 'A'
			}
			j++
		}
	}
	return string(b)
}

// ruled is the log10 of the guesses of the list changed by rules, each rule
// being tried on the list when those before it have been.
func (a *attacker) ruled(t string) float64 {
	best := math.Inf(1)
	try := func(base string, size float64) {
		if r, ok := a.rank[base]; ok && len(base) >= 3 {
			best = min(best, math.Log10(float64(r)*size))
		}
	}
	for _, v := range []struct {
		base string
		size float64
	}{{t, 1}, {strings.ToLower(t), 3}, {unleet(t), 60}} {
		try(v.base, v.size)
		try(reverse(v.base), 5*v.size)
		if n := len(v.base); n%2 == 0 && v.base[:n/2] == v.base[n/2:] {
			try(v.base[:n/2], 6*v.size)
		}
		size := 1.0
		for k := 1; k <= 6 && k < len(v.base); k++ { // behind
			if size *= appended(v.base[len(v.base)-k]); size == 0 {
				break
			}
			try(v.base[:len(v.base)-k], 3*size*v.size)
		}
		size = 1
		for k := 1; k <= 4 && k < len(v.base); k++ { // before
			if size *= appended(v.base[k-1]); size == 0 {
				break
			}
			try(v.base[k:], 20*size*v.size)
		}
		for k := 3; k <= len(v.base)-3; k++ { // two of the list, the common ones first
			p, ok := a.rank[v.base[:k]]
			q, ok2 := a.rank[v.base[k:]]
			if ok && ok2 {
				best = min(best, 2*math.Log10(float64(max(p, q)))+math.Log10(10*v.size))
			}
		}
	}
	return best
}

// appended is how many things like b rules put behind a word; none for letters.
func appended(b byte) float64 {
	return map[byte]float64{'D': 10, 'S': 20}[kindOf(b)]
}

func unleet(t string) string {
	return strings.NewReplacer("4", "a", "@", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t").Replace(strings.ToLower(t))
}

func reverse(t string) string {
	r := []rune(t)
	slices.Reverse(r)
	return string(r)
}

// masked is the log10 of the guesses of trying everything, the smallest
// alphabets first.
func masked(t string) float64 {
	digits, lower, other := true, true, false
	for i := range len(t) {
		switch b := t[i]; {
		case '0' <= b && b <= '9':
			lower = false
		case 'a' <= b && b <= 'z':
			digits = false
		case 'A' <= b && b <= 'Z':
			digits, lower = false, false
		default:
			digits, lower, other = false, false, true
		}
	}
	size := 62.0
	switch {
	case digits:
		size = 10
	case lower:
		size = 26
	case other:
		size = 95
	}
	return float64(len(t))*math.Log10(size) + 0.3
}

// guesses is the log10 of the guesses until t falls.
func (a *attacker) guesses(t string) float64 {
	g := min(a.ruled(t), masked(t), a.grammar.at(a.grammarCost(t)))
	if sy := symbols(t); sy != nil {
		hist, depth, c := uint64(1)<<symBits|sy[0], 1, 0.0
		for _, s := range sy[1:] {
			c -= math.Log10(a.chain.prob(hist, depth, s))
			hist, depth = a.chain.shift(hist, depth, s)
		}
		g = min(g, a.chained.at(c+a.maskCost(t))) // the chain reads small letters
	}
	return g
}

// drawChain draws a text of the Markov chain.
func (a *attacker) drawChain(rng *rand.Rand) string {
	text, _ := a.chain.draw(rng)
	out := make([]byte, len(text))
	for i, s := range text {
		out[i] = letterOf[s]
	}
	return string(out)
}

// tail draws n texts that no list has, as the rare passwords of a leak are: by
// the grammar and by the chain, with the guesses until they fall.
func (a *attacker) tail(n int, listed func(string) bool) []known {
	rng := rand.New(rand.NewPCG(2, 71))
	var out []known
	seen := map[string]bool{}
	for i := 0; len(out) < n; i++ {
		var t string
		if i%3 == 0 {
			t = a.drawChain(rng)
		} else {
			t = a.drawGrammar(rng)
		}
		if len(t) < 5 || len(t) > 30 || seen[t] || listed(t) {
			continue
		}
		seen[t] = true
		out = append(out, known{t, a.guesses(t), 1})
	}
	slices.SortFunc(out, func(x, y known) int { return cmp.Compare(x.text, y.text) })
	return out
}

// letterOf inverts strength.Symbol.
var letterOf = func() (t [strength.NumSymbols]byte) {
	for b := byte('~'); b >= ' '; b-- {
		if s := strength.Symbol(rune(b)); s != 0 {
			t[s] = b
		}
	}
	return t
}()

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// ranks estimates by sampling how many texts the character model finds
// likelier than one of a given cost (Dell'Amico and Filippone, CCS 2015): a
// sampled text of probability p stands for 1/p of them over the sample's size.
func ranks(m chars) []strength.Knot {
	const samples = 10000
	rng := rand.New(rand.NewPCG(9, 27))
	type text struct{ cost, p float64 }
	drawn := make([]text, 0, samples)
	for len(drawn) < samples {
		_, p := m.draw(rng)
		drawn = append(drawn, text{-1000 * log10(p), p})
	}
	slices.SortFunc(drawn, func(a, b text) int { return cmp.Compare(a.cost, b.cost) })
	ks := []strength.Knot{{X: 0, Y: 0}}
	sum, next := 0.0, 1500.0
	for _, d := range drawn[:samples-samples/200] { // the last few are too noisy
		sum = float64(sum + 1/float64(samples*d.p))
		if d.cost >= next {
			ks = append(ks, strength.Knot{X: round(d.cost), Y: max(ks[len(ks)-1].Y, round(1000*log10(max(1, sum))))})
			next = d.cost + 250
		}
	}
	return ks
}

// draw draws a text, as symbols without the ends, and gives its probability. It
// is cut after 40 symbols.
func (m chars) draw(rng *rand.Rand) (text []uint64, p float64) {
	const longest = 40
	probs := make([]float64, strength.NumSymbols)
	hist, depth, p := uint64(1)<<symBits|strength.StartSymbol, 1, 1.0
	for len(text) < longest {
		total := 0.0
		for s := uint64(1); s <= strength.EndSymbol; s++ {
			probs[s] = m.prob(hist, depth, s)
			total = float64(total + probs[s])
		}
		u := float64(rng.Float64() * total)
		s := uint64(1)
		for ; s < strength.EndSymbol && u >= probs[s]; s++ {
			u = float64(u - probs[s])
		}
		p = float64(p * probs[s])
		if s == strength.EndSymbol {
			break
		}
		text = append(text, s)
		hist, depth = m.shift(hist, depth, s)
	}
	return text, p
}

// shift puts s behind a context of depth symbols.
func (m chars) shift(hist uint64, depth int, s uint64) (uint64, int) {
	depth = min(depth+1, m.order-1)
	return 1<<(symBits*uint(depth)) | (hist<<symBits|s)&(1<<(symBits*uint(depth))-1), depth
}

// known is a text whose place in the order of a sensible cracker is known.
type known struct {
	text    string
	guesses float64 // log10
	weight  float64 // within its class
}

// population draws texts with known numbers of guesses. Of the listed ones
// the model half has not seen any.
func population(in inputs) (map[string][]known, error) {
	c, err := readCorpus(in, all)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(3, 14))
	out := map[string][]known{}
	for i, p := range c {
		if secondHalf("", p.text) {
			out["listed"] = append(out["listed"], known{p.text, log10(float64(i + 1)), power(p.share, 0.5)})
		}
	}
	letters := func(s string) bool {
		for _, r := range s {
			if r < 'a' || r > 'z' {
				return false
			}
		}
		return len(s) >= 4
	}
	base := func() (string, float64) {
		for {
			i := int(power(10, rng.Float64()*log10(float64(len(c)))))
			if i < len(c) && letters(c[i].text) {
				return c[i].text, log10(float64(i + 1))
			}
		}
	}
	digits := func(k int) string {
		b := make([]byte, k)
		for i := range b {
			b[i] = byte('0' + rng.IntN(10))
		}
		return string(b)
	}
	add := func(class, t string, g float64) { out[class] = append(out[class], known{t, g, 1}) }
	for range 4000 {
		// What a list of rules does to a list of words: the rules are tried in
		// the order of their size.
		t, g := base()
		size := 1.0
		if rng.IntN(4) == 0 {
			t = strings.ToUpper(t[:1]) + t[1:]
			size = 2
		}
		switch rng.IntN(8) {
		case 0, 1:
			t, size = t+digits(1), size*11
		case 2, 3:
			t, size = t+digits(2), size*111
		case 4:
			t, size = t+digits(3), size*1111
		case 5:
			t, size = t+digits(4), size*11111
		case 6:
			t, size = t+strconv.Itoa(1960+rng.IntN(66)), size*300
		case 7:
			t, size = t+"!", size*20
		}
		add("rules", t, g+log10(size))
		t, g = base()
		u, h := base()
		add("pairs", t+u, max(g+h, 2*max(g, h)-0.5))
		k := 6 + rng.IntN(9)
		add("digits", digits(k), float64(k)-0.3)
		k = 5 + rng.IntN(8)
		add("lower", word(rng, "abcdefghijklmnopqrstuvwxyz", k), float64(k)*log10(26)-0.3)
		k = 5 + rng.IntN(7)
		add("alnum", word(rng, "abcdefghijklmnopqrstuvwxyz0123456789", k), float64(k)*log10(36)-0.3)
	}
	return out, nil
}

func word(rng *rand.Rand, abc string, k int) string {
	b := make([]byte, k)
	for i := range b {
		b[i] = abc[rng.IntN(len(abc))]
	}
	return string(b)
}

// shares says how much of the population each way of choosing has, and
// caution which part of the texts with equal estimates are weaker than the
// number then given to them all: less than half of them.
var shares = map[string]float64{"listed": 0.35, "rules": 0.25, "pairs": 0.10, "digits": 0.10, "lower": 0.10, "alnum": 0.10}

const caution = 0.35

// unlisted draws the estimates of the weak towards the length of the list, at
// about 10^5: who is not on it stands rather behind it. With one of the lists
// left out, this orders the whole of it better (0.84 against 0.82).
const unlisted = 5000

// calibrate fits the curve from the mean of both views to the guesses of a
// cracker: a cautious quantile in each class of estimates, made monotone by
// pooling neighbours that are out of order.
func calibrate(in inputs, half *strength.Model) ([]strength.Knot, error) {
	pop, err := population(in)
	if err != nil {
		return nil, err
	}
	const top = 14
	type weighted struct{ guesses, weight float64 }
	var bins [top][]weighted
	for _, class := range slices.Sorted(maps.Keys(pop)) {
		total := 0.0
		for _, p := range pop[class] {
			total = float64(total + p.weight)
		}
		for _, p := range pop[class] {
			w := float64(shares[class]*p.weight) / total
			if b := int(half.Views([]byte(p.text)).Mean); b < top {
				bins[b] = append(bins[b], weighted{p.guesses, w})
			}
		}
	}
	type pool struct {
		from, to  int
		y, weight float64
	}
	var pools []pool
	for b, xs := range bins {
		slices.SortFunc(xs, func(a, b weighted) int { return cmp.Compare(a.guesses, b.guesses) })
		total, sum, y := 0.0, 0.0, 0.0
		for _, x := range xs {
			total = float64(total + x.weight)
		}
		for _, x := range xs {
			y = x.guesses
			if sum = float64(sum + x.weight); sum >= float64(caution*total) {
				break
			}
		}
		pools = append(pools, pool{b, b, y, total})
		for n := len(pools); n > 1 && pools[n-1].y < pools[n-2].y; n = len(pools) {
			p, q := pools[n-2], pools[n-1]
			w := float64(p.weight + q.weight)
			p.y = float64(float64(p.y*p.weight)+float64(q.y*q.weight)) / max(w, 1e-9)
			p.to, p.weight = q.to, w
			pools = append(pools[:n-2], p)
		}
	}
	// A knot in the middle of each class. Within a pool the curve still rises
	// a little, so that the order of the estimates is kept.
	var ks []strength.Knot
	for _, p := range pools {
		for b := p.from; b <= p.to; b++ {
			y := round(1000*p.y) + 50*(b-p.from)
			if len(ks) > 0 {
				y = max(y, ks[len(ks)-1].Y+50)
			}
			x := 1000*b + 500
			ks = append(ks, strength.Knot{X: x, Y: max(y, (x+unlisted)/2)})
		}
	}
	return append([]strength.Knot{{X: 0, Y: unlisted / 2}}, ks...), nil
}

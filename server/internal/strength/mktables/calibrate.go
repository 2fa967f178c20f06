// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// ranks estimates by sampling how many texts the character model finds
// likelier than one of a given cost (Dell'Amico and Filippone, CCS 2015): a
// sampled text of probability p stands for 1/p of them over the sample's size.
func ranks(m chars) []strength.Knot {
	const (
		samples = 10000
		longest = 40
	)
	rng := rand.New(rand.NewPCG(9, 27))
	type text struct{ cost, p float64 }
	drawn := make([]text, 0, samples)
	probs := make([]float64, strength.NumSymbols)
	for len(drawn) < samples {
		hist, depth, p := uint64(1)<<symBits|strength.StartSymbol, 1, 1.0
		for range longest {
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
			depth = min(depth+1, m.order-1)
			hist = 1<<(symBits*uint(depth)) | (hist<<symBits|s)&(1<<(symBits*uint(depth))-1)
		}
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

func calibrate(in inputs, half *strength.Model) ([]strength.Knot, error) { return identity, nil }

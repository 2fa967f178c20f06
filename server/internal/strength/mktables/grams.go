// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"slices"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// settings of the character model, chosen on held-out halves of the lists.
type settings struct {
	order    int
	exponent float64 // of a password's share, for its weight in training
	discount float64
	least    float64 // an n-gram of order ≥ 3 that gains fewer nats than this is left out
}

var chosen = settings{order: strength.MaxOrder, exponent: 0.25, discount: 0.9, least: 6.5}

// chars is a trained character model.
type chars struct {
	grams    map[uint64]float64 // GramKey → probability, or back-off weight
	unigrams []float64
	order    int
}

// symbols turns a text into symbols with a beginning and an end, or nil.
func symbols(text string) []uint64 {
	out := []uint64{strength.StartSymbol}
	for _, r := range text {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		s := strength.Symbol(r)
		if s == 0 {
			return nil
		}
		out = append(out, s)
	}
	return append(out, strength.EndSymbol)
}

type tally struct {
	total float64
	next  map[uint64]float64
}

// train counts n-grams, smooths them by interpolated Kneser-Ney discounting
// (Chen and Goodman, 1999), and leaves out those that backing off predicts
// nearly as well.
func train(c corpus, s settings) chars {
	counts := make([]map[uint64]*tally, s.order) // by length of context
	for i := range counts {
		counts[i] = map[uint64]*tally{}
	}
	least := c[len(c)-1].share
	for _, p := range c {
		if p.share < least {
			least = p.share
		}
	}
	for _, p := range c {
		sy := symbols(p.text)
		if sy == nil {
			continue
		}
		w := power(p.share/least, s.exponent)
		for i := 1; i < len(sy); i++ {
			for k := 0; k < s.order && k <= i; k++ {
				key := strength.GramKey(sy[i-k:i], 0)
				t := counts[k][key]
				if t == nil {
					t = &tally{next: map[uint64]float64{}}
					counts[k][key] = t
				}
				t.total = float64(t.total + w)
				t.next[sy[i]] = float64(t.next[sy[i]] + w)
			}
		}
	}
	// Lower orders count after how many symbols an n-gram was seen, not how
	// often, but for the beginning of a text, which nothing precedes.
	for k := s.order - 2; k >= 0; k-- {
		fresh := map[uint64]*tally{}
		for key, t := range counts[k] {
			if k > 0 && key>>(symBits*uint(k))&(1<<symBits-1) == strength.StartSymbol {
				fresh[key] = t
			}
		}
		for key, t := range counts[k+1] {
			low := lowerKey(key>>symBits, k) << symBits
			u := fresh[low]
			if u == nil {
				u = &tally{next: map[uint64]float64{}}
				fresh[low] = u
			}
			for sym := range t.next {
				u.next[sym]++
				u.total++
			}
		}
		counts[k] = fresh
	}
	m := chars{grams: map[uint64]float64{}, unigrams: make([]float64, strength.NumSymbols), order: s.order}
	root := counts[0][strength.GramKey(nil, 0)]
	for sym := range m.unigrams {
		m.unigrams[sym] = float64(root.next[uint64(sym)]+0.5) / float64(root.total+0.5*strength.NumSymbols)
	}
	for k := 1; k < s.order; k++ {
		ctxs := make([]uint64, 0, len(counts[k]))
		for ctx := range counts[k] {
			ctxs = append(ctxs, ctx)
		}
		slices.Sort(ctxs)
		for _, ctx := range ctxs {
			t := counts[k][ctx]
			syms := make([]uint64, 0, len(t.next))
			for sym := range t.next {
				syms = append(syms, sym)
			}
			slices.Sort(syms)
			spread := float64(s.discount*float64(len(syms))) / t.total
			spread = min(spread, 0.95)
			kept, below := 0.0, 0.0
			stored := false
			for _, sym := range syms {
				n := t.next[sym]
				lower := m.prob(ctx>>symBits, k-1, sym)
				p := float64(max(n-s.discount, 0)/t.total) + float64(spread*lower)
				if k >= 2 && float64(n*ln(p/float64(spread*lower))) < s.least {
					continue
				}
				m.grams[ctx|sym] = p
				kept = float64(kept + p)
				below = float64(below + lower)
				stored = true
			}
			if stored {
				m.grams[ctx] = min(1, max(1e-4, float64(max(1e-6, 1-kept)/max(1e-6, 1-below))))
			}
		}
	}
	return m
}

const symBits = 7

// lowerKey drops the oldest symbol of a context key with k symbols.
func lowerKey(ctx uint64, k int) uint64 {
	body := ctx & (1<<(symBits*uint(k)) - 1)
	return 1<<(symBits*uint(k)) | body
}

// prob looks a symbol up after a context of k symbols, the lowest k in ctx.
func (m chars) prob(ctx uint64, k int, sym uint64) float64 {
	w := 1.0
	for ; k > 0; k-- {
		key := lowerKey(ctx, k) << symBits
		if p, ok := m.grams[key|sym]; ok {
			return float64(w * p)
		}
		if b, ok := m.grams[key]; ok {
			w = float64(w * b)
		}
	}
	return float64(w * m.unigrams[sym])
}

// costs gives the tables what they need.
func (m chars) costs() (grams map[uint64]int, unigrams []int) {
	grams = make(map[uint64]int, len(m.grams))
	for k, p := range m.grams {
		grams[k] = round(-1000 * log10(p))
	}
	for _, p := range m.unigrams {
		unigrams = append(unigrams, round(-1000*log10(p)))
	}
	return grams, unigrams
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

// The character model predicts each symbol of the folded text, and its end,
// from up to maxOrder-1 symbols before it. A stored n-gram carries the
// interpolated cost of its last symbol; where none is stored, the cost of
// backing off is added and one symbol of context dropped.

// Symbols: letters, digits, other printable ASCII, the end, the beginning.
// Zero stands for the place of a backing-off cost.
const (
	symEnd     = 70
	symStart   = 71
	numSymbols = 72
	symBits    = 7
	maxOrder   = 6
)

// Symbol numbers a folded code point, from 1; 0 means that the character
// model does not know it.
func Symbol(r rune) uint64 {
	switch {
	case 'a' <= r && r <= 'z':
		return uint64(r-'a') + 1
	case '0' <= r && r <= '9':
		return uint64(r-'0') + 27
	case ' ' <= r && r < '0':
		return uint64(r-' ') + 37
	case '9' < r && r < 'A':
		return uint64(r-':') + 53
	case 'Z' < r && r < 'a':
		return uint64(r-'[') + 60
	case 'z' < r && r <= '~':
		return uint64(r-'{') + 66
	}
	return 0
}

// The symbols of the ends of a text, and the longest n-gram.
const (
	EndSymbol   = symEnd
	StartSymbol = symStart
	NumSymbols  = numSymbols
	MaxOrder    = maxOrder
)

// GramKey packs an n-gram: the context, oldest symbol first, then the symbol
// predicted, or zero for the cost of backing off from that context.
func GramKey(context []uint64, predicted uint64) uint64 {
	k := uint64(1)
	for _, s := range context {
		k = k<<symBits | s
	}
	return k<<symBits | predicted
}

// symbolCost is the cost of the symbol next after hist, which holds the last
// maxOrder-1 symbols, newest in the lowest bits, and depth ≤ maxOrder-1 that
// are known.
func (m *Model) symbolCost(hist, next uint64, depth int) mil {
	var cost mil
	for k := depth; k > 0; k-- {
		bitsOf := uint(k * symBits)
		ctx := uint64(1)<<bitsOf | hist&(1<<bitsOf-1)
		back, ok := m.gramAt(ctx << symBits)
		if !ok {
			continue // no n-gram with this context is stored
		}
		if v, ok := m.gramAt(ctx<<symBits | next); ok {
			return cost + mil(v)*gramStep
		}
		cost += mil(back) * gramStep
	}
	return cost + mil(m.unigram[next])*gramStep
}

// markovCosts fills a.chars with the cost of each symbol and returns that of
// the end. It returns false when the text has a symbol the model lacks.
func (a *arena) markovCosts(m *Model) (end mil, ok bool) {
	hist, depth := uint64(symStart), 1
	for i, r := range a.low {
		s := uint64(0)
		if r < 128 {
			s = Symbol(r)
		}
		if s == 0 {
			return 0, false
		}
		a.chars[i] = m.symbolCost(hist, s, depth)
		a.steps += depth
		hist = hist<<symBits | s
		depth = min(depth+1, maxOrder-1)
	}
	return m.symbolCost(hist, symEnd, depth), true
}

// caseCost is the cost of the pattern of capitals: upper of them among
// letters letters, the first code point being one of them or not.
func caseCost(upper, letters int, first bool) mil {
	switch {
	case upper == 0:
		return 0
	case upper == 1 && first:
		return 500
	case upper == letters:
		return 600
	}
	k := min(upper, letters-upper)
	return min(700+550*mil(k), 12000)
}

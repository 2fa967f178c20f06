// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"math"
	"strconv"
)

// The tables must come out the same on every machine. The standard
// library's logarithm is assembly on some processors and a compiler may fuse
// a product and a sum, so both are avoided: the series below is made of
// single operations, and the explicit conversions forbid fusing.

const ln2 = 0.693147180559945309417232121458

// ln is the natural logarithm of x > 0.
func ln(x float64) float64 {
	f, e := math.Frexp(x) // x = f·2^e, ½ ≤ f < 1
	if f < math.Sqrt2/2 {
		f *= 2
		e--
	}
	s := (f - 1) / (f + 1)
	s2 := float64(s * s)
	sum, p := 0.0, s
	for k := 1; k < 40; k += 2 {
		sum = float64(sum + float64(p/float64(k)))
		p = float64(p * s2)
	}
	return float64(float64(2*sum) + float64(float64(e)*ln2))
}

// exp is e to the x, for |x| < 700.
func exp(x float64) float64 {
	k := math.Floor(float64(x/ln2) + 0.5)
	r := float64(x - float64(k*ln2))
	sum, t := 1.0, 1.0
	for i := 1; i < 24; i++ {
		t = float64(float64(t*r) / float64(i))
		sum = float64(sum + t)
	}
	return math.Ldexp(sum, int(k))
}

func log10(x float64) float64 { return ln(x) / 2.302585092994045684 }

func power(x, y float64) float64 { return exp(float64(y * ln(x))) }

func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return f
}

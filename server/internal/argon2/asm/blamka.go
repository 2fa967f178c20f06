// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build avo

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// quad is the 4 by 4 matrix of words that the permutation P works on, one
// register for each row, or half of two of them.
type quad struct{ a, b, c, d VecVirtual }

var rot24, rot16 Mem

func main() {
	ConstraintExpr("!purego")
	rot24 = rotation("rot24", 3)
	rot16 = rotation("rot16", 2)
	for _, xor := range []bool{false, true} {
		head(xor)
		tail(xor)
	}
	Generate()
}

// rotation defines the shuffle that rotates words right by n bytes.
func rotation(name string, n int) Mem {
	m := GLOBL(name, 8|16) // RODATA, NOPTR
	for half := 0; half < 4; half++ {
		var v uint64
		for i := 7; i >= 0; i-- {
			v = v<<8 | uint64((i+n)%8+half%2*8)
		}
		DATA(8*half, U64(v))
	}
	return m
}

type args struct{ z, out, prev, ref Register }

func load() args {
	return args{
		z:    Load(Param("z"), GP64()),
		out:  Load(Param("out"), GP64()),
		prev: Load(Param("prev"), GP64()),
		ref:  Load(Param("ref"), GP64()),
	}
}

func at(base Register, row, col int) Mem { return Mem{Base: base, Disp: row*128 + col*32} }

func head(xor bool) {
	name := "headAVX2"
	if xor {
		name = "headXorAVX2"
	}
	TEXT(name, NOSPLIT, "func(z, out, prev, ref *[128]uint64) uint64")
	p := load()
	for row := 0; row < 8; row += 2 {
		rows(p, row)
	}
	w := columns(p, 0, xor)
	word := GP64()
	VMOVQ(w.AsX(), word)
	Store(word, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func tail(xor bool) {
	name := "tailAVX2"
	if xor {
		name = "tailXorAVX2"
	}
	TEXT(name, NOSPLIT, "func(z, out, prev, ref, next *[128]uint64)")
	next := Load(Param("next"), GP64())
	for i := 0; i < 16; i++ {
		PREFETCHT0(Mem{Base: next, Disp: i * 64})
	}
	p := load()
	for col := 1; col < 4; col++ {
		columns(p, col, xor)
	}
	VZEROUPPER()
	RET()
}

func rows(p args, row int) {
	var qs []*quad
	for i := 0; i < 2; i++ {
		q := &quad{YMM(), YMM(), YMM(), YMM()}
		for j, v := range []VecVirtual{q.a, q.b, q.c, q.d} {
			VMOVDQU(at(p.prev, row+i, j), v)
			VPXOR(at(p.ref, row+i, j), v, v)
		}
		qs = append(qs, q)
	}
	quarter(qs)
	for _, q := range qs {
		VPERMQ(U8(0x93), q.a, q.a)
	}
	for _, q := range qs {
		VPERMQ(U8(0x4e), q.d, q.d)
	}
	for _, q := range qs {
		VPERMQ(U8(0x39), q.c, q.c)
	}
	quarter(qs)
	for _, q := range qs {
		VPERMQ(U8(0x39), q.a, q.a)
		VPERMQ(U8(0x93), q.c, q.c)
		VPERMQ(U8(0x4e), q.d, q.d)
	}
	for i, q := range qs {
		for j, v := range []VecVirtual{q.a, q.b, q.c, q.d} {
			VMOVDQU(v, at(p.z, row+i, j))
		}
	}
}

func columns(p args, col int, xor bool) VecVirtual {
	var v [8]VecVirtual
	for r := range v {
		v[r] = YMM()
		VMOVDQU(at(p.z, r, col), v[r])
	}
	q0 := &quad{v[0], v[2], v[4], v[6]}
	q1 := &quad{v[1], v[3], v[5], v[7]}
	quarter([]*quad{q0, q1})
	turnBack(&q0.a, &q1.a)
	turn(&q0.c, &q1.c)
	q0.d, q1.d = q1.d, q0.d
	quarter([]*quad{q0, q1})
	turn(&q0.a, &q1.a)
	turnBack(&q0.c, &q1.c)
	q0.d, q1.d = q1.d, q0.d
	v = [8]VecVirtual{q0.a, q1.a, q0.b, q1.b, q0.c, q1.c, q0.d, q1.d}
	for r, x := range v {
		VPXOR(at(p.prev, r, col), x, x)
		VPXOR(at(p.ref, r, col), x, x)
		if xor {
			VPXOR(at(p.out, r, col), x, x)
		}
		VMOVDQU(x, at(p.out, r, col))
	}
	return v[0]
}

// turn: (0,1),(2,3) -> (1,2),(3,0)
func turn(x, y *VecVirtual) {
	s, t := YMM(), YMM()
	VPALIGNR(U8(8), *x, *y, s)
	VPALIGNR(U8(8), *y, *x, t)
	*x, *y = s, t
}

// turnBack: (0,1),(2,3) -> (3,0),(1,2)
func turnBack(x, y *VecVirtual) {
	s, t := YMM(), YMM()
	VPALIGNR(U8(8), *y, *x, s)
	VPALIGNR(U8(8), *x, *y, t)
	*x, *y = s, t
}

func quarter(qs []*quad) {
	half(qs, func(q *quad) { VPSHUFD(U8(0xb1), q.d, q.d) })
	for _, q := range qs {
		VPSHUFB(rot24, q.b, q.b)
	}
	half(qs, func(q *quad) { VPSHUFB(rot16, q.d, q.d) })
	t := make([]VecVirtual, len(qs))
	for i, q := range qs {
		t[i] = YMM()
		VPADDQ(q.b, q.b, t[i])
	}
	for _, q := range qs {
		VPSRLQ(U8(63), q.b, q.b)
	}
	for i, q := range qs {
		VPXOR(t[i], q.b, q.b)
	}
}

func half(qs []*quad, rotate func(*quad)) {
	fma := func(x, y func(*quad) VecVirtual) {
		t := make([]VecVirtual, len(qs))
		for i, q := range qs {
			t[i] = YMM()
			VPMULUDQ(x(q), y(q), t[i])
		}
		for _, q := range qs {
			VPADDQ(y(q), x(q), x(q))
		}
		for i := range qs {
			VPADDQ(t[i], t[i], t[i])
		}
		for i, q := range qs {
			VPADDQ(t[i], x(q), x(q))
		}
	}
	a := func(q *quad) VecVirtual { return q.a }
	b := func(q *quad) VecVirtual { return q.b }
	c := func(q *quad) VecVirtual { return q.c }
	d := func(q *quad) VecVirtual { return q.d }
	fma(a, b)
	for _, q := range qs {
		VPXOR(q.a, q.d, q.d)
	}
	for _, q := range qs {
		rotate(q)
	}
	fma(c, d)
	for _, q := range qs {
		VPXOR(q.c, q.b, q.b)
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build avo

// Command asm writes the AVX2 and AVX-512 kernels of package argon2; "go
// generate" in that package runs it. It has a build tag so that the generator's library is no
// part of an ordinary build.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	// lockstep is how many rows of a block are permuted at once. One
	// permutation alone is a single chain of dependent instructions; four hide
	// each other's latency.
	lockstep = 4
	// ahead is how many blocks before their turn the blocks to be overwritten
	// are fetched: sequential, but too fast for the hardware to guess in time.
	ahead = 2

	blockLen = 1024
	line     = 64
	lines    = blockLen / line
)

// Attributes of a data section in the assembler of Go: read-only, and without
// pointers.
const rodataNoPtr = 8 | 16

func main() {
	ConstraintExpr("!purego")
	narrow := kernel{name: "AVX2", rot16: byteRotation("rot16", 2), rot24: byteRotation("rot24", 3)}
	for _, k := range []kernel{narrow, {name: "AVX512", wide: true}} {
		for _, xor := range []bool{false, true} {
			k.head(xor)
			k.tail(xor)
		}
	}
	Generate()
}

// byteRotation defines the operand of VPSHUFB that rotates each word right by n
// bytes.
func byteRotation(name string, n int) Mem {
	m := GLOBL(name, rodataNoPtr)
	for word := range 4 {
		var v uint64
		for i := range 8 {
			// Positions count from the start of the 16-byte lane.
			v |= uint64((i+n)%8+word%2*8) << (8 * i)
		}
		DATA(8*word, U64(v))
	}
	return m
}

// kernel writes the functions of one instruction set.
type kernel struct {
	name string
	// wide is AVX-512 with vectors of 256 bits: twice the registers, and a
	// rotation that is one instruction. Vectors of 512 bits would halve the
	// instructions, but lengthen the chain that each block waits for.
	wide bool
	// Without wide: operands of VPSHUFB.
	rot16, rot24 Mem
}

// blocks are the registers with the arguments that head and tail share.
type blocks struct{ z, out, prev, ref Register }

func arguments() blocks {
	return blocks{
		z:    Load(Param("z"), GP64()),
		out:  Load(Param("out"), GP64()),
		prev: Load(Param("prev"), GP64()),
		ref:  Load(Param("ref"), GP64()),
	}
}

// at is 32 bytes of a block, seen as 8 rows of 4 registers.
func at(b Register, row, column int) Mem { return Mem{Base: b, Disp: 128*row + 32*column} }

func (k kernel) begin(name string, xor bool, rest string) {
	if xor {
		name += "Xor"
	}
	TEXT(name+k.name, NOSPLIT, "func(z, out, prev, ref"+rest)
}

func end() {
	VZEROUPPER()
	RET()
}

// head permutes the rows of prev XOR ref into z, and the first two columns of
// that into out, which gives the first word of the new block.
func (k kernel) head(xor bool) {
	k.begin("head", xor, " *[128]uint64) uint64")
	b := arguments()
	for row := 0; row < 8; row += lockstep {
		k.rows(b, row)
	}
	first := k.columns(b, 0, 1, xor)
	word := GP64()
	VMOVQ(first.AsX(), word)
	Store(word, ReturnIndex(0))
	end()
}

// tail permutes the other columns of z into out, while next comes to the
// second-level cache and, behind it, a block that is soon to be overwritten.
// Both hints aim at the second level: lines on their way to the first would
// keep its few miss buffers from the work at hand. Past the end of the memory a
// hint does nothing.
func (k kernel) tail(xor bool) {
	k.begin("tail", xor, ", next *[128]uint64)")
	next := Load(Param("next"), GP64())
	for i := range lines {
		PREFETCHT1(Mem{Base: next, Disp: i * line})
	}
	b := arguments()
	if k.wide {
		for i := range lines {
			PREFETCHT1(Mem{Base: b.out, Disp: ahead*blockLen + i*line})
		}
		k.columns(b, 1, 3, xor)
		end()
		return
	}
	for column := 1; column < 4; column++ {
		k.columns(b, column, 1, xor)
		if column == 3 {
			break
		}
		for i := range lines / 2 {
			PREFETCHT1(Mem{Base: b.out, Disp: ahead*blockLen + (column-1)*blockLen/2 + i*line})
		}
	}
	end()
}

// quad is the matrix of four rows that P works on. A register holds a row of
// one matrix, or one half of a row of two.
type quad struct {
	a, b, c, d VecVirtual
	row        int // of the block, where that row is the matrix
}

// rows permutes some rows of a block at once, each of which is one matrix. As
// four of them with their temporaries do not fit 16 registers, c, which is idle
// for longest, then waits in its place in z.
//
// The diagonals are brought into columns by turning a, c and d around b: b is
// the last to be ready and the first to be used again.
func (k kernel) rows(b blocks, row int) {
	const left1, left2, left3 = 0x39, 0x4e, 0x93
	qs := make([]*quad, lockstep)
	for i := range qs {
		q := &quad{a: YMM(), b: YMM(), d: YMM(), row: row + i}
		k.input(b, q.row, 0, q.a)
		k.input(b, q.row, 1, q.b)
		k.input(b, q.row, 3, q.d)
		qs[i] = q
	}
	fetch := func(q *quad, turn int) {
		if turn == 0 || !k.wide {
			q.c = YMM()
		}
		switch {
		case turn == 0:
			k.input(b, q.row, 2, q.c)
		case k.wide:
		case turn == 2:
			VPERMQ(U8(left1), at(b.z, q.row, 2), q.c)
		default:
			k.move(at(b.z, q.row, 2), q.c)
		}
	}
	put := func(q *quad, turn int) {
		if turn == 3 {
			VPERMQ(U8(left3), q.c, q.c)
		}
		if turn == 3 || !k.wide {
			k.move(q.c, at(b.z, q.row, 2))
		}
	}
	turnAD := func(a, d uint8) {
		for _, q := range qs {
			VPERMQ(U8(a), q.a, q.a)
		}
		for _, q := range qs {
			VPERMQ(U8(d), q.d, q.d)
		}
	}
	k.half(qs, 0, fetch, put)
	k.half(qs, 1, fetch, put)
	turnAD(left3, left2)
	if k.wide {
		for _, q := range qs {
			VPERMQ(U8(left1), q.c, q.c)
		}
	}
	k.half(qs, 2, fetch, put)
	k.half(qs, 3, fetch, put)
	turnAD(left1, left2)
	for _, q := range qs {
		k.move(q.a, at(b.z, q.row, 0))
		k.move(q.b, at(b.z, q.row, 1))
		k.move(q.d, at(b.z, q.row, 3))
	}
}

// input sets v to a part of prev XOR ref.
func (k kernel) input(b blocks, row, column int, v VecVirtual) {
	k.move(at(b.prev, row, column), v)
	k.xor(at(b.ref, row, column), v)
}

// move copies a vector from memory, or to it.
func (k kernel) move(from, to Op) {
	if k.wide {
		VMOVDQU64(from, to)
	} else {
		VMOVDQU(from, to)
	}
}

// xor sets x to x XOR y.
func (k kernel) xor(y Op, x VecVirtual) {
	if k.wide {
		VPXORQ(y, x, x)
	} else {
		VPXOR(y, x, x)
	}
}

// columns permutes two columns of z, which lie side by side in one column of
// registers, and finishes that part of out; n times in lockstep, from the given
// column of registers on. It returns the first register of the result.
func (k kernel) columns(b blocks, column, n int, xor bool) VecVirtual {
	var qs []*quad
	for i := range n {
		var v [8]VecVirtual
		for row := range v {
			v[row] = YMM()
			k.move(at(b.z, row, column+i), v[row])
		}
		qs = append(qs, &quad{a: v[0], b: v[2], c: v[4], d: v[6]}, &quad{a: v[1], b: v[3], c: v[5], d: v[7]})
	}
	stay := func(*quad, int) {}
	k.half(qs, 0, stay, stay)
	k.half(qs, 1, stay, stay)
	for i := 0; i < len(qs); i += 2 {
		x, y := qs[i], qs[i+1]
		x.a, y.a = left3(x.a, y.a)
		x.c, y.c = left1(x.c, y.c)
		x.d, y.d = y.d, x.d
	}
	k.half(qs, 2, stay, stay)
	k.half(qs, 3, stay, stay)
	for i := range n {
		x, y := qs[2*i], qs[2*i+1]
		x.a, y.a = left1(x.a, y.a)
		x.c, y.c = left3(x.c, y.c)
		x.d, y.d = y.d, x.d
		for row, r := range []VecVirtual{x.a, y.a, x.b, y.b, x.c, y.c, x.d, y.d} {
			k.xor(at(b.prev, row, column+i), r)
			k.xor(at(b.ref, row, column+i), r)
			if xor {
				k.xor(at(b.out, row, column+i), r)
			}
			k.move(r, at(b.out, row, column+i))
		}
	}
	return qs[0].a
}

// left1 turns rows (x₀ x₁ y₀ y₁) of two matrices to (x₁ y₀ y₁ x₀).
func left1(x, y VecVirtual) (VecVirtual, VecVirtual) {
	s, t := YMM(), YMM()
	VPALIGNR(U8(8), x, y, s)
	VPALIGNR(U8(8), y, x, t)
	return s, t
}

// left3 turns rows (x₀ x₁ y₀ y₁) of two matrices to (y₁ x₀ x₁ y₀).
func left3(x, y VecVirtual) (VecVirtual, VecVirtual) {
	t, s := left1(x, y)
	return s, t
}

// half is one half of GB of RFC 9106 §3.6 on the columns of all matrices in
// lockstep. turn counts the four halves of P: those with even numbers rotate by
// 32 and 24, the others by 16 and 63. fetch is called before c of a matrix is
// used, put after it is changed.
func (k kernel) half(qs []*quad, turn int, fetch, put func(q *quad, turn int)) {
	a := func(q *quad) VecVirtual { return q.a }
	b := func(q *quad) VecVirtual { return q.b }
	c := func(q *quad) VecVirtual { return q.c }
	d := func(q *quad) VecVirtual { return q.d }
	even := turn%2 == 0

	blamka(qs, a, b)
	k.mix(qs, d, a)
	for _, q := range qs {
		switch {
		case even:
			VPSHUFD(U8(0xb1), q.d, q.d) // by 32: swap the halves of each word
		case k.wide:
			VPRORQ(U8(16), q.d, q.d)
		default:
			VPSHUFB(k.rot16, q.d, q.d)
		}
	}
	step := len(qs)
	if !k.wide {
		step = 2 // for want of registers
	}
	for i := 0; i < len(qs); i += step {
		some := qs[i : i+step]
		for _, q := range some {
			fetch(q, turn)
		}
		blamka(some, c, d)
		k.mix(some, b, c)
		for _, q := range some {
			put(q, turn)
		}
	}
	for i := 0; i < len(qs); i += step {
		switch some := qs[i : i+step]; {
		case k.wide:
			n := U8(63)
			if even {
				n = 24
			}
			for _, q := range some {
				VPRORQ(n, q.b, q.b)
			}
		case even:
			for _, q := range some {
				VPSHUFB(k.rot24, q.b, q.b)
			}
		default:
			rotate63(some)
		}
	}
}

// rotate63 rotates b right by 63, which is left by 1, without VPRORQ.
func rotate63(qs []*quad) {
	t := temporaries(qs)
	for i, q := range qs {
		VPADDQ(q.b, q.b, t[i])
	}
	for _, q := range qs {
		VPSRLQ(U8(63), q.b, q.b)
	}
	for i, q := range qs {
		VPXOR(t[i], q.b, q.b)
	}
}

// pick chooses a row of a matrix.
type pick func(*quad) VecVirtual

// blamka sets x to x + y + 2·low(x)·low(y), where low is the lower half.
func blamka(qs []*quad, x, y pick) {
	t := temporaries(qs)
	for i, q := range qs {
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

// mix sets x to x XOR y.
func (k kernel) mix(qs []*quad, x, y pick) {
	for _, q := range qs {
		k.xor(y(q), x(q))
	}
}

func temporaries(qs []*quad) []VecVirtual {
	t := make([]VecVirtual, len(qs))
	for i := range t {
		t[i] = YMM()
	}
	return t
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2

import "math/bits"

// generic is the compression function in plain Go, for machines without a
// kernel of their own and as the measure of those that have one. It does not
// know how to prefetch, so its head does all the work.
func generic() *kernel {
	return &kernel{
		name: KernelGeneric,
		step: 1,
		head: [2]func(z, out, prev, ref *block) uint64{headGeneric, headXorGeneric},
		tail: [2]func(z, out, prev, ref, next *block){tailGeneric, tailGeneric},
	}
}

func headGeneric(z, out, prev, ref *block) uint64 {
	compress(z, prev, ref)
	for i := range out {
		out[i] = z[i] ^ prev[i] ^ ref[i]
	}
	return out[0]
}

func headXorGeneric(z, out, prev, ref *block) uint64 {
	compress(z, prev, ref)
	for i := range out {
		out[i] ^= z[i] ^ prev[i] ^ ref[i]
	}
	return out[0]
}

func tailGeneric(_, _, _, _, _ *block) {}

// compress sets z to Z of RFC 9106 §3.5: the permutation P over the rows and
// then over the columns of prev XOR ref, seen as an 8 by 8 matrix of 16-byte
// registers.
func compress(z, prev, ref *block) {
	for i := range z {
		z[i] = prev[i] ^ ref[i]
	}
	for i := 0; i < blockWords; i += 16 {
		r := (*[16]uint64)(z[i:])
		permute(&r[0], &r[1], &r[2], &r[3], &r[4], &r[5], &r[6], &r[7],
			&r[8], &r[9], &r[10], &r[11], &r[12], &r[13], &r[14], &r[15])
	}
	for i := 0; i < 16; i += 2 {
		c := (*[114]uint64)(z[i:])
		permute(&c[0], &c[1], &c[16], &c[17], &c[32], &c[33], &c[48], &c[49],
			&c[64], &c[65], &c[80], &c[81], &c[96], &c[97], &c[112], &c[113])
	}
}

// permute is P of RFC 9106 §3.6: the round of BLAKE2b with BlaMka in the place
// of addition, over the columns and then the diagonals of a 4 by 4 matrix.
func permute(p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15 *uint64) {
	a0, a1, a2, a3 := *p0, *p1, *p2, *p3
	b0, b1, b2, b3 := *p4, *p5, *p6, *p7
	c0, c1, c2, c3 := *p8, *p9, *p10, *p11
	d0, d1, d2, d3 := *p12, *p13, *p14, *p15

	a0, b0, c0, d0 = first(a0, b0, c0, d0)
	a0, b0, c0, d0 = second(a0, b0, c0, d0)
	a1, b1, c1, d1 = first(a1, b1, c1, d1)
	a1, b1, c1, d1 = second(a1, b1, c1, d1)
	a2, b2, c2, d2 = first(a2, b2, c2, d2)
	a2, b2, c2, d2 = second(a2, b2, c2, d2)
	a3, b3, c3, d3 = first(a3, b3, c3, d3)
	a3, b3, c3, d3 = second(a3, b3, c3, d3)

	a0, b1, c2, d3 = first(a0, b1, c2, d3)
	a0, b1, c2, d3 = second(a0, b1, c2, d3)
	a1, b2, c3, d0 = first(a1, b2, c3, d0)
	a1, b2, c3, d0 = second(a1, b2, c3, d0)
	a2, b3, c0, d1 = first(a2, b3, c0, d1)
	a2, b3, c0, d1 = second(a2, b3, c0, d1)
	a3, b0, c1, d2 = first(a3, b0, c1, d2)
	a3, b0, c1, d2 = second(a3, b0, c1, d2)

	*p0, *p1, *p2, *p3 = a0, a1, a2, a3
	*p4, *p5, *p6, *p7 = b0, b1, b2, b3
	*p8, *p9, *p10, *p11 = c0, c1, c2, c3
	*p12, *p13, *p14, *p15 = d0, d1, d2, d3
}

// first and second are the two halves of GB of RFC 9106 §3.6, apart so that each
// is small enough for the compiler to inline.
func first(a, b, c, d uint64) (uint64, uint64, uint64, uint64) {
	a += b + 2*uint64(uint32(a))*uint64(uint32(b))
	d = bits.RotateLeft64(d^a, -32)
	c += d + 2*uint64(uint32(c))*uint64(uint32(d))
	b = bits.RotateLeft64(b^c, -24)
	return a, b, c, d
}

func second(a, b, c, d uint64) (uint64, uint64, uint64, uint64) {
	a += b + 2*uint64(uint32(a))*uint64(uint32(b))
	d = bits.RotateLeft64(d^a, -16)
	c += d + 2*uint64(uint32(c))*uint64(uint32(d))
	b = bits.RotateLeft64(b^c, -63)
	return a, b, c, d
}

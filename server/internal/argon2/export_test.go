// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2

import (
	"bytes"
	"encoding"
	"math/rand/v2"
	"unsafe"

	"golang.org/x/crypto/blake2b"
)

// Block is a block for tests.
type Block = [blockWords]uint64

// Compress runs the kernel of c in one of its modes, 0 to overwrite and 1 to
// XOR, over copies of the blocks in the memory of m, and returns the new block
// and its first word as known half way. It fails when an input has changed.
func Compress(m *Memory, mode int, prev, ref, old *Block) (out Block, word uint64, untouched bool) {
	b := m.blocks
	b[0], b[1], b[2] = *prev, *ref, *old
	word = m.core.kernel.head[mode](&m.scratch.z, &b[2], &b[0], &b[1])
	m.core.kernel.tail[mode](&m.scratch.z, &b[2], &b[0], &b[1], &b[3])
	return Block(b[2]), word, Block(b[0]) == *prev && Block(b[1]) == *ref
}

// Fault is a kernel with a planted mistake.
type Fault struct {
	Name   string
	Kernel *kernel
}

// Core returns the core that the kernel gets by passing, or failing, its
// self-test.
func (f Fault) Core() *Core { return newCore(f.Kernel) }

// Untested returns a core that trusts the kernel.
func (f Fault) Untested() *Core { return &Core{kernel: f.Kernel} }

// change returns a copy of the kernel of c to make mistakes in.
func change(c *Core, name string, f func(k *kernel)) Fault {
	k := *c.kernel
	f(&k)
	return Fault{name, &k}
}

// Faults are kernels that compute something wrong.
func Faults(c *Core) []Fault {
	k := c.kernel
	return []Fault{
		NoOverwrite(c),
		change(c, "later passes overwrite", func(f *kernel) {
			f.head[1], f.tail[1] = k.head[0], k.tail[0]
		}),
		change(c, "one bit of the last word", func(f *kernel) {
			f.tail[0] = func(z, out, prev, ref, next *block) {
				k.tail[0](z, out, prev, ref, next)
				out[blockWords-1] ^= 1
			}
		}),
		change(c, "one bit of the first word when XORing", func(f *kernel) {
			f.head[1] = func(z, out, prev, ref *block) uint64 { return k.head[1](z, out, prev, ref) ^ 1<<63 }
		}),
		change(c, "carry lost in one word of many blocks", func(f *kernel) {
			f.tail[1] = func(z, out, prev, ref, next *block) {
				k.tail[1](z, out, prev, ref, next)
				if out[5]>>62 == 3 {
					out[5] ^= 1 << 40
				}
			}
		}),
	}
}

// NoOverwrite is a kernel that XORs into the memory in the first pass, as an
// implementation may that gets zeroed memory for each call.
func NoOverwrite(c *Core) Fault {
	k := c.kernel
	return change(c, "first pass XORs", func(f *kernel) { f.head[0], f.tail[0] = k.head[1], k.tail[1] })
}

// Overrun is a kernel that writes one word behind each block.
func Overrun(c *Core) Fault {
	k := c.kernel
	return change(c, "writes behind the block", func(f *kernel) {
		for mode := range f.tail {
			f.tail[mode] = func(z, out, prev, ref, next *block) {
				*(*uint64)(unsafe.Add(unsafe.Pointer(out), blockLen)) = 0
				k.tail[mode](z, out, prev, ref, next)
			}
		}
	})
}

// Watched returns a core with the kernel of c that calls f after each block.
func Watched(c *Core, f func()) *Core {
	k := c.kernel
	return change(c, k.name, func(w *kernel) {
		for mode := range w.tail {
			w.tail[mode] = func(z, out, prev, ref, next *block) {
				k.tail[mode](z, out, prev, ref, next)
				f()
			}
		}
	}).Untested()
}

// Soil fills everything that a slot keeps between calls with random words.
func (m *Memory) Soil(r *rand.Rand) {
	for i := range m.blocks {
		for j := range m.blocks[i] {
			m.blocks[i][j] = r.Uint64()
		}
	}
	for _, b := range []*block{&m.scratch.z, &m.scratch.addresses, &m.scratch.counter, &m.scratch.inner} {
		for j := range b {
			b[j] = r.Uint64()
		}
	}
	for _, b := range [][]byte{m.hash.seed[:], m.hash.v[:], m.hash.out[:], m.hash.le[:]} {
		for j := range b {
			b[j] = byte(r.Uint32())
		}
	}
	if m.hash.h != nil {
		m.hash.h.Write(m.hash.out[:77])
	}
}

// Region is a part of what a slot keeps between calls.
type Region struct {
	Name  string
	Bytes []byte
}

// Regions returns all that a slot keeps between calls, in place.
func (m *Memory) Regions() []Region {
	return []Region{
		{"matrix", unsafe.Slice((*byte)(unsafe.Pointer(&m.blocks[0])), len(m.blocks)*blockLen)},
		{"scratch", unsafe.Slice((*byte)(unsafe.Pointer(m.scratch)), unsafe.Sizeof(*m.scratch))},
		{"hash input", m.hash.seed[:]},
		{"hash chain", m.hash.v[:]},
		{"hash output", m.hash.out[:]},
		{"hash length", m.hash.le[:]},
	}
}

// HashIsFresh tells whether the state of the BLAKE2b that a slot keeps is that
// of a new one.
func (m *Memory) HashIsFresh() bool {
	state := func(h any) []byte {
		b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			panic(err)
		}
		return b
	}
	fresh, err := blake2b.New512(nil)
	if err != nil {
		panic(err)
	}
	return m.hash.h == nil || bytes.Equal(state(m.hash.h), state(fresh))
}

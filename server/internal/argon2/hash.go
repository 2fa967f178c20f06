// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2

import (
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/blake2b"
)

// hasher is BLAKE2b as argon2 uses it. Its state is kept between calls so that
// a tag costs no allocations, and wiped by wipe.
type hasher struct {
	h    hash.Hash // BLAKE2b-512, unkeyed
	seed [blake2b.Size + 8]byte
	v    [blake2b.Size]byte
	out  [blockLen]byte
	le   [4]byte
}

func (s *hasher) uint32(v uint32) {
	binary.LittleEndian.PutUint32(s.le[:], v)
	s.h.Write(s.le[:])
}

func (s *hasher) field(b []byte) {
	s.uint32(uint32(len(b)))
	s.h.Write(b)
}

// start computes H₀ of RFC 9106 §3.2 step 1 into the seed.
func (s *hasher) start(password, salt []byte, p *Params) {
	if s.h == nil {
		// The only error is for a key of more than 64 bytes.
		s.h, _ = blake2b.New512(nil)
	}
	s.h.Reset()
	s.uint32(p.Parallelism)
	s.uint32(p.KeyLen)
	s.uint32(p.Memory)
	s.uint32(p.Time)
	s.uint32(p.Version)
	s.uint32(uint32(p.Type))
	s.field(password)
	s.field(salt)
	s.field(p.Secret)
	s.field(p.Data)
	s.h.Sum(s.seed[:0])
}

// first sets b to the block in column 0 or 1 of a lane: H'(H₀ ‖ column ‖ lane),
// RFC 9106 §3.2 steps 3 and 4.
func (s *hasher) first(b *block, column, lane uint32) {
	binary.LittleEndian.PutUint32(s.seed[blake2b.Size:], column)
	binary.LittleEndian.PutUint32(s.seed[blake2b.Size+4:], lane)
	s.expand(s.out[:], s.seed[:])
	b.setBytes(&s.out)
}

// tag sets dst to H'(b), RFC 9106 §3.2 step 7.
func (s *hasher) tag(dst []byte, b *block) {
	b.bytes(&s.out)
	s.expand(dst, s.out[:])
}

// expand sets dst to H' of in, the hash of any length of RFC 9106 §3.3: 32
// bytes of each link of a chain of BLAKE2b-512 hashes, and a last hash just as
// long as what is missing.
func (s *hasher) expand(dst, in []byte) {
	length := uint32(len(dst))
	if length <= blake2b.Size {
		last, _ := blake2b.New(int(length), nil) // 4 to 64, as Check has seen to
		binary.LittleEndian.PutUint32(s.le[:], length)
		last.Write(s.le[:])
		last.Write(in)
		last.Sum(dst[:0])
		wipeHash(last)
		return
	}
	s.h.Reset()
	s.uint32(length)
	s.h.Write(in)
	s.h.Sum(s.v[:0])
	dst = dst[copy(dst, s.v[:blake2b.Size/2]):]
	for len(dst) > blake2b.Size {
		s.v = blake2b.Sum512(s.v[:])
		dst = dst[copy(dst, s.v[:blake2b.Size/2]):]
	}
	if len(dst) == blake2b.Size {
		s.v = blake2b.Sum512(s.v[:])
		copy(dst, s.v[:])
		return
	}
	last, _ := blake2b.New(len(dst), nil)
	last.Write(s.v[:])
	last.Sum(dst[:0])
	wipeHash(last)
}

// wipe forgets everything that came from a password.
func (s *hasher) wipe() {
	if s.h != nil {
		wipeHash(s.h)
	}
	clear(s.seed[:])
	clear(s.v[:])
	clear(s.out[:])
	clear(s.le[:])
}

// wipeHash overwrites the buffered input of h, which Reset leaves alone, and
// its chaining value.
func wipeHash(h hash.Hash) {
	var zero [blake2b.BlockSize]byte
	h.Reset()
	h.Write(zero[:])
	h.Reset()
}

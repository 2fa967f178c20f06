// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package argon2 computes argon2d, argon2i and argon2id tags (RFC 9106) in
// memory that is allocated once and reused: the same tags as
// golang.org/x/crypto/argon2 for every input that both accept, or the package
// steps aside and lets x/crypto do the work.
//
// A [Memory] is one hashing slot. It lives outside the Go heap, is reused by
// every call of [Memory.Key] and holds only zeros between calls. Beyond
// x/crypto the package knows argon2d, a secret K, associated data X and the
// version 0x10 of stored rows that predate the RFC.
//
// The first use checks the chosen implementation against the vectors of RFC
// 9106 §5 and against x/crypto. When that fails everything is computed by
// x/crypto, and [Kernel] and [SelfTest] say so.
package argon2

//go:generate go run -tags avo ./asm -out blamka_amd64.s

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Type is the variant of argon2; its values are the y of RFC 9106 §3.2.
type Type uint8

// The three variants of RFC 9106 §3.1.
const (
	D  Type = 0 // memory addresses depend on the password throughout
	I  Type = 1 // memory addresses never depend on the password
	ID Type = 2 // as I for half of the first pass, then as D
)

// The versions of the algorithm. The RFC describes Version13; Version10 is
// what a PHC string without "v=" means. They differ in that later passes of
// Version10 overwrite a block where those of Version13 XOR into it.
const (
	Version10 uint32 = 0x10
	Version13 uint32 = 0x13
)

// Params are the inputs of RFC 9106 §3.1 beside the password and the salt.
type Params struct {
	Type        Type
	Version     uint32 // Version10 or Version13
	Time        uint32 // passes t, at least 1
	Memory      uint32 // m in KiB, at least 8·Parallelism
	Parallelism uint32 // lanes p, 1 to 2²⁴−1
	KeyLen      uint32 // length of the tag in bytes, at least 4
	Secret      []byte // K, may be empty
	Data        []byte // X, may be empty
}

var (
	// ErrParams is returned for parameters outside the bounds that RFC 9106
	// §3.1 gives.
	ErrParams = errors.New("argon2: parameters outside RFC 9106")
	// ErrTooLarge is returned for parameters that are valid but ask for more
	// memory than the slot holds.
	ErrTooLarge = errors.New("argon2: more memory asked for than the slot holds")
	// ErrUnsupported is returned when x/crypto has taken over and the
	// parameters are ones that it cannot compute: argon2d, version 0x10, a
	// secret, associated data, or more than 255 lanes.
	ErrUnsupported = errors.New("argon2: not supported by the x/crypto fallback")
	// ErrClosed is returned by a Memory that has been closed.
	ErrClosed = errors.New("argon2: memory is closed")
)

// Check reports whether p keeps the bounds of RFC 9106 §3.1. The error wraps
// ErrParams.
func (p *Params) Check() error {
	switch {
	case p.Type > ID:
		return fmt.Errorf("%w: unknown type", ErrParams)
	case p.Version != Version10 && p.Version != Version13:
		return fmt.Errorf("%w: unknown version", ErrParams)
	case p.Time == 0:
		return fmt.Errorf("%w: no passes", ErrParams)
	case p.Parallelism == 0 || p.Parallelism > 1<<24-1:
		return fmt.Errorf("%w: parallelism not in 1 to 2^24-1", ErrParams)
	case p.Memory < 8*p.Parallelism:
		return fmt.Errorf("%w: less memory than 8 KiB per lane", ErrParams)
	case p.KeyLen < 4:
		return fmt.Errorf("%w: tag shorter than 4 bytes", ErrParams)
	case tooLong(p.Secret) || tooLong(p.Data):
		return fmt.Errorf("%w: input of 4 GiB or more", ErrParams)
	}
	return nil
}

func tooLong(b []byte) bool { return uint64(len(b)) > math.MaxUint32 }

// blockLen is the size of a block in bytes and in words, RFC 9106 §3.2.
const (
	blockLen   = 1024
	blockWords = blockLen / 8
)

// block is one KiB of the matrix B of RFC 9106 §3.2 as little-endian words.
type block [blockWords]uint64

func (b *block) setBytes(p *[blockLen]byte) {
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(p[8*i:])
	}
}

func (b *block) bytes(p *[blockLen]byte) {
	for i, w := range b {
		binary.LittleEndian.PutUint64(p[8*i:], w)
	}
}

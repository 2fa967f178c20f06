// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2

import (
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"

	"golang.org/x/crypto/argon2"
)

// Memory is one hashing slot: the memory for one call of Key at a time. It is
// allocated and touched once, by NewMemory, and is all zero between calls.
//
// On Linux it is an anonymous mapping outside the Go heap, so that it counts
// neither against GOMEMLIMIT nor towards the garbage collector's pace, aligned
// to 2 MiB and offered to the kernel for huge pages, left out of core dumps and
// of forked children, and fenced by pages that cannot be accessed; it may take
// up to 1 MiB more than its size. Elsewhere it is a Go slice.
//
// A Memory is for one goroutine at a time; Key and Close panic when they meet
// another call. The garbage collector does not see it: it stays until Close.
type Memory struct {
	core    *Core
	kib     uint32
	mapping mapping
	blocks  []block
	scratch *scratch
	hash    hasher
	busy    atomic.Bool
	closed  bool
}

// maxKiB keeps sums of two block numbers within 32 bits: 2 TiB.
const maxKiB = 1 << 31

// NewMemory returns a slot of the given size in KiB, which bounds the
// Params.Memory of each Key, with the default Core. It returns an error when
// the system does not give the memory, and one that wraps ErrTooLarge when it
// never could.
func NewMemory(kib uint32) (*Memory, error) { return Default().NewMemory(kib) }

// NewMemory returns a slot of the given size in KiB, which bounds the
// Params.Memory of each Key. It returns an error when the system does not give
// the memory, and one that wraps ErrTooLarge when it never could. When x/crypto has taken over, the size is only a bound: x/crypto
// allocates as much on the Go heap for each call.
func (c *Core) NewMemory(kib uint32) (*Memory, error) {
	m := &Memory{core: c, kib: kib}
	if c.kernel == nil {
		return m, nil
	}
	if kib > maxKiB || uint64(kib)*blockLen > math.MaxInt/2 {
		return nil, fmt.Errorf("%w: a slot of %d KiB", ErrTooLarge, kib)
	}
	var err error
	m.mapping, err = mapMemory(int(kib)*blockLen, int(unsafe.Sizeof(scratch{})))
	if err != nil {
		return nil, fmt.Errorf("argon2: mapping %d KiB: %w", kib, err)
	}
	if kib > 0 {
		m.blocks = unsafe.Slice((*block)(unsafe.Pointer(&m.mapping.main[0])), kib)
	}
	m.scratch = (*scratch)(unsafe.Pointer(&m.mapping.side[0]))
	// Touching every page now means no page fault under load, and an
	// out-of-memory kill, if there is to be one, at the start.
	clear(m.blocks)
	*m.scratch = scratch{}
	m.mapping.count()
	return m, nil
}

// Kernel returns the name of the implementation that fills this memory.
func (m *Memory) Kernel() string { return m.core.Kernel() }

// KiB returns the size of the slot.
func (m *Memory) KiB() uint32 { return m.kib }

// PageInfo says how the memory of a slot is backed.
type PageInfo struct {
	Bytes int // size of the slot
	Huge  int // bytes of it that were on huge pages when it was made
}

// HugePages returns how the slot was backed when it was made. Both figures are
// 0 when x/crypto has taken over, and Huge is 0 where the system does not tell.
func (m *Memory) HugePages() PageInfo {
	size := len(m.blocks) * blockLen
	return PageInfo{Bytes: size, Huge: min(m.mapping.huge, size)}
}

// Key appends the tag of password and salt to dst, which may be nil, and
// returns the result. The slot is wiped before it returns. The error wraps
// ErrParams, ErrTooLarge, ErrUnsupported or ErrClosed; they are found before
// any work.
func (m *Memory) Key(dst, password, salt []byte, p Params) ([]byte, error) {
	m.enter()
	defer m.leave()
	if m.closed {
		return nil, ErrClosed
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if tooLong(password) || tooLong(salt) {
		return nil, fmt.Errorf("%w: input of 4 GiB or more", ErrParams)
	}
	if p.Memory > m.kib {
		return nil, ErrTooLarge
	}
	if m.core.kernel == nil {
		return keyXCrypto(dst, password, salt, &p)
	}

	x := newMatrix(m.core.kernel, m.blocks, m.scratch, &p)
	defer m.wipe(len(x.blocks))
	m.hash.start(password, salt, &p)
	for lane := range p.Parallelism {
		m.hash.first(&x.blocks[lane*x.columns], 0, lane)
		m.hash.first(&x.blocks[lane*x.columns+1], 1, lane)
	}
	last := x.fill()
	n := len(dst)
	dst = append(dst, make([]byte, p.KeyLen)...)
	m.hash.tag(dst[n:], last)
	return dst, nil
}

// keyXCrypto is Key by way of x/crypto.
func keyXCrypto(dst, password, salt []byte, p *Params) ([]byte, error) {
	if p.Type == D || p.Version != Version13 || len(p.Secret)+len(p.Data) > 0 || p.Parallelism > 255 {
		return nil, ErrUnsupported
	}
	derive := argon2.IDKey
	if p.Type == I {
		derive = argon2.Key
	}
	return append(dst, derive(password, salt, p.Time, p.Memory, uint8(p.Parallelism), p.KeyLen)...), nil
}

// wipe clears all that one call has used. The first blocks of a lane are a fast
// hash of the password: left behind, they would let whoever reads this memory
// guess without paying for argon2.
func (m *Memory) wipe(blocks int) {
	clear(m.blocks[:blocks])
	*m.scratch = scratch{}
	m.hash.wipe()
}

// Close gives the memory back to the system. The slot may be closed again, and
// answers ErrClosed from then on.
func (m *Memory) Close() error {
	m.enter()
	defer m.leave()
	if m.closed {
		return nil
	}
	m.closed = true
	m.blocks, m.scratch = nil, nil
	return m.mapping.release()
}

func (m *Memory) enter() {
	if !m.busy.CompareAndSwap(false, true) {
		panic("argon2: two calls at once on one Memory")
	}
}

func (m *Memory) leave() { m.busy.Store(false) }

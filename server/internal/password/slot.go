// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"errors"
	"fmt"

	"github.com/watchword-project/watchword/server/internal/argon2"
)

// slot is what one running hash may use: its memory, taken once and all zero
// between two runs, and a copy of the password that lives as long as the run,
// so that the caller may wipe its own the moment it has left.
type slot struct {
	core   *argon2.Core
	kib    uint32         // size of memory, unless a larger hash has grown it
	memory *argon2.Memory // nil while lent to a hash that took several slots
	jobs   chan *job      // at most one: the slot is idle or runs it

	password []byte // within plain
	plain    [MaxBytes]byte
	tag      [maxTag]byte // room for the result
}

func newSlot(core *argon2.Core, kib uint32) (*slot, error) {
	m, err := core.NewMemory(kib)
	if err != nil {
		return nil, err
	}
	return &slot{core: core, kib: kib, memory: m}, nil
}

// keep copies the password into the slot.
func (s *slot) keep(b []byte) {
	s.password = s.plain[:copy(s.plain[:], b)]
}

// prepare makes room for a run, in the slot's memory or, where the KDF brings
// its own, on the Go heap. A slot's memory may grow to its share of the
// budget and then stays so. Beyond the share, the memory of the others, slots
// taken together with this one, is given back first, so that all memory in
// use stays within the budget.
func (s *slot) prepare(l load, share int64, others []*slot) error {
	if l.heap {
		if s.memory != nil && l.bytes+int64(s.memory.KiB())<<10 > share {
			release(s, others)
		}
		return nil
	}
	kib := max(uint32((l.bytes+1023)>>10), s.kib)
	if l.bytes == 0 || (s.memory != nil && s.memory.KiB() >= kib) {
		return nil
	}
	release(s, others)
	m, err := s.core.NewMemory(kib)
	if err != nil {
		return fmt.Errorf("taking %d KiB for a hash: %w", kib, err)
	}
	s.memory = m
	return nil
}

// run runs t. A library that panics on one odd stored hash fails that hash
// and not the process: nobody above this goroutine could recover. What the
// panic says may hold a password, and is dropped.
func (s *slot) run(t task) (err error) {
	defer func() {
		if recover() != nil {
			s.memory = nil // its state is not known: it is left to itself
			err = errPanic
		}
	}()
	return t.run(s)
}

var errPanic = errors.New("a key derivation function panicked")

func release(s *slot, others []*slot) {
	s.free()
	for _, o := range others {
		o.free()
	}
}

// clean ends a run: the copy of the password goes, and memory above the share.
func (s *slot) clean(share int64) {
	clear(s.password)
	s.password = nil
	clear(s.tag[:])
	if s.memory != nil && int64(s.memory.KiB())<<10 > share {
		s.free()
	}
}

func (s *slot) free() {
	if s.memory != nil {
		_ = s.memory.Close() // the mapping is gone or never was: nobody can do anything
		s.memory = nil
	}
}

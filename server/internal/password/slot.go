// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"golang.org/x/crypto/argon2"
)

// slot is the memory of one running hash.
type slot struct {
	plain [MaxBytes]byte
	used  int
}

func newSlot(memory uint32) (*slot, error) { return &slot{}, nil }

// keep copies the password into the slot.
func (s *slot) keep(b []byte) []byte {
	s.used = copy(s.plain[:], b)
	return s.plain[:s.used]
}

// prepare makes room for a run of n bytes. Where n is above the slot's share,
// others are slots taken with it, whose memory it may give back first.
func (s *slot) prepare(n int64, others []*slot) {}

// wipe clears what a run of n bytes has left, and gives back what is above
// the share.
func (s *slot) wipe(n, share int64) {
	clear(s.plain[:s.used])
	s.used = 0
}

func (s *slot) free() {}

// argon2 derives a tag.
func (w *work) argon2(v variant, version uint32, p Params, salt []byte, n int) []byte {
	if v == variantID {
		return argon2.IDKey(w.password, salt, p.Time, p.Memory, p.Parallelism, uint32(n))
	}
	return argon2.Key(w.password, salt, p.Time, p.Memory, p.Parallelism, uint32(n))
}

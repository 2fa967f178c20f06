// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package mac makes MACs, HMAC-SHA-256, under keys that serve many times.
package mac

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"slices"
	"sync"
)

// Key is a secret under which MACs are made. What HMAC makes of the secret
// before it sees a message is made once and kept. It is safe for concurrent use.
type Key struct{ states sync.Pool }

// state is an HMAC between two messages, and room for the next one: what is
// handed to a hash.Hash would else go to the heap.
type state struct {
	hash hash.Hash
	room []byte
}

// NewKey makes a Key of a secret.
func NewKey(secret []byte) *Key {
	return &Key{sync.Pool{New: func() any {
		h := hmac.New(sha256.New, secret)
		h.Reset() // from here on a Reset overwrites all of what was written
		return &state{hash: h}
	}}}
}

// Sum gives the MAC of the parts, one behind the other, and keeps no copy of
// them. That no other parts run together to the same bytes is the caller's care.
func (k *Key) Sum(parts ...[]byte) (sum [sha256.Size]byte) {
	size := sha256.Size
	for _, p := range parts {
		size += len(p)
	}
	s := k.states.Get().(*state)
	defer k.states.Put(s)
	s.room = slices.Grow(s.room, size) // at once, so that no append leaves a copy behind
	message := s.room
	for _, p := range parts {
		message = append(message, p...)
	}
	s.hash.Write(message)
	message = s.hash.Sum(message)
	copy(sum[:], message[len(message)-len(sum):])
	s.hash.Reset()
	clear(message)
	return sum
}

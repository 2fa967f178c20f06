// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// rfcVectors are the tags of RFC 9106 §5.1 to §5.3, by type. Their inputs are
// those of rfcParams.
var rfcVectors = [...]string{
	D:  "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb",
	I:  "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8",
	ID: "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
}

// rfcParams returns the inputs of the vectors of RFC 9106 §5.
func rfcParams(t Type) (password, salt []byte, p Params) {
	return bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 16), Params{
		Type:        t,
		Version:     Version13,
		Time:        3,
		Memory:      32,
		Parallelism: 4,
		KeyLen:      32,
		Secret:      bytes.Repeat([]byte{3}, 8),
		Data:        bytes.Repeat([]byte{4}, 12),
	}
}

var (
	errCompress = errors.New("argon2: self-test: kernel differs from the generic one")
	errVector   = errors.New("argon2: self-test: RFC 9106 vector not met")
	errXCrypto  = errors.New("argon2: self-test: tag differs from x/crypto")
)

// selfTest tells whether k is right: block by block against the generic kernel,
// on the vectors of the RFC, and against x/crypto on a matrix large enough for
// every kind of segment.
func selfTest(k *kernel) error {
	if err := selfTestBlocks(k); err != nil {
		return err
	}
	const kib = 8 * 4 * 40 // segments of more than 128 blocks with two lanes
	m, err := (&Core{kernel: k}).NewMemory(kib)
	if err != nil {
		return fmt.Errorf("argon2: self-test: %w", err)
	}
	defer m.Close()
	for t, want := range rfcVectors {
		password, salt, p := rfcParams(Type(t))
		got, err := m.Key(nil, password, salt, p)
		if err != nil || hex.EncodeToString(got) != want {
			return errVector
		}
	}
	for lanes := uint32(1); lanes <= 2; lanes++ {
		p := Params{Type: ID, Version: Version13, Time: 2, Memory: kib, Parallelism: lanes, KeyLen: 32}
		password, salt := []byte("password"), []byte("somesalt")
		got, err := m.Key(nil, password, salt, p)
		if err != nil || !bytes.Equal(got, argon2.IDKey(password, salt, p.Time, p.Memory, uint8(lanes), p.KeyLen)) {
			return errXCrypto
		}
	}
	return nil
}

// selfTestBlocks compares k with the generic kernel over a chain of blocks.
func selfTestBlocks(k *kernel) error {
	c, err := (&Core{kernel: k}).NewMemory(8)
	if err != nil {
		return fmt.Errorf("argon2: self-test: %w", err)
	}
	defer c.Close()
	g := generic()
	b, z := c.blocks, &c.scratch.z
	prev, ref, got, want := &b[0], &b[1], &b[2], &b[3]
	for i := range prev {
		// Weyl sequences: full-width, distinct words.
		prev[i] = uint64(i+1) * 0x9e3779b97f4a7c15
		ref[i] = ^uint64(i+1) * 0xd1342543de82ef95
	}
	for range 8 {
		for mode := range k.head {
			wantWord := g.head[mode](z, want, prev, ref)
			g.tail[mode](z, want, prev, ref, ref)
			gotWord := k.head[mode](z, got, prev, ref)
			k.tail[mode](z, got, prev, ref, ref)
			if *got != *want || gotWord != wantWord || got[0] != gotWord {
				return errCompress
			}
		}
		*prev, *ref = *ref, *got
	}
	return nil
}

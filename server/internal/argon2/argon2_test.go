// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/watchword-project/watchword/server/internal/argon2"
)

// cores returns every implementation that this machine runs and that is ours.
func cores(t testing.TB) []*argon2.Core {
	t.Helper()
	var all []*argon2.Core
	for _, name := range []string{argon2.KernelAVX2, argon2.KernelGeneric} {
		c, err := argon2.New(name)
		if err != nil {
			continue // not on this machine or in this build
		}
		if c.Kernel() != name {
			t.Fatalf("New(%q) fell back to %s: %v", name, c.Kernel(), c.SelfTest())
		}
		all = append(all, c)
	}
	return all
}

func newMemory(t testing.TB, c *argon2.Core, kib uint32) *argon2.Memory {
	t.Helper()
	m, err := c.NewMemory(kib)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestRFCVectors(t *testing.T) {
	for _, c := range cores(t) {
		m := newMemory(t, c, 32)
		for _, v := range []struct {
			typ  argon2.Type
			want string
		}{
			{argon2.D, "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb"},  // §5.1
			{argon2.I, "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8"},  // §5.2
			{argon2.ID, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"}, // §5.3
		} {
			got, err := m.Key(nil, bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 16), argon2.Params{
				Type: v.typ, Version: argon2.Version13, Time: 3, Memory: 32, Parallelism: 4, KeyLen: 32,
				Secret: bytes.Repeat([]byte{3}, 8), Data: bytes.Repeat([]byte{4}, 12),
			})
			if err != nil || hex.EncodeToString(got) != v.want {
				t.Errorf("%s: type %d: Key = %x, %v, want %s", c.Kernel(), v.typ, got, err, v.want)
			}
		}
	}
}

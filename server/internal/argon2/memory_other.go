// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !linux

package argon2

import "unsafe"

// mapping is memory on the Go heap.
type mapping struct {
	side, main []byte
	huge       int
}

// mapMemory returns zeroed memory of the two sizes in bytes, aligned to a cache
// line.
func mapMemory(main, side int) (mapping, error) {
	return mapping{main: aligned(main), side: aligned(side)}, nil
}

func aligned(n int) []byte {
	const line = 64
	b := make([]byte, n+line)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) % line)
	return b[skip : skip+n]
}

func (m *mapping) count() {}

func (m *mapping) release() error {
	*m = mapping{}
	return nil
}

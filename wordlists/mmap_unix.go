// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix

package wordlists

import (
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, size int) ([]byte, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	// Look-ups are spread over the whole file: reading ahead would only waste
	// the disk. The advice may be refused without harm.
	_ = unix.Madvise(b, unix.MADV_RANDOM)
	return b, nil
}

func willNeed(b []byte) {
	_ = unix.Madvise(b, unix.MADV_NORMAL)
	_ = unix.Madvise(b, unix.MADV_WILLNEED)
}

// anonymous returns zeroed memory outside the Go heap.
func anonymous(size int) ([]byte, error) {
	const huge = 2 << 20
	size = (size + huge - 1) &^ (huge - 1)
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	adviseHuge(b)
	return b, nil
}

func unmap(b []byte) error {
	return os.NewSyscallError("munmap", unix.Munmap(b))
}

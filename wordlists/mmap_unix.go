// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix

package wordlists

import (
	"os"
	"unsafe"

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

// willNeed asks the kernel to begin reading a part of a mapping, and does not
// wait for it.
func willNeed(b []byte) {
	if b = wholePages(b); len(b) > 0 {
		_ = unix.Madvise(b, unix.MADV_WILLNEED)
	}
}

// wholePages widens a part of a mapping to the pages it lies in.
func wholePages(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	before := uintptr(unsafe.Pointer(&b[0])) % uintptr(os.Getpagesize())
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(&b[0]), -int(before))), len(b)+int(before))
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

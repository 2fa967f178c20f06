// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ResidentPages is how many pages of the mapped file are in memory.
func (x *Index) ResidentPages() (n int) {
	page := os.Getpagesize()
	vec := make([]byte, (len(x.mem)+page-1)/page)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&x.mem[0])), uintptr(len(x.mem)), uintptr(unsafe.Pointer(&vec[0])))
	if errno != 0 {
		return -1
	}
	for _, v := range vec {
		n += int(v & 1)
	}
	return n
}

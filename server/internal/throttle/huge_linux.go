// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePages asks the system to keep what s holds in pages of some megabytes.
// Most look-ups meet a page the processor has no translation for, and in a
// virtual machine finding one takes longer than the look-up. A system that
// will not is as good, only slower.
func hugePages[T any](s []T) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
	page := os.Getpagesize()
	from := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (page - 1)
	b = b[from : from+(len(b)-from)&^(page-1)]
	if unix.Madvise(b, unix.MADV_HUGEPAGE) == nil {
		_ = unix.Madvise(b, unix.MADV_COLLAPSE) // at once, from Linux 6.1 on
	}
}

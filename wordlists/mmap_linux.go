// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"os"

	"golang.org/x/sys/unix"
)

// adviseHuge asks for pages of 2 MiB, which spare a random read most of its
// address translation.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// populate reads a part of a mapping in and enters its pages into the page
// table, so that no look-up meets a fault. What was not in memory before comes
// in pages of 2 MiB when adviseHuge asked for them and the file system has them
// (ext4 from Linux 6.16, XFS, Btrfs); what was stays as it is.
func populate(b []byte) {
	b = wholePages(b)
	for len(b) > 0 {
		// In steps, since a signal ends the call early.
		n := min(len(b), 64<<20)
		if err := unix.Madvise(b[:n], unix.MADV_POPULATE_READ); err == unix.EINTR || err == unix.EAGAIN {
			continue
		} else if err != nil { // before Linux 5.14
			willNeed(b)
			return
		}
		b = b[n:]
	}
}

// forget lets go of a finished file's pages, so that writing a new index does
// not push the one in use out of memory, and whoever opens it next chooses how
// its pages are read.
func forget(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

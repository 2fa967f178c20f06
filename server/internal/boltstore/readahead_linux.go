// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore

import (
	"os"

	"golang.org/x/sys/unix"
)

// readAhead asks the system to read a part of f that is going to be needed, and
// waits for nothing. It is no more than advice.
func readAhead(f *os.File, offset, length int64) {
	_ = unix.Fadvise(int(f.Fd()), offset, length, unix.FADV_WILLNEED)
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix

package wordlists

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the advisory lock of a file, or fails at once. It is given
// back when the file is closed.
func lockFile(f *os.File) error {
	return os.NewSyscallError("flock", unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

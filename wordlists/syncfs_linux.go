// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncFolder makes sure that a folder's files are on disk: all at once, since
// a million single calls would take hours.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(d.Fd()))), d.Close())
}

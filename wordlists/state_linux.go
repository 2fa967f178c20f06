// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// fileState tells one state of a file from another. Its inode and the time of
// its last change of any kind are not put back by tools that keep times, such
// as cp -p, rsync -t and tar.
func fileState(st os.FileInfo) string {
	s := fmt.Sprintf("%d %d", st.Size(), st.ModTime().UnixNano())
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		s += fmt.Sprintf(" %d %d %d", sys.Dev, sys.Ino, sys.Ctim.Nano())
	}
	return s
}

// changed is when a file last changed.
func changed(st os.FileInfo) time.Time {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return time.Unix(0, max(sys.Ctim.Nano(), st.ModTime().UnixNano()))
	}
	return st.ModTime()
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix

package daemon

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// foreign tells whether a file belongs to another user than this process, root
// apart: it can change every file anyhow.
func foreign(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) != os.Geteuid() && sys.Uid != 0
}

// mounted tells whether a file is root's, readable by a group of this process
// and by nobody else, and cannot be written by either.
func mounted(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	groups, err := os.Getgroups()
	return ok && err == nil && lentToGroup(st.Mode(), int(sys.Uid), int(sys.Gid), os.Geteuid(), append(groups, os.Getegid()))
}

// lentToGroup is mounted for a file of a mode, owner and group, and a process of
// a user and groups.
func lentToGroup(mode fs.FileMode, uid, gid, self int, groups []int) bool {
	return uid == 0 && self != 0 && mode.Perm()&0o037 == 0 && slices.Contains(groups, gid)
}

// freeBytes gives the room on a directory's disk, 0 when that is not known.
func freeBytes(dir string) uint64 {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0
	}
	return st.Bavail * uint64(st.Bsize)
}

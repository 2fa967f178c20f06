// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// refuseDumps keeps the memory of this process, which holds passwords in
// passing, out of core files and away from other processes of the same user.
func refuseDumps() error {
	return errors.Join(unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}), unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

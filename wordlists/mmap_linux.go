// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import "golang.org/x/sys/unix"

// adviseHuge asks for pages of 2 MiB, which spare a random read most of its
// address translation.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !unix

package daemon

import "io/fs"

func foreign(fs.FileInfo) bool { return false }

func freeBytes(string) uint64 { return 0 }

func mounted(fs.FileInfo) bool { return false }

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !linux && !wasip1

package wordlists

import "github.com/watchword-project/watchword/wordlists/internal/whole"

// syncFolder makes the folder's names durable; its files are left to the
// system, and a range that was lost shows by its size when it is asked for.
func syncFolder(path string) error { return whole.SyncDir(path) }

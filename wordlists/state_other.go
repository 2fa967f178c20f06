// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !linux && !wasip1

package wordlists

import (
	"fmt"
	"os"
	"time"
)

// fileState tells one state of a file from another, as far as the portable
// facts about it do.
func fileState(st os.FileInfo) string {
	return fmt.Sprintf("%d %d", st.Size(), st.ModTime().UnixNano())
}

// changed is when a file last changed.
func changed(st os.FileInfo) time.Time { return st.ModTime() }

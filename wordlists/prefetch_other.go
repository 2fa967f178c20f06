// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build ((!amd64 && !arm64) || purego) && !wasip1

package wordlists

import "unsafe"

func prefetch(unsafe.Pointer) {}

func prefetchRun(unsafe.Pointer) {}

func prefetchAll([]uintptr, uintptr) {}

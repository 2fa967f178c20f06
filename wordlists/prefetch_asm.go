// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build (amd64 || arm64) && !purego

package wordlists

import "unsafe"

// prefetch starts to bring the index line at p near, without waiting and
// without faulting.
//
//go:noescape
func prefetch(p unsafe.Pointer)

// prefetchRun does so with the two lines behind it too: a run that was pushed
// out of its home line lies in one of them in 97 of 100 cases.
//
//go:noescape
func prefetchRun(p unsafe.Pointer)

// prefetchAll is prefetch for many addresses, one right after the other, and
// for what lies so many bytes behind each.
//
//go:noescape
func prefetchAll(lines []uintptr, also uintptr)

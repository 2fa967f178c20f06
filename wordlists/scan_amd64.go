// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !purego

package wordlists

import "golang.org/x/sys/cpu"

// What the processor has of what the fast ways below need. They give what the
// portable ones give; tests hold them to that.
var (
	hasMatchAll = cpu.X86.HasAVX2
	hasCheckAll = cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
)

//go:noescape
func matchAVX2(masks *uint64, lines *uintptr, rems *uint64, n int)

//go:noescape
func checkAVX512(lines *uintptr, seeds *uint64, n int) (bad uint64)

// matchAll is matches for many lines and remainders; masks and rems must be as
// long as lines.
func matchAll(masks []uint64, lines []uintptr, rems []uint64) {
	if n := len(lines); n == 0 {
		return
	} else if _, _ = masks[n-1], rems[n-1]; hasMatchAll {
		matchAVX2(&masks[0], &lines[0], &rems[0], n)
		return
	}
	matchEach(masks, lines, rems)
}

// checkAll reports whether many lines fit their checks; seeds, of checkSeed,
// must be as long as lines.
func checkAll(lines []uintptr, seeds []uint64) bool {
	if n := len(lines); n == 0 {
		return true
	} else if _ = seeds[n-1]; hasCheckAll {
		return checkAVX512(&lines[0], &seeds[0], n) == 0
	}
	return checkEach(lines, seeds)
}

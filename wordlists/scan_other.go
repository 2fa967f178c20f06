// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build (!amd64 || purego) && !wasip1

package wordlists

func matchAll(masks []uint64, lines []uintptr, rems []uint64) { matchEach(masks, lines, rems) }

func checkAll(lines []uintptr, seeds []uint64) bool { return checkEach(lines, seeds) }

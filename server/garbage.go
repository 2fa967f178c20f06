// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// maxGarbage is about how many bytes may await collection.
const maxGarbage = 48 << 20

// boundGarbage makes the collector's pace fit a heap whose greater part is the
// throttle's tables: reserved at the start, touched as lanes come, and without
// pointers. At the usual pace the garbage of a login storm would grow to their
// size before it was collected, which under a memory limit would end the
// process; and a collection costs no more for them. GOGC in the environment
// wins.
func boundGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(int(min(100, max(10, maxGarbage*100/m.HeapAlloc))))
}

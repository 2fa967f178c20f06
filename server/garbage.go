// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// The garbage that may await collection, in bytes, in a server that has
	// little to do and in one that has much.
	leastGarbage = 6 << 20
	mostGarbage  = 64 << 20
	// With more collections a second than this, more garbage may wait. Each takes
	// some milliseconds of processor time.
	manyCollections = 10
)

// boundGarbage makes the collector's pace fit a heap whose greater part is the
// throttle's tables: reserved at the start, touched as lanes come, and without
// pointers. At the usual pace the garbage of a login storm would grow to their
// size before it was collected, which under a memory limit would end the
// process; and a collection costs no more for them. GOGC in the environment
// wins.
func boundGarbage(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	const cycles, live = 0, 1
	read := []metrics.Sample{cycles: {Name: "/gc/cycles/total:gc-cycles"}, live: {Name: "/gc/heap/live:bytes"}}
	allow, percent := uint64(leastGarbage), -1
	pace := func() (collections uint64) {
		before := read[cycles].Value
		metrics.Read(read)
		if p := int(max(1, allow*100/max(1, read[live].Value.Uint64()))); p != percent {
			percent = p
			debug.SetGCPercent(p)
		}
		if before.Kind() == metrics.KindBad { // the first look
			return 0
		}
		return read[cycles].Value.Uint64() - before.Uint64()
	}
	runtime.GC() // what lives is known from now on
	pace()
	go func() {
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-second.C:
			}
			switch n := pace(); {
			case n > manyCollections:
				allow = min(2*allow, mostGarbage)
			case n < manyCollections/4:
				allow = max(allow-allow/16, leastGarbage) // within half a minute
			}
		}
	}()
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package door is how a page and a module speak. A caller asks input for room,
// writes into it, calls, and reads as many bytes from output as the call
// returned; tidy is for a moment in which nobody waits. Whatever was written is
// overwritten before a call returns. There is no call outwards but those by
// which Go's runtime asks for the time and random bytes.
package door

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"unsafe"
)

const (
	maxInput = 16 << 20
	ordinary = 512 << 10 // more than any check needs
)

var (
	buffer []byte
	output []byte
)

// The runtime collects garbage beside the program, in its idle time. There is
// none here: it stands still between calls, and on a busy machine a cycle never
// came to its end while memory grew. So the caller lets it tidy up between calls,
// and a call that finds more than most bytes behind it does so before it returns.
const (
	litter = 4 << 20
	most   = 32 << 20
)

var (
	allocated = []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	collected uint64
)

func init() { debug.SetGCPercent(-1) }

func collect(limit uint64) {
	metrics.Read(allocated)
	if now := allocated[0].Value.Uint64(); now-collected > limit {
		runtime.GC()
		collected = now
	}
}

//go:wasmexport tidy
func tidy() { collect(litter) }

//go:wasmexport input
func input(n uint32) unsafe.Pointer {
	if n > maxInput {
		return nil
	}
	if uint32(len(buffer)) < n {
		clear(buffer)
		buffer = make([]byte, max(n, 64<<10))
	}
	return unsafe.Pointer(unsafe.SliceData(buffer))
}

//go:wasmexport output
func outputAddress() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(output)) }

// Keep gives the first n bytes of what was written, to be kept, or nil when
// there are fewer.
func Keep(n uint32) []byte {
	if uint64(n) > uint64(len(buffer)) {
		return nil
	}
	given := buffer[:n:n]
	buffer = nil
	return given
}

// Take cuts texts from the front of what was written. Lengths beyond it panic,
// which Answer turns into an answer.
func Take(n ...uint32) (out [3][]byte) {
	rest := buffer
	for i, n := range n {
		out[i], rest = rest[:n:n], rest[n:]
	}
	return out
}

// Answer runs one call, and gives the length of its answer. One that panics
// answers failed: the panic's own text could hold what it should not.
func Answer(failed []byte, f func() []byte) (n uint32) {
	defer func() {
		if recover() != nil {
			output = failed
			n = uint32(len(output))
		}
		clear(buffer)
		if len(buffer) > ordinary { // a policy, and no need to overwrite as much each time
			buffer = nil
		}
		collect(most)
	}()
	output = f()
	return uint32(len(output))
}

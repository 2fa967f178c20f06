// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"unsafe"

	"github.com/watchword-project/watchword/server/internal/meter"
	"github.com/watchword-project/watchword/server/internal/strength"
	"github.com/watchword-project/watchword/wordlists"
)

// The engine's door. A caller asks input for room, writes into it, calls, and
// reads as many bytes from output as the call returned:
//
//	input(n)                          address of n bytes
//	tables(kind, n)                   what was written is a table: 1 strength, 2 list
//	open()                            tables are complete; names of the built-in policies
//	load(n)                           a JSON list of policies
//	release(handle)
//	tidy()                            a moment in which nobody waits
//	describe(handle, n)               JSON options
//	check(handle, password, previous, options)
//	                                  lengths of three texts, one behind the other
//
// Whatever was written is overwritten before a call returns. There is no call
// outwards but those by which Go's runtime asks for the time and random bytes.
const (
	maxInput = 16 << 20
	ordinary = 512 << 10 // more than any check needs
)

var (
	buffer []byte
	output []byte
	model  *strength.Model
	list   *wordlists.CommonList
	engine *meter.Engine
)

func main() {}

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

//go:wasmexport tables
func tables(kind, n uint32) uint32 {
	if uint64(n) > uint64(len(buffer)) {
		return 0
	}
	given := buffer[:n:n]
	buffer = nil // the table keeps it
	var err error
	switch kind {
	case 1:
		model, err = strength.Parse(given)
	case 2:
		list, err = wordlists.ViewCommon(given)
	default:
		return 0
	}
	if err != nil {
		return 0
	}
	return 1
}

//go:wasmexport open
func open() uint32 {
	return answer(func() (any, error) {
		if model == nil {
			return nil, &meter.Error{Reason: meter.Internal, Message: "the tables are missing"}
		}
		engine = meter.New(model, list)
		return meter.Names(), nil
	})
}

//go:wasmexport load
func load(n uint32) uint32 {
	return answer(func() (any, error) { return engine.Load(take(n, 0, 0)[0]) })
}

//go:wasmexport release
func release(handle uint32) { engine.Release(int(handle)) }

//go:wasmexport describe
func describe(handle, n uint32) uint32 {
	return answer(func() (any, error) { return engine.Describe(int(handle), take(n, 0, 0)[0]) })
}

//go:wasmexport check
func check(handle, password, previous, options uint32) uint32 {
	return answer(func() (any, error) {
		in := take(password, previous, options)
		return engine.Check(int(handle), in[0], in[1], in[2])
	})
}

// take cuts three texts from the front of the buffer. Lengths beyond it panic,
// which answer turns into an error.
func take(n ...uint32) (out [3][]byte) {
	rest := buffer
	for i, n := range n {
		out[i], rest = rest[:n:n], rest[n:]
	}
	return out
}

// answer runs one call. A panic becomes an answer without its text, which could
// hold what it should not.
func answer(f func() (any, error)) (n uint32) {
	defer func() {
		if recover() != nil {
			output = meter.JSON(nil, &meter.Error{Reason: meter.Internal, Message: "internal error"})
			n = uint32(len(output))
		}
		clear(buffer)
		if len(buffer) > ordinary { // a policy, and no need to overwrite as much each time
			buffer = nil
		}
		collect(most)
	}()
	output = meter.JSON(f())
	return uint32(len(output))
}

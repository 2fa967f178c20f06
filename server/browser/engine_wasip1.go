// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"github.com/watchword-project/watchword/server/browser/door"
	"github.com/watchword-project/watchword/server/internal/meter"
	"github.com/watchword-project/watchword/server/internal/strength"
	"github.com/watchword-project/watchword/wordlists"
)

// The engine's calls, behind those of its door:
//
//	tables(kind, n)                   what was written is a table: 1 strength, 2 list
//	open()                            tables are complete; names of the built-in policies
//	load(n)                           a JSON list of policies
//	release(handle)
//	describe(handle, n)               JSON options
//	check(handle, password, previous, options)
//	                                  lengths of three texts, one behind the other
var (
	model  *strength.Model
	list   *wordlists.CommonList
	engine *meter.Engine
)

func main() {}

//go:wasmexport tables
func tables(kind, n uint32) uint32 {
	given := door.Keep(n)
	var err error
	switch {
	case given == nil:
		return 0
	case kind == 1:
		model, err = strength.Parse(given)
	case kind == 2:
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
	return answer(func() (any, error) { return engine.Load(door.Take(n)[0]) })
}

//go:wasmexport release
func release(handle uint32) { engine.Release(int(handle)) }

//go:wasmexport describe
func describe(handle, n uint32) uint32 {
	return answer(func() (any, error) { return engine.Describe(int(handle), door.Take(n)[0]) })
}

//go:wasmexport check
func check(handle, password, previous, options uint32) uint32 {
	return answer(func() (any, error) {
		in := door.Take(password, previous, options)
		return engine.Check(int(handle), in[0], in[1], in[2])
	})
}

var internal = meter.JSON(nil, &meter.Error{Reason: meter.Internal, Message: "internal error"})

func answer(f func() (any, error)) uint32 {
	return door.Answer(internal, func() []byte { return meter.JSON(f()) })
}

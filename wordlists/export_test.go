// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"context"
	"math/bits"
	"unsafe"
)

// BuildSegments builds from a function that adds the entries of a segment in
// ascending order, so that corpora larger than any text file can be tested.
func BuildSegments(ctx context.Context, opts BuildOptions, gen func(id int, add func(Key, uint32) error) error) (*BuildResult, error) {
	opts.In = "generated"
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	a := &assembly{opts: &opts, res: &BuildResult{}, start: opts.Now()}
	return a.build(ctx, genSource(gen))
}

type genSource func(id int, add func(Key, uint32) error) error

func (g genSource) segment(_ context.Context, id int, w *worker) error {
	return g(id, func(k Key, n uint32) error { return w.addEntry(&k, n) })
}
func (genSource) sequential() bool { return false }
func (genSource) identity() string { return "" }
func (genSource) size() int64      { return 0 }

// Floor reads one byte of a random line of the same memory that look-ups use:
// the least that any look-up in a structure of this size can cost.
type Floor struct {
	base  unsafe.Pointer
	lines uint64
}

// NewFloor needs an index without tails, whose memory is nearly all lines.
func NewFloor(x *Index) Floor {
	mem := x.mem[dataStart : len(x.mem)-footerSize]
	if x.heads != nil {
		mem = x.heads
	}
	return Floor{unsafe.Pointer(&mem[0]), uint64(len(mem)) / lineSize}
}

func (f Floor) Read(key *Key) byte {
	n, _ := bits.Mul64(key.head()*mix1, f.lines)
	return *(*byte)(unsafe.Add(f.base, n*lineSize))
}

// Lines is the share of the file that lines take, in bytes.
func (x *Index) HeadBytes() (n int64) {
	for id := range x.cold {
		n += int64(len(x.cold[id].head))
	}
	return n
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"context"
	"encoding/binary"
	"math/bits"
	"time"
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

func (genSource) state(int) (string, bool) { return "", false }

// SetSettled sets how long ago a file must have changed for its times to be
// trusted, and gives a function that sets it back.
func SetSettled(d time.Duration) func() {
	old := settled
	settled = d
	return func() { settled = old }
}

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

// HomeLines is the number of lines that keys are spread over.
func (x *Index) HomeLines() (n uint64) {
	for id := range x.hot {
		n += x.hot[id].homes
	}
	return n
}

// HeadBytes is the share of the file that look-ups can touch.
func (x *Index) HeadBytes() (n int64) {
	for id := range x.cold {
		n += int64(len(x.cold[id].head))
	}
	return n
}

// Reseal makes every checksum of a file fit its bytes again, as a hostile
// author would.
func Reseal(file []byte) {
	if len(file) < dataStart+footerSize {
		return
	}
	table := file[fileHeaderSize:dataStart]
	body := file[:len(file)-footerSize]
	for id := range segmentCount {
		var e tableEntry
		e.get(table[id*tableEntrySize:])
		if e.layout == layoutEmpty || e.offset < dataStart || e.offset > uint64(len(body)) {
			continue
		}
		sec := e.sections(SHA1)
		if sec.end > uint64(len(body))-e.offset || sec.tailCRC > sec.end {
			continue
		}
		b := body[e.offset:][:sec.end]
		if e.layout == layoutLines {
			for l := range uint64(e.lines) {
				line := (*[lineSize]byte)(b[sec.lines+l*lineSize:])
				w := binary.LittleEndian.Uint64(line[56:]) & (1<<checkShift - 1)
				binary.LittleEndian.PutUint64(line[56:], w)
				binary.LittleEndian.PutUint64(line[56:], w|lineCheck(line, uint64(id), l)<<checkShift)
			}
			for g := range sec.groups {
				at := b[sec.dir+g*8:]
				w := binary.LittleEndian.Uint64(at) & (1<<dirCheckShift - 1)
				binary.LittleEndian.PutUint64(at, w|dirCheck(w, uint64(id), g)<<dirCheckShift)
			}
		}
		var h segmentHeader
		h.id = uint16(id)
		h.kind = SHA1
		h.row = e
		if e.layout == layoutPlain {
			h.crcLines = crcOf(b[sec.lines:])
		} else {
			h.crcLines = crcOf(b[sec.lines:sec.dir])
			h.crcDir = crcOf(b[sec.dir:sec.exc])
			h.crcExc = crcOf(b[sec.exc:sec.tailCRC])
			h.crcTail = crcOf(b[sec.tailCRC:])
		}
		e.crc = h.put(b)
		e.put(table[id*tableEntrySize:])
	}
	ResealFrame(file)
}

// ResealFrame makes the checksums of header and table fit their bytes again.
func ResealFrame(file []byte) {
	binary.LittleEndian.PutUint32(file[fileHeaderSize-4:], crcOf(file[:fileHeaderSize-4]))
	putFooter(file[len(file)-footerSize:], file[:fileHeaderSize], file[fileHeaderSize:dataStart], uint64(len(file)))
}

// TweakLeet and LeetMaps are what is written for letters.
const TweakLeet = tweakLeet

var LeetMaps = &leetMaps

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"encoding/binary"
	"math/bits"
)

const (
	// fillPercent10 is the share of slots filled, in tenths of a per cent.
	// Denser lines push runs further from home: at 95.5 % about nine hits in
	// ten lie in the home line or the next one, which the same memory access
	// brings along; at 98 % only six do.
	fillPercent10 = 955

	// spillLines is the most lines that the runs of the last home lines can
	// take behind the addressed ones.
	spillLines = (maxOffset+maxRun)/slotsPerLine + 2

	// raiseLimit bounds how often a segment's line count may be raised by a
	// quarter before it is stored plain.
	raiseLimit = 10
)

// builder packs one segment at a time. Its buffers are reused, so a worker's
// memory stays at what the largest segment needed.
type builder struct {
	kind Kind
	full bool

	// The entries, in strictly ascending order of their keys.
	pos    []uint64 // head with the segment's bits shifted out
	counts []uint32
	tails  []byte // stride bytes each, from hash byte 6; only when full or plain
	stride int

	out   []byte // the packed segment
	exc   []byte
	excOf []uint32 // first exception byte of each group
	hdr   segmentHeader

	prefixes [perSegment]uint32
}

func newBuilder(kind Kind, full bool) *builder {
	return &builder{kind: kind, full: full, stride: kind.Size() - 6}
}

func (b *builder) reset() {
	b.pos, b.counts, b.tails = b.pos[:0], b.counts[:0], b.tails[:0]
}

// add appends an entry. Keys must come in ascending order.
func (b *builder) add(key *Key, count uint32) {
	b.pos = append(b.pos, key.head()<<segmentBits)
	b.counts = append(b.counts, count)
	if b.full {
		b.tails = append(b.tails, key[6:6+b.stride]...)
	}
}

// pack lays the entries out as segment id and returns its row, without offset,
// and its bytes, which stay valid until the next call.
func (b *builder) pack(id uint16) (tableEntry, []byte) {
	n := len(b.pos)
	b.hdr = segmentHeader{id: id, kind: b.kind}
	if n == 0 {
		return tableEntry{}, nil
	}
	homes := uint64(n)*1000/(slotsPerLine*fillPercent10) + 1
	homes = max(homes, 2)
	return b.packHomes(id, homes, raiseLimit)
}

// packHomes is pack with a given line count, to be raised up to raises times.
func (b *builder) packHomes(id uint16, homes uint64, raises int) (tableEntry, []byte) {
	b.hdr = segmentHeader{id: id, kind: b.kind}
	b.tally()
	for ; !b.place(id, homes); raises-- {
		if raises <= 0 {
			return b.packPlain(id)
		}
		homes += homes/4 + 1
	}
	return b.hdr.row, b.out
}

// packExactly is pack with a line count that must not be raised; it reports
// whether the entries fit.
func (b *builder) packExactly(id uint16, homes uint64) bool {
	b.hdr = segmentHeader{id: id, kind: b.kind}
	b.tally()
	return b.place(id, homes)
}

// tally computes what the header says about counts and prefixes.
func (b *builder) tally() {
	clear(b.prefixes[:])
	for i, p := range b.pos {
		b.prefixes[p>>56]++
		b.hdr.sum += uint64(b.counts[i])
	}
	b.hdr.maxRange, b.hdr.minRange = b.prefixes[0], b.prefixes[0]
	for i, c := range b.prefixes {
		if c > b.hdr.maxRange {
			b.hdr.maxRange, b.hdr.maxAt = c, uint8(i)
		}
		if c < b.hdr.minRange {
			b.hdr.minRange, b.hdr.minAt = c, uint8(i)
		}
	}
}

// place lays out lines for the given number of home lines. It reports false,
// with nothing promised about the buffers, when a run or its offset is wider
// than its field.
func (b *builder) place(id uint16, homes uint64) bool {
	seg := uint64(id)
	room := segmentHeaderSize + (homes+spillLines)*lineSize
	b.out = grow(b.out[:0], int(room))
	clear(b.out)
	lines := b.out[segmentHeaderSize:]
	b.exc, b.excOf = b.exc[:0], append(b.excOf[:0], 0)

	var (
		next     uint64 // first free slot
		home     uint64
		offset   uint64 // of the home's run
		run      uint64 // entries of it so far
		lastRem  uint64
		twins    uint8
		excGroup uint64 // group whose exceptions are being written
	)
	endRun := func() {
		binary.LittleEndian.PutUint32(lines[home*lineSize+60:], uint32(run<<10|offset))
	}
	closeGroups := func(upTo uint64) {
		for ; excGroup < upTo; excGroup++ {
			if start := int(b.excOf[excGroup]); len(b.exc) > start {
				b.exc = append(b.exc, exceptionCheck(b.exc[start:], seg, excGroup))
			}
			b.excOf = append(b.excOf, uint32(len(b.exc)))
		}
	}
	for i, pos := range b.pos {
		h, rem := split(pos, homes)
		switch {
		case h != home:
			endRun()
			home, run = h, 0
			next = max(next, h*slotsPerLine)
			if offset = next - h*slotsPerLine; offset > maxOffset {
				return false
			}
		case rem == lastRem && run > 0:
			twins = segTwins
		}
		lastRem = rem
		if run++; run > maxRun {
			return false
		}
		code := uint64(b.counts[i] - 1)
		if b.counts[i] > countInRow {
			code = countInRow
			closeGroups(next / groupSlots)
			b.exc = append(b.exc, byte(next%groupSlots))
			b.exc = binary.AppendUvarint(b.exc, uint64(b.counts[i]-countInRow-1))
		}
		at := lines[next/slotsPerLine*lineSize+next%slotsPerLine*slotBytes:]
		v := rem<<4 | code
		at[0], at[1], at[2], at[3], at[4] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32)
		next++
	}
	endRun()
	used := max(homes, (next+slotsPerLine-1)/slotsPerLine)
	groups := (used+groupLines-1)/groupLines + 1
	closeGroups(groups - 1)
	if len(b.exc) > dirOffsetMax {
		return false
	}

	row := tableEntry{
		entries: uint32(len(b.pos)), homes: uint32(homes), lines: uint32(used),
		excBytes: uint32(len(b.exc)), layout: layoutLines, flags: twins,
	}
	if b.full {
		row.tailFrom = tailStart(row.homes)
	}
	sec := row.sections(b.kind)
	b.out = grow(b.out[:sec.dir], int(sec.end))
	lines = b.out[sec.lines:sec.dir]

	var rank uint64
	for l := range used {
		line := (*[lineSize]byte)(lines[l*lineSize:])
		if l%groupLines == 0 {
			g := l / groupLines
			binary.LittleEndian.PutUint64(b.out[sec.dir+g*8:], dirWord(uint64(b.excOf[g]), rank, seg, g))
		}
		w := binary.LittleEndian.Uint64(line[56:])
		rank += w >> (metaShift + 10) & maxRun
		binary.LittleEndian.PutUint64(line[56:], w|lineCheck(line, seg, l)<<checkShift)
	}
	g := groups - 1
	binary.LittleEndian.PutUint64(b.out[sec.dir+g*8:], dirWord(uint64(b.excOf[g]), rank, seg, g))
	copy(b.out[sec.exc:], b.exc)
	clear(b.out[sec.pad1:sec.tailCRC])
	if b.full {
		b.placeTail(sec, int(row.tailFrom))
	}
	clear(b.out[sec.pad2:sec.end])

	b.hdr.row = row
	b.hdr.crcLines = crcOf(b.out[sec.lines:sec.dir])
	b.hdr.crcDir = crcOf(b.out[sec.dir:sec.exc])
	b.hdr.crcExc = crcOf(b.out[sec.exc:sec.tailCRC])
	b.hdr.crcTail = crcOf(b.out[sec.tailCRC:sec.end])
	b.hdr.row.crc = b.hdr.put(b.out)
	return true
}

func (b *builder) placeTail(sec sections, from int) {
	tail := b.out[sec.tail:sec.pad2]
	stride := int(sec.stride)
	skip := from - 6
	for i, at := 0, 0; at < len(tail); i, at = i+1, at+stride {
		copy(tail[at:at+stride], b.tails[i*b.stride+skip:(i+1)*b.stride])
	}
	block := tailBlock * stride
	for i := 0; i*block < len(tail); i++ {
		part := tail[i*block : min(len(tail), (i+1)*block)]
		binary.LittleEndian.PutUint32(b.out[sec.tailCRC+uint64(i)*4:], crcOf(part))
	}
}

// packPlain stores whole records in order. It is the form for lists that are
// not spread like hashes, where no affordable number of lines separates runs.
func (b *builder) packPlain(id uint16) (tableEntry, []byte) {
	row := tableEntry{entries: uint32(len(b.pos)), layout: layoutPlain}
	sec := row.sections(b.kind)
	b.out = grow(b.out[:0], int(sec.end))
	clear(b.out)
	for i, pos := range b.pos {
		rec := b.out[segmentHeaderSize+i*plainRecord:]
		binary.BigEndian.PutUint64(rec, pos>>segmentBits|uint64(id)<<(64-segmentBits))
		if b.full {
			copy(rec[6:20], b.tails[i*b.stride:(i+1)*b.stride])
		}
		binary.LittleEndian.PutUint32(rec[20:], b.counts[i])
		binary.LittleEndian.PutUint32(rec[24:], uint32(i))
		binary.LittleEndian.PutUint32(rec[28:], crcOf(rec[:28]))
	}
	b.hdr.row = row
	b.hdr.crcLines = crcOf(b.out[sec.lines:sec.end])
	b.hdr.row.crc = b.hdr.put(b.out)
	return b.hdr.row, b.out
}

// grow returns b with the given length, reallocating when it must. Bytes past
// the old length are whatever they were.
func grow(b []byte, size int) []byte {
	if cap(b) >= size {
		return b[:size]
	}
	n := make([]byte, size, size+size/8)
	copy(n, b)
	return n
}

// restorePos gives the smallest position that splits into home and rem, and
// the first one that does not, for lists that keep no tails.
func restorePos(home, rem, homes uint64) (low, high uint64) {
	low = ceilDiv(home, rem<<28, homes)
	if rem == 1<<36-1 {
		home, rem = home+1, 0
	} else {
		rem++
	}
	if home == homes && rem == 0 {
		return low, 0 // 2^64
	}
	return low, ceilDiv(home, rem<<28, homes)
}

// ceilDiv is (hi·2^64 + lo) / d rounded up, for hi < d.
func ceilDiv(hi, lo, d uint64) uint64 {
	q, r := bits.Div64(hi, lo, d)
	if r > 0 {
		q++
	}
	return q
}

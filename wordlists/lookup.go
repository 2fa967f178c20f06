// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"runtime/debug"
	"sort"
	"unsafe"
)

// Contains reports whether a key is listed. When err is not nil, nothing is
// known about the key.
func (x *Index) Contains(key Key) (bool, error) {
	_, found, err := x.Count(key)
	return found, err
}

// Count gives how often a key was seen, and whether it is listed at all; a
// listed key has a count of at least one. When err is not nil, nothing is
// known about the key. Count does not allocate.
//
// Two listed hashes that agree in all the bits the index addresses by (about
// 60) answer alike, with the larger count, unless the index was opened Exact.
func (x *Index) Count(key Key) (n uint32, found bool, err error) {
	// As catchFault does, but without a call on the usual way out.
	old, done := debug.SetPanicOnFault(true), false
	defer func() {
		debug.SetPanicOnFault(old)
		if !done {
			err = faultError(recover())
		}
	}()
	n, found, err = x.count(&key)
	done = true
	return n, found, err
}

func (x *Index) count(key *Key) (uint32, bool, error) {
	head := key.head()
	id := head >> (64 - segmentBits)
	s := &x.hot[id]
	if s.homes == 0 {
		if s.aside == 0 {
			return 0, false, nil
		}
		return x.countPlain(id, key)
	}
	home, rem := split(head<<segmentBits, s.homes)
	prefetchRun(unsafe.Pointer(s.line(home)))
	n, slot, err := x.probe(key, s, id, home, rem)
	if slot != noSlot {
		s.expectException(slot)
		return x.exception(id, slot)
	}
	return n, n != 0, err
}

// noSlot is no slot's number.
const noSlot = ^uint64(0)

// probe looks for a remainder among the entries of a home line. It gives the
// count, 0 when there is none, or the slot whose count is kept aside.
func (x *Index) probe(key *Key, s *hotSegment, id, home, rem uint64) (n uint32, aside uint64, err error) {
	line := s.line(home)
	word := binary.LittleEndian.Uint64(line[56:])
	if word>>checkShift != lineCheck(line, id, home) {
		return 0, noSlot, ErrCorrupt
	}
	run := word >> (metaShift + 10) & maxRun
	if run == 0 {
		return 0, noSlot, nil
	}
	if s.flags|b2u(x.exact) != 0 {
		n, _, err = x.countSlow(key, s, id, home, rem)
		return n, noSlot, err
	}
	start := home*slotsPerLine + word>>metaShift&maxOffset
	end := start + run
	// Remainders of a run are uniform and ascend, so the wanted one is near
	// its share of the run's length. A line is compared as a whole, without
	// branches that the processor could not foresee.
	l := (start + rem*run>>36) / slotsPerLine
	up, down := false, false
	for {
		if l != home {
			if l >= s.stored {
				return 0, noSlot, ErrCorrupt
			}
			if line = s.line(l); binary.LittleEndian.Uint64(line[56:])>>checkShift != lineCheck(line, id, l) {
				return 0, noSlot, ErrCorrupt
			}
		}
		first := l * slotsPerLine
		from, to := max(start, first)-first, min(end, first+slotsPerLine)-first
		if m := matches(line, rem) >> from << from & (1<<to - 1); m != 0 {
			i := uint64(bits.TrailingZeros64(m))
			if code := slot(line, i) & 15; code < countInRow {
				return uint32(code) + 1, noSlot, nil
			}
			return 0, first + i, nil
		}
		switch {
		case start < first && !up && rem < slot(line, from)>>4:
			line, l, down = s.line(home), l-1, true
		case end > first+slotsPerLine && !down && rem > slot(line, to-1)>>4:
			line, l, up = s.line(home), l+1, true
		default:
			return 0, noSlot, nil
		}
	}
}

// matches compares a remainder with all slots of a line: bit i of the result
// is slot i's.
func matches(line *[lineSize]byte, rem uint64) (m uint64) {
	// A slot's word, shifted up by 24, has its remainder on top, 28 bits high;
	// the exclusive or with the wanted one is below 2^28 when they are equal.
	rem <<= 28
	var low, high, b uint64
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[25:])<<24^rem, 1<<28, 0)
	low += low + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[55:])<<24^rem, 1<<28, 0)
	high += high + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[20:])<<24^rem, 1<<28, 0)
	low += low + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[50:])<<24^rem, 1<<28, 0)
	high += high + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[15:])<<24^rem, 1<<28, 0)
	low += low + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[45:])<<24^rem, 1<<28, 0)
	high += high + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[10:])<<24^rem, 1<<28, 0)
	low += low + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[40:])<<24^rem, 1<<28, 0)
	high += high + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[5:])<<24^rem, 1<<28, 0)
	low += low + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[35:])<<24^rem, 1<<28, 0)
	high += high + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[0:])<<24^rem, 1<<28, 0)
	low += low + b
	_, b = bits.Sub64(binary.LittleEndian.Uint64(line[30:])<<24^rem, 1<<28, 0)
	high += high + b
	return low | high<<6
}

// line returns line number n, which must be below s.stored.
func (s *hotSegment) line(n uint64) *[lineSize]byte {
	return (*[lineSize]byte)(unsafe.Add(s.lines, n*lineSize))
}

// end is where the lines end, and the directory begins.
func (s *hotSegment) end() uintptr { return uintptr(s.lines) + uintptr(s.stored*lineSize) }

// slot returns the five bytes of slot i, which must be below slotsPerLine.
func slot(line *[lineSize]byte, i uint64) uint64 {
	return binary.LittleEndian.Uint64(line[i*slotBytes:]) & (1<<40 - 1)
}

func b2u(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// cursor reads slots of a segment, checking each line once as it comes to it.
type cursor struct {
	s    *hotSegment
	id   uint64
	at   uint64 // number of the line held
	line *[lineSize]byte
}

func (c *cursor) seek(l uint64) bool {
	if c.line != nil && c.at == l {
		return true
	}
	if l >= c.s.stored {
		return false
	}
	c.line, c.at = c.s.line(l), l
	return binary.LittleEndian.Uint64(c.line[56:])>>checkShift == lineCheck(c.line, c.id, l)
}

// run gives the first slot and the length of a home line's run.
func (c *cursor) run(home uint64) (start, length uint64, ok bool) {
	if !c.seek(home) {
		return 0, 0, false
	}
	word := binary.LittleEndian.Uint64(c.line[56:])
	return home*slotsPerLine + word>>metaShift&maxOffset, word >> (metaShift + 10) & maxRun, true
}

// countSlow walks the whole run: for Exact, and for segments in which two
// entries share a remainder.
func (x *Index) countSlow(key *Key, s *hotSegment, id, home, rem uint64) (best uint32, found bool, err error) {
	c := cursor{s: s, id: id}
	start, run, ok := c.run(home)
	if !ok {
		return 0, false, ErrCorrupt
	}
	rank := ^uint64(0)
	for p := start; p < start+run; p++ {
		if !c.seek(p / slotsPerLine) {
			return 0, false, ErrCorrupt
		}
		v := slot(c.line, p%slotsPerLine)
		if v>>4 > rem {
			break
		}
		if v>>4 < rem {
			continue
		}
		if x.exact {
			if rank == ^uint64(0) {
				if rank, err = x.rank(id, home); err != nil {
					return 0, false, err
				}
			}
			same, err := x.tailEqual(id, rank+p-start, key)
			if err != nil {
				return 0, false, err
			}
			if !same {
				continue
			}
		}
		n := uint32(v&15) + 1
		if v&15 == countInRow {
			if n, _, err = x.exception(id, p); err != nil {
				return 0, false, err
			}
		}
		best, found = max(best, n), true
	}
	return best, found, nil
}

// dirWord is the directory word of a group, which must be below s.groups()+1.
func (s *hotSegment) dirWord(group uint64) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(pointer(s.end() + uintptr(group*8)))[:])
}

// groups is the number of groups of lines; the directory has a word more.
func (s *hotSegment) groups() uint64 { return (s.stored + groupLines - 1) / groupLines }

// dir returns a checked directory word's exception offset and rank.
func (s *hotSegment) dir(id, group uint64) (offset, rank uint64, ok bool) {
	if group > s.groups() {
		return 0, 0, false
	}
	w := s.dirWord(group)
	if w>>dirCheckShift != dirCheck(w, id, group) {
		return 0, 0, false
	}
	return w & dirOffsetMax, w >> dirRankShift & dirRankMax, true
}

// exceptions returns the checked list of a group, without its check byte.
func (s *hotSegment) exceptions(id, group uint64) ([]byte, bool) {
	from, _, ok := s.dir(id, group)
	to, _, ok2 := s.dir(id, group+1)
	if !ok || !ok2 || from > to || to > uint64(s.aside) {
		return nil, false
	}
	b := unsafe.Slice((*byte)(pointer(s.exceptionAt(from))), to-from)
	if len(b) == 0 {
		return b, true
	}
	b, sum := b[:len(b)-1], b[len(b)-1]
	return b, sum == exceptionCheck(b, id, group)
}

// exceptionAt is the address of an offset in the exceptions.
func (s *hotSegment) exceptionAt(offset uint64) uintptr {
	return s.end() + uintptr((s.groups()+1)*8+offset)
}

// expectException asks at once for the directory's word of a slot and for what
// lies where its exception should be if they are spread evenly, rather than for
// one when the other has come.
func (s *hotSegment) expectException(slot uint64) {
	group := slot / groupSlots
	prefetch(pointer(s.end() + uintptr(group*8)))
	prefetchRun(pointer(s.exceptionAt(group * uint64(s.aside) / (s.groups() + 1))))
}

// exception finds the count of a slot that says its count is kept aside.
func (x *Index) exception(id, p uint64) (uint32, bool, error) {
	b, ok := x.hot[id].exceptions(id, p/groupSlots)
	if !ok {
		return 0, false, ErrCorrupt
	}
	for len(b) > 0 {
		at := b[0]
		v, n := binary.Uvarint(b[1:])
		if n <= 0 || v > 1<<32-1-countInRow-1 {
			break
		}
		if uint64(at) == p%groupSlots {
			return uint32(v) + countInRow + 1, true, nil
		}
		b = b[1+n:]
	}
	return 0, false, ErrCorrupt
}

// rank is the number of entries before a home line's run.
func (x *Index) rank(id, home uint64) (uint64, error) {
	_, rank, ok := x.hot[id].dir(id, home/groupLines)
	if !ok {
		return 0, ErrCorrupt
	}
	c := cursor{s: &x.hot[id], id: id}
	for l := home &^ (groupLines - 1); l < home; l++ {
		_, run, ok := c.run(l)
		if !ok {
			return 0, ErrCorrupt
		}
		rank += run
	}
	return rank, nil
}

// tailBlock returns the checked block of tails that holds a rank.
func (c *coldSegment) tailBlock(rank uint64) (block []byte, first uint64, ok bool) {
	n := uint64(c.row.entries)
	if c.sec.stride == 0 || rank >= n {
		return nil, 0, false
	}
	b := rank / tailBlock
	first = b * tailBlock
	tails := c.tail[c.sec.tail-c.sec.tailCRC:]
	block = tails[first*c.sec.stride : min(n, first+tailBlock)*c.sec.stride]
	return block, first, binary.LittleEndian.Uint32(c.tail[b*4:]) == crcOf(block)
}

func (x *Index) tailEqual(id, rank uint64, key *Key) (bool, error) {
	c := &x.cold[id]
	block, first, ok := c.tailBlock(rank)
	if !ok {
		return false, ErrCorrupt
	}
	at := (rank - first) * c.sec.stride
	from := uint64(c.row.tailFrom)
	return bytes.Equal(block[at:at+c.sec.stride], key[from:from+c.sec.stride]), nil
}

// plain returns record i of a plain segment, or nil when it is damaged.
func (c *coldSegment) plain(i uint64) []byte {
	rec := c.head[segmentHeaderSize+i*plainRecord:][:plainRecord]
	if binary.LittleEndian.Uint32(rec[28:]) != crcOf(rec[:28]) || uint64(binary.LittleEndian.Uint32(rec[24:])) != i {
		return nil
	}
	return rec
}

func (x *Index) countPlain(id uint64, key *Key) (best uint32, found bool, err error) {
	c := &x.cold[id]
	significant := 8
	if x.full {
		significant = 20
	}
	damaged := false
	n := int(c.row.entries)
	i := sort.Search(n, func(i int) bool {
		rec := c.plain(uint64(i))
		if rec == nil {
			damaged = true
			return true
		}
		return bytes.Compare(rec[:significant], key[:significant]) >= 0
	})
	for ; i < n && !damaged; i++ {
		rec := c.plain(uint64(i))
		if rec == nil {
			damaged = true
			break
		}
		if !bytes.Equal(rec[:significant], key[:significant]) {
			break
		}
		count := binary.LittleEndian.Uint32(rec[20:])
		if count == 0 {
			damaged = true
		}
		best, found = max(best, count), true
	}
	if damaged {
		return 0, false, ErrCorrupt
	}
	return best, found, nil
}

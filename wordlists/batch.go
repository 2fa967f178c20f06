// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"encoding/binary"
	"math/bits"
	"runtime/debug"
	"slices"
	"unsafe"
)

const (
	// batchBlock is how many keys' lines are asked for at once. The addresses
	// are requested back to back, since a core waits for the translation of as
	// many as its window of instructions holds, and a whole look-up fills that.
	batchBlock = 32
	// batchChunk is how many keys are handled at a time.
	batchChunk = 256
	// sortLeast is the batch size from which ordering pays, as long as the
	// index has fewer than sortAbove entries for each key: otherwise the keys
	// land so far apart that their order does not matter.
	sortLeast = 1 << 14
	sortAbove = 1 << 14
	// sortStretch is how many keys are ordered at a time.
	sortStretch = 1 << 18
)

// CountBatch sets dst[i] to the count of keys[i], 0 when it is not listed. It
// is about six times as fast a key as Count: the cache misses of many keys
// overlap, and a large batch is looked up segment by segment, for which it
// allocates 16 bytes a key, 4 MiB at most; smaller or already ascending batches
// allocate nothing. An index opened Exact is asked key by key all the same. On
// an error nothing is known about any of the keys. It
// panics when dst is shorter than keys.
func (x *Index) CountBatch(dst []uint32, keys []Key) (err error) {
	if len(dst) < len(keys) {
		panic("wordlists: CountBatch with a short dst")
	}
	defer catchFault(debug.SetPanicOnFault(true), &err)
	if len(keys) >= sortLeast && uint64(len(keys)) > x.info.Entries/sortAbove && !ascending(keys) {
		return x.countOrdered(dst, keys)
	}
	c := chunk{x: x}
	for len(keys) > 0 {
		n := min(len(keys), batchChunk)
		c.n = 0
		for i := range keys[:n] {
			if err := c.add(dst, keys, keys[i].head(), uint32(i)); err != nil {
				return err
			}
		}
		if err := c.count(dst, keys); err != nil {
			return err
		}
		dst, keys = dst[n:], keys[n:]
	}
	return nil
}

func ascending(keys []Key) bool {
	for i := 1; i < len(keys); i++ {
		if keys[i].head() < keys[i-1].head() {
			return false
		}
	}
	return true
}

// chunk is a stretch of a batch on its way through the steps of count.
type chunk struct {
	x     *Index
	n     int
	heads [batchChunk]uint64
	index [batchChunk]uint32 // places in the caller's slices
	rems  [batchChunk]uint64
	seeds [batchChunk]uint64  // of the home lines' checks
	homes [batchChunk]uintptr // home lines
	wants [batchChunk]uintptr // lines in which the remainders are looked for first

	// What a first look did not settle, to be fetched side by side too.
	again      [batchChunk]uint16 // keys whose entry may lie in a neighbouring line
	nAgain     int
	asideID    [batchChunk]uint16 // segments and slots of counts that are kept aside
	asideSlot  [batchChunk]uint64
	asideIndex [batchChunk]uint32
	nAside     int
}

// add puts a key into the chunk, or answers at once when its segment is not an
// ordinary one.
func (c *chunk) add(dst []uint32, keys []Key, head uint64, index uint32) (err error) {
	id := head >> (64 - segmentBits)
	s := &c.x.hot[id]
	if s.homes == 0 || s.flags|b2u(c.x.exact) != 0 {
		dst[index], _, err = c.x.count(&keys[index])
		return err
	}
	home, rem := split(head<<segmentBits, s.homes)
	i := c.n & (batchChunk - 1)
	c.heads[i], c.index[i], c.rems[i] = head, index, rem
	c.seeds[i] = checkSeed(id, home)
	c.homes[i] = uintptr(unsafe.Pointer(s.line(home)))
	c.n++
	return nil
}

// count looks the chunk's keys up side by side: while the keys of one block are
// looked up, the lines of their runs are on their way for the next one, and the
// home lines for the one behind it.
func (c *chunk) count(dst []uint32, keys []Key) error {
	n := c.n
	c.nAgain, c.nAside = 0, 0
	prefetchAll(c.homes[:min(n, batchBlock)])
	for at := -batchBlock; at < n; at += batchBlock {
		if from := at + 2*batchBlock; from < n {
			prefetchAll(c.homes[from:min(n, from+batchBlock)])
		}
		if from := at + batchBlock; from < n && !c.aim(from, min(n, from+batchBlock)) {
			return ErrCorrupt
		}
		if at >= 0 && !c.look(dst, at, min(n, at+batchBlock)) {
			return ErrCorrupt
		}
	}
	return c.rest(dst, keys)
}

// lineAt gives a line by its address, which is outside the heap or held by the
// index.
func lineAt(line uintptr) *[lineSize]byte { return (*[lineSize]byte)(pointer(line)) }

func pointer(line uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&line)) }

// lineWord is the last word of a line.
func lineWord(line uintptr) uint64 { return binary.LittleEndian.Uint64(lineAt(line)[56:]) }

// aim reads the home lines of some keys, works out in which lines to look
// first, and asks for those. Nothing is checked yet, but that they are lines.
func (c *chunk) aim(from, to int) bool {
	for i := from; i < to; i++ {
		s := &c.x.hot[c.heads[i]>>(64-segmentBits)]
		word := lineWord(c.homes[i])
		offset, run := word>>metaShift&maxOffset, word>>(metaShift+10)&maxRun
		c.wants[i] = c.homes[i] + uintptr((offset+c.rems[i]*run>>36)/slotsPerLine*lineSize)
		if c.wants[i] >= s.end() {
			return false
		}
	}
	prefetchAll(c.wants[from:to])
	return true
}

// look compares some keys with the lines that aim chose, and lists what that
// does not settle. There is hardly a branch in it that a processor could not
// foresee, so that it works on several keys at once. It reports whether all
// lines that it went by are sound.
func (c *chunk) look(dst []uint32, from, to int) bool {
	const last = batchBlock - 1
	var lines [batchBlock]uintptr // those outside the keys' home lines
	var seeds, masks [batchBlock]uint64
	n := 0
	for i := from; i < to; i++ {
		away := c.wants[i] - c.homes[i]
		lines[n&last], seeds[n&last] = c.wants[i], c.seeds[i]+uint64(away)/lineSize*mix8
		n += int(b2u(away != 0))
	}
	if !checkAll(c.homes[from:to], c.seeds[from:to]) || !checkAll(lines[:n], seeds[:n]) {
		return false
	}
	matchAll(masks[:to-from], c.wants[from:to], c.rems[from:to])
	for i := from; i < to; i++ {
		word := lineWord(c.homes[i])
		start, run := word>>metaShift&maxOffset, word>>(metaShift+10)&maxRun
		end := start + run
		first := uint64(c.wants[i]-c.homes[i]) / lineSize * slotsPerLine
		lo, hi := max(start, first)-first, min(end, first+slotsPerLine)-first
		line := lineAt(c.wants[i])
		m := masks[(i-from)&last] >> (lo & 63) << (lo & 63) & (1<<(hi&63) - 1)
		if m == 0 {
			dst[c.index[i]] = 0
			rem := c.rems[i]
			up := end > first+slotsPerLine && rem > slot(line, slotsPerLine-1)>>4
			if up || start < first && rem < slot(line, 0)>>4 {
				at := c.nAgain & (batchChunk - 1)
				c.again[at] = uint16(i)
				c.wants[i] += lineSize * (2*uintptr(b2u(up)) - 1)
				prefetch(pointer(c.wants[i]))
				c.nAgain++
			}
			continue
		}
		at := uint64(bits.TrailingZeros64(m))
		code := slot(line, at%slotsPerLine) & 15
		dst[c.index[i]] = uint32(code) + 1
		if code == countInRow {
			id := c.heads[i] >> (64 - segmentBits)
			s := &c.x.hot[id]
			c.putAside(id, uint64(c.wants[i]-uintptr(s.lines))/lineSize*slotsPerLine+at, c.index[i])
		}
	}
	return true
}

// putAside notes a slot whose count is kept aside, and asks for its group's word
// in the directory.
func (c *chunk) putAside(id, slot uint64, index uint32) {
	at := c.nAside & (batchChunk - 1)
	c.asideID[at], c.asideSlot[at], c.asideIndex[at] = uint16(id), slot, index
	c.nAside++
	s := &c.x.hot[id]
	prefetch(pointer(s.end() + uintptr(slot/groupSlots*8)))
}

// rest answers what a first look did not settle.
func (c *chunk) rest(dst []uint32, keys []Key) error {
	n := c.nAgain
	for to, i := range c.again[:n] { // to <= i
		if c.wants[i] >= c.x.hot[c.heads[i]>>(64-segmentBits)].end() {
			return ErrCorrupt
		}
		c.heads[to], c.index[to], c.rems[to] = c.heads[i], c.index[i], c.rems[i]
		c.seeds[to], c.homes[to], c.wants[to] = c.seeds[i], c.homes[i], c.wants[i]
	}
	c.nAgain = 0
	for at := 0; at < n; at += batchBlock {
		if !c.look(dst, at, min(n, at+batchBlock)) {
			return ErrCorrupt
		}
	}
	for _, i := range c.again[:c.nAgain] { // in none of two lines: hardly any
		id := c.heads[i] >> (64 - segmentBits)
		s := &c.x.hot[id]
		to := c.index[i]
		count, p, err := c.x.probe(&keys[to], s, id, uint64(c.homes[i]-uintptr(s.lines))/lineSize, c.rems[i])
		if err != nil {
			return err
		}
		if dst[to] = count; p != noSlot {
			c.putAside(id, p, to)
		}
	}
	for i := range c.nAside {
		c.x.cold[c.asideID[i]].prefetchExceptions(c.asideSlot[i] / groupSlots)
	}
	for i := range c.nAside {
		count, _, err := c.x.exception(uint64(c.asideID[i]), c.asideSlot[i])
		if err != nil {
			return err
		}
		dst[c.asideIndex[i]] = count
	}
	return nil
}

// matchEach is matchAll where the processor has no better way.
func matchEach(masks []uint64, lines []uintptr, rems []uint64) {
	for i, line := range lines {
		masks[i] = matches(lineAt(line), rems[i])
	}
}

// checkEach is checkAll where the processor has no better way.
func checkEach(lines []uintptr, seeds []uint64) bool {
	var bad uint64
	for i, line := range lines {
		bad |= lineWord(line)>>checkShift ^ lineSum(lineAt(line), seeds[i])
	}
	return bad == 0
}

func (c *coldSegment) prefetchExceptions(group uint64) {
	if group < c.sec.groups {
		// Not checked here: a wrong word only prefetches in vain.
		offset := binary.LittleEndian.Uint64(c.head[c.sec.dir+group*8:]) & dirOffsetMax
		if at := c.sec.exc + offset; at < uint64(len(c.head)) {
			prefetch(unsafe.Pointer(&c.head[at]))
		}
	}
}

// countOrdered looks keys up segment by segment, a stretch of the batch at a
// time: longer stretches bring the lines closer together but scatter the
// answers more widely.
func (x *Index) countOrdered(dst []uint32, keys []Key) error {
	order := make([]ordered, min(len(keys), sortStretch))
	c := chunk{x: x}
	for len(keys) > 0 {
		n := min(len(keys), sortStretch)
		bySegment(order[:n], keys[:n])
		for part := range slices.Chunk(order[:n], batchChunk) {
			c.n = 0
			for _, o := range part {
				if err := c.add(dst, keys, o.head, o.index); err != nil {
					return err
				}
			}
			if err := c.count(dst, keys); err != nil {
				return err
			}
		}
		dst, keys = dst[n:], keys[n:]
	}
	return nil
}

type ordered struct {
	head  uint64
	index uint32
}

// bySegment puts the places of keys in the order of their segments.
func bySegment(order []ordered, keys []Key) {
	var next [segmentCount]uint32
	for i := range keys {
		next[keys[i].head()>>(64-segmentBits)]++
	}
	var sum uint32
	for i, n := range next {
		next[i] = sum
		sum += n
	}
	for i := range keys {
		h := keys[i].head()
		at := &next[h>>(64-segmentBits)]
		order[*at] = ordered{h, uint32(i)}
		*at++
	}
}

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
	batchBlock = 64
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
// is about eight times as fast a key as Count: the cache misses of many keys
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
	var order [batchChunk]ordered
	for len(keys) > 0 {
		n := min(len(keys), batchChunk)
		for i := range keys[:n] {
			order[i&(batchChunk-1)] = ordered{keys[i].head(), uint32(i)}
		}
		// The keys of the next chunk come from far too.
		for i := n; i < min(len(keys), n+batchChunk); i += lineSize / len(Key{}) {
			prefetch(unsafe.Pointer(&keys[i]))
		}
		if err := c.count(dst, keys, order[:n]); err != nil {
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
	index [batchChunk]uint32 // places in the caller's slices
	ids   [batchChunk]uint16 // segments
	rems  [batchChunk]uint64
	homes [batchChunk]uintptr // home lines
	ends  [batchChunk]uintptr // of the lines of their segments
	wants [batchChunk]uintptr // lines in which the remainders are looked for
	// Seeds of the checks of both lines, and the slots of a wanted line that
	// belong to the run: of them, look leaves those that hold the remainder.
	homeSeeds [batchChunk]uint64
	wantSeeds [batchChunk]uint64
	masks     [batchChunk]uint64

	// What a first look did not settle, to be fetched side by side too.
	again  [batchChunk]again
	nAgain int
	aside  [batchChunk]aside
	nAside int
}

// again is a key whose entry may lie in a line next to the one looked at.
type again struct {
	key  uint16 // its place in the chunk
	line uint16 // where to look, in lines after its home
}

// aside is a count that a slot does not hold itself.
type aside struct {
	slot  uint64
	index uint32
	id    uint16
}

// locate works out the home lines of some keys. It answers at once those whose
// segment is not an ordinary one.
func (c *chunk) locate(dst []uint32, keys []Key, order []ordered) (err error) {
	c.n = 0
	for _, o := range order {
		id := o.head >> (64 - segmentBits)
		s := &c.x.hot[id]
		if s.homes == 0 || s.flags|b2u(c.x.exact) != 0 {
			if dst[o.index], _, err = c.x.count(&keys[o.index]); err != nil {
				return err
			}
			continue
		}
		home, rem := split(o.head<<segmentBits, s.homes)
		i := c.n & (batchChunk - 1)
		c.index[i], c.ids[i], c.rems[i] = o.index, uint16(id), rem
		c.homeSeeds[i] = checkSeed(id, home)
		c.homes[i], c.ends[i] = uintptr(unsafe.Pointer(s.line(home))), s.end()
		c.n++
	}
	return nil
}

// count looks keys up side by side: while the keys of one block are looked up,
// the lines of their runs are on their way for the next one, and the home lines
// for the one behind it.
func (c *chunk) count(dst []uint32, keys []Key, order []ordered) error {
	if err := c.locate(dst, keys, order); err != nil {
		return err
	}
	n := c.n
	c.nAgain, c.nAside = 0, 0
	prefetchAll(c.homes[:min(n, batchBlock)], lineSize)
	for at := -batchBlock; at < n; at += batchBlock {
		if from := at + 2*batchBlock; from < n {
			prefetchAll(c.homes[from:min(n, from+batchBlock)], lineSize)
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

// runOf is where the run of a line begins and ends, in slots after its first.
func runOf(word uint64) (start, end uint64) {
	start = word >> metaShift & maxOffset
	return start, start + word>>(metaShift+10)&maxRun
}

// aim reads the home lines of some keys, works out in which lines to look
// first, and asks for those. Nothing is checked yet, but that they are lines.
func (c *chunk) aim(from, to int) bool {
	within := true
	for i := from; i < to; i++ {
		start, end := runOf(lineWord(c.homes[i]))
		within = c.want(i, start, end, (start+c.rems[i]*(end-start)>>36)/slotsPerLine) && within
	}
	prefetchAll(c.wants[from:to], 0)
	return within
}

// want notes that a key is to be looked for so many lines after its home, and
// reports whether there is such a line.
func (c *chunk) want(i int, start, end, line uint64) bool {
	first := line * slotsPerLine
	lo := (max(start, first) - first) & 63
	c.masks[i] = (1<<(min(end, first+slotsPerLine)-first) - 1) >> lo << lo
	c.wantSeeds[i] = c.homeSeeds[i] + line*mix8
	c.wants[i] = c.homes[i] + uintptr(line)*lineSize
	return c.wants[i] < c.ends[i]
}

// look compares some keys with the lines that aim chose, and lists what that
// does not settle. There is hardly a branch in it that a processor could not
// foresee, so that it works on several keys at once. It reports whether all
// lines that it went by are sound.
func (c *chunk) look(dst []uint32, from, to int) bool {
	const last = batchBlock - 1
	if !checkAll(c.homes[from:to], c.homeSeeds[from:to]) || !checkAll(c.wants[from:to], c.wantSeeds[from:to]) {
		return false
	}
	matchAll(c.masks[from:to], c.wants[from:to], c.rems[from:to])
	var absent, afar [batchBlock]uint16
	nAbsent, nAfar := 0, 0
	for i := from; i < to; i++ {
		m := c.masks[i]
		at := bits.TrailingZeros64(m | 1<<(slotsPerLine-1))
		count := uint32(lineAt(c.wants[i])[at*slotBytes]&15) + 1
		found := b2u(m != 0)
		dst[c.index[i]] = count & -found
		absent[nAbsent&last] = uint16(i)
		nAbsent += int(found ^ 1)
		afar[nAfar&last] = uint16(i)
		nAfar += int(found & b2u(count > countInRow))
	}
	for _, i := range absent[:nAbsent] {
		start, end := runOf(lineWord(c.homes[i]))
		line, n := lineAt(c.wants[i]), uint64(c.wants[i]-c.homes[i])/lineSize
		first := n * slotsPerLine
		up := b2u(end > first+slotsPerLine) & b2u(c.rems[i] > slot(line, slotsPerLine-1)>>4)
		down := b2u(start < first) & b2u(c.rems[i] < slot(line, 0)>>4)
		c.again[c.nAgain&(batchChunk-1)] = again{i, uint16(n) + uint16(up) - uint16(down)}
		prefetch(pointer(c.wants[i] + lineSize*uintptr(up)))
		c.nAgain += int(up | down)
	}
	for _, i := range afar[:nAfar] {
		s := &c.x.hot[c.ids[i]]
		slot := uint64(c.wants[i]-uintptr(s.lines))/lineSize*slotsPerLine + uint64(bits.TrailingZeros64(c.masks[i]))
		prefetch(pointer(s.end() + uintptr(slot/groupSlots*8)))
		c.aside[c.nAside&(batchChunk-1)] = aside{slot, c.index[i], c.ids[i]}
		c.nAside++
	}
	return true
}

// rest answers what a first look did not settle.
func (c *chunk) rest(dst []uint32, keys []Key) error {
	n := c.nAgain
	for to, a := range c.again[:n] { // to <= a.key
		i := a.key
		c.index[to], c.ids[to], c.rems[to] = c.index[i], c.ids[i], c.rems[i]
		c.homes[to], c.ends[to], c.homeSeeds[to] = c.homes[i], c.ends[i], c.homeSeeds[i]
		if start, end := runOf(lineWord(c.homes[i])); !c.want(to, start, end, uint64(a.line)) {
			return ErrCorrupt
		}
	}
	c.nAgain = 0
	for at := 0; at < n; at += batchBlock {
		if !c.look(dst, at, min(n, at+batchBlock)) {
			return ErrCorrupt
		}
	}
	for _, a := range c.again[:c.nAgain] { // in none of two lines: hardly any
		i := a.key
		id := uint64(c.ids[i])
		s := &c.x.hot[id]
		to := c.index[i]
		count, p, err := c.x.probe(&keys[to], s, id, uint64(c.homes[i]-uintptr(s.lines))/lineSize, c.rems[i])
		if err == nil && p != noSlot {
			count, _, err = c.x.exception(id, p)
		}
		if err != nil {
			return err
		}
		dst[to] = count
	}
	for _, a := range c.aside[:c.nAside] {
		c.x.hot[a.id].prefetchExceptions(a.slot / groupSlots)
	}
	for _, a := range c.aside[:c.nAside] {
		count, _, err := c.x.exception(uint64(a.id), a.slot)
		if err != nil {
			return err
		}
		dst[a.index] = count
	}
	return nil
}

// matchEach is matchAll where the processor has no better way.
func matchEach(masks []uint64, lines []uintptr, rems []uint64) {
	for i, line := range lines {
		masks[i] &= matches(lineAt(line), rems[i])
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

// prefetchExceptions asks for the exceptions of a group below s.groups().
func (s *hotSegment) prefetchExceptions(group uint64) {
	// Not checked here: a wrong word only prefetches in vain.
	prefetch(pointer(s.exceptionAt(s.dirWord(group) & dirOffsetMax)))
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
			if err := c.count(dst, keys, part); err != nil {
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

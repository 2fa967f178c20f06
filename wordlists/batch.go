// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"encoding/binary"
	"runtime/debug"
	"unsafe"
)

const (
	// batchBlock is how many keys' lines are asked for at once. The addresses
	// are requested back to back, since a core waits for the translation of as
	// many as its window of instructions holds, and a whole look-up fills that.
	batchBlock = 16
	// batchChunk is how many keys are handled at a time.
	batchChunk = 512
	// sortLeast is the batch size from which ordering pays, as long as the
	// index has fewer than sortAbove entries for each key: otherwise the keys
	// land so far apart that their order does not matter.
	sortLeast = 1 << 14
	sortAbove = 1 << 14
	// sortStretch is how many keys are ordered at a time.
	sortStretch = 1 << 18
)

// CountBatch sets dst[i] to the count of keys[i], 0 when it is not listed. It
// is about four times as fast a key as Count: the cache misses of sixteen keys
// overlap, and a large batch is looked up segment by segment, for which it
// allocates 16 bytes a key, 4 MiB at most; smaller or already ascending batches
// allocate nothing. On an error nothing is known about any of the keys. It
// panics when dst is shorter than keys.
func (x *Index) CountBatch(dst []uint32, keys []Key) (err error) {
	if len(dst) < len(keys) {
		panic("wordlists: CountBatch with a short dst")
	}
	defer catchFault(debug.SetPanicOnFault(true), &err)
	if len(keys) >= sortLeast && uint64(len(keys)) > x.info.Entries/sortAbove && !ascending(keys) {
		return x.countOrdered(dst, keys)
	}
	var c chunk
	for len(keys) > 0 {
		n := min(len(keys), batchChunk)
		for i := range keys[:n] {
			c.heads[i], c.index[i] = keys[i].head(), uint32(i)
		}
		if err := x.countChunk(dst, keys, &c, n); err != nil {
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

// chunk is a stretch of a batch on its way through countChunk.
type chunk struct {
	heads [batchChunk]uint64
	index [batchChunk]uint32 // places in the caller's slices
	homes [batchChunk]uint64
	rems  [batchChunk]uint64
	lines [batchChunk]uintptr // of the homes, then of the runs' wanted places
}

// countChunk looks up n keys side by side: while the keys of one block are
// looked up, the lines of their runs are on their way for the next one, and
// the home lines for the one behind it.
func (x *Index) countChunk(dst []uint32, keys []Key, c *chunk, n int) error {
	for i := range n {
		c.lines[i] = 0
		if s := &x.hot[c.heads[i]>>(64-segmentBits)]; s.homes != 0 {
			c.homes[i], c.rems[i] = split(c.heads[i]<<segmentBits, s.homes)
			c.lines[i] = uintptr(unsafe.Pointer(s.line(c.homes[i])))
		}
	}
	prefetchAll(c.lines[:min(n, batchBlock)])
	aside := 0 // counts kept aside, to be fetched side by side too
	for at := -batchBlock; at < n; at += batchBlock {
		if from := at + 2*batchBlock; from < n {
			prefetchAll(c.lines[from:min(n, from+batchBlock)])
		}
		if from := at + batchBlock; from < n {
			x.aim(c, from, min(n, from+batchBlock))
		}
		for i := max(at, 0); i < min(n, at+batchBlock); i++ {
			id := c.heads[i] >> (64 - segmentBits)
			s := &x.hot[id]
			to := c.index[i]
			var count uint32
			var err error
			slot := noSlot
			switch {
			case s.homes != 0:
				count, slot, err = x.probe(&keys[to], s, id, c.homes[i], c.rems[i])
			case s.plain != 0:
				count, _, err = x.countPlain(id, &keys[to])
			}
			if err != nil {
				return err
			}
			if slot != noSlot {
				// The chunk's first places are done with: they take the rest.
				c.heads[aside], c.index[aside], c.homes[aside] = id, to, slot
				aside++
				x.cold[id].prefetchDir(slot / groupSlots)
				continue
			}
			dst[to] = count
		}
	}
	for i := range aside {
		x.cold[c.heads[i]].prefetchExceptions(c.homes[i] / groupSlots)
	}
	for i := range aside {
		count, _, err := x.exception(c.heads[i], c.homes[i])
		if err != nil {
			return err
		}
		dst[c.index[i]] = count
	}
	return nil
}

// aim reads the home lines of some keys and asks for the lines in which probe
// will look first. Nothing is checked here: a wrong line only prefetches in vain.
func (x *Index) aim(c *chunk, from, to int) {
	for i := from; i < to; i++ {
		s := &x.hot[c.heads[i]>>(64-segmentBits)]
		if s.homes == 0 {
			continue
		}
		word := binary.LittleEndian.Uint64(s.line(c.homes[i])[56:])
		start, run := c.homes[i]*slotsPerLine+word>>metaShift&maxOffset, word>>(metaShift+10)&maxRun
		c.lines[i] = uintptr(unsafe.Pointer(s.line(min((start+c.rems[i]*run>>36)/slotsPerLine, s.stored-1))))
	}
	prefetchAll(c.lines[from:to])
}

func (c *coldSegment) prefetchDir(group uint64) {
	if at := c.sec.dir + group*8; at < uint64(len(c.head)) {
		prefetch(unsafe.Pointer(&c.head[at]))
	}
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
	var c chunk
	for len(keys) > 0 {
		n := min(len(keys), sortStretch)
		bySegment(order[:n], keys[:n])
		for at := 0; at < n; at += batchChunk {
			part := order[at:min(n, at+batchChunk)]
			for i := range part {
				c.heads[i], c.index[i] = part[i].head, part[i].index
			}
			if err := x.countChunk(dst, keys, &c, len(part)); err != nil {
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

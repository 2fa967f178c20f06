// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"encoding/binary"
	"errors"
	"runtime/debug"
	"unsafe"
)

const (
	// homeAhead is how many keys before its turn a key's home line is asked
	// for, and runAhead how many before it the line of its run, once the home
	// line has told where that is. A core can wait for about as many cache
	// misses at once.
	homeAhead = 20
	runAhead  = 8
	// batchChunk is how many keys are handled at a time.
	batchChunk = 512
	// sortAbove is the batch size from which sorting pays, given as a divisor
	// of the index's entries, and sortLeast the least such size: below it the
	// keys land so far apart that their order does not matter.
	sortAbove = 1000
	sortLeast = 1 << 14
)

// CountBatch sets dst[i] to the count of keys[i], 0 when it is not listed. It
// is two to five times as fast a key as Count: the cache misses of sixteen
// keys overlap, and a batch that is large for the index is looked up in the
// index's own order, for which it allocates 32 bytes a key; smaller or already
// ascending batches allocate nothing. On an error nothing is known about any
// of the keys. It panics when dst is shorter than keys.
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
}

// countChunk looks up n keys side by side.
func (x *Index) countChunk(dst []uint32, keys []Key, c *chunk, n int) error {
	aside := 0 // counts kept aside, to be fetched side by side too
	for i := range n + homeAhead {
		if i < n {
			s := &x.hot[c.heads[i]>>(64-segmentBits)]
			if s.homes != 0 {
				c.homes[i], c.rems[i] = split(c.heads[i]<<segmentBits, s.homes)
				prefetch(unsafe.Pointer(s.line(c.homes[i])))
			}
		}
		if j := i - (homeAhead - runAhead); j >= 0 && j < n {
			s := &x.hot[c.heads[j]>>(64-segmentBits)]
			if s.homes != 0 {
				word := binary.LittleEndian.Uint64(s.line(c.homes[j])[56:])
				offset, run := word>>metaShift&maxOffset, word>>(metaShift+10)&maxRun
				prefetch(unsafe.Pointer(s.line(min(c.homes[j]+offset/slotsPerLine, s.stored-1))))
				prefetch(unsafe.Pointer(s.line(min(c.homes[j]+(offset+run)/slotsPerLine, s.stored-1))))
			}
		}
		if j := i - homeAhead; j >= 0 {
			id := c.heads[j] >> (64 - segmentBits)
			s := &x.hot[id]
			at := c.index[j]
			var count uint32
			var err error
			slot := uint64(noSlot)
			switch {
			case s.homes != 0:
				count, slot, err = x.probe(&keys[at], s, id, c.homes[j], c.rems[j])
			case s.plain != 0:
				count, _, err = x.countPlain(id, &keys[at])
			}
			if err != nil {
				return err
			}
			if slot != noSlot {
				// The chunk's first places are done with: they take the rest.
				c.heads[aside], c.index[aside], c.homes[aside] = id, at, slot
				aside++
				x.cold[id].prefetchDir(slot / groupSlots)
				continue
			}
			dst[at] = count
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

// countOrdered looks keys up in about the order in which their lines lie.
func (x *Index) countOrdered(dst []uint32, keys []Key) error {
	if uint64(len(keys)) > 1<<32-1 {
		return errors.New("wordlists: batch over 4,294,967,295 keys")
	}
	order := radixOrder(keys)
	var c chunk
	for len(order) > 0 {
		n := min(len(order), batchChunk)
		for i := range order[:n] {
			c.heads[i], c.index[i] = order[i].head, order[i].index
		}
		if err := x.countChunk(dst, keys, &c, n); err != nil {
			return err
		}
		order = order[n:]
	}
	return nil
}

type ordered struct {
	head  uint64
	index uint32
}

// radixOrder sorts the keys' places by the leading 22 bits in two passes.
func radixOrder(keys []Key) []ordered {
	const digit = 11
	var low, high [1 << digit]uint32
	a, b := make([]ordered, len(keys)), make([]ordered, len(keys))
	for i := range keys {
		h := keys[i].head()
		low[h>>(64-2*digit)&(1<<digit-1)]++
		high[h>>(64-digit)]++
	}
	prefixSums(low[:])
	prefixSums(high[:])
	for i := range keys {
		h := keys[i].head()
		d := &low[h>>(64-2*digit)&(1<<digit-1)]
		b[*d] = ordered{h, uint32(i)}
		*d++
	}
	for _, o := range b {
		d := &high[o.head>>(64-digit)]
		a[*d] = o
		*d++
	}
	return a
}

func prefixSums(counts []uint32) {
	var sum uint32
	for i, c := range counts {
		counts[i] = sum
		sum += c
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"runtime/debug"
)

// Verify reads every byte of the file, padding included, and checks it against
// the checksums, then walks every run to see that a look-up could reach each
// entry. It returns ErrCorrupt for the first thing that does not hold.
//
// It costs about the time of reading the file: a few seconds of one processor
// for a two-billion-entry index without tails.
func (x *Index) Verify(ctx context.Context) (err error) {
	defer catchFault(debug.SetPanicOnFault(true), &err)
	if err := x.verifyFrame(); err != nil {
		return err
	}
	total := fileHeader{minRange: ^uint32(0)}
	for id := range x.cold {
		if err := ctx.Err(); err != nil {
			return err
		}
		x.fetchAhead(id)
		var h segmentHeader
		if err := x.checkSegment(id, &h); err != nil {
			return fmt.Errorf("segment %03X: %w", id, err)
		}
		total.entries += uint64(h.row.entries)
		total.sum += h.sum
		total.maxRange = max(total.maxRange, h.maxRange)
		total.minRange = min(total.minRange, h.minRange)
	}
	if total.entries != x.info.Entries || total.sum != x.info.Sum ||
		int(total.maxRange) != x.info.MaxRange || int(total.minRange) != x.info.MinRange {
		return ErrCorrupt
	}
	return nil
}

// aheadBytes is how much of the file the kernel is asked to read before it is
// needed, by whoever goes through it from end to end: a mapping for look-ups is
// read page by page otherwise.
const aheadBytes = 8 << 20

// fetchAhead is called for each segment in turn, before it is read.
func (x *Index) fetchAhead(id int) {
	c := &x.cold[id]
	if c.row.layout == layoutEmpty {
		return
	}
	size := uint64(len(x.mem))
	from := c.row.offset
	if from != dataStart { // all before was asked for by the segments before
		from = min(size, from+aheadBytes)
	}
	willNeed(x.mem[from:min(size, c.row.offset+c.sec.end+aheadBytes)])
}

// verifyFrame checks header, table and footer as they are in the file now.
func (x *Index) verifyFrame() error {
	var h fileHeader
	if err := h.get(x.mem); err != nil {
		return err
	}
	table := x.mem[fileHeaderSize:dataStart]
	foot := x.mem[len(x.mem)-footerSize:]
	if !bytes.Equal(table, x.table) ||
		!footerValid(foot, x.mem[:fileHeaderSize], table, uint64(len(x.mem))) {
		return ErrCorrupt
	}
	return nil
}

// checkSegment checks one segment completely and gives its header.
func (x *Index) checkSegment(id int, h *segmentHeader) error {
	c := &x.cold[id]
	if c.row.layout == layoutEmpty {
		return nil
	}
	if err := x.checkHead(id, h); err != nil {
		return err
	}
	if x.heads != nil {
		// The copy was checked above; the file it came from is checked too.
		mapped := x.mem[c.row.offset:][:len(c.head)]
		if !bytes.Equal(mapped, c.head) {
			return ErrCorrupt
		}
	}
	if c.row.layout == layoutPlain {
		return x.walkPlain(id, h)
	}
	if crcOf(c.tail) != h.crcTail {
		return ErrCorrupt
	}
	return x.walkLines(id, h)
}

// checkHead checks a segment's header, lines, directory and exceptions against
// the header's checksums, and the header against the table.
func (x *Index) checkHead(id int, h *segmentHeader) error {
	if h == nil {
		h = new(segmentHeader)
	}
	c := &x.cold[id]
	if !h.get(c.head) || int(h.id) != id || h.kind != x.kind {
		return ErrCorrupt
	}
	row := c.row
	row.offset = 0
	if h.row != row {
		return ErrCorrupt
	}
	if row.layout == layoutPlain {
		if crcOf(c.head[c.sec.lines:]) != h.crcLines {
			return ErrCorrupt
		}
		return nil
	}
	if crcOf(c.head[c.sec.lines:c.sec.dir]) != h.crcLines ||
		crcOf(c.head[c.sec.dir:c.sec.exc]) != h.crcDir ||
		crcOf(c.head[c.sec.exc:]) != h.crcExc {
		return ErrCorrupt
	}
	return nil
}

// walkLines follows every run of a segment: checks hold, remainders do not
// descend, ranks and exceptions fit, and the totals are the header's.
func (x *Index) walkLines(id int, h *segmentHeader) error {
	c, s := &x.cold[id], &x.hot[id]
	seg := uint64(id)
	cur := cursor{s: s, id: seg}
	var entries, sum, free uint64
	var exc []byte
	group := ^uint64(0)
	for home := range s.stored {
		start, run, ok := cur.run(home)
		if !ok {
			return ErrCorrupt
		}
		if home%groupLines == 0 {
			if _, rank, ok := s.dir(seg, home/groupLines); !ok || rank != entries {
				return ErrCorrupt
			}
		}
		if run == 0 {
			continue
		}
		if home >= s.homes || start < free {
			return ErrCorrupt
		}
		free = start + run
		last := uint64(0)
		for p := start; p < free; p++ {
			if !cur.seek(p / slotsPerLine) {
				return ErrCorrupt
			}
			v := slot(cur.line, p%slotsPerLine)
			if v>>4 < last || p > start && v>>4 == last && s.flags&segTwins == 0 {
				return ErrCorrupt
			}
			last = v >> 4
			n := v&15 + 1
			if v&15 == countInRow {
				if g := p / groupSlots; g != group {
					if len(exc) > 0 {
						return ErrCorrupt
					}
					if exc, ok = s.exceptions(seg, g); !ok {
						return ErrCorrupt
					}
					group = g
				}
				if len(exc) < 2 || uint64(exc[0]) != p%groupSlots {
					return ErrCorrupt
				}
				more, size := binary.Uvarint(exc[1:])
				if size <= 0 || more > 1<<32-1-countInRow-1 {
					return ErrCorrupt
				}
				n += more
				exc = exc[1+size:]
			}
			sum += n
		}
		entries += run
	}
	if len(exc) > 0 || entries != uint64(c.row.entries) || sum != h.sum {
		return ErrCorrupt
	}
	for rank := uint64(0); c.sec.stride > 0 && rank < entries; rank += tailBlock {
		if _, _, ok := c.tailBlock(rank); !ok {
			return ErrCorrupt
		}
	}
	return nil
}

func (x *Index) walkPlain(id int, h *segmentHeader) error {
	c := &x.cold[id]
	var sum uint64
	var last []byte
	for i := range uint64(c.row.entries) {
		rec := c.plain(i)
		if rec == nil || int(binary.BigEndian.Uint16(rec)>>(16-segmentBits)) != id {
			return ErrCorrupt
		}
		if order := bytes.Compare(last, rec[:20]); order > 0 || order == 0 && x.full {
			return ErrCorrupt
		}
		last = rec[:20]
		sum += uint64(binary.LittleEndian.Uint32(rec[20:]))
	}
	if sum != h.sum {
		return ErrCorrupt
	}
	return nil
}

// CheckCanaries asks for every member the builder recorded, which must be
// listed with the recorded count, and for as many random keys, which must not
// be listed. It tells a file that answers from one that merely opens, and
// returns ErrCanary, or the look-up's own error.
func (x *Index) CheckCanaries() error {
	if len(x.info.Canaries) == 0 {
		return ErrCanary
	}
	for _, c := range x.info.Canaries {
		n, found, err := x.Count(c.Key)
		if err != nil {
			return err
		}
		// Two members may share their head; the larger count then answers.
		if !found || n < c.Count {
			return ErrCanary
		}
	}
	for range maxCanaries {
		var key Key
		rand.Read(key[:x.kind.Size()])
		found, err := x.Contains(key)
		if err != nil {
			return err
		}
		if found {
			return ErrCanary
		}
	}
	return nil
}

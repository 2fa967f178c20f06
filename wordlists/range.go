// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bufio"
	"context"
	"crypto/md5"
	crand "crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/bits"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sort"
	"strconv"
)

// Padding says how a range answer hides its length from whoever sees the
// encrypted traffic.
type Padding uint8

const (
	// PadNone gives the entries alone.
	PadNone Padding = iota
	// PadPublic appends 10 to 209 random suffixes with the count 0, as the
	// public service does for Add-Padding.
	PadPublic
	// PadFull appends as many as bring every answer to the length of the
	// longest range of the corpus and 0 to 200 more, which leaves the number
	// of lines unrelated to the prefix.
	PadFull
)

var errPrefix = errors.New("wordlists: prefix over five hexadecimal digits")

// AppendRange appends the answer of the range service for a five-digit prefix
// (0 to 0xFFFFF) to dst: SUFFIX:COUNT lines in the order of the hashes,
// separated by CRLF, without one at the end, then the padding. real is the
// length of dst without the padding.
//
// Without padding the bytes are those of the public service for the same
// entries. It needs an index with whole hashes and returns ErrHeadOnly
// otherwise. On an error the contents of dst past its length are undefined.
func (x *Index) AppendRange(dst []byte, prefix uint32, padding Padding) (_ []byte, real int, err error) {
	if prefix >= prefixCount {
		return dst, len(dst), errPrefix
	}
	if !x.full {
		return dst, len(dst), ErrHeadOnly
	}
	defer catchFault(debug.SetPanicOnFault(true), &err)
	body, lines, err := x.appendLines(dst, prefix, lineForm{from: 5, crlf: true})
	if err != nil {
		return dst, len(dst), err
	}
	if lines > 0 {
		body = body[:len(body)-len("\r\n")]
	}
	real = len(body)
	if padding == PadNone {
		return body, real, nil
	}
	return x.pad(body, lines, padding), real, nil
}

// pad appends padding lines to an answer of so many lines.
func (x *Index) pad(body []byte, lines int, padding Padding) []byte {
	var seed [32]byte
	crand.Read(seed[:])
	random := rand.NewChaCha8(seed)
	r := rand.New(random)
	more := 10 + r.IntN(200)
	if padding == PadFull {
		more = max(0, x.info.MaxRange-lines) + r.IntN(201)
	}
	digits := 2*x.kind.Size() - 5
	const room = len("\r\n") + 40 + len(":0")
	body = slices.Grow(body, more*room)
	for ; more > 0; more-- {
		if lines++; lines > 1 {
			body = append(body, '\r', '\n')
		}
		text := body[len(body) : len(body)+40]
		for i := 0; i < digits; i += 16 {
			v := random.Uint64()
			putHex(text[i:], uint32(v>>32))
			if i+8 < digits {
				putHex(text[i+8:], uint32(v))
			}
		}
		body = append(body[:len(body)+digits], ":0"...)
	}
	return body
}

// RangeTags gives the validators of a range answer: an entity tag over the
// entries, which stays the same as long as they do, across rebuilds and
// padding, and the Content-MD5 (RFC 1864) of the whole body. A padded body,
// which is never the same twice, gets a weak tag (RFC 9110, 8.8.1). real is
// what AppendRange returned, for a dst that was empty.
func RangeTags(body []byte, real int) (etag, contentMD5 string) {
	h := md5.New()
	h.Write(body[:real])
	sum := h.Sum(nil)
	etag = `"` + hex.EncodeToString(sum) + `"`
	if real < len(body) {
		etag = "W/" + etag
		h.Write(body[real:])
		sum = h.Sum(sum[:0])
	}
	return etag, base64.StdEncoding.EncodeToString(sum)
}

// Export writes every entry as HASH:COUNT in ascending order, one to a line
// ended by LF: the form of the official downloader's single file, which Build
// and KeePassXC read. It needs an index with whole hashes and returns
// ErrHeadOnly otherwise.
func (x *Index) Export(ctx context.Context, w io.Writer) (err error) {
	if !x.full {
		return ErrHeadOnly
	}
	defer catchFault(debug.SetPanicOnFault(true), &err)
	out := bufio.NewWriterSize(w, readSize)
	var text []byte
	for prefix := range uint32(prefixCount) {
		if prefix%perSegment == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if text, _, err = x.appendLines(text[:0], prefix, lineForm{}); err != nil {
			return err
		}
		if _, err = out.Write(text); err != nil {
			return err
		}
	}
	return out.Flush()
}

// lineForm is how entries are written: the number of hexadecimal digits that
// are left out at the front, 0 or 5, and whether CRLF or LF ends each line.
type lineForm struct {
	from int
	crlf bool
}

// appendLines appends the entries under a prefix.
func (x *Index) appendLines(dst []byte, prefix uint32, form lineForm) ([]byte, int, error) {
	const room = 8 + 40 + 1 + 10 + 2 // the longest line and what is written over its end
	lines := 0
	digits := 2*x.kind.Size() - form.from
	rest := uint64(x.kind.Size() - 8)
	w := walker{x: x, prefix: prefix}
	for w.next() {
		dst = slices.Grow(dst, w.n*room)
		lines += w.n
		for i := range w.buf[:w.n] {
			f := &w.buf[i]
			at := len(dst)
			text := dst[at : at+room]
			// Sixteen digits of the head, less the first five when they are
			// not shown: eleven, written as two overlapping words of eight.
			if form.from == 0 {
				putHex(text[0:], uint32(f.head>>32))
				putHex(text[8:], uint32(f.head))
			} else {
				putHex(text[0:], uint32(f.head>>12))
				putHex(text[3:], uint32(f.head))
			}
			body := text[16-form.from : 16-form.from+24]
			tail := w.tails[f.at : f.at+rest]
			putHex(body[0:], binary.BigEndian.Uint32(tail[0:]))
			putHex(body[8:], binary.BigEndian.Uint32(tail[4:]))
			if len(tail) >= 12 {
				putHex(body[16:], binary.BigEndian.Uint32(tail[8:]))
			}
			text[digits] = ':'
			at += digits + 1
			if f.count < 10 {
				dst = dst[:at+1]
				dst[at] = '0' + byte(f.count)
			} else {
				dst = strconv.AppendUint(dst[:at], uint64(f.count), 10)
			}
			if form.crlf {
				dst = append(dst, '\r', '\n')
			} else {
				dst = append(dst, '\n')
			}
		}
	}
	return dst, lines, w.err
}

// putHex writes four bytes as eight upper-case hexadecimal digits.
func putHex(dst []byte, v uint32) {
	const ones = 0x0101010101010101
	x := uint64(v)
	x = (x<<16 | x) & 0x0000ffff0000ffff // high half up, 16 bits to a word
	x = (x<<8 | x) & 0x00ff00ff00ff00ff
	x = (x<<4 | x) & 0x0f0f0f0f0f0f0f0f
	letter := (x + 6*ones) >> 4 & ones
	binary.BigEndian.PutUint64(dst, x+'0'*ones+letter*('A'-'0'-10))
}

// found is one entry on its way out of an index.
type found struct {
	head  uint64 // first 64 bits of the hash
	at    uint64 // where the bytes after them are in the walker's tails
	count uint32
}

// walker goes through the entries under a prefix in order, a home line at a
// time. The index must have whole hashes.
type walker struct {
	x      *Index
	prefix uint32
	n      int // entries next found, at the head of buf
	tails  []byte
	err    error

	begun          bool
	done           bool
	id             uint64
	home, lastHome uint64
	skip, lastRem  uint64
	rank           uint64
	checked        uint64 // tails below this rank are checked
	whole, part    uint64 // 2^64/homes and its fraction
	cur            cursor
	exc            exceptionCursor
	buf            [maxRun + 1]found // a run at most
}

// next finds the entries of the next home line that has any. It returns false
// at the end or with w.err set.
func (w *walker) next() bool {
	if !w.begun {
		w.begun = true
		w.err = w.begin()
	}
	for w.err == nil && !w.done {
		if w.home > w.lastHome {
			w.done = true
			break
		}
		w.n = 0
		if w.cur.s == nil {
			w.err = w.plain()
		} else {
			w.err = w.run()
			w.home++
			w.skip = 0
		}
		if w.n > 0 && w.err == nil {
			return true
		}
	}
	return false
}

func (w *walker) begin() error {
	x := w.x
	w.id = uint64(w.prefix) / perSegment
	s := &x.hot[w.id]
	if s.homes == 0 {
		var err error
		w.rank, err = x.cold[w.id].firstPlain(w.prefix)
		return err
	}
	// The runs that can hold the prefix; the first and the last may hold
	// neighbours too, which the restored head tells apart.
	low := uint64(w.prefix) << (64 - 20 + segmentBits)
	w.home, w.skip = split(low, s.homes)
	w.lastHome, w.lastRem = split(low|(1<<(64-20+segmentBits)-1), s.homes)
	rank, err := x.rank(w.id, w.home)
	if err != nil {
		return err
	}
	w.rank = rank
	// What a division by homes multiplies with. Rounding errs downwards, by
	// less than four units of a position, so by less than one of a head.
	var r uint64
	w.whole, r = bits.Div64(1, 0, s.homes)
	w.part, _ = bits.Div64(r, 0, s.homes)
	w.cur = cursor{s: s, id: w.id}
	c := &x.cold[w.id]
	w.tails = c.tail[c.sec.tail-c.sec.tailCRC:]
	return nil
}

// run lists the wanted entries of one home line.
func (w *walker) run() error {
	c := &w.x.cold[w.id]
	start, run, ok := w.cur.run(w.home)
	if !ok {
		return ErrCorrupt
	}
	if run == 0 {
		return nil
	}
	over, _ := bits.Mul64(w.home, w.part)
	base := w.home*w.whole + over
	stride := c.sec.stride
	tails := w.tails
	known := uint64(8 - c.row.tailFrom) // bytes of the head that the tail holds
	mask := uint64(1)<<(8*known) - 1
	number, i := start/slotsPerLine, start%slotsPerLine
	if !w.cur.seek(number) {
		return ErrCorrupt
	}
	for end := start + run; start < end; start++ {
		if i == slotsPerLine {
			number, i = number+1, 0
			if !w.cur.seek(number) {
				return ErrCorrupt
			}
		}
		v := slot(w.cur.line, i)
		i++
		rank := w.rank
		w.rank++
		rem := v >> 4
		if rem < w.skip {
			continue
		}
		if w.home == w.lastHome && rem > w.lastRem {
			w.done = true
			break
		}
		if rank >= w.checked {
			_, first, ok := c.tailBlock(rank)
			if !ok {
				return ErrCorrupt
			}
			w.checked = min(first+tailBlock, uint64(c.row.entries))
		}
		at := rank * stride
		within, _ := bits.Mul64(rem<<28, w.whole)
		least := (base + within) >> segmentBits
		held := uint64(tails[at])
		if known == 2 {
			held = held<<8 | uint64(tails[at+1])
		}
		head := least&^mask | held
		if head < least {
			head += mask + 1
		}
		head |= w.id << (64 - segmentBits)
		if uint32(head>>(64-20)) != w.prefix {
			continue
		}
		n := uint32(v&15) + 1
		if v&15 == countInRow {
			if n, ok = w.exc.count(w.cur.s, w.id, start); !ok {
				return ErrCorrupt
			}
		}
		// Field by field: a copy of the whole would wait for its parts.
		f := &w.buf[w.n&maxRun]
		f.head, f.at, f.count = head, at+known, n
		w.n++
	}
	return nil
}

// plain lists the next entries of a segment that is stored plain, or empty.
func (w *walker) plain() error {
	c := &w.x.cold[w.id]
	w.tails = c.head
	for n := uint64(c.row.entries); w.n < len(w.buf); w.rank++ {
		if w.rank >= n {
			w.done = true
			return nil
		}
		rec := c.plain(w.rank)
		if rec == nil {
			return ErrCorrupt
		}
		f := &w.buf[w.n]
		f.head, f.at = binary.BigEndian.Uint64(rec), segmentHeaderSize+w.rank*plainRecord+8
		if uint32(f.head>>(64-20)) != w.prefix {
			w.done = true
			return nil
		}
		f.count = binary.LittleEndian.Uint32(rec[20:])
		w.n++
	}
	return nil
}

// walkPositions calls emit for each entry under a prefix with its position, as
// far as the lines tell it, and its count. It needs no whole hashes; a position
// it gives splits into the same home and remainder as the entry's own.
//
// An entry whose slot cannot tell on which side of a prefix's lower bound it
// lies (one in about 10^13) counts to the prefix below; straddling makes it
// count to this one.
func (x *Index) walkPositions(prefix uint32, straddling bool, emit func(pos uint64, n uint32)) error {
	id := uint64(prefix) / perSegment
	s := &x.hot[id]
	if s.homes == 0 {
		w := walker{x: x, prefix: prefix}
		for w.next() {
			for _, f := range w.buf[:w.n] {
				emit(f.head<<segmentBits, f.count)
			}
		}
		return w.err
	}
	low := uint64(prefix) << (64 - 20 + segmentBits)
	high := low | (1<<(64-20+segmentBits) - 1)
	home, skip := split(low, s.homes)
	lastHome, lastRem := split(high, s.homes)
	cur := cursor{s: s, id: id}
	var exc exceptionCursor
	for ; home <= lastHome; home++ {
		start, run, ok := cur.run(home)
		if !ok {
			return ErrCorrupt
		}
		for p := start; p < start+run; p++ {
			if !cur.seek(p / slotsPerLine) {
				return ErrCorrupt
			}
			v := slot(cur.line, p%slotsPerLine)
			rem := v >> 4
			if rem < skip {
				continue
			}
			if home == lastHome && rem > lastRem {
				return nil
			}
			n := uint32(v&15) + 1
			if v&15 == countInRow {
				if n, ok = exc.count(s, id, p); !ok {
					return ErrCorrupt
				}
			}
			pos, _ := restorePos(home, rem, s.homes)
			if pos < low {
				if !straddling {
					continue
				}
				pos = low
			}
			if pos > high {
				return nil
			}
			emit(pos, n)
		}
		skip = 0
	}
	return nil
}

// exceptionCursor reads counts that are kept aside, in the order of slots.
type exceptionCursor struct {
	list  []byte
	group uint64
	open  bool
}

func (e *exceptionCursor) count(s *hotSegment, id, p uint64) (uint32, bool) {
	if g := p / groupSlots; !e.open || e.group != g {
		list, ok := s.exceptions(id, g)
		if !ok {
			return 0, false
		}
		e.list, e.group, e.open = list, g, true
	}
	for len(e.list) > 1 {
		at := e.list[0]
		v, n := binary.Uvarint(e.list[1:])
		if n <= 0 || v > 1<<32-1-countInRow-1 {
			return 0, false
		}
		e.list = e.list[1+n:]
		if uint64(at) == p%groupSlots {
			return uint32(v) + countInRow + 1, true
		}
	}
	return 0, false
}

// firstPlain is the first record of a plain segment that is not below a prefix.
func (c *coldSegment) firstPlain(prefix uint32) (uint64, error) {
	damaged := false
	at := sort.Search(int(c.row.entries), func(i int) bool {
		rec := c.plain(uint64(i))
		damaged = damaged || rec == nil
		return damaged || uint32(binary.BigEndian.Uint64(rec)>>(64-20)) >= prefix
	})
	if damaged {
		return 0, ErrCorrupt
	}
	return uint64(at), nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"strings"
	"sync"
)

const (
	// maxHashLine bounds a line of hashes: 40 digits, a colon, ten digits of
	// count, with room for a mark and a carriage return.
	maxHashLine = 96
	readSize    = 1 << 20
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// lineReader cuts a stream into lines and knows where it is.
type lineReader struct {
	r        io.Reader
	buf      []byte
	from, to int
	scanned  int // bytes from buf[from:] known to hold no line feed
	eof      bool
	max      int // longest line allowed

	line   int64 // number of the line last returned
	offset int64 // where it began
	next   int64 // where the next one begins
}

func newLineReader(r io.Reader, size, max int) *lineReader {
	return &lineReader{r: r, buf: make([]byte, size), max: max}
}

func (l *lineReader) reset(r io.Reader) {
	*l = lineReader{r: r, buf: l.buf, max: l.max}
}

// read returns the next line without its end, LF or CRLF. A last line without
// an end counts; an empty rest does not. It returns io.EOF at the end and
// ErrSyntax, with the line's place set, for a line over the limit.
func (l *lineReader) read() ([]byte, error) {
	for {
		if i := bytes.IndexByte(l.buf[l.from+l.scanned:l.to], '\n'); i >= 0 {
			return l.take(l.scanned+i, 1)
		}
		l.scanned = l.to - l.from
		if l.scanned > l.max {
			return l.take(l.scanned, 0)
		}
		if l.eof {
			if l.scanned == 0 {
				return nil, io.EOF
			}
			return l.take(l.scanned, 0)
		}
		if l.from > 0 {
			copy(l.buf, l.buf[l.from:l.to])
			l.from, l.to = 0, l.scanned
		}
		n, err := l.r.Read(l.buf[l.to:])
		l.to += n
		if errors.Is(err, io.EOF) {
			l.eof = true
		} else if err != nil {
			return nil, err
		}
	}
}

func (l *lineReader) take(length, end int) ([]byte, error) {
	text := l.buf[l.from : l.from+length]
	l.from += length + end
	l.scanned = 0
	l.line++
	l.offset = l.next
	l.next += int64(length + end)
	if length > l.max {
		return nil, ErrSyntax
	}
	if length > 0 && text[length-1] == '\r' {
		text = text[:length-1]
	}
	return text, nil
}

// hex8 decodes eight hexadecimal digits of either case, eight bytes at once.
func hex8(text []byte) (uint32, bool) {
	const ones = 0x0101010101010101
	v := binary.LittleEndian.Uint64(text)
	letter := v >> 6 & ones
	nib := v&(0x0f*ones) + letter*9
	over := (nib + 6*ones) >> 4 & ones
	// The digits are valid when writing the nibbles gives the text again,
	// with letters in lower case.
	ok := nib&(0xf0*ones) == 0 && nib+0x30*ones+over*0x27 == v|letter<<5
	nib = (nib<<4 | nib>>8) & 0x00ff00ff00ff00ff
	nib = (nib | nib>>8) & 0x0000ffff0000ffff
	return bits.ReverseBytes32(uint32(nib | nib>>16)), ok
}

// entryReader reads hashes with counts, one to a line, strictly ascending.
type entryReader struct {
	lines *lineReader
	kind  Kind
	file  string

	// For range files: the digits that every line lacks.
	prefix     uint32
	prefixBits int

	key     Key
	last    Key
	any     bool
	pairs   *[1 << 16]uint16
	counted int8 // 0 unknown, 1 lines carry counts, -1 they do not
}

// next reads one entry into e.key. It returns io.EOF at the end and an
// *InputError for what the format does not allow.
func (e *entryReader) next() (uint32, error) {
	for {
		if count := e.nextPlain(); count > 0 {
			return count, nil
		}
		text, err := e.lines.read()
		if err != nil {
			if errors.Is(err, ErrSyntax) {
				return 0, e.fail(ErrSyntax, "line too long")
			}
			return 0, err
		}
		// The official downloader opens one text stream per range, so a mark
		// may stand before any range's first line, not only the file's.
		if len(text) > 0 && text[0] == byteOrderMark[0] {
			text = bytes.TrimPrefix(text, byteOrderMark)
		}
		if len(text) == 0 {
			continue
		}
		e.last = e.key
		rest, reason := e.parseHash(text)
		if reason != "" {
			return 0, e.fail(ErrSyntax, reason)
		}
		count, reason := e.parseCount(rest)
		if reason != "" {
			return 0, e.fail(ErrSyntax, reason)
		}
		if count == 0 {
			// Padding of a range answer: random, unordered, means nothing.
			e.key = e.last
			continue
		}
		if e.any && !e.ascending() {
			if e.key == e.last {
				return 0, e.fail(ErrOrder, "duplicate")
			}
			return 0, e.fail(ErrOrder, "")
		}
		e.any = true
		return count, nil
	}
}

// nextPlain reads an entry of the usual form, a whole hash with a count, that
// lies in the buffer and is above the one before. It returns 0, having done
// nothing, for everything else.
func (e *entryReader) nextPlain() uint32 {
	l := e.lines
	if e.prefixBits != 0 || e.counted < 0 || l.to-l.from < maxHashLine || l.max < maxHashLine {
		return 0
	}
	b := (*[maxHashLine]byte)(l.buf[l.from:])
	if e.pairs == nil {
		e.pairs = hexPairs()
	}
	pairs := e.pairs
	head, bad := eightPairs(pairs, (*[16]byte)(b[0:]))
	middle, bad2 := eightPairs(pairs, (*[16]byte)(b[16:]))
	at, low := 32, uint32(0)
	if e.kind == SHA1 {
		for i := 32; i < 40; i += 2 {
			v := pairs[binary.LittleEndian.Uint16(b[i:])]
			bad |= v
			low = low<<8 | uint32(v)
		}
		at = 40
	}
	if (bad|bad2)&badPair != 0 || b[at] != ':' {
		return 0
	}
	at++
	count := uint64(b[at] - '0')
	if count-1 > 8 {
		return 0
	}
	for at++; ; at++ {
		d := uint64(b[at] - '0')
		if d > 9 || count > 1<<32 {
			break
		}
		count = count*10 + d
	}
	if b[at] == '\r' {
		at++
	}
	if b[at] != '\n' || count > 1<<32-1 {
		return 0
	}
	if e.any {
		if was := e.key.head(); head <= was {
			if head < was || middle < binary.BigEndian.Uint64(e.key[8:]) ||
				middle == binary.BigEndian.Uint64(e.key[8:]) && low <= binary.BigEndian.Uint32(e.key[16:]) {
				return 0
			}
		}
	}
	e.last, e.any, e.counted = e.key, true, 1
	binary.BigEndian.PutUint64(e.key[0:], head)
	binary.BigEndian.PutUint64(e.key[8:], middle)
	binary.BigEndian.PutUint32(e.key[16:], low)
	l.from += at + 1
	l.scanned = 0
	l.line++
	l.offset = l.next
	l.next += int64(at + 1)
	return uint32(count)
}

// badPair marks two characters that are not both hexadecimal digits.
const badPair = 1 << 15

// hexPairs gives the byte that two digits make, by the digits as they lie in
// memory. Of its 128 KiB real text touches sixteen short stretches.
var hexPairs = sync.OnceValue(func() *[1 << 16]uint16 {
	t := new([1 << 16]uint16)
	value := func(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }
	for i := range t {
		a, b := byte(i), byte(i>>8)
		high, low := value(a), value(b)
		if high < 0 || low < 0 || a < '0' || b < '0' {
			t[i] = badPair
			continue
		}
		t[i] = uint16(high<<4 | low)
	}
	return t
})

// eightPairs decodes sixteen digits; bad has badPair set when they are not.
func eightPairs(pairs *[1 << 16]uint16, text *[16]byte) (v uint64, bad uint16) {
	p0, p1 := pairs[binary.LittleEndian.Uint16(text[0:])], pairs[binary.LittleEndian.Uint16(text[2:])]
	p2, p3 := pairs[binary.LittleEndian.Uint16(text[4:])], pairs[binary.LittleEndian.Uint16(text[6:])]
	p4, p5 := pairs[binary.LittleEndian.Uint16(text[8:])], pairs[binary.LittleEndian.Uint16(text[10:])]
	p6, p7 := pairs[binary.LittleEndian.Uint16(text[12:])], pairs[binary.LittleEndian.Uint16(text[14:])]
	v = uint64(p0)<<56 | uint64(p1)<<48 | uint64(p2)<<40 | uint64(p3)<<32 |
		uint64(p4)<<24 | uint64(p5)<<16 | uint64(p6)<<8 | uint64(p7)
	return v, p0 | p1 | p2 | p3 | p4 | p5 | p6 | p7
}

func (e *entryReader) ascending() bool {
	return cmp.Or(cmp.Compare(e.last.head(), e.key.head()), bytes.Compare(e.last[8:], e.key[8:])) < 0
}

// parseHash decodes the digits at the start of a line into e.key and returns
// what follows them.
func (e *entryReader) parseHash(text []byte) (rest []byte, reason string) {
	digits := 2*e.kind.Size() - e.prefixBits/4
	if len(text) < digits {
		return nil, "hash too short"
	}
	var whole [40]byte
	hash := text[:digits]
	if e.prefixBits > 0 {
		const upper = "0123456789ABCDEF"
		for i := range e.prefixBits / 4 {
			whole[i] = upper[e.prefix>>(e.prefixBits-4-4*i)&15]
		}
		copy(whole[e.prefixBits/4:], hash)
		hash = whole[:2*e.kind.Size()]
	}
	ok := true
	for i := 0; i < e.kind.Size(); i += 4 {
		v, valid := hex8(hash[2*i:])
		binary.BigEndian.PutUint32(e.key[i:], v)
		ok = ok && valid
	}
	if !ok {
		// A shorter hash followed by a colon is the usual cause: lines of the
		// other kind.
		if i := bytes.IndexByte(text, ':'); i >= 0 && i < digits {
			return nil, "hash too short"
		}
		return nil, "not hexadecimal"
	}
	if len(text) > digits && text[digits] != ':' {
		return nil, "hash too long"
	}
	return text[digits:], ""
}

// parseCount reads ":" and a decimal count. A file has counts on all its lines
// or on none; without them each entry counts once.
func (e *entryReader) parseCount(text []byte) (n uint32, reason string) {
	has := int8(1)
	if len(text) == 0 {
		has = -1
	}
	if e.counted == 0 {
		e.counted = has
	}
	if e.counted != has {
		return 0, "some lines have counts and some have none"
	}
	if has < 0 {
		return 1, ""
	}
	digits := text[1:]
	if len(digits) == 0 {
		return 0, "count missing"
	}
	if digits[0] == '-' {
		return 0, "negative count"
	}
	var v uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, "count is not a number"
		}
		if v = v*10 + uint64(c-'0'); v > 1<<32-1 {
			return 0, "count over 4,294,967,295"
		}
	}
	return uint32(v), ""
}

func (e *entryReader) fail(err error, reason string) error {
	return &InputError{File: e.file, Line: e.lines.line, Offset: e.lines.offset, Reason: reason, Err: err}
}

// inflate wraps a gzip stream in its size budget: limit bytes, or, when limit
// is zero, 64 MiB and twenty times what was read of the compressed stream.
// Text of hashes shrinks to a half, words to a fifth; a bomb grows a
// thousandfold.
func inflate(r io.Reader, limit int64, file string) (io.Reader, error) {
	in := &countingReader{r: r}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, &InputError{File: file, Err: ErrSyntax, Reason: "not a gzip stream"}
	}
	return &budgetReader{in: in, z: z, limit: limit, file: file}, nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

type budgetReader struct {
	in    *countingReader
	z     *gzip.Reader
	out   int64
	limit int64
	file  string
}

func (b *budgetReader) Read(p []byte) (int, error) {
	n, err := b.z.Read(p)
	b.out += int64(n)
	limit := b.limit
	if limit <= 0 {
		limit = 64<<20 + 20*b.in.n
	}
	if b.out > limit {
		return 0, &InputError{File: b.file, Offset: b.out, Err: ErrTooLarge}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, &InputError{File: b.file, Offset: b.out, Err: ErrSyntax, Reason: "damaged gzip stream"}
	}
	return n, err
}

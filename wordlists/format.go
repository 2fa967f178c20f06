// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"math/bits"
	"time"
)

// Sizes and limits of the format; the drawing is in the package comment.
const (
	formatVersion = 1

	segmentBits  = 12
	segmentCount = 1 << segmentBits
	prefixCount  = 1 << 20 // ranges of five hex digits
	perSegment   = prefixCount / segmentCount

	fileHeaderSize    = 4096
	tableEntrySize    = 32
	tableSize         = segmentCount * tableEntrySize
	dataStart         = fileHeaderSize + tableSize
	segmentHeaderSize = 128
	footerSize        = 128

	lineSize     = 64
	slotsPerLine = 12
	slotBytes    = 5
	groupLines   = 16
	groupSlots   = groupLines * slotsPerLine
	tailBlock    = 256 // entries under one tail checksum
	plainRecord  = 32

	maxOffset  = 1<<10 - 1 // slots from a home line to its run
	maxRun     = 1<<7 - 1  // entries of one home line
	countInRow = 15        // largest count a slot holds itself

	// maxSegment bounds the entries of one segment, and with it the memory of
	// a builder's worker: sixteen times what a segment of a two-billion-entry
	// corpus holds.
	maxSegment = 1 << 23

	maxName     = 64
	maxCanaries = 16
)

const (
	fileMagic   = "WWIX\r\n\x1a\n"
	footerMagic = "\n\x1a\r\nXIWW"
	segMagic    = "WSEG"
)

// Flags of a file.
const (
	flagFull    = 1 << 0 // tails present: whole hashes are known
	flagPartial = 1 << 1 // completeness gates were lifted
	flagWords   = 1 << 2 // built from words, not from a published corpus
	flagsKnown  = flagFull | flagPartial | flagWords
)

// Layouts of a segment.
const (
	layoutEmpty = 0
	layoutLines = 1
	layoutPlain = 2
)

// segTwins marks a segment in which two entries share one remainder of one home.
const segTwins = 1 << 0

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// The multipliers of the line and directory checks. Each is odd and has no
// eight equal bits in a row, so that c<<b, for every b, has a top part that is
// neither all zeros nor all ones nor within one of either. Adding or
// subtracting c<<b (one flipped bit) therefore always changes the top bits
// that the checks keep.
const (
	mix0 = 0x3efa8e3086ad2443
	mix1 = 0x364e5cb1ce94b7b5
	mix2 = 0xfb812110f4e03069
	mix3 = 0xbf0f2d889812fd0f
	mix4 = 0xdca9443a1fd643a5
	mix5 = 0x85cd9b842a141b49
	mix6 = 0x153483a80f04e42f
	mix7 = 0x60be611d5034a617
	mix8 = 0x0cc74c10c081894d
	mix9 = 0x0b42f06dabba56cd
)

// A line's last word ends in its meta part: run offset (10 bits), run length
// (7), check (15), above four bytes of the last slot.
const (
	metaShift  = 32
	checkShift = 49
)

// lineCheck computes the 15-bit check of a line from everything but the check
// itself, bound to the segment and the line's number. It is never zero, so a
// block of zeros is never a line.
func lineCheck(line *[lineSize]byte, segment, number uint64) uint64 {
	return lineSum(line, checkSeed(segment, number))
}

// checkSeed is what a line's segment and number contribute to its check; one
// line on adds mix8.
func checkSeed(segment, number uint64) uint64 { return (segment<<32|number)*mix8 + mix9 }

func lineSum(line *[lineSize]byte, h uint64) uint64 {
	h += binary.LittleEndian.Uint64(line[0:]) * mix0
	h += binary.LittleEndian.Uint64(line[8:]) * mix1
	h += binary.LittleEndian.Uint64(line[16:]) * mix2
	h += binary.LittleEndian.Uint64(line[24:]) * mix3
	h += binary.LittleEndian.Uint64(line[32:]) * mix4
	h += binary.LittleEndian.Uint64(line[40:]) * mix5
	h += binary.LittleEndian.Uint64(line[48:]) * mix6
	h += (binary.LittleEndian.Uint64(line[56:]) & (1<<checkShift - 1)) * mix7
	c := h >> checkShift
	return c + (c-1)>>63 // zero becomes one
}

// A directory word holds, for a group of sixteen lines, the offset of its
// exceptions (26 bits), the rank of its first entry (27) and a check (11).
const (
	dirRankShift  = 26
	dirCheckShift = 53
	dirOffsetMax  = 1<<dirRankShift - 1
	dirRankMax    = 1<<(dirCheckShift-dirRankShift) - 1
)

func dirWord(offset, rank uint64, segment, group uint64) uint64 {
	w := offset | rank<<dirRankShift
	return w | dirCheck(w, segment, group)<<dirCheckShift
}

func dirCheck(w, segment, group uint64) uint64 {
	h := (w&(1<<dirCheckShift-1))*mix0 + (segment<<32|group)*mix8 + mix9
	c := h >> dirCheckShift
	return c + (c-1)>>63
}

// crc8 is the check byte that ends a group's exceptions (polynomial
// x^8+x^4+x^3+x^2+1): crc8[k][c] is what c becomes k+1 bytes later.
var crc8 = func() (t [8][256]byte) {
	for i := range t[0] {
		c := byte(i)
		for range 8 {
			if c&0x80 != 0 {
				c = c<<1 ^ 0x1d
			} else {
				c <<= 1
			}
		}
		t[0][i] = c
	}
	for k := 1; k < len(t); k++ {
		for i := range t[k] {
			t[k][i] = t[0][t[k-1][i]]
		}
	}
	return t
}()

// exceptionCheck is never zero for bytes that are all zero.
func exceptionCheck(b []byte, segment, group uint64) byte {
	c := byte(1 + (segment*31+group)%255)
	for ; len(b) >= 8; b = b[8:] {
		c = crc8[7][c^b[0]] ^ crc8[6][b[1]] ^ crc8[5][b[2]] ^ crc8[4][b[3]] ^
			crc8[3][b[4]] ^ crc8[2][b[5]] ^ crc8[1][b[6]] ^ crc8[0][b[7]]
	}
	for _, v := range b {
		c = crc8[0][c^v]
	}
	return c
}

// tableEntry is one segment's row in the table at the head of the file.
type tableEntry struct {
	offset   uint64
	entries  uint32
	homes    uint32 // lines that keys are addressed to
	lines    uint32 // lines stored: homes and the spill behind the last
	excBytes uint32
	layout   uint8
	tailFrom uint8 // first hash byte kept in the tail; 0 without one
	flags    uint8
	crc      uint32 // of the segment header
}

func (e *tableEntry) put(b []byte) {
	binary.LittleEndian.PutUint64(b[0:], e.offset)
	binary.LittleEndian.PutUint32(b[8:], e.entries)
	binary.LittleEndian.PutUint32(b[12:], e.homes)
	binary.LittleEndian.PutUint32(b[16:], e.lines)
	binary.LittleEndian.PutUint32(b[20:], e.excBytes)
	b[24], b[25], b[26], b[27] = e.layout, e.tailFrom, e.flags, 0
	binary.LittleEndian.PutUint32(b[28:], e.crc)
}

func (e *tableEntry) get(b []byte) {
	e.offset = binary.LittleEndian.Uint64(b[0:])
	e.entries = binary.LittleEndian.Uint32(b[8:])
	e.homes = binary.LittleEndian.Uint32(b[12:])
	e.lines = binary.LittleEndian.Uint32(b[16:])
	e.excBytes = binary.LittleEndian.Uint32(b[20:])
	e.layout, e.tailFrom, e.flags = b[24], b[25], b[26]
	e.crc = binary.LittleEndian.Uint32(b[28:])
}

// sections are the places of a segment's parts, from the segment's start.
type sections struct {
	lines, dir, exc, pad1, tailCRC, tail, pad2, end uint64
	groups                                          uint64
	stride                                          uint64
}

func (e *tableEntry) sections(kind Kind) sections {
	s := sections{lines: segmentHeaderSize}
	if e.layout == layoutPlain {
		at := s.lines + uint64(e.entries)*plainRecord
		s.dir, s.exc, s.pad1, s.tailCRC, s.tail, s.pad2 = at, at, at, at, at, at
		s.end = (at + 63) &^ 63
		return s
	}
	s.groups = (uint64(e.lines)+groupLines-1)/groupLines + 1
	s.dir = s.lines + uint64(e.lines)*lineSize
	s.exc = s.dir + s.groups*8
	s.pad1 = s.exc + uint64(e.excBytes)
	s.tailCRC = (s.pad1 + 7) &^ 7
	s.tail = s.tailCRC
	if e.tailFrom != 0 {
		s.stride = uint64(kind.Size()) - uint64(e.tailFrom)
		s.tail += (uint64(e.entries) + tailBlock - 1) / tailBlock * 4
	}
	s.pad2 = s.tail + uint64(e.entries)*s.stride
	s.end = (s.pad2 + 63) &^ 63
	return s
}

// valid reports whether a row is one a builder could have written, so that
// every offset derived from it stays inside the file.
func (e *tableEntry) valid(kind Kind, full bool, fileSize uint64) bool {
	switch e.layout {
	case layoutEmpty:
		return *e == tableEntry{}
	case layoutLines:
		if e.homes < 2 || e.lines < e.homes || e.lines-e.homes > spillLines || e.homes > 1<<28 ||
			e.entries > dirRankMax || e.excBytes > dirOffsetMax || e.flags&^segTwins != 0 {
			return false
		}
		if full != (e.tailFrom != 0) || full && e.tailFrom != tailStart(e.homes) {
			return false
		}
	case layoutPlain:
		if e.homes != 0 || e.lines != 0 || e.excBytes != 0 || e.tailFrom != 0 || e.flags != 0 {
			return false
		}
	default:
		return false
	}
	return e.entries > 0 && e.offset >= dataStart && e.offset%64 == 0 && e.offset < fileSize &&
		e.sections(kind).end <= fileSize-footerSize-e.offset
}

// tailStart is the first hash byte that the tail of a segment must keep. A
// slot pins the 64-bit head to an interval of 2^16/homes values; the tail's
// first bytes must tell the values of one interval apart, with room for the
// rounding of the fast reconstruction in range answers.
func tailStart(homes uint32) uint8 {
	if homes >= 512 {
		return 7
	}
	return 6
}

// segmentHeader stands before each segment so that a segment can be checked,
// copied and moved alone.
type segmentHeader struct {
	id                 uint16
	kind               Kind
	row                tableEntry // without offset and crc
	sum                uint64     // of all counts
	maxRange, minRange uint32     // entries under the fullest and emptiest prefix
	maxAt, minAt       uint8      // low bits of those prefixes
	crcLines           uint32     // lines, or the records of a plain segment
	crcDir             uint32
	crcExc             uint32
	crcTail            uint32 // tail checksums and tail
}

func (h *segmentHeader) put(b []byte) uint32 {
	clear(b[:segmentHeaderSize])
	copy(b, segMagic)
	binary.LittleEndian.PutUint16(b[4:], formatVersion)
	binary.LittleEndian.PutUint16(b[6:], h.id)
	b[8], b[9], b[10], b[11] = h.row.layout, h.row.tailFrom, h.row.flags, byte(h.kind)
	binary.LittleEndian.PutUint32(b[12:], h.row.entries)
	binary.LittleEndian.PutUint32(b[16:], h.row.homes)
	binary.LittleEndian.PutUint32(b[20:], h.row.lines)
	binary.LittleEndian.PutUint32(b[24:], h.row.excBytes)
	binary.LittleEndian.PutUint32(b[28:], h.maxRange)
	binary.LittleEndian.PutUint32(b[32:], h.minRange)
	b[36], b[37] = h.maxAt, h.minAt
	binary.LittleEndian.PutUint64(b[40:], h.sum)
	binary.LittleEndian.PutUint32(b[48:], h.crcLines)
	binary.LittleEndian.PutUint32(b[52:], h.crcDir)
	binary.LittleEndian.PutUint32(b[56:], h.crcExc)
	binary.LittleEndian.PutUint32(b[60:], h.crcTail)
	crc := crcOf(b[:segmentHeaderSize-4])
	binary.LittleEndian.PutUint32(b[segmentHeaderSize-4:], crc)
	return crc
}

func (h *segmentHeader) get(b []byte) bool {
	if len(b) < segmentHeaderSize || string(b[:4]) != segMagic ||
		binary.LittleEndian.Uint16(b[4:]) != formatVersion ||
		binary.LittleEndian.Uint32(b[segmentHeaderSize-4:]) != crcOf(b[:segmentHeaderSize-4]) {
		return false
	}
	h.id = binary.LittleEndian.Uint16(b[6:])
	h.row.layout, h.row.tailFrom, h.row.flags, h.kind = b[8], b[9], b[10], Kind(b[11])
	h.row.entries = binary.LittleEndian.Uint32(b[12:])
	h.row.homes = binary.LittleEndian.Uint32(b[16:])
	h.row.lines = binary.LittleEndian.Uint32(b[20:])
	h.row.excBytes = binary.LittleEndian.Uint32(b[24:])
	h.maxRange = binary.LittleEndian.Uint32(b[28:])
	h.minRange = binary.LittleEndian.Uint32(b[32:])
	h.maxAt, h.minAt = b[36], b[37]
	h.sum = binary.LittleEndian.Uint64(b[40:])
	h.crcLines = binary.LittleEndian.Uint32(b[48:])
	h.crcDir = binary.LittleEndian.Uint32(b[52:])
	h.crcExc = binary.LittleEndian.Uint32(b[56:])
	h.crcTail = binary.LittleEndian.Uint32(b[60:])
	h.row.crc = binary.LittleEndian.Uint32(b[segmentHeaderSize-4:])
	return true
}

// Canary is a member recorded in the file by its builder.
type Canary struct {
	Key   Key
	Count uint32
}

// fileHeader is the first page of a file.
type fileHeader struct {
	kind     Kind
	flags    uint8
	entries  uint64
	sum      uint64
	maxRange uint32
	minRange uint32
	built    time.Time
	size     uint64 // of the whole file
	name     string
	canaries []Canary
}

const canarySize = 24

func (h *fileHeader) put(b []byte) {
	clear(b[:fileHeaderSize])
	copy(b, fileMagic)
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	b[10], b[11], b[12] = byte(h.kind), h.flags, segmentBits
	binary.LittleEndian.PutUint64(b[16:], h.entries)
	binary.LittleEndian.PutUint64(b[24:], h.sum)
	binary.LittleEndian.PutUint32(b[32:], h.maxRange)
	binary.LittleEndian.PutUint32(b[36:], h.minRange)
	binary.LittleEndian.PutUint64(b[40:], uint64(h.built.Unix()))
	binary.LittleEndian.PutUint64(b[48:], h.size)
	b[56] = byte(len(h.name))
	copy(b[57:57+maxName], h.name)
	b[127] = byte(len(h.canaries))
	for i, c := range h.canaries {
		at := b[128+i*canarySize:]
		copy(at, c.Key[:])
		binary.LittleEndian.PutUint32(at[20:], c.Count)
	}
	binary.LittleEndian.PutUint32(b[fileHeaderSize-4:], crcOf(b[:fileHeaderSize-4]))
}

func (h *fileHeader) get(b []byte) error {
	if len(b) < fileHeaderSize {
		return ErrFormat
	}
	if string(b[:8]) != fileMagic || binary.LittleEndian.Uint16(b[8:]) != formatVersion {
		return ErrFormat
	}
	if binary.LittleEndian.Uint32(b[fileHeaderSize-4:]) != crcOf(b[:fileHeaderSize-4]) {
		return ErrCorrupt
	}
	h.kind, h.flags = Kind(b[10]), b[11]
	if h.kind.Size() == 0 || h.flags&^flagsKnown != 0 || b[12] != segmentBits {
		return ErrFormat
	}
	h.entries = binary.LittleEndian.Uint64(b[16:])
	h.sum = binary.LittleEndian.Uint64(b[24:])
	h.maxRange = binary.LittleEndian.Uint32(b[32:])
	h.minRange = binary.LittleEndian.Uint32(b[36:])
	h.built = time.Unix(int64(binary.LittleEndian.Uint64(b[40:])), 0).UTC()
	h.size = binary.LittleEndian.Uint64(b[48:])
	if b[56] > maxName || b[127] > maxCanaries {
		return ErrFormat
	}
	h.name = string(b[57 : 57+int(b[56])])
	h.canaries = make([]Canary, b[127])
	for i := range h.canaries {
		at := b[128+i*canarySize:]
		copy(h.canaries[i].Key[:], at[:20])
		h.canaries[i].Count = binary.LittleEndian.Uint32(at[20:])
	}
	return nil
}

// putFooter commits a file: it repeats the length and seals header and table.
func putFooter(b, header, table []byte, size uint64) {
	clear(b[:footerSize])
	copy(b, footerMagic)
	binary.LittleEndian.PutUint64(b[8:], size)
	sum := sealOf(header, table)
	copy(b[16:], sum[:])
	binary.LittleEndian.PutUint32(b[footerSize-4:], crcOf(b[:footerSize-4]))
}

func footerValid(b, header, table []byte, size uint64) bool {
	var want [footerSize]byte
	putFooter(want[:], header, table, size)
	return bytes.Equal(b, want[:])
}

func sealOf(header, table []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(header)
	h.Write(table)
	return [sha256.Size]byte(h.Sum(nil))
}

// versionOf names the content of a file: the same entries built the same way
// give the same version, whenever and under whatever name they were built.
func versionOf(h *fileHeader, table []byte) string {
	d := sha256.New()
	d.Write([]byte{formatVersion, byte(h.kind), h.flags & flagFull})
	var e tableEntry
	var row [tableEntrySize]byte
	for at := 0; at < len(table); at += tableEntrySize {
		e.get(table[at:])
		e.offset = 0
		e.put(row[:])
		d.Write(row[:])
	}
	return hex.EncodeToString(d.Sum(nil)[:8])
}

// split gives the home line and the 36-bit remainder of a position in a
// segment: the head of a key with the segment's bits shifted out.
func split(pos uint64, homes uint64) (home, rem uint64) {
	home, lo := bits.Mul64(pos, homes)
	return home, lo >> 28
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unsafe"
)

// Preload says how much of a file Open brings into memory before it returns.
type Preload uint8

const (
	// PreloadNone maps the file and reads it page by page as look-ups need it.
	// Open takes well under 10 ms at any size.
	PreloadNone Preload = iota
	// PreloadMapped maps the file and reads in what look-ups need, all but the
	// tails. On Linux what is not in memory yet comes in pages of 2 MiB where
	// the file system has them: look-ups are then faster by about a quarter.
	PreloadMapped
	// PreloadMemory copies everything but the tails into anonymous memory,
	// backed by pages of 2 MiB where the system has them, and checks every copied
	// segment against its checksums. Look-ups are then faster by about a quarter
	// on any file system, and cannot be harmed by whoever truncates the file in
	// place.
	PreloadMemory
)

// Options of Open. The zero value maps the file.
type Options struct {
	Preload Preload
	// Exact makes Count confirm each hit against the whole hash, at about one
	// further memory access a hit. Without it a key that is not listed is
	// reported as listed with a probability of about 1.7e-10. It needs an index
	// built with whole hashes; Open returns ErrHeadOnly otherwise.
	Exact bool
}

// Info describes an open index.
type Info struct {
	Name     string
	Kind     Kind
	Version  string // 16 hex digits naming the content: equal content, equal version
	Entries  uint64
	Sum      uint64    // of all counts
	Built    time.Time // UTC, to the second
	Size     int64     // bytes of the file
	Full     bool      // whole hashes are kept: ranges and export work
	Partial  bool      // built with the completeness gates lifted
	Words    bool      // built from words
	MaxRange int       // most entries under one five-digit prefix
	MinRange int       // fewest
	Canaries []Canary
}

// Index is an open index file. Its methods may be called from many goroutines.
//
// An Index is counted: Open returns it with one reference, Retain adds one,
// and Close gives one back. The file is unmapped with the last.
type Index struct {
	// hot is what a look-up touches before it reaches the file: 32 bytes a
	// segment, which stay in the processor's second-level cache.
	hot   [segmentCount]hotSegment
	cold  [segmentCount]coldSegment
	exact bool
	full  bool
	kind  Kind

	refs  atomic.Int64
	mem   []byte // mapping of the whole file
	heads []byte // anonymous copy of the segments' heads, or nil
	table []byte
	info  Info
}

type hotSegment struct {
	lines  unsafe.Pointer // first line
	stored uint64         // lines that may be read
	homes  uint64         // 0 for a segment without lines
	aside  uint32         // bytes of exceptions, or records of a plain segment
	flags  uint32
}

type coldSegment struct {
	row  tableEntry
	head []byte // header to the end of the exceptions' padding, or of a plain segment
	tail []byte // tail checksums and tail
	sec  sections
}

// Open opens the index file at path. It reads the header, the segment table
// and the footer, all of which must agree with each other and with the file's
// length; the segments are checked as look-ups read them, and by Verify.
//
// The file must not be written to in place while it is open; builders and
// updates of this package replace it by renaming. Look-ups that fault because
// somebody truncated it all the same return ErrCorrupt.
func Open(path string, opts Options) (*Index, error) {
	x, err := open(path, opts)
	if err != nil {
		return nil, fmt.Errorf("opening index: %w", err)
	}
	return x, nil
}

func open(path string, opts Options) (*Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := uint64(st.Size())
	if !st.Mode().IsRegular() {
		return nil, ErrFormat
	}
	header, err := readHeader(f)
	if err != nil {
		return nil, err
	}
	if size < dataStart+footerSize || header.size != size {
		return nil, ErrCorrupt
	}
	x := &Index{kind: header.kind, full: header.flags&flagFull != 0}
	if opts.Exact && !x.full {
		return nil, ErrHeadOnly
	}
	x.exact = opts.Exact
	x.table = make([]byte, tableSize)
	if err := readAt(f, x.table, fileHeaderSize); err != nil {
		return nil, err
	}
	var page [fileHeaderSize]byte
	if err := readAt(f, page[:], 0); err != nil {
		return nil, err
	}
	var foot [footerSize]byte
	if err := readAt(f, foot[:], int64(size-footerSize)); err != nil {
		return nil, err
	}
	if !footerValid(foot[:], page[:], x.table, size) {
		return nil, ErrCorrupt
	}
	if x.mem, err = mapFile(f, int(size)); err != nil {
		return nil, err
	}
	x.refs.Store(1)
	if err := x.load(header, opts.Preload); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func readHeader(f *os.File) (*fileHeader, error) {
	var page [fileHeaderSize]byte
	if _, err := f.ReadAt(page[:], 0); errors.Is(err, io.EOF) {
		return nil, ErrFormat
	} else if err != nil {
		return nil, err
	}
	h := new(fileHeader)
	return h, h.get(page[:])
}

func readAt(f *os.File, b []byte, at int64) error {
	_, err := f.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		return ErrCorrupt
	}
	return err
}

// load fills the segment arrays from the table.
func (x *Index) load(header *fileHeader, preload Preload) error {
	size := uint64(len(x.mem))
	var entries, headBytes, end uint64
	end = dataStart
	for id := range x.cold {
		c := &x.cold[id]
		c.row.get(x.table[id*tableEntrySize:])
		if !c.row.valid(x.kind, x.full, size) {
			return ErrCorrupt
		}
		if c.row.layout == layoutEmpty {
			continue
		}
		c.sec = c.row.sections(x.kind)
		// Segments stand in order without gaps, so that every byte of the
		// file belongs to something that is checked.
		if c.row.offset != end {
			return ErrCorrupt
		}
		end += c.sec.end
		b := x.mem[c.row.offset:end:end]
		if c.row.layout == layoutPlain {
			c.head = b
		} else {
			c.head, c.tail = b[:c.sec.tailCRC:c.sec.tailCRC], b[c.sec.tailCRC:]
		}
		headBytes += (uint64(len(c.head)) + 63) &^ 63
		entries += uint64(c.row.entries)
	}
	if end != size-footerSize || entries != header.entries {
		return ErrCorrupt
	}
	switch preload {
	case PreloadMapped:
		adviseHuge(x.mem)
		for id := range x.cold {
			populate(x.cold[id].head)
		}
	case PreloadMemory:
		if err := x.copyHeads(int(headBytes)); err != nil {
			return err
		}
	}
	for id := range x.hot {
		c, h := &x.cold[id], &x.hot[id]
		switch c.row.layout {
		case layoutLines:
			h.lines = unsafe.Pointer(&c.head[c.sec.lines])
			h.stored, h.homes = uint64(c.row.lines), uint64(c.row.homes)
			h.aside, h.flags = c.row.excBytes, uint32(c.row.flags)
		case layoutPlain:
			h.aside = c.row.entries
		}
	}
	x.info = Info{
		Name: header.name, Kind: header.kind, Version: versionOf(header, x.table),
		Entries: header.entries, Sum: header.sum, Built: header.built, Size: int64(size),
		Full: x.full, Partial: header.flags&flagPartial != 0, Words: header.flags&flagWords != 0,
		MaxRange: int(header.maxRange), MinRange: int(header.minRange),
		Canaries: header.canaries,
	}
	return nil
}

// copyHeads moves what point look-ups read into anonymous memory.
func (x *Index) copyHeads(size int) (err error) {
	defer catchFault(debug.SetPanicOnFault(true), &err)
	if size == 0 {
		return nil
	}
	if x.heads, err = anonymous(size); err != nil {
		return err
	}
	at := 0
	for id := range x.cold {
		c := &x.cold[id]
		if c.row.layout == layoutEmpty {
			continue
		}
		x.fetchAhead(id)
		n := copy(x.heads[at:], c.head)
		c.head = x.heads[at : at+n : at+n]
		at += (n + 63) &^ 63
		if err := x.checkHead(id, nil); err != nil {
			return err
		}
	}
	return nil
}

// Info describes the index. The canaries in it are shared: do not write to them.
func (x *Index) Info() Info { return x.info }

// Kind is the hash the index is keyed by.
func (x *Index) Kind() Kind { return x.kind }

// Retain adds a reference, to be given back with Close.
func (x *Index) Retain() {
	if x.refs.Add(1) <= 1 {
		panic("wordlists: Retain of a closed Index")
	}
}

// retainOpen adds a reference unless the last one is gone already.
func (x *Index) retainOpen() bool {
	for {
		n := x.refs.Load()
		if n <= 0 {
			return false
		}
		if x.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Close gives back one reference and unmaps the file with the last. No method
// may be called on behalf of a reference after it was given back.
func (x *Index) Close() error {
	switch n := x.refs.Add(-1); {
	case n > 0:
		return nil
	case n < 0:
		panic("wordlists: Index closed too often")
	}
	err := unmap(x.mem)
	if x.heads != nil {
		err = errors.Join(err, unmap(x.heads))
	}
	return err
}

// catchFault turns a memory fault in a mapped file, which happens when the
// file was truncated in place, into ErrCorrupt. It is deferred with the result
// of debug.SetPanicOnFault(true), which it restores.
func catchFault(old bool, err *error) {
	debug.SetPanicOnFault(old)
	if r := recover(); r != nil {
		*err = faultError(r)
	}
}

// faultError is ErrCorrupt for a memory fault; any other panic goes on.
func faultError(recovered any) error {
	if _, fault := recovered.(interface{ Addr() uintptr }); !fault {
		panic(recovered)
	}
	return ErrCorrupt
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// source gives a builder the entries of one segment after the other.
type source interface {
	// segment adds the entries of segment id to b, in ascending order, and
	// reports each to keep. A source that is not sequential may be asked for
	// several segments at once, with a scratch value per worker.
	segment(ctx context.Context, id int, w *worker) error
	// sequential says that segments must be asked for in ascending order, all
	// of them and one at a time.
	sequential() bool
	// identity names the input, so that an interrupted build goes on only with
	// the input it began with; empty when it cannot.
	identity() string
	// state names what segment id is made of as it is now, as far as identity
	// does not; it is asked for before the segment is read. ok is false when a
	// change of it might go unnoticed.
	state(id int) (state string, ok bool)
	// size is the number of input bytes, 0 when unknown.
	size() int64
}

// addEntry hands one entry to the worker's builder.
func (w *worker) addEntry(key *Key, count uint32) error {
	if len(w.b.pos) >= maxSegment {
		return &InputError{Err: ErrSkewed}
	}
	w.b.add(key, count)
	w.sample.offer(key, count)
	return nil
}

// fileSource reads segments of a sorted file of hashes independently: it finds
// where each begins by bisection. Each stretch must hold its own segment's
// lines only, in ascending order, and the stretches cover the file, so the
// whole file is proved ascending.
type fileSource struct {
	f      *os.File
	kind   Kind
	name   string
	length int64
	ident  string
	// counted is what the first line says of them all (entryReader.counted).
	counted int8
	bounds  [segmentCount + 1]int64
}

func newFileSource(f *os.File, kind Kind) (*fileSource, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s := &fileSource{f: f, kind: kind, name: filepath.Base(f.Name()), length: st.Size()}
	s.ident = "file " + fileState(st)
	s.bounds[segmentCount] = s.length
	first := entryReader{lines: newLineReader(io.NewSectionReader(f, 0, s.length), 4096, maxHashLine), kind: kind, file: s.name}
	if _, err := first.next(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	s.counted = first.counted
	if err := s.bisect(0, segmentCount, 0, s.length); err != nil {
		return nil, s.explain(err)
	}
	return s, nil
}

// bisect fills bounds[lo+1:hi], knowing that they lie in [from, to].
func (s *fileSource) bisect(lo, hi int, from, to int64) error {
	if hi-lo < 2 {
		return nil
	}
	mid := (lo + hi) / 2
	at, err := s.find(mid, from, to)
	if err != nil {
		return err
	}
	s.bounds[mid] = at
	if err := s.bisect(lo, mid, from, at); err != nil {
		return err
	}
	return s.bisect(mid, hi, at, to)
}

// find gives the offset of the first line, at or after from, whose segment is
// id or above. from and to are beginnings of lines.
func (s *fileSource) find(id int, from, to int64) (int64, error) {
	var buf [2 * maxHashLine]byte
	for from < to {
		// The line that holds the byte before mid, or the one at from.
		mid := from + (to-from)/2
		start := from
		if mid > from {
			back := max(from, mid-maxHashLine)
			n, err := s.f.ReadAt(buf[:mid-back], back)
			if err != nil && !errors.Is(err, io.EOF) {
				return 0, err
			}
			if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
				start = back + int64(i) + 1
			} else if back > from {
				return 0, ErrSyntax
			}
		}
		n, err := s.f.ReadAt(buf[:], start)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		line := buf[:n]
		end := bytes.IndexByte(line, '\n')
		next := start + int64(end) + 1
		if end < 0 {
			if next = start + int64(n); next < s.length {
				return 0, ErrSyntax
			}
		} else {
			line = line[:end]
		}
		seg, ok := segmentOfLine(line)
		switch {
		case !ok:
			return 0, ErrSyntax
		case seg < id:
			from = min(next, to)
		default:
			to = start
		}
	}
	return from, nil
}

// segmentOfLine reads the first three digits of a line.
func segmentOfLine(line []byte) (int, bool) {
	line = bytes.TrimPrefix(line, byteOrderMark)
	if len(line) < 8 {
		return 0, false
	}
	v, ok := hex8(line)
	return int(v >> (32 - segmentBits)), ok
}

func (s *fileSource) sequential() bool { return false }
func (s *fileSource) identity() string { return s.ident }
func (s *fileSource) size() int64      { return s.length }

func (s *fileSource) state(int) (string, bool) { return "", true }

func (s *fileSource) segment(ctx context.Context, id int, w *worker) error {
	from, to := s.bounds[id], s.bounds[id+1]
	if from == to {
		return nil
	}
	err := s.read(ctx, id, io.NewSectionReader(s.f, from, to-from), w)
	w.read.Add(to - from)
	if errors.Is(err, ErrSyntax) || errors.Is(err, ErrOrder) {
		return s.explain(err)
	}
	return err
}

func (s *fileSource) read(ctx context.Context, id int, r io.Reader, w *worker) error {
	w.lines.reset(r)
	w.lines.max = maxHashLine
	e := entryReader{lines: w.lines, kind: s.kind, file: s.name, counted: s.counted}
	for i := 0; ; i++ {
		count, err := e.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if int(e.key.head()>>(64-segmentBits)) != id {
			return ErrOrder
		}
		if err := w.addEntry(&e.key, count); err != nil {
			return err
		}
		if i&0xffff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// explain reads the file from its first line to find the first one that is
// wrong, with its number. err is what a reader that began elsewhere met.
func (s *fileSource) explain(err error) error {
	if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrOrder) {
		return err
	}
	e := entryReader{
		lines: newLineReader(io.NewSectionReader(s.f, 0, s.length), readSize, maxHashLine),
		kind:  s.kind, file: s.name,
	}
	for {
		_, first := e.next()
		if errors.Is(first, io.EOF) {
			// Blank lines and padding can mislead the bisection without being wrong.
			return errNotBisectable
		} else if first != nil {
			return first
		}
	}
}

// errNotBisectable says that a file is in order but must be read in one go.
var errNotBisectable = errors.New("wordlists: file cannot be read in parts")

// streamSource reads one sorted stream of hashes from end to end.
type streamSource struct {
	e       entryReader
	length  int64
	count   uint32
	pending bool
	done    bool
}

func newStreamSource(r io.Reader, kind Kind, name string, length int64) *streamSource {
	return &streamSource{length: length, e: entryReader{
		lines: newLineReader(r, readSize, maxHashLine), kind: kind, file: name,
	}}
}

func (s *streamSource) sequential() bool { return true }
func (s *streamSource) identity() string { return "" }
func (s *streamSource) size() int64      { return s.length }

func (s *streamSource) state(int) (string, bool) { return "", false }

func (s *streamSource) segment(ctx context.Context, id int, w *worker) error {
	begin := s.e.lines.next
	defer func() { w.read.Add(s.e.lines.next - begin) }()
	for i := 0; ; i++ {
		if !s.pending {
			if s.done {
				return nil
			}
			var err error
			if s.count, err = s.e.next(); err != nil {
				if errors.Is(err, io.EOF) {
					s.done = true
					return nil
				}
				return err
			}
			s.pending = true
		}
		if int(s.e.key.head()>>(64-segmentBits)) != id {
			return nil // of a later segment: the stream ascends
		}
		if err := w.addEntry(&s.e.key, s.count); err != nil {
			return err
		}
		s.pending = false
		if i&0xffff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// rangeSource reads a folder of range files.
type rangeSource struct {
	dir     *os.Root
	kind    Kind
	partial bool
	names   rangeNames
}

func newRangeSource(path string, kind Kind, partial bool) (*rangeSource, error) {
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	names, err := listRanges(dir)
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &rangeSource{dir: dir, kind: kind, partial: partial, names: names}, nil
}

func (s *rangeSource) sequential() bool { return false }
func (s *rangeSource) identity() string { return "ranges" }
func (s *rangeSource) size() int64      { return 0 }

// settled is how long ago a file must have changed for its times to tell
// another change apart: longer than the clocks of file systems tick.
var settled = 3 * time.Second

// state is a digest of the names, sizes and times of a segment's 256 files. A
// file that changed a moment ago might change again within the same tick, and
// a segment with one is read anew rather than trusted.
func (s *rangeSource) state(id int) (string, bool) {
	limit := time.Now().Add(-settled)
	d := sha256.New()
	for i := range perSegment {
		name := s.names.of(uint32(id*perSegment + i))
		if name == "" {
			fmt.Fprintln(d)
			continue
		}
		st, err := s.dir.Stat(name)
		if err != nil || changed(st).After(limit) {
			return "", false
		}
		fmt.Fprintln(d, name, fileState(st))
	}
	return hex.EncodeToString(d.Sum(nil)), true
}

func (s *rangeSource) segment(ctx context.Context, id int, w *worker) error {
	for i := range perSegment {
		if err := ctx.Err(); err != nil {
			return err
		}
		prefix := uint32(id*perSegment + i)
		name := s.names.of(prefix)
		if name == "" {
			if s.partial {
				continue
			}
			return &InputError{File: rangeName(prefix), Err: ErrIncomplete, Reason: "range file missing"}
		}
		if err := w.addRange(s.dir, name, prefix, s.kind); err != nil {
			return err
		}
	}
	return nil
}

// addRange hands the entries of a range file to the worker's builder.
func (w *worker) addRange(dir *os.Root, name string, prefix uint32, kind Kind) error {
	f, err := dir.Open(name)
	if err != nil {
		return err
	}
	var n int64
	r, err := w.plainRange(f, name)
	if err == nil {
		n, err = readRange(r, name, prefix, kind, w.lines, w.addEntry)
	}
	w.read.Add(n)
	return errors.Join(err, f.Close())
}

// plainRange inflates a range file that is compressed, whatever its name says.
func (w *worker) plainRange(f io.Reader, name string) (io.Reader, error) {
	if w.peek == nil {
		w.peek = bufio.NewReaderSize(nil, 4096)
	}
	w.peek.Reset(f)
	r, _, err := maybeInflate(w.peek, maxRangeInflated, name)
	return r, err
}

// maxRangeInflated bounds what a compressed range file may inflate to: hundreds
// of times the longest range of the published corpus.
const maxRangeInflated = 32 << 20

// rangeNames says which range files a folder holds: 0, or one more than the
// place of its form in rangeForms.
type rangeNames []uint8

// rangeForms are the names that a range file may have, the first one that is
// there counting: as the official downloader leaves them, as the service names
// them in its path, and either of them compressed afterwards.
var rangeForms = [...]struct {
	lower  bool
	suffix string
}{
	{false, ".txt"}, {true, ".txt"}, {false, ""}, {true, ""},
	{false, ".txt.gz"}, {true, ".txt.gz"}, {false, ".gz"}, {true, ".gz"},
}

// listRanges looks through a folder. Only names that a prefix makes are ever
// opened; what else lies there is left alone.
func listRanges(dir *os.Root) (rangeNames, error) {
	names := make(rangeNames, prefixCount)
	d, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	for {
		list, err := d.ReadDir(4096)
		for _, e := range list {
			if p, form, ok := parseRangeName(e.Name()); ok && !e.IsDir() && (names[p] == 0 || form < names[p]) {
				names[p] = form
			}
		}
		if errors.Is(err, io.EOF) {
			return names, nil
		} else if err != nil {
			return nil, err
		}
	}
}

func parseRangeName(name string) (prefix uint32, form uint8, ok bool) {
	if len(name) < 5 {
		return 0, 0, false
	}
	p, err := strconv.ParseUint(name[:5], 16, 20)
	if err != nil {
		return 0, 0, false
	}
	for i := range rangeForms {
		if rangeForms[i].suffix == name[5:] && formName(uint32(p), i) == name {
			return uint32(p), uint8(i) + 1, true
		}
	}
	return 0, 0, false
}

func formName(prefix uint32, form int) string {
	f := &rangeForms[form]
	if f.lower {
		return fmt.Sprintf("%05x%s", prefix, f.suffix)
	}
	return fmt.Sprintf("%05X%s", prefix, f.suffix)
}

// of gives the file name of a prefix, "" when there is none.
func (n rangeNames) of(prefix uint32) string {
	if n[prefix] == 0 {
		return ""
	}
	return formName(prefix, int(n[prefix])-1)
}

func rangeName(prefix uint32) string { return formName(prefix, 0) }

// readRange reads the lines of one range, SUFFIX:COUNT, and returns the bytes
// it read.
func readRange(r io.Reader, name string, prefix uint32, kind Kind, lines *lineReader, add func(*Key, uint32) error) (int64, error) {
	lines.reset(r)
	lines.max = maxHashLine
	e := entryReader{lines: lines, kind: kind, file: name, prefix: prefix, prefixBits: 20}
	for {
		count, err := e.next()
		if errors.Is(err, io.EOF) {
			return lines.next, nil
		} else if err != nil {
			return lines.next, err
		}
		if err := add(&e.key, count); err != nil {
			return lines.next, err
		}
	}
}

// openInput opens a regular file or gzip stream; bisectable says that it is a
// plain file that can be read in parts.
func openInput(path string, limit int64) (r io.Reader, f *os.File, bisectable bool, err error) {
	f, err = os.Open(path)
	if err != nil {
		return nil, nil, false, err
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = &InputError{File: filepath.Base(path), Err: ErrSyntax, Reason: "is a folder; a folder of range files is built from ranges"}
	}
	if err != nil {
		f.Close()
		return nil, nil, false, err
	}
	br := bufio.NewReaderSize(f, readSize)
	r, zipped, err := maybeInflate(br, limit, filepath.Base(path))
	if err != nil {
		f.Close()
		return nil, nil, false, err
	}
	return r, f, st.Mode().IsRegular() && !zipped, nil
}

// maybeInflate recognises a gzip stream by its first bytes.
func maybeInflate(br *bufio.Reader, limit int64, name string) (io.Reader, bool, error) {
	magic, err := br.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	if string(magic) != "\x1f\x8b" {
		return br, false, nil
	}
	r, err := inflate(br, limit, name)
	return r, true, err
}

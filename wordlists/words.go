// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

const (
	// maxWord bounds one line of a word list, in bytes.
	maxWord = 4096
	// runEntries is how many words a worker hashes before it sorts them and
	// writes them out: 20 MiB, and as much to sort in.
	runEntries = 1 << 20
	runRecord  = 24 // key, count
)

// runSource holds hashed words as sorted runs in one temporary file. Each run
// knows where its segments begin, so that a segment is gathered from all runs
// with one short read each and sorted in memory: any number of words, in any
// order, with one open file.
type runSource struct {
	kind Kind
	f    *os.File

	mu   sync.Mutex
	end  int64
	runs []run
}

type run struct {
	at    int64
	first [segmentCount + 1]uint32 // record at which a segment begins
}

func (s *runSource) sequential() bool { return false }
func (s *runSource) identity() string { return "" }

func (s *runSource) state(int) (string, bool) { return "", false }
func (s *runSource) size() int64              { return 0 }

// block is a stretch of whole lines and the number of its first one.
type block struct {
	text   []byte
	line   int64
	offset int64
}

// newRunSource hashes the words of r, one to a line, with the given number of
// workers. It returns how many lines it had to skip: words that have no NTLM
// hash because they are not UTF-8.
func newRunSource(ctx context.Context, r io.Reader, kind Kind, temp *os.File, workers int, name string, read *atomic.Int64) (_ *runSource, skipped int64, err error) {
	s := &runSource{kind: kind, f: temp}
	blocks, free := make(chan block, workers), make(chan []byte, 2*workers+1)
	for range cap(free) {
		free <- nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var skips atomic.Int64
	for range workers {
		wg.Go(func() {
			h := hasher{s: s, name: name}
			for b := range blocks {
				if err := h.take(b); err != nil {
					cancel(err)
				}
				free <- b.text[:0]
			}
			if err := h.flush(); err != nil {
				cancel(err)
			}
			skips.Add(h.skipped)
		})
	}
	err = cutBlocks(ctx, r, name, blocks, free, read)
	close(blocks)
	wg.Wait()
	if cause := context.Cause(ctx); err == nil || errors.Is(err, context.Canceled) {
		err = cause
	}
	return s, skips.Load(), err
}

// cutBlocks reads r and hands it on in blocks that end at a line's end.
func cutBlocks(ctx context.Context, r io.Reader, name string, out chan<- block, free <-chan []byte, read *atomic.Int64) error {
	var rest []byte
	line, offset := int64(1), int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := append(<-free, rest...)
		b = slices.Grow(b, readSize)
		n, err := io.ReadFull(r, b[len(b):len(b)+readSize-len(rest)])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		read.Add(int64(n))
		b = b[:len(b)+n]
		whole := len(b)
		if !last {
			whole = bytes.LastIndexByte(b, '\n') + 1
			if whole == 0 {
				return &InputError{File: name, Line: line, Offset: offset, Err: ErrSyntax, Reason: "line too long"}
			}
		}
		rest = append(rest[:0], b[whole:]...)
		b = b[:whole]
		lines := int64(bytes.Count(b, []byte{'\n'}))
		out <- block{text: b, line: line, offset: offset}
		line, offset = line+lines, offset+int64(whole)
		if last {
			return nil
		}
	}
}

// hasher is one worker's pile of hashed words.
type hasher struct {
	s       *runSource
	name    string
	keys    []Key
	spare   []Key
	skipped int64
}

func (h *hasher) take(b block) error {
	text := b.text
	for line, at := b.line, 0; at < len(text); line++ {
		word := text[at:]
		begin := at
		if end := bytes.IndexByte(word, '\n'); end >= 0 {
			word = word[:end]
		}
		at += len(word) + 1
		if n := len(word); n > 0 && word[n-1] == '\r' {
			word = word[:n-1]
		}
		if line == 1 {
			word = bytes.TrimPrefix(word, byteOrderMark)
		}
		switch {
		case len(word) == 0:
			continue
		case len(word) > maxWord:
			return &InputError{File: h.name, Line: line, Offset: b.offset + int64(begin), Err: ErrSyntax, Reason: "line too long"}
		case h.s.kind == NTLM && !utf8.Valid(word):
			h.skipped++
			continue
		}
		h.keys = append(h.keys, h.s.kind.Key(word))
		if len(h.keys) == runEntries {
			if err := h.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush sorts what has gathered and writes it as a run.
func (h *hasher) flush() error {
	if len(h.keys) == 0 {
		return nil
	}
	h.keys, h.spare = sortKeys(h.keys, h.spare)
	s := h.s
	s.mu.Lock()
	r := run{at: s.end}
	s.end += int64(len(h.keys) * runRecord)
	s.mu.Unlock()

	out := bufio.NewWriterSize(io.NewOffsetWriter(s.f, r.at), readSize)
	seg, written := 0, uint32(0)
	for i := 0; i < len(h.keys); written++ {
		j := i + 1
		for j < len(h.keys) && h.keys[j] == h.keys[i] {
			j++
		}
		for id := int(h.keys[i].head() >> (64 - segmentBits)); seg <= id; seg++ {
			r.first[seg] = written
		}
		out.Write(h.keys[i][:])
		out.Write(binary.LittleEndian.AppendUint32(nil, uint32(j-i)))
		i = j
	}
	for ; seg <= segmentCount; seg++ {
		r.first[seg] = written
	}
	h.keys = h.keys[:0]
	s.mu.Lock()
	s.runs = append(s.runs, r)
	s.mu.Unlock()
	return out.Flush() // reports a failed Write as well
}

func compareKeys(a, b Key) int { return bytes.Compare(a[:], b[:]) }

// sortKeys orders hashes, using spare as scratch space, and returns the sorted
// keys and the new spare. Hashes are uniform, so one counting pass over the
// leading bits leaves piles small enough for the first-level cache.
func sortKeys(keys, spare []Key) (sorted, rest []Key) {
	const bits = 12
	if len(keys) < 1<<bits {
		slices.SortFunc(keys, compareKeys)
		return keys, spare
	}
	var ends [1<<bits + 1]int
	for i := range keys {
		ends[keys[i].head()>>(64-bits)+1]++
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	begins := ends
	spare = slices.Grow(spare[:0], len(keys))[:len(keys)]
	for i := range keys {
		p := keys[i].head() >> (64 - bits)
		spare[begins[p]] = keys[i]
		begins[p]++
	}
	for p := range 1 << bits {
		slices.SortFunc(spare[ends[p]:ends[p+1]], compareKeys)
	}
	return spare, keys
}

func (s *runSource) segment(ctx context.Context, id int, w *worker) error {
	total := 0
	for i := range s.runs {
		total += int(s.runs[i].first[id+1] - s.runs[i].first[id])
	}
	if total == 0 {
		return ctx.Err()
	}
	w.records = grow(w.records[:0], total*runRecord)
	at := w.records
	for i := range s.runs {
		r := &s.runs[i]
		n := int(r.first[id+1]-r.first[id]) * runRecord
		if _, err := s.f.ReadAt(at[:n], r.at+int64(r.first[id])*runRecord); err != nil {
			return err
		}
		at = at[n:]
	}
	w.order = w.order[:0]
	for at := 0; at < len(w.records); at += runRecord {
		rec := w.records[at:]
		w.order = append(w.order, wordRecord{Key(rec[:20]), binary.LittleEndian.Uint32(rec[20:])})
	}
	slices.SortFunc(w.order, func(a, b wordRecord) int { return compareKeys(a.key, b.key) })
	for i := 0; i < len(w.order); {
		key, sum := w.order[i].key, uint64(0)
		for ; i < len(w.order) && w.order[i].key == key; i++ {
			sum += uint64(w.order[i].count)
		}
		if err := w.addEntry(&key, uint32(min(sum, 1<<32-1))); err != nil {
			return err
		}
	}
	return ctx.Err()
}

type wordRecord struct {
	key   Key
	count uint32
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package private

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudflare/circl/oprf"

	"github.com/watchword-project/watchword/wordlists/internal/whole"
)

const (
	// DefaultBucket is how many records a bucket has at least, on average.
	DefaultBucket = 1000
	// MaxWords bounds a list.
	MaxWords = 1 << 25

	// unevenness is how many times the average the fullest bucket, to which all
	// are padded, may have before buckets are joined.
	unevenness = 3
	batch      = 256
)

// Errors of the input to Build.
var (
	ErrEmpty    = errors.New("the input has no words")
	ErrTooMany  = fmt.Errorf("the input has more than %d words", MaxWords)
	ErrSkewed   = errors.New("too many words begin alike for buckets of an even size")
	ErrLineLong = fmt.Errorf("a line is longer than %d bytes", 4*MaxPassword)
)

// BuildOptions say what a list is made of.
type BuildOptions struct {
	// Words are the passwords. Those that cannot be asked for, since they are
	// empty, too long or not UTF-8, are left out and counted.
	Words iter.Seq2[[]byte, error]
	// Key is the list's.
	Key *Key
	// Bucket is how many records a bucket has at least, on average;
	// DefaultBucket when 0. Buckets beyond what is listed make one of all.
	Bucket int
	// Workers is how many words are computed at once; one for each processor
	// when 0.
	Workers int
	// Progress hears of how many words were taken, now and then.
	Progress func(words int64)
}

// Lines reads words, one a line. Each ends with LF or CRLF; a byte order mark at
// the start is no part of the first.
func Lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 4*MaxPassword)
		for n := 1; lines.Scan(); n++ {
			word := lines.Bytes()
			if n == 1 {
				word = bytes.TrimPrefix(word, []byte("\ufeff"))
			}
			if !yield(word, nil) {
				return
			}
		}
		err := lines.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = ErrLineLong
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// entry is one word on its way into the list.
type entry struct {
	stem   uint32
	record uint64
}

// Build makes a list in the file out, which it replaces once the new one is
// whole. It takes about a tenth of a millisecond of a processor for each word.
func Build(ctx context.Context, out string, o BuildOptions) (h *Header, skipped int64, err error) {
	entries, skipped, err := evaluate(ctx, o)
	if err != nil {
		return nil, skipped, err
	}
	least := o.Bucket
	if least <= 0 {
		least = DefaultBucket
	}
	bits, slots, err := layout(entries, least)
	if err != nil {
		return nil, skipped, err
	}
	buckets := fill(entries, bits, slots)

	var b [HeaderSize]byte
	copy(b[:], magic)
	binary.LittleEndian.PutUint16(b[8:], format)
	b[10], b[11] = suiteID, byte(bits)
	binary.LittleEndian.PutUint32(b[12:], uint32(slots))
	binary.LittleEndian.PutUint64(b[16:], uint64(len(entries)))
	copy(b[24:], o.Key.public())
	root := tree(buckets, bits)[1]
	copy(b[56:], root[:])
	binary.LittleEndian.PutUint64(b[88:], uint64(time.Now().Unix()))
	binary.LittleEndian.PutUint32(b[124:], crc32.Checksum(b[:124], checksum))
	if h, err = parseHeader(b[:]); err != nil {
		return nil, skipped, err
	}
	return h, skipped, whole.Write(out, b[:], buckets)
}

// evaluate gives every word once, in the order of their stems' hashes.
func evaluate(ctx context.Context, o BuildOptions) (entries []entry, skipped int64, err error) {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	words := make(chan [][]byte, workers)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		skips atomic.Int64
	)
	for range workers {
		group.Go(func() {
			server := oprf.NewVerifiableServer(suite, o.Key.k)
			var own []entry
			for list := range words {
				for _, word := range list {
					pw, err := normal(word)
					if err != nil {
						skips.Add(1)
						continue
					}
					output, err := server.FullEvaluate(pw)
					if err != nil {
						cancel(err)
						continue
					}
					own = append(own, entry{stemHash(pw), record(output)})
				}
			}
			mu.Lock()
			entries = append(entries, own...)
			mu.Unlock()
		})
	}
	taken, list := int64(0), make([][]byte, 0, batch)
	send := func() {
		select {
		case words <- list:
		case <-ctx.Done():
		}
		list = make([][]byte, 0, batch)
	}
	for word, err := range o.Words {
		if taken++; err == nil && taken > MaxWords {
			err = ErrTooMany
		}
		if err != nil {
			cancel(fmt.Errorf("line %d: %w", taken, err))
		}
		if ctx.Err() != nil {
			break
		}
		if list = append(list, bytes.Clone(word)); len(list) == batch {
			send()
			if o.Progress != nil {
				o.Progress(taken)
			}
		}
	}
	send()
	close(words)
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, skips.Load(), err
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.stem != b.stem {
			return int(int64(a.stem) - int64(b.stem))
		}
		if a.record < b.record {
			return -1
		}
		return int(min(a.record-b.record, 1))
	})
	if entries = slices.Compact(entries); len(entries) == 0 {
		return nil, skips.Load(), ErrEmpty
	}
	return entries, skips.Load(), nil
}

// layout chooses the most buckets whose average is not below least and whose
// fullest is not far above it.
func layout(entries []entry, least int) (bits, slots int, err error) {
	for bits := maxBits; bits >= 0; bits-- {
		if len(entries)>>bits < least && bits > 0 {
			continue
		}
		full, n := 0, 0
		for i, e := range entries {
			if i > 0 && bucketOf(e.stem, bits) != bucketOf(entries[i-1].stem, bits) {
				n = 0
			}
			n++
			full = max(full, n)
		}
		if full <= maxSlots && (full<<bits <= unevenness*len(entries) || bits == 0) {
			return bits, full, nil
		}
	}
	return 0, 0, ErrSkewed
}

// fill lays the buckets out. What is missing in one is random, as a record is to
// whoever lacks the key.
func fill(entries []entry, bits, slots int) []byte {
	buckets := make([]byte, slots*recordSize<<bits)
	records := make([]uint64, 0, slots)
	for id := range uint32(1) << bits {
		records = records[:0]
		for len(entries) > 0 && bucketOf(entries[0].stem, bits) == id {
			records, entries = append(records, entries[0].record), entries[1:]
		}
		bucket := buckets[int(id)*slots*recordSize:][:slots*recordSize]
		rand.Read(bucket[len(records)*recordSize:]) // never fails
		for i := len(records); i < slots; i++ {
			records = append(records, binary.BigEndian.Uint64(bucket[i*recordSize:]))
		}
		slices.Sort(records)
		for i, r := range records {
			binary.BigEndian.PutUint64(bucket[i*recordSize:], r)
		}
	}
	return buckets
}

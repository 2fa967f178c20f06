// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix

package audit_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM is MD4 and nothing else

	"github.com/watchword-project/watchword/server/internal/audit"
	"github.com/watchword-project/watchword/server/internal/corpora"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/wordlists"
)

// size reads a size from the environment, so that a short run is the default.
func size(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// digest makes the n-th of an endless list of hashes.
func digest(n int) []byte {
	h := md4.New()
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	return h.Sum(nil)
}

// corpus builds an index of n NTLM hashes, sorted by the builder's own means.
func corpus(b *testing.B, n int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "c.wwix")
	keys := make([][16]byte, n)
	for i := range keys {
		copy(keys[i][:], digest(i))
	}
	slices.SortFunc(keys, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	in, out := io.Pipe()
	go func() {
		buf := make([]byte, 0, 1<<20)
		for _, k := range keys {
			if buf = append(hex.AppendEncode(buf, k[:]), ":3\n"...); len(buf) > 1<<19 {
				if _, err := out.Write(buf); err != nil {
					return
				}
				buf = buf[:0]
			}
		}
		_, _ = out.Write(buf)
		_ = out.Close()
	}()
	if _, err := wordlists.Build(context.Background(), wordlists.BuildOptions{Reader: in, Out: path, Kind: wordlists.NTLM, Partial: true}); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkJoin audits NTLM rows against a corpus of WATCHWORD_AUDIT_ENTRIES
// hashes, by default a million, and WATCHWORD_AUDIT_ROWS rows, by default
// 100,000. It reports rows a second of the audit from start to end, and as
// multiples of the time of reading both files from their beginning to their end:
// the whole audit, the join of sorted digests with the corpus, and the sort.
func BenchmarkJoin(b *testing.B) {
	entries, n := size("WATCHWORD_AUDIT_ENTRIES", 1_000_000), size("WATCHWORD_AUDIT_ROWS", 100_000)
	path := corpus(b, entries)
	shelf, err := corpora.Open(b.Context(), corpora.Config{Sources: []corpora.Source{{Name: "c", Path: path}}})
	if err != nil {
		b.Fatal(err)
	}
	defer shelf.Close()
	rows := make([]audit.Row, n)
	file := filepath.Join(b.TempDir(), "rows")
	f, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	for i := range rows {
		rows[i] = audit.Row{ID: fmt.Sprintf("user%07d", i), Hash: "$NT$" + hex.EncodeToString(digest(i*2*entries/n))}
		fmt.Fprintf(f, "%s:%s\n", rows[i].ID, rows[i].Hash)
	}
	_ = f.Close()
	h := newHasher(b)
	for b.Loop() {
		store := newStore(b)
		e, err := audit.New(audit.Config{Objects: store, Accounts: nobody{}, Hasher: h, Corpora: shelf, Key: make([]byte, 32), Alone: true, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		begun := time.Now()
		id := begin(b, e, audit.Request{Budget: audit.Budget{Guesses: 1}}, rows, 2000)
		uploaded := time.Since(begun)
		ctx, cancel := context.WithCancel(context.Background())
		var wait sync.WaitGroup
		begun = time.Now()
		wait.Go(func() { e.Run(ctx) })
		a, _, err := over(b, e, id, 10*time.Minute)
		took := time.Since(begun)
		cancel()
		wait.Wait()
		if err != nil {
			b.Fatal(err)
		}
		if got := a.Result.Kinds[audit.Breached]; got < n/2-n/100 || got > n/2+n/100 {
			b.Fatalf("%d breached of %d", got, n)
		}
		read := readAll(b, path) + readAll(b, file)
		keys := make([]wordlists.Key, n)
		for i := range keys {
			copy(keys[i][:], digest(i*2*entries/n))
		}
		sort := audit.Sorted(keys)
		begun = time.Now()
		keys = sort()
		sorted := time.Since(begun)
		begun = time.Now()
		if _, _, err := shelf.Join(wordlists.NTLM, keys); err != nil {
			b.Fatal(err)
		}
		join := time.Since(begun)
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		b.ReportMetric(float64(n)/took.Seconds(), "rows/s")
		b.ReportMetric(float64(n)/uploaded.Seconds(), "uploaded/s")
		b.ReportMetric(took.Seconds()/read.Seconds(), "×read")
		b.ReportMetric(join.Seconds()/read.Seconds(), "join×read")
		b.ReportMetric(sorted.Seconds()/read.Seconds(), "sort×read")
		b.ReportMetric(float64(mem.Sys>>20), "MiB")
	}
}

func readAll(b *testing.B, path string) time.Duration {
	b.Helper()
	begun := time.Now()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}

// BenchmarkGuess audits WATCHWORD_AUDIT_ROWS argon2id rows with 20 guesses each,
// at the cost of tests or, with WATCHWORD_AUDIT_COST=production, of the
// defaults. It reports guesses for each second of processor time, and that as a
// part of what a bare loop of the same hash on as many goroutines does. Time that
// others take from the machine does not count.
func BenchmarkGuess(b *testing.B) {
	n, c := size("WATCHWORD_AUDIT_ROWS", 500), password.Config{Params: password.Params{Memory: 64, Time: 1, Parallelism: 1}, MemoryBudget: 256 << 20, Insecure: true}
	if os.Getenv("WATCHWORD_AUDIT_COST") == "production" {
		c.Params = password.DefaultParams()
	}
	h, err := password.NewHasher(c)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	rows := weakRows(b, h, 2)
	hash := rows[1].Hash
	rows = rows[:0]
	for i := range n {
		rows = append(rows, audit.Row{ID: fmt.Sprint("u", i), Hash: hash})
	}
	slots := h.Stats().Slots
	wrong, err := password.New("not this one")
	if err != nil {
		b.Fatal(err)
	}
	// The bare loop verifies in a slot for as long as the audit would.
	bare := func(guesses int) time.Duration {
		var wait sync.WaitGroup
		begun := processorTime(b)
		for range slots {
			wait.Go(func() {
				texts := make([]password.Text, guesses/slots)
				for i := range texts {
					texts[i] = wrong
				}
				if _, err := h.Guess(context.Background(), password.Batch, texts, hash); err != nil {
					b.Error(err)
				}
			})
		}
		wait.Wait()
		return processorTime(b) - begun
	}
	for b.Loop() {
		store := newStore(b)
		e := newEngine(b, store, h, time.Minute, 3*time.Second)
		id := begin(b, e, audit.Request{Budget: audit.Budget{Guesses: 20}}, rows, 2000)
		ctx, cancel := context.WithCancel(context.Background())
		var wait sync.WaitGroup
		begun := processorTime(b)
		wait.Go(func() { e.Run(ctx) })
		a, _, err := over(b, e, id, 10*time.Minute)
		took := processorTime(b) - begun
		cancel()
		wait.Wait()
		if err != nil || a.Result.Guesses != int64(20*n) {
			b.Fatalf("%+v, %v", a, err)
		}
		loop := bare(20 * n)
		b.ReportMetric(float64(20*n)/took.Seconds(), "guesses/s/core")
		b.ReportMetric(loop.Seconds()/took.Seconds(), "of-bare-loop")
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		b.ReportMetric(float64(mem.Sys>>20), "MiB")
	}
}

// processorTime is what this process has used, of all cores together.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoginBeside measures logins at production cost, one at a time, alone
// and beside an audit that has work for every slot. It reports the median and
// the 99th percentile beside the audit as multiples of those without it.
func BenchmarkLoginBeside(b *testing.B) {
	h, err := password.NewHasher(password.Config{Params: password.DefaultParams(), MemoryBudget: 256 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	text, err := password.New("nobody guesses this one")
	if err != nil {
		b.Fatal(err)
	}
	hash, err := h.Hash(b.Context(), password.Batch, text)
	if err != nil {
		b.Fatal(err)
	}
	rows := make([]audit.Row, 2000)
	for i := range rows {
		rows[i] = audit.Row{ID: fmt.Sprint(i), Hash: hash}
	}
	n := size("WATCHWORD_AUDIT_LOGINS", 200)
	measure := func() (median, slow time.Duration) {
		took := make([]time.Duration, n)
		for i := range took {
			begun := time.Now()
			if _, err := h.Verify(b.Context(), password.Interactive, text, hash); err != nil {
				b.Fatal(err)
			}
			took[i] = time.Since(begun)
			time.Sleep(took[i] / 2)
		}
		slices.Sort(took)
		return took[n/2], took[n*99/100]
	}
	for b.Loop() {
		aloneMedian, aloneSlow := measure()
		e := newEngine(b, newStore(b), h, time.Minute, 3*time.Second)
		begin(b, e, audit.Request{Budget: audit.Budget{Guesses: 1000}}, rows, 2000)
		ctx, cancel := context.WithCancel(b.Context())
		var wait sync.WaitGroup
		wait.Go(func() { e.Run(ctx) })
		for h.Stats().Running < h.Stats().Slots {
			time.Sleep(time.Millisecond)
		}
		before := h.Stats().Runs
		median, slow := measure()
		guessed := h.Stats().Runs - before
		cancel()
		wait.Wait()
		b.ReportMetric(float64(median)/float64(aloneMedian), "×p50")
		b.ReportMetric(float64(slow)/float64(aloneSlow), "×p99")
		b.ReportMetric(float64(aloneMedian)/1e6, "p50-alone-ms")
		b.ReportMetric(float64(slow)/1e6, "p99-beside-ms")
		b.ReportMetric(float64(guessed), "hashes-meanwhile")
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package verifier_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

func long() bool { return os.Getenv("WATCHWORD_LONG") == "1" }

// importRows takes n rows of one PHC string in, so many at a time, and gives the
// greatest heap seen.
func importRows(b *testing.B, v *verifier.Verifier, n, batch int) (peak uint64) {
	b.Helper()
	text := text(b, oldPassword)
	phc, err := v.Hasher.Hash(b.Context(), password.Batch, text)
	if err != nil {
		b.Fatal(err)
	}
	rows := make([]verifier.ImportRow, batch)
	var m runtime.MemStats
	for first := 0; first < n; first += batch {
		for i := range rows {
			rows[i] = verifier.ImportRow{Subject: fmt.Sprint("user", first+i), Hash: phc}
		}
		for _, done := range v.Import(b.Context(), "", rows[:min(batch, n-first)]) {
			if done.Err != nil {
				b.Fatal(done.Err)
			}
		}
		if first%(100*batch) == 0 {
			runtime.ReadMemStats(&m)
		}
		peak = max(peak, m.HeapInuse)
	}
	return peak
}

// BenchmarkImport takes 50,000 PHC strings in, or a million with
// WATCHWORD_LONG=1, in portions as the doors take them: parsed, sealed and
// durable.
func BenchmarkImport(b *testing.B) {
	n := 50_000
	if long() {
		n = 1_000_000
	}
	for b.Loop() {
		v, closed := open(b, newGate(b), low)
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		peak := importRows(b, v, n, 256)
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "rows/s")
		b.ReportMetric((float64(peak)-float64(before.HeapInuse))/(1<<20), "heap-above-start-MiB")
		closed()
	}
	b.ReportMetric(0, "ns/op")
}

// cold is larger than the caches of a processor.
var cold = make([]byte, 64<<20)

// chill empties the caches of the processor.
func chill() {
	for i := 0; i < len(cold); i += 64 {
		cold[i]++
	}
}

// pageCache reads a file into memory, or drops it from there where the system
// can.
func pageCache(b *testing.B, path string, in bool) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if in {
		_, err = io.Copy(io.Discard, f)
	} else if err = f.Sync(); err == nil { // only what is on the disk can be dropped
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkScale compares logins and sets on a store of 10,000 credentials with
// those on one of 100,000, and with WATCHWORD_LONG=1 also on one of a million
// and one of ten million, in turns, of random subjects, less a hash, and with
// nothing in the caches of the processor:
//
//	verify-ratio-N, set-ratio-N  medians, store of N to the smallest, both files
//	                             in the page cache; without N: the largest store
//	verify-ratio-of-µs, set-ratio-of-µs  what the ratios are of
//	open-ms-N                    opening from the disk
//	disk-µs-N                    one login more, less a hash, when the file is on
//	                             the disk alone
//	read-µs-N                    one read of a random page of it, likewise
//	B/credential-N               size of the file
func BenchmarkScale(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if long() {
		sizes = append(sizes, 1_000_000, 10_000_000)
	}
	dirs, vs := make([]string, len(sizes)), make([]*verifier.Verifier, len(sizes))
	metrics := map[string]float64{}
	right := text(b, oldPassword)
	timed := func(f func() error) time.Duration {
		chill()
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	hash := func(v *verifier.Verifier) time.Duration {
		return timed(func() error { return v.Hasher.Decoy(b.Context(), password.Interactive, right) })
	}
	login := func(v *verifier.Verifier, users int) time.Duration {
		name := fmt.Sprint("user", rand.IntN(users))
		return timed(func() error {
			login, err := v.Verify(b.Context(), verifier.VerifyRequest{Subject: name, Password: right})
			if err == nil && !login.Match {
				err = fmt.Errorf("%s does not match", name)
			}
			return err
		})
	}
	for i, n := range sizes {
		dirs[i] = b.TempDir()
		g := openGate(b, dirs[i])
		v, closed := open(b, g, low)
		importRows(b, v, n, min(n, 500_000))
		closed()
		if err := g.Store.Close(); err != nil {
			b.Fatal(err)
		}
		file := filepath.Join(dirs[i], boltstore.FileName)
		pageCache(b, file, false)
		start := time.Now()
		g = openGate(b, dirs[i])
		opened := time.Since(start)
		vs[i], closed = open(b, g, low)
		defer closed()
		var hashes, disk, reads []time.Duration
		f, err := os.Open(file)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			b.Fatal(err)
		}
		page := make([]byte, 4096)
		for range 100 {
			hashes, disk = append(hashes, hash(vs[i])), append(disk, login(vs[i], n))
			reads = append(reads, timed(func() error {
				_, err := f.ReadAt(page, rand.Int64N(info.Size()/4096)*4096)
				return err
			}))
		}
		metrics[fmt.Sprintf("B/credential-%d", n)] = float64(info.Size()) / float64(n)
		metrics[fmt.Sprintf("open-ms-%d", n)] = float64(opened.Microseconds()) / 1e3
		metrics[fmt.Sprintf("disk-µs-%d", n)] = micros(disk) - micros(hashes)
		metrics[fmt.Sprintf("read-µs-%d", n)] = micros(reads)
	}
	for _, dir := range dirs {
		pageCache(b, filepath.Join(dir, boltstore.FileName), true)
	}
	hashes, verifies, sets := make([][]time.Duration, len(sizes)), make([][]time.Duration, len(sizes)), make([][]time.Duration, len(sizes))
	for round := 0; b.Loop(); round++ {
		for i, v := range vs {
			hashes[i] = append(hashes[i], hash(v))
			verifies[i] = append(verifies[i], login(v, sizes[i]))
			sets[i] = append(sets[i], timed(func() error {
				_, err := v.Set(b.Context(), verifier.SetRequest{Subject: fmt.Sprintf("new %d", round),
					CheckRequest: verifier.CheckRequest{Password: text(b, newPassword)}})
				return err
			}))
		}
	}
	for name, all := range map[string][][]time.Duration{"verify-ratio": verifies, "set-ratio": sets} {
		least := micros(all[0]) - micros(hashes[0])
		metrics[name+"-of-µs"] = least
		for i := 1; i < len(sizes); i++ {
			metrics[name] = (micros(all[i]) - micros(hashes[i])) / least // the largest comes last
			metrics[fmt.Sprint(name, "-", sizes[i])] = metrics[name]
		}
	}
	for name, value := range metrics { // the loop forgets what is reported before it
		b.ReportMetric(value, name)
	}
	b.ReportMetric(0, "ns/op")
}

// micros is the median in microseconds.
func micros(ds []time.Duration) float64 {
	slices.Sort(ds)
	return float64(ds[len(ds)/2]) / 1e3
}

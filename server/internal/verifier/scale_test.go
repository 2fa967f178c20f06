// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

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

// BenchmarkScale compares logins and sets on a store of 10,000 credentials with
// those on one of 100,000, or of ten million with WATCHWORD_LONG=1, in turns and
// less a hash. Its metrics are ratios of medians, large to small, and how long
// the large one takes to open.
func BenchmarkScale(b *testing.B) {
	sizes := [2]int{10_000, 100_000}
	if long() {
		sizes[1] = 10_000_000
	}
	var vs [2]*verifier.Verifier
	var opened time.Duration
	for i, n := range sizes {
		dir := b.TempDir()
		g := openGate(b, dir)
		v, closed := open(b, g, low)
		importRows(b, v, n, 10_000)
		closed()
		if err := g.Store.Close(); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		vs[i], closed = open(b, openGate(b, dir), low)
		opened = time.Since(start)
		defer closed()
	}
	right := text(b, oldPassword)
	timed := func(f func() error) time.Duration {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	var hashes, verifies, sets [2][]time.Duration
	for round := 0; b.Loop(); round++ {
		for i, v := range vs {
			name := fmt.Sprint("user", rand.IntN(sizes[i]))
			hashes[i] = append(hashes[i], timed(func() error { return v.Hasher.Decoy(b.Context(), password.Interactive, right) }))
			verifies[i] = append(verifies[i], timed(func() error {
				login, err := v.Verify(b.Context(), verifier.VerifyRequest{Subject: name, Password: right})
				if err == nil && !login.Match {
					err = fmt.Errorf("%s does not match", name)
				}
				return err
			}))
			sets[i] = append(sets[i], timed(func() error {
				_, err := v.Set(b.Context(), verifier.SetRequest{Subject: fmt.Sprintf("new %d", round),
					CheckRequest: verifier.CheckRequest{Password: text(b, newPassword)}})
				return err
			}))
		}
	}
	for name, all := range map[string][2][]time.Duration{"verify": verifies, "set": sets} {
		var cost [2]float64 // µs
		for i, ds := range all {
			slices.Sort(ds)
			slices.Sort(hashes[i])
			cost[i] = float64(ds[len(ds)/2]-hashes[i][len(hashes[i])/2]) / 1e3
		}
		b.ReportMetric(cost[1]/cost[0], name+"-ratio")
		b.ReportMetric(cost[1], name+"-µs")
	}
	b.ReportMetric(float64(opened.Milliseconds()), fmt.Sprintf("open-ms-%d", sizes[1]))
	b.ReportMetric(0, "ns/op")
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/storetest"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// fillTo imports n fresh credentials, so many at once, and returns the greatest
// heap that was seen.
func fillTo(b *testing.B, s *boltstore.Store, n, batch int) (peak uint64) {
	b.Helper()
	var m runtime.MemStats
	for i := 0; i < n; i += batch {
		for _, err := range s.PutAll(b.Context(), manyRecords(i, min(batch, n-i))) {
			if err != nil {
				b.Fatal(err)
			}
		}
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
	}
	return peak
}

func fileSize(b *testing.B, dir string) int64 {
	b.Helper()
	info, err := os.Stat(filepath.Join(dir, boltstore.FileName))
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// BenchmarkImport imports 100,000 credentials, or a million when the environment
// says WATCHWORD_LONG=1, into an empty store.
func BenchmarkImport(b *testing.B) {
	n := 100_000
	if long() {
		n = 1_000_000
	}
	for b.Loop() {
		dir := b.TempDir()
		s, err := boltstore.Open(dir, boltstore.Options{})
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		peak := fillTo(b, s, n, 100_000)
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "credentials/s")
		b.ReportMetric(float64(peak)/(1<<20), "peak-heap-MiB")
		b.ReportMetric(float64(fileSize(b, dir))/float64(n), "B/credential")
		s.Close()
	}
}

// BenchmarkScale compares a large store with one of 10,000 credentials: the
// large one has 100,000, or ten million with WATCHWORD_LONG=1. Puts and Gets of
// random subjects alternate between the two, and the metrics are ratios of
// medians, large to small.
func BenchmarkScale(b *testing.B) {
	sizes := [2]int{10_000, 100_000}
	if long() {
		sizes[1] = 10_000_000
	}
	var dirs [2]string
	var stores [2]*boltstore.Store
	var opens [2]time.Duration
	for i, n := range sizes {
		dirs[i] = b.TempDir()
		s, err := boltstore.Open(dirs[i], boltstore.Options{})
		if err != nil {
			b.Fatal(err)
		}
		fillTo(b, s, n, 1_000_000)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if stores[i], err = boltstore.Open(dirs[i], boltstore.Options{MustExist: true}); err != nil {
			b.Fatal(err)
		}
		defer stores[i].Close()
		opens[i] = time.Since(start)
	}
	const together = 200 // Gets, since one alone is shorter than what surrounds it
	var gets, puts [2][]time.Duration
	for b.Loop() {
		for i, s := range stores {
			var r verifier.Record
			var err error
			start := time.Now()
			for range together {
				if r, err = s.Get(b.Context(), "bench", storetest.Subject(rand.IntN(sizes[i]))); err != nil {
					b.Fatal(err)
				}
			}
			gets[i] = append(gets[i], time.Since(start)/together)
			r.Version++
			start = time.Now()
			err = s.Put(b.Context(), r)
			puts[i] = append(puts[i], time.Since(start))
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	for i, n := range sizes {
		b.ReportMetric(opens[i].Seconds()*1e3, fmt.Sprintf("open-ms-%d", n))
		b.ReportMetric(float64(fileSize(b, dirs[i]))/float64(n), fmt.Sprintf("B/credential-%d", n))
	}
	for name, ds := range map[string][2][]time.Duration{"get": gets, "put": puts} {
		small, large := median(ds[0]), median(ds[1])
		b.ReportMetric(float64(large)/float64(small), name+"-ratio")
		b.ReportMetric(float64(large.Nanoseconds())/1e3, name+"-µs")
	}
}

// BenchmarkPut compares one Put with one Update of a plain bbolt tree, and the
// rate of 64 writers with that of one, in turns.
func BenchmarkPut(b *testing.B) {
	s, err := boltstore.Open(b.TempDir(), boltstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	fillTo(b, s, 10_000, 10_000)
	plain, err := bbolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	defer plain.Close()
	bucket := []byte("plain")
	put := func(r verifier.Record) error {
		return plain.Update(func(tx *bbolt.Tx) error {
			bk, err := tx.CreateBucketIfNotExists(bucket)
			if err != nil {
				return err
			}
			return bk.Put(r.Subject[:], verifier.AppendRecord(nil, r))
		})
	}
	for i := range 20 { // 10,000 in all
		err := plain.Update(func(tx *bbolt.Tx) error {
			bk, err := tx.CreateBucketIfNotExists(bucket)
			for _, r := range manyRecords(i*500, 500) {
				if err == nil {
					err = bk.Put(r.Subject[:], verifier.AppendRecord(nil, r))
				}
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	const writers = 64
	var ours, theirs, together []time.Duration
	next := 100_000
	for b.Loop() {
		rs := manyRecords(next, writers+1)
		next += len(rs)
		start := time.Now()
		if err := s.Put(b.Context(), rs[0]); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(start))
		start = time.Now()
		if err := put(rs[0]); err != nil {
			b.Fatal(err)
		}
		theirs = append(theirs, time.Since(start))
		start = time.Now()
		var all sync.WaitGroup
		for _, r := range rs[1:] {
			all.Go(func() {
				if err := s.Put(b.Context(), r); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		together = append(together, time.Since(start)/writers)
	}
	one := median(ours)
	b.ReportMetric(float64(one)/float64(median(theirs)), "latency/bbolt-update")
	b.ReportMetric(float64(one)/float64(median(together)), "rate-of-64/rate-of-1")
	b.ReportMetric(float64(one.Nanoseconds())/1e3, "put-µs")
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package pgstore_test

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-project/watchword/server/internal/storetest"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// BenchmarkImport imports 100,000 credentials, or a million when the environment
// says WATCHWORD_LONG=1, into an empty database, compares the rate with that of
// single Puts from 16 writers, and tells what a credential takes on disk, with
// its part of the index.
func BenchmarkImport(b *testing.B) {
	n := 100_000
	if os.Getenv("WATCHWORD_LONG") == "1" {
		n = 1_000_000
	}
	pg := procs.Postgres(b)
	for b.Loop() {
		dsn := database(b, pg)
		s := openStore(b, dsn)
		const batch = 10_000
		var m runtime.MemStats
		var peak uint64
		start := time.Now()
		for i := 0; i < n; i += batch {
			rs := make([]verifier.Record, batch)
			for j := range rs {
				rs[j] = storetest.Sample("bench", storetest.Subject(i+j), 1)
			}
			for _, err := range s.PutAll(b.Context(), rs) {
				if err != nil {
					b.Fatal(err)
				}
			}
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
		rate := float64(n) / time.Since(start).Seconds()
		c, err := pgx.Connect(b.Context(), dsn)
		if err != nil {
			b.Fatal(err)
		}
		var bytes int64
		err = c.QueryRow(b.Context(), "SELECT pg_total_relation_size('watchword_credentials')").Scan(&bytes)
		if err = errors.Join(err, c.Close(b.Context())); err != nil {
			b.Fatal(err)
		}

		const singles, writers = 4000, 16
		start = time.Now()
		done := make(chan error, writers)
		for w := range writers {
			go func() {
				for i := w; i < singles; i += writers {
					if err := s.Put(b.Context(), storetest.Sample("single", storetest.Subject(i), 1)); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range writers {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		single := singles / time.Since(start).Seconds()
		b.ReportMetric(rate, "credentials/s")
		b.ReportMetric(float64(bytes)/float64(n), "B/credential")
		b.ReportMetric(rate/single, "import/16-writers")
		b.ReportMetric(float64(peak)/(1<<20), "peak-heap-MiB")
	}
}

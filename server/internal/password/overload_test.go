// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
)

// BenchmarkOverload offers verifies at the default cost in an open loop: at
// the rate that the slots can serve, and at ten times that rate, in turns of
// one second, with threads to spare beside the slots. It reports, as medians over the turns:
//
//	goodput-10x/1x     verifies served at ten times over those served at once
//	p99/limit          99th percentile of the accepted over queue wait + 2 service times
//	shed-p99-ms        99th percentile of a refusal, from its intended arrival
//	rss-over-slots-MiB resident memory at its highest above slots × m
//
// Arrivals are counted from when they were due, so that a generator held up
// by the hashes cannot hide a wait.
func BenchmarkOverload(b *testing.B) {
	procs := runtime.GOMAXPROCS(0)
	h, err := password.NewHasher(password.Config{Slots: procs})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * procs))
	secret := text(b, "correct horse")
	phc, err := h.Hash(b.Context(), password.Interactive, secret)
	if err != nil {
		b.Fatal(err)
	}
	verify := func() error {
		_, err := h.Verify(context.Background(), password.Interactive, secret, phc)
		return err
	}

	var ratios, waits, sheds []float64
	resetPeak()
	for b.Loop() {
		capacity := closedLoop(h.Stats().Slots, time.Second, verify)
		one := openLoop(capacity, time.Second, verify)
		ten := openLoop(10*capacity, time.Second, verify)
		service, _ := h.ServiceTime(phc)
		limit := h.Config().QueueWait + 2*service
		ratios = append(ratios, float64(ten.goodput)/float64(one.goodput))
		waits = append(waits, float64(p99(ten.served))/float64(limit))
		sheds = append(sheds, float64(p99(ten.shed))/1e6)
	}
	c := h.Config()
	b.ReportMetric(median(ratios), "goodput-10x/1x")
	b.ReportMetric(median(waits), "p99/limit")
	b.ReportMetric(median(sheds), "shed-p99-ms")
	b.ReportMetric(float64(peak())/(1<<20)-float64(h.Stats().Slots)*float64(c.Memory)/1024, "rss-over-slots-MiB")
	b.ReportMetric(0, "ns/op")
}

// closedLoop gives the verifies for each second that n callers get out.
func closedLoop(n int, d time.Duration, verify func() error) float64 {
	var done atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range n {
		wg.Go(func() {
			for time.Since(begin) < d {
				if verify() == nil {
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds()
}

type answers struct {
	served, shed []time.Duration // how long each took
	goodput      int             // served before the turn was over
}

// openLoop offers rate verifies for each second, whether or not they are
// answered.
func openLoop(rate float64, d time.Duration, verify func() error) answers {
	var mu sync.Mutex
	var a answers
	var wg sync.WaitGroup
	begin := time.Now()
	for i := 0; ; i++ {
		due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if due.Sub(begin) > d {
			break
		}
		time.Sleep(time.Until(due))
		wg.Go(func() {
			err := verify()
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			var busy *password.BusyError
			if err == nil {
				a.served = append(a.served, took)
				if time.Since(begin) <= d {
					a.goodput++
				}
			} else if errors.As(err, &busy) {
				a.shed = append(a.shed, took)
			}
		})
	}
	wg.Wait()
	return a
}

func p99(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)*99/100]
}

func median(f []float64) float64 {
	slices.Sort(f)
	return f[len(f)/2]
}

// resetPeak makes the kernel forget the highest resident size so far.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peak is the highest resident size in bytes, 0 where the system does not tell.
func peak() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

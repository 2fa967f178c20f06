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
//	shed-p99-ms        99th percentile of a refusal, from the call
//	shed-due-p99-ms    the same from the intended arrival
//	rss-over-slots-MiB resident memory at its highest above slots × m
//
// What is accepted is counted from when it was due, so that a generator held
// up by the hashes cannot hide a wait.
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

	var ratios, waits, sheds, dues []float64
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
		dues = append(dues, float64(p99(ten.shedDue))/1e6)
	}
	c := h.Config()
	b.ReportMetric(median(ratios), "goodput-10x/1x")
	b.ReportMetric(median(waits), "p99/limit")
	b.ReportMetric(median(sheds), "shed-p99-ms")
	b.ReportMetric(median(dues), "shed-due-p99-ms")
	b.ReportMetric(float64(peak())/(1<<20)-float64(h.Stats().Slots)*float64(c.Memory)/1024, "rss-over-slots-MiB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBatchBeside measures what a batch costs those who log in, and what
// a batch gets when nobody does:
//
//	p99-with/limit  99th percentile of logins at a third of capacity beside a
//	                batch that fills its queue, over 1.15 × the same without
//	                the batch + one service time
//	batch/verify    batch jobs for each second on a quiet machine over verifies
func BenchmarkBatchBeside(b *testing.B) {
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * procs))
	secret := text(b, "correct horse")
	var ratios, shares []float64
	for b.Loop() {
		h, err := password.NewHasher(password.Config{Slots: procs})
		if err != nil {
			b.Fatal(err)
		}
		run := func(c password.Class) func() error {
			return func() error { return h.Decoy(context.Background(), c, secret) }
		}
		// The batch comes first: a login keeps a slot from it for a while.
		batch := closedLoop(2*procs, time.Second, run(password.Batch))
		verify := closedLoop(procs, time.Second, run(password.Interactive))
		shares = append(shares, batch/verify)

		alone := openLoop(verify/3, time.Second, run(password.Interactive))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 * procs {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_ = run(password.Batch)()
					}
				}
			})
		}
		beside := openLoop(verify/3, time.Second, run(password.Interactive))
		close(stop)
		wg.Wait()
		service := time.Duration(float64(procs) / verify * float64(time.Second))
		limit := 1.15*float64(p99(alone.served)) + float64(service)
		ratios = append(ratios, float64(p99(beside.served))/limit)
		h.Close()
	}
	b.ReportMetric(median(ratios), "p99-with/limit")
	b.ReportMetric(median(shares), "batch/verify")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRefusal is the cost of turning one login away, all slots busy and
// the queue full: what an attacker can make the server do for nothing.
func BenchmarkRefusal(b *testing.B) {
	p := password.NewPool(4, 1<<20, 40*time.Millisecond, time.Hour)
	release := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_ = p.Do(context.Background(), password.Interactive, 1, password.Text{}, func([]byte) { <-release })
		})
	}
	for p.Stats().Running < 4 {
		runtime.Gosched()
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Do(b.Context(), password.Interactive, 1, password.Text{}, nil); !errors.As(err, new(*password.BusyError)) {
			b.Fatalf("Do = %v, want BusyError", err)
		}
	}
	close(release)
	wg.Wait()
	p.Close()
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
	served  []time.Duration // how long each took, from when it was due
	shed    []time.Duration // from the call
	shedDue []time.Duration // from when it was due
	goodput int             // served before the turn was over
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
			called := time.Now()
			err := verify()
			took, spent := time.Since(due), time.Since(called)
			mu.Lock()
			defer mu.Unlock()
			var busy *password.BusyError
			if err == nil {
				a.served = append(a.served, took)
				if time.Since(begin) <= d {
					a.goodput++
				}
			} else if errors.As(err, &busy) {
				a.shed = append(a.shed, spent)
				a.shedDue = append(a.shedDue, took)
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

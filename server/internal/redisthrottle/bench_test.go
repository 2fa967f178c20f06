// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"github.com/watchword-project/watchword/server/internal/redisthrottle"
	"github.com/watchword-project/watchword/server/internal/throttle"
)

// contestant is one way to decide over an attempt.
type contestant struct {
	decide func(n int) error
	took   []time.Duration // of each round
	cpu    []time.Duration // this process and the server
	redis  []time.Duration // of that the server
	late   []time.Duration // of each decision
}

// BenchmarkDecision compares a whole decision, the subject's ladder and slow budget
// and three rates, with redis_rate, which holds one limit in one call, on the
// same server and in the same run: rounds in turns, medians. A ratio x-… over 1
// says how much better ours is, a ratio under 1 of the others likewise.
// In the cluster form the server is a cluster of itself alone, a decision two
// round trips, and redis_rate on a client for clusters too. Guesses come from
// addresses in networks of their own, as people are, or from two hundred
// addresses of each /24, as when whole networks attack: their record is long.
func BenchmarkDecision(b *testing.B) {
	for _, mode := range []string{"single", "cluster"} {
		var s *server
		if mode == "single" {
			s = start(b)
		} else {
			s = start(b, "--cluster-enabled", "yes")
			s.do("cluster", "addslotsrange", "0", "16383")
			eventually(b, 5*time.Second, func() bool { return strings.Contains(s.do("cluster", "info"), "cluster_state:ok") })
		}
		store := connect(b, redisthrottle.Config{Mode: mode, Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond})
		for _, callers := range []int{16, 256} {
			for _, near := range []int{1, 200} {
				b.Run(fmt.Sprintf("%s/callers=%d/near=%d", mode, callers, near), func(b *testing.B) {
					s.do("flushall")
					decisions(b, s, store, callers, near, mode == "cluster")
				})
			}
		}
	}
}

func decisions(b *testing.B, s *server, store *redisthrottle.Store, callers, near int, cluster bool) {
	var client redis.UniversalClient
	if cluster {
		client = redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.addr()}, PoolSize: 64})
	} else {
		client = redis.NewClient(&redis.Options{Addr: s.addr(), PoolSize: 64})
	}
	defer client.Close()
	limiter := redis_rate.NewLimiter(client)
	limit := redis_rate.Limit{Rate: 3, Period: time.Minute, Burst: 30}
	ladder := throttle.Numbers{Free: 5, Close: 100, First: 30_000, Longest: 3_600_000, SlowCost: 25_920_000, SlowRoom: 2_592_000_000, Pending: 60_000}
	const subjects, total = 200_000, 4000
	allow := func(key string) error {
		_, err := limiter.Allow(b.Context(), key, limit)
		return err
	}
	all := []*contestant{
		{decide: func(n int) error {
			r := throttle.Request{
				Lanes: throttle.Lanes{
					Subject: numbered(1, n), Pair: numbered(2, n), Unknown: ladder, Known: ladder,
					Address:   [3]throttle.Name{numbered(3, n), {}, numbered(4, n/near)},
					PairLimit: throttle.Limit{Cost: 60_000, Room: 1_200_000},
					Limits:    [3]throttle.Limit{{Cost: 20_000, Room: 600_000}, {}, {Cost: 5_000, Room: 600_000}},
				},
				Tag: uint16(rand.Uint32()), Tagged: true,
			}
			_, err := store.Begin(b.Context(), &r)
			return err
		}},
		{decide: func(n int) error { return allow("u" + strconv.Itoa(n)) }},
		{decide: func(n int) error {
			for i := range 5 {
				if err := allow(strconv.Itoa(i) + ":" + strconv.Itoa(n)); err != nil {
					return err
				}
			}
			return nil
		}},
	}
	for range 9 {
		for _, c := range all {
			c.round(b, s, callers, total, subjects)
		}
	}
	mid := func(c *contestant, name string) (op, cpu, p99 float64) {
		for _, x := range [][]time.Duration{c.took, c.cpu, c.redis, c.late} {
			slices.Sort(x)
		}
		b.ReportMetric(float64(c.redis[len(c.redis)/2].Nanoseconds())/total/1000, name+"-redis-µs")
		return float64(c.took[len(c.took)/2]), float64(c.cpu[len(c.cpu)/2]), float64(c.late[len(c.late)*99/100])
	}
	op, cpu, p99 := mid(all[0], "begin")
	op1, cpu1, p991 := mid(all[1], "rate1")
	op5, cpu5, _ := mid(all[2], "rate5")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(total/op*1e9, "begin/s")
	b.ReportMetric(op1/op, "x-rate1")
	b.ReportMetric(op5/op, "x-rate5")
	b.ReportMetric(cpu/cpu1, "cpu/rate1")
	b.ReportMetric(cpu/cpu5, "cpu/rate5")
	b.ReportMetric(p99/p991, "p99/rate1")
}

// BenchmarkAttack compares attempts of which 95 in 100 are at accounts that
// wait already, through the whole Limiter, with as many calls of redis_rate.
func BenchmarkAttack(b *testing.B) {
	s := start(b)
	store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	l := open(b, throttle.Config{}, store)
	for n := range 100 {
		for range 10 * freeNIST {
			if _, err := l.Report(b.Context(), throttle.Attempt{Subject: subject(n)}, throttle.BadSecret); err != nil {
				b.Fatal(err)
			}
		}
	}
	client := redis.NewClient(&redis.Options{Addr: s.addr(), PoolSize: 64})
	defer client.Close()
	limiter := redis_rate.NewLimiter(client)
	ours := &contestant{decide: func(n int) error {
		if n%20 != 0 {
			n = n % 100
		}
		_, err := l.Begin(b.Context(), throttle.Attempt{Subject: subject(n), ChallengePassed: true})
		return err
	}}
	theirs := &contestant{decide: func(n int) error {
		_, err := limiter.Allow(b.Context(), "u"+strconv.Itoa(n%100), redis_rate.PerMinute(3))
		return err
	}}
	for range 7 {
		ours.round(b, s, 64, 8000, 1_000_000)
		theirs.round(b, s, 64, 8000, 1_000_000)
	}
	slices.Sort(ours.took)
	slices.Sort(theirs.took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(theirs.took[3])/float64(ours.took[3]), "x-rate1")
}

func numbered(kind, n int) (x throttle.Name) {
	binary.LittleEndian.PutUint64(x[:], uint64(n)+1)
	x[15] = byte(kind)
	return x
}

// round makes total decisions from the given number of callers.
func (c *contestant) round(b *testing.B, s *server, callers, total, subjects int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	own, redis, from := ownCPU(b), s.cpu(b), time.Now()
	for range callers {
		wg.Go(func() {
			late := make([]time.Duration, 0, total/callers)
			for range total / callers {
				at := time.Now()
				if err := c.decide(rand.IntN(subjects)); err != nil {
					b.Error(err)
					return
				}
				late = append(late, time.Since(at))
			}
			mu.Lock()
			c.late = append(c.late, late...)
			mu.Unlock()
		})
	}
	wg.Wait()
	c.took = append(c.took, time.Since(from))
	redis = s.cpu(b) - redis
	c.redis = append(c.redis, redis)
	c.cpu = append(c.cpu, ownCPU(b)-own+redis)
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpu is the time the server's main thread has run.
func (s *server) cpu(b *testing.B) time.Duration {
	b.Helper()
	pid := s.cmd.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", pid, pid))
	if err != nil {
		b.Skip("no /proc: the server's time cannot be read")
	}
	ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(ns)
}

// BenchmarkKeyMemory tells what a subject with ten wrong guesses costs the
// server, against five keys of redis_rate.
func BenchmarkKeyMemory(b *testing.B) {
	s := start(b)
	store := connect(b, redisthrottle.Config{Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond})
	client := redis.NewClient(&redis.Options{Addr: s.addr()})
	defer client.Close()
	limiter := redis_rate.NewLimiter(client)
	ladder := throttle.Numbers{Free: 10, Close: 100, First: 30_000, Longest: 3_600_000, SlowCost: 25_920_000, SlowRoom: 2_592_000_000, Pending: 60_000}
	used := func() float64 {
		for line := range strings.Lines(s.do("info", "memory")) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
				n, err := strconv.ParseFloat(v, 64)
				if err != nil {
					b.Fatal(err)
				}
				return n
			}
		}
		b.Fatal("no used_memory")
		return 0
	}
	const subjects = 20_000
	for b.Loop() {
		if _, err := store.View(b.Context(), &throttle.Target{Subject: numbered(1, 0)}, 0); err != nil { // loads the script
			b.Fatal(err)
		}
		s.do("flushall")
		base := used()
		each(subjects, func(n int) {
			for tag := range uint16(10) {
				r := throttle.Request{Lanes: throttle.Lanes{Subject: numbered(1, n), Unknown: ladder, Known: ladder}, Tag: tag, Tagged: true}
				if _, err := store.Begin(b.Context(), &r); err != nil {
					b.Error(err)
				}
			}
		})
		ours := (used() - base) / subjects
		s.do("flushall")
		base = used()
		each(subjects, func(n int) {
			for i := range 5 {
				if _, err := limiter.Allow(b.Context(), fmt.Sprint(i, "user", n), redis_rate.PerHour(5)); err != nil {
					b.Error(err)
				}
			}
		})
		theirs := (used() - base) / subjects
		b.ReportMetric(ours, "B/subject")
		b.ReportMetric(ours/theirs, "of-rate5")
	}
}

// each calls f with every number below n, 64 at a time.
func each(n int, f func(int)) {
	var wg sync.WaitGroup
	for from := range 64 {
		wg.Go(func() {
			for i := from; i < n; i += 64 {
				f(i)
			}
		})
	}
	wg.Wait()
}

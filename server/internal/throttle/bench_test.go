// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

// peer is x/time/rate behind a sharded map, as it is commonly used.
type peer struct {
	shards [256]struct {
		sync.Mutex
		m map[string]*rate.Limiter
	}
}

func newPeer() *peer {
	p := new(peer)
	for i := range p.shards {
		p.shards[i].m = make(map[string]*rate.Limiter)
	}
	return p
}

func (p *peer) allow(n int) bool {
	var b [24]byte
	key := string(strconv.AppendInt(append(b[:0], "user:"...), int64(n), 10))
	s := &p.shards[n*2654435761>>8&255]
	s.Lock()
	l := s.m[key]
	if l == nil {
		l = rate.NewLimiter(rate.Every(20*time.Second), 30)
		s.m[key] = l
	}
	s.Unlock()
	return l.Allow()
}

// request is what the store sees of an attempt at subject n, one lane of five
// free guesses with its waits and the slow budget.
func request(r *throttle.Request, n int, tag uint16) {
	binary.LittleEndian.PutUint64(r.Subject[:], uint64(n+1)*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(r.Subject[8:], uint64(n))
	r.Tag = tag
}

func benchStore(b *testing.B, subjects int) (throttle.Store, throttle.Request) {
	b.Helper()
	rules, err := throttle.ProfileRules("nist")
	if err != nil {
		b.Fatal(err)
	}
	m, err := throttle.OpenMemory(throttle.MemoryConfig{Subjects: subjects}, rules, noClock, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ladder := throttle.Numbers{Free: 5, Close: 100, First: 30_000, Longest: 3_600_000, SlowCost: 25_920_000, SlowRoom: 2_592_000_000, Pending: 60_000}
	return m, throttle.Request{Share: true, Lanes: throttle.Lanes{Unknown: ladder, Known: ladder}, Now: 1_800_000_000_000, Tagged: true}
}

// median runs two things in turns and returns the medians of their times, so
// that whatever else the machine does falls on both.
func median(rounds int, a, b func()) (x, y time.Duration) {
	var xs, ys []time.Duration
	for range rounds {
		from := time.Now()
		a()
		mid := time.Now()
		b()
		xs, ys = append(xs, mid.Sub(from)), append(ys, time.Since(mid))
	}
	slices.Sort(xs)
	slices.Sort(ys)
	return xs[rounds/2], ys[rounds/2]
}

// BenchmarkCore compares one decision of the store's core on a random one of a
// million subjects with one of sharded x/time/rate limiters, which hold a
// single window each. Ratios over 1 say how much faster the core is.
func BenchmarkCore(b *testing.B) {
	const subjects, slice = 1_000_000, 20_000
	store, r := benchStore(b, subjects*5/4)
	p := newPeer()
	for n := range subjects {
		request(&r, n, 1)
		store.Begin(b.Context(), &r)
		p.allow(n)
	}
	for _, threads := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			on := func(f func(rnd *rand.Rand)) func() {
				return func() {
					var wg sync.WaitGroup
					for i := range threads {
						wg.Go(func() { f(rand.New(rand.NewPCG(uint64(i), rand.Uint64()))) })
					}
					wg.Wait()
				}
			}
			var ours, theirs time.Duration
			rounds := max(9, b.N/slice)
			ours, theirs = median(rounds, on(func(rnd *rand.Rand) {
				q := r
				for range slice {
					request(&q, rnd.IntN(subjects), uint16(rnd.Uint32()))
					if _, err := store.Begin(b.Context(), &q); err != nil {
						b.Error(err)
					}
				}
			}), on(func(rnd *rand.Rand) {
				for range slice {
					p.allow(rnd.IntN(subjects))
				}
			}))
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(ours.Nanoseconds())/slice, "core-ns")
			b.ReportMetric(float64(theirs.Nanoseconds())/slice, "rate-ns")
			b.ReportMetric(float64(theirs)/float64(ours), "x-faster")
		})
	}
}

// BenchmarkLimiter times whole attempts, Begin and Finish with all lanes,
// digests and tokens.
func BenchmarkLimiter(b *testing.B) {
	l := open(b, throttle.Config{Memory: throttle.MemoryConfig{Subjects: 1 << 20}}, nil)
	for _, x := range []struct {
		name string
		out  throttle.Outcome
		ip   bool
	}{{"right", throttle.Success, true}, {"wrong", throttle.BadSecret, true}, {"right, no address", throttle.Success, false}} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				a := throttle.Attempt{Subject: subject(n), Tag: []byte("0123456789abcdef"), ChallengePassed: true}
				if x.ip {
					a.IP = netip.AddrFrom4([4]byte{byte(n), byte(n >> 8), byte(n >> 16), 1})
				}
				d, err := l.Begin(b.Context(), a)
				if err != nil || d.Verdict != throttle.Allow {
					b.Fatalf("%v %v, %v", d.Verdict, d.Reasons, err)
				}
				if _, err := l.Finish(b.Context(), "", d.Token, x.out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMemory fills the store and tells what a subject costs, and what the
// collector pays for all of them. 10,000,000 subjects with -watchword.long.
func BenchmarkMemory(b *testing.B) {
	subjects := 1_000_000
	if *long {
		subjects = 10_000_000
	}
	for b.Loop() {
		debug.FreeOSMemory()
		before := resident(b)
		store, r := benchStore(b, subjects*5/4)
		refused := 0
		for n := range subjects {
			request(&r, n, 1)
			if g, err := store.Begin(b.Context(), &r); err != nil || g.Kind == 0 {
				refused++
			}
		}
		from := ownCPU(b)
		runtime.GC()
		gc := ownCPU(b) - from
		grown := resident(b) - before
		b.ReportMetric(float64(grown)/float64(subjects), "B/subject")
		b.ReportMetric(float64(grown)/(1<<20), "MiB")
		b.ReportMetric(float64(gc.Microseconds())/1000, "gc-cpu-ms")
		b.ReportMetric(float64(refused), "refused")
		kept := 0
		for n := range subjects / 100 {
			request(&r, n*100, 1)
			if g, err := store.Begin(b.Context(), &r); err == nil && g.Kind == throttle.Shared {
				kept++
			}
		}
		b.ReportMetric(float64(kept)/float64(subjects/100)*100, "%kept")
		if grown*10_000_000/int64(subjects) > 2<<30 || refused > 0 || kept < subjects/100 {
			b.Error("ten million subjects do not fit in 2 GiB")
		}
		runtime.KeepAlive(store)
	}
}

// ownCPU is the processor time of this process.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory of this process that the system holds for it.
func resident(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("no /proc: the memory of the process cannot be read")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
)

// memoryLimit is what the server under overload may use: the budget for
// hashes, and 192 MiB.
const (
	memoryBudget = 256 << 20
	memoryLimit  = memoryBudget + 192<<20
)

// limited gives a command that runs in a memory cgroup of its own, and what
// tells how often the kernel killed in it; nil where the system does not let
// this process make one.
func limited(t testing.TB, name string, args ...string) (c *exec.Cmd, kills func() int) {
	t.Helper()
	for _, v := range []struct{ root, limit, events string }{
		{"/sys/fs/cgroup", "memory.max", "memory.events"},                        // version 2
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"}, // version 1
	} {
		dir := filepath.Join(v.root, "watchword-overload-"+strconv.Itoa(os.Getpid()))
		if os.Mkdir(dir, 0o700) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		f, err := os.OpenFile(filepath.Join(dir, v.limit), os.O_WRONLY, 0)
		if err != nil {
			continue // an ordinary folder, or without the controller of memory
		}
		_, err = fmt.Fprint(f, memoryLimit)
		if f.Close(); err != nil {
			continue
		}
		c = exec.Command("sh", append([]string{"-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, dir, name}, args...)...)
		return c, func() int {
			b, err := os.ReadFile(filepath.Join(dir, v.events))
			if err != nil {
				t.Fatal(err)
			}
			_, after, _ := strings.Cut(string(b), "oom_kill ")
			n, err := strconv.Atoi(strings.Fields(after + " ?")[0])
			if err != nil {
				t.Fatalf("%s tells no kills: %s", v.events, b)
			}
			return n
		}
	}
	t.Log("no memory cgroup can be made here: the server runs without a limit")
	return exec.Command(name, args...), nil
}

// victim is a server under load.
type victim struct {
	*process
	clients  []*client.Client
	kills    func() int
	subjects int
	key      string // file of its administrator's key
}

const victimPassword = "the lantern was green"

// startVictim starts the server as an operator does, at the default cost, with
// half of the processors for hashing: the other half is for those who ask.
func startVictim(t testing.TB, slots int) *victim {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	config := filepath.Join(t.TempDir(), "config.yaml")
	err := os.WriteFile(config, fmt.Appendf(nil, "hashing: {slots: %d, memory_budget: %dMiB}\nlisten: {grpc: 127.0.0.1:0, http: 127.0.0.1:0}\n", slots, memoryBudget>>20), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	c, kills := limited(t, program(t), "--data-dir", dir, "--config", config)
	p := start(t, c)
	t.Cleanup(func() {
		if !p.end(syscall.SIGTERM) {
			t.Errorf("the server ended with %v", p.ProcessState)
		}
	})
	v := &victim{process: p, kills: kills, subjects: 200, key: filepath.Join(dir, "admin.key")}
	v.dial(t, p.addr)
	phc, err := v.clients[0].Hash(t.Context(), victimPassword)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range v.clients[0].Import(t.Context(), func(yield func(client.ImportRow) bool) {
		for i := range v.subjects {
			if !yield(client.ImportRow{Subject: fmt.Sprint("user", i), PHC: phc}) {
				return
			}
		}
	}) {
		if err != nil || r.Fault != nil {
			t.Fatal(err, r.Fault)
		}
	}
	return v
}

// dial connects. One connection has a hundred streams at most.
func (v *victim) dial(t testing.TB, addr string) {
	t.Helper()
	for range 8 {
		w, err := client.New(client.Options{Addr: addr, KeyFile: v.key})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		v.clients = append(v.clients, w)
	}
}

// login is the i-th.
func (v *victim) login(i int) error {
	got, err := v.clients[i%len(v.clients)].Verify(context.Background(), fmt.Sprint("user", i%v.subjects), victimPassword, client.Source{})
	if err == nil && !got.Match {
		err = errors.New("no match")
	}
	return err
}

// capacity is how many logins a second n callers get that wait for each other.
func (v *victim) capacity(n int, d time.Duration) float64 {
	var done, next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range n {
		wg.Go(func() {
			for time.Since(begin) < d {
				if v.login(int(next.Add(1))) == nil {
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds()
}

// stormed is what came of a storm.
type stormed struct {
	served, shed []time.Duration
	goodput      float64 // served a second, before the storm was over
	noRetry      int     // refusals that do not say when to come back
	other        []error
}

// storm sends logins at a rate, whether or not they are answered.
func (v *victim) storm(rate float64, d time.Duration) stormed {
	var mu sync.Mutex
	var out stormed
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
			err := v.login(i)
			took := time.Since(called)
			mu.Lock()
			defer mu.Unlock()
			var busy *client.BusyError
			switch {
			case err == nil:
				out.served = append(out.served, took)
				if time.Since(begin) <= d {
					out.goodput += 1 / d.Seconds()
				}
			case errors.As(err, &busy) && busy.Reason == "HASH_CAPACITY":
				out.shed = append(out.shed, took)
				if busy.RetryAfter <= 0 {
					out.noRetry++
				}
			default:
				out.other = append(out.other, err)
			}
		})
	}
	wg.Wait()
	return out
}

func p99(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)*99/100]
}

// peakMiB is the most memory that the server ever had resident.
func (v *victim) peakMiB(t testing.TB) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(after + " ?")[0])
	if err != nil {
		t.Fatal(err)
	}
	return float64(kib) / 1024
}

func hashingSlots() int { return max(1, runtime.NumCPU()/2) }

// TestOverload sends the server, in a cgroup that holds its budget and 192 MiB,
// several times what it can hash: it lives, answers as many as before, and
// tells everybody else when to come back.
func TestOverload(t *testing.T) {
	slots := hashingSlots()
	v := startVictim(t, slots)
	from, spent := time.Now(), v.cpu(t)
	capacity := v.capacity(2*slots, time.Second)
	before := (v.cpu(t) - spent).Seconds() / (capacity * time.Since(from).Seconds())
	spent = v.cpu(t)
	got := v.storm(10*capacity, 2*time.Second)
	within := (v.cpu(t) - spent).Seconds() / float64(len(got.served))
	if len(got.other) > 0 {
		t.Errorf("%d logins failed otherwise: %v", len(got.other), got.other[0])
	}
	if len(got.shed) < len(got.served) || got.noRetry > 0 {
		t.Errorf("%d served, %d refused, %d of them not told when to come back", len(got.served), len(got.shed), got.noRetry)
	}
	// Hashes whose callers have left would make the logins that are answered dear.
	// How many are answered a second is BenchmarkOverload's, since other programs
	// are on this machine.
	if !(within < 3*before) {
		t.Errorf("a login took %.1f ms of the server's processor time in the storm, %.1f before", within*1e3, before*1e3)
	}
	// Some of it are pages of the program, more or less as the system likes.
	if most := float64(slots*19 + 96); v.peakMiB(t) > most {
		t.Errorf("the server had %.0f MiB resident, want at most %.0f", v.peakMiB(t), most)
	}
	if v.kills != nil && v.kills() > 0 {
		t.Errorf("the kernel killed %d times for want of memory", v.kills())
	}
	if err := v.login(1); err != nil {
		t.Errorf("after the storm: %v", err)
	}
}

// startBare starts a bare server in a process of its own.
func startBare(t testing.TB, key string) *victim {
	t.Helper()
	b := &victim{process: start(t, exec.Command("bare-server")), subjects: 1, key: key}
	b.dial(t, b.addr)
	return b
}

// BenchmarkOverload measures the same through the gRPC door, as medians over
// its rounds:
//
//	goodput-10x/1x   logins served at ten times what the slots can do over those served at once
//	p99/limit        99th percentile of the accepted over queue wait + 2 service times
//	shed-p99-ms      99th percentile of a refusal, at the caller
//	shed-p90-ms      90th percentile of the same
//	bare-p99-ms      99th percentile of a refusal by a gRPC server with nothing
//	                 behind it, beside as many hashes: what the machine takes
//	shed-p99/bare    the first over the last, of each round
//	within-p99-ms    99th percentile of a refusal in the server, from its log
//	idle-p99-ms      99th percentile of a listing without load, for comparison
//	beside-slots-MiB resident memory at its highest, less the slots
//
// Those who ask run on the same processors. Their garbage is collected between
// the storms.
func BenchmarkOverload(b *testing.B) {
	slots := hashingSlots()
	v := startVictim(b, slots)
	plain := startBare(b, v.key)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	metrics := map[string][]float64{}
	add := func(name string, value float64) { metrics[name] = append(metrics[name], value) }
	for b.Loop() {
		runtime.GC()
		var idle []time.Duration
		for range 200 {
			begin := time.Now()
			if _, err := v.clients[0].ListKeys(b.Context()); err != nil {
				b.Fatal(err)
			}
			idle = append(idle, time.Since(begin))
		}
		capacity := v.capacity(2*slots, time.Second)
		one := v.storm(capacity, 2*time.Second)
		runtime.GC()
		v.refusals()
		ten := v.storm(10*capacity, 2*time.Second)
		within := v.refusals()
		runtime.GC()
		busy := make(chan struct{})
		go func() { defer close(busy); v.capacity(2*slots, 2*time.Second) }()
		floor := plain.storm(10*capacity, 2*time.Second)
		<-busy
		if other := append(ten.other, floor.other...); len(other) > 0 {
			b.Fatal(other[0])
		}
		if len(ten.shed) == 0 {
			b.Fatal("nobody was refused")
		}
		service := time.Duration(float64(slots) / capacity * float64(time.Second))
		add("goodput-10x/1x", ten.goodput/one.goodput)
		add("p99/limit", float64(p99(ten.served))/float64(500*time.Millisecond+2*service))
		add("shed-p99-ms", ms(p99(ten.shed)))
		add("shed-p90-ms", ms(ten.shed[len(ten.shed)*9/10])) // in order
		add("bare-p99-ms", ms(p99(floor.shed)))
		add("shed-p99/bare", float64(p99(ten.shed))/float64(p99(floor.shed)))
		add("within-p99-ms", ms(p99(within)))
		add("idle-p99-ms", ms(p99(idle)))
	}
	for name, f := range metrics {
		slices.Sort(f)
		b.ReportMetric(f[len(f)/2], name)
	}
	b.ReportMetric(v.peakMiB(b)-float64(slots*19), "beside-slots-MiB")
	b.ReportMetric(0, "ns/op")
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/redisthrottle"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/throttle/throttletest"
)

// The bounds every fault is held to.
const (
	slowest  = 2 * time.Second // no call takes longer
	healed   = 5 * time.Second // after the fault is gone the store is used again within
	freeNIST = 5
)

func subject(n int) (s [16]byte) {
	binary.LittleEndian.PutUint64(s[:], uint64(n)+1)
	return s
}

var tags atomic.Uint32

// guess tries a fresh wrong guess and reports whether it was admitted. It fails
// the test if any call hangs.
func guess(t testing.TB, l *throttle.Limiter, n int) bool {
	t.Helper()
	tag := binary.LittleEndian.AppendUint32(nil, tags.Add(1))
	a := throttle.Attempt{Subject: subject(n), Tag: tag, ChallengePassed: true}
	from := time.Now()
	d, err := l.Begin(t.Context(), a)
	if err == nil && d.Verdict == throttle.Allow {
		_, err = l.Finish(t.Context(), "", d.Token, throttle.BadSecret)
	}
	if err != nil {
		t.Errorf("guess at %d: %v", n, err)
	}
	if took := time.Since(from); took > slowest {
		t.Errorf("an attempt took %v, want at most %v", took, slowest)
	}
	return d.Verdict == throttle.Allow
}

func guesses(t testing.TB, l *throttle.Limiter, n, tries int) (admitted int) {
	t.Helper()
	for range tries {
		if guess(t, l, n) {
			admitted++
		}
	}
	return admitted
}

// remote reports whether an attempt is decided by the store, not locally.
func remote(t testing.TB, l *throttle.Limiter, n int) bool {
	t.Helper()
	d, err := l.Begin(t.Context(), throttle.Attempt{Subject: subject(n)})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range d.Reasons {
		if r == "STORE_DEGRADED" {
			return false
		}
	}
	return !l.Degraded()
}

// fault is one row of the matrix.
type fault struct {
	name string
	// break_ brings the fault about and returns how it ends.
	break_ func(t *testing.T, s *server) (mend func())
	// hidden faults leave the answers to the store: there is nothing to heal.
	hidden bool
}

func faults() []fault {
	config := func(s *server, kv ...any) { s.do(append([]any{"config", "set"}, kv...)...) }
	return []fault{
		{name: "dies", break_: func(t *testing.T, s *server) func() {
			s.kill()
			return s.run
		}},
		{name: "hangs", break_: func(t *testing.T, s *server) func() {
			s.signal(syscall.SIGSTOP)
			return func() { s.signal(syscall.SIGCONT) }
		}},
		{name: "READONLY after demotion", break_: func(t *testing.T, s *server) func() {
			s.do("replicaof", "127.0.0.1", "1")
			config(s, "replica-serve-stale-data", "yes")
			return func() { s.do("replicaof", "no", "one") }
		}},
		{name: "MASTERDOWN", break_: func(t *testing.T, s *server) func() {
			config(s, "replica-serve-stale-data", "no")
			s.do("replicaof", "127.0.0.1", "1")
			return func() { s.do("replicaof", "no", "one") }
		}},
		{name: "OOM", break_: func(t *testing.T, s *server) func() {
			config(s, "maxmemory-policy", "noeviction", "maxmemory", "1")
			return func() { config(s, "maxmemory", "0") }
		}},
		{name: "NOREPLICAS", break_: func(t *testing.T, s *server) func() {
			config(s, "min-replicas-to-write", "1")
			return func() { config(s, "min-replicas-to-write", "0") }
		}},
		{name: "NOAUTH", break_: func(t *testing.T, s *server) func() {
			config(s, "requirepass", "changed")
			s.killClients("changed")
			return func() { s.doAs("changed", "config", "set", "requirepass", "") }
		}},
		{name: "NOPERM", break_: func(t *testing.T, s *server) func() {
			s.do("acl", "setuser", "default", "-evalsha", "-eval")
			return func() { s.do("acl", "setuser", "default", "+@all") }
		}},
		{name: "NOSCRIPT", hidden: true, break_: func(t *testing.T, s *server) func() {
			s.do("script", "flush")
			return func() {}
		}},
		{name: "BUSY", break_: func(t *testing.T, s *server) func() {
			config(s, "busy-reply-threshold", "10")
			c, err := net.Dial("tcp", s.addr())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(c, "*3\r\n$4\r\nEVAL\r\n$20\r\nwhile true do end --\r\n$1\r\n0\r\n")
			time.Sleep(100 * time.Millisecond)
			return func() {
				s.do("script", "kill")
				c.Close()
			}
		}},
		{name: "paused", break_: func(t *testing.T, s *server) func() {
			s.do("client", "pause", "2000", "all")
			return func() { time.Sleep(2 * time.Second) }
		}},
		{name: "connections cut", hidden: true, break_: func(t *testing.T, s *server) func() {
			s.do("client", "kill", "type", "normal", "skipme", "yes")
			return func() {}
		}},
		{name: "LOADING", break_: func(t *testing.T, s *server) func() {
			config(s, "key-load-delay", "200000", "save", "")
			for i := range 40 {
				s.do("set", "ww:{x}"+strconv.Itoa(i), "x", "ex", "60")
			}
			s.do("save")
			s.kill()
			s.args = append(s.args, "--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024")
			go s.startOnly()
			time.Sleep(300 * time.Millisecond)
			return func() { s.await() }
		}},
		{name: "evicts everything", hidden: true, break_: func(t *testing.T, s *server) func() {
			s.do("flushall")
			return func() {}
		}},
	}
}

// worn returns a store of which one subject is used up, one half, one not at
// all. On a busy machine a call may get no answer in time, and then the local
// limiter has had a say: that is no start, so there is another.
func worn(t *testing.T) (*server, *throttle.Limiter) {
	t.Helper()
	for range 10 {
		s := start(t)
		store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{s.addr()}})
		if err != nil {
			t.Fatal(err)
		}
		l := open(t, throttle.Config{Nodes: 2}, store)
		used, half := guesses(t, l, 1, 12), guesses(t, l, 2, 2)
		if l.Stats().StoreErrors > 0 {
			continue
		}
		if used != freeNIST || half != 2 {
			t.Fatalf("before: %d and %d admitted, want %d and 2", used, half, freeNIST)
		}
		return s, l
	}
	t.Fatal("before: the store does not answer in time")
	return nil, nil
}

// TestFaults puts one server through every fault, under guessing, and holds
// the limiter to its promises: nothing hangs, nothing is unlimited, at most one
// budget more for each fault, the owner with a right password gets in, and the
// store is used again within five seconds.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s, l := worn(t)
			admitted := map[int]int{1: freeNIST, 2: 2}

			mend := f.break_(t, s)
			for n := 1; n <= 3; n++ {
				admitted[n] += guesses(t, l, n, 12)
			}
			// A right password during the fault.
			d, err := l.Begin(t.Context(), throttle.Attempt{Subject: subject(4), Tag: []byte("right")})
			if err != nil || d.Verdict != throttle.Allow {
				t.Errorf("a right password during the fault: %v %v, %v", d.Verdict, d.Reasons, err)
			} else if _, err := l.Finish(t.Context(), "", d.Token, throttle.Success); err != nil {
				t.Errorf("Finish during the fault: %v", err)
			}
			from := time.Now()
			if err := l.Reset(t.Context(), throttle.Query{Subject: subject(5)}); !f.hidden && err == nil && f.name != "OOM" { // without memory deleting still works
				t.Error("Reset claims to have reached the store")
			}
			if took := time.Since(from); took > slowest {
				t.Errorf("Reset took %v", took)
			}
			mend()
			back := time.Now()
			for !remote(t, l, 100) {
				if time.Since(back) > healed {
					t.Fatalf("the store is not used %v after the fault", healed)
				}
				time.Sleep(50 * time.Millisecond)
			}
			t.Logf("healed after %v", time.Since(back).Round(10*time.Millisecond))
			time.Sleep(700 * time.Millisecond) // the last of what was missed is told
			for n := 1; n <= 3; n++ {
				admitted[n] += guesses(t, l, n, 12)
				if admitted[n] > 2*freeNIST {
					t.Errorf("subject %d: %d guesses admitted over the fault, want at most %d", n, admitted[n], 2*freeNIST)
				}
			}
			var st throttle.State
			eventually(t, healed, func() bool {
				var err error
				st, err = l.State(t.Context(), throttle.Query{Subject: subject(4)})
				return err == nil
			})
			if len(st.Lanes) != 0 {
				t.Errorf("the right login left %+v: our failure was counted as the owner's", st.Lanes)
			}
			noKeyWithoutTTL(t, s)
		})
	}
}

// TestUnlimitedIsSeen plants the fault that the matrix is there for: a limiter that
// lets everybody through while its store is lost.
func TestUnlimitedIsSeen(t *testing.T) {
	l := open(t, throttle.Config{}, failOpen{})
	if got := guesses(t, l, 1, 30); got <= 2*freeNIST {
		t.Errorf("a limiter that fails open admitted %d of 30: the matrix cannot see it", got)
	}
}

type failOpen struct{ throttle.Store }

func (failOpen) Begin(context.Context, *throttle.Request) (throttle.Grant, error) {
	return throttle.Grant{Kind: throttle.Charged, At: time.Now().UnixMilli()}, nil
}
func (failOpen) Settle(context.Context, *throttle.Settlement) (throttle.Settled, error) {
	return throttle.Settled{}, nil
}
func (failOpen) View(context.Context, *throttle.Target, int64) (throttle.View, error) {
	return throttle.View{}, nil
}
func (failOpen) Close() error { return nil }

func TestDownAtStart(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{"127.0.0.1:" + strconv.Itoa(port)}})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, throttle.Config{Nodes: 3}, store)
	eventually(t, slowest, l.Degraded) // before anybody has tried to log in
	if got := guesses(t, l, 1, 30); got < 1 || got > freeNIST {
		t.Errorf("%d guesses admitted with no store, want 1 to %d", got, freeNIST)
	}
	strict, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{"127.0.0.1:" + strconv.Itoa(port)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, throttle.Config{DenyOnLoss: true}, strict).Begin(t.Context(), throttle.Attempt{}); !errors.Is(err, throttle.ErrStore) {
		t.Errorf("Begin with DenyOnLoss and no store: %v, want ErrStore", err)
	}
	s := &server{t: t, port: port, dir: t.TempDir()}
	s.run()
	t.Cleanup(s.kill)
	eventually(t, healed, func() bool { return remote(t, l, 2) })
	eventually(t, time.Second, func() bool {
		st, err := l.State(t.Context(), throttle.Query{Subject: subject(1)})
		return err == nil && len(st.Lanes) == 1 && st.Lanes[0].Failures >= 1
	})
}

// lossy passes bytes between clients and a server and can swallow answers,
// repeat one, or end the connection over it.
type lossy struct {
	l       net.Listener
	to      string
	swallow atomic.Bool
	twice   atomic.Bool // the next answer comes twice
	cut     atomic.Bool // instead of the next answer the connection ends
}

func newLossy(t *testing.T, to string) *lossy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lossy{l: l, to: to}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *lossy) serve(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer s.Close()
	go io.Copy(s, c)
	b := make([]byte, 64<<10)
	for {
		n, err := s.Read(b)
		if err != nil {
			return
		}
		if p.cut.CompareAndSwap(true, false) {
			return
		}
		if !p.swallow.Load() {
			out := b[:n]
			if p.twice.CompareAndSwap(true, false) {
				out = append(append([]byte{}, out...), out...)
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}
}

func TestLostOutcomeIsToldOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := newLossy(t, s.addr())
	store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{p.l.Addr().String()}, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, throttle.Config{}, store)
	direct := open(t, throttle.Config{}, connect(t, redisthrottle.Config{Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond}))
	guess(t, l, 99) // the script is known and the connections are open
	failures := func(n int) int {
		st, err := direct.State(t.Context(), throttle.Query{Subject: subject(n)})
		if err != nil {
			t.Fatal(err)
		}
		if len(st.Lanes) == 0 {
			return 0
		}
		return st.Lanes[0].Failures
	}
	p.swallow.Store(true)
	from := time.Now()
	guess(t, l, 1)
	if took := time.Since(from); took > slowest {
		t.Errorf("with answers lost an attempt took %v", took)
	}
	// What was sent may still be on its way; what was sent twice is seen below.
	eventually(t, healed, func() bool { return failures(1) > 0 })
	p.swallow.Store(false)
	eventually(t, healed, func() bool { return remote(t, l, 2) })
	time.Sleep(time.Second)
	if got := failures(1); got != 1 {
		t.Errorf("after the outcome was told the lane has %d failures, want one", got)
	}
}

// TestLostAnswerChargesOnce: a client left alone would send once more what may
// have been run.
func TestLostAnswerChargesOnce(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"single", "cluster", "cluster whose nodes are not known yet"} {
		mode, _, together := strings.Cut(form, " ")
		t.Run(form, func(t *testing.T) {
			var s *server
			if mode == "single" {
				s = start(t)
			} else {
				s = start(t, "--cluster-enabled", "yes")
				s.do("cluster", "addslotsrange", "0", "16383")
				eventually(t, 5*time.Second, func() bool { return strings.Contains(s.do("cluster", "info"), "cluster_state:ok") })
			}
			p := newLossy(t, s.addr())
			if mode == "cluster" {
				s.do("config", "set", "cluster-announce-port", portOf(t, p.l.Addr().String()))
			}
			store := connect(t, redisthrottle.Config{Mode: mode, Addrs: []string{p.l.Addr().String()}})
			if together {
				store.SendTogether()
			}
			direct := connect(t, redisthrottle.Config{Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond})
			ladder := throttle.Numbers{Free: 50, Close: 100, First: 30_000, Longest: 240_000, Pending: 60_000}
			begin := func(n int) error {
				_, err := store.Begin(t.Context(), &throttle.Request{Lanes: throttle.Lanes{Subject: numbered(1, n), Unknown: ladder}})
				return err
			}
			if err := begin(0); err != nil { // the script is known and the connections are open
				t.Fatal(err)
			}
			p.cut.Store(true)
			if err := begin(1); !errors.Is(err, throttle.ErrStore) || errors.Is(err, throttle.ErrNoEffect) {
				t.Errorf("without an answer Begin = %v, want ErrStore, and nobody knows of what effect", err)
			}
			p.cut.Store(true)
			var wg sync.WaitGroup
			for n := range 20 { // most of them in one pipeline
				wg.Go(func() { begin(2 + n) })
			}
			wg.Wait()
			for n := range 22 {
				v, err := direct.View(t.Context(), &throttle.Target{Subject: numbered(1, n), Unknown: [3]throttle.Numbers{ladder}}, 0)
				if err != nil {
					t.Fatal(err)
				}
				if got := v.Unknown[0].Failures; got > 1 || n < 2 && got != 1 {
					t.Errorf("call %d without an answer charged %d times, want once", n, got)
				}
			}
		})
	}
}

// TestHungMasterHoldsItsOwnUp: while calls wait for a master that has stopped, others
// are made at the other masters.
func TestHungMasterHoldsItsOwnUp(t *testing.T) {
	t.Parallel()
	all := cluster(t, 0)
	ladder := throttle.Numbers{Free: 5, Close: 100, First: 30_000, Longest: 240_000, Pending: 60_000}
	stores := map[bool]*redisthrottle.Store{} // those whose masters are apart, or not
	begin := func(apart bool, n int) error {
		_, err := stores[apart].Begin(t.Context(), &throttle.Request{Lanes: throttle.Lanes{Subject: numbered(1, n), Unknown: ladder}, Tagged: true})
		return err
	}
	var there, elsewhere []int // subjects on the first master, and on others
	for n := range 64 {
		name := numbered(1, n)
		slot, err := strconv.Atoi(all[0].do("cluster", "keyslot", "{"+base64.RawURLEncoding.EncodeToString(name[:])+"}"))
		if err != nil {
			t.Fatal(err)
		}
		if slot < 16384/3 {
			there = append(there, n)
		} else {
			elsewhere = append(elsewhere, n)
		}
	}
	for _, apart := range []bool{true, false} {
		stores[apart] = connect(t, redisthrottle.Config{Mode: "cluster", Addrs: addrs(all), Timeout: 500 * time.Millisecond})
		if !apart {
			stores[apart].SendTogether()
		}
		for n := range 64 {
			if err := begin(apart, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	all[0].signal(syscall.SIGSTOP)
	const few = 50
	for _, apart := range []bool{true, false} {
		hung := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				for range 2 {
					if begin(apart, there[i%len(there)]) == nil {
						t.Error("a server that has stopped answers")
					}
				}
			})
		}
		go func() {
			wg.Wait()
			close(hung)
		}()
		time.Sleep(50 * time.Millisecond) // they are out
		answers := 0
		for waiting := true; waiting; {
			select {
			case <-hung:
				waiting = false
			default:
				if begin(apart, elsewhere[answers%len(elsewhere)]) == nil {
					answers++
				}
			}
		}
		if apart && answers < few || !apart && answers >= few {
			t.Errorf("%d answers of other masters meanwhile, masters apart: %v", answers, apart)
		}
		t.Logf("masters apart %v: %d answers", apart, answers)
	}
}

// TestHungServerHoldsOneBatchUp: who waits behind calls that nobody answers is
// told so with them, and does not wait for a time limit of his own.
func TestHungServerHoldsOneBatchUp(t *testing.T) {
	const callers, pipelines = 100, 2
	if batches, late := redisthrottle.Hang(callers); batches > pipelines || late != callers {
		t.Errorf("%d batches sent and %d of %d calls ended, want %d and all", batches, late, callers, pipelines)
	}
}

// TestAnswersOutOfStep gives a connection one answer too many, so that every
// later command on it would read the one before.
func TestAnswersOutOfStep(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := newLossy(t, s.addr())
	store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{p.l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, throttle.Config{}, store)
	guess(t, l, 99)
	for n := range 20 {
		p.twice.Store(true)
		// A subject that is used up, then a fresh one: with answers shifted by one
		// the first would be let through and the second refused.
		if got := guesses(t, l, 2*n, 12); got > 2*freeNIST {
			t.Fatalf("%d guesses admitted with answers out of step", got)
		}
		d, err := l.Begin(t.Context(), throttle.Attempt{Subject: subject(2*n + 1), Tag: []byte("right")})
		if err != nil || d.Verdict != throttle.Allow {
			t.Fatalf("a right login got another's answer: %v %v, %v", d.Verdict, d.Reasons, err)
		}
		if _, err := l.Finish(t.Context(), "", d.Token, throttle.Success); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, healed, func() bool { return remote(t, l, 1000) })
}

func TestThreeServersOneBudget(t *testing.T) {
	t.Parallel()
	s := start(t)
	var nodes []*throttle.Limiter
	for range 3 {
		store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, open(t, throttle.Config{}, store))
	}
	for n, callers := range []int{2, 8, 64, 256} {
		var wg sync.WaitGroup
		var admitted atomic.Int32
		for i := range callers {
			wg.Go(func() {
				for range 3 {
					if guess(t, nodes[i%3], n) {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if got := admitted.Load(); got > freeNIST || got < min(freeNIST, int32(callers*3)) {
			t.Errorf("%d callers on three servers: %d guesses admitted, want %d", callers, got, freeNIST)
		}
	}
	// And 32 right logins at once on three servers.
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			l := nodes[i%3]
			d, err := l.Begin(t.Context(), throttle.Attempt{Subject: subject(50), Tag: []byte("right")})
			if err != nil || d.Verdict != throttle.Allow {
				t.Errorf("right login: %v %v, %v", d.Verdict, d.Reasons, err)
				return
			}
			time.Sleep(20 * time.Millisecond)
			// Settled by another server than the one that admitted it.
			if _, err := nodes[(i+1)%3].Finish(t.Context(), "", d.Token, throttle.Success); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if st, _ := nodes[0].State(t.Context(), throttle.Query{Subject: subject(50)}); len(st.Lanes) != 0 {
		t.Errorf("32 right logins left %+v", st.Lanes)
	}
	noKeyWithoutTTL(t, s)
}

// TestHistoriesAreLinearizable records what racing clients see of one server
// and of three that share Redis, and looks for an order of it all that a
// single lane would have given; with planted faults there must be none.
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	s := start(t)
	node := func(plant func(throttle.Store) throttle.Store) *throttle.Limiter {
		store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return open(t, throttle.Config{}, plant(store))
	}
	well := func(s throttle.Store) throttle.Store { return s }
	one, two, three := node(well), node(well), node(well)
	next := 0
	for range 12 {
		if next++; !throttletest.Linearizable(t, next, one) {
			t.Errorf("a history of one server is not linearizable")
		}
		if next++; !throttletest.Linearizable(t, next, one, two, three) {
			t.Errorf("a history of three servers is not linearizable")
		}
	}
	for name, plant := range throttletest.Faults() {
		faulty := []*throttle.Limiter{node(plant), node(plant), node(plant)}
		passed := 0
		for next++; throttletest.Linearizable(t, next, faulty...); next++ {
			if passed++; passed == 50 {
				t.Fatalf("%s: all of %d histories passed", name, passed)
			}
		}
		t.Logf("%s: caught by history %d", name, passed+1)
	}
	for _, l := range []*throttle.Limiter{one, two, three} {
		if l.Degraded() {
			t.Error("the histories were made without the store")
		}
	}
}

// TestRightLoginsOnAWaitingLane sends 32 right logins at once over three servers to
// a lane that has one guess to give.
func TestRightLoginsOnAWaitingLane(t *testing.T) {
	s := start(t)
	rules, err := throttle.ProfileRules("nist")
	if err != nil {
		t.Fatal(err)
	}
	for c := range rules.Unknown {
		rules.Unknown[c].First = 50 * time.Millisecond
	}
	var nodes []*throttle.Limiter
	for range 3 {
		store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, open(t, throttle.Config{Rules: &rules}, store))
	}
	for n := range 5 {
		for range freeNIST {
			guess(t, nodes[0], n)
		}
		time.Sleep(60 * time.Millisecond)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				d, err := nodes[i%3].Begin(t.Context(), throttle.Attempt{Subject: subject(n), Tag: []byte("right")})
				if err != nil || d.Verdict != throttle.Allow {
					t.Errorf("right login: %v %v, %v", d.Verdict, d.Reasons, err)
					return
				}
				time.Sleep(20 * time.Millisecond)
				if _, err := nodes[i%3].Finish(t.Context(), "", d.Token, throttle.Success); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func TestClusterFailover(t *testing.T) {
	t.Parallel()
	all := cluster(t, 1)
	store, err := redisthrottle.Open(redisthrottle.Config{Mode: "cluster", Addrs: addrs(all)})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, throttle.Config{Nodes: 1}, store)
	const subjects = 60
	admitted := make([]int, subjects)
	for n := range subjects {
		if n%2 == 0 {
			admitted[n] = guesses(t, l, n, 8)
			if admitted[n] != freeNIST {
				t.Fatalf("subject %d: %d admitted, want %d", n, admitted[n], freeNIST)
			}
		}
	}
	// With an address a decision takes two slots.
	from := throttle.Attempt{Subject: subject(1000), IP: netAddr("192.0.2.9"), Tag: []byte("right")}
	for i := range 40 {
		d, err := l.Begin(t.Context(), from)
		if err != nil || d.Verdict != throttle.Allow {
			t.Fatalf("login %d: %v %v, %v", i, d.Verdict, d.Reasons, err)
		}
		if _, err := l.Finish(t.Context(), "", d.Token, throttle.Success); err != nil {
			t.Fatal(err)
		}
	}
	passed := 0
	for i := range 40 {
		a := throttle.Attempt{Subject: subject(2000 + i), IP: netAddr("192.0.2.9"), Tag: []byte{byte(i)}, ChallengePassed: true}
		if d, err := l.Begin(t.Context(), a); err != nil {
			t.Fatal(err)
		} else if d.Verdict == throttle.Allow {
			passed++
		}
	}
	// What gets no answer in time is charged, and decided locally.
	if passed != 30 && l.Stats().StoreErrors == 0 {
		t.Errorf("%d of 40 guesses from one address admitted, want 30", passed)
	}
	st, err := l.State(t.Context(), throttle.Query{Subject: subject(2039)})
	if err != nil || len(st.Lanes) != 0 {
		t.Errorf("a guess that the address lane refused is still charged to the subject: %+v, %v", st.Lanes, err)
	}

	time.Sleep(200 * time.Millisecond) // replication
	all[0].kill()
	killed := time.Now()
	var back time.Duration
	for back == 0 {
		well := 0
		for n := range subjects {
			if guess(t, l, n) {
				admitted[n]++
			}
			if remote(t, l, 5000+n) {
				well++
			}
		}
		if well == subjects {
			back = time.Since(killed)
		}
		if time.Since(killed) > 15*time.Second {
			t.Fatal("cluster not in use 15 s after a master was killed")
		}
	}
	t.Logf("in use again %v after the kill (node timeout 1.5 s)", back.Round(10*time.Millisecond))
	if back > 1500*time.Millisecond+2*time.Second+healed {
		t.Errorf("in use again only after %v", back)
	}
	time.Sleep(700 * time.Millisecond)
	for n := range subjects {
		admitted[n] += guesses(t, l, n, 8)
		if admitted[n] > 2*freeNIST {
			t.Errorf("subject %d: %d guesses over the failover, want at most %d", n, admitted[n], 2*freeNIST)
		}
	}
}

// TestSlotsMove moves slots of one master to another while decisions go on: MOVED,
// ASK and TRYAGAIN must cost neither a budget nor a hang.
func TestSlotsMove(t *testing.T) {
	t.Parallel()
	all := cluster(t, 1)
	store, err := redisthrottle.Open(redisthrottle.Config{Mode: "cluster", Addrs: addrs(all)})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, throttle.Config{Nodes: 1}, store)
	done := make(chan struct{})
	// The slots that some of the subjects below live in are among the first two thousand of
	// the first master.
	moving := exec.Command(procs.Find(t, "redis-cli"), "--cluster", "reshard", all[0].addr(),
		"--cluster-from", all[0].do("cluster", "myid"), "--cluster-to", all[1].do("cluster", "myid"),
		"--cluster-slots", "2000", "--cluster-yes", "--cluster-pipeline", "10")
	if err := moving.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		moving.Wait()
		close(done)
	}()
	admitted := make(map[int]int)
	rounds := 0
	for moved := false; !moved; rounds++ {
		select {
		case <-done:
			moved = true
		default:
		}
		for n := range 50 {
			if guess(t, l, n) {
				admitted[n]++
			}
		}
	}
	eventually(t, healed, func() bool { return remote(t, l, 5000) })
	over := 0
	for n, got := range admitted {
		if got > 2*freeNIST {
			t.Errorf("subject %d: %d guesses while slots moved", n, got)
		}
		if got > freeNIST {
			over++
		}
	}
	t.Logf("%d rounds while slots moved; %d of 50 subjects over one budget", rounds, over)
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master := start(t)
	replica := start(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.port))
	eventually(t, 10*time.Second, func() bool {
		return strings.Contains(replica.do("info", "replication"), "master_link_status:up")
	})
	var sentinels []string
	for range 3 {
		port := freePort(t)
		dir := t.TempDir()
		conf := filepath.Join(dir, "sentinel.conf")
		writeFile(t, conf, fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nlogfile %s\n"+
			"sentinel monitor ww 127.0.0.1 %d 2\nsentinel down-after-milliseconds ww 500\n"+
			"sentinel failover-timeout ww 1000\n", port, dir, filepath.Join(dir, "log"), master.port))
		cmd := exec.Command(procs.Find(t, "redis-sentinel"), conf)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		one := &server{t: t, port: port, dir: dir}
		one.await()
		one.do("sentinel", "debug", "info-period", "300", "publish-period", "300")
		sentinels = append(sentinels, one.addr())
	}
	watcher := &server{t: t, port: portOf(t, sentinels[0])}
	eventually(t, 15*time.Second, func() bool {
		out := watcher.do("sentinel", "master", "ww")
		return strings.Contains(out, "num-other-sentinels:2") && strings.Contains(out, "num-slaves:1")
	})
	store, err := redisthrottle.Open(redisthrottle.Config{Mode: "sentinel", Addrs: sentinels, Master: "ww"})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, throttle.Config{Nodes: 1}, store)
	admitted := guesses(t, l, 1, 12)
	if admitted != freeNIST {
		t.Fatalf("before: %d admitted, want %d", admitted, freeNIST)
	}
	for _, how := range []string{"kill", "demote"} {
		time.Sleep(200 * time.Millisecond)
		switch how {
		case "kill":
			master.kill()
		case "demote":
			// The old master comes back as a replica and a failover brings it up
			// again, while every connection stays open.
			master.run()
			eventually(t, 20*time.Second, func() bool {
				return strings.Contains(master.try("info", "replication"), "master_link_status:up")
			})
			// Sentinels keep some time between failovers.
			eventually(t, 10*time.Second, func() bool { return watcher.try("sentinel", "failover", "ww") == "OK" })
		}
		from := time.Now()
		next := map[string]*server{"kill": replica, "demote": master}[how]
		var promoted time.Time
		for {
			admitted += guesses(t, l, 1, 3)
			if promoted.IsZero() && strings.Contains(next.try("info", "replication"), "role:master") {
				promoted = time.Now()
			}
			if !promoted.IsZero() && remote(t, l, 100) {
				t.Logf("%s: promoted after %v, in use %v later", how, promoted.Sub(from).Round(10*time.Millisecond),
					time.Since(promoted).Round(10*time.Millisecond))
				if time.Since(promoted) > healed {
					t.Errorf("%s: in use only %v after the promotion", how, time.Since(promoted))
				}
				break
			}
			if time.Since(from) > 20*time.Second {
				t.Fatalf("%s: no failover", how)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if admitted > 2*freeNIST {
			t.Errorf("%s: %d guesses over the failover, want at most %d", how, admitted, 2*freeNIST)
		}
	}
}

// TestRefusalsAreRemembered hammers a lane that waits: the store hardly hears of
// it, and still nobody is kept out after a reset, or let in a moment early.
func TestRefusalsAreRemembered(t *testing.T) {
	t.Parallel()
	s := start(t)
	node := func() *throttle.Limiter {
		store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{s.addr()}})
		if err != nil {
			t.Fatal(err)
		}
		return open(t, throttle.Config{}, store)
	}
	one, two := node(), node()
	runs := func() int {
		for line := range strings.Lines(s.do("info", "commandstats")) {
			if rest, ok := strings.CutPrefix(line, "cmdstat_evalsha:calls="); ok {
				n, _, _ := strings.Cut(rest, ",")
				calls, err := strconv.Atoi(n)
				if err != nil {
					t.Fatal(err)
				}
				return calls
			}
		}
		return 0
	}
	guesses(t, one, 1, freeNIST)
	if got := guesses(t, two, 1, 1); got != 0 {
		t.Fatal("the second server admits more")
	}
	guesses(t, one, 1, 1)
	before := runs()
	if got := guesses(t, one, 1, 500); got != 0 {
		t.Errorf("%d guesses admitted during the wait", got)
	}
	if grown := runs() - before; grown > 5 {
		t.Errorf("500 refusals took %d calls of the store", grown)
	}
	// Attempts that share an awaited guess are never refused from memory.
	var tokens []string
	for range 10 {
		d, err := one.Begin(t.Context(), throttle.Attempt{Subject: subject(2), Tag: []byte("right")})
		if err != nil || d.Verdict != throttle.Allow {
			t.Fatalf("%v %v, %v", d.Verdict, d.Reasons, err)
		}
		tokens = append(tokens, d.Token)
		guess(t, one, 2)
	}
	for _, token := range tokens {
		if _, err := two.Finish(t.Context(), "", token, throttle.Success); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Reset(t.Context(), throttle.Query{Subject: subject(1)}); err != nil {
		t.Fatal(err)
	}
	if !guess(t, one, 1) {
		t.Error("refused right after a reset on the same server")
	}
	eventually(t, healed+500*time.Millisecond, func() bool { return guess(t, two, 1) })
}

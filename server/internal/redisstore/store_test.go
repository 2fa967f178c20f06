// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/watchword-project/watchword/server/internal/redisstore"
	"github.com/watchword-project/watchword/server/internal/storetest"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

func openStore(t testing.TB, c redisstore.Config) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// command runs one command on one server.
func command(t testing.TB, addr string, args ...any) any {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args[0], err)
	}
	return v
}

func instance(t testing.TB, c redisstore.Config, crash func(testing.TB)) storetest.Instance {
	t.Helper()
	s := openStore(t, c)
	return storetest.Instance{
		Credentials: s,
		Objects:     s,
		Reopen: func(t testing.TB) storetest.Instance {
			s.Close()
			crash(t)
			return instance(t, c, crash)
		},
		Break: func(testing.TB) { s.Close() },
	}
}

// TestConformance kills and restarts the server at every third reopening, which
// also empties its cache of scripts.
func TestConformance(t *testing.T) {
	t.Parallel()
	server := procs.RedisServer(t)
	reopened := 0
	storetest.Run(t, func(t testing.TB) storetest.Instance {
		command(t, server.Addr, "FLUSHALL")
		return instance(t, redisstore.Config{Addrs: []string{server.Addr}}, func(t testing.TB) {
			if reopened++; reopened%3 == 1 {
				server.Kill()
				server.Start(t)
			}
		})
	})
}

func TestConformanceOnCluster(t *testing.T) {
	t.Parallel()
	nodes := procs.RedisCluster(t, 0)
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr)
	}
	storetest.Run(t, func(t testing.TB) storetest.Instance {
		for _, n := range nodes {
			command(t, n.Addr, "FLUSHALL")
		}
		return instance(t, redisstore.Config{Mode: redisstore.Cluster, Addrs: addrs}, func(testing.TB) {})
	})
}

// TestFailover kills the primary under load. Writes go on at the new one, and
// no more is lost than what the old one had not yet sent: with one writer that
// waits for each acknowledgement, the last write or two.
func TestFailover(t *testing.T) {
	t.Parallel()
	set := procs.Sentinel(t)
	s := openStore(t, redisstore.Config{Mode: redisstore.Sentinel, Master: set.Master, Addrs: set.Addrs})
	subject := storetest.Subject(1)
	var acked uint64
	put := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := s.Put(ctx, storetest.Sample("f", subject, acked+1))
		if err == nil {
			acked++
		}
		return err
	}
	for acked < 200 {
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	set.Primary.Kill()
	start := time.Now()
	var last error
	for time.Since(start) < time.Minute { // sentinels that disagree vote again after ten seconds
		if last = put(); last == nil {
			t.Logf("first write after the failover: %v", time.Since(start).Round(time.Millisecond))
			return
		}
		// The version on the new primary decides; it may be older.
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		r, err := s.Get(ctx, "f", subject)
		if err == nil || errors.Is(err, verifier.ErrUnknownSubject) {
			if acked > r.Version+2 {
				t.Fatalf("version %d after the failover, %d acknowledged", r.Version, acked)
			}
			acked = r.Version
		}
		cancel()
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no write succeeds after the failover: %v", last)
}

// cutter is a proxy that, when armed, passes a request on and then cuts the
// connection in place of the answer.
type cutter struct {
	addr  string
	armed atomic.Bool
	cuts  atomic.Int32
}

func newCutter(t testing.TB, to string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &cutter{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c, to)
		}
	}()
	return p
}

func (p *cutter) serve(c net.Conn, to string) {
	defer c.Close()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close()
	go io.Copy(up, c)
	b := make([]byte, 64<<10)
	for {
		n, err := up.Read(b)
		if err != nil {
			return
		}
		if p.armed.Load() {
			p.cuts.Add(1)
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// behindCutters returns the addresses of a single server and of a cluster of one
// node, each behind a cutter.
func behindCutters(t testing.TB) map[redisstore.Mode]*cutter {
	t.Helper()
	single := procs.RedisServer(t)
	node := procs.RedisServer(t, "--cluster-enabled", "yes")
	p := newCutter(t, node.Addr)
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	// The node shall send its clients the way through the cutter.
	command(t, node.Addr, "CONFIG", "SET", "cluster-announce-port", port)
	command(t, node.Addr, "CONFIG", "SET", "cluster-announce-ip", "127.0.0.1")
	command(t, node.Addr, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	for start := time.Now(); !strings.Contains(command(t, node.Addr, "CLUSTER", "INFO").(string), "cluster_state:ok"); {
		if time.Since(start) > 10*time.Second {
			t.Fatal("a cluster of one node does not get ready")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return map[redisstore.Mode]*cutter{redisstore.Single: newCutter(t, single.Addr), redisstore.Cluster: p}
}

// loseAnswers writes new subjects and loses the first answer to each write.
func loseAnswers(t *testing.T, s *redisstore.Store, p *cutter, each func(error)) {
	t.Helper()
	if err := s.Put(t.Context(), storetest.Sample("warm", storetest.Subject(0), 1)); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		// The connection that was cut needs a successor, or the answer to its
		// greeting is lost and the write is never sent.
		if _, err := s.Get(t.Context(), "warm", storetest.Subject(0)); err != nil {
			t.Fatal(err)
		}
		before := p.cuts.Load()
		p.armed.Store(true)
		err := make(chan error, 1)
		go func() { err <- s.Put(t.Context(), storetest.Sample("lost", storetest.Subject(i), 1)) }()
		for p.cuts.Load() == before {
			time.Sleep(100 * time.Microsecond)
		}
		p.armed.Store(false)
		each(<-err)
	}
}

// TestLostAnswerIsNoConflict loses the answers to writes that took place. They
// are failures whose outcome is unknown; a repeated call would have made them
// conflicts.
func TestLostAnswerIsNoConflict(t *testing.T) {
	t.Parallel()
	for mode, p := range behindCutters(t) {
		t.Run(string(mode), func(t *testing.T) {
			s := openStore(t, redisstore.Config{Mode: mode, Addrs: []string{p.addr}})
			loseAnswers(t, s, p, func(err error) {
				if err == nil || errors.Is(err, verifier.ErrConflict) {
					t.Errorf("Put whose answer is lost = %v, want a failure that is no conflict", err)
				}
			})
			for i := range 10 { // they did take place
				if _, err := s.Get(t.Context(), "lost", storetest.Subject(i)); err != nil {
					t.Errorf("Get: %v", err)
				}
			}
		})
	}
}

// TestRepeatingClientIsSeen is the control: clients that repeat turn lost answers
// into conflicts. For a cluster it is enough to set MaxRetries as Dial does.
func TestRepeatingClientIsSeen(t *testing.T) {
	t.Parallel()
	ps := behindCutters(t)
	for mode, client := range map[redisstore.Mode]redis.UniversalClient{
		redisstore.Single:  redis.NewClient(&redis.Options{Addr: ps[redisstore.Single].addr, MinRetryBackoff: 50 * time.Millisecond}),
		redisstore.Cluster: redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{ps[redisstore.Cluster].addr}, MaxRetries: -1, MinRetryBackoff: 50 * time.Millisecond}),
	} {
		t.Run(string(mode), func(t *testing.T) {
			s := redisstore.WithClient(client)
			defer s.Close()
			conflicts := 0
			loseAnswers(t, s, ps[mode], func(err error) {
				if errors.Is(err, verifier.ErrConflict) {
					conflicts++
				}
			})
			if conflicts == 0 {
				t.Error("no lost answer became a conflict: the fault was not seen")
			}
		})
	}
}

// TestFaults puts the server into states in which it refuses or does not answer:
// each call fails within its deadline, as a failure, and the store heals when
// the server does.
func TestFaults(t *testing.T) {
	t.Parallel()
	server := procs.RedisServer(t)
	s := openStore(t, redisstore.Config{Addrs: []string{server.Addr}, Timeout: 500 * time.Millisecond})
	known := storetest.Sample("a", storetest.Subject(1), 1)
	if err := s.Put(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	config := func(args ...any) func() {
		return func() { command(t, server.Addr, append([]any{"CONFIG", "SET"}, args...)...) }
	}
	for _, f := range []struct {
		name       string
		start, end func()
		reads      bool // Get still works
	}{
		{"down", server.Kill, func() { server.Start(t) }, false},
		{"hangs", server.Pause, server.Resume, false},
		{"out of memory", config("maxmemory", "1"), config("maxmemory", "0"), true},
		{"not enough replicas", config("min-replicas-to-write", "3"), config("min-replicas-to-write", "0"), true},
		{"read only", func() { command(t, server.Addr, "REPLICAOF", "127.0.0.1", "1") }, func() { command(t, server.Addr, "REPLICAOF", "NO", "ONE") }, true},
		{"scripts forgotten", func() { command(t, server.Addr, "SCRIPT", "FLUSH") }, nil, true},
	} {
		t.Run(f.name, func(t *testing.T) {
			f.start()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			start := time.Now()
			_, err := s.Get(ctx, "a", known.Subject)
			if (err == nil) != f.reads || errors.Is(err, verifier.ErrUnknownSubject) {
				t.Errorf("Get = %v", err)
			}
			known.Version++
			err = s.Put(ctx, known)
			if (err == nil) != (f.end == nil) || errors.Is(err, verifier.ErrConflict) {
				t.Errorf("Put = %v", err)
			}
			if waited := time.Since(start); waited > 3*time.Second {
				t.Errorf("the calls took %v", waited)
			}
			if f.end != nil {
				f.end()
				for heal := time.Now(); ; time.Sleep(20 * time.Millisecond) {
					if r, err := s.Get(t.Context(), "a", known.Subject); err == nil {
						known.Version = r.Version // the Put may have got through
						break
					}
					if time.Since(heal) > 5*time.Second {
						t.Fatal("the store does not heal")
					}
				}
			}
		})
	}
}

func TestDamagedValues(t *testing.T) {
	t.Parallel()
	server := procs.RedisServer(t)
	s := openStore(t, redisstore.Config{Addrs: []string{server.Addr}})
	if err := s.Put(t.Context(), storetest.Sample("a", storetest.Subject(1), 1)); err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("ww:{c/a/%032x}", 1)
	other := fmt.Sprintf("ww:{c/a/%032x}", 2)
	value := command(t, server.Addr, "GET", key).(string)
	for n := range len(value) {
		bad := []byte(value)
		bad[n] ^= 1 << (n % 8)
		command(t, server.Addr, "SET", key, string(bad))
		if _, err := s.Get(t.Context(), "a", storetest.Subject(1)); !errors.Is(err, redisstore.ErrDamaged) {
			t.Errorf("byte %d changed: Get = %v, want ErrDamaged", n, err)
		}
	}
	command(t, server.Addr, "SET", other, value) // one subject's record under another's key
	if _, err := s.Get(t.Context(), "a", storetest.Subject(2)); !errors.Is(err, redisstore.ErrDamaged) {
		t.Errorf("another's record: Get = %v, want ErrDamaged", err)
	}
	var walk error
	for _, err := range s.All(t.Context()) {
		walk = err
	}
	if !errors.Is(walk, redisstore.ErrDamaged) {
		t.Errorf("All over a damaged record = %v, want ErrDamaged", walk)
	}
}

func TestCheckDurability(t *testing.T) {
	t.Parallel()
	server := procs.RedisServer(t)
	s := openStore(t, redisstore.Config{Addrs: []string{server.Addr}})
	for _, step := range []struct {
		setting, value string
		want           []string
	}{
		{"maxmemory", "0", nil},
		{"appendfsync", "everysec", []string{"appendfsync everysec"}},
		{"appendonly", "no", []string{"appendonly no"}},
		{"maxmemory-policy", "allkeys-lru", []string{"appendonly no", "maxmemory-policy allkeys-lru"}},
	} {
		command(t, server.Addr, "CONFIG", "SET", step.setting, step.value)
		got, err := s.CheckDurability(t.Context())
		if err != nil || len(got) != len(step.want) {
			t.Errorf("%s %s: %q, %v, want %d findings", step.setting, step.value, got, err, len(step.want))
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], step.want[i]) {
				t.Errorf("finding %q, want %q in it", got[i], step.want[i])
			}
		}
	}
}

// TestManyConnections has many writers on few connections.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	server := procs.RedisServer(t, "--appendfsync", "no")
	s := openStore(t, redisstore.Config{Addrs: []string{server.Addr}, PoolSize: 4, Timeout: 10 * time.Second})
	var all sync.WaitGroup
	for w := range 100 {
		all.Go(func() {
			for v := range uint64(10) {
				if err := s.Put(t.Context(), storetest.Sample("m", storetest.Subject(w), v+1)); err != nil {
					t.Errorf("Put: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
)

// member is one server of several.
type member struct {
	program, dir, config string
	key                  string // file of the key that the first server makes
	process              *process
	client               atomic.Pointer[client.Client]
}

func (m *member) start(t *testing.T) {
	t.Helper()
	m.process = start(t, exec.Command(m.program, "--data-dir", m.dir, "--config", m.config))
	c, err := client.New(client.Options{Addr: m.process.addr, KeyFile: m.key})
	if err != nil {
		t.Fatal(err)
	}
	if old := m.client.Swap(c); old != nil {
		_ = old.Close()
	}
}

// TestFleet runs three servers on a Redis Cluster and PostgreSQL under load,
// and kills one of each in turn: what was acknowledged is there at the end, and
// nobody got more than one budget more of guesses for each loss.
func TestFleet(t *testing.T) {
	procs.Slow(t, "takes most of a minute")
	pg, nodes := procs.Postgres(t), procs.RedisCluster(t, 1)
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, "'"+n.Addr+"'")
	}
	base, binary := t.TempDir(), program(t)
	dsn, config := filepath.Join(base, "dsn"), filepath.Join(base, "watchword.yaml")
	err := errors.Join(os.WriteFile(dsn, []byte(pg.DSN("postgres")), 0o600), os.WriteFile(config, fmt.Appendf(nil, `
listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0}
store: {kind: postgres}
postgres: {dsn_file: %s}
throttle: {store: redis}
redis: {mode: cluster, addrs: [%s]}
hashing: {insecure_test_cost: true, memory: 64KiB, time: 1, parallelism: 1, memory_budget: 16MiB}
`, dsn, strings.Join(addrs, ", ")), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*member, 3)
	for i := range all {
		all[i] = &member{program: binary, dir: filepath.Join(base, fmt.Sprint("data", i)), config: config, key: filepath.Join(base, "data0", "admin.key")}
		if i > 0 {
			if err := os.Mkdir(all[i].dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"pepper.key", "signing.key"} {
				b, err := os.ReadFile(filepath.Join(all[0].dir, name))
				if err = errors.Join(err, os.WriteFile(filepath.Join(all[i].dir, name), b, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
		} else if out, err := exec.Command(binary, "--data-dir", all[0].dir, "--config", config, "init").CombinedOutput(); err != nil {
			t.Fatalf("init: %v\n%s", err, out)
		}
		all[i].start(t)
		t.Cleanup(all[i].process.kill)
	}

	// The load: passwords are set and tried, and victims are guessed at.
	var (
		mu    sync.Mutex
		acked = map[string]string{}
		names []string
		sets  atomic.Int64
		right atomic.Int64
		tries [20]atomic.Int64 // of each victim, those that were looked at
	)
	stop := make(chan struct{})
	var load sync.WaitGroup
	worker := func(f func(ctx context.Context, c *client.Client)) {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				f(ctx, all[rand.IntN(len(all))].client.Load())
				cancel()
				time.Sleep(time.Millisecond)
			}
		})
	}
	for range 4 {
		worker(func(ctx context.Context, c *client.Client) {
			name, password := fmt.Sprint("user ", sets.Add(1)), fmt.Sprint("lantern orbit walrus ", rand.Uint64())
			if _, err := c.Set(ctx, name, password, client.SetOptions{}); err == nil {
				mu.Lock()
				acked[name], names = password, append(names, name)
				mu.Unlock()
			}
		})
		worker(func(ctx context.Context, c *client.Client) {
			mu.Lock()
			if len(names) == 0 {
				mu.Unlock()
				return
			}
			name := names[rand.IntN(len(names))]
			password := acked[name]
			mu.Unlock()
			login, err := c.Verify(ctx, name, password, client.Source{})
			if err == nil && !login.Match {
				t.Errorf("%s does not match while it runs", name)
			}
			if err == nil {
				right.Add(1)
			}
		})
		worker(func(ctx context.Context, c *client.Client) {
			victim := rand.IntN(len(tries))
			if _, err := c.Verify(ctx, fmt.Sprint("victim ", victim), fmt.Sprint("guess ", rand.Uint64()), client.Source{}); err == nil {
				tries[victim].Add(1)
			}
		})
	}
	// serving gives how long it takes until a login works through every server.
	serving := func(what string, members ...*member) {
		t.Helper()
		begin := time.Now()
		for _, m := range members {
			for {
				mu.Lock()
				name := names[rand.IntN(len(names))]
				password := acked[name]
				mu.Unlock()
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				login, err := m.client.Load().Verify(ctx, name, password, client.Source{})
				cancel()
				if err == nil && login.Match {
					break
				}
				if time.Since(begin) > 30*time.Second {
					t.Fatalf("%s: no login after %v: %v", what, time.Since(begin), err)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		t.Logf("%s: logins work through every server that is up after %v", what, time.Since(begin).Round(10*time.Millisecond))
	}
	time.Sleep(3 * time.Second)

	all[1].process.kill()
	serving("a server killed", all[0], all[2])
	time.Sleep(time.Second)
	all[1].start(t)
	serving("the server back", all...)

	master := nodes[0]
	master.Kill()
	serving("a Redis master killed", all...)
	time.Sleep(6 * time.Second) // the cluster elects another one
	master.Start(t)
	serving("the Redis node back", all...)

	pg.Kill()
	time.Sleep(2 * time.Second)
	pg.Start(t)
	serving("PostgreSQL killed and back", all...)
	time.Sleep(2 * time.Second)
	close(stop)
	load.Wait()

	const budget = 5 // of the default profile
	most := int64(0)
	for i := range tries {
		most = max(most, tries[i].Load())
		// One for the time before, one for what the dead master had not told its
		// replica, and one while the servers decide alone.
		if n := tries[i].Load(); n > 3*budget {
			t.Errorf("victim %d: %d guesses were looked at", i, n)
		} else if n == 0 {
			t.Errorf("nobody guessed at victim %d", i)
		}
	}
	if len(acked) < 100 || right.Load() < 100 {
		t.Fatalf("only %d passwords were set and %d logins made", len(acked), right.Load())
	}
	lost := 0
	for name, password := range acked {
		login, err := all[0].client.Load().Verify(t.Context(), name, password, client.Source{})
		if err != nil || !login.Match {
			lost++
			t.Errorf("%s: %v, %v", name, login.Match, err)
		}
		if lost > 5 {
			break
		}
	}
	t.Logf("%d passwords set, none lost; %d logins; at most %d guesses at one of %d victims", len(acked), right.Load(), most, len(tries))
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package procs

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a running redis-server.
type Redis struct {
	*Process
	Addr string
}

// RedisServer starts a redis-server that logs and syncs every write before it
// answers, and has no snapshots. Further arguments override, as in
// "--appendonly", "no".
func RedisServer(t testing.TB, args ...string) *Redis {
	t.Helper()
	program := Find(t, "redis-server")
	for try := 0; ; try++ {
		port := FreePort(t)
		argv := append([]string{
			program, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "",
			"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
		}, args...)
		r := &Redis{Process: newProcess(t, t.TempDir(), syscall.SysProcAttr{}, argv...), Addr: fmt.Sprint("127.0.0.1:", port)}
		err := r.start(r.ping)
		if err == nil {
			return r
		}
		if try == 3 {
			t.Fatal(err)
		}
	}
}

// Start starts the server again after Kill, on the same port and data.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	if err := r.start(r.ping); err != nil {
		t.Fatal(err)
	}
}

// ping says whether the server answers and has loaded its data. It speaks the
// protocol by hand, so that this package needs no client.
func (r *Redis) ping(ctx context.Context) error {
	answer, err := r.command(ctx, "PING")
	if err == nil && answer != "+PONG" && !strings.HasPrefix(answer, "-NOAUTH") {
		err = fmt.Errorf("PING: %s", answer)
	}
	return err
}

// command sends one inline command and returns the first line of the answer.
func (r *Redis) command(ctx context.Context, line string) (string, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", r.Addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "%s\r\n", line); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(answer), err
}

// RedisCluster starts a cluster of three masters with so many replicas each.
// The masters come first.
func RedisCluster(t testing.TB, replicas int) []*Redis {
	t.Helper()
	cli := Find(t, "redis-cli")
	nodes := make([]*Redis, 3*(1+replicas))
	addrs := make([]string, len(nodes))
	for i := range nodes {
		nodes[i] = RedisServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-replica-validity-factor", "0")
		addrs[i] = nodes[i].Addr
	}
	args := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.Command(cli, append(args, "--cluster-replicas", fmt.Sprint(replicas), "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v: %s", err, out)
	}
	eventually(t, "the cluster", func(ctx context.Context) error {
		for _, n := range nodes {
			if err := n.clusterOK(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return nodes
}

func (r *Redis) clusterOK(ctx context.Context) error {
	// A key of a foreign slot is answered with MOVED once the node serves, and
	// with CLUSTERDOWN before.
	for _, key := range []string{"a", "b", "c"} { // in three different thirds
		answer, err := r.command(ctx, "GET "+key)
		if err != nil || strings.HasPrefix(answer, "-CLUSTERDOWN") {
			return fmt.Errorf("cluster: %s %w", answer, err)
		}
	}
	return nil
}

// Sentinels is a master with one replica, watched by three sentinels.
type Sentinels struct {
	Master          string // the name of the watched master
	Addrs           []string
	Primary, Second *Redis
}

// Sentinel starts Sentinels, ready for a failover.
func Sentinel(t testing.TB) *Sentinels {
	t.Helper()
	program := Find(t, "redis-server")
	s := &Sentinels{Master: "watchword", Primary: RedisServer(t)}
	host, port, _ := net.SplitHostPort(s.Primary.Addr)
	s.Second = RedisServer(t, "--replicaof", host+" "+port)
	for range 3 {
		sentinelPort := FreePort(t)
		dir := t.TempDir()
		config := filepath.Join(dir, "sentinel.conf")
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor %s %s %s 2\nsentinel down-after-milliseconds %s 1000\nsentinel failover-timeout %s 5000\n",
			sentinelPort, s.Master, host, port, s.Master, s.Master)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := &Redis{Process: newProcess(t, dir, syscall.SysProcAttr{}, program, config, "--sentinel"), Addr: fmt.Sprint("127.0.0.1:", sentinelPort)}
		if err := r.start(r.ping); err != nil {
			t.Fatal(err)
		}
		s.Addrs = append(s.Addrs, r.Addr)
		eventually(t, "the sentinels", func(ctx context.Context) error {
			answer, err := r.command(ctx, "SENTINEL CKQUORUM "+s.Master)
			if err == nil && len(s.Addrs) == 3 && !strings.HasPrefix(answer, "+OK") {
				err = fmt.Errorf("%s", answer)
			}
			return err
		})
	}
	eventually(t, "the replica", func(ctx context.Context) error {
		answer, err := s.Primary.command(ctx, "WAIT 1 100")
		if err == nil && answer != ":1" {
			err = fmt.Errorf("%s replicas", answer)
		}
		return err
	})
	eventually(t, "the sentinels' view of the replica", func(ctx context.Context) error {
		c := &Redis{Addr: s.Addrs[0]}
		answer, err := c.command(ctx, "SENTINEL REPLICAS "+s.Master)
		if err == nil && answer != "*1" {
			err = fmt.Errorf("%s replicas", answer)
		}
		return err
	})
	return s
}

func eventually(t testing.TB, what string, ready func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not ready: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

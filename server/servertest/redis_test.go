// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
)

// What a store in trouble may cost.
const (
	slowest = 2 * time.Second
	healing = 5 * time.Second
)

// redisServer is a redis-server of one test.
type redisServer struct {
	t     testing.TB
	port  int
	dir   string
	args  []string
	cmd   *exec.Cmd
	ended <-chan struct{}
}

// startRedis starts one with further arguments.
func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	r := &redisServer{t: t, port: lowPort(t), dir: t.TempDir(), args: args}
	r.start()
	t.Cleanup(r.kill)
	return r
}

// lowPort gives a free port that leaves room for a cluster's second one.
func lowPort(t testing.TB) int {
	for range 200 {
		if p := freePort(t); p < 55000 {
			return p
		}
	}
	t.Fatal("no free port below 55000")
	return 0
}

func (r *redisServer) addr() string { return "127.0.0.1:" + strconv.Itoa(r.port) }

func (r *redisServer) counters() counters {
	return counters{"store: redis", "redis: {addrs: ['" + r.addr() + "']}\n"}
}

func (r *redisServer) start() {
	r.t.Helper()
	r.launch()
	until(r.t, 15*time.Second, "redis-server answers", func() bool {
		c, err := net.DialTimeout("tcp", r.addr(), 100*time.Millisecond)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
		fmt.Fprint(c, "PING\r\n")
		b := make([]byte, 64)
		n, _ := c.Read(b)
		return n > 0 && !strings.HasPrefix(string(b[:n]), "-LOADING")
	})
}

// launch starts it and waits for nothing.
func (r *redisServer) launch() {
	r.t.Helper()
	args := append([]string{"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir, "--save", "", "--appendonly", "no",
		"--repl-diskless-sync-delay", "0", "--logfile", filepath.Join(r.dir, "log")}, r.args...)
	r.cmd = exec.Command(procs.Find(r.t, "redis-server"), args...)
	var err error
	if r.ended, err = procs.Start(r.cmd); err != nil {
		r.t.Fatal(err)
	}
}

func (r *redisServer) kill() {
	if r.cmd != nil {
		_ = r.cmd.Process.Signal(syscall.SIGCONT)
		_ = r.cmd.Process.Kill()
		<-r.ended
		r.cmd = nil
	}
}

func (r *redisServer) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// do runs an administrative command.
func (r *redisServer) do(password string, args ...any) string {
	r.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: r.addr(), Password: password, MaxRetries: -1, DisableIdentity: true})
	defer c.Close()
	out, err := c.Do(r.t.Context(), args...).Result()
	if err != nil {
		r.t.Fatalf("%v: %v", args, err)
	}
	return fmt.Sprint(out)
}

// What a wire to Redis does with the bytes.
const (
	passes  = iota
	slow    // holds every answer back for a second
	silent  // takes everything and lets nothing through
	stutter // gives every answer twice
)

// wire is a connection to Redis that can be put out of order.
type wire struct {
	l    net.Listener
	to   string
	does atomic.Int32
}

func newWire(t testing.TB, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &wire{l: l, to: to}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
	return p
}

func (p *wire) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	pass := func(to, from net.Conn, answers bool) {
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			out := b[:n]
			switch does := p.does.Load(); {
			case does == silent:
				continue
			case does == slow && answers:
				time.Sleep(time.Second)
			case does == stutter && answers:
				out = slices.Concat(out, out)
			}
			if _, err := to.Write(out); err != nil {
				return
			}
		}
	}
	go pass(server, client, false)
	pass(client, server, true)
}

func until(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// timely runs a call and complains when it takes too long.
func timely(t testing.TB, what string, call func() error) error {
	t.Helper()
	from := time.Now()
	err := call()
	if took := time.Since(from); took > slowest {
		t.Errorf("%s took %v", what, took)
	}
	return err
}

// shared tells whether an attempt is decided by the shared store.
func shared(s *servertest.Server, n *int) bool {
	*n++
	code, body := s.Post("/v1/attempts:begin", fmt.Sprintf(`{"subject":"probe %d"}`, *n))
	return code == 200 && strings.Contains(body, `"VERDICT_ALLOW"`) && !strings.Contains(body, "STORE_DEGRADED")
}

// TestRedisFaults breaks Redis in each way while people verify, begin and
// reset. Failovers have tests of their own below.
func TestRedisFaults(t *testing.T) {
	const budget = 5
	config := func(kv ...any) func(*redisServer, *wire) {
		return func(r *redisServer, _ *wire) { r.do("", append([]any{"config", "set"}, kv...)...) }
	}
	goes := func(how int32) func(*redisServer, *wire) {
		return func(_ *redisServer, p *wire) { p.does.Store(how) }
	}
	nothing := func(*redisServer, *wire) {}
	for _, fault := range []struct {
		name        string
		cause, mend func(r *redisServer, p *wire)
		early       bool // there from the start
	}{
		{name: "down at the start", early: true, cause: func(r *redisServer, _ *wire) { r.kill() }, mend: func(r *redisServer, _ *wire) { r.start() }},
		{name: "killed", cause: func(r *redisServer, _ *wire) { r.kill() }, mend: func(r *redisServer, _ *wire) { r.start() }},
		{name: "hung", cause: func(r *redisServer, _ *wire) { r.signal(syscall.SIGSTOP) }, mend: func(r *redisServer, _ *wire) { r.signal(syscall.SIGCONT) }},
		{name: "slow", cause: goes(slow), mend: goes(passes)},
		{name: "partitioned", cause: goes(silent), mend: goes(passes)},
		{name: "answering twice", cause: goes(stutter), mend: goes(passes)},
		{name: "a replica", cause: func(r *redisServer, _ *wire) { r.do("", "replicaof", "127.0.0.1", "1") },
			mend: func(r *redisServer, _ *wire) { r.do("", "replicaof", "no", "one") }},
		{name: "out of memory", cause: config("maxmemory", "1"), mend: config("maxmemory", "0")},
		{name: "wanting a password", cause: func(r *redisServer, _ *wire) {
			r.do("", "config", "set", "requirepass", "x")
			r.do("x", "client", "kill", "type", "normal")
		}, mend: func(r *redisServer, _ *wire) { r.do("x", "config", "set", "requirepass", "") }},
		{name: "without replicas", cause: config("min-replicas-to-write", "1"), mend: config("min-replicas-to-write", "0")},
		{name: "paused", cause: func(r *redisServer, _ *wire) { r.do("", "client", "pause", "3000", "ALL") },
			mend: func(*redisServer, *wire) { time.Sleep(2 * time.Second) }},
		{name: "without its scripts", cause: func(r *redisServer, _ *wire) { r.do("", "script", "flush") }, mend: nothing},
		{name: "loading", cause: func(r *redisServer, _ *wire) {
			for i := range 30 {
				r.do("", "set", "ww:{x}"+strconv.Itoa(i), "x", "ex", "60")
			}
			r.do("", "save")
			r.kill()
			r.args = append(r.args, "--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024")
			r.launch()
			time.Sleep(300 * time.Millisecond)
		}, mend: func(r *redisServer, _ *wire) {
			until(r.t, 15*time.Second, "all is loaded", func() bool {
				c := redis.NewClient(&redis.Options{Addr: r.addr(), MaxRetries: -1, DisableIdentity: true})
				defer c.Close()
				return c.Get(r.t.Context(), "ww:{x}0").Err() == nil
			})
		}},
		{name: "evicting all", cause: func(r *redisServer, _ *wire) { r.do("", "flushall") }, mend: nothing},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			p := newWire(t, r.addr())
			if fault.early {
				fault.cause(r, p)
			}
			s := servertest.Start(t, servertest.Options{Config: "throttle: {store: redis}\nredis: {addrs: ['" + p.l.Addr().String() + "']}\n"})
			set(t, s, "alice", goodPassword)
			set(t, s, "bob", goodPassword)
			probes := 0
			if !fault.early {
				if !shared(s, &probes) {
					t.Fatal("not decided by Redis before the fault")
				}
				exhaust(t, s, "locked", client.Source{}, budget)
			}
			hashes := s.Hashes()
			admitted := map[string]int{}
			guess := func(i int) {
				t.Helper()
				var denied *client.DeniedError
				err := timely(t, "verify", func() error {
					_, err := s.Client.Verify(t.Context(), "alice", fmt.Sprint("wrong ", i), client.Source{})
					return err
				})
				if err == nil {
					admitted["verify"]++
				} else if !errors.As(err, &denied) {
					t.Errorf("verify: %v", err)
				}
				if timely(t, "begin", func() error {
					_, err := s.Client.Begin(t.Context(), "carol", client.Source{}, tagOf(i))
					return err
				}) == nil {
					admitted["begin"]++
				}
			}
			if !fault.early {
				fault.cause(r, p)
			}
			for i := range 20 {
				guess(i)
			}
			if admitted["verify"] > budget || admitted["begin"] > budget {
				t.Errorf("during the fault %v are admitted, more than one budget", admitted)
			}
			// An answer for the right password too: let in, or told why not.
			if err := timely(t, "a right login", func() error {
				_, err := s.Client.Verify(t.Context(), "bob", goodPassword, client.Source{})
				return err
			}); err != nil {
				t.Errorf("a right login: %v", err)
			}
			if err := timely(t, "reset", func() error { return s.Client.ResetThrottle(t.Context(), "locked") }); err != nil && !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("reset: %v", err)
			}
			fault.mend(r, p)
			until(t, healing, "Redis decides again", func() bool { return shared(s, &probes) })
			for i := range 20 {
				guess(100 + i)
			}
			if admitted["verify"] > 2*budget || admitted["begin"] > 2*budget || s.Hashes()-hashes > 2*budget+1 {
				t.Errorf("over the fault %v are admitted and %d hashes run, more than two budgets", admitted, s.Hashes()-hashes)
			}
			if err := s.Client.ResetThrottle(t.Context(), "locked"); err != nil {
				t.Errorf("a reset after healing: %v", err)
			}
			if _, ok := begin(t, s.Client, "locked", client.Source{}, tagOf(77)); !ok {
				t.Error("refused after the reset")
			}
		})
	}
}

// TestUnlimitedWouldBeSeen plants the fault that the matrix is about: a server
// without any memory of what it admitted.
func TestUnlimitedWouldBeSeen(t *testing.T) {
	s := servertest.New(t)
	admitted := 0
	for i := range 20 {
		if _, ok := begin(t, s.Client, "carol", client.Source{}, tagOf(i)); ok {
			admitted++
		}
		if err := s.Client.ResetThrottle(t.Context(), "carol"); err != nil {
			t.Fatal(err)
		}
	}
	if admitted <= 10 {
		t.Errorf("a limiter that forgets admits %d of 20: the matrix would not see it", admitted)
	}
}

// TestRedisRefusedInsteadOfDegraded has on_store_failure: deny.
func TestRedisRefusedInsteadOfDegraded(t *testing.T) {
	r := startRedis(t)
	s := servertest.Start(t, servertest.Options{Config: r.counters().config("on_store_failure: deny")})
	set(t, s, "alice", goodPassword)
	r.kill()
	before := s.Hashes()
	for range 5 {
		if err := timely(t, "verify", func() error {
			_, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{})
			return err
		}); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("verify: %v, want ErrUnavailable", err)
		}
	}
	if n := s.Hashes() - before; n != 0 {
		t.Errorf("%d hashes without a decision", n)
	}
	r.start()
	until(t, healing, "logins are possible again", func() bool {
		login, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{})
		return err == nil && login.Match
	})
}

// TestPasswordsChangeWithoutRedis changes passwords while Redis does not answer:
// they are changed, the caller learns that device tokens are good for a while
// yet, and they end once Redis is back.
func TestPasswordsChangeWithoutRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	p := newWire(t, r.addr())
	s := servertest.Start(t, servertest.Options{Config: "throttle: {store: redis}\nredis: {addrs: ['" + p.l.Addr().String() + "']}\n"})
	const next = "violet umbrella 9 harbour tax"
	tokens := map[string]string{}
	probes := 0
	if !shared(s, &probes) {
		t.Fatal("not decided by Redis at first")
	}
	for _, who := range []string{"alice", "bob", "carol"} {
		set(t, s, who, goodPassword)
		login, err := s.Client.Verify(t.Context(), who, goodPassword, client.Source{})
		if err != nil || login.DeviceToken == "" {
			t.Fatalf("%s: %+v, %v", who, login, err)
		}
		tokens[who] = login.DeviceToken
	}
	p.does.Store(silent)
	changed, err := s.Client.Change(t.Context(), "alice", goodPassword, next, client.Source{DeviceToken: tokens["alice"]}, client.SetOptions{})
	if err != nil || !changed.Match || strings.Join(changed.Pending, " ") != "DEVICES_NOT_REVOKED" {
		t.Errorf("a change without Redis: %+v, %v", changed, err)
	}
	code, body := s.Post("/v1/credentials:set", `{"subject":"bob","password":"`+next+`","purpose":"PURPOSE_RESET"}`)
	if code != 200 || !strings.Contains(strings.ReplaceAll(body, " ", ""), `"pending":["ATTEMPTS_NOT_RESET","DEVICES_NOT_REVOKED"]`) {
		t.Errorf("a reset without Redis: %d %s", code, body)
	}
	stored, err := s.Client.Set(t.Context(), "carol", next, client.SetOptions{Reset: true})
	if err != nil || stored.Version != 2 || strings.Join(stored.Pending, " ") != "ATTEMPTS_NOT_RESET DEVICES_NOT_REVOKED" {
		t.Errorf("a reset without Redis: %+v, %v", stored, err)
	}
	p.does.Store(passes)
	until(t, healing, "Redis decides again", func() bool { return shared(s, &probes) })
	for who, token := range tokens {
		exhaust(t, s, who, client.Source{}, 5)
		if _, ok := begin(t, s.Client, who, client.Source{DeviceToken: token}, tagOf(1)); ok {
			t.Errorf("%s: the device of the password before has a lane of its own", who)
		}
	}
	changed, err = s.Client.Change(t.Context(), "alice", next, goodPassword, client.Source{DeviceToken: changed.DeviceToken}, client.SetOptions{})
	if err != nil || !changed.Match || len(changed.Pending) != 0 {
		t.Errorf("a change with Redis: %+v, %v", changed, err)
	}
}

// TestRedisKeepsNoNames looks at everything Redis holds after logins with
// hostile names: no name, no address, and no key that stays for ever.
func TestRedisKeepsNoNames(t *testing.T) {
	r := startRedis(t)
	s := servertest.Start(t, servertest.Options{Config: r.counters().config("")})
	names := []string{"alice", "ww:{x}", "}{", "a b\u00a0c", "*", "../../etc/passwd", "'; FLUSHALL; --", "名前", strings.Repeat("n", 512), "\u202ealice", "NaN", "-1"}
	for i, name := range names {
		for range 7 {
			_, _ = s.Client.Verify(t.Context(), name, "s3cret-guess", client.Source{IP: fmt.Sprintf("203.0.113.%d", i)})
			a, ok := begin(t, s.Client, name, client.Source{IP: "2001:db8:aa::1"}, nil)
			if ok {
				_, _ = a.Complete(t.Context(), client.SecondFactorFailed)
			}
		}
		if _, err := s.Client.Report(t.Context(), name, client.Source{}, client.Success, nil); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	var invalid *client.InvalidError
	for _, name := range []string{"", " ", "a\x00b", strings.Repeat("n", 513), "a\nb", "\xff"} {
		if _, err := s.Client.Begin(t.Context(), name, client.Source{}, nil); !errors.As(err, &invalid) {
			t.Errorf("%q: %v, want an InvalidError", name, err)
		}
	}
	c := redis.NewClient(&redis.Options{Addr: r.addr(), DisableIdentity: true})
	defer c.Close()
	keys, err := c.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) < len(names) {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, k := range keys {
		ttl, err := c.PTTL(t.Context(), k).Result()
		if err != nil || ttl <= 0 || ttl > 400*24*time.Hour {
			t.Errorf("key %q lives %v, %v", k, ttl, err)
		}
		value, err := c.Dump(t.Context(), k).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
		if !strings.HasPrefix(k, "ww:{") {
			t.Errorf("key %q is outside the prefix", k)
		}
		for _, plain := range append(names[:1:1], "s3cret", "203.0.113", "2001:db8", "passwd", "名前", "nnnn") {
			if strings.Contains(k, plain) || strings.Contains(value, plain) {
				t.Errorf("key %q or its value holds %q", k, plain)
			}
		}
	}
}

// guessThrough goes on guessing at one account while f changes the world, and
// gives how many guesses were admitted. No answer may be late.
func guessThrough(t *testing.T, s *servertest.Server, subject string, f func()) int {
	t.Helper()
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		admitted := 0
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- admitted
				return
			default:
			}
			if err := timely(t, "begin", func() error {
				_, err := s.Client.Begin(t.Context(), subject, client.Source{}, tagOf(i))
				return err
			}); err == nil {
				admitted++
			}
			_ = timely(t, "verify", func() error {
				_, err := s.Client.Verify(t.Context(), subject+" by password", fmt.Sprint("wrong ", i), client.Source{})
				return err
			})
			_ = timely(t, "reset", func() error { return s.Client.ResetThrottle(t.Context(), subject+" reset") })
			time.Sleep(5 * time.Millisecond)
		}
	}()
	f()
	close(stop)
	return <-done
}

// TestRedisSentinel kills the master that three sentinels watch.
func TestRedisSentinel(t *testing.T) {
	master := startRedis(t)
	replica := startRedis(t, "--replicaof", "127.0.0.1", strconv.Itoa(master.port))
	until(t, 15*time.Second, "the replica follows", func() bool {
		return strings.Contains(replica.do("", "info", "replication"), "master_link_status:up")
	})
	var addrs []string
	for range 3 {
		port, dir := lowPort(t), t.TempDir()
		conf := filepath.Join(dir, "sentinel.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, `port %d
bind 127.0.0.1
dir %s
logfile %s/log
sentinel monitor ww 127.0.0.1 %d 2
sentinel down-after-milliseconds ww 500
sentinel failover-timeout ww 3000
`, port, dir, dir, master.port), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, listening(port), procs.Find(t, "redis-server"), conf, "--sentinel")
		addrs = append(addrs, fmt.Sprintf("'127.0.0.1:%d'", port))
	}
	host, port, _ := strings.Cut(strings.Trim(addrs[0], "'"), ":")
	until(t, 15*time.Second, "the sentinels know each other and the replica", func() bool {
		out, _ := exec.Command(procs.Find(t, "redis-cli"), "-h", host, "-p", port, "sentinel", "master", "ww").Output()
		return strings.Contains(string(out), "num-other-sentinels\n2\n") && strings.Contains(string(out), "num-slaves\n1\n")
	})
	c := counters{"store: redis", "redis: {mode: sentinel, master: ww, addrs: [" + strings.Join(addrs, ", ") + "]}\n"}
	failover(t, c, master.kill)
}

// TestRedisCluster kills one master of a cluster of six after another's turn.
func TestRedisCluster(t *testing.T) {
	cli := procs.Find(t, "redis-cli")
	var all []*redisServer
	var plain, quoted []string
	for range 6 {
		r := startRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0",
			"--cluster-require-full-coverage", "no")
		all, plain, quoted = append(all, r), append(plain, r.addr()), append(quoted, "'"+r.addr()+"'")
	}
	args := append([]string{"--cluster", "create"}, plain...)
	if out, err := exec.Command(cli, append(args, "--cluster-replicas", "1", "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("making the cluster: %v\n%s", err, out)
	}
	until(t, 30*time.Second, "every master has a replica", func() bool {
		up := 0
		for _, r := range all {
			if !strings.Contains(r.do("", "cluster", "info"), "cluster_state:ok") {
				return false
			}
			if strings.Contains(r.do("", "info", "replication"), "master_link_status:up") {
				up++
			}
		}
		return up == 3
	})
	c := counters{"store: redis", "redis: {mode: cluster, addrs: [" + strings.Join(quoted, ", ") + "]}\n"}
	failover(t, c, func() {
		for _, r := range all {
			if strings.Contains(r.do("", "info", "replication"), "role:master") {
				r.kill()
				return
			}
		}
	})
}

// failover guesses at many accounts while a master dies. Redis itself needs
// its time to notice and to elect; healing is counted from when the new master
// serves, which the many subjects spread over all slots show.
func failover(t *testing.T, c counters, kill func()) {
	t.Helper()
	const budget, accounts = 5, 12
	s := servertest.Start(t, servertest.Options{Config: c.config("")})
	probes := 0
	until(t, healing, "Redis decides", func() bool { return shared(s, &probes) })
	exhaust(t, s, "locked", client.Source{}, budget)
	admitted := guessThrough(t, s, "victim", func() {
		time.Sleep(300 * time.Millisecond)
		kill()
		until(t, 3*healing, "the new master decides for every account", func() bool {
			for range accounts {
				if !shared(s, &probes) {
					return false
				}
			}
			return true
		})
		time.Sleep(300 * time.Millisecond)
	})
	if admitted < 1 || admitted > 2*budget {
		t.Errorf("%d guesses admitted over the failover, want at most two budgets of %d", admitted, budget)
	}
}

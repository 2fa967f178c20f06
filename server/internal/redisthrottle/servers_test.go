// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle_test

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/watchword-project/watchword/server/internal/redisthrottle"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
)

// server is a redis-server of this test alone.
type server struct {
	t    testing.TB
	port int
	dir  string
	args []string
	cmd  *exec.Cmd
}

func (s *server) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// freePort returns a port nobody listens on, low enough for a cluster's second one.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if port < 55000 {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// start runs a redis-server with extra arguments and waits until it answers.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), args: args}
	t.Cleanup(s.kill)
	for range 5 { // somebody may take the port before Redis does
		s.port = freePort(t)
		s.launch()
		if s.answers() {
			return s
		}
		s.kill()
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	t.Fatalf("redis-server does not start:\n%s", log)
	return nil
}

func (s *server) run() {
	s.t.Helper()
	s.launch()
	s.await()
}

func (s *server) launch() {
	s.t.Helper()
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "",
		"--appendonly", "no", "--daemonize", "no", "--repl-diskless-sync-delay", "0", "--logfile", filepath.Join(s.dir, "log"),
		"--enable-debug-command", "yes",
	}, s.args...)
	s.cmd = exec.Command(procs.Find(s.t, "redis-server"), args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) await() {
	s.t.Helper()
	if s.answers() {
		return
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	s.t.Fatalf("redis-server on port %d does not answer:\n%s", s.port, log)
}

// answers waits for the server, and reports whether it came.
func (s *server) answers() bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if log, err := os.ReadFile(filepath.Join(s.dir, "log")); err == nil && bytes.Contains(log, []byte("Address already in use")) {
			os.Remove(filepath.Join(s.dir, "log"))
			return false
		}
		c, err := net.DialTimeout("tcp", s.addr(), 100*time.Millisecond)
		if err == nil {
			c.SetDeadline(time.Now().Add(200 * time.Millisecond))
			fmt.Fprint(c, "PING\r\n")
			b := make([]byte, 64)
			n, _ := c.Read(b)
			c.Close()
			if n > 0 && !bytes.HasPrefix(b[:n], []byte("-LOADING")) {
				return true
			}
		}
	}
	return false
}

func (s *server) kill() {
	if s.cmd != nil {
		s.cmd.Process.Signal(syscall.SIGCONT)
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// do runs an administrative command, which may take long on a machine with much to do.
func (s *server) do(args ...any) string {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr(), MaxRetries: -1, DisableIdentity: true, DialTimeout: time.Minute, ReadTimeout: time.Minute})
	defer c.Close()
	out, err := c.Do(s.t.Context(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return fmt.Sprint(out)
}

// try is do that answers nothing if the server does not.
func (s *server) try(args ...any) string {
	c := redis.NewClient(&redis.Options{Addr: s.addr(), MaxRetries: -1, DisableIdentity: true})
	defer c.Close()
	out, err := c.Do(s.t.Context(), args...).Result()
	if err != nil {
		return ""
	}
	return fmt.Sprint(out)
}

// cluster starts three masters, and so many replicas of each.
func cluster(t testing.TB, each int) []*server {
	t.Helper()
	var all []*server
	var addrs []string
	for range 3 + 3*each {
		s := start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1500",
			"--cluster-replica-validity-factor", "0", "--cluster-require-full-coverage", "no")
		all = append(all, s)
		addrs = append(addrs, s.addr())
	}
	args := append([]string{"--cluster", "create"}, addrs...)
	args = append(args, "--cluster-replicas", strconv.Itoa(each), "--cluster-yes")
	if out, err := exec.Command(procs.Find(t, "redis-cli"), args...).CombinedOutput(); err != nil {
		t.Fatalf("making the cluster: %v\n%s", err, out)
	}
	eventually(t, 20*time.Second, func() bool {
		replicas := 0
		for _, s := range all {
			if !strings.Contains(s.do("cluster", "info"), "cluster_state:ok") {
				return false
			}
			if info := s.do("info", "replication"); strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up") {
				replicas++
			}
		}
		return replicas == 3*each
	})
	return all
}

// eventually waits for something that other processes bring about.
func eventually(t testing.TB, within time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not so within %v", within)
}

func connect(t testing.TB, c redisthrottle.Config) *redisthrottle.Store {
	t.Helper()
	s, err := redisthrottle.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func addrs(all []*server) (list []string) {
	for _, s := range all {
		list = append(list, s.addr())
	}
	return list
}

// doAs is do with a password.
func (s *server) doAs(password string, args ...any) {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr(), Password: password, MaxRetries: -1, DisableIdentity: true})
	defer c.Close()
	if err := c.Do(s.t.Context(), args...).Err(); err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
}

// killClients cuts all connections but its own.
func (s *server) killClients(password string) {
	s.t.Helper()
	s.doAs(password, "client", "kill", "type", "normal", "skipme", "yes")
}

// startOnly runs the server again without waiting for it.
func (s *server) startOnly() {
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--logfile", filepath.Join(s.dir, "log"),
		"--enable-debug-command", "yes",
	}, s.args...)
	cmd := exec.Command("redis-server", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if cmd.Start() == nil {
		s.cmd = cmd
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func portOf(t testing.TB, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func netAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestMain lets more tests go on at once than there are processors: most of the
// time they wait for servers.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	m.Run()
}

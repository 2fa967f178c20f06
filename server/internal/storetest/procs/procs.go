// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

// Package procs starts real servers for tests, each on a free port of the
// loopback and in a directory of its own, and ends them with the test. Where a
// program is not installed the test is skipped, or fails if the environment says
// CI: a test that silently tests nothing is worse than none.
package procs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startWait bounds the start of a server.
const startWait = 30 * time.Second

func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s, which this test needs", what)
	}
	t.Skipf("%s: not tested", what)
}

// Slow skips a test that takes long, for the reason given, unless the
// environment says CI or WATCHWORD_LONG.
func Slow(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "" && os.Getenv("WATCHWORD_LONG") == "" {
		t.Skipf("%s; set WATCHWORD_LONG=1", why)
	}
}

// GoTool builds a command of another project, at the version that follows an @,
// and returns its path. It is slow; a benchmark was asked for by name.
func GoTool(t testing.TB, pkg string) string {
	t.Helper()
	if _, asked := t.(*testing.B); !asked {
		Slow(t, "builds another project's tool")
	}
	dir := t.TempDir()
	install := exec.Command("go", "install", pkg)
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
	name, _, _ := strings.Cut(pkg, "@")
	return filepath.Join(dir, filepath.Base(name))
}

// Find returns the path of a program, from PATH or one of the globs, of which
// the last match counts. Without it the test is skipped, or fails in CI.
func Find(t testing.TB, name string, globs ...string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, g := range globs {
		if m, err := filepath.Glob(g); err == nil && len(m) > 0 {
			slices.Sort(m)
			return m[len(m)-1]
		}
	}
	Missing(t, "no "+name)
	return ""
}

// FreePort returns a port of the loopback that was free a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if port < 50_000 { // a Redis Cluster also takes the port 10,000 above
			return port
		}
	}
}

// A Process is one server.
type Process struct {
	t    testing.TB
	argv []string
	dir  string
	attr *syscall.SysProcAttr

	mu     sync.Mutex
	cmd    *exec.Cmd
	output *bytes.Buffer
	exited <-chan struct{}
}

// Start starts a command that the kernel ends with this process, and waits for
// it; exited is closed when it has ended. The kernel takes the end of the thread
// that started it for that of the process, and threads come and go with hashes:
// so one is kept for as long as the command runs.
func Start(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	return ended, <-started
}

func newProcess(t testing.TB, dir string, attr syscall.SysProcAttr, argv ...string) *Process {
	t.Helper()
	attr.Setpgid = true // so that an interrupt of the test ends the test first
	p := &Process{t: t, argv: argv, dir: dir, attr: &attr}
	t.Cleanup(p.Kill)
	return p
}

// start runs the program, and returns when ready does so without error.
func (p *Process) start(ready func(context.Context) error) error {
	p.mu.Lock()
	p.output = &bytes.Buffer{}
	p.cmd = exec.Command(p.argv[0], p.argv[1:]...)
	p.cmd.Dir, p.cmd.SysProcAttr = p.dir, p.attr
	p.cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	exited, err := Start(p.cmd)
	p.exited = exited
	p.mu.Unlock()
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("%s ended: %s", filepath.Base(p.argv[0]), p.output)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", filepath.Base(p.argv[0]), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill ends the server and its children by SIGKILL and waits for it.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	if exited != nil {
		<-exited
	}
}

// Pause stops the server, which keeps its connections and answers nothing;
// Resume lets it go on.
func (p *Process) Pause()  { p.signal(syscall.SIGSTOP) }
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	select {
	case <-p.exited:
		return
	default:
	}
	for _, pid := range family(p.cmd.Process.Pid) {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			p.t.Logf("signal %v: %v", s, err)
		}
	}
}

// family returns a process and its descendants, as /proc tells. A process group
// would not do: each process of PostgreSQL makes one of its own.
func family(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil { // ended
			continue
		}
		// pid (name) state ppid …, where the name may hold anything
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(fields) < 2 {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(string(fields[1]))
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// unprivileged returns the attributes under which a program runs that refuses to
// run as root, and the owner its directory needs.
func unprivileged(t testing.TB, name string) (attr syscall.SysProcAttr, uid, gid int) {
	t.Helper()
	if os.Getuid() != 0 {
		return attr, os.Getuid(), os.Getgid()
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			Missing(t, "no user "+name+" and no nobody")
		}
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, uid, gid
}

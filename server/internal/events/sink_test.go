// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package events_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchword-project/watchword/server/internal/events"
)

// refusedFor is the longest that a caller may wait for a refusal.
const refusedFor = 2 * time.Second

// refuses appends, and wants to hear in time that it cannot be done.
func refuses(t *testing.T, l *events.Log, why string) {
	t.Helper()
	heard := make(chan error, 1)
	go func() { heard <- l.Append(t.Context(), numbered(1)) }()
	select {
	case err := <-heard:
		if !errors.Is(err, events.ErrSink) {
			t.Errorf("%s: Append = %v", why, err)
		}
	case <-time.After(refusedFor):
		t.Fatalf("%s: Append does not return", why)
	}
}

// within calls f, which must not wait for anybody.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s does not return", what)
	}
}

// until appends until it succeeds again.
func until(t *testing.T, l *events.Log) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		err := l.Append(t.Context(), numbered(2))
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the log does not recover: %v", err)
		}
	}
}

// TestAFullDisk fills a small file system with something else, and empties it.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	for _, both := range []bool{true, false} {
		c := config(dir)
		c.Path = filepath.Join(dir, fmt.Sprint("log-", both))
		if !both {
			c.Checkpoint = filepath.Join(t.TempDir(), "elsewhere")
		}
		l := open(t, c)
		acknowledged := 0
		for i := range 5 {
			if err := l.Append(t.Context(), numbered(i)); err != nil {
				t.Fatal(err)
			}
			acknowledged++
		}
		filler := filepath.Join(dir, "filler")
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{4096, 512, 1} { // to the last byte
			for block := make([]byte, n); err == nil; {
				_, err = f.Write(block)
			}
			err = nil
		}
		f.Close()
		// The page that the log has begun takes a few more lines.
		for end := time.Now().Add(refusedFor); ; {
			if err := l.Append(t.Context(), numbered(9)); err != nil {
				break
			}
			acknowledged++
			if time.Now().After(end) {
				t.Fatal("the disk does not get full")
			}
		}
		refuses(t, l, "on a full disk")
		if l.Status().Err == nil {
			t.Error("the status does not tell of the full disk")
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		until(t, l)
		shut(t, l)
		if r := intact(t, c, true); r.Events != uint64(acknowledged)+2 {
			t.Errorf("%d events, %d were acknowledged before the disk was full", r.Events, acknowledged)
		}
	}
}

// TestACheckpointThatWasCutShort: what a full disk left of a checkpoint does not
// spoil the next.
func TestACheckpointThatWasCutShort(t *testing.T) {
	c := config(t.TempDir())
	c.CheckpointEvery = 1
	l := open(t, c)
	f, err := os.OpenFile(c.Checkpoint, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"log":"abc","seq":`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for i := range 3 {
		if err := l.Append(t.Context(), numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, l)
	intact(t, c, true)
}

// TestPipesInTheWay puts a pipe that nobody reads, and one that is full, in the
// place of the log or of its checkpoints, while the log is open and before.
func TestPipesInTheWay(t *testing.T) {
	for _, full := range []bool{false, true} {
		for _, which := range []string{"log", "checkpoints"} {
			t.Run(fmt.Sprintf("%s, full %v", which, full), func(t *testing.T) {
				t.Parallel()
				c := config(t.TempDir())
				c.CheckpointEvery, c.CheckpointAfter = 1, 20*time.Millisecond
				l := open(t, c)
				if err := l.Append(t.Context(), numbered(1)); err != nil {
					t.Fatal(err)
				}
				path := c.Path
				if which == "checkpoints" {
					path = c.Checkpoint
				}
				if err := os.Rename(path, path+"~"); err != nil {
					t.Fatal(err)
				}
				if err := unix.Mkfifo(path, 0o600); err != nil {
					t.Fatal(err)
				}
				if full { // somebody has it open, so that opening does not fail at once
					p, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
					if err != nil {
						t.Fatal(err)
					}
					defer p.Close()
					block := make([]byte, 4096)
					for _, err = p.Write(block); err == nil; {
						if err = p.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err == nil {
							_, err = p.Write(block)
						}
					}
				}
				within(t, "Append, Status, Verify or Open", func() {
					if which == "log" {
						refuses(t, l, "with a pipe in its place")
					} else {
						_ = l.Append(t.Context(), numbered(2)) // changes go on; the status tells
						for end := time.Now().Add(5 * time.Second); l.Status().CheckpointErr == nil && time.Now().Before(end); {
							time.Sleep(5 * time.Millisecond)
						}
						if l.Status().CheckpointErr == nil {
							t.Error("the status does not tell of the checkpoints")
						}
					}
					if r, err := l.Verify(); err == nil && r.Intact {
						t.Error("Verify finds it intact")
					}
					for e, err := range l.Events(1) {
						_, _ = e, err
					}
					if second, err := events.Open(c); err == nil {
						t.Error("a log opens with a pipe in its place")
						_ = second.Close(t.Context())
					}
				})
				if err := os.Rename(path+"~", path); err != nil {
					t.Fatal(err)
				}
				until(t, l)
				shut(t, l)
				intact(t, c, true)
			})
		}
	}
}

func TestADirectoryThatIsRemoved(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "gone"))
	if err := os.Mkdir(filepath.Dir(c.Path), 0o700); err != nil {
		t.Fatal(err)
	}
	l := open(t, c)
	if err := os.RemoveAll(filepath.Dir(c.Path)); err != nil {
		t.Fatal(err)
	}
	refuses(t, l, "without its directory")
	refuses(t, l, "without its directory, again")
	if r, err := l.Verify(); err == nil && r.Intact {
		t.Error("Verify finds it intact")
	}
	within(t, "Close", func() { _ = l.Close(t.Context()) })
}

// child is what this program does when it is started by the tests below.
const child = "WATCHWORD_EVENTS_CHILD"

func TestMain(m *testing.M) {
	switch dir := os.Getenv(child); {
	case dir == "":
		os.Exit(m.Run())
	case strings.HasPrefix(dir, "limit:"):
		limited(strings.TrimPrefix(dir, "limit:"))
	default:
		writer(dir)
	}
}

// writer appends until it is killed, and says which line was acknowledged.
func writer(dir string) {
	c := config(dir)
	c.SegmentBytes, c.CheckpointEvery = 4<<10, 7
	l, err := events.Open(c)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		l.Note(numbered(i))
		if err := l.Append(context.Background(), numbered(i)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(l.Status().Head)
	}
}

// limited has a limit on the length of files, as a quota has.
func limited(dir string) {
	signal.Ignore(unix.SIGXFSZ)
	fail := func(what string, err error) {
		fmt.Println("error", what, err)
		os.Exit(1)
	}
	c := config(dir)
	l, err := events.Open(c)
	if err != nil {
		fail("Open", err)
	}
	limit := func(n uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}); err != nil {
			fail("Setrlimit", err)
		}
	}
	limit(4 << 10)
	begin := time.Now()
	for err == nil && time.Since(begin) < 10*time.Second {
		begin = time.Now()
		err = l.Append(context.Background(), numbered(1))
	}
	if took := time.Since(begin); !errors.Is(err, events.ErrSink) || took > refusedFor {
		fail(fmt.Sprint("Append over the limit took ", took), err)
	}
	limit(unix.RLIM_INFINITY)
	if err := l.Append(context.Background(), numbered(2)); err != nil {
		fail("Append below it", err)
	}
	if err := l.Close(context.Background()); err != nil {
		fail("Close", err)
	}
	fmt.Println("ok")
	os.Exit(0)
}

func TestAFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"=limit:"+dir)
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Fatalf("%v: %s", err, out)
	}
	intact(t, config(dir), true)
}

// TestKilledWriters kills a writer again and again: the log goes on each time,
// holds together, and has every line that was acknowledged.
func TestKilledWriters(t *testing.T) {
	dir := t.TempDir()
	c := config(dir)
	var last uint64
	for round := range 10 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), child+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var head uint64
			if _, err := fmt.Sscan(lines.Text(), &head); err != nil || head <= last {
				t.Fatalf("round %d: %q after %d", round, lines.Text(), last)
			}
			last = head
			if n == 5+7*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatalf("round %d: the writer was not killed", round)
		}
	}
	shut(t, open(t, c)) // drops a line that was cut short
	if r := intact(t, c, true); r.Events < last {
		t.Errorf("%d lines, and %d was acknowledged", r.Events, last)
	}
	// The control: with one acknowledged line less it is seen.
	b, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Path, b[:strings.LastIndexByte(strings.TrimSuffix(string(b), "\n"), '\n')+1], 0o600); err != nil {
		t.Fatal(err)
	}
	intact(t, c, false)
}

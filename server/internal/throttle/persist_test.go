// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

func subject(n int) (s [16]byte) {
	binary.LittleEndian.PutUint64(s[:], uint64(n)+1)
	return s
}

func reopen(t *testing.T, dir string, now func() time.Time) *throttle.Limiter {
	t.Helper()
	l, err := throttle.New(throttle.Config{
		Keys: testKeys, Now: now, Log: slog.New(slog.DiscardHandler),
		Memory: throttle.MemoryConfig{Subjects: 1 << 17, Dir: dir, Flush: 10 * time.Second},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClock()
	l := reopen(t, dir, c.now)
	owner := throttle.Attempt{Subject: subject(0), IP: home}
	owner.Device = login(t, l, owner)
	for i := range 4 {
		guess(t, l, throttle.Attempt{Subject: subject(1), IP: home}, byte(i))
	}
	for i := range 6 {
		guess(t, l, throttle.Attempt{Subject: subject(2)}, byte(i))
	}
	open := begin(t, l, throttle.Attempt{Subject: subject(3), Tag: []byte{1}})
	for round := range 3 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = reopen(t, dir, c.now)
		if s := state(t, l, subject(1)); len(s.Lanes) != 1 || s.Lanes[0].Failures != 4 {
			t.Fatalf("restart %d: %+v, want 4 failures", round, s)
		}
		if d := guess(t, l, throttle.Attempt{Subject: subject(2)}, 99); d.Verdict != throttle.Delay {
			t.Errorf("restart %d: a lock is gone: %v", round, d.Verdict)
		}
		if d := begin(t, l, owner); !d.KnownDevice {
			t.Errorf("restart %d: a device is forgotten", round)
		} else {
			finish(t, l, d.Token, throttle.Cancelled)
		}
		if s, _ := l.State(t.Context(), throttle.Query{IP: home}); len(s.Addresses) != 2 || s.Addresses[0].Failures != 4 {
			t.Errorf("restart %d: address %+v, want 4 failures", round, s.Addresses)
		}
		if round == 1 {
			if err := l.Snapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	finish(t, l, open.Token, throttle.Success)
	if s := state(t, l, subject(3)); len(s.Lanes) != 0 {
		t.Errorf("a reservation settled after a restart left %+v", s)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) != 2 {
		t.Errorf("files after Close: %v, want one snapshot and one journal", found)
	}
}

// TestMain lets the test binary run as the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("WATCHWORD_THROTTLE_CHILD"); dir != "" {
		victim(dir, os.Getenv("WATCHWORD_THROTTLE_FAULT") != "")
	}
	os.Exit(m.Run())
}

// victim locks one subject after the other and says so, until it is killed.
func victim(dir string, fault bool) {
	l, err := throttle.New(throttle.Config{
		Keys: testKeys, Memory: throttle.MemoryConfig{Subjects: 1 << 17, Dir: dir, Flush: 10 * time.Second},
	}, nil)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	if fault {
		l.LoseJournal()
	}
	ctx := context.Background()
	base, _ := strconv.Atoi(os.Getenv("WATCHWORD_THROTTLE_BASE"))
	for n := base; ; n++ {
		for range 5 {
			// Without a tag: of a hundred thousand pairs of tags some are the same.
			d, err := l.Begin(ctx, throttle.Attempt{Subject: subject(n), ChallengePassed: true})
			if err == nil && d.Verdict == throttle.Allow {
				_, err = l.Finish(ctx, "", d.Token, throttle.BadSecret)
			}
			if err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
		}
		fmt.Println("locked", n)
		if n%1000 == 999 && !fault {
			if err := l.Snapshot(ctx); err != nil {
				fmt.Println("error", err)
			}
		}
	}
}

// killed runs victim, kills it after a while and returns the last subject it
// said to have locked.
func killed(t *testing.T, dir string, base int, fault bool, after time.Duration) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WATCHWORD_THROTTLE_CHILD="+dir, "WATCHWORD_THROTTLE_BASE="+strconv.Itoa(base))
	if fault {
		cmd.Env = append(cmd.Env, "WATCHWORD_THROTTLE_FAULT=1")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The clock runs from the first lock on, however slow the start was.
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	last := base - 1
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if last < base {
			timer.Reset(after)
		}
		if n, ok := strings.CutPrefix(lines.Text(), "locked "); ok {
			if last, err = strconv.Atoi(n); err != nil {
				t.Fatal(err)
			}
		} else {
			t.Fatalf("victim: %s", lines.Text())
		}
	}
	io.Copy(io.Discard, out)
	cmd.Wait()
	return last
}

func TestKilledProcessLosesNoLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base, total := 0, 0
	for round := range 4 {
		last := killed(t, dir, base, false, time.Duration(150+100*round)*time.Millisecond)
		if last < base {
			t.Fatal("victim locked nobody")
		}
		l := reopen(t, dir, nil)
		for n := range last + 1 {
			s := state(t, l, subject(n))
			if len(s.Lanes) != 1 || s.Lanes[0].Failures != 5 || s.Lanes[0].RetryAfter == 0 {
				t.Fatalf("round %d: subject %d of %d after the kill: %+v, want 5 failures and a wait", round, n, last, s.Lanes)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		total += last + 1 - base
		base = last + 1
	}
	t.Logf("%d locks over 4 kills", total)

	dir = t.TempDir()
	last := killed(t, dir, 0, true, 200*time.Millisecond)
	l := reopen(t, dir, nil)
	defer l.Close()
	if s := state(t, l, subject(last)); len(s.Lanes) != 0 {
		t.Error("a journal that is never written lost nothing: the kill proves nothing")
	}
}

func TestBrokenDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := throttle.New(throttle.Config{
		Keys: testKeys, Log: slog.New(slog.DiscardHandler),
		Memory: throttle.MemoryConfig{Subjects: 1 << 12, Dir: dir, Flush: 50 * time.Millisecond},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.BreakJournal()
	for range 8 {
		begin(t, l, throttle.Attempt{Subject: subject(1)})
	}
	if d := begin(t, l, throttle.Attempt{Subject: subject(1)}); d.Verdict != throttle.Delay {
		t.Errorf("with a broken disk: %v, want DELAY: memory still counts", d.Verdict)
	}
	if l.Healthy() {
		t.Error("healthy although the journal cannot be written")
	}
	for deadline := time.Now().Add(10 * time.Second); !l.Healthy(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no new snapshot after the disk came back")
		}
	}
	// What the broken journal missed is in the snapshot.
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, copied, nil)
	defer again.Close()
	if s := state(t, again, subject(1)); len(s.Lanes) != 1 || s.Lanes[0].Failures != 5 {
		t.Errorf("after the disk came back: %+v, want 5 failures", s.Lanes)
	}
}

// TestTornJournal cuts the journal at every length: what was whole is there, and
// it always opens.
func TestTornJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClock()
	l := reopen(t, dir, c.now)
	for n := range 4 {
		for range 5 {
			begin(t, l, throttle.Attempt{Subject: subject(n)})
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "throttle.journal.*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("journals: %v, %v", names, err)
	}
	whole, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := os.ReadFile(filepath.Join(dir, "throttle.snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	most := 0
	for cut := 0; cut <= len(whole); cut += 9 {
		torn := t.TempDir()
		for name, b := range map[string][]byte{"throttle.snapshot": snapshot, filepath.Base(names[0]): whole[:cut]} {
			if err := os.WriteFile(filepath.Join(torn, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l, err := throttle.New(throttle.Config{Keys: testKeys, Now: c.now, Log: slog.New(slog.DiscardHandler), Memory: throttle.MemoryConfig{Subjects: 1024, Dir: torn}}, nil)
		if err != nil {
			t.Fatalf("cut to %d of %d bytes: %v", cut, len(whole), err)
		}
		locked := 0
		for n := range 4 {
			if s := state(t, l, subject(n)); len(s.Lanes) == 1 && s.Lanes[0].RetryAfter > 0 {
				locked++
			}
		}
		l.Close()
		if locked < most {
			t.Fatalf("cut to %d of %d bytes: %d locks, fewer than with a shorter journal", cut, len(whole), locked)
		}
		most = locked
	}
	if most < 3 {
		t.Errorf("%d locks in a nearly whole journal, want 3 or 4", most)
	}
}

func TestDamagedState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClock()
	l := reopen(t, dir, c.now)
	for n := range 3 {
		for i := range 5 {
			guess(t, l, throttle.Attempt{Subject: subject(n), IP: home}, byte(i))
		}
	}
	login(t, l, throttle.Attempt{Subject: subject(5)})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "throttle.snapshot")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := throttle.New(throttle.Config{Keys: testKeys, Memory: throttle.MemoryConfig{Subjects: 1024, Dir: dir}}, nil)
		if err == nil {
			l.Close()
		}
		if !errors.Is(err, throttle.ErrDamaged) {
			t.Fatalf("%s: New = %v, want ErrDamaged", what, err)
		}
	}
	for i := 0; i < len(good); i += 3 {
		b := bytes.Clone(good)
		b[i] ^= 1 << (i % 8)
		try(fmt.Sprintf("bit flipped in byte %d", i), b)
	}
	for n := 0; n < len(good); n += 7 {
		try(fmt.Sprintf("cut to %d bytes", n), good[:n])
	}
	try("with a tail", append(bytes.Clone(good), 0))
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	l = reopen(t, dir, c.now)
	defer l.Close()
	for n := range 3 {
		if s := state(t, l, subject(n)); len(s.Lanes) != 1 || s.Lanes[0].Failures != 5 {
			t.Errorf("subject %d after all that: %+v", n, s.Lanes)
		}
	}
}

// TestCellKeepsAPool: what a table keeps of a lane is the lane, up to ten
// guesses, and without room for them the youngest.
func TestCellKeepsAPool(t *testing.T) {
	rnd := mathrand.New(mathrand.NewPCG(1, 2))
	for _, room := range []int{20, 2, 0} {
		for range 2000 {
			if err := throttle.CellKeeps(rnd, room); err != nil {
				t.Fatalf("room for %d: %v", room, err)
			}
		}
	}
}

// TestFloodEvictsNoLock floods a store that holds 8,192 subjects, 800 of them
// waiting, with names it has never seen: a million with one guess each, or as
// many with all they have free as make them wait too.
func TestFloodEvictsNoLock(t *testing.T) {
	t.Parallel()
	const victims, each = 800, 5
	ladder := throttle.Numbers{Free: each, Close: 100, First: 30_000, Longest: 3_600_000, Pending: 60_000}
	for tries, names := range map[int]int{1: 1_000_000, each: 40_000} {
		rules, err := throttle.ProfileRules("nist")
		if err != nil {
			t.Fatal(err)
		}
		store, err := throttle.OpenMemory(throttle.MemoryConfig{Subjects: 1 << 13}, rules, noClock, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ask := func(n, tag int) throttle.Grant {
			r := throttle.Request{Lanes: throttle.Lanes{Unknown: ladder, Known: ladder}, Now: 1_800_000_000_000, Tagged: true}
			request(&r, n, uint16(tag))
			g, err := store.Begin(t.Context(), &r)
			if err != nil {
				t.Error(err)
			}
			return g
		}
		for n := range victims {
			for i := range each {
				ask(n, i)
			}
		}
		var refused atomic.Int64
		var wg sync.WaitGroup
		const floods = 4
		for f := range floods {
			wg.Go(func() {
				for n := f; n < names; n += floods {
					for i := range tries {
						if ask(1e6+n, i).Kind == 0 {
							refused.Add(1)
						}
					}
				}
			})
		}
		wg.Wait()
		for n := range victims {
			if g := ask(n, 99); g.Why != throttle.LaneWaits {
				t.Fatalf("%d names with %d tries each: the lock of subject %d is gone: %+v", names, tries, n, g)
			}
		}
		t.Logf("%d names with %d tries each: all %d locks held, %d attempts refused", names, tries, victims, refused.Load())
		if tries == 1 && refused.Load() > 0 {
			t.Errorf("%d first attempts refused", refused.Load())
		}
	}
}

func TestClockSteps(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 365 * 24 * time.Hour, -365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, -40 * 365 * 24 * time.Hour} {
		c := newClock()
		l := open(t, throttle.Config{Now: c.now}, nil)
		a := throttle.Attempt{Subject: subject(1), IP: home, ChallengePassed: true}
		for i := range 5 {
			guess(t, l, a, byte(i))
		}
		closed := throttle.Attempt{Subject: subject(2)}
		for range 100 { // without a tag: no two are taken for one
			if _, err := l.Report(t.Context(), closed, throttle.BadSecret); err != nil {
				t.Fatal(err)
			}
		}
		c.step(step)
		if d := guess(t, l, closed, 201); d.Verdict != throttle.Deny {
			t.Errorf("step of %v: a closed lane answers %v", step, d.Verdict)
		}
		d := guess(t, l, a, 99)
		if step < 0 && (d.Verdict != throttle.Delay || d.RetryAfter > time.Minute) {
			t.Errorf("step of %v: %v for %v, want DELAY for at most 1m", step, d.Verdict, d.RetryAfter)
		}
		// Rates that a clock going back finds in the future are taken for full.
		c.step(61 * time.Second)
		if d := guess(t, l, a, 100); step < 0 && d.Verdict != throttle.Allow {
			t.Errorf("61 s after a step of %v: %v %v, want ALLOW", step, d.Verdict, d.Reasons)
		}
		for range 3 {
			c.step(-step)
			c.step(step)
		}
		admitted := 0
		for i := range 50 {
			if guess(t, l, a, byte(110+i)).Verdict == throttle.Allow {
				admitted++
			}
		}
		if admitted > 5 {
			t.Errorf("steps of ±%v: %d guesses admitted at once", step, admitted)
		}
	}
}

func TestWallClockIsSteady(t *testing.T) {
	ahead := time.Now().Add(365 * 24 * time.Hour)
	now := throttle.WallClock(ahead)
	first := now()
	if d := first.Sub(ahead); d < -time.Millisecond || d > time.Minute {
		t.Errorf("a clock begun with a floor a year ahead is %v from it", d)
	}
	if second := now(); second.Before(first) {
		t.Error("the clock went back")
	}
	if d := time.Since(throttle.WallClock(time.Time{})()); d < -time.Second || d > time.Minute {
		t.Errorf("a clock without a floor is %v off", d)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(make([]byte, 32), int64(0), uint16(0))
	b := make([]byte, 40)
	b[27], b[28], b[30], b[32] = 1, 1, 1, 1
	f.Add(b, int64(1_700_000_000_000), uint16(0))
	f.Add([]byte{1, 1, 0, 0, 0, 1, 0, 0}, int64(-1), uint16(9))
	f.Fuzz(func(t *testing.T, b []byte, now int64, tag uint16) {
		for _, list := range []bool{false, true} {
			if valid, same := throttle.RoundTrip(b, list); valid && !same {
				t.Errorf("record %x (list %v) changes when written back", b, list)
			}
		}
		if !throttle.Survive(b, now, tag) {
			t.Errorf("record %x breaks its bounds at %d", b, now)
		}
	})
}

func FuzzToken(f *testing.F) {
	// Keys of its own: each process of a fuzzing run makes one valid token.
	keys := throttle.Keys{Names: make([]byte, 32)}
	rand.Read(keys.Names)
	l, err := throttle.New(throttle.Config{Keys: keys, Memory: throttle.MemoryConfig{Subjects: 1024}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	d, err := l.Begin(f.Context(), throttle.Attempt{Tenant: "t"})
	if err != nil {
		f.Fatal(err)
	}
	valid := d.Token
	f.Add("t", valid)
	f.Add("", "")
	f.Add("u", "AQ")
	f.Fuzz(func(t *testing.T, tenant, token string) {
		_, err := l.Finish(t.Context(), tenant, token, throttle.Cancelled)
		if err == nil && (tenant != "t" || token != valid) {
			t.Errorf("Finish took a token nobody made")
		}
		if d := begin(t, l, throttle.Attempt{Tenant: tenant[:min(len(tenant), 255)], Device: token, Subject: [16]byte{1}}); d.KnownDevice {
			t.Errorf("a device token nobody made is known")
		}
	})
}

// TestRestartKeepsItsOwnTime steps the clock back a year while the process is
// down: what waited goes on waiting, no longer than its wait.
func TestRestartKeepsItsOwnTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClock()
	l := reopen(t, dir, c.now)
	for range 5 {
		begin(t, l, throttle.Attempt{Subject: subject(1)})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c.step(-365 * 24 * time.Hour)
	l = reopen(t, dir, c.now)
	defer l.Close()
	d := begin(t, l, throttle.Attempt{Subject: subject(1)})
	if d.Verdict != throttle.Delay || d.RetryAfter > time.Minute {
		t.Errorf("a year back: %v for %v, want DELAY for at most a minute", d.Verdict, d.RetryAfter)
	}
	c.step(2 * time.Minute)
	if d := begin(t, l, throttle.Attempt{Subject: subject(1), ChallengePassed: true}); d.Verdict != throttle.Allow {
		t.Errorf("two minutes later: %v %v, want ALLOW", d.Verdict, d.Reasons)
	}
}

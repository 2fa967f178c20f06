// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package boltstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/storetest"
	"github.com/watchword-project/watchword/server/internal/storetest/powercut"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// The crash tests run the store in a child process, which is this test binary
// again, and do to it what they test. The child says on its standard output
// what it is about to write ("B subject version") and what was acknowledged
// ("A subject version"), and so the parent knows what must be there afterwards.
// None of them runs beside others: between fork and exec a child holds the locks
// of all stores that are open here.
const (
	childDir  = "WATCHWORD_STORE_CHILD_DIR"
	childMode = "WATCHWORD_STORE_CHILD_MODE" // "", "nosync", "forget", "full"
	childPuts = "WATCHWORD_STORE_CHILD_PUTS" // of each writer; 0: for ever

	childWriters  = 4
	childSubjects = 40
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childMode)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(dir, mode string) error {
	if mode == "full" {
		return fullDisk(dir)
	}
	puts, err := strconv.Atoi(os.Getenv(childPuts))
	if err != nil {
		return err
	}
	var o boltstore.Options
	if mode == "nosync" {
		o = boltstore.WithoutSync()
	}
	s, err := boltstore.Open(dir, o)
	if err != nil {
		return err
	}
	ctx := context.Background()
	var writers sync.WaitGroup
	for w := range childWriters {
		writers.Go(func() {
			next := map[int]uint64{}
			for i := 0; puts == 0 || i < puts; i++ {
				subject := w + childWriters*(i*7%(childSubjects/childWriters))
				v, ok := next[subject]
				if !ok {
					r, err := s.Get(ctx, "crash", storetest.Subject(subject))
					if err != nil && !errors.Is(err, verifier.ErrUnknownSubject) {
						fmt.Printf("E %v\n", err)
						continue
					}
					v = r.Version + 1
				}
				fmt.Printf("B %d %d\n", subject, v)
				if err := s.Put(ctx, version(subject, v)); err != nil {
					fmt.Printf("E %v\n", err)
					delete(next, subject)
					if mode == "forget" {
						boltstore.ForgetFailure(s)
					}
					continue
				}
				fmt.Printf("A %d %d\n", subject, v)
				next[subject] = v + 1
			}
		})
	}
	writers.Wait()
	return s.Close()
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	start := time.Now()
	c := childCommand(t, dir, "", 1)
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), boltstore.ErrInUse.Error()) {
		t.Errorf("a second process: %v, %q, want %q", err, out, boltstore.ErrInUse)
	}
	if waited := time.Since(start); waited > 5*time.Second {
		t.Errorf("a second process is refused after %v", waited)
	}
	if _, err := boltstore.Open(dir, boltstore.Options{}); !errors.Is(err, boltstore.ErrInUse) {
		t.Errorf("a second Open in one process = %v, want ErrInUse", err)
	}
	s.Close()
	openStore(t, dir)
}

// TestClosedIsNotInUse: a process that starts another has its files twice for a
// moment, until the new program runs.
func TestClosedIsNotInUse(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, e := range fds {
		path, _ := os.Readlink("/proc/self/fd/" + e.Name())
		fd, err := strconv.Atoi(e.Name())
		if err != nil || filepath.Dir(path) != dir {
			continue
		}
		dup, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(dup)
		held++
	}
	if held == 0 {
		t.Fatal("the store has no file open")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir)
}

// ledger is what the parent knows: for each subject the last version that was
// acknowledged and the last that was begun.
type ledger struct {
	acked, begun map[int]uint64
	acks, errs   int
	// acksAfterSyncError counts acknowledgements of writes that were begun after
	// another had failed because a sync did.
	acksAfterSyncError int
	syncFailed         bool
	begunAfter         map[int]bool
	output             []string
}

func newLedger() *ledger {
	return &ledger{acked: map[int]uint64{}, begun: map[int]uint64{}, begunAfter: map[int]bool{}}
}

func (l *ledger) read(r io.Reader, onAck func()) {
	for sc := bufio.NewScanner(r); sc.Scan(); {
		line := sc.Text()
		var subject int
		var v uint64
		switch {
		case scan(line, "B %d %d", &subject, &v):
			l.begun[subject] = max(l.begun[subject], v)
			l.begunAfter[subject] = l.syncFailed
		case scan(line, "A %d %d", &subject, &v):
			l.acked[subject] = max(l.acked[subject], v)
			l.acks++
			if l.begunAfter[subject] {
				l.acksAfterSyncError++
			}
			if onAck != nil {
				onAck()
			}
		case strings.HasPrefix(line, "E "):
			l.errs++
			if strings.Contains(line, boltstore.ErrStopped.Error()) {
				l.syncFailed = true
			}
			if len(l.output) < 5 {
				l.output = append(l.output, line)
			}
		}
	}
}

func scan(line, format string, args ...any) bool {
	n, err := fmt.Sscanf(line, format, args...)
	return err == nil && n == len(args)
}

// verify opens the store in dir and returns everything that is not as the
// ledger demands: each subject at a version from the last acknowledged to the
// last begun, with that version's content. It brings the ledger up to what is
// there.
func (l *ledger) verify(dir string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	s, err := boltstore.Open(dir, boltstore.Options{MustExist: l.acks > 0})
	if errors.Is(err, boltstore.ErrMissing) {
		return []string{"the store is gone"}
	}
	if err != nil {
		return []string{fmt.Sprintf("cannot be opened: %v", err)}
	}
	defer s.Close()
	ctx := context.Background()
	for subject := range childSubjects {
		r, err := s.Get(ctx, "crash", storetest.Subject(subject))
		if errors.Is(err, verifier.ErrUnknownSubject) {
			err, r = nil, verifier.Record{}
		}
		switch {
		case err != nil:
			fault("subject %d: %v", subject, err)
			continue
		case r.Version < l.acked[subject]:
			fault("subject %d: version %d acknowledged, %d found", subject, l.acked[subject], r.Version)
		case r.Version > l.begun[subject]:
			fault("subject %d: version %d found, %d begun", subject, r.Version, l.begun[subject])
		case r.Version > 0 && !cmp.Equal(version(subject, r.Version), r, cmpopts.EquateEmpty()):
			fault("subject %d: version %d has another content", subject, r.Version)
		}
		l.acked[subject], l.begun[subject] = r.Version, r.Version
	}
	seen := 0
	for r, err := range s.All(ctx) {
		if err != nil {
			fault("All: %v", err)
			break
		}
		if r.Version > 0 {
			seen++
		}
	}
	for _, v := range l.acked {
		if v > 0 {
			seen--
		}
	}
	if seen < 0 {
		fault("All leaves out %d records", -seen)
	}
	return faults
}

func childCommand(t testing.TB, dir, mode string, puts int, wrapper ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(wrapper, exe)
	c := exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+mode, fmt.Sprint(childPuts, "=", puts))
	return c
}

// start runs the child and reads its output into the ledger; the channel is
// closed when the output has ended.
func (l *ledger) start(t testing.TB, c *exec.Cmd, onAck func()) <-chan struct{} {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.read(out, onAck)
	}()
	return done
}

// TestKill ends the process by SIGKILL at random moments, over and over on one
// store. It cannot see a missing sync, as the kernel lives on; it sees an
// acknowledgement before the write, and a file that does not open.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	l := newLedger()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	rounds := count(8, 200)
	for round := range rounds {
		c := childCommand(t, dir, "", 0)
		var once sync.Once
		started := make(chan struct{})
		done := l.start(t, c, func() { once.Do(func() { close(started) }) })
		select {
		case <-started:
		case <-done:
			t.Fatalf("round %d: the child ended by itself", round)
		}
		time.Sleep(time.Duration(rnd.IntN(40_000)) * time.Microsecond)
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-done
		c.Wait()
		if faults := l.verify(dir); len(faults) > 0 {
			t.Fatalf("round %d, seed %d: %s", round, seed, strings.Join(faults, "; "))
		}
	}
	t.Logf("%d kills, %d acknowledged writes, none lost", rounds, l.acks)
}

// cutRound runs the child on a disk that holds image, cuts the power after some
// changes, and returns what survives.
func cutRound(t *testing.T, l *ledger, rnd *rand.Rand, image powercut.Image, changes int, mode string) powercut.Image {
	t.Helper()
	d := powercut.Mount(t, image)
	d.CutAfter(changes)
	c := childCommand(t, d.Dir, mode, 0)
	done := l.start(t, c, nil)
	select {
	case <-d.WasCut():
		// Until now every call was answered, so what the child acknowledges from
		// here on stems from before the cut, or from a store that lies.
		time.Sleep(5 * time.Millisecond)
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("the child hangs")
	}
	c.Process.Kill()
	<-done
	c.Wait()
	d.Unmount()
	return d.Survivors(rnd)
}

// TestPowerCut cuts the power, with unsynced sectors lost or kept by the toss of
// a coin, and demands that every acknowledged write is there.
func TestPowerCut(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	rounds, acks := count(25, 500), 0
	for round := 0; round < rounds; {
		l, image := newLedger(), powercut.Image{} // a new store: its making can be cut too
		for range 5 {
			changes := rnd.IntN(400)
			if len(image) == 0 {
				changes = rnd.IntN(60)
			}
			image = cutRound(t, l, rnd, image, changes, "")
			dir := t.TempDir()
			if err := image.Write(dir); err != nil {
				t.Fatal(err)
			}
			if faults := l.verify(dir); len(faults) > 0 {
				t.Fatalf("round %d, seed %d: %s", round, seed, strings.Join(faults, "; "))
			}
			round++
		}
		acks += l.acks
	}
	if acks == 0 {
		t.Fatal("no write was acknowledged: nothing was tested")
	}
	t.Logf("%d power cuts, %d acknowledged writes, none lost", rounds, acks)
}

// TestPowerCutSeesMissingSync is the control: without fsync the same rounds must
// find losses.
func TestPowerCutSeesMissingSync(t *testing.T) {
	rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
	rounds, caught := count(6, 60), 0
	for range rounds {
		l := newLedger()
		image := cutRound(t, l, rnd, powercut.Image{}, 150+rnd.IntN(200), "nosync")
		dir := t.TempDir()
		if err := image.Write(dir); err != nil {
			t.Fatal(err)
		}
		if l.acks > 0 && len(l.verify(dir)) > 0 {
			caught++
		}
	}
	if caught < rounds*9/10 {
		t.Errorf("a store without fsync was caught in %d of %d rounds", caught, rounds)
	}
	t.Logf("a store without fsync was caught in %d of %d rounds", caught, rounds)
}

// injections are the calls that are made to fail, on the store's file only, and
// how far to sweep.
var injections = []struct {
	call, fault string
	sync        bool
}{
	{"fdatasync", "EIO", true},
	{"fdatasync", "ENOSPC", true},
	{"pwrite64", "ENOSPC", false},
	{"pwrite64", "EIO", false},
	{"ftruncate", "ENOSPC", false},
	{"fsync", "EIO", true},
}

// failCall runs the child on a fresh store and makes the n-th call of a kind
// fail, once.
func failCall(t *testing.T, strace, call, fault string, n int, mode string) (*ledger, string) {
	t.Helper()
	dir := t.TempDir()
	s := openStore(t, dir) // the making of the file is not the point here
	s.Close()
	l := newLedger()
	c := childCommand(t, dir, mode, 25, strace, "-f", "-qq", "-o", "/dev/null",
		"-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", call, fault, n),
		"-P", filepath.Join(dir, boltstore.FileName))
	done := l.start(t, c, nil)
	<-done
	c.Wait()
	return l, dir
}

// TestFailingCalls makes one system call fail and demands that no
// acknowledgement follows a failed sync, and that all that was acknowledged is
// there.
func TestFailingCalls(t *testing.T) {
	strace := procs.Find(t, "strace")
	places := []int{1, 7, 30}
	if long() {
		places = nil
		for n := range 70 {
			places = append(places, n+1)
		}
	}
	runs, failed := 0, 0
	for _, in := range injections {
		for _, n := range places {
			l, dir := failCall(t, strace, in.call, in.fault, n, "")
			runs++
			if l.errs > 0 {
				failed++
			}
			if in.sync && l.acksAfterSyncError > 0 {
				t.Errorf("%s %s at call %d: %d acknowledgements after a failed sync", in.call, in.fault, n, l.acksAfterSyncError)
			}
			if in.sync && l.errs > 0 && !l.syncFailed {
				t.Errorf("%s %s at call %d: the store did not stop: %v", in.call, in.fault, n, l.output)
			}
			if faults := l.verify(dir); len(faults) > 0 {
				t.Errorf("%s %s at call %d: %s", in.call, in.fault, n, strings.Join(faults, "; "))
			}
		}
	}
	if failed < runs/4 {
		t.Errorf("the fault was felt in %d of %d runs", failed, runs)
	}
	t.Logf("%d runs with a failing call, felt in %d", runs, failed)
}

// TestFailingCallsSeeForgetting is the control: a store that goes on after a
// failed sync must be seen.
func TestFailingCallsSeeForgetting(t *testing.T) {
	l, _ := failCall(t, procs.Find(t, "strace"), "fdatasync", "EIO", 7, "forget")
	if l.acksAfterSyncError == 0 {
		t.Error("a store that goes on after a failed sync was not seen")
	}
}

// fullDisk is the child of TestFullDisk: it writes until a limit on the file's
// size stops it, says what works then, and goes on when the limit is lifted.
func fullDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ) // the limit shall be an error of the call
	ctx := context.Background()
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	lifted := limit.Cur
	limit.Cur = 3 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	full := 0
	for i := 0; full < 20; i++ {
		if i == 1<<20 {
			return errors.New("the disk never fills")
		}
		o := objects.Object{Kind: "filler", Name: fmt.Sprint(i), Version: 1, Data: make([]byte, 20_000)}
		err := s.Save(ctx, o)
		switch {
		case err == nil:
			full = 0
		case !errors.Is(err, boltstore.ErrDiskFull):
			return fmt.Errorf("on a full disk: %w", err)
		default:
			full++
			if _, err := s.Load(ctx, "filler", "", fmt.Sprint(i)); !errors.Is(err, objects.ErrNotFound) {
				return fmt.Errorf("a refused object: %w", err)
			}
			if _, err := s.Load(ctx, "filler", "", "0"); err != nil {
				return fmt.Errorf("reading on a full disk: %w", err)
			}
		}
	}
	limit.Cur = lifted
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for i := range 20 {
		if err := s.Save(ctx, objects.Object{Kind: "after", Name: fmt.Sprint(i), Version: 1}); err != nil {
			return fmt.Errorf("when there is room again: %w", err)
		}
	}
	return s.Close()
}

// TestFullDisk demands that a full disk is an error of the write and of nothing
// else, and that writing goes on when there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if out, err := childCommand(t, dir, "full", 0).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := openStore(t, dir)
	for i := range 20 {
		if _, err := s.Load(t.Context(), "after", "", fmt.Sprint(i)); err != nil {
			t.Errorf("what was saved after the disk was full: %v", err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package events_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/events"
)

var signer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

func config(dir string) events.Config {
	return events.Config{
		Path: filepath.Join(dir, "events.jsonl"), Checkpoint: filepath.Join(dir, "elsewhere"),
		Key: bytes.Repeat([]byte{3}, 32), Sign: signer,
	}
}

func open(t *testing.T, c events.Config) *events.Log {
	t.Helper()
	l, err := events.Open(c)
	if err != nil {
		t.Fatalf("opening a log: %v", err)
	}
	return l
}

func shut(t *testing.T, l *events.Log) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Fatalf("closing the log: %v", err)
	}
}

func numbered(i int) events.Event {
	return events.Event{Time: time.Unix(1_700_000_000+int64(i), 0), Type: "key.create", Tenant: "default", Actor: "key:abc", Outcome: "OK",
		Subject: fmt.Sprintf("%032x", i), Params: map[string]string{"n": fmt.Sprint(i)}}
}

// write makes a log of n events, in files of about size bytes.
func write(t *testing.T, c events.Config, n int) {
	t.Helper()
	l := open(t, c)
	for i := range n {
		l.Note(numbered(i))
		if i%50 == 0 { // so that the writing is cut into batches
			if err := l.Append(t.Context(), numbered(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	shut(t, l)
}

func intact(t *testing.T, c events.Config, want bool) events.Report {
	t.Helper()
	r, err := events.Verify(c)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if r.Intact != want {
		t.Errorf("Verify = %+v, want intact %v", r, want)
	}
	return r
}

func TestLogHoldsTogether(t *testing.T) {
	c := config(t.TempDir())
	c.SegmentBytes = 8 << 10
	write(t, c, 200)
	write(t, c, 200) // opened again
	if r := intact(t, c, true); r.Events != 200+200+8+1 {
		t.Errorf("Verify found %d events", r.Events)
	}
	files, _ := filepath.Glob(c.Path + "*")
	if len(files) < 5 {
		t.Errorf("the log lies in %d files", len(files))
	}
	for _, f := range append(files, c.Checkpoint) {
		if st, err := os.Stat(f); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", filepath.Base(f), st.Mode(), err)
		}
	}
	l := open(t, c)
	next := uint64(100)
	for e, err := range l.Events(100) {
		if err != nil || e.Sequence != next {
			t.Fatalf("Events(100) yields %d, %v, want %d", e.Sequence, err, next)
		}
		next++
	}
	if next != 410 {
		t.Errorf("Events(100) ended before %d", next)
	}
	if r, err := l.Verify(); err != nil || !r.Intact {
		t.Errorf("Verify while it is open = %+v, %v", r, err)
	}
	shut(t, l)
}

// lines are the lines of all files, with the file of each.
func read(t *testing.T, c events.Config) (names []string, contents map[string][]byte) {
	t.Helper()
	names, _ = filepath.Glob(c.Path + ".*")
	slices.Sort(names)
	names = append(names, c.Path)
	contents = make(map[string][]byte)
	for _, n := range append(names, c.Checkpoint) {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		contents[n] = b
	}
	return names, contents
}

// TestEveryTamperingIsFound changes a log in a thousand random ways.
func TestEveryTamperingIsFound(t *testing.T) {
	c := config(t.TempDir())
	c.SegmentBytes, c.CheckpointEvery = 6<<10, 20
	for range 4 {
		write(t, c, 15)
	}
	names, good := read(t, c)
	marks := slices.Collect(bytes.Lines(good[c.Checkpoint]))
	if len(marks) < 5 || len(names) < 3 {
		t.Fatalf("%d checkpoints, %d files: too few to tamper with", len(marks), len(names))
	}
	intact(t, c, true)
	elsewhere := config(t.TempDir())
	elsewhere.Sign = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	write(t, elsewhere, 3)
	b, err := os.ReadFile(elsewhere.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	foreign := append(bytes.SplitAfter(b, []byte("\n"))[0], []byte{}...)
	r := rand.New(rand.NewPCG(1, 2))
	found := map[string]int{}
	for i := range 1000 {
		name := names[r.IntN(len(names))]
		lines := bytes.SplitAfter(bytes.Clone(good[name]), []byte("\n"))
		lines = lines[:len(lines)-1]
		a, b := r.IntN(len(lines)), r.IntN(len(lines))
		how := []string{"edit", "drop", "swap", "insert", "cut tail", "copy", "cut middle", "forge", "drop file", "swap files", "edit checkpoint", "cut bytes",
			"drop checkpoint", "swap checkpoints", "copy checkpoint", "foreign checkpoint", "no checkpoints"}[i%17]
		removed := ""
		switch how {
		case "edit":
			x := r.IntN(len(lines[a]))
			old := lines[a][x]
			for lines[a][x] == old {
				lines[a][x] = byte(r.IntN(256))
			}
		case "drop":
			lines = slices.Delete(lines, a, a+1)
		case "swap":
			for a == b {
				b = r.IntN(len(lines))
			}
			lines[a], lines[b] = lines[b], lines[a]
		case "insert":
			forged, _ := events.Line([]byte("another key"), [32]byte{}, numbered(9))
			lines = slices.Insert(lines, a, forged)
		case "copy":
			lines = slices.Insert(lines, a, lines[b])
		case "cut tail":
			name = c.Path
			lines = bytes.SplitAfter(bytes.Clone(good[name]), []byte("\n"))
			lines = lines[:r.IntN(len(lines)-1)]
		case "cut middle":
			x := r.IntN(len(lines[a]) - 1)
			lines[a] = slices.Delete(lines[a], x, x+1+r.IntN(len(lines[a])-x-1))
		case "forge": // everything from a line on, rightly chained under a key of one's own
			e, err := events.ParseLine(bytes.TrimSuffix(lines[a], []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			e.Actor = "key:somebody-else"
			lines[a], _ = events.Line([]byte("another key"), events.Genesis(c.Key), e)
		case "drop file":
			removed = names[r.IntN(len(names))]
			if err := os.Remove(removed); err != nil {
				t.Fatal(err)
			}
		case "swap files":
			other := names[(slices.Index(names, name)+1+r.IntN(len(names)-1))%len(names)]
			if err := os.WriteFile(other, good[name], 0o600); err != nil {
				t.Fatal(err)
			}
			removed = other
			lines = bytes.SplitAfter(bytes.Clone(good[other]), []byte("\n"))
		case "edit checkpoint":
			name = c.Checkpoint
			cp := bytes.Clone(good[name])
			x := r.IntN(len(cp) - 1)
			cp[x] ^= 1 << r.IntN(8)
			lines = [][]byte{cp}
		case "drop checkpoint": // from between: the first may have been thinned out
			name = c.Checkpoint
			lines = slices.Delete(slices.Clone(marks), 1+a%(len(marks)-2), 2+a%(len(marks)-2))
		case "swap checkpoints":
			name = c.Checkpoint
			lines = slices.Clone(marks)
			x := r.IntN(len(marks) - 2)
			lines[x], lines[x+1] = lines[x+1], lines[x]
		case "copy checkpoint":
			name = c.Checkpoint
			lines = slices.Insert(slices.Clone(marks), r.IntN(len(marks)-1), marks[r.IntN(len(marks)-1)])
		case "foreign checkpoint": // signed by another
			name = c.Checkpoint
			lines = slices.Insert(slices.Clone(marks), r.IntN(len(marks)), foreign)
		case "no checkpoints":
			name = c.Checkpoint
			lines = nil
		case "cut bytes":
			name = c.Path
			lines = [][]byte{good[name][:r.IntN(len(good[name]))]}
		}
		if how != "drop file" {
			if err := os.WriteFile(name, bytes.Join(lines, nil), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		report, err := events.Verify(c)
		if err != nil || report.Intact || report.Why == "" || report.BrokenAt == 0 {
			t.Errorf("tampering %d (%s) was not found: %+v, %v", i, how, report, err)
		} else {
			found[how]++
		}
		for _, n := range []string{name, removed} {
			if n != "" {
				if err := os.WriteFile(n, good[n], 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Logf("found: %v", found)
	intact(t, c, true)

	// The controls: without what finds them, a cut end and a forged log pass.
	t.Run("a cut end passes without the second place", func(t *testing.T) {
		lines := bytes.SplitAfter(good[c.Checkpoint], []byte("\n"))
		if err := os.WriteFile(c.Checkpoint, lines[0], 0o600); err != nil {
			t.Fatal(err)
		}
		tail := bytes.SplitAfter(good[c.Path], []byte("\n"))
		if err := os.WriteFile(c.Path, bytes.Join(tail[:len(tail)-2], nil), 0o600); err != nil {
			t.Fatal(err)
		}
		intact(t, c, true)
	})
}

// TestForgedLogNeedsTheKey writes a whole log anew, as who has not the key can.
func TestForgedLogNeedsTheKey(t *testing.T) {
	c := config(t.TempDir())
	write(t, c, 20)
	b, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(key []byte) {
		var out []byte
		m := events.Genesis(key)
		for line := range bytes.Lines(b) {
			e, err := events.ParseLine(bytes.TrimSuffix(line, []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			var l []byte
			l, m = events.Line(key, m, e)
			out = append(out, l...)
		}
		if err := os.WriteFile(c.Path, out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	forge([]byte("another key"))
	intact(t, c, false)
	forge(c.Key) // the control: with the key, the same steps give the same log
	intact(t, c, true)
}

func TestACrashCutsOneLine(t *testing.T) {
	c := config(t.TempDir())
	write(t, c, 20)
	f, err := os.OpenFile(c.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":25,"time":"2026`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	intact(t, c, false)
	l := open(t, c)
	shut(t, l)
	r := intact(t, c, true)
	if r.Events != 23 {
		t.Errorf("%d events, want the one that says a line was mended among 23", r.Events)
	}
}

// TestTamperingBeforeAStartStaysVisible: a server that starts on a log that was
// cut goes on, and neither hides the hole nor uses a number twice.
func TestTamperingBeforeAStartStaysVisible(t *testing.T) {
	c := config(t.TempDir())
	write(t, c, 20)
	b, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	if err := os.WriteFile(c.Path, bytes.Join(lines[:10], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, c, 20)
	if r := intact(t, c, false); r.BrokenAt != 11 {
		t.Errorf("broken at %d, want 11: %s", r.BrokenAt, r.Why)
	}
	b, err = os.ReadFile(c.Path)
	if err != nil || !bytes.Contains(b, []byte(`"log.broken"`)) {
		t.Errorf("the log does not say that it was broken: %v", err)
	}
}

func TestPurgeLeavesALogThatHoldsTogether(t *testing.T) {
	c := config(t.TempDir())
	c.SegmentBytes = 4 << 10
	for range 4 {
		write(t, c, 60)
	}
	l := open(t, c)
	if n, err := l.Purge(t.Context(), time.Unix(1, 0)); n != 0 || err != nil {
		t.Errorf("Purge of nothing = %d, %v", n, err)
	}
	n, err := l.Purge(t.Context(), time.Now())
	if err != nil || n < 100 {
		t.Fatalf("Purge = %d, %v", n, err)
	}
	if r, err := l.Verify(); err != nil || !r.Intact {
		t.Errorf("Verify after a purge = %+v, %v", r, err)
	}
	shut(t, l)
	intact(t, c, true)
	write(t, c, 60)
	intact(t, c, true)
	// What a purge does not account for stays a hole.
	names, _ := filepath.Glob(c.Path + ".*")
	slices.Sort(names)
	if len(names) == 0 {
		t.Fatal("no older file is left")
	}
	if err := os.Remove(names[0]); err != nil {
		t.Fatal(err)
	}
	intact(t, c, false)
}

// disk is a file whose calls can be made to fail or to wait.
type disk struct {
	events.File
	fault *fault
}

type fault struct {
	write, sync atomic.Pointer[error]
	short       atomic.Bool
	block       atomic.Pointer[chan struct{}]
}

func (d disk) Write(p []byte) (int, error) {
	if ch := d.fault.block.Load(); ch != nil {
		<-*ch
	}
	if err := d.fault.write.Load(); err != nil {
		if d.fault.short.Load() {
			n, _ := d.File.Write(p[:len(p)/2])
			return n, *err
		}
		return 0, *err
	}
	return d.File.Write(p)
}

func (d disk) Sync() error {
	if err := d.fault.sync.Load(); err != nil {
		return *err
	}
	return d.File.Sync()
}

func TestAFailingDiskIsAnError(t *testing.T) {
	broken := errors.New("input/output error")
	for name, set := range map[string]func(*fault, *error){
		"write fails":        func(f *fault, e *error) { f.write.Store(e) },
		"write is cut short": func(f *fault, e *error) { f.short.Store(true); f.write.Store(e) },
		"sync fails":         func(f *fault, e *error) { f.sync.Store(e) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f fault
			c := config(t.TempDir()).WithFiles(func(inner events.File) events.File { return disk{inner, &f} })
			l := open(t, c)
			acknowledged := 0
			for i := range 30 {
				if i%10 == 3 {
					set(&f, &broken)
				}
				if i%10 == 6 {
					f.write.Store(nil)
					f.sync.Store(nil)
				}
				failing := i%10 >= 3 && i%10 < 6
				err := l.Append(t.Context(), numbered(i))
				if failing != errors.Is(err, events.ErrSink) || !failing && err != nil {
					t.Errorf("event %d: %v while the disk fails: %v", i, err, failing)
				}
				if (l.Status().Err != nil) != failing {
					t.Errorf("event %d: status %v", i, l.Status().Err)
				}
				if err == nil {
					acknowledged++
				}
			}
			shut(t, l)
			if r := intact(t, c, true); r.Events != uint64(acknowledged)+1 {
				t.Errorf("%d events, %d were acknowledged", r.Events, acknowledged)
			}
		})
	}
}

func TestNotesSurviveAFailingDisk(t *testing.T) {
	var f fault
	c := config(t.TempDir()).WithFiles(func(inner events.File) events.File { return disk{inner, &f} })
	l := open(t, c)
	broken := errors.New("no space left on device")
	f.write.Store(&broken)
	for i := range 10 {
		l.Note(numbered(i))
	}
	if err := l.Append(t.Context(), numbered(11)); !errors.Is(err, events.ErrSink) {
		t.Errorf("Append to a full disk: %v", err)
	}
	f.write.Store(nil)
	shut(t, l)
	if r := intact(t, c, true); r.Events != 11 {
		t.Errorf("%d events, want the first and ten notes", r.Events)
	}
}

// TestABlockedDiskHangsNobody: every caller hears within two seconds, and at
// once as soon as the disk is known to be stuck.
func TestABlockedDiskHangsNobody(t *testing.T) {
	var f fault
	c := config(t.TempDir()).WithFiles(func(inner events.File) events.File { return disk{inner, &f} })
	l := open(t, c)
	gate := make(chan struct{})
	f.block.Store(&gate)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range 200 {
		wg.Go(func() {
			if err := l.Append(t.Context(), numbered(i)); !errors.Is(err, events.ErrSink) {
				t.Errorf("Append to a blocked disk: %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("callers waited %v", took)
	}
	begin = time.Now()
	if err := l.Append(t.Context(), numbered(1)); !errors.Is(err, events.ErrSink) || time.Since(begin) > 100*time.Millisecond {
		t.Errorf("a later caller heard %v after %v", err, time.Since(begin))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	f.block.Store(nil)
	close(gate)
	for l.Append(ctx, numbered(2)) != nil && ctx.Err() == nil {
	}
	if ctx.Err() != nil {
		t.Error("the log did not recover")
	}
	shut(t, l)
	intact(t, c, true)
}

func TestALogThatIsTakenAwayRefuses(t *testing.T) {
	c := config(t.TempDir())
	l := open(t, c)
	if err := os.Rename(c.Path, c.Path+"~"); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), numbered(1)); !errors.Is(err, events.ErrSink) {
		t.Errorf("Append to a file that was moved: %v", err)
	}
	if err := os.WriteFile(c.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), numbered(1)); !errors.Is(err, events.ErrSink) {
		t.Errorf("Append to a file that was replaced: %v", err)
	}
	if err := os.Rename(c.Path+"~", c.Path); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), numbered(1)); err != nil {
		t.Errorf("Append after the file came back: %v", err)
	}
	shut(t, l)
	intact(t, c, true)
}

func TestOneEventIsOneLine(t *testing.T) {
	hostile := "a\nb\r\u0085\u2028\u2029\x1b[2J\x00\xff\"},\"mac\":\"" + strings.Repeat("x", 500)
	c := config(t.TempDir())
	l := open(t, c)
	e := events.Event{Type: hostile, Tenant: hostile, Actor: hostile, Peer: hostile, Subject: hostile, Outcome: hostile, Request: hostile,
		Params: map[string]string{hostile: hostile}}
	if err := l.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	shut(t, l)
	if r := intact(t, c, true); r.Events != 2 {
		t.Errorf("%d events, want 2", r.Events)
	}
	b, _ := os.ReadFile(c.Path)
	for _, x := range b {
		if x != '\n' && (x < 0x20 || x > 0x7e) {
			t.Fatalf("the log holds the byte %#x", x)
		}
	}
}

func TestNoPipeOrDeviceIsALog(t *testing.T) {
	for _, path := range []string{"/dev/full", "/dev/null"} {
		c := config(t.TempDir())
		c.Path = path
		if l, err := events.Open(c); err == nil {
			shut(t, l)
			t.Errorf("%s was taken for a log", path)
		}
	}
	c := config(t.TempDir())
	c.Checkpoint = filepath.Join(c.Checkpoint, "no", "such", "place")
	if _, err := events.Open(c); err == nil {
		t.Error("a log opened without a place for its checkpoints")
	}
}

// FuzzLine: whatever is accepted as a line holds its chain value under no other
// key, and a reader never fails in another way than with an error.
func FuzzLine(f *testing.F) {
	key := []byte("key")
	good, _ := events.Line(key, [32]byte{}, numbered(1))
	f.Add(good, "x")
	f.Add([]byte(`{"seq":1,"mac":""}`), "\u2028")
	f.Add([]byte(`{}`), strings.Repeat("\xffa", 200))
	f.Fuzz(func(t *testing.T, line []byte, text string) {
		_, _ = events.ParseLine(line)
		e := events.Event{Sequence: 5, Type: "t" + text, Params: map[string]string{"p": text}}
		made, _ := events.Line(key, [32]byte{}, e)
		if bytes.Count(made, []byte("\n")) != 1 || made[len(made)-1] != '\n' {
			t.Fatalf("%q is not one line", made)
		}
		got, err := events.ParseLine(made[:len(made)-1])
		if err != nil || got.Sequence != 5 || got.Type == "" {
			t.Fatalf("%q reads back as %+v, %v", made, got, err)
		}
		again, _ := events.Line(key, [32]byte{}, got)
		if !bytes.Equal(made, again) {
			t.Fatalf("%q is written again as %q", made, again)
		}
	})
}

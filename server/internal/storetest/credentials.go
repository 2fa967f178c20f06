// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Subject returns the pseudonym number n.
func Subject(n int) verifier.Pseudonym {
	var p verifier.Pseudonym
	binary.BigEndian.PutUint64(p[8:], uint64(n))
	return p
}

// Sample returns a full record of a usual size.
func Sample(tenant string, subject verifier.Pseudonym, version uint64) verifier.Record {
	day := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	hash := func(v uint64) string {
		return fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1,keyid=k1$%022d$%059d", v, binary.BigEndian.Uint64(subject[8:]))
	}
	r := verifier.Record{
		Tenant: tenant, Subject: subject, Version: version, Revision: 1<<31 + uint32(version), State: verifier.StateActive, Use: 1,
		Hash: hash(version), Norm: "nfc-1",
		Policy: "nist-800-63b-4", PolicyVersion: "3",
		Created: day, Changed: day.Add(time.Duration(version) * 1234567 * time.Microsecond), LastLogin: day.AddDate(0, 0, 1),
	}
	for v := version - 1; v > 0 && len(r.History) < 3; v-- {
		r.History = append(r.History, hash(v))
	}
	return r
}

// equal compares as a caller would: an empty history is no history.
var equal = cmpopts.EquateEmpty()

func mustPut(t testing.TB, s verifier.Store, r verifier.Record) {
	t.Helper()
	if err := s.Put(ctxOf(t), r); err != nil {
		t.Fatalf("Put of version %d: %v", r.Version, err)
	}
}

func wantRecord(t testing.TB, s verifier.Store, want verifier.Record) {
	t.Helper()
	got, err := s.Get(ctxOf(t), want.Tenant, want.Subject)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if d := cmp.Diff(want, got, equal); d != "" {
		t.Fatalf("Get differs from what was put (-want +got):\n%s", d)
	}
}

func wantUnknown(t testing.TB, s verifier.Store, tenant string, subject verifier.Pseudonym) {
	t.Helper()
	if r, err := s.Get(ctxOf(t), tenant, subject); !errors.Is(err, verifier.ErrUnknownSubject) {
		t.Fatalf("Get = %+v, %v, want ErrUnknownSubject", r, err)
	}
}

func wantConflict(t testing.TB, s verifier.Store, r verifier.Record) {
	t.Helper()
	if err := s.Put(ctxOf(t), r); !errors.Is(err, verifier.ErrConflict) {
		t.Fatalf("Put of version %d = %v, want ErrConflict", r.Version, err)
	}
}

func roundTrip(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	full := Sample("acme", Subject(1), 1)
	full.History = []string{"$2b$10$one", "", "$2b$10$three"}
	bare := verifier.Record{Tenant: "", Subject: Subject(2), Version: 1, State: verifier.StateDisabled}
	odd := Sample("租户 {a}:*?[b]%/\\'\"\n", Subject(3), 1)
	odd.Subject = verifier.Pseudonym{0, '}', '{', 0xff, '\n', '*'}
	odd.Policy, odd.Norm = "p\t'\"\\{}", "密码"
	old := Sample("acme", Subject(4), 1)
	old.Created = time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)
	for _, st := range []verifier.State{verifier.StateActive, verifier.StateMustChange, verifier.StateCompromised, verifier.StateDisabled} {
		r := Sample("states", Subject(int(st)), 1)
		r.State, r.Exhausted = st, st == verifier.StateDisabled
		mustPut(t, s, r)
		wantRecord(t, s, r)
	}
	for _, r := range []verifier.Record{full, bare, odd, old} {
		mustPut(t, s, r)
		wantRecord(t, s, r)
		next := r
		next.Version, next.Hash, next.History = 2, "changed", []string{r.Hash}
		mustPut(t, s, next)
		wantRecord(t, s, next)
	}
}

func unknown(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	wantUnknown(t, s, "acme", Subject(1))
	mustPut(t, s, Sample("acme", Subject(1), 1))
	wantUnknown(t, s, "acme", Subject(2))
	wantUnknown(t, s, "", Subject(1))
}

func compareAndSwap(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	wantConflict(t, s, Sample("a", Subject(1), 2)) // nothing there
	wantUnknown(t, s, "a", Subject(1))
	one := Sample("a", Subject(1), 1)
	mustPut(t, s, one)
	for _, v := range []uint64{1, 3, 4, 1 << 40} {
		wantConflict(t, s, Sample("a", Subject(1), v))
		wantRecord(t, s, one)
	}
	for v := uint64(2); v < 20; v++ {
		mustPut(t, s, Sample("a", Subject(1), v))
		wantConflict(t, s, Sample("a", Subject(1), v))
		wantConflict(t, s, Sample("a", Subject(1), v-1))
		wantRecord(t, s, Sample("a", Subject(1), v))
	}
}

func badRecords(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	for name, change := range map[string]func(*verifier.Record){
		"version 0":    func(r *verifier.Record) { r.Version = 0 },
		"huge version": func(r *verifier.Record) { r.Version = 1 << 63 },
		"state 0":      func(r *verifier.Record) { r.State = 0 },
		"NUL":          func(r *verifier.Record) { r.Policy = "a\x00b" },
		"not UTF-8":    func(r *verifier.Record) { r.Norm = "\xff\xfe" },
		"long tenant":  func(r *verifier.Record) { r.Tenant = strings.Repeat("t", 129) },
		"long hash":    func(r *verifier.Record) { r.Hash = strings.Repeat("h", 1<<20) },
	} {
		r := Sample("bad", Subject(1), 1)
		change(&r)
		if err := s.Put(ctxOf(t), r); err == nil || errors.Is(err, verifier.ErrConflict) {
			t.Errorf("%s: Put = %v, want an error that is no conflict", name, err)
		}
	}
	wantUnknown(t, s, "bad", Subject(1))
	for r, err := range s.All(ctxOf(t)) {
		t.Fatalf("All of an empty store yields %+v, %v", r, err)
	}
}

// twoWriters lets two write the same version, over and over: one wins.
func twoWriters(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	for round := range 50 {
		v := uint64(round/2 + 1)
		subject := Subject(round % 2)
		var wins atomic.Int32
		var winner atomic.Value
		race(2, func(i int) {
			r := Sample("race", subject, v)
			r.Norm = fmt.Sprint("writer ", i)
			err := s.Put(ctxOf(t), r)
			switch {
			case err == nil:
				wins.Add(1)
				winner.Store(r)
			case !errors.Is(err, verifier.ErrConflict):
				t.Errorf("Put = %v, want nil or ErrConflict", err)
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("round %d: %d of 2 writers of one version won, want 1", round, wins.Load())
		}
		wantRecord(t, s, winner.Load().(verifier.Record))
	}
}

// manyWriters lets 64 read and write on, and demands that each version was
// given to one of them.
func manyWriters(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	const racers, rounds = 64, 5
	for round := range uint64(rounds) {
		// All have read the same version before the first of them writes.
		race(racers, func(int) {
			r, err := s.Get(ctxOf(t), "race", Subject(1))
			if round == 0 && !errors.Is(err, verifier.ErrUnknownSubject) || round > 0 && (err != nil || r.Version != round) {
				t.Errorf("Get = version %d, %v, want %d", r.Version, err, round)
			}
		})
		var won atomic.Int64
		race(racers, func(int) {
			err := s.Put(ctxOf(t), Sample("race", Subject(1), round+1))
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, verifier.ErrConflict):
				t.Errorf("Put = %v, want nil or ErrConflict", err)
			}
		})
		if n := won.Load(); n != 1 {
			t.Fatalf("version %d was given %d times, want once", round+1, n)
		}
	}
	wantRecord(t, s, Sample("race", Subject(1), rounds))
}

// race runs f(0) … f(n-1) at once and waits for all.
func race(n int, f func(int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func grave(r verifier.Record) verifier.Record {
	return verifier.Record{
		Tenant: r.Tenant, Subject: r.Subject, Version: r.Version + 1,
		State: verifier.StateDisabled, Changed: r.Changed, Tombstone: true,
	}
}

func tombstone(t testing.TB, open func(testing.TB) Instance) {
	in := open(t)
	s := in.Credentials
	live := Sample("a", Subject(1), 1)
	mustPut(t, s, live)
	dead := grave(live)
	mustPut(t, s, dead)
	wantRecord(t, s, dead)
	wantConflict(t, s, live)                       // a deletion does not set the count back
	wantConflict(t, s, Sample("a", Subject(1), 2)) // a writer who read before the deletion
	wantRecord(t, s, dead)
	seen := 0
	for r, err := range s.All(ctxOf(t)) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		if r.Tombstone {
			seen++
		}
	}
	if seen == 0 {
		t.Error("All leaves tombstones out")
	}
	in = in.Reopen(t)
	wantRecord(t, in.Credentials, dead)
	again := Sample("a", Subject(1), 3)
	mustPut(t, in.Credentials, again)
	wantRecord(t, in.Credentials, again)
}

// remove takes out a record and a tombstone of the version that is there, of one
// tenant alone, and for good.
func remove(t testing.TB, open func(testing.TB) Instance) {
	in := open(t)
	s, ctx := in.Credentials, ctxOf(t)
	for v := range uint64(3) {
		mustPut(t, s, Sample("a", Subject(1), v+1))
	}
	mustPut(t, s, Sample("b", Subject(1), 1))
	mustPut(t, s, Sample("a", Subject(2), 1))
	dead := grave(Sample("a", Subject(2), 1))
	mustPut(t, s, dead)
	for _, v := range []uint64{0, 2, 4, 1 << 63} {
		if err := s.Remove(ctx, "a", Subject(1), v); !errors.Is(err, verifier.ErrConflict) {
			t.Errorf("Remove of version %d: %v, want ErrConflict", v, err)
		}
	}
	wantRecord(t, s, Sample("a", Subject(1), 3))
	for n, v := range map[int]uint64{1: 3, 2: 2} {
		if err := s.Remove(ctx, "a", Subject(n), v); err != nil {
			t.Errorf("Remove: %v", err)
		}
		wantUnknown(t, s, "a", Subject(n))
		if err := s.Remove(ctx, "a", Subject(n), v); !errors.Is(err, verifier.ErrConflict) {
			t.Errorf("Remove of what is gone: %v, want ErrConflict", err)
		}
	}
	wantConflict(t, s, Sample("a", Subject(1), 4))
	in = in.Reopen(t)
	wantUnknown(t, in.Credentials, "a", Subject(1))
	wantRecord(t, in.Credentials, Sample("b", Subject(1), 1))
	if n := len(collect(t, in.Credentials)); n != 1 {
		t.Errorf("All yields %d records, want 1", n)
	}
	mustPut(t, in.Credentials, Sample("a", Subject(1), 1))
}

func tenantIsolation(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	tenants := []string{"", "a", "aa", "a:", "A", "a ", "*", "{a}", "é", "a/b"}
	for i, tn := range tenants {
		for v := range uint64(i%3 + 1) {
			mustPut(t, s, Sample(tn, Subject(7), v+1))
		}
	}
	for i, tn := range tenants {
		wantRecord(t, s, Sample(tn, Subject(7), uint64(i%3+1)))
	}
	wantUnknown(t, s, "b", Subject(7))
	mustPut(t, s, grave(Sample("a", Subject(7), 2)))
	wantRecord(t, s, Sample("", Subject(7), 1))
	wantRecord(t, s, Sample("A", Subject(7), 2))
}

func bigValues(t testing.TB, open func(testing.TB) Instance) {
	in := open(t)
	var want []verifier.Record
	for i, size := range []int{1, 60, 500, 1000, 1024, 1100, 4000, 5000, 60000, 65536} {
		r := Sample("big", Subject(i), 1)
		r.Hash = strings.Repeat("h", size)
		r.History = slices.Repeat([]string{r.Hash}, min(24, 900_000/size))
		mustPut(t, in.Credentials, r)
		want = append(want, r)
	}
	for i, r := range want { // shrink every second one, let the others grow
		r.Version++
		if i%2 == 0 {
			r.Hash, r.History = "small", nil
		} else {
			r.History = append(slices.Clone(r.History), "one more")
		}
		mustPut(t, in.Credentials, r)
		want[i] = r
	}
	in = in.Reopen(t)
	for _, r := range want {
		wantRecord(t, in.Credentials, r)
	}
}

// noSharedMemory changes what it gave and what it got, and demands that the
// store does not notice.
func noSharedMemory(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	r := Sample("a", Subject(1), 4)
	r.Version = 1
	want := r
	want.History = slices.Clone(r.History)
	mustPut(t, s, r)
	r.History[0] = "changed by the giver"
	got, err := s.Get(ctxOf(t), "a", Subject(1))
	if err != nil {
		t.Fatal(err)
	}
	got.History[0] = "changed by the reader"
	for r, err := range s.All(ctxOf(t)) {
		if err != nil {
			t.Fatal(err)
		}
		r.History[0] = "changed by the walker"
	}
	wantRecord(t, s, want)
}

// collect returns what All yields, the last of each if one comes twice.
func collect(t testing.TB, s verifier.Store) map[string]verifier.Record {
	t.Helper()
	m := map[string]verifier.Record{}
	for r, err := range s.All(ctxOf(t)) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		m[r.Tenant+"|"+string(r.Subject[:])] = r
	}
	return m
}

func all(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	if got := collect(t, s); len(got) != 0 {
		t.Fatalf("All of an empty store yields %d records", len(got))
	}
	const n = 700
	race(16, func(w int) {
		for i := w; i < n; i += 16 {
			r := Sample(fmt.Sprint("t", i%3), Subject(i), 1)
			if err := s.Put(ctxOf(t), r); err != nil {
				t.Errorf("Put: %v", err)
			}
		}
	})
	got := collect(t, s)
	if len(got) != n {
		t.Fatalf("All yields %d records, want %d", len(got), n)
	}
	for i := range n {
		want := Sample(fmt.Sprint("t", i%3), Subject(i), 1)
		if d := cmp.Diff(want, got[want.Tenant+"|"+string(want.Subject[:])], equal); d != "" {
			t.Fatalf("All yields another record than was put (-want +got):\n%s", d)
		}
	}
	yields := 0
	for _, err := range s.All(ctxOf(t)) { // a walk may be left
		if err != nil {
			t.Fatal(err)
		}
		if yields++; yields == 3 {
			break
		}
	}
	mustPut(t, s, Sample("t0", Subject(n), 1))
}

// allDuringWrites walks while others write, and writes itself between two
// yields: the walk misses no record that was there all the time, and holds
// nothing a writer needs.
func allDuringWrites(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	const n = 400
	race(16, func(w int) {
		for i := w; i < n; i += 16 {
			if err := s.Put(ctxOf(t), Sample("walk", Subject(i), 1)); err != nil {
				t.Errorf("Put: %v", err)
			}
		}
	})
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			version := map[int]uint64{}
			for i := w; ; i += 4 {
				select {
				case <-stop:
					return
				default:
				}
				old, fresh := Sample("walk", Subject(i%n), version[i%n]+2), Sample("new", Subject(i), 1)
				version[i%n]++
				for _, r := range []verifier.Record{old, fresh} {
					if err := s.Put(ctxOf(t), r); err != nil {
						t.Errorf("Put during All: %v", err)
						return
					}
				}
			}
		})
	}
	seen := map[verifier.Pseudonym]bool{}
	own := 0
	for r, err := range s.All(ctxOf(t)) {
		if err != nil {
			t.Errorf("All: %v", err)
			break
		}
		if r.Tenant == "walk" {
			seen[r.Subject] = true
		}
		if own < 20 {
			ctx, cancel := context.WithTimeout(ctxOf(t), 5*time.Second)
			err := s.Put(ctx, Sample("own", Subject(own), 1))
			cancel()
			if err != nil {
				t.Errorf("Put between two yields: %v", err)
				break
			}
			own++
		}
	}
	close(stop)
	writers.Wait()
	if len(seen) != n {
		t.Errorf("All during writes yields %d of %d records that were there all the time", len(seen), n)
	}
}

// wantFailure demands an error that is none of the store's answers.
func wantFailure(t testing.TB, what string, err error, answers ...error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
	}
	for _, a := range answers {
		if errors.Is(err, a) {
			t.Errorf("%s: %v, which is an answer and not a failure", what, err)
		}
	}
}

func cancelled(t testing.TB, open func(testing.TB) Instance) {
	in := open(t)
	mustPut(t, in.Credentials, Sample("a", Subject(1), 1))
	ctx, cancel := context.WithCancel(ctxOf(t))
	cancel()
	everyCallFails(t, in, ctx, func(what string, err error) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context = %v, want context.Canceled", what, err)
		}
	})
	wantRecord(t, in.Credentials, Sample("a", Subject(1), 1))
	wantUnknown(t, in.Credentials, "a", Subject(2))

	// Cancelled half way through a walk.
	for i := range 300 {
		mustPut(t, in.Credentials, Sample("b", Subject(i), 1))
	}
	ctx, cancel = context.WithCancel(ctxOf(t))
	defer cancel()
	var last error
	records := 0
	for _, err := range in.Credentials.All(ctx) {
		if last = err; err == nil {
			records++
		}
		cancel()
	}
	if last == nil && records < 301 {
		t.Errorf("All, cancelled, ends without error after %d of 301 records", records)
	}

	// Cancelled at any moment of a Put: nil means it is there, and an error
	// leaves the old record or the new one.
	for i := range 40 {
		ctx, cancel := context.WithTimeout(ctxOf(t), time.Duration(i)*50*time.Microsecond)
		err := in.Credentials.Put(ctx, Sample("c", Subject(i), 1))
		cancel()
		if errors.Is(err, verifier.ErrConflict) {
			t.Errorf("Put of a new subject with a short deadline: %v", err)
		}
		got, gerr := in.Credentials.Get(ctxOf(t), "c", Subject(i))
		switch {
		case gerr == nil && !cmp.Equal(got, Sample("c", Subject(i), 1), equal):
			t.Errorf("a Put that was given up left another record")
		case gerr != nil && (err == nil || !errors.Is(gerr, verifier.ErrUnknownSubject)):
			t.Errorf("Put with a short deadline = %v, and then Get: %v", err, gerr)
		}
	}
}

func broken(t testing.TB, open func(testing.TB) Instance) {
	in := open(t)
	mustPut(t, in.Credentials, Sample("a", Subject(1), 1))
	in.Break(t)
	ctx, cancel := context.WithTimeout(ctxOf(t), 20*time.Second)
	defer cancel()
	everyCallFails(t, in, ctx, func(string, error) {})
}

func reopen(t testing.TB, open func(testing.TB) Instance) {
	in := open(t)
	const n = 60
	for round := range uint64(3) {
		for i := range n {
			mustPut(t, in.Credentials, Sample("a", Subject(i), round+1))
			mustSave(t, in.Objects, object("key", "a", fmt.Sprint(i), round+1))
		}
		in = in.Reopen(t)
		for i := range n {
			wantRecord(t, in.Credentials, Sample("a", Subject(i), round+1))
			wantObject(t, in.Objects, object("key", "a", fmt.Sprint(i), round+1))
		}
		wantUnknown(t, in.Credentials, "a", Subject(n))
		if got := collect(t, in.Credentials); len(got) != n {
			t.Fatalf("All yields %d records, want %d", len(got), n)
		}
	}
}

// importMany puts good, bad and conflicting records at once, if the store can.
func importMany(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Credentials
	im, ok := s.(verifier.Importer)
	if !ok {
		t.Skip("the store does not implement verifier.Importer")
	}
	mustPut(t, s, Sample("i", Subject(5), 1))
	const n = 5000
	rs := make([]verifier.Record, n)
	for i := range rs {
		rs[i] = Sample("i", Subject(i), 1)
	}
	rs[7].State = 0                         // malformed
	rs[9].Version = 3                       // follows nothing
	rs[11] = rs[10]                         // the same subject twice
	rs[4000].Policy = "not \xff"            // malformed
	rs[12].Hash = string(make([]byte, 100)) // NUL
	errs := im.PutAll(ctxOf(t), rs)
	if len(errs) != n {
		t.Fatalf("PutAll returns %d errors for %d records", len(errs), n)
	}
	stored := 0
	for i, err := range errs {
		switch i {
		case 5, 9:
			if !errors.Is(err, verifier.ErrConflict) {
				t.Errorf("record %d: %v, want ErrConflict", i, err)
			}
		case 7, 12, 4000:
			wantFailure(t, fmt.Sprint("record ", i), err, verifier.ErrConflict)
		case 10, 11:
		default:
			if err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
		}
		if err == nil {
			stored++
		}
	}
	if (errs[10] == nil) == (errs[11] == nil) {
		t.Errorf("one subject twice: %v and %v, want one nil and one ErrConflict", errs[10], errs[11])
	}
	if got := collect(t, s); len(got) != stored+1 {
		t.Errorf("after PutAll there are %d records, want %d", len(got), stored+1)
	}
	wantRecord(t, s, Sample("i", Subject(n-1), 1))
	wantUnknown(t, s, "i", Subject(7))
	if errs := im.PutAll(ctxOf(t), nil); len(errs) != 0 {
		t.Errorf("PutAll of nothing returns %d errors", len(errs))
	}
}

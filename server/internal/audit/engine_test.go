// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/audit"
	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// nobody is a store of credentials that has none.
type nobody struct{}

func (nobody) Subjects(context.Context, string) iter.Seq2[verifier.Pseudonym, error] {
	return func(func(verifier.Pseudonym, error) bool) {}
}

func (nobody) Review(context.Context, string, verifier.Pseudonym) (verifier.Reviewed, error) {
	return verifier.Reviewed{}, verifier.ErrUnknownSubject
}

func (nobody) Pseudonym(string, string) (verifier.Pseudonym, error) {
	return verifier.Pseudonym{}, verifier.ErrBadSubject
}

func (nobody) TenantWords(string) ([]string, error) { return nil, nil }

func (nobody) Mark(context.Context, string, verifier.Pseudonym, verifier.State) (bool, error) {
	return false, nil
}

func newHasher(t testing.TB) *password.Hasher {
	t.Helper()
	h, err := password.NewHasher(password.Config{Params: password.Params{Memory: 64, Time: 1, Parallelism: 1}, MemoryBudget: 64 << 20, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func newStore(t testing.TB) objects.Store {
	t.Helper()
	s, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newEngine(t testing.TB, store objects.Store, h *password.Hasher, lease, checkpoint time.Duration) *audit.Engine {
	t.Helper()
	e, err := audit.New(audit.Config{Objects: store, Accounts: nobody{}, Hasher: h, Key: make([]byte, 32), Lease: lease, Checkpoint: checkpoint,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// begin uploads rows in chunks of so many, and starts the audit.
func begin(t testing.TB, e *audit.Engine, q audit.Request, rows []audit.Row, chunk int) string {
	t.Helper()
	ctx := context.Background()
	q.Tenant, q.Source = "t", audit.Uploaded
	a, err := e.Create(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	u, err := e.Upload(ctx, "t", a.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if reason, err := u.Add(ctx, i, r, password.Text{}); err != nil || reason != "" {
			t.Fatalf("row %d: %q, %v", i, reason, err)
		}
		if i%chunk == chunk-1 {
			if err := u.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := u.Complete(ctx); err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// weakRows are rows of which every other has a password among the first ten.
func weakRows(t testing.TB, h *password.Hasher, n int) []audit.Row {
	t.Helper()
	var rows []audit.Row
	for i := range n {
		plain := "123456"
		if i%2 == 1 {
			plain = fmt.Sprintf("nobody guesses number %d", i)
		}
		text, err := password.New(plain)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := h.Hash(context.Background(), password.Batch, text)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, audit.Row{ID: fmt.Sprintf("x%05d", i), Hash: hash})
	}
	return rows
}

// over waits until an audit is settled, and gives its findings.
func over(t testing.TB, e *audit.Engine, id string, limit time.Duration) (*audit.Audit, []audit.Finding, error) {
	t.Helper()
	asked := time.Duration(0) // which is to be a small part of the time
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5*time.Millisecond + 20*asked) {
		begun := time.Now()
		var list []audit.Finding
		a, err := e.Walk(context.Background(), "t", id, func(f *audit.Finding) bool { list = append(list, *f); return true })
		if err == nil {
			return a, list, nil
		}
		if !errors.Is(err, audit.ErrState) {
			return nil, nil, err
		}
		if a, _, err := e.Get(context.Background(), "t", id); err == nil && a.State == audit.Failed {
			return nil, nil, errors.New("the audit failed")
		}
		asked = time.Since(begun)
	}
	return nil, nil, errors.New("the audit does not end")
}

// forgetful is a store that says of every tenth page of findings that it is
// kept, and does not keep it.
type forgetful struct {
	objects.Store
	pages atomic.Int64
}

func (s *forgetful) Save(ctx context.Context, o objects.Object) error {
	if strings.HasPrefix(o.Kind, "audit-f-") && s.pages.Add(1)%10 == 0 {
		return nil
	}
	return s.Store.Save(ctx, o)
}

// undisturbed runs an audit in peace.
func undisturbed(t *testing.T, store objects.Store, h *password.Hasher, rows []audit.Row) (*audit.Audit, []audit.Finding, error) {
	t.Helper()
	e := newEngine(t, store, h, time.Minute, time.Minute)
	id := begin(t, e, audit.Request{Budget: audit.Budget{Guesses: 40}}, rows, 40)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { e.Run(ctx) })
	defer wait.Wait()
	defer cancel()
	return over(t, e, id, 3*time.Minute)
}

// disturbed runs an audit on two servers that are killed again and again, and
// that take each other for dead: their leases are shorter than many a stall.
func disturbed(t *testing.T, store objects.Store, h *password.Hasher, rows []audit.Row) ([]audit.Finding, error) {
	t.Helper()
	ctx := context.Background()
	id := begin(t, newEngine(t, store, h, time.Second, time.Second), audit.Request{Budget: audit.Budget{Guesses: 40}}, rows, 40)
	var wait sync.WaitGroup
	stop, cancel := context.WithCancel(ctx)
	for range 2 {
		wait.Go(func() {
			for stop.Err() == nil {
				life, end := context.WithTimeout(stop, time.Duration(100+rand.IntN(300))*time.Millisecond)
				newEngine(t, store, h, 30*time.Millisecond, 5*time.Millisecond).Run(life)
				end()
			}
		})
	}
	_, list, err := over(t, newEngine(t, store, h, time.Second, time.Second), id, 3*time.Minute)
	cancel()
	wait.Wait()
	return list, err
}

// An audit that is killed and taken over all the time ends with the findings of
// one that runs in peace: none lost, none doubled. A store that loses findings
// is noticed.
func TestAuditSurvivesKills(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	rows := weakRows(t, h, 400)
	a, want, err := undisturbed(t, newStore(t), h, rows)
	if err != nil {
		t.Fatal(err)
	}
	if a.Result.Guessed != 200 || a.Result.Kinds[audit.Shared] != 200 || a.Result.Kinds[audit.Weak] != 200 {
		t.Fatalf("in peace: %+v", a.Result)
	}
	got, err := disturbed(t, newStore(t), h, rows)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(audit.Finding{})); d != "" {
		t.Errorf("killed and taken over (-in peace +disturbed):\n%s", d)
	}
	if _, got, err := undisturbed(t, &forgetful{Store: newStore(t)}, h, rows); err == nil && cmp.Equal(want, got, cmp.AllowUnexported(audit.Finding{})) {
		t.Error("a store that loses findings was not noticed")
	}
}

// A login does not wait for an audit that keeps every slot busy.
func TestLoginsGoBeforeAudits(t *testing.T) {
	t.Parallel()
	h, err := password.NewHasher(password.Config{Params: password.Params{Memory: 4 << 10, Time: 2, Parallelism: 1}, MemoryBudget: 64 << 20, Slots: 2, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	text, err := password.New("nobody guesses this one")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := h.Hash(context.Background(), password.Batch, text)
	if err != nil {
		t.Fatal(err)
	}
	var rows []audit.Row
	for i := range 200 {
		rows = append(rows, audit.Row{ID: fmt.Sprint(i), Hash: hash})
	}
	e := newEngine(t, newStore(t), h, time.Minute, time.Minute)
	begin(t, e, audit.Request{Budget: audit.Budget{Guesses: 1000}}, rows, 2000)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { e.Run(ctx) })
	defer wait.Wait()
	defer cancel()
	for h.Stats().Running < 2 {
		time.Sleep(time.Millisecond)
	}
	for i := range 50 {
		if _, err := h.Verify(context.Background(), password.Interactive, text, hash); err != nil {
			t.Fatalf("login %d beside the audit: %v", i, err)
		}
	}
}

// cleaned runs an engine until it has nothing more to do for an audit.
func cleaned(t *testing.T, e *audit.Engine, id string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { e.Run(ctx) })
	defer wait.Wait()
	defer cancel()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if a, _, err := e.Get(ctx, "t", id); err == nil && a.Cleaned {
			return
		}
	}
	t.Fatal("the audit is never cleaned")
}

// reluctant is a store that does not delete now and then.
type reluctant struct {
	objects.Store
	deletes atomic.Int64
}

func (s *reluctant) Delete(ctx context.Context, kind, tenant, name string, version uint64) error {
	if s.deletes.Add(1)%2 == 0 {
		return errors.New("the store is away")
	}
	return s.Store.Delete(ctx, kind, tenant, name, version)
}

// What is dropped is gone with all its parts, also when the store fails on the
// way; meanwhile nobody meets what is half there.
func TestPurgeLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := newHasher(t)
	store := &reluctant{Store: newStore(t)}
	peace := newEngine(t, store.Store, h, time.Minute, time.Minute)
	id := begin(t, peace, audit.Request{}, weakRows(t, h, 100), 40)
	cleaned(t, peace, id)
	a, _, err := peace.Get(ctx, "t", id)
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, store, h, time.Minute, time.Minute)
	left := func() (n int) {
		for _, kind := range []string{"audit", "audit-r-" + a.ID, "audit-w-" + a.ID, "audit-f-" + a.ID} {
			for _, err := range store.List(ctx, kind, "t") {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
		}
		return n
	}
	if _, err := e.Purge(ctx, a.Ended); err != nil || left() == 0 {
		t.Fatalf("before the time: %v, %d parts left", err, left())
	}
	failed := 0
	for range 1000 {
		if _, err = e.Purge(ctx, a.Ended.Add(time.Second)); err == nil {
			break
		}
		failed++
		if _, _, err := e.Get(ctx, "t", a.ID); !errors.Is(err, audit.ErrUnknown) {
			t.Fatalf("an audit that is half there: %v", err)
		}
	}
	if err != nil || failed == 0 || left() != 0 {
		t.Errorf("after %d failures: %v, %d parts left", failed, err, left())
	}
}

// damaging is a store in which a chunk of rows was changed by somebody, or
// cannot be read without a panic.
type damaging struct {
	objects.Store
	burst bool
}

func (s *damaging) Load(ctx context.Context, kind, tenant, name string) (objects.Object, error) {
	o, err := s.Store.Load(ctx, kind, tenant, name)
	if err == nil && strings.HasPrefix(kind, "audit-r-") {
		if s.burst {
			panic("canary-9Yq")
		}
		o.Data = append([]byte(nil), o.Data...)
		o.Data[len(o.Data)-1] ^= 1
	}
	return o, err
}

// An audit whose rows were changed fails, says so in the event log, and keeps no
// rows; so does one that panics over them, and the process lives.
func TestChangedRowsEndAnAudit(t *testing.T) {
	t.Parallel()
	for name, burst := range map[string]bool{"changed": false, "a panic": true} {
		t.Run(name, func(t *testing.T) { failsOver(t, burst) })
	}
}

func failsOver(t *testing.T, burst bool) {
	ctx := context.Background()
	h := newHasher(t)
	store := &damaging{newStore(t), burst}
	var mu sync.Mutex
	var told []string
	e, err := audit.New(audit.Config{Objects: store, Accounts: nobody{}, Hasher: h, Key: make([]byte, 32), Log: slog.New(slog.DiscardHandler),
		Tell: func(_ context.Context, what string, a *audit.Audit) error {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(what, " ", a.State))
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	id := begin(t, e, audit.Request{}, weakRows(t, h, 10), 10)
	cleaned(t, e, id)
	a, _, err := e.Get(ctx, "t", id)
	if err != nil || a.State != audit.Failed || a.Stop != audit.StopFault || !a.Cleaned {
		t.Errorf("%+v, %v", a, err)
	}
	if want := []string{fmt.Sprint(audit.Began, " ", audit.Running), fmt.Sprint(audit.Ended, " ", audit.Failed)}; !cmp.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	for o, err := range store.List(ctx, "audit-r-"+id, "t") {
		t.Errorf("rows are left: %s, %v", o.Name, err)
	}
}

// The difference to the audit before is the same however many findings are held
// at a time, and records of one id are met one with one.
func TestCompare(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	rows := weakRows(t, h, 60) // the even ones are guessed, and share their password
	for i := range 10 {
		rows[i].ID = "several"
	}
	store := newStore(t)
	before := newEngine(t, store, h, time.Minute, time.Minute)
	previous := begin(t, before, audit.Request{Budget: audit.Budget{Guesses: 10}}, rows[:50], 20)
	cleaned(t, before, previous)
	for _, part := range []int{1 << 20, 7} {
		e := newEngine(t, store, h, time.Minute, time.Minute)
		e.CompareAtATime(part)
		id := begin(t, e, audit.Request{Budget: audit.Budget{Guesses: 10}, Previous: previous}, rows[4:], 20)
		cleaned(t, e, id)
		a, _, err := e.Get(t.Context(), "t", id)
		if err != nil {
			t.Fatal(err)
		}
		// Four rows went, ten came; every row is below the floor and without
		// pepper, every other is weak and shared as well.
		if d := a.Result.Diff; d == nil || d.Gone != 4*2+2*2 || d.New != 10*2+5*2 || d.Same != 46*2+23*2 ||
			d.GoneByKind[audit.Weak] != 2 || d.NewByKind[audit.Shared] != 5 {
			t.Errorf("%d at a time: %+v", part, d)
		}
	}
}

// An audit that somebody has changed in the store stops no other.
func TestADamagedAuditStopsNoOther(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := newHasher(t)
	store := newStore(t)
	for _, name := range []string{"aaaaaaaaaaaaaaaa", "zzzzzzzzzzzzzzzz"} { // before any other and behind
		if err := store.Save(ctx, objects.Object{Kind: "audit", Tenant: "t", Name: name, Version: 1, Data: make([]byte, 64)}); err != nil {
			t.Fatal(err)
		}
	}
	e := newEngine(t, store, h, time.Minute, time.Minute)
	id := begin(t, e, audit.Request{}, weakRows(t, h, 4), 4)
	cleaned(t, e, id)
	if _, err := e.Purge(ctx, time.Now().Add(time.Hour)); err == nil {
		t.Error("a purge that cannot read everything says nothing")
	}
	if _, _, err := e.Get(ctx, "t", id); !errors.Is(err, audit.ErrUnknown) {
		t.Errorf("the sound audit was not dropped: %v", err)
	}
}

// stumbling is a store that fails once when an audit is made.
type stumbling struct {
	objects.Store
	armed atomic.Bool
}

func (s *stumbling) Save(ctx context.Context, o objects.Object) error {
	if o.Kind == "audit" && o.Version == 1 && s.armed.CompareAndSwap(true, false) {
		return errors.New("the store is away")
	}
	return s.Store.Save(ctx, o)
}

// A schedule goes on when the server, or the store, stumbles just as the next
// audit is made; and a purge meanwhile does not end it.
func TestAScheduleGoesOn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	h := newHasher(t)
	store := &stumbling{Store: newStore(t)}
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	e, err := audit.New(audit.Config{Objects: store, Accounts: nobody{}, Hasher: h, Key: make([]byte, 32), Alone: true, Log: slog.New(slog.DiscardHandler), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() { e.Run(ctx) })
	defer wait.Wait()
	defer cancel()
	if _, err := e.Create(ctx, audit.Request{Tenant: "t", Source: audit.OwnStore, Repeat: time.Hour}); err != nil {
		t.Fatal(err)
	}
	count := func(want int) {
		t.Helper()
		n := 0
		for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			list, _, err := e.List(ctx, "t")
			if err != nil {
				t.Fatal(err)
			}
			n = 0
			for _, a := range list {
				if a.Cleaned {
					n++
				}
			}
			if n == want {
				return
			}
		}
		t.Fatalf("%d audits are over, want %d", n, want)
	}
	count(1)
	store.armed.Store(true)
	ahead.Store(int64(61 * time.Minute))
	count(2)
	if store.armed.Load() {
		t.Error("the store did not stumble: the test shows nothing")
	}
	for next := 3; next < 5; next++ {
		ahead.Add(int64(61 * time.Minute))
		count(next)
	}
	if list, _, err := e.List(ctx, "t"); err != nil || list[0].Previous != list[1].ID || list[1].Next != list[0].ID {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := e.Purge(ctx, now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	count(1)
	ahead.Add(int64(61 * time.Minute))
	count(2)
}

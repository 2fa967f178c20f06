// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/mac"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/pepper"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// gate is a store at whose door somebody may stand.
type gate struct {
	*boltstore.Store
	// before is called ahead of each Put, whose error its own becomes.
	before atomic.Pointer[func(verifier.Record) error]
	// careless forgets to compare before it swaps.
	careless bool
}

func (g *gate) Put(ctx context.Context, r verifier.Record) error {
	if f := g.before.Load(); f != nil {
		if err := (*f)(r); err != nil {
			return err
		}
	}
	if g.careless {
		if now, err := g.Get(ctx, r.Tenant, r.Subject); err == nil {
			r.Version = now.Version + 1
		}
	}
	return g.Store.Put(ctx, r)
}

func newGate(t testing.TB) *gate {
	t.Helper()
	return openGate(t, t.TempDir())
}

func openGate(t testing.TB, dir string) *gate {
	t.Helper()
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &gate{Store: s}
}

// key is one secret of 32 bytes.
func key(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

var low, high = password.Params{Memory: 64, Time: 1, Parallelism: 1}, password.Params{Memory: 256, Time: 2, Parallelism: 1}

// open gives a verifier on the store that hashes at p. Its close waits for what
// it does behind logins.
func open(t testing.TB, g *gate, p password.Params) (v *verifier.Verifier, closed func()) {
	t.Helper()
	ctx := context.Background()
	hasher, err := password.NewHasher(password.Config{Params: p, MemoryBudget: 16 << 20, QueueWait: 10 * time.Second, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hasher.Close)
	limiter, err := throttle.New(throttle.Config{Keys: throttle.Keys{Names: key(1), Tokens: [][]byte{key(2)}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { limiter.Close() })
	ring, err := pepper.NewKeyring([]pepper.Key{{ID: "k", State: pepper.Active, Sealer: pepper.NewAES(pepper.Secret{})}})
	if err != nil {
		t.Fatal(err)
	}
	book, err := policybook.New(ctx, policybook.Config{Store: g.Store, Default: "nist-800-63b-4", Key: key(3), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	v, err = verifier.New(ctx, verifier.Config{
		Store: g, Objects: g.Store, Hasher: hasher, Throttle: limiter, Pepper: func() *pepper.Keyring { return ring },
		Keys: verifier.Keys{Subject: mac.NewKey(key(4)), Guess: mac.NewKey(key(5)), Proof: policy.NewProofKey(key(6))}, Policies: book, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, func() { v.Close(context.Background()) }
}

func text(t testing.TB, s string) password.Text {
	t.Helper()
	p, err := password.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const oldPassword, newPassword = "the lantern was green", "the lantern is violet"

func set(t *testing.T, v *verifier.Verifier, s string) {
	t.Helper()
	if _, err := v.Set(t.Context(), verifier.SetRequest{Subject: "alice", CheckRequest: verifier.CheckRequest{Password: text(t, s)}}); err != nil {
		t.Fatalf("Set = %v", err)
	}
}

func matches(t *testing.T, v *verifier.Verifier, s string) bool {
	t.Helper()
	login, err := v.Verify(t.Context(), verifier.VerifyRequest{Subject: "alice", Password: text(t, s)})
	if err != nil {
		t.Fatalf("Verify = %v", err)
	}
	return login.Match
}

func cost(t *testing.T, v *verifier.Verifier) string {
	t.Helper()
	c, err := v.Get(t.Context(), "", "alice")
	if err != nil {
		t.Fatalf("Get = %v", err)
	}
	return c.Cost
}

// newerSurvives sets a new password between a login and the write of its
// re-hash, and tells whether the new one is in force afterwards.
func newerSurvives(t *testing.T, careless bool) bool {
	g := newGate(t)
	v, closed := open(t, g, low)
	set(t, v, oldPassword)
	closed()

	g.careless = careless
	v, closed = open(t, g, high)
	came := false
	change := func(verifier.Record) error {
		g.before.Store(nil) // this write only
		came = true
		set(t, v, newPassword)
		return nil
	}
	g.before.Store(&change)
	if !matches(t, v, oldPassword) {
		t.Fatal("the old password does not match before it is changed")
	}
	closed()
	if !came {
		t.Fatal("the login wrote nothing: there was no re-hash to race with")
	}
	v, closed = open(t, g, high)
	defer closed()
	return matches(t, v, newPassword) && !matches(t, v, oldPassword)
}

func TestRehashDoesNotOverwriteANewerPassword(t *testing.T) {
	if !newerSurvives(t, false) {
		t.Error("the re-hash of the old password replaced the new one")
	}
	// The fault this test is for: a write that does not compare first.
	if newerSurvives(t, true) {
		t.Error("a store that does not compare was not seen")
	}
}

// What stands for an account id is HMAC-SHA-256 of tenant and id, each behind its
// length in 64 bits, cut to half. With another nobody's record would be found after
// an upgrade. The values are those of Python's hmac.
func TestPseudonymsStay(t *testing.T) {
	v, closed := open(t, newGate(t), low)
	defer closed()
	for _, c := range []struct{ tenant, subject, want string }{
		{"", "alice", "851c9eb8c86c6a7a3ddcbfe684974b82"},
		{"acme", "alice", "367f06cb4c2c280a411c9a536a51af7a"},
		{"acme", "Alice", "367f06cb4c2c280a411c9a536a51af7a"},
	} {
		if who, err := v.Pseudonym(c.tenant, c.subject); err != nil || hex.EncodeToString(who[:]) != c.want {
			t.Errorf("%q of %q: %x, %v, want %s", c.subject, c.tenant, who, err, c.want)
		}
	}
}

// The owner's change of a password replaces the one that was confirmed for it, and
// none that was set meanwhile.
func TestChangeDoesNotOverwriteANewerPassword(t *testing.T) {
	g := newGate(t)
	v, closed := open(t, g, low)
	defer closed()
	set(t, v, oldPassword)
	meanwhile := func(verifier.Record) error {
		g.before.Store(nil) // this write only
		set(t, v, newPassword)
		return nil
	}
	g.before.Store(&meanwhile)
	third := "the lantern is of no colour"
	_, err := v.Change(t.Context(), verifier.ChangeRequest{SetRequest: verifier.SetRequest{Subject: "alice", CheckRequest: verifier.CheckRequest{
		Password: text(t, third), Previous: text(t, oldPassword),
	}}})
	if !errors.Is(err, verifier.ErrConflict) {
		t.Errorf("Change = %v, want %v", err, verifier.ErrConflict)
	}
	if matches(t, v, third) || !matches(t, v, newPassword) {
		t.Error("the change replaced what was set meanwhile")
	}
}

// What an audit makes of a credential whose attempts ran out holds when its
// lanes are opened again.
func TestMarksOutlastExhaustion(t *testing.T) {
	for _, c := range []struct {
		name                string
		before, mark, after verifier.State
		changed             bool
	}{
		{"disable", verifier.StateActive, verifier.StateDisabled, verifier.StateDisabled, true},
		{"must change", verifier.StateActive, verifier.StateMustChange, verifier.StateMustChange, true},
		{"compromised already", verifier.StateCompromised, verifier.StateMustChange, verifier.StateCompromised, false},
		{"an older record", verifier.StateDisabled, verifier.StateMustChange, verifier.StateMustChange, true},
		{"an older record, untouched", verifier.StateDisabled, verifier.StateActive, verifier.StateActive, false},
	} {
		g := newGate(t)
		v, closed := open(t, g, low)
		set(t, v, oldPassword)
		who, err := v.Pseudonym("", "alice")
		if err != nil {
			t.Fatal(err)
		}
		r, err := g.Get(t.Context(), "", who)
		if err != nil {
			t.Fatal(err)
		}
		r.Version, r.State, r.Exhausted = r.Version+1, c.before, true
		if err := g.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		state := func(want verifier.State) {
			t.Helper()
			if got, err := v.Get(t.Context(), "", "alice"); err != nil || got.State != want {
				t.Errorf("%s: state %v, %v, want %v", c.name, got.State, err, want)
			}
		}
		state(verifier.StateDisabled)
		if changed, err := v.Mark(t.Context(), "", who, c.mark); changed != c.changed || err != nil {
			t.Errorf("%s: Mark = %v, %v, want %v", c.name, changed, err, c.changed)
		}
		state(verifier.StateDisabled)
		if err := v.ResetLanes(t.Context(), "", "alice", netip.Addr{}); err != nil {
			t.Fatal(err)
		}
		state(c.after)
		closed()
	}
}

// A panic behind a login, or in a row of an import, ends neither the server nor
// what is beside it.
func TestPanicsBehindALoginAreContained(t *testing.T) {
	g := newGate(t)
	v, closed := open(t, g, low)
	set(t, v, oldPassword)
	burst := func(verifier.Record) error { panic("canary-9Yq") }
	g.before.Store(&burst)
	if !matches(t, v, oldPassword) {
		t.Error("no match")
	}
	closed() // waits for what is behind the login
	g.before.Store(nil)

	v, closed = open(t, g, low)
	defer closed()
	v.TenantOf = func(string) verifier.Tenant { panic("canary-9Yq") }
	done := v.Import(t.Context(), "", []verifier.ImportRow{{Subject: "bob", Hash: "x"}})
	if len(done) != 1 || done[0].Err == nil || strings.Contains(done[0].Err.Error(), "canary") {
		t.Errorf("Import = %+v", done)
	}
}

// A login whose re-hash cannot be written is a login, and the next one tries
// again.
func TestFailedRehashDoesNotFailTheLogin(t *testing.T) {
	g := newGate(t)
	v, closed := open(t, g, low)
	set(t, v, oldPassword)
	before := cost(t, v)
	closed()

	v, closed = open(t, g, high)
	fail := func(verifier.Record) error { return errors.New("read-only file system") }
	g.before.Store(&fail)
	if !matches(t, v, oldPassword) {
		t.Error("no match while the store is read-only")
	}
	closed()
	g.before.Store(nil)

	v, closed = open(t, g, high)
	if c := cost(t, v); c != before {
		t.Errorf("the cost is %s although nothing could be written, want %s", c, before)
	}
	if !matches(t, v, oldPassword) {
		t.Error("no match")
	}
	closed()
	v, closed = open(t, g, high)
	defer closed()
	if c := cost(t, v); c != high.String() {
		t.Errorf("after the next login the cost is %s, want %s", c, high)
	}
}

// A hash that costs more than new ones do stays.
func TestRehashNeverLowersTheCost(t *testing.T) {
	g := newGate(t)
	v, closed := open(t, g, high)
	set(t, v, oldPassword)
	closed()
	for _, p := range []password.Params{low, {Memory: 320, Time: 1, Parallelism: 1}, {Memory: 64, Time: 3, Parallelism: 1}} {
		v, closed = open(t, g, p)
		if !matches(t, v, oldPassword) {
			t.Errorf("at %s: no match", p)
		}
		closed()
		v, closed = open(t, g, p)
		if c := cost(t, v); c != high.String() {
			t.Errorf("after a login at %s the cost is %s, want %s", p, c, high)
		}
		closed()
	}
}

// When the cost of new hashes has changed, old rows take another time than a
// stranger's decoy: both wait for the slower.
func TestChangedCostDoesNotShowInTime(t *testing.T) {
	slow := password.Params{Memory: 8 << 10, Time: 4, Parallelism: 1}
	for name, costs := range map[string][2]password.Params{"raised": {low, slow}, "lowered": {slow, low}} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			v, closed := open(t, g, costs[0])
			set(t, v, oldPassword)
			closed()
			v, closed = open(t, g, costs[1])
			defer closed()
			ask := func(subject string) time.Duration {
				begin := time.Now()
				login, err := v.Verify(t.Context(), verifier.VerifyRequest{Subject: subject, Password: text(t, "a wrong guess")})
				if err != nil || login.Match {
					t.Fatalf("Verify = %v, %v", login.Match, err)
				}
				return time.Since(begin)
			}
			// The one hash takes milliseconds, the other a twentieth of one. A
			// machine that others keep busy stretches single answers, of either
			// kind, so the fastest of four count, as a budget of five guesses
			// allows, and one round in which they are alike is enough.
			var told []string
			for range 6 {
				known, unknown := time.Hour, time.Hour
				for range 4 {
					known, unknown = min(known, ask("alice")), min(unknown, ask("nobody"))
				}
				if q := float64(known) / float64(unknown); q > 0.7 && q < 1.4 {
					return
				}
				told = append(told, fmt.Sprintf("%v for a row of the old cost and %v for nobody", known, unknown))
				for _, subject := range []string{"alice", "nobody"} {
					if err := v.ResetLanes(t.Context(), "", subject, netip.Addr{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Errorf("answers took %s", strings.Join(told, ", "))
		})
	}
}

// What a "no match" waited for a slot does not count as part of its wait: else
// a queue would tell rows of a slow scheme from strangers.
func TestQueueDoesNotUseUpTheWait(t *testing.T) {
	v, closed := open(t, newGate(t), low)
	defer closed()
	slow := func(cost int) string {
		phc, err := bcrypt.GenerateFromPassword([]byte("x"), cost)
		if err != nil {
			t.Fatal(err)
		}
		return string(phc)
	}
	if done := v.Import(t.Context(), "", []verifier.ImportRow{{Subject: "slow", Hash: slow(7)}}); done[0].Err != nil {
		t.Fatal(done[0].Err)
	}
	blocker, n := slow(10), v.Hasher.Config().Slots
	ended := make(chan time.Time, n)
	for range n {
		go func() {
			_, err := v.Hasher.Verify(context.Background(), password.Interactive, text(t, "y"), blocker)
			if err != nil {
				t.Error(err)
			}
			ended <- time.Now()
		}()
	}
	for v.Hasher.Stats().Running < n {
		time.Sleep(time.Millisecond)
	}
	if matches(t, v, "a wrong guess") {
		t.Fatal("a match for nobody")
	}
	answered := time.Now()
	// Its hash began when the first of those before it had ended, and the wait
	// is of the pace of the moment: half of it is the least.
	least := v.LegacyWaits()[""] / 2
	if took := answered.Sub(<-ended); took < least {
		t.Errorf("%v after the queue a stranger had an answer, want at least %v", took, least)
	}
	for range n - 1 {
		<-ended
	}
}

// Costs that nobody used leave no wait behind.
func TestUnusedCostIsForgotten(t *testing.T) {
	g := newGate(t)
	_, closed := open(t, g, password.Params{Memory: 8 << 10, Time: 8, Parallelism: 1})
	closed()
	v, closed := open(t, g, low)
	defer closed()
	within, full := time.Hour, time.Hour
	for range 4 {
		begin := time.Now()
		if matches(t, v, "a wrong guess") {
			t.Fatal("a match for nobody")
		}
		within = min(within, time.Since(begin))
	}
	h, err := password.NewHasher(password.Config{Params: password.Params{Memory: 8 << 10, Time: 8, Parallelism: 1}, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 4 {
		begin := time.Now()
		if err := h.Decoy(t.Context(), password.Batch, text(t, "x")); err != nil {
			t.Fatal(err)
		}
		full = min(full, time.Since(begin))
	}
	if within > full {
		t.Errorf("an answer took %v, a hash at the unused cost %v", within, full)
	}
}

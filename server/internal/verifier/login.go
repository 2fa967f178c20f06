// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/throttle"
)

// Source is where a login attempt came from, as the caller tells it.
type Source struct {
	IP              netip.Addr // zero: unknown, limits by address are skipped
	Device          string
	Channel         throttle.Channel
	ChallengePassed bool
}

// VerifyRequest is one login.
type VerifyRequest struct {
	Tenant   string
	Subject  string
	Password password.Text
	Source   Source
}

// Login is what came of a login.
type Login struct {
	Match      bool
	MustChange bool
	// Findings are what the policy of today says about the password that
	// matched.
	Findings    []policy.Violation
	DeviceToken string
	Notify      []string
}

// Verify judges a login: the attempt is spent, the password hashed once, the
// attempt settled. Unknown, disabled and wrong are one answer at one cost.
func (v *Verifier) Verify(ctx context.Context, q VerifyRequest) (Login, error) {
	who, err := v.who(q.Tenant, q.Subject)
	if err != nil {
		return Login{}, err
	}
	r, settled, err := v.confirm(ctx, q.Tenant, who, q.Password, q.Source)
	if err != nil || r == nil {
		return Login{Notify: settled.Notify}, err
	}
	out := Login{Match: true, DeviceToken: settled.DeviceToken, Notify: settled.Notify}
	out.Findings = v.review(ctx, r, q.Password)
	out.MustChange = r.State == StateMustChange || r.State == StateCompromised || mustChange(out.Findings)
	v.touch(*r, q.Password)
	return out, nil
}

// confirm is the one path on which a password is confirmed. It gives the
// record after a match, and nil after anything else.
func (v *Verifier) confirm(ctx context.Context, tenant string, who Pseudonym, text password.Text, src Source) (*Record, throttle.Result, error) {
	// Before the attempt is spent: under overload a refusal must be cheap.
	if err := v.Hasher.Admit(ctx, tenant); err != nil {
		return nil, throttle.Result{}, err
	}
	token, err := v.spend(ctx, throttle.Attempt{
		Tenant: tenant, Subject: who, IP: src.IP, Device: src.Device, Channel: src.Channel,
		Tag: v.Keys.guess(tenant, text), ChallengePassed: src.ChallengePassed,
	})
	if err != nil {
		return nil, throttle.Result{}, err
	}
	begin := time.Now()
	r, match, waited, err := v.compare(ctx, tenant, who, text)
	if err == nil && !match {
		defer v.even(ctx, tenant, begin.Add(waited))
	}
	outcome := throttle.BadSecret
	switch {
	case err == nil && match:
		outcome = throttle.Success
	case errors.Is(err, password.ErrAbandoned):
		// Nobody has seen the answer, but the work was done, and giving the
		// attempt back would let a guesser have hashes for nothing. It counts as
		// a failure when it expires.
		return nil, throttle.Result{}, err
	case plantErrorsAreGuesses:
	case err != nil: // the fault was ours, or no hash began
		outcome = throttle.Cancelled
	}
	settled, serr := v.Throttle.Finish(context.WithoutCancel(ctx), tenant, token, outcome)
	v.settled(ctx, tenant, who, settled)
	switch {
	case err != nil:
		return nil, throttle.Result{}, err
	case serr != nil:
		// The reservation stands as a failure, which is the safe side; a login
		// that was right is not refused for it.
		v.Log.WarnContext(ctx, "an attempt could not be settled", "error", serr)
	}
	if !match {
		return nil, settled, nil
	}
	return &r, settled, nil
}

// spend reserves one attempt.
func (v *Verifier) spend(ctx context.Context, a throttle.Attempt) (token string, err error) {
	d, err := v.Throttle.Begin(ctx, a)
	if err != nil {
		return "", stored(err)
	}
	if d.Closed {
		v.exhaust(ctx, a.Tenant, a.Subject)
	}
	if d.Verdict != throttle.Allow {
		return "", &DeniedError{Verdict: d.Verdict, RetryAfter: d.RetryAfter, Reasons: d.Reasons}
	}
	return d.Token, nil
}

// compare hashes exactly once, whatever there is to compare with: for an
// unknown subject the decoy takes every step that a record would.
func (v *Verifier) compare(ctx context.Context, tenant string, who Pseudonym, text password.Text) (r Record, match bool, waited time.Duration, err error) {
	r, err = v.load(ctx, tenant, who)
	unknown := errors.Is(err, ErrUnknownSubject)
	switch {
	case unknown && plantUnknownUnhashed, err == nil && r.InForce() == StateDisabled && plantDisabledUnhashed:
		return r, false, 0, nil
	case unknown:
		r, err = v.decoy.record()
	}
	if err != nil {
		return Record{}, false, 0, err
	}
	phc, _, err := v.Pepper().Open(ctx, r.Hash, owner(r.Tenant, r.Subject))
	if err != nil {
		return Record{}, false, 0, err
	}
	res, err := v.Hasher.Verify(ctx, password.Interactive.Of(tenant), text, phc)
	if err != nil {
		return Record{}, false, 0, err
	}
	return r, res.Match && r.InForce() != StateDisabled && !unknown, res.Waited, nil
}

// decoy is the stored form of a credential that nobody has, at the live cost
// of hashes and under the active pepper.
type decoy struct {
	owner Pseudonym
	bytes []byte
}

func (v *Verifier) newDecoy(ctx context.Context) (decoy, error) {
	text, err := password.New(rand.Text())
	if err != nil {
		return decoy{}, err
	}
	phc, err := v.Hasher.Hash(ctx, password.Batch, text)
	if err != nil {
		return decoy{}, err
	}
	if err := v.measureOwn(ctx, phc); err != nil {
		return decoy{}, err
	}
	var d decoy
	rand.Read(d.owner[:])
	sealed, err := v.Pepper().Seal(ctx, phc, owner("", d.owner))
	if err != nil {
		return decoy{}, err
	}
	now := v.Now().UTC()
	d.bytes = AppendRecord(nil, Record{Subject: d.owner, Version: 1, Revision: 1, State: StateActive, Hash: sealed,
		Norm: password.NormVersion, Policy: "nist-800-63b-4", PolicyVersion: "1.000000000000", Created: now, Changed: now, LastLogin: now})
	return d, nil
}

func (d decoy) record() (Record, error) { return ParseRecord("", d.owner, d.bytes) }

// settled does what follows from how an attempt ended. The one that closes the
// last lane of an account costs a write whether or not there is one to disable.
func (v *Verifier) settled(ctx context.Context, tenant string, who Pseudonym, res throttle.Result) {
	if !res.Closed {
		return
	}
	if v.exhaust(ctx, tenant, who) || !slices.Contains(res.Notify, throttle.NotifyClosed) {
		return
	}
	if err := v.writeNobody(context.WithoutCancel(ctx), tenant); err != nil {
		v.Log.ErrorContext(ctx, "nobody's record could not be written", "error", err)
	}
}

// writeNobody writes the tombstone of an account that no id leads to.
func (v *Verifier) writeNobody(ctx context.Context, tenant string) error {
	nobody := v.Keys.pseudonym(tenant, "")
	for {
		r, err := v.Store.Get(ctx, tenant, nobody)
		if err != nil && !errors.Is(err, ErrUnknownSubject) {
			return stored(err)
		}
		err = stored(v.Store.Put(ctx, Record{Tenant: tenant, Subject: nobody, Version: r.Version + 1, State: StateDisabled, Changed: v.Now().UTC(), Tombstone: true}))
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// exhaust disables a credential on whose last lane the attempts ran out
// (SP 800-63B-4 §3.2.2), and tells whether it was one to disable.
func (v *Verifier) exhaust(ctx context.Context, tenant string, who Pseudonym) bool {
	changed := false
	_, err := v.update(context.WithoutCancel(ctx), tenant, who, func(r *Record) (bool, error) {
		if changed = r.InForce() != StateDisabled; !changed {
			return false, nil
		}
		r.Exhausted = true
		r.Revision++
		return true, nil
	})
	switch {
	case err == nil && changed && v.Disabled != nil:
		v.Disabled(tenant, who)
	case err != nil && !errors.Is(err, ErrUnknownSubject):
		v.Log.ErrorContext(ctx, "a credential whose attempts ran out could not be disabled", "error", err)
	}
	return changed
}

// reviewWait bounds how long a login waits for the judgement of its password;
// it takes a millisecond or so unless the machine, or the disk under a corpus,
// is in trouble.
const reviewWait = 250 * time.Millisecond

// maxReviews bounds the judgements under way, those included that nobody waits
// for any more.
const maxReviews = 256

// review judges a password that is already in use, while it is at hand. What
// goes wrong here never touches the login: it has no findings then, and the
// next one has.
func (v *Verifier) review(ctx context.Context, r *Record, text password.Text) []policy.Violation {
	select {
	case v.reviews <- struct{}{}:
	default:
		v.Log.WarnContext(ctx, "a password in use was not judged: too many judgements are under way")
		return nil
	}
	found := make(chan []policy.Violation, 1)
	v.background.Add(1)
	go func() {
		defer func() { <-v.reviews; v.background.Done() }()
		defer func() {
			if recover() != nil { // what a panic says may hold the password
				v.Log.ErrorContext(ctx, "judging a password in use panicked")
				found <- nil
			}
		}()
		found <- v.judgeInUse(ctx, *r, text)
	}()
	late := time.NewTimer(reviewWait)
	defer late.Stop()
	select {
	case f := <-found:
		return f
	case <-late.C:
		v.Log.WarnContext(ctx, "a password in use was not judged in time")
		return nil
	}
}

func (v *Verifier) judgeInUse(ctx context.Context, r Record, text password.Text) []policy.Violation {
	p, err := v.Policies.Policy(r.Tenant, r.Policy, r.Subject)
	if errors.Is(err, ErrUnknownPolicy) {
		p, err = v.Policies.Policy(r.Tenant, "", r.Subject)
	}
	if err != nil {
		v.Log.WarnContext(ctx, "a password in use could not be judged", "error", err)
		return nil
	}
	q := CheckRequest{Tenant: r.Tenant, Password: text, Purpose: policy.Login, Use: r.Use}
	changed := r.Changed
	if changed.IsZero() { // imported without the time: no younger than that
		changed = r.Created
	}
	return v.judge(p, q, past{Evidence: policy.Evidence{LastChanged: changed}}).Verdict.Violations
}

// mustChange tells whether a finding about a password in use is such that it
// has to go: it is in a breach corpus over the policy's threshold, or expired.
func mustChange(findings []policy.Violation) bool {
	for _, f := range findings {
		if f.Rule == policy.Breached || f.Rule == policy.Expired {
			return true
		}
	}
	return false
}

// touch brings a record up to date behind a login: a hash of an older cost or
// pepper is replaced, and the day of the login is noted. It never lowers a
// cost, and a password changed in the meantime stays.
func (v *Verifier) touch(r Record, text password.Text) {
	select {
	case v.slots <- struct{}{}:
	default:
		return
	}
	v.background.Add(1)
	go func() {
		defer func() { <-v.slots; v.background.Done() }()
		err := Contain(func() error { return v.upgrade(v.stop, r, text) })
		if err != nil && !errors.Is(err, ErrConflict) && v.stop.Err() == nil {
			v.Log.Warn("a credential could not be upgraded; its next login tries again", "error", err)
		}
	}()
}

// Contain makes ErrPanic of a panic, for work on a goroutine of its own: there
// nobody above could keep the process alive, and what a panic says may hold a
// password.
func Contain(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = ErrPanic
		}
	}()
	return f()
}

func (v *Verifier) upgrade(ctx context.Context, r Record, text password.Text) error {
	own := owner(r.Tenant, r.Subject)
	phc, key, err := v.Pepper().Open(ctx, r.Hash, own)
	if err != nil {
		return err
	}
	today := v.Now().UTC().Truncate(24 * time.Hour)
	stale, current := v.Hasher.Stale(phc), key == v.Pepper().Active()
	if !stale && current && !r.LastLogin.Before(today) {
		return nil
	}
	if stale {
		if phc, err = v.Hasher.Hash(ctx, password.Batch.Of(r.Tenant), text); err != nil {
			return err
		}
	}
	if stale || !current {
		if r.Hash, err = v.Pepper().Seal(ctx, phc, own); err != nil {
			return err
		}
	}
	r.LastLogin = today
	r.Version++
	err = stored(v.Store.Put(ctx, r))
	if plantUpgradeOverwrites && errors.Is(err, ErrConflict) {
		newer, _ := v.Store.Get(ctx, r.Tenant, r.Subject)
		r.Version = newer.Version + 1
		err = stored(v.Store.Put(ctx, r))
	}
	return err
}

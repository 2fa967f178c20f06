// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package verifier holds the order of steps for each use: check, set, verify,
// change. It is the only caller of the stores. Every path that can confirm a
// password goes through one throttle decision and then through exactly one
// hash, whatever the outcome.
package verifier

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/pepper"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/wordlists"
)

// Tenant is what differs between tenants.
type Tenant struct {
	Exact bool // letter case counts in account ids
	Gone  bool // it was destroyed: nothing is kept for it any more
}

// Config is what a Verifier is made of. All fields without a remark are
// needed.
type Config struct {
	Store Store
	// Objects keeps what is not a credential.
	Objects  objects.Store
	Hasher   *password.Hasher
	Throttle *throttle.Limiter
	// Pepper gives the keyring in force.
	Pepper   func() *pepper.Keyring
	Keys     Keys
	Policies Policies
	// Corpora answers for the configured breach corpora; nil means none.
	Corpora Corpora
	// Tenants by name; a tenant that is not in it has the defaults.
	Tenants map[string]Tenant
	// TenantOf is asked instead of Tenants when it is set.
	TenantOf func(name string) Tenant
	// Disabled is told of a credential that was disabled because its attempts
	// ran out; nil means that nobody is.
	Disabled func(tenant string, who Pseudonym)
	Log      *slog.Logger
	Now      func() time.Time
}

// Chosen is what judges one password.
type Chosen struct {
	Policy *policy.Policy
	// Shadow judges besides, without consequence; nil for none.
	Shadow *policy.Policy
	// Words are the tenant's own forbidden words; nil for none.
	Words *policy.Dictionary
}

// Policies finds the policy that judges.
type Policies interface {
	// Policy gives the named policy, or the tenant's default for an empty name;
	// who is a pseudonym that decides between versions under roll-out. It
	// returns ErrUnknownPolicy.
	Policy(tenant, name string, who Pseudonym) (Chosen, error)
	// Record remembers the outcome of a judgement, coarsely and without the
	// password, for simulations.
	Record(tenant string, s policy.Sample)
}

// Verifier carries the steps out.
type Verifier struct {
	Config
	common    *wordlists.CommonList
	legacy    *legacyTimes
	decoy     decoy
	shadowed  shadowed
	measuring sync.Mutex // one scheme is measured at a time

	background sync.WaitGroup
	slots      chan struct{} // of upgrades
	reviews    chan struct{}
	stop       context.Context
	cancel     context.CancelFunc
}

// maxBackground bounds the upgrades that wait behind logins; more are skipped
// and come with the next login.
const maxBackground = 256

// refreshEvery is how often what other servers learnt is read.
const refreshEvery = 5 * time.Second

// New makes a Verifier. Close waits for what it does behind logins.
func New(ctx context.Context, c Config) (*Verifier, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	legacy, err := newLegacyTimes(ctx, c.Objects, c.Hasher.Pace)
	if err != nil {
		return nil, err
	}
	v := &Verifier{Config: c, common: wordlists.Common(), legacy: legacy, slots: make(chan struct{}, maxBackground), reviews: make(chan struct{}, maxReviews)}
	if v.decoy, err = v.newDecoy(ctx); err != nil {
		return nil, err
	}
	v.stop, v.cancel = context.WithCancel(context.Background())
	return v, nil
}

// Fitting counts the passwords of the embedded list that have at least so many
// code points: OWASP ASVS 5.0 6.2.4 asks for 3,000 that match the policy.
func (v *Verifier) Fitting(minRunes int) int { return v.common.CountFitting(minRunes) }

// Run reads what other servers learnt, and how fast this one is, until ctx ends.
func (v *Verifier) Run(ctx context.Context) {
	t := time.NewTicker(refreshEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			v.legacy.keepPace()
			if err := v.legacy.refresh(ctx); err != nil && ctx.Err() == nil {
				v.Log.Warn("times of older hashes could not be read again", "error", err)
			}
		}
	}
}

// Close lets upgrades under way end, for at most until ctx does.
func (v *Verifier) Close(ctx context.Context) {
	done := make(chan struct{})
	go func() { v.background.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	v.cancel()
}

func (v *Verifier) tenant(name string) Tenant {
	if v.TenantOf != nil {
		return v.TenantOf(name)
	}
	return v.Tenants[name]
}

// who gives the pseudonym of an account id.
func (v *Verifier) who(tenant, subject string) (Pseudonym, error) {
	t := v.tenant(tenant)
	if t.Gone {
		return Pseudonym{}, ErrTenantGone
	}
	c, err := Canonical(subject, !t.Exact)
	if err != nil {
		return Pseudonym{}, err
	}
	return v.Keys.pseudonym(tenant, c), nil
}

// owner is what a sealed hash is bound to.
func owner(tenant string, p Pseudonym) pepper.Binding {
	return pepper.Binding{Tenant: tenant, Subject: p[:]}
}

// load gives the record of a live credential; a tombstone is an unknown
// subject, and its counters are given beside the error.
func (v *Verifier) load(ctx context.Context, tenant string, p Pseudonym) (Record, error) {
	r, err := v.Store.Get(ctx, tenant, p)
	if err != nil {
		return Record{}, stored(err)
	}
	if r.Tombstone {
		return Record{Version: r.Version, Revision: r.Revision}, ErrUnknownSubject
	}
	if r.Exhausted && r.State == StateDisabled {
		r.State = StateActive // written when the state before was not kept
	}
	return r, nil
}

// update changes a live record by compare-and-swap, as often as somebody else
// gets in between. change returns false when there is nothing to do.
func (v *Verifier) update(ctx context.Context, tenant string, p Pseudonym, change func(*Record) (bool, error)) (Record, error) {
	for {
		r, err := v.load(ctx, tenant, p)
		if err != nil {
			return r, err
		}
		do, err := change(&r)
		if err != nil || !do {
			return r, err
		}
		r.Version++
		err = stored(v.Store.Put(ctx, r))
		if errors.Is(err, ErrConflict) && ctx.Err() == nil {
			continue
		}
		return r, err
	}
}

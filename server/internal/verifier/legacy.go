// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/password"
)

// A hash of another scheme or cost than the live one takes a time of its own,
// which would tell that the account exists. Where a tenant holds such rows,
// every answer "no match" waits until the slowest of them would have answered.
// The wait is a timer; it holds no hashing slot. There are such rows once
// somebody imported them, and once the costs in the configuration changed.
//
// A time is measured once, together with the pace of the hashes that are made
// here, and goes up and down with that pace from then on, which every login
// measures: a machine that is busier than it was, or another one, waits as long
// as it needs to. The pace is looked at now and then only, so that no answer
// has a wait of its own.

// kindLegacy are the objects that keep how long each scheme and cost takes
// here: per tenant for what was imported, under ownTimes and no tenant for what
// was made by this installation.
const (
	kindLegacy = "legacy"
	legacyName = "times"
	ownTimes   = "own"
)

// Kinds are the kinds of objects that a Verifier keeps for a tenant.
var Kinds = []string{kindLegacy}

// times are by scheme and cost.
type times map[string]measured

// measured is how long a hash took, and the pace of the machine meanwhile.
type measured struct {
	Took time.Duration   `json:"took"`
	Pace float64         `json:"pace,omitempty"` // 0: unknown
	By   password.Scheme `json:"by,omitempty"`   // what the pace is of
}

// UnmarshalJSON takes a bare number too, as it was kept before there was a pace.
func (m *measured) UnmarshalJSON(b []byte) error {
	*m = measured{}
	if json.Unmarshal(b, &m.Took) == nil {
		return nil
	}
	type plain measured
	return json.Unmarshal(b, (*plain)(m))
}

// A pace changes a time within these bounds.
const (
	leastPace = 0.5
	mostPace  = 8
)

// at is the time at another pace.
func (m measured) at(by password.Scheme, pace float64) time.Duration {
	if m.By != by || m.Pace <= 0 || pace <= 0 {
		return m.Took
	}
	return time.Duration(float64(m.Took) * min(max(pace/m.Pace, leastPace), mostPace))
}

func (t times) slowest(by password.Scheme, pace float64) (d time.Duration) {
	for _, one := range t {
		d = max(d, one.at(by, pace))
	}
	return d
}

// legacyTimes knows, per tenant, how long the slowest imported scheme takes.
type legacyTimes struct {
	store objects.Store
	look  func() (password.Scheme, float64)
	mu    sync.Mutex
	by    password.Scheme
	pace  float64
	known map[string]times // of imported rows, by tenant
	own   times
}

func newLegacyTimes(ctx context.Context, store objects.Store, pace func() (password.Scheme, float64)) (*legacyTimes, error) {
	l := &legacyTimes{store: store, look: pace}
	return l, l.refresh(ctx)
}

// keepPace takes the pace of late over.
func (l *legacyTimes) keepPace() {
	by, pace := l.look()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.by, l.pace = by, pace
}

// refresh reads what this and other servers have measured.
func (l *legacyTimes) refresh(ctx context.Context) error {
	known, own := make(map[string]times), make(times)
	for o, err := range l.store.List(ctx, kindLegacy, objects.AllTenants) {
		if err != nil {
			return stored(err)
		}
		t := make(times)
		if err := json.Unmarshal(o.Data, &t); err != nil {
			return fmt.Errorf("stored times of older hashes: %w", err)
		}
		if o.Name == ownTimes {
			own = t
		} else {
			known[o.Tenant] = t
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.own = known, own
	return nil
}

// floor is how long a "no match" of a tenant takes at least; 0 where all
// hashes are alike.
func (l *legacyTimes) floor(tenant string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.known[tenant].slowest(l.by, l.pace)
	if len(l.own) > 1 {
		d = max(d, l.own.slowest(l.by, l.pace))
	}
	return d
}

// LegacyWaits tells, by tenant, how long every "no match" takes at least, at the
// present pace, where imported hashes are kept as they were made elsewhere.
func (v *Verifier) LegacyWaits() map[string]time.Duration {
	v.legacy.mu.Lock()
	defer v.legacy.mu.Unlock()
	out := make(map[string]time.Duration)
	for tenant, t := range v.legacy.known {
		out[tenant] = t.slowest(v.legacy.by, v.legacy.pace)
	}
	return out
}

// has tells whether the time of a scheme is known among a tenant's imported
// rows, or with ownTimes for the name among those made here.
func (l *legacyTimes) has(tenant, name, scheme string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.known[tenant]
	if name == ownTimes {
		t = l.own
	}
	_, ok := t[scheme]
	return ok
}

// learn stores how long a scheme takes, by compare-and-swap.
func (l *legacyTimes) learn(ctx context.Context, tenant, name, scheme string, m measured) error {
	for {
		o, err := l.store.Load(ctx, kindLegacy, tenant, name)
		t := make(times)
		switch {
		case err == nil:
			if err := json.Unmarshal(o.Data, &t); err != nil {
				return fmt.Errorf("stored times of older hashes: %w", err)
			}
		case errors.Is(err, objects.ErrNotFound):
			o = objects.Object{Kind: kindLegacy, Tenant: tenant, Name: name}
		default:
			return stored(err)
		}
		if m.Took > t[scheme].Took {
			t[scheme] = m
		}
		if o.Data, err = json.Marshal(t); err != nil {
			return err
		}
		o.Version++
		switch err = l.store.Save(ctx, o); {
		case errors.Is(err, objects.ErrConflict):
			continue
		case err != nil:
			return stored(err)
		}
		return l.refresh(ctx)
	}
}

// A scheme is tried until both a number of runs and a time have passed, or a
// greater number of runs. Its bound is put at spread above the slowest of them,
// which is above its 99th percentile on any machine that is not overloaded:
// what is left of a tail beyond that tells little.
const (
	leastMeasures = 5
	mostMeasures  = 50
	measureFor    = 500 * time.Millisecond
	spread        = 1.5
)

// schemeAndCost names what takes one time.
func schemeAndCost(info password.Info) string { return string(info.Scheme) + " " + info.Cost() }

// measure makes sure that the time of an imported hash's scheme is known
// before the first row of it is stored.
func (v *Verifier) measure(ctx context.Context, tenant, hash string, info password.Info) error {
	if info.Scheme == password.Argon2id && !v.Hasher.Stale(hash) {
		return nil
	}
	coarse, above := coarsely(info)
	return v.learn(ctx, tenant, legacyName, hash, coarse, above)
}

// coarsely rounds a number of rounds up, by a sixteenth at most, and tells by
// what factor: where each hash was made with a number drawn for it, as some
// libraries do, a few measurements stand for all.
func coarsely(info password.Info) (password.Info, float64) {
	if info.Rounds == 0 {
		return info, 1
	}
	exact, step := info.Rounds, uint64(1)<<max(bits.Len64(info.Rounds)-5, 0)
	info.Rounds = (exact + step - 1) / step * step
	return info, float64(info.Rounds) / float64(exact)
}

// measureOwn makes sure that the time of the hashes that are made here from now
// on is known, beside that of the costs before, given one of them. Costs at
// which nothing was stored are forgotten.
func (v *Verifier) measureOwn(ctx context.Context, hash string) error {
	info, err := password.Parse(hash)
	if err != nil {
		return err
	}
	if v.legacy.has("", ownTimes, schemeAndCost(info)) {
		return nil
	}
	empty := true
	for _, err := range v.Store.All(ctx) {
		if err != nil {
			return stored(err)
		}
		empty = false
		break
	}
	if o, err := v.Objects.Load(ctx, kindLegacy, "", ownTimes); empty && err == nil {
		err := v.Objects.Delete(ctx, kindLegacy, "", ownTimes, o.Version)
		if err != nil && !errors.Is(err, objects.ErrConflict) {
			return stored(err)
		}
	}
	return v.learn(ctx, "", ownTimes, hash, info, 1)
}

// learn measures and stores how long a hash takes, unless that is known for
// what info says; above is how much more that is than the hash. The hash is
// tried with a password that it is not of.
func (v *Verifier) learn(ctx context.Context, tenant, name, hash string, info password.Info, above float64) error {
	scheme := schemeAndCost(info)
	if v.legacy.has(tenant, name, scheme) {
		return nil
	}
	v.measuring.Lock()
	defer v.measuring.Unlock()
	if v.legacy.has(tenant, name, scheme) {
		return nil
	}
	text, err := password.New("no password of anybody")
	if err != nil {
		return err
	}
	var m measured
	start := time.Now()
	for n := 0; n < leastMeasures || n < mostMeasures && time.Since(start) < measureFor; n++ {
		begin := time.Now()
		res, err := v.Hasher.Verify(ctx, password.Batch.Of(tenant), text, hash)
		if err != nil {
			return err
		}
		m.Took = max(m.Took, time.Since(begin)-res.Waited)
		// The pace of the same moments.
		if err := v.Hasher.Decoy(ctx, password.Batch.Of(tenant), text); err != nil {
			return err
		}
	}
	m.Took = time.Duration(spread * above * float64(m.Took))
	m.By, m.Pace = v.Hasher.Pace()
	return v.legacy.learn(ctx, tenant, name, scheme, m)
}

// even waits until a "no match" whose hash began at a time may be told: what it
// waited for a slot before is the same for everybody.
func (v *Verifier) even(ctx context.Context, tenant string, begin time.Time) {
	left := v.legacy.floor(tenant) - time.Since(begin)
	if left <= 0 {
		return
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
type times map[string]time.Duration

func (t times) slowest() (d time.Duration) {
	for _, one := range t {
		d = max(d, one)
	}
	return d
}

// legacyTimes knows, per tenant, how long the slowest imported scheme takes.
type legacyTimes struct {
	store objects.Store
	mu    sync.Mutex
	known map[string]times // of imported rows, by tenant
	own   times
}

func newLegacyTimes(ctx context.Context, store objects.Store) (*legacyTimes, error) {
	l := &legacyTimes{store: store}
	return l, l.refresh(ctx)
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
	d := l.known[tenant].slowest()
	if len(l.own) > 1 {
		d = max(d, l.own.slowest())
	}
	return d
}

// LegacyWaits tells, by tenant, how long every "no match" takes at least where
// imported hashes are kept as they were made elsewhere.
func (v *Verifier) LegacyWaits() map[string]time.Duration {
	v.legacy.mu.Lock()
	defer v.legacy.mu.Unlock()
	out := make(map[string]time.Duration)
	for tenant, t := range v.legacy.known {
		out[tenant] = t.slowest()
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
func (l *legacyTimes) learn(ctx context.Context, tenant, name, scheme string, d time.Duration) error {
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
		t[scheme] = max(t[scheme], d)
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
	return v.learn(ctx, tenant, legacyName, hash, info)
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
	return v.learn(ctx, "", ownTimes, hash, info)
}

// learn measures and stores how long a hash takes, unless that is known. The
// hash is tried with a password that it is not of.
func (v *Verifier) learn(ctx context.Context, tenant, name, hash string, info password.Info) error {
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
	var slowest time.Duration
	start := time.Now()
	for n := 0; n < leastMeasures || n < mostMeasures && time.Since(start) < measureFor; n++ {
		begin := time.Now()
		if _, err := v.Hasher.Verify(ctx, password.Batch, text, hash); err != nil {
			return err
		}
		slowest = max(slowest, time.Since(begin))
	}
	return v.legacy.learn(ctx, tenant, name, scheme, time.Duration(spread*float64(slowest)))
}

// even waits until a "no match" that began at a time may be told.
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

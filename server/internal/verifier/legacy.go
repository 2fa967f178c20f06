// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/password"
)

// A hash of another scheme than the live one takes a time of its own, which
// would tell that the account exists. Where a tenant holds such rows, every
// answer "no match" waits until the slowest of them would have answered. The
// wait is a timer; it holds no hashing slot.

// kindLegacy is the object that keeps, per tenant, how long each imported
// scheme takes here.
const (
	kindLegacy = "legacy"
	legacyName = "times"
)

// legacyTimes knows, per tenant, how long the slowest imported scheme takes.
type legacyTimes struct {
	store  objects.Store
	mu     sync.Mutex
	known  map[string]map[string]time.Duration // tenant, scheme and cost
	floors map[string]time.Duration            // tenant, the slowest
}

func newLegacyTimes(ctx context.Context, store objects.Store) (*legacyTimes, error) {
	l := &legacyTimes{store: store}
	return l, l.refresh(ctx)
}

// refresh reads what this and other servers have measured.
func (l *legacyTimes) refresh(ctx context.Context) error {
	known := make(map[string]map[string]time.Duration)
	for o, err := range l.store.List(ctx, kindLegacy, "*") {
		if err != nil {
			return stored(err)
		}
		times := make(map[string]time.Duration)
		if err := json.Unmarshal(o.Data, &times); err != nil {
			return fmt.Errorf("stored times of imported schemes: %w", err)
		}
		known[o.Tenant] = times
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.floors = known, make(map[string]time.Duration)
	for tenant, times := range known {
		for _, d := range times {
			l.floors[tenant] = max(l.floors[tenant], d)
		}
	}
	return nil
}

// floor is how long a "no match" of a tenant takes at least; 0 without
// imported rows.
func (l *legacyTimes) floor(tenant string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.floors[tenant]
}

// LegacyWaits tells, by tenant, how long every "no match" takes at least where
// imported hashes are kept as they were made elsewhere.
func (v *Verifier) LegacyWaits() map[string]time.Duration {
	v.legacy.mu.Lock()
	defer v.legacy.mu.Unlock()
	return maps.Clone(v.legacy.floors)
}

func (l *legacyTimes) has(tenant, scheme string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.known[tenant][scheme]
	return ok
}

// learn stores how long a scheme takes, by compare-and-swap.
func (l *legacyTimes) learn(ctx context.Context, tenant, scheme string, d time.Duration) error {
	for {
		o, err := l.store.Load(ctx, kindLegacy, tenant, legacyName)
		times := make(map[string]time.Duration)
		switch {
		case err == nil:
			if err := json.Unmarshal(o.Data, &times); err != nil {
				return fmt.Errorf("stored times of imported schemes: %w", err)
			}
		case errors.Is(err, objects.ErrNotFound):
			o = objects.Object{Kind: kindLegacy, Tenant: tenant, Name: legacyName}
		default:
			return stored(err)
		}
		times = maps.Clone(times)
		times[scheme] = max(times[scheme], d)
		if o.Data, err = json.Marshal(times); err != nil {
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

// measures is how often a scheme is tried, and spread how far above the slowest
// of these its bound is put: what is left of a tail beyond that tells little.
const (
	measures = 3
	spread   = 1.5
)

// measure makes sure that the time of an imported hash's scheme is known
// before the first row of it is stored. The hash is tried with a password that
// it is not of.
func (v *Verifier) measure(ctx context.Context, tenant, hash string, info password.Info) error {
	scheme := string(info.Scheme) + " " + info.Cost()
	if info.Scheme == password.Argon2id && !v.Hasher.Stale(hash) || v.legacy.has(tenant, scheme) {
		return nil
	}
	v.measuring.Lock()
	defer v.measuring.Unlock()
	if v.legacy.has(tenant, scheme) {
		return nil
	}
	text, err := password.New("no password of anybody")
	if err != nil {
		return err
	}
	var slowest time.Duration
	for range measures {
		begin := time.Now()
		if _, err := v.Hasher.Verify(ctx, password.Batch, text, hash); err != nil {
			return err
		}
		slowest = max(slowest, time.Since(begin))
	}
	return v.legacy.learn(ctx, tenant, scheme, time.Duration(spread*float64(slowest)))
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

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package identity

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
)

const kindKey = "key"

// RefreshEvery is how often a Keyring reads the keys again. With the time of
// one read it bounds how long a key revoked on another machine still works:
// less than five seconds.
const RefreshEvery = 2 * time.Second

// Keyring holds the keys of an installation in memory. Authenticate never
// waits for the store.
type Keyring struct {
	store objects.Store
	now   func() time.Time
	turn  sync.Mutex // one refresh at a time: an older look never replaces a newer one
	keys  atomic.Pointer[map[string]*entry]
}

type entry struct {
	key     Key
	caller  *Caller
	version uint64
}

// NewKeyring reads the keys once and returns a ring that knows them.
func NewKeyring(ctx context.Context, store objects.Store, now func() time.Time) (*Keyring, error) {
	r := &Keyring{store: store, now: now}
	return r, r.Refresh(ctx)
}

// Refresh reads all keys again. On an error the ring keeps what it knew.
func (r *Keyring) Refresh(ctx context.Context) error {
	r.turn.Lock()
	defer r.turn.Unlock()
	keys := make(map[string]*entry)
	for o, err := range r.store.List(ctx, kindKey, "*") {
		if err != nil {
			return fmt.Errorf("reading keys: %w", err)
		}
		var k Key
		if err := json.Unmarshal(o.Data, &k); err != nil {
			return fmt.Errorf("key %s in the store: %w", o.Name, err)
		}
		c, err := k.caller()
		if err != nil {
			return err
		}
		keys[k.ID] = &entry{key: k, caller: c, version: o.Version}
	}
	r.keys.Store(&keys)
	return nil
}

// Run refreshes until ctx ends, and tells report of each error.
func (r *Keyring) Run(ctx context.Context, report func(error)) {
	t := time.NewTicker(RefreshEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}

// absent is compared with when no key has the id, so that an unknown id and a
// wrong secret take the same steps.
var absent = Key{Digest: sha256.Sum256([]byte("no key has this digest"))}

var errElsewhere = fmt.Errorf("%w: the address is not in the networks of the key", ErrRefused)

// Authenticate gives the caller whose key the text is, or ErrDenied; or
// ErrRefused when the key may not be used from the address.
func (r *Keyring) Authenticate(text string, from netip.Addr) (*Caller, error) {
	id, secret, err := ParseKey(text)
	if err != nil {
		return nil, err
	}
	e, ok := (*r.keys.Load())[id]
	k := &absent
	if ok {
		k = &e.key
	}
	if !k.Matches(secret) || !ok || !k.Live(r.now()) {
		return nil, ErrDenied
	}
	if !e.caller.From(from) {
		return nil, errElsewhere
	}
	return e.caller, nil
}

// Create stores a key made by NewKey.
func (r *Keyring) Create(ctx context.Context, k Key) error {
	if err := r.save(ctx, k, 1); err != nil {
		return err
	}
	return r.Refresh(ctx)
}

func (r *Keyring) save(ctx context.Context, k Key, version uint64) error {
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return r.store.Save(ctx, objects.Object{Kind: kindKey, Tenant: k.Tenant, Name: k.ID, Version: version, Data: b})
}

// List gives the keys of a tenant, or of all with "*", oldest first.
func (r *Keyring) List(tenant string) []Key {
	var out []Key
	for _, e := range *r.keys.Load() {
		if tenant == "*" || e.key.Tenant == tenant {
			out = append(out, e.key)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if !out[i].Created.Equal(out[j].Created) {
			return out[i].Created.Before(out[j].Created)
		}
		return out[i].ID < out[j].ID
	})
	return out
}

// ErrUnknownKey is returned by Revoke for a key that the tenant does not have.
var ErrUnknownKey = errors.New("unknown key")

// Revoke ends a key of a tenant, or of any with "*", at once in this process.
// It returns ErrUnknownKey for a key that the tenant does not have.
// Revoking twice keeps the first time.
func (r *Keyring) Revoke(ctx context.Context, tenant, id string) (Key, error) {
	e, ok := (*r.keys.Load())[id]
	if !ok || tenant != "*" && e.key.Tenant != tenant {
		return Key{}, ErrUnknownKey
	}
	for {
		o, err := r.store.Load(ctx, kindKey, e.key.Tenant, id)
		if err != nil {
			return Key{}, err
		}
		var k Key
		if err := json.Unmarshal(o.Data, &k); err != nil {
			return Key{}, fmt.Errorf("key in the store: %w", err)
		}
		if k.Revoked == nil {
			now := r.now().UTC().Truncate(time.Second)
			k.Revoked = &now
			err = r.save(ctx, k, o.Version+1)
			if errors.Is(err, objects.ErrConflict) {
				continue
			}
			if err != nil {
				return Key{}, err
			}
		}
		return k, r.Refresh(ctx)
	}
}

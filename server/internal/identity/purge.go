// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package identity

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
)

// Erase forgets the keys of a tenant, live or not.
func (r *Keyring) Erase(ctx context.Context, tenant string) error {
	for o, err := range r.store.List(ctx, kindKey, tenant) {
		if err == nil {
			err = r.store.Delete(ctx, kindKey, tenant, o.Name, o.Version)
		}
		if err != nil && !errors.Is(err, objects.ErrNotFound) {
			return err
		}
	}
	return r.Refresh(ctx)
}

// Purge forgets the keys that ended, by revocation or expiry, before a time,
// and returns how many.
func (r *Keyring) Purge(ctx context.Context, before time.Time) (gone int, err error) {
	for id, e := range *r.keys.Load() {
		k := e.key
		ended := k.Revoked != nil && k.Revoked.Before(before) || k.Expires != nil && k.Expires.Before(before)
		if !ended {
			continue
		}
		switch err := r.store.Delete(ctx, kindKey, k.Tenant, id, e.version); {
		case errors.Is(err, objects.ErrConflict): // changed elsewhere: the next look decides
		case err != nil:
			return gone, err
		default:
			gone++
		}
	}
	if gone == 0 {
		return 0, nil
	}
	return gone, r.Refresh(ctx)
}

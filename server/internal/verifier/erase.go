// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"errors"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

// maxWalks bounds how often Erase looks for what was written meanwhile.
const maxWalks = 16

// Erase takes every credential of a tenant out of the store, tombstones
// included, with its counters, and tells how many there were. It goes on until
// it finds none: nobody may write for the tenant any more.
func (v *Verifier) Erase(ctx context.Context, tenant string) (erased int, err error) {
	for range maxWalks {
		found := 0
		for r, err := range v.Store.All(ctx) {
			if err != nil {
				return erased, stored(err)
			}
			if r.Tenant != tenant {
				continue
			}
			found++
			if err := v.Throttle.Reset(ctx, throttle.Query{Tenant: tenant, Subject: r.Subject}); err != nil {
				return erased, stored(err)
			}
			switch err := v.Store.Remove(ctx, tenant, r.Subject, r.Version); {
			case errors.Is(err, ErrConflict): // the next walk sees what it is now
			case err != nil:
				return erased, stored(err)
			default:
				erased++
			}
		}
		if found == 0 {
			return erased, nil
		}
	}
	return erased, errors.New("somebody goes on writing for a tenant that is to be erased")
}

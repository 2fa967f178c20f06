// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
)

// ImportRow is one hash that was made elsewhere.
type ImportRow struct {
	Subject string
	Hash    string
	Changed time.Time // zero: unknown
	State   State     // zero: active
}

// Imported is what came of one row.
type Imported struct {
	Revision uint32
	Scheme   string
	// Wrapped tells that the hash was too weak to keep as it was, and is kept
	// inside argon2id.
	Wrapped bool
	Err     error
}

// Import stores hashes of subjects that have none yet; a subject that has one
// keeps it and its row is ErrConflict. What a login would refuse is refused
// here: password.ErrBadHash, *password.CostError. A bad row leaves the good
// ones alone.
func (v *Verifier) Import(ctx context.Context, tenant string, rows []ImportRow) []Imported {
	out := make([]Imported, len(rows))
	made := make([]Record, len(rows))
	var wg sync.WaitGroup
	turns := make(chan struct{}, runtime.GOMAXPROCS(0)) // a weak hash costs a strong one
	for i, row := range rows {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			err := Contain(func() (err error) {
				made[i], err = v.imported(ctx, tenant, row, &out[i])
				return err
			})
			if err != nil {
				out[i] = Imported{Err: err}
			}
		})
	}
	wg.Wait()
	records, places := make([]Record, 0, len(rows)), make([]int, 0, len(rows))
	for i := range rows {
		if out[i].Err == nil {
			records, places = append(records, made[i]), append(places, i)
		}
	}
	for n, err := range v.putAll(ctx, records) {
		i := places[n]
		if out[i].Revision = records[n].Revision; err != nil {
			out[i] = Imported{Err: stored(err)}
		}
	}
	return out
}

// imported makes the record of a row.
func (v *Verifier) imported(ctx context.Context, tenant string, row ImportRow, done *Imported) (Record, error) {
	who, err := v.who(tenant, row.Subject)
	if err != nil {
		return Record{}, err
	}
	if err := v.Hasher.Check(row.Hash); err != nil {
		return Record{}, err
	}
	info, err := password.Parse(row.Hash)
	if err != nil {
		return Record{}, err
	}
	before, err := v.load(ctx, tenant, who)
	switch {
	case err == nil:
		return Record{}, ErrConflict
	case !errors.Is(err, ErrUnknownSubject):
		return Record{}, err
	}
	hash := row.Hash
	if info.Weak() {
		if hash, err = v.Hasher.Wrap(ctx, password.Batch.Of(tenant), row.Hash); err != nil {
			return Record{}, err
		}
		done.Wrapped = true
	} else if err := v.measure(ctx, tenant, hash, info); err != nil {
		return Record{}, err
	}
	sealed, err := v.Pepper().Seal(ctx, hash, owner(tenant, who))
	if err != nil {
		return Record{}, err
	}
	done.Scheme = string(info.Scheme)
	now := v.Now().UTC()
	r := Record{Tenant: tenant, Subject: who, Version: before.Version + 1, Revision: before.Revision + 1, State: row.State,
		Hash: sealed, Norm: password.NormVersion, Created: now, Changed: row.Changed.UTC()}
	if r.State == 0 {
		r.State = StateActive
	}
	return r, nil
}

// putAll writes records in one go where the store can.
func (v *Verifier) putAll(ctx context.Context, records []Record) []error {
	if im, ok := v.Store.(Importer); ok {
		return im.PutAll(ctx, records)
	}
	errs := make([]error, len(records))
	for i, r := range records {
		errs[i] = v.Store.Put(ctx, r)
	}
	return errs
}

// Reseal seals every hash under the active pepper key that is under another.
// No password is needed, and logins go on meanwhile. It tells how many records
// it changed, and how many are left because they could not be.
func (v *Verifier) Reseal(ctx context.Context) (changed, left int, err error) {
	for r, err := range v.Store.All(ctx) {
		if err != nil {
			return changed, left, stored(err)
		}
		if r.Tombstone {
			continue
		}
		did := false
		_, err = v.update(ctx, r.Tenant, r.Subject, func(r *Record) (bool, error) {
			var err error
			did, err = v.reseal(ctx, r)
			return did, err
		})
		switch {
		case errors.Is(err, ErrUnknownSubject): // deleted meanwhile
		case err != nil && ctx.Err() != nil:
			return changed, left, ctx.Err()
		case err != nil:
			left++
		case did:
			changed++
		}
	}
	return changed, left, nil
}

func (v *Verifier) reseal(ctx context.Context, r *Record) (changed bool, err error) {
	ring, own := v.Pepper(), owner(r.Tenant, r.Subject)
	hashes := append([]*string{&r.Hash}, make([]*string, 0, len(r.History))...)
	for i := range r.History {
		hashes = append(hashes, &r.History[i])
	}
	for _, h := range hashes {
		sealed, did, err := ring.Rewrap(ctx, *h, own)
		if err != nil {
			return false, err
		}
		*h, changed = sealed, changed || did
	}
	return changed, nil
}

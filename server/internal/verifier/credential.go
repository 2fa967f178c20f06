// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/throttle"
)

// Credential is everything about a record but its hash.
type Credential struct {
	State         State
	Scheme        string
	Cost          string
	Revision      uint32
	Created       time.Time
	Changed       time.Time
	LastLogin     time.Time
	Age           time.Duration // 0 where Changed is unknown
	Stale         bool
	Policy        string
	PolicyVersion string
	History       int
	Norm          string
}

// Get describes a credential, or returns ErrUnknownSubject.
func (v *Verifier) Get(ctx context.Context, tenant, subject string) (Credential, error) {
	who, err := v.who(tenant, subject)
	if err != nil {
		return Credential{}, err
	}
	r, err := v.load(ctx, tenant, who)
	if err != nil {
		return Credential{}, err
	}
	phc, key, err := v.Pepper().Open(ctx, r.Hash, owner(tenant, who))
	if err != nil {
		return Credential{}, err
	}
	info, err := password.Parse(phc)
	if err != nil {
		return Credential{}, err
	}
	age := time.Duration(0)
	if !r.Changed.IsZero() {
		age = v.Now().Sub(r.Changed)
	}
	return Credential{
		State: r.InForce(), Scheme: string(info.Scheme), Cost: info.Cost(), Revision: r.Revision,
		Created: r.Created, Changed: r.Changed, LastLogin: r.LastLogin, Age: age,
		Stale: key != v.Pepper().Active() || v.Hasher.Stale(phc), Policy: r.Policy, PolicyVersion: r.PolicyVersion,
		History: len(r.History), Norm: r.Norm,
	}, nil
}

// SetState changes the state of a credential. StateActive also opens its
// lanes: it binds the authenticator anew.
func (v *Verifier) SetState(ctx context.Context, tenant, subject string, s State, ifRevision *uint32) (uint32, error) {
	who, err := v.who(tenant, subject)
	if err != nil {
		return 0, err
	}
	r, err := v.update(ctx, tenant, who, func(r *Record) (bool, error) {
		if ifRevision != nil && *ifRevision != r.Revision {
			return false, ErrConflict
		}
		if r.State == s && !r.Exhausted {
			return false, nil
		}
		r.State, r.Exhausted = s, false
		r.Revision++
		return true, nil
	})
	if err != nil {
		return 0, err
	}
	if s == StateActive {
		if err := v.Throttle.Reset(ctx, throttle.Query{Tenant: tenant, Subject: who}); err != nil {
			return 0, stored(err)
		}
	}
	return r.Revision, nil
}

// Delete removes hash, history and counters, and leaves a tombstone without
// personal data, so that no writer who read before brings the record back.
// Deleting what does not exist succeeds.
func (v *Verifier) Delete(ctx context.Context, tenant, subject string) error {
	who, err := v.who(tenant, subject)
	if err != nil {
		return err
	}
	_, err = v.update(ctx, tenant, who, func(r *Record) (bool, error) {
		*r = Record{Tenant: tenant, Subject: who, Version: r.Version, Revision: r.Revision, State: StateDisabled, Changed: v.Now().UTC(), Tombstone: true}
		return true, nil
	})
	if err != nil && !errors.Is(err, ErrUnknownSubject) {
		return err
	}
	return stored(v.Throttle.Reset(ctx, throttle.Query{Tenant: tenant, Subject: who}))
}

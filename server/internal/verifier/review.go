// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"encoding/base64"
	"errors"
	"iter"
)

// String spells a pseudonym as events and audits show it: unpadded URL base64.
func (p Pseudonym) String() string { return base64.RawURLEncoding.EncodeToString(p[:]) }

// Reviewed is a stored credential opened for an audit.
type Reviewed struct {
	Record
	// PHC is the hash as it would be without the pepper. It must not be kept.
	PHC string
}

// Subjects yields the live credentials of a tenant by their pseudonyms, some
// perhaps twice.
func (v *Verifier) Subjects(ctx context.Context, tenant string) iter.Seq2[Pseudonym, error] {
	return func(yield func(Pseudonym, error) bool) {
		for r, err := range v.Store.All(ctx) {
			if err != nil {
				yield(Pseudonym{}, stored(err))
				return
			}
			if r.Tenant != tenant || r.Tombstone {
				continue
			}
			if !yield(r.Subject, nil) {
				return
			}
		}
	}
}

// Review opens one credential. It returns ErrUnknownSubject for one that was
// deleted meanwhile.
func (v *Verifier) Review(ctx context.Context, tenant string, who Pseudonym) (Reviewed, error) {
	r, err := v.load(ctx, tenant, who)
	if err != nil {
		return Reviewed{}, err
	}
	phc, _, err := v.Pepper().Open(ctx, r.Hash, owner(tenant, who))
	if err != nil {
		return Reviewed{}, err
	}
	return Reviewed{Record: r, PHC: phc}, nil
}

// Pseudonym gives the pseudonym of an account id, so that well-known names can
// be found among those that are stored.
func (v *Verifier) Pseudonym(tenant, subject string) (Pseudonym, error) {
	return v.who(tenant, subject)
}

// TenantWords gives the words of the tenant's dictionary.
func (v *Verifier) TenantWords(tenant string) ([]string, error) {
	p, err := v.Policies.Policy(tenant, "", Pseudonym{})
	if err != nil {
		return nil, err
	}
	return p.Words.Words(), nil
}

// Mark sets the state of a credential that an audit has found something about.
// Nothing changes, and changed is false, if it was deleted, or has a state that
// asks for as much already: a disabled one stays so.
func (v *Verifier) Mark(ctx context.Context, tenant string, who Pseudonym, s State) (changed bool, err error) {
	_, err = v.update(ctx, tenant, who, func(r *Record) (bool, error) {
		changed = r.State != s && r.State != StateDisabled
		if changed && s == StateMustChange && r.State == StateCompromised {
			changed = false
		}
		if !changed {
			return false, nil
		}
		r.State = s
		r.Exhausted = r.Exhausted && s != StateDisabled // opening its lanes does not undo it then
		r.Revision++
		return true, nil
	})
	if errors.Is(err, ErrUnknownSubject) {
		return false, nil
	}
	return changed && err == nil, err
}

// ParsePseudonym reads what String wrote.
func ParsePseudonym(s string) (p Pseudonym, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(p) {
		return p, false
	}
	copy(p[:], b)
	return p, true
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policybook

import (
	"context"
	"errors"
	"fmt"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Put stores a version of a policy. The first is current at once; a later one
// is a candidate in shadow mode until Roll gives it a share. With ifVersion,
// it returns verifier.ErrConflict unless the newest version is that one. A
// document that is no policy gives a *policy.ParseError.
func (b *Book) Put(ctx context.Context, tenant, name string, doc []byte, ifVersion string) (*policy.Policy, error) {
	p, err := b.Parse(tenant, name, doc)
	if err != nil {
		return nil, err
	}
	_, err = b.roll(ctx, tenant, name, true, func(r policy.Rollout) (policy.Rollout, error) {
		newest := r.Current
		if r.Candidate != "" {
			newest = r.Candidate
		}
		if ifVersion != "" && ifVersion != newest {
			return r, verifier.ErrConflict
		}
		return r.Put(p, doc, false, b.Now()), nil
	})
	return p, err
}

// Roll sets how far the candidate version has come: judging in shadow, a share
// of the subjects, or, at 100, everybody.
func (b *Book) Roll(ctx context.Context, tenant, name, version string, percent int, shadow bool) (policy.Rollout, error) {
	return b.roll(ctx, tenant, name, false, func(r policy.Rollout) (policy.Rollout, error) {
		if version != "" && version != r.Candidate {
			return r, ErrUnknownVersion
		}
		return r.Set(percent, shadow)
	})
}

// Rollback drops the candidate or, with none waiting, goes back one version.
func (b *Book) Rollback(ctx context.Context, tenant, name string) (policy.Rollout, error) {
	return b.roll(ctx, tenant, name, false, policy.Rollout.Rollback)
}

// roll changes the versions of one stored policy by compare-and-swap.
func (b *Book) roll(ctx context.Context, tenant, name string, create bool, f func(policy.Rollout) (policy.Rollout, error)) (policy.Rollout, error) {
	b.write.Lock()
	defer b.write.Unlock()
	s := b.state.Load()
	if s.shelf(tenant).policies[name] == nil {
		switch _, exists := s.base.Get(name); {
		case s.base.BuiltIn(name):
			return policy.Rollout{}, ErrBuiltin
		case exists:
			return policy.Rollout{}, ErrFromFile
		}
	}
	for {
		e := s.shelf(tenant).policies[name]
		o, err := b.Store.Load(ctx, kindPolicy, tenant, name)
		switch {
		case err == nil:
			if e == nil || e.version != o.Version {
				if e, err = open(o); err != nil {
					return policy.Rollout{}, fmt.Errorf("stored policy: %w", err)
				}
			}
		case errors.Is(err, objects.ErrNotFound) && create:
			if len(s.shelf(tenant).policies) >= MaxPolicies {
				return policy.Rollout{}, ErrFull
			}
			o = objects.Object{Kind: kindPolicy, Tenant: tenant, Name: name}
			e = &entry{}
		case errors.Is(err, objects.ErrNotFound):
			return policy.Rollout{}, verifier.ErrUnknownPolicy
		default:
			return policy.Rollout{}, err
		}
		r, err := f(e.rollout)
		if err != nil {
			return r, err
		}
		o.Version++
		for o.Data = r.Marshal(); len(o.Data) > objects.MaxData; o.Data = r.Marshal() {
			if r, err = r.Forget(); err != nil {
				return r, err
			}
		}
		// What could not be opened again is never stored.
		next, err := made(r, o.Version, e.releases)
		if err != nil {
			return r, err
		}
		switch err = b.Store.Save(ctx, o); {
		case errors.Is(err, objects.ErrConflict):
			continue
		case err != nil:
			return r, err
		}
		b.change(tenant, func(sh *shelf) { sh.policies[name] = next })
		return r, nil
	}
}

// Words gives the dictionary of a tenant; nil is the empty one.
func (b *Book) Words(tenant string) *policy.Dictionary { return b.state.Load().shelf(tenant).words }

// EditWords changes the dictionary of a tenant by compare-and-swap.
func (b *Book) EditWords(ctx context.Context, tenant string, f func(*policy.Dictionary) (*policy.Dictionary, error)) (*policy.Dictionary, error) {
	b.write.Lock()
	defer b.write.Unlock()
	for {
		o, err := b.Store.Load(ctx, kindWords, tenant, single)
		var d *policy.Dictionary
		switch {
		case err == nil:
			if d, err = policy.ParseDictionary(o.Data); err != nil {
				return nil, fmt.Errorf("stored dictionary: %w", err)
			}
		case errors.Is(err, objects.ErrNotFound):
			o = objects.Object{Kind: kindWords, Tenant: tenant, Name: single}
		default:
			return nil, err
		}
		next, err := f(d)
		if err != nil {
			return nil, err
		}
		if next != d {
			o.Version++
			if o.Data, err = next.MarshalText(); err != nil {
				return nil, err
			}
			if len(o.Data) > objects.MaxData {
				return nil, policy.ErrDictionaryFull
			}
			switch err = b.Store.Save(ctx, o); {
			case errors.Is(err, objects.ErrConflict):
				continue
			case err != nil:
				return nil, err
			}
		}
		b.change(tenant, func(sh *shelf) { sh.words, sh.version = next, o.Version })
		return next, nil
	}
}

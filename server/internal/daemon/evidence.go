// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/watchword-project/watchword/server/internal/evidence"
	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/verifier"
	"github.com/watchword-project/watchword/wordlists"
)

// Evidence implements rpc.Installation: what the running server has in force.
func (i installation) Evidence(ctx context.Context, standard, locale string) (html, json []byte, found bool, err error) {
	f, err := i.facts(ctx)
	if err != nil {
		return nil, nil, false, err
	}
	e, err := i.s.config.evidence(f, i.s.dir, *i.s.tenants.made.Load(), i.s.book.InForce)
	if err != nil {
		return nil, nil, false, err
	}
	h := i.s.hasher.Config()
	e.Hashing.Memory, e.Hashing.Time, e.Hashing.Parallelism = uint64(h.Params.Memory)<<10, int(h.Params.Time), int(h.Params.Parallelism)
	e.Hashing.Scheme, e.Hashing.Rounds, e.Hashing.InsecureTestCost = string(h.Scheme), int(h.Rounds), h.Insecure
	e.Running, e.Version = true, i.s.version
	return packed(e, standard, locale)
}

func packed(f *evidence.Facts, standard, locale string) (html, json []byte, found bool, err error) {
	p, found := evidence.Gather(f, standard, locale)
	if !found {
		return nil, nil, false, nil
	}
	json, err = p.JSON()
	return p.HTML(), json, true, err
}

// Evidence holds an installation on which no server runs against a standard.
func Evidence(ctx context.Context, c Config, dir, version, standard, locale string) (html, json []byte, found bool, err error) {
	d := dataDir(dir)
	var made map[string]tenant
	inForce := c.written
	f, err := c.atRest(ctx, d, func(store *keep) error {
		tenants, err := newTenants(ctx, store, c.Tenants, &subjectKeys{dir: d.path(subjectKeysDir)})
		if err != nil {
			return err
		}
		made = *tenants.made.Load()
		book, err := c.book(ctx, store, tenants, nil, time.Now)
		if err != nil {
			return err
		}
		inForce = book.InForce
		return nil
	})
	if err != nil {
		return nil, nil, false, err
	}
	e, err := c.evidence(f, d, made, inForce)
	if err != nil {
		return nil, nil, false, err
	}
	e.Version = version
	return packed(e, standard, locale)
}

// written gives the policy of a tenant as the configuration has it, where the
// store, which may have others, cannot be asked.
func (c Config) written(tenant string) ([]*policy.Policy, error) {
	set, err := policybook.Dir(c.Policy.Dir)
	if err != nil {
		return nil, err
	}
	name := c.Policy.Default
	for _, t := range c.Tenants {
		if t.Name == tenant {
			name = cmp.Or(t.Policy, name)
		}
	}
	p, ok := set.Get(name)
	if !ok {
		return nil, verifier.ErrUnknownPolicy
	}
	return []*policy.Policy{p}, nil
}

// evidence adds what a standard asks about and an examination does not.
func (c Config) evidence(f *facts, dir dataDir, made map[string]tenant, inForce func(tenant string) ([]*policy.Policy, error)) (*evidence.Facts, error) {
	e := &evidence.Facts{Facts: f.Facts, Store: c.Store.Kind, Webhook: c.Webhook.URL != "", Embedded: wordlists.Common().Len()}
	e.Pepper = evidence.Pepper{Keys: len(c.Pepper.Keys), Beside: len(c.Pepper.Keys) == 0}
	for _, k := range c.Pepper.Keys {
		e.Pepper.Beside = e.Pepper.Beside || k.File != "" && filepath.Dir(k.File) == string(dir)
	}
	if len(c.Pepper.Keys) == 0 {
		e.Pepper.Keys = len(f.peppers)
	}
	made = maps.Clone(made)
	maps.DeleteFunc(made, func(_ string, x tenant) bool { return x.Destroyed != nil })
	names := slices.AppendSeq([]string{identity.DefaultTenant}, maps.Keys(made))
	for _, t := range c.Tenants {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	for _, tenant := range slices.Compact(names) {
		policies, err := inForce(tenant)
		if err != nil {
			return nil, fmt.Errorf("the policy of tenant %s: %w", tenant, err)
		}
		for _, p := range policies {
			e.Policies = append(e.Policies, evidence.InForce{Tenant: tenant, Policy: p, Fitting: wordlists.Common().CountFitting(max(p.Form("en").MinLength, p.Form("en").MinLengthMFA))})
		}
	}
	return e, nil
}

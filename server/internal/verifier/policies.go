// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import "github.com/watchword-project/watchword/server/internal/policy"

// builtin finds policies in a set that does not change.
type builtin struct {
	set      *policy.Set
	fallback string
	tenants  map[string]Tenant
}

// NewPolicies finds policies in a set; a tenant without a default of its own
// has the fallback.
func NewPolicies(set *policy.Set, fallback string, tenants map[string]Tenant) Policies {
	return &builtin{set, fallback, tenants}
}

func (b *builtin) Policy(tenant, name string, _ Pseudonym) (*policy.Policy, error) {
	if name == "" {
		name = b.tenants[tenant].Policy
	}
	if name == "" {
		name = b.fallback
	}
	p, ok := b.set.Get(name)
	if !ok {
		return nil, ErrUnknownPolicy
	}
	return p, nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"iter"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
)

// Simulate judges samples by a draft, with the evidence that a check of each
// would have. Nothing of it is recorded.
func (v *Verifier) Simulate(ctx context.Context, tenant string, draft *policy.Policy, use policy.Use, texts iter.Seq[password.Text]) (policy.Report, error) {
	c, err := v.Policies.Policy(tenant, "", Pseudonym{})
	if err != nil {
		return policy.Report{}, err
	}
	report := policy.Simulate(draft, func(yield func(policy.Sample) bool) {
		for t := range texts {
			q := CheckRequest{Tenant: tenant, Password: t, Use: use}
			ev := v.evidence(ctx, c.Words, q, policy.Evidence{})
			if ctx.Err() != nil || !yield(policy.Sample{Text: t, Use: use, Evidence: ev}) {
				return
			}
		}
	})
	return report, ctx.Err()
}

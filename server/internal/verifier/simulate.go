// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"iter"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/wordlists"
)

// Simulate judges samples by a draft and a tenant's words, with the evidence
// that a check of each would have. Nothing of it is recorded.
func (v *Verifier) Simulate(ctx context.Context, draft *policy.Policy, words *policy.Dictionary, use policy.Use, texts iter.Seq[password.Text]) (policy.Report, error) {
	needs := draft.Needs()
	report := policy.Simulate(draft, func(yield func(policy.Sample) bool) {
		for t := range texts {
			ev := v.evidence(needs, words, CheckRequest{Password: t, Use: use}, policy.Evidence{})
			if ctx.Err() != nil || !yield(policy.Sample{Text: t, Use: use, Evidence: ev}) {
				return
			}
		}
	})
	return report, ctx.Err()
}

// SimulateAlone is Simulate without a server: no corpus is asked, and there are
// no words of a tenant.
func SimulateAlone(ctx context.Context, draft *policy.Policy, use policy.Use, texts iter.Seq[password.Text]) (policy.Report, error) {
	v := &Verifier{Config: Config{Now: time.Now}, common: wordlists.Common()}
	return v.Simulate(ctx, draft, nil, use, texts)
}

// maxRounds bounds how often Generate makes passwords anew in the place of
// those that were refused.
const maxRounds = 8

// Generate makes passwords that the named policy accepts from anyone, for
// either use, by all the evidence that a check has. It returns
// policy.ErrUnsatisfiable when there are none of the kind.
func (v *Verifier) Generate(ctx context.Context, tenant, name string, g policy.Generation) ([]string, error) {
	p, err := v.Policies.Policy(tenant, name, Pseudonym{})
	if err != nil {
		return nil, err
	}
	var out []string
	left := g.Count
	for range maxRounds {
		g.Count, g.Dictionary = left, p.Words
		made, err := p.Policy.Generate(g)
		if err != nil {
			return nil, err
		}
		for _, m := range made {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			ok, err := v.suits(p, m.Password)
			if err != nil {
				return nil, err
			}
			if ok {
				out = append(out, m.Password)
				left--
			}
		}
		if left == 0 {
			return out, nil
		}
	}
	return nil, policy.ErrUnsatisfiable
}

// suits tells whether a new password would be accepted. That a corpus cannot
// be asked is not the password's fault.
func (v *Verifier) suits(p Chosen, made string) (bool, error) {
	text, err := password.New(made)
	if err != nil {
		return false, err
	}
	ev := v.evidence(p.Policy.Needs(), p.Words, CheckRequest{Password: text}, policy.Evidence{})
	for _, use := range []policy.Use{policy.SingleFactor, policy.MultiFactor} {
		for _, x := range p.Policy.Judge(text, use, policy.Signup, policy.Context{}, ev).Violations {
			if x.Rule != policy.BreachUnavailable {
				return false, nil
			}
		}
	}
	return true, nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/strength"
)

// CheckRequest asks for a judgement of one candidate.
type CheckRequest struct {
	Tenant   string
	Password password.Text
	Previous password.Text // zero: not known
	Policy   string        // empty: the tenant's default
	Context  policy.Context
	Use      policy.Use
	Purpose  policy.Purpose
}

// Judgement is what is known about a candidate.
type Judgement struct {
	Verdict  policy.Verdict
	Estimate strength.Estimate
	Breach   policy.Breach
	// Proof shows to Set that this very password was accepted; empty if it was
	// not.
	Proof string
}

// Check judges a candidate. A weak one is an answer.
func (v *Verifier) Check(ctx context.Context, q CheckRequest) (Judgement, error) {
	p, err := v.Policies.Policy(q.Tenant, q.Policy, Pseudonym{})
	if err != nil {
		return Judgement{}, err
	}
	j := v.judge(ctx, p, q, policy.Evidence{Previous: q.Previous})
	if j.Verdict.Accept && q.Purpose != policy.Login {
		j.Proof = v.proof(q, j.Verdict).Sign(v.Keys.Proof, v.Now().Add(proofLife))
	}
	return j, nil
}

// judge gathers what the policy needs to know, and lets it decide.
func (v *Verifier) judge(ctx context.Context, p *policy.Policy, q CheckRequest, ev policy.Evidence) Judgement {
	ev.Now = v.Now()
	text := q.Password.Reveal()
	if m, ok := v.common.Match(text); ok {
		list := "common"
		if m.Default {
			list = "default-credentials"
		}
		ev.Listed = append(ev.Listed, policy.Listed{List: list, Form: m.Form.String(), Rank: m.Rank})
	}
	if v.Corpora != nil {
		ev.Breach = v.Corpora.Breach(ctx, q.Password)
	}
	estimate := strength.Of(text, strength.NewHints(strength.Context{
		Login: q.Context.Login, Emails: q.Context.Emails, Names: q.Context.Names, Phones: q.Context.Phones,
		Words: q.Context.Words, BirthDate: q.Context.BirthDate, Previous: q.Previous.Reveal(),
	}))
	ev.Estimate = policyEstimate(estimate)
	return Judgement{Verdict: p.Judge(q.Password, q.Use, q.Purpose, q.Context, ev), Estimate: estimate, Breach: ev.Breach}
}

func policyEstimate(e strength.Estimate) *policy.Estimate {
	out := &policy.Estimate{GuessesLog10: e.GuessesLog10, Score: e.Score}
	for _, s := range e.Segments() {
		out.Segments = append(out.Segments, policy.Segment{Kind: s.Kind.String(), Start: s.Start, End: s.End})
	}
	return out
}

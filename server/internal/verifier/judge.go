// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"

	"github.com/watchword-project/watchword/server/internal/lookup"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
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
	Estimate policy.Estimate
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
	j := v.judge(p, q, past{Evidence: policy.Evidence{Previous: q.Previous}})
	if j.Verdict.Accept && q.Purpose != policy.Login {
		j.Proof = v.proof(q, p).Sign(v.Keys.Proof, v.Now().Add(proofLife))
	}
	return j, nil
}

// needs is what the policy and the one in its shadow look at.
func (c Chosen) needs() policy.Needs {
	n := c.Policy.Needs()
	if c.Shadow != nil {
		n = n.With(c.Shadow.Needs())
	}
	return n
}

// past is what is known of the passwords before.
type past struct {
	policy.Evidence
	// Former tells which of the former passwords the candidate is, from 1 for
	// the one in use; 0 means none of those that were compared.
	Former int
}

// as gives the evidence as one policy sees it: each has its own depth of
// history.
func (e past) as(p *policy.Policy) policy.Evidence {
	e.HistoryHit = e.Former > 0 && e.Former <= p.Needs().History
	return e.Evidence
}

// judge gathers what the policy needs to know, and lets it decide.
func (v *Verifier) judge(p Chosen, q CheckRequest, ev past) Judgement {
	ev.Evidence = v.evidence(p.needs(), p.Words, q, ev.Evidence)
	verdict := p.Policy.Judge(q.Password, q.Use, q.Purpose, q.Context, ev.as(p.Policy))
	if p.Shadow != nil {
		verdict = verdict.WithShadow(p.Shadow.Judge(q.Password, q.Use, q.Purpose, q.Context, ev.as(p.Shadow)))
	}
	v.shadowed.count(verdict)
	if q.Purpose != policy.Login {
		v.Policies.Record(q.Tenant, policy.Sample{Text: q.Password, Use: q.Use, Purpose: q.Purpose, Context: q.Context, Evidence: ev.as(p.Policy)})
	}
	return Judgement{Verdict: verdict, Estimate: *ev.Estimate, Breach: ev.Breach}
}

// evidence adds what lists and corpora say of a password, as far as anybody
// asks, and the estimate, which every answer shows.
func (v *Verifier) evidence(needs policy.Needs, words *policy.Dictionary, q CheckRequest, ev policy.Evidence) policy.Evidence {
	ev.Now = v.Now()
	if needs.Dictionary {
		ev.Dictionary = words
	}
	if needs.Blocklist {
		ev.Listed = lookup.Listed(v.common, q.Password)
	}
	if needs.Breach && v.Corpora != nil {
		ev.Breach = v.Corpora.Breach(q.Password, needs.Similar && q.Purpose != policy.Login)
	}
	ev.Estimate = lookup.Estimate(nil, q.Password, q.Previous, q.Context)
	return ev
}

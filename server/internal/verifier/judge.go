// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/strength"
	"github.com/watchword-project/watchword/wordlists"
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
	j := v.judge(ctx, p, q, policy.Evidence{Previous: q.Previous})
	if j.Verdict.Accept && q.Purpose != policy.Login {
		j.Proof = v.proof(q, j.Verdict).Sign(v.Keys.Proof, v.Now().Add(proofLife))
	}
	return j, nil
}

// judge gathers what the policy needs to know, and lets it decide.
func (v *Verifier) judge(ctx context.Context, p Chosen, q CheckRequest, ev policy.Evidence) Judgement {
	ev = v.evidence(ctx, p.Words, q, ev)
	verdict := p.Policy.Judge(q.Password, q.Use, q.Purpose, q.Context, ev)
	if p.Shadow != nil {
		verdict = verdict.WithShadow(p.Shadow.Judge(q.Password, q.Use, q.Purpose, q.Context, ev))
	}
	if q.Purpose != policy.Login {
		v.Policies.Record(q.Tenant, policy.Sample{Text: q.Password, Use: q.Use, Purpose: q.Purpose, Context: q.Context, Evidence: ev})
	}
	return Judgement{Verdict: verdict, Estimate: *ev.Estimate, Breach: ev.Breach}
}

// evidence adds what lists, corpora and the estimator say of a password.
func (v *Verifier) evidence(ctx context.Context, words *policy.Dictionary, q CheckRequest, ev policy.Evidence) policy.Evidence {
	ev.Now, ev.Dictionary = v.Now(), words
	text := q.Password.Reveal()
	if m, ok := v.common.Match(text); ok {
		list := "common"
		if m.Default {
			list = "default-credentials"
		}
		ev.Listed = append(ev.Listed, policy.Listed{List: list, Form: form(m.Form), Rank: m.Rank})
	}
	if v.Corpora != nil {
		ev.Breach = v.Corpora.Breach(q.Password, q.Purpose != policy.Login)
	}
	ev.Estimate = policyEstimate(strength.Of(text, strength.NewHints(strength.Context{
		Login: q.Context.Login, Emails: q.Context.Emails, Names: q.Context.Names, Phones: q.Context.Phones,
		Words: q.Context.Words, BirthDate: q.Context.BirthDate, Previous: q.Previous.Reveal(),
	})))
	return ev
}

// form names how a password was found on the list by the strongest of the
// changes that were undone.
func form(f wordlists.Form) string {
	switch {
	case f&wordlists.FormRepeated != 0:
		return "repeated"
	case f&wordlists.FormReversed != 0:
		return "reversed"
	case f&wordlists.FormAffix != 0:
		return "suffix"
	case f&wordlists.FormLeet != 0:
		return "l33t"
	case f&wordlists.FormWidth != 0:
		return "width"
	case f&wordlists.FormCase != 0:
		return "case"
	}
	return "exact"
}

func policyEstimate(e strength.Estimate) *policy.Estimate {
	out := &policy.Estimate{GuessesLog10: e.GuessesLog10, Score: e.Score}
	for _, s := range e.Segments() {
		out.Segments = append(out.Segments, policy.Segment{Kind: s.Kind.String(), Start: s.Start, End: s.End})
	}
	return out
}

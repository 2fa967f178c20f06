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
	if q.Purpose != policy.Login {
		v.Policies.Record(q.Tenant, policy.Sample{Text: q.Password, Use: q.Use, Purpose: q.Purpose, Context: q.Context, Evidence: ev.as(p.Policy)})
	}
	return Judgement{Verdict: verdict, Estimate: *ev.Estimate, Breach: ev.Breach}
}

// evidence adds what lists and corpora say of a password, as far as anybody
// asks, and the estimate, which every answer shows.
func (v *Verifier) evidence(needs policy.Needs, words *policy.Dictionary, q CheckRequest, ev policy.Evidence) policy.Evidence {
	ev.Now = v.Now()
	text := q.Password.Reveal()
	if needs.Dictionary {
		ev.Dictionary = words
	}
	if needs.Blocklist {
		if m, ok := v.common.Match(text); ok {
			list := "common"
			if m.Default {
				list = policy.ListDefaults
			}
			ev.Listed = append(ev.Listed, policy.Listed{List: list, Form: form(m.Form), Rank: m.Rank})
		}
	}
	if needs.Breach && v.Corpora != nil {
		ev.Breach = v.Corpora.Breach(q.Password, needs.Similar && q.Purpose != policy.Login)
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

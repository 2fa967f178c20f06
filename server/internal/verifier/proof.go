// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"strconv"
	"time"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// proofLife is how long the proof of a check may be used: the time somebody
// takes to finish a form.
const proofLife = 15 * time.Minute

// proof is what a check proves: this password, with this context and use, was
// accepted by this very policy version, embedded list and dictionary. Whether
// it was asked at signup, change or reset makes no difference to it, unless the
// policy makes one.
func (v *Verifier) proof(q CheckRequest, p Chosen) policy.Proof {
	out := policy.Proof{Tenant: q.Tenant, Policy: p.Policy.Name(), Version: p.Policy.Version(),
		State: v.common.Version() + "/" + strconv.FormatUint(p.Words.Version(), 10),
		Use:   q.Use, Context: q.Context, Text: q.Password}
	if !p.Policy.Alike(policy.Signup, q.Purpose) {
		out.Purpose = q.Purpose
	}
	return out
}

// chosen gives the policy that judges a new password. A check knows no
// subject, so under a roll-out its proof is of the current version, and that
// is the one to which the holder of a proof is held. It returns ErrProofStale
// for a proof of anything else.
func (v *Verifier) chosen(q SetRequest, who Pseudonym) (Chosen, error) {
	if q.Proof == "" {
		return v.Policies.Policy(q.Tenant, q.Policy, who)
	}
	p, err := v.Policies.Policy(q.Tenant, q.Policy, Pseudonym{})
	if err != nil {
		return p, err
	}
	if v.proof(q.CheckRequest, p).Verify(v.Keys.Proof, q.Proof, v.Now()) != nil {
		return p, ErrProofStale
	}
	return p, nil
}

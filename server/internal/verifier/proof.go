// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"time"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// proofLife is how long the proof of a check may be used: the time somebody
// takes to finish a form.
const proofLife = 15 * time.Minute

// proof is what a check proves: this password, with this context and use, was
// accepted by this very policy version and embedded list. Whether it was
// asked at signup, change or reset makes no difference to it.
func (v *Verifier) proof(q CheckRequest, d policy.Verdict) policy.Proof {
	return policy.Proof{Tenant: q.Tenant, Policy: d.Policy, Version: d.Version, State: v.common.Version(),
		Use: q.Use, Context: q.Context, Text: q.Password}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"maps"
	"sync"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// Shadowed counts what rules, policies and candidates in shadow would have
// refused.
type Shadowed struct {
	// Refusals are the judgements that accepted what would have been refused.
	Refusals uint64
	// Violations are what would have been violations, by rule.
	Violations map[string]uint64
}

type shadowed struct {
	mu sync.Mutex
	n  Shadowed
}

func (s *shadowed) count(v policy.Verdict) {
	if len(v.Shadow) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.Accept {
		s.n.Refusals++
	}
	if s.n.Violations == nil {
		s.n.Violations = make(map[string]uint64)
	}
	for _, x := range v.Shadow {
		s.n.Violations[x.Rule]++
	}
}

// Shadowed tells what was counted since the start.
func (v *Verifier) Shadowed() Shadowed {
	s := &v.shadowed
	s.mu.Lock()
	defer s.mu.Unlock()
	return Shadowed{Refusals: s.n.Refusals, Violations: maps.Clone(s.n.Violations)}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import "sync/atomic"

// Stats are counts since the Limiter was made, for metrics. None of them is
// about a single subject.
type Stats struct {
	Verdicts map[string]uint64 // by Verdict.String
	Reasons  map[string]uint64 // by code
	Outcomes [Cancelled + 1]uint64
	Closed   uint64 // lanes closed by this server
	// StoreErrors is how often the shared store gave no answer. Untold is how
	// many outcomes it still has to be told, Dropped how many it never will be.
	StoreErrors, Untold, Dropped uint64
	// SignalsLost is how many signals a listener had no room for.
	SignalsLost uint64
	Degraded    bool
}

type counters struct {
	verdicts [Deny + 1]atomic.Uint64
	reasons  [reasonCount]atomic.Uint64
	outcomes [Cancelled + 1]atomic.Uint64
	closed   atomic.Uint64
	errors   atomic.Uint64
}

func (c *counters) decided(v Verdict, why Reason) {
	c.verdicts[v].Add(1)
	for i := range c.reasons {
		if why&(1<<i) != 0 {
			c.reasons[i].Add(1)
		}
	}
}

// Stats returns the counts.
func (l *Limiter) Stats() Stats {
	s := Stats{Verdicts: make(map[string]uint64), Reasons: make(map[string]uint64), Degraded: l.Degraded()}
	for v := Allow; v <= Deny; v++ {
		s.Verdicts[v.String()] = l.count.verdicts[v].Load()
	}
	for i, code := range reasonCodes {
		s.Reasons[code] = l.count.reasons[i].Load()
	}
	for o := range s.Outcomes {
		s.Outcomes[o] = l.count.outcomes[o].Load()
	}
	s.Closed, s.StoreErrors = l.count.closed.Load(), l.count.errors.Load()
	l.watch.mu.Lock()
	s.SignalsLost = l.watch.lost
	l.watch.mu.Unlock()
	if l.remote != nil {
		l.remote.mu.Lock()
		s.Untold, s.Dropped = uint64(len(l.remote.missed)), l.remote.drops
		l.remote.mu.Unlock()
	}
	return s
}

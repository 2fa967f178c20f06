// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import "time"

// compiled are Rules in milliseconds.
type compiled struct {
	unknown, known [channels]Numbers
	pair, tenant   Limit
	v4, v6         [3]Limit // by prefix; no /56 for IPv4
}

func compile(r *Rules) compiled {
	var c compiled
	slow := limit(r.Slow)
	for i := range channels {
		c.unknown[i] = ladder(r.Unknown[i], r.Pending)
		c.unknown[i].SlowCost, c.unknown[i].SlowRoom = slow.Cost, slow.Room
		c.known[i] = ladder(r.Device[i], r.Pending)
	}
	c.pair, c.tenant = limit(r.Pair), limit(r.Tenant)
	if r.Address != (Rate{}) {
		c.v4 = [3]Limit{limit(r.Address), {}, limit(r.Address.times(4))}
		c.v6 = [3]Limit{limit(r.Address), limit(r.Address.times(2)), limit(r.Address.times(4))}
	}
	return c
}

func ladder(l Ladder, pending time.Duration) Numbers {
	return Numbers{
		Free: int64(l.Free), Close: int64(l.Close),
		First: l.First.Milliseconds(), Longest: l.Longest.Milliseconds(),
		Pending: pending.Milliseconds(), Locks: l.Locks,
	}
}

func limit(r Rate) Limit {
	cost := r.Every.Milliseconds()
	return Limit{Cost: cost, Room: cost * int64(r.Burst)}
}

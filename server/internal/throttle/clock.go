// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import "time"

// steadyClock reads the wall clock once and the monotonic clock ever after: a
// step of the system time while the server runs neither frees a lane nor
// stretches a wait. It begins no earlier than floor, the latest time the kept
// state has seen, so that a clock set back across a restart stretches nothing
// either.
func steadyClock(floor int64) func() time.Time {
	start := time.Now()
	base := start
	if f := time.UnixMilli(floor); base.Before(f) {
		base = f
	}
	return func() time.Time { return base.Add(time.Since(start)) }
}

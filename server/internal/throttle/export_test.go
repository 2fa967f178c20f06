// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"bytes"
	"math"
	"time"
)

// LoseJournal plants a fault: changes that must not wait do wait.
func (l *Limiter) LoseJournal() { l.local.log.wrote.Store(math.MaxUint64) }

// BreakJournal makes every write to the journal fail, until a snapshot begins
// a new one.
func (l *Limiter) BreakJournal() {
	j := l.local.log
	j.files.Lock()
	defer j.files.Unlock()
	j.f.Close()
}

// RoundTrip decodes a record of either kind and encodes it again. It reports
// whether b begins with one, and whether the encoding gives b back.
func RoundTrip(b []byte, list bool) (valid, same bool) {
	if list {
		d, rest, ok := parseList(b)
		if !ok {
			return false, false
		}
		return true, bytes.Equal(append(appendList(nil, &d), rest...), b)
	}
	p, rest, ok := parsePool(b)
	if !ok {
		return false, false
	}
	return true, bytes.Equal(append(appendPool(nil, &p), rest...), b)
}

// Survive puts the record at the head of b, if there is one, through every step at
// any time and reports whether its bounds held.
func Survive(b []byte, now int64, tag uint16) bool {
	p, _, ok := parsePool(b)
	if !ok {
		return true
	}
	now = clampTime(now)
	rules, _ := ProfileRules("nist")
	c := compile(&rules)
	n := &c.unknown[0]
	p.settle(n, now)
	k, why, retry := p.admit(n, now, tag, true, true, false)
	if (k == 0) == (why == 0) || retry < 0 || why&LaneWaits != 0 && retry > n.Longest {
		return false
	}
	if k != 0 {
		p.charge(n, now, k, tag, true)
	}
	for _, o := range []Outcome{BadSecret, Cancelled, SecondFactorFailed, Success} {
		q := p
		q.settle(n, now)
		q.finish(n, now, max(k, Charged), tag, true, o)
		if q.n > entries || int(q.fails) < int(p.fails)-1 && o != Success && !q.closed && p.fails < math.MaxUint16 {
			return false
		}
	}
	return true
}

// WallClock is steadyClock.
func WallClock(floor time.Time) func() time.Time { return steadyClock(floor.UnixMilli()) }

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
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

// CellKeeps puts a random pool through a table with room for that many guesses
// beside its cells, and says what was lost, which without room may be wrong
// guesses, the oldest first, and otherwise nothing.
func CellKeeps(rnd *rand.Rand, room int) error {
	s := &newTable[cell](0, 128, false).shards[0]
	s.mostMore = room
	const now = 1_800_000_000_000
	for n := range uint64(20) {
		key := mix(n + 1)
		p := pool{
			last: rnd.Int64N(now), slow: rnd.Int64N(1 << 47), repeat: rnd.Int64N(now + repeatRoom),
			fails: uint16(rnd.Uint32()), closed: rnd.IntN(2) == 0,
		}
		for range rnd.IntN(entries + 1) {
			if pending := rnd.IntN(3) == 0; pending {
				p.add(now-rnd.Int64N(3_600_000), uint16(rnd.Uint32()), rnd.IntN(2) == 0, true)
				g := &p.guess[p.n-1]
				*g = makeEntry(g.at(), g.tag(), 1+rnd.IntN(maxRefs))
			} else {
				p.add(now-rnd.Int64N(tagLife), uint16(rnd.Uint32()), true, false)
			}
		}
		want := p
		_, had := s.more[key]
		if !had && len(s.more) >= room {
			for want.n > inline && want.dropOldest() {
			}
		}
		i := s.place(key, func(uint64, *cell) int64 { return live }, nil)
		if ok := setPool(s, i, &p); ok != (want.n <= inline || len(s.more) <= room && s.more[key] != extra{}) {
			return fmt.Errorf("%+v kept: %v", p, ok)
		} else if got := poolAt(s, i); ok && got != want {
			return fmt.Errorf("%+v became %+v, want %+v", p, got, want)
		}
		if len(s.more) > room {
			return fmt.Errorf("%d beside the table, want at most %d", len(s.more), room)
		}
		if rnd.IntN(4) == 0 {
			s.free(i)
			if _, left := s.more[key]; left || s.find(key) >= 0 {
				return fmt.Errorf("something is left of key %d", key)
			}
		}
	}
	return nil
}

// HugePages tells how often a large table was put on huge pages after so many
// keys were taken and given back, so often.
func HugePages(keys, times int) (calls int) {
	t := newTable[int64](0, 1<<21, false)
	s := &t.shards[0]
	s.filled = func() { calls++ }
	debt := func(uint64, *int64) int64 { return neutral }
	for range times {
		for k := range keys {
			s.place(mix(uint64(k)), debt, nil)
		}
		for k := range keys {
			if i := s.find(mix(uint64(k))); i >= 0 {
				s.free(i)
			}
		}
	}
	return calls
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// Parallel attempts with one guess share its charge, or else a client that
// opens thirty connections at once would lock its owner out. A store cannot
// tell on its own which guesses are the same: it keeps sixteen bits, and of a
// thousand guesses in a race some few have sixteen bits in common with one that
// is awaited. So each server remembers, in memory and only as long as attempts
// are under way, a full digest of the guesses it has let through, and tells the
// store when two are the same.
//
// Two servers do not know of each other. If the store refuses a guess while one
// with the same sixteen bits is awaited, it may be the same right password on
// its way through another server: the answer is held back for a moment, until
// that outcome is known. A guess that only looks the same gains nothing.
type flight struct {
	seed   maphash.Seed
	life   time.Duration
	shards [64]flightShard
}

type flightShard struct {
	sync.Mutex
	m     map[flightKey]*guessing
	swept time.Time
}

// flightKey is a guess as far as a store can tell.
type flightKey struct {
	subject Name
	channel Channel
	device  uint32
	tag     uint16
	tagged  bool
}

// guessing is one guess with attempts under way.
type guessing struct {
	digest   [2]uint64
	open     int           // attempts that ask, or were let through and are not settled here
	asking   bool          // the first attempt has no answer yet
	answered chan struct{} // closed once it has one; nil if nobody waits for that
	expires  time.Time
	// own is where it is found by its tag, kept by what the store calls it: the
	// same, unless another guess there has that tag.
	own, kept flightKey
}

const (
	// flightMost bounds the guesses of one shard; beyond it none is shared.
	flightMost = 1 << 12
	// An answer is held back for at most twinWait, looking again every twinStep.
	twinWait = time.Second
	twinStep = 25 * time.Millisecond
)

func (f *flight) init(life time.Duration) {
	f.seed, f.life = maphash.MakeSeed(), life
}

func (f *flight) digest(guess []byte) [2]uint64 {
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.Write(guess)
	a := h.Sum64()
	h.WriteByte(1)
	return [2]uint64{a, h.Sum64()}
}

func keyOf(l *Lanes, tag uint16, tagged bool) flightKey {
	return flightKey{l.Subject, l.Channel, l.Device, tag, tagged}
}

// begin asks for a reservation, as one who shares a guess if an attempt with
// the same is under way here.
func (f *flight) begin(ctx context.Context, r *Request, a *Attempt, ask func() (Grant, bool, error)) (Grant, bool, error) {
	if !r.Tagged {
		return ask()
	}
	digest, tag := f.digest(a.Tag), r.Tag
	g, local, other, err := f.once(ctx, r, tag, digest, ask)
	for from := time.Now(); err == nil && g.Twin && !other && time.Since(from) < twinWait; {
		select {
		case <-ctx.Done():
			return g, local, nil
		case <-time.After(twinStep):
		}
		g, local, other, err = f.once(ctx, r, tag, digest, ask)
	}
	return g, local, err
}

// once asks one time. other reports that the guess with the same tag that is
// under way here is a different one.
func (f *flight) once(ctx context.Context, r *Request, tag uint16, digest [2]uint64, ask func() (Grant, bool, error)) (g Grant, local, other bool, err error) {
	own := keyOf(&r.Lanes, tag, true)
	s := &f.shards[own.subject[0]%64]
	s.Lock()
	x := s.m[own]
	for x != nil && x.asking {
		if x.answered == nil {
			x.answered = make(chan struct{})
		}
		wait := x.answered
		s.Unlock()
		select {
		case <-ctx.Done():
			return Grant{}, false, false, ctx.Err()
		case <-wait:
		}
		s.Lock()
		x = s.m[own]
	}
	now := time.Now()
	if x != nil && now.After(x.expires) {
		s.remove(x)
		x = nil
	}
	r.Tag, r.Tagged, r.Share = tag, true, false
	switch {
	case x == nil && !s.room(now):
		s.Unlock()
		g, local, err = ask()
		return g, local, true, err
	case x == nil:
		x = &guessing{digest: digest, open: 1, asking: true, own: own, kept: own}
		s.m[own] = x
	case x.digest == digest:
		// Counted before it asks: were the others to land meanwhile, the next one
		// would take the store's charge for a stranger's.
		x.open++
		r.Tag, r.Tagged, r.Share = x.kept.tag, x.kept.tagged, true
	default:
		other = true
	}
	first := x.asking
	s.Unlock()

	g, local, err = ask()

	s.Lock()
	defer s.Unlock()
	if first {
		x.asking = false
		if x.answered != nil {
			close(x.answered)
		}
		x.kept.tag, x.kept.tagged = g.Tag, g.Tagged
	}
	if other {
		return g, local, true, err
	}
	if cur := s.m[own]; err == nil && g.Kind != 0 && (cur == nil || cur == x) {
		x.expires = time.Now().Add(f.life)
		if cur == nil {
			s.m[own] = x
		}
		if x.kept != own {
			s.m[x.kept] = x
		}
	} else if x.open--; x.open <= 0 {
		s.remove(x)
	}
	return g, local, false, err
}

// landed notes that an attempt was settled.
func (f *flight) landed(x *Settlement) {
	k := keyOf(&x.Lanes, x.Tag, x.Tagged)
	s := &f.shards[k.subject[0]%64]
	s.Lock()
	defer s.Unlock()
	if g := s.m[k]; g != nil && !g.asking {
		if g.open--; g.open <= 0 {
			s.remove(g)
		}
	}
}

// remove forgets a guess. The shard is locked.
func (s *flightShard) remove(x *guessing) {
	for _, k := range [2]flightKey{x.own, x.kept} {
		if s.m[k] == x {
			delete(s.m, k)
		}
	}
}

// room reports whether one more guess can be remembered. The shard is locked.
func (s *flightShard) room(now time.Time) bool {
	if s.m == nil {
		s.m = make(map[flightKey]*guessing)
	}
	if len(s.m) < flightMost {
		return true
	}
	if now.Sub(s.swept) > time.Second {
		s.swept = now
		for _, x := range s.m {
			if !x.asking && now.After(x.expires) {
				s.remove(x)
			}
		}
	}
	return len(s.m) < flightMost
}

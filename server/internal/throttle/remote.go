// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// The shared store and what happens when it is lost.
//
// While it is well every outcome is also booked locally, so that the local
// limiter is warm. After tripAfter errors in a row, or at once for the call
// that met one, the local limiter decides under rules divided by the number of
// servers, and a probe asks every probeEvery whether the store is back.
// Outcomes that the store has missed are told to it then. So during one loss a
// lane gets, over all servers, at most one more budget.
const (
	tripAfter  = 3
	probeEvery = 500 * time.Millisecond
	tellEvery  = 60 // s, of single calls without an answer
	missedMost = 1 << 16
)

type remote struct {
	store Store
	firm  [64]refusals
	deny  bool
	log   *slog.Logger
	// lost: the breaker is open. row counts errors since the last answer.
	lost atomic.Bool
	row  atomic.Int32
	told atomic.Int64 // unix s of the last word about a single call

	mu     sync.Mutex
	missed []func(context.Context) error // what the store does not know of, oldest first
	drops  uint64                        // what went over missedMost
	chase  bool                          // somebody is telling it
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func newRemote(s Store, deny bool, log *slog.Logger) *remote {
	r := &remote{store: s, deny: deny, log: log}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	// A store that is down from the start is told of before the first login is.
	r.done.Add(1)
	go func() {
		defer r.done.Done()
		if _, err := s.View(r.ctx, &Target{}, 0); errors.Is(err, ErrStore) {
			r.trip(err)
		}
	}()
	return r
}

func (r *remote) close() error {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	r.done.Wait()
	return r.store.Close()
}

// answered notes how a call to the store went.
func (r *remote) answered(err error) {
	if !errors.Is(err, ErrStore) {
		r.row.Store(0)
		return
	}
	if r.row.Add(1) >= tripAfter {
		r.trip(err)
		return
	}
	now := time.Now().Unix()
	if last := r.told.Load(); now-last >= tellEvery && r.told.CompareAndSwap(last, now) {
		r.log.Warn("throttle store gave no answer; what it was asked for is decided locally", "err", err)
	}
}

func (r *remote) trip(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil || r.lost.Swap(true) {
		return
	}
	r.log.Error("throttle store lost; deciding locally under stricter rules", "err", err)
	r.done.Add(1)
	go r.heal()
}

// heal probes until the store answers, tells it what it missed and closes the
// breaker.
func (r *remote) heal() {
	defer r.done.Done()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := r.store.View(r.ctx, &Target{}, 0); err != nil {
			continue
		}
		if r.catchUp() {
			break
		}
	}
	r.row.Store(0)
	r.lost.Store(false)
	r.log.Info("throttle store is back")
	// What was missed between the last look and now.
	r.miss(func(context.Context) error { return nil })
}

// catchUp tells the store what it missed. It reports whether all was told.
func (r *remote) catchUp() bool {
	for {
		r.mu.Lock()
		if len(r.missed) == 0 {
			r.mu.Unlock()
			return true
		}
		tell := r.missed[0]
		r.missed = r.missed[1:]
		r.mu.Unlock()
		if err := tell(r.ctx); errors.Is(err, ErrStore) {
			r.mu.Lock()
			r.missed = append([]func(context.Context) error{tell}, r.missed...)
			r.mu.Unlock()
			return false
		}
	}
}

// miss keeps something to be told to the store once it answers. Telling twice
// must do no more than telling once.
func (r *remote) miss(tell func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.missed) >= missedMost {
		r.drops++
		return
	}
	r.missed = append(r.missed, tell)
	if r.chase || r.lost.Load() || r.ctx.Err() != nil {
		return
	}
	// A call that failed on its own: no breaker will close, but there is
	// something to tell.
	r.chase = true
	r.done.Add(1)
	go func() {
		defer r.done.Done()
		tick := time.NewTicker(probeEvery)
		defer tick.Stop()
		for {
			select {
			case <-r.ctx.Done():
				return
			case <-tick.C:
			}
			if r.lost.Load() {
				break // heal will
			}
			if r.catchUp() {
				break
			}
		}
		r.mu.Lock()
		r.chase = false
		r.mu.Unlock()
	}()
}

// insist calls the store, and keeps the call for later if it cannot answer.
func (r *remote) insist(ctx context.Context, call func(context.Context) error) error {
	err := ErrStore
	if !r.lost.Load() {
		err = call(ctx)
		if ctx.Err() == nil {
			r.answered(err)
		}
	}
	if errors.Is(err, ErrStore) {
		r.miss(call)
	}
	return err
}

// missSettlement keeps an outcome for later. Settlements carry a nonce, so the
// store books them once.
func (r *remote) missSettlement(s Settlement) {
	r.miss(func(ctx context.Context) error {
		out, err := r.store.Settle(ctx, &s)
		if err == nil && out.Expired && s.Outcome == Success {
			// The reservation has become a failure meanwhile; the login was right.
			s.Report, s.Enrol = true, 0
			_, err = r.store.Settle(ctx, &s)
		}
		return err
	})
}

// refusals remembers for a few seconds which lanes are shut, so that somebody
// who hammers a locked account costs the shared store next to nothing. Only
// firm refusals are kept: while one lasts nobody can be let in, except after a
// reset or a reported success, which other servers notice firmLife later at
// most.
type refusals struct {
	sync.Mutex
	m map[lane]refusal
	// drops counts what was dropped: an answer that was on its way meanwhile may
	// be older than what it was dropped for, and is not kept.
	drops uint64
}

type lane struct {
	subject Name
	channel Channel
	device  uint32
}

type refusal struct {
	until int64 // by this server's clock, ms
	end   int64 // of the wait
	g     Grant
}

const (
	firmLife = 5000
	firmMost = 1 << 12 // in each of 64 shards
)

// recall returns the refusal of a lane if there is one, and else what keep
// wants to know of the time before the store was asked.
func (f *refusals) recall(r *Request) (g Grant, known bool, drops uint64) {
	f.Lock()
	defer f.Unlock()
	k := lane{r.Subject, r.Channel, r.Device}
	x, ok := f.m[k]
	if !ok {
		return Grant{}, false, f.drops
	}
	if r.Now >= x.until || r.Now < x.until-firmLife {
		delete(f.m, k)
		return Grant{}, false, f.drops
	}
	x.g.Retry = max(1, x.end-r.Now)
	return x.g, true, f.drops
}

func (f *refusals) keep(r *Request, g Grant, drops uint64) {
	if g.Retry < 1000 {
		return
	}
	f.Lock()
	defer f.Unlock()
	if f.drops != drops {
		return
	}
	if f.m == nil {
		f.m = make(map[lane]refusal)
	}
	if len(f.m) >= firmMost {
		for k, x := range f.m {
			if r.Now >= x.until || len(f.m) >= firmMost {
				delete(f.m, k)
			}
		}
	}
	// A little short of the wait: the clocks of server and store may drift.
	life := min(g.Retry-500, firmLife)
	f.m[lane{r.Subject, r.Channel, r.Device}] = refusal{until: r.Now + life, end: r.Now + g.Retry, g: g}
}

func (f *refusals) drop(lanes ...lane) {
	f.Lock()
	defer f.Unlock()
	f.drops++
	for _, l := range lanes {
		delete(f.m, l)
	}
}

// forget drops every lane of a subject.
func (f *refusals) forget(subject Name) {
	f.Lock()
	defer f.Unlock()
	f.drops++
	for k := range f.m {
		if k.subject == subject {
			delete(f.m, k)
		}
	}
}

// begin asks the shared store if there is one and it is well, else the local one.
func (l *Limiter) begin(ctx context.Context, r *Request, v6 bool) (g Grant, local bool, err error) {
	l.rules.apply(&r.Lanes, v6)
	if l.remote == nil {
		g, err = l.local.Begin(ctx, r)
		return g, true, err
	}
	if !l.remote.lost.Load() {
		known := &l.remote.firm[r.Subject[0]%64]
		g, ok, drops := known.recall(r)
		if ok {
			return g, false, nil
		}
		g, err = l.remote.store.Begin(ctx, r)
		if ctx.Err() == nil {
			l.answered(err)
		}
		if err == nil && g.Firm {
			known.keep(r, g, drops)
		}
		if err == nil || !errors.Is(err, ErrStore) || ctx.Err() != nil {
			return g, false, err
		}
	}
	if l.remote.deny {
		return Grant{}, false, ErrStore
	}
	if plantOpenWithoutStore {
		return Grant{Kind: Charged, At: r.Now, Tag: r.Tag, Tagged: r.Tagged}, true, nil
	}
	l.strict.apply(&r.Lanes, v6)
	g, err = l.local.Begin(ctx, r)
	return g, true, err
}

func (l *Limiter) answered(err error) {
	if errors.Is(err, ErrStore) {
		l.count.errors.Add(1)
	}
	l.remote.answered(err)
}

// finish settles where the attempt was charged and keeps the other side told.
func (l *Limiter) finish(ctx context.Context, s *Settlement, x *reservation) (Settled, error) {
	l.rules.apply(&s.Lanes, x.v6)
	if l.remote == nil {
		return l.local.Settle(ctx, s)
	}
	if s.Outcome == Success {
		defer l.remote.firm[s.Subject[0]%64].drop(lane{s.Subject, s.Channel, 0}, lane{s.Subject, s.Channel, s.Device})
	}
	mirror := *s
	mirror.Report = true
	l.strict.apply(&mirror.Lanes, x.v6)
	if x.local {
		own := *s
		l.strict.apply(&own.Lanes, x.v6)
		out, err := l.local.Settle(ctx, &own)
		if err == nil && out.Before == 0 && !out.Expired && s.Outcome != Cancelled {
			s.Report = true
			l.remote.missSettlement(*s)
		}
		return out, err
	}
	if !l.remote.lost.Load() {
		// The caller may be gone; what it did counts all the same.
		out, err := l.remote.store.Settle(context.WithoutCancel(ctx), s)
		l.answered(err)
		if !errors.Is(err, ErrStore) {
			if err == nil && out.Before == 0 && !out.Expired {
				mirror.Enrol = out.Enrolled
				_, err = l.local.Settle(ctx, &mirror)
			}
			return out, err
		}
	}
	// The reservation is in the store and its outcome is not: keep it for
	// later, answer from what is known here.
	l.remote.missSettlement(*s)
	mirror.At = mirror.Now
	return l.local.Settle(ctx, &mirror)
}

// Degraded reports whether the shared store is lost and decisions are local.
func (l *Limiter) Degraded() bool { return l.remote != nil && l.remote.lost.Load() }

// Healthy reports whether decisions are made and kept as configured.
func (l *Limiter) Healthy() bool { return !l.Degraded() && l.local.Healthy() }

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// Class tells who waits for a hash.
type Class uint8

const (
	// Interactive is a person at a login form. It goes before Batch, and its
	// hash begins within Config.QueueWait and one service time, or not at all.
	Interactive Class = iota
	// Batch is work that nobody watches: audits, re-hashing, imports. It waits
	// as long as its context allows, and leaves one slot to Interactive.
	Batch
)

// BusyError is returned when the queue before the hashing slots is full:
// nothing was hashed, and the answer came at once. It tells nothing about the
// password or about whose it is.
type BusyError struct {
	// RetryAfter is when the caller may try again. It is jittered, so that
	// those who were turned away together do not come back together.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("hashing capacity is used up, retry after %v", e.RetryAfter.Round(time.Millisecond))
}

// ErrAbandoned is wrapped, beside the context's own error, by the error of a
// call whose context ended while its hash was running: the work was done, and
// nobody has seen the result. An error of a context without it means that no
// hash began.
var ErrAbandoned = errors.New("the caller went away while the hash was running")

// ErrClosed is returned by a Hasher after Close.
var ErrClosed = errors.New("password hasher is closed")

const (
	// maxQueued bounds the interactive queue by count as well: the time bound
	// alone would let in thousands where a hash takes microseconds.
	maxQueued = 8192
	// maxBatch bounds the batch queue for each slot.
	maxBatch = 64
	// quiet is how long after the last interactive job one slot stays free of
	// batch work. On a machine without logins a batch may use all of it, and
	// the first login then waits for one batch hash at most.
	quiet = 10 * time.Second
)

// A job is one KDF run. The slot that runs it belongs to the job and not to
// the request that asked for it: a caller that goes away leaves the queue, or
// lets the run come to its end.
type job struct {
	class    Class
	ctx      context.Context
	password Text
	scheme   Scheme
	load     load
	task     task

	// Below: owned by the pool's lock until done is closed.
	slots   int
	taken   []*slot
	one     [1]*slot // room for taken
	est     time.Duration
	place   *list.Element // in a queue, or nil
	started time.Time
	ended   time.Time
	err     error
	done    chan struct{}
}

// A task is the work of a job, run once, off the caller's goroutine.
type task interface{ run(w *slot) error }

type taskFunc func(w *slot) error

func (f taskFunc) run(w *slot) error { return f(w) }

// pool hands out slots. A slot is one core and an equal share of the memory
// budget; a run that needs more than a share takes several slots.
type pool struct {
	wait  time.Duration
	share int64 // bytes for each slot
	// measured hears of interactive runs; nil: nobody does.
	measured func(ctx context.Context, asked, began, ended time.Time)

	mu          sync.Mutex
	idle        []*slot
	slots       int
	queues      [2]*list.List      // of *job, by Class
	queued      map[Scheme]float64 // units × slots over the interactive queue
	running     map[*job]struct{}
	interactive time.Time // when the last interactive job came
	rates       map[Scheme]*rate
	stats       Stats
	closed      bool
	drained     chan struct{}
}

// Stats counts what a Hasher has done. All but Slots, Queued and Running only
// ever grow.
type Stats struct {
	Slots   int    // hashes that may run at the same moment
	Queued  int    // jobs waiting now
	Running int    // jobs running now
	Peak    int    // most jobs that ever ran at the same moment
	Runs    uint64 // KDF runs begun
	Shed    uint64 // jobs refused with BusyError
	Left    uint64 // jobs whose caller went away before they began
	Orphans uint64 // runs whose caller went away before they ended
}

// newPool starts a thread for each slot, which close ends.
func newPool(slots []*slot, share int64, wait time.Duration, measured func(ctx context.Context, asked, began, ended time.Time)) *pool {
	p := &pool{
		wait:     wait,
		share:    share,
		measured: measured,
		idle:     slots,
		slots:    len(slots),
		queues:   [2]*list.List{list.New(), list.New()},
		queued:   make(map[Scheme]float64),
		running:  make(map[*job]struct{}),
		rates:    make(map[Scheme]*rate),
		drained:  make(chan struct{}),
	}
	for _, s := range slots {
		s.jobs = make(chan *job, 1)
		go p.serve(s)
	}
	return p
}

// do runs j in a slot and returns when it has ended, when ctx is done, or at
// once with *BusyError.
func (p *pool) do(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.ctx = ctx
	j.done = make(chan struct{})
	asked := time.Now()

	p.mu.Lock()
	if err := p.enqueue(j); err != nil {
		p.mu.Unlock()
		return err
	}
	p.dispatch()
	queued := j.place != nil
	p.mu.Unlock()

	var limit <-chan time.Time
	if queued && j.class == Interactive {
		// One service time above the limit that let the job in: an estimate
		// that is a little short must not turn it away at the door.
		timer := time.NewTimer(p.wait + j.est)
		defer timer.Stop()
		limit = timer.C
	}
	for {
		select {
		case <-j.done:
			if p.measured != nil && j.class == Interactive && !j.ended.IsZero() {
				p.measured(ctx, asked, j.started, j.ended)
			}
			return j.err
		case <-ctx.Done():
			switch p.leave(j, nil) {
			case running:
				return fmt.Errorf("%w: %w", ErrAbandoned, ctx.Err())
			case ended:
				<-j.done // closed already, or about to be
				return j.err
			}
			return ctx.Err()
		case <-limit:
			var busy *BusyError
			if p.leave(j, &busy) == waiting {
				return busy
			}
			limit = nil
		}
	}
}

// enqueue lets j into its queue, or says how long to stay away.
func (p *pool) enqueue(j *job) error {
	if p.closed {
		return ErrClosed
	}
	now := time.Now()
	j.slots = 1
	if n := j.load.bytes; n > p.share {
		j.slots = min(int((n+p.share-1)/p.share), p.slots)
	}
	j.est = p.rateOf(j.scheme).estimate(j.load.units)

	q := p.queues[j.class]
	if j.class == Batch {
		if q.Len() >= maxBatch*p.slots {
			return p.busy(p.backlog(now))
		}
		j.place = q.PushBack(j)
		return nil
	}
	p.interactive = now
	if err := p.full(j, now); err != nil {
		return err
	}
	j.place = q.PushBack(j)
	p.queued[j.scheme] += j.load.units * float64(j.slots)
	return nil
}

// full refuses an interactive job that would wait for too long.
func (p *pool) full(j *job, now time.Time) error {
	q := p.queues[Interactive]
	if q.Len() == 0 && len(p.idle) >= j.slots {
		return nil
	}
	wait := p.backlog(now)
	// A fifth stays in reserve for a machine that has just become slower.
	limit := p.wait - p.wait/5
	if at, ok := j.ctx.Deadline(); ok {
		// A hash that ends after the deadline is work thrown away.
		limit = min(limit, at.Sub(now)-j.est)
	}
	if wait > limit || q.Len() >= maxQueued {
		return p.busy(wait)
	}
	return nil
}

// admit says whether an interactive job would be let in now.
func (p *pool) admit(ctx context.Context, s Scheme, units float64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	return p.full(&job{ctx: ctx, slots: 1, est: p.rateOf(s).estimate(units)}, time.Now())
}

// backlog is how long a job arriving now would wait behind those running and
// those queued before it, should all runs be as slow as the slowest of late.
// Where runs differ, as on a machine shared with others, the queue is so kept
// short enough that hardly anybody who was let in is sent away in the end; a
// short queue costs no throughput as long as it is not empty.
func (p *pool) backlog(now time.Time) time.Duration {
	var sum time.Duration
	for s, units := range p.queued {
		sum += p.rateOf(s).upper(units)
	}
	for r := range p.running {
		if left := r.est - now.Sub(r.started); left > 0 {
			sum += left * time.Duration(r.slots)
		}
	}
	return sum / time.Duration(p.slots)
}

func (p *pool) busy(wait time.Duration) *BusyError {
	p.stats.Shed++
	wait = max(wait, 50*time.Millisecond)
	return &BusyError{RetryAfter: wait + time.Duration(rand.Int64N(int64(wait)))}
}

// A stage is how far a job has come.
type stage uint8

const (
	waiting stage = iota // in a queue
	running
	ended // or refused
)

// leave takes j out of its queue if it still waits there, and tells where it
// was. A job that waited too long, and not whose caller went away, has timedOut
// for its answer.
func (p *pool) leave(j *job, timedOut **BusyError) stage {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.place == nil {
		if _, runs := p.running[j]; !runs {
			return ended
		}
		if timedOut == nil {
			p.stats.Orphans++
		}
		return running
	}
	p.remove(j)
	p.dispatch() // j may have held back smaller jobs
	if timedOut != nil {
		*timedOut = p.busy(p.backlog(time.Now()))
	} else {
		p.stats.Left++
	}
	return waiting
}

func (p *pool) remove(j *job) {
	p.queues[j.class].Remove(j.place)
	j.place = nil
	if j.class == Interactive {
		p.queued[j.scheme] -= j.load.units * float64(j.slots)
	}
}

// dispatch starts jobs while there are slots for them. A job that needs
// several slots holds back those behind it, so that it is not starved.
func (p *pool) dispatch() {
	for {
		now := time.Now()
		j := p.next(now)
		if j == nil {
			return
		}
		p.remove(j)
		if err := j.ctx.Err(); err != nil {
			p.stats.Left++
			p.refuse(j, err)
			continue
		}
		if at, ok := j.ctx.Deadline(); ok && at.Sub(now) < j.est && j.class == Interactive && p.queues[Interactive].Len() > 0 {
			// Others wait who can still be served in time.
			p.refuse(j, p.busy(p.backlog(now)))
			continue
		}
		p.start(j, now)
	}
}

func (p *pool) next(now time.Time) *job {
	if e := p.queues[Interactive].Front(); e != nil {
		if j := e.Value.(*job); j.slots <= len(p.idle) {
			return j
		}
		return nil
	}
	e := p.queues[Batch].Front()
	if e == nil {
		return nil
	}
	j := e.Value.(*job)
	need := j.slots
	if need < p.slots && now.Sub(p.interactive) < quiet {
		need++
	}
	if need > len(p.idle) {
		return nil
	}
	return j
}

func (p *pool) refuse(j *job, err error) {
	j.err = err
	close(j.done)
}

func (p *pool) start(j *job, now time.Time) {
	last := len(p.idle) - j.slots
	j.taken = append(j.one[:0], p.idle[last:]...)
	p.idle = p.idle[:last]
	// The copy is made under the lock: the caller cannot have left yet.
	j.taken[0].keep(j.password.Reveal())
	j.started = now
	p.running[j] = struct{}{}
	p.stats.Runs++
	p.stats.Peak = max(p.stats.Peak, len(p.running))
	j.taken[0].jobs <- j // has room: the slot was idle
}

// serve runs the jobs of one slot, on a thread that gives way to those that
// take in requests: a refusal must not wait for a hash to end its time slice.
func (p *pool) serve(w *slot) {
	runtime.LockOSThread() // never unlocked: the thread ends with the pool
	yieldThread()
	for j := range w.jobs {
		p.work(j)
	}
}

func (p *pool) work(j *job) {
	w := j.taken[0]
	began := time.Now()
	err := w.prepare(j.load, p.share, j.taken[1:])
	if err == nil {
		err = w.run(j.task)
	}
	took := time.Since(began)
	w.clean(p.share)

	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, j)
	if err == nil {
		p.rateOf(j.scheme).observe(j.load.units, took)
	}
	p.idle = append(p.idle, j.taken...)
	j.err, j.ended = err, began.Add(took)
	close(j.done)
	if p.closed {
		p.drain()
		return
	}
	p.dispatch()
}

// close refuses what waits and returns when nothing runs.
func (p *pool) close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		for _, q := range p.queues {
			for q.Len() > 0 {
				j := q.Front().Value.(*job)
				p.remove(j)
				p.refuse(j, ErrClosed)
			}
		}
		p.drain()
	}
	p.mu.Unlock()
	<-p.drained
}

func (p *pool) drain() {
	if len(p.running) > 0 {
		return
	}
	for _, s := range p.idle {
		s.free()
		close(s.jobs)
	}
	p.idle = nil
	close(p.drained)
}

func (p *pool) snapshot() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Slots = p.slots
	s.Running = len(p.running)
	s.Queued = p.queues[Interactive].Len() + p.queues[Batch].Len()
	return s
}

func (p *pool) serviceTime(s Scheme, units float64) (mean, upper time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rateOf(s)
	return r.estimate(units), r.upper(units)
}

// pace is the mean time of a unit of s's work, 0 before the first.
func (p *pool) pace(s Scheme) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.rates[s]; r != nil && r.seen {
		return r.mean
	}
	return 0
}

// rateOf is the rate of s, a guess before its first run.
func (p *pool) rateOf(s Scheme) *rate {
	r := p.rates[s]
	if r == nil {
		r = &rate{mean: firstGuess(s)}
		p.rates[s] = r
	}
	return r
}

// firstGuess is the order of magnitude of nanoseconds for each unit of work,
// on a server of the 2020s. The first run replaces it.
func firstGuess(s Scheme) float64 {
	switch s {
	case Argon2id, Argon2i, Argon2d, WrappedArgon2id:
		return 500 // for each KiB of each pass
	case Bcrypt, BcryptSHA256:
		return 50_000
	case Scrypt, FirebaseScrypt, Yescrypt:
		return 3 // for each byte
	}
	return 500 // for each round
}

// rate learns how long one unit of a scheme's work takes, as TCP learns its
// round-trip time (RFC 6298 §2): a smoothed mean and a smoothed deviation.
type rate struct {
	mean, dev float64 // nanoseconds for each unit
	seen      bool    // false: mean is a guess
}

func (r *rate) observe(units float64, took time.Duration) {
	if units <= 0 {
		return
	}
	x := float64(took) / units
	if !r.seen {
		r.mean, r.dev, r.seen = x, x/2, true
		return
	}
	diff := x - r.mean
	r.mean += diff / 8
	r.dev += (max(diff, -diff) - r.dev) / 4
}

func (r *rate) estimate(units float64) time.Duration { return time.Duration(r.mean * units) }

// upper is the mean and four deviations: few runs take longer.
func (r *rate) upper(units float64) time.Duration {
	return time.Duration((r.mean + 4*r.dev) * units)
}

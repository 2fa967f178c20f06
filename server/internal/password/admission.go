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
type Class struct {
	batch  bool
	tenant string
}

var (
	// Interactive is a person at a login form. It goes before Batch, and its
	// hash begins within Config.QueueWait and one service time, or not at all.
	Interactive = Class{}
	// Batch is work that nobody watches: audits, re-hashing, imports. It waits
	// as long as its context allows, and leaves one slot to Interactive.
	Batch = Class{batch: true}
)

// Of is the class for work of a tenant. Within a class tenants have equal
// shares of the slots and of the queue: one that asks for more is refused
// before any that asks for less.
func (c Class) Of(tenant string) Class { return Class{c.batch, tenant} }

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
	queue       *queue // interactive jobs
	batch       *queue
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
		queue:    newQueue(),
		batch:    newQueue(),
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
	if queued && !j.class.batch {
		// One service time above the limit that let the job in: an estimate
		// that is a little short must not turn it away at the door.
		timer := time.NewTimer(p.wait + j.est)
		defer timer.Stop()
		limit = timer.C
	}
	for {
		select {
		case <-j.done:
			if p.measured != nil && !j.class.batch && !j.ended.IsZero() {
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

	if j.class.batch {
		for p.batch.n >= maxBatch*p.slots {
			if !p.oust(p.batch, j, now) {
				return p.busy(p.backlog(now))
			}
		}
		p.batch.push(j)
		return nil
	}
	p.interactive = now
	if err := p.full(j, now); err != nil {
		return err
	}
	for p.queue.n >= maxQueued || p.backlog(now) > p.room() {
		if !p.oust(p.queue, j, now) {
			break
		}
	}
	p.queue.push(j)
	return nil
}

// queueOf is where a job waits.
func (p *pool) queueOf(j *job) *queue {
	if j.class.batch {
		return p.batch
	}
	return p.queue
}

// oust refuses the newest job of the tenant that has the most in a queue, and
// reports whether there was one with more than that of j will have.
func (p *pool) oust(q *queue, j *job, now time.Time) bool {
	l := p.longest(q)
	if l == nil || p.ahead(l) <= p.own(j) {
		return false
	}
	late := l.newest()
	q.remove(late)
	p.refuse(late, p.busy(p.backlog(now)))
	return true
}

// room is how long the interactive queue may be. A fifth of the wait stays in
// reserve for a machine that has just become slower.
func (p *pool) room() time.Duration { return p.wait - p.wait/5 }

// full refuses an interactive job that would wait for too long, or whose tenant
// has no less in a full queue than any other.
func (p *pool) full(j *job, now time.Time) error {
	if p.queue.n == 0 && len(p.idle) >= j.slots {
		return nil
	}
	own := p.own(j)
	wait := p.left(now)
	// Of each other tenant as much goes before as its own has with this job.
	p.queue.each(func(l *line) { wait += min(p.ahead(l), own) })
	wait /= time.Duration(p.slots)
	limit := p.room()
	if at, ok := j.ctx.Deadline(); ok {
		// A hash that ends after the deadline is work thrown away.
		limit = min(limit, at.Sub(now)-j.est)
	}
	if wait > limit {
		return p.busy(wait)
	}
	if all := p.backlog(now); p.queue.n >= maxQueued || all > p.room() {
		if l := p.longest(p.queue); l == nil || p.ahead(l) <= own {
			return p.busy(all)
		}
	}
	return nil
}

// admit says whether an interactive job would be let in now.
func (p *pool) admit(ctx context.Context, tenant string, s Scheme, units float64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	return p.full(&job{class: Interactive.Of(tenant), ctx: ctx, slots: 1, scheme: s, load: load{units: units}, est: p.rateOf(s).estimate(units)}, time.Now())
}

// backlog is how long the last of the jobs that run and wait has to wait, should
// all runs be as slow as the slowest of late.
// Where runs differ, as on a machine shared with others, the queue is so kept
// short enough that hardly anybody who was let in is sent away in the end; a
// short queue costs no throughput as long as it is not empty.
func (p *pool) backlog(now time.Time) time.Duration {
	sum := p.left(now)
	p.queue.each(func(l *line) { sum += p.ahead(l) })
	return sum / time.Duration(p.slots)
}

// left is the time of slots that the jobs that run will still take.
func (p *pool) left(now time.Time) (sum time.Duration) {
	for r := range p.running {
		if left := r.est - now.Sub(r.started); left > 0 {
			sum += left * time.Duration(r.slots)
		}
	}
	return sum
}

// ahead is the time of slots that the jobs of a line will take at most.
func (p *pool) ahead(l *line) (sum time.Duration) {
	for s, units := range l.units {
		sum += p.rateOf(s).upper(units)
	}
	return sum
}

// own is what ahead will be for the tenant of a job with it.
func (p *pool) own(j *job) time.Duration {
	return p.ahead(p.queueOf(j).of(j.class.tenant)) + p.rateOf(j.scheme).upper(j.load.units*float64(j.slots))
}

// longest is the line of a queue that will take the most time, or nil.
func (p *pool) longest(q *queue) (most *line) {
	q.each(func(l *line) {
		if most == nil || p.ahead(l) > p.ahead(most) {
			most = l
		}
	})
	return most
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
	p.queueOf(j).remove(j)
	p.dispatch() // j may have held back smaller jobs
	if timedOut != nil {
		*timedOut = p.busy(p.backlog(time.Now()))
	} else {
		p.stats.Left++
	}
	return waiting
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
		if err := j.ctx.Err(); err != nil {
			p.queueOf(j).remove(j)
			p.stats.Left++
			p.refuse(j, err)
			continue
		}
		if at, ok := j.ctx.Deadline(); ok && at.Sub(now) < j.est && !j.class.batch && p.queue.n > 1 {
			// Others wait who can still be served in time.
			p.queue.remove(j)
			p.refuse(j, p.busy(p.backlog(now)))
			continue
		}
		p.queueOf(j).serve(j)
		p.start(j, now)
	}
}

func (p *pool) next(now time.Time) *job {
	if j := p.queue.next(); j != nil {
		if j.slots <= len(p.idle) {
			return j
		}
		return nil
	}
	j := p.batch.next()
	if j == nil {
		return nil
	}
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
		for _, q := range []*queue{p.queue, p.batch} {
			for j := q.next(); j != nil; j = q.next() {
				q.remove(j)
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
	s.Queued = p.queue.n + p.batch.n
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

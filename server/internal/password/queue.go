// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"container/list"
	"time"
)

// queue is the jobs of a class that wait: a line for each tenant. The tenants
// that wait get the same time of the slots, whoever of them asks for more
// (start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996); the jobs of one
// are served as they came. The pool's lock guards it.
type queue struct {
	lines   map[string]*line
	waiting list.List // of *line: those with jobs, the longest without a break first
	n       int       // jobs in all lines
	now     time.Duration
}

// line is the jobs of one tenant. There is one for every tenant that was ever
// here: who leaves an empty line and comes again has still had what it had.
type line struct {
	jobs  list.List          // of *job
	units map[Scheme]float64 // units × slots of these
	had   time.Duration      // of slots, on the clock of all lines
	place *list.Element      // in waiting, or nil
}

func newQueue() *queue { return &queue{lines: make(map[string]*line)} }

func (q *queue) of(tenant string) *line {
	if plantOneLine {
		tenant = ""
	}
	l := q.lines[tenant]
	if l == nil {
		l = &line{units: make(map[Scheme]float64)}
		q.lines[tenant] = l
	}
	return l
}

func (q *queue) push(j *job) {
	l := q.of(j.class.tenant)
	if l.place == nil {
		l.place = q.waiting.PushBack(l)
		l.had = max(l.had, q.now) // time in which a tenant asked for nothing is gone
	}
	j.place = l.jobs.PushBack(j)
	l.units[j.scheme] += j.load.units * float64(j.slots)
	q.n++
}

func (q *queue) remove(j *job) {
	l := q.of(j.class.tenant)
	l.jobs.Remove(j.place)
	j.place = nil
	l.units[j.scheme] -= j.load.units * float64(j.slots)
	q.n--
	if l.jobs.Len() == 0 {
		clear(l.units) // and what rounding has left in them
		q.waiting.Remove(l.place)
		l.place = nil
	}
}

// each calls f with the lines that have jobs.
func (q *queue) each(f func(*line)) {
	for e := q.waiting.Front(); e != nil; e = e.Next() {
		f(e.Value.(*line))
	}
}

// next is the job whose turn it is, or nil.
func (q *queue) next() *job {
	var least *line
	q.each(func(l *line) {
		if least == nil || l.had < least.had {
			least = l
		}
	})
	if least == nil {
		return nil
	}
	return least.jobs.Front().Value.(*job)
}

// serve takes out a job that is about to run, and charges its tenant for it.
func (q *queue) serve(j *job) {
	l := q.of(j.class.tenant)
	q.now = l.had
	l.had += j.est * time.Duration(j.slots)
	q.remove(j)
}

// newest is the job of a line that came last.
func (l *line) newest() *job { return l.jobs.Back().Value.(*job) }

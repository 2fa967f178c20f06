// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Get gives an audit and how far it is.
func (e *Engine) Get(ctx context.Context, tenant, id string) (*Audit, Progress, error) {
	a, err := e.load(ctx, tenant, id)
	if err != nil {
		return nil, Progress{}, err
	}
	p, err := e.progress(ctx, a)
	return a, p, err
}

// List gives the audits of a tenant, newest first.
func (e *Engine) List(ctx context.Context, tenant string) ([]*Audit, []Progress, error) {
	var list []*Audit
	for a, err := range e.list(ctx, tenant) {
		if err != nil {
			return nil, nil, err
		}
		list = append(list, a)
	}
	slices.SortStableFunc(list, func(a, b *Audit) int { return b.Created.Compare(a.Created) })
	out := make([]Progress, len(list))
	for i, a := range list {
		var err error
		if out[i], err = e.progress(ctx, a); err != nil {
			return nil, nil, err
		}
	}
	return list, out, nil
}

func (e *Engine) progress(ctx context.Context, a *Audit) (Progress, error) {
	if res := a.Result; res != nil {
		return Progress{Records: res.Records, Rejected: res.Rejected, Done: res.Records, Guesses: res.Guesses, CPU: res.CPU, Kinds: res.Kinds, Yield: res.Yield}, nil
	}
	works, err := e.works(ctx, a)
	if err != nil {
		return Progress{}, err
	}
	bounds := roundsOf(a.Budget.Guesses)
	stages := stageRounds + 2*(len(bounds)-1)
	var p Progress
	var left time.Duration
	for _, w := range works {
		p.Records += w.Count
		p.Rejected += w.Rejected
		p.Guesses += w.Guesses
		p.CPU += w.CPU
		for k, n := range w.Kinds {
			p.Kinds[k] += n
		}
		switch {
		case a.State == Open:
		case w.Stage >= stageRounds && w.Cheap+w.Slow == 0:
			p.Done += w.Count
		default:
			p.Done += w.Count * min(w.Stage, stages) / stages
		}
		left += w.left(bounds)
	}
	if a.State == Running {
		left = min(left, a.Budget.CPU-p.CPU)
		p.ETA = max(0, left/time.Duration(max(1, e.Hasher.Stats().Slots)))
		if !a.Deadline.IsZero() {
			p.ETA = max(0, min(p.ETA, a.Deadline.Sub(e.Now())))
		}
		p.Yield = (&runner{Engine: e, a: a}).ahead(works)
	}
	return p, nil
}

// left is how long the guesses take at most that a chunk has before it.
func (w *work) left(bounds []int) time.Duration {
	n := len(bounds) - 1
	all := bounds[n]
	done := func(from int) int { return bounds[min(max(w.Stage-stageRounds-from, 0), n)] }
	return w.CheapCost*time.Duration(all-done(0)) + w.SlowCost*time.Duration(all-done(n))
}

// ahead is how many more passwords the rest of the guesses should find.
func (r *runner) ahead(works []*work) float64 {
	bounds := roundsOf(r.a.Budget.Guesses)
	n := len(bounds) - 1
	var ahead, behind float64
	hits := 0
	for _, w := range works {
		done := bounds[min(max(w.Stage-stageRounds-n, 0), n)]
		hits += w.Hits
		open := max(0, w.Slow-w.Hits)
		ahead += expected(open, done, bounds[n])
		behind += expected(w.Slow, 0, done)
	}
	return yieldLeft(ahead, behind, hits)
}

// pageSize is how many findings one page of Findings holds at most.
const pageSize = 1000

// Findings gives findings from a place that an earlier call gave, the first for
// an empty token, of one kind or of all for 0. next is empty at the end.
// While an audit runs, what is found meanwhile may come behind.
func (e *Engine) Findings(ctx context.Context, tenant, id string, kind Kind, token string) (list []Finding, next string, err error) {
	a, err := e.load(ctx, tenant, id)
	if err != nil {
		return nil, "", err
	}
	page, at, err := parseToken(token)
	if err != nil {
		return nil, "", err
	}
	read, pages := e.finalPage, 0
	if a.Result != nil {
		pages = a.Result.Pages
	} else {
		works, err := e.works(ctx, a)
		if err != nil {
			return nil, "", err
		}
		pages = len(works)
		read = func(ctx context.Context, a *Audit, n int) ([]Finding, error) { return e.interim(ctx, a, works[n]) }
	}
	for ; page < pages; page, at = page+1, 0 {
		all, err := read(ctx, a, page)
		if err != nil {
			return nil, "", err
		}
		for ; at < len(all); at++ {
			if kind != 0 && all[at].Kind != kind {
				continue
			}
			if len(list) == pageSize {
				return list, fmt.Sprintf("%d.%d", page, at), nil
			}
			list = append(list, all[at])
		}
	}
	return list, "", nil
}

// interim gives the findings of a chunk whose audit has not ended.
func (e *Engine) interim(ctx context.Context, a *Audit, w *work) ([]Finding, error) {
	list, err := e.findings(ctx, a, w)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	rows, err := e.rows(ctx, a, w)
	if errors.Is(err, objects.ErrNotFound) {
		return nil, nil // the audit has ended this moment
	}
	if err != nil {
		return nil, err
	}
	return (&runner{Engine: e, a: a}).merge(list, nil, rows, w.First), nil
}

func parseToken(s string) (page, at int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	p, q, ok := strings.Cut(s, ".")
	page, err = strconv.Atoi(p)
	at, err2 := strconv.Atoi(q)
	if !ok || err != nil || err2 != nil || page < 0 || at < 0 {
		return 0, 0, ErrToken
	}
	return page, at, nil
}

// Cancel stops an audit, and its schedule. What was found stays.
func (e *Engine) Cancel(ctx context.Context, tenant, id string) (*Audit, error) {
	a, err := e.change(ctx, tenant, id, func(a *Audit) (bool, error) {
		if a.State.Ended() {
			scheduled := a.Repeat > 0 && a.Next == ""
			a.Repeat = 0
			return scheduled, nil
		}
		a.State, a.Stop = Cancelled, StopCancelled
		a.Ended = e.Now().UTC().Truncate(time.Second)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	e.Log.Info("audit cancelled", "tenant", tenant, "audit", id)
	e.nudge()
	return a, nil
}

// Remediate marks the credentials of the own store about which an audit has
// found one of the kinds. It may be repeated: what is marked stays so.
func (e *Engine) Remediate(ctx context.Context, tenant, id string, list []Kind, s verifier.State) (changed, unchanged int, err error) {
	a, err := e.load(ctx, tenant, id)
	if err != nil {
		return 0, 0, err
	}
	if a.Source != OwnStore || !a.Settled {
		return 0, 0, ErrState
	}
	last := ""
	var failed error
	err = e.final(ctx, a, func(f *Finding) bool {
		if f.ID == last || !slices.Contains(list, f.Kind) {
			return true
		}
		last = f.ID
		p, ok := verifier.ParsePseudonym(f.ID)
		if !ok {
			return true
		}
		did, err := e.Accounts.Mark(ctx, tenant, p, s)
		if err != nil {
			failed = err
			return false
		}
		if did {
			changed++
		} else {
			unchanged++
		}
		return true
	})
	e.Log.Info("audit remediated", "tenant", tenant, "audit", id, "changed", changed, "unchanged", unchanged)
	return changed, unchanged, errors.Join(err, failed)
}

// Walk gives every final finding of an audit to f, in order of records and
// kinds, until f returns false. It returns ErrState for an audit that has not
// ended; one that was cancelled this moment is waited for.
func (e *Engine) Walk(ctx context.Context, tenant, id string, f func(*Finding) bool) (*Audit, error) {
	for try := 0; ; try++ {
		a, err := e.load(ctx, tenant, id)
		switch {
		case err != nil:
			return nil, err
		case a.Settled:
			return a, e.final(ctx, a, f)
		case a.State != Cancelled || try == 25:
			return nil, ErrState
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Purge forgets the audits that ended before a time, with their findings, and
// cancels those that were opened before it and never completed. One that is the
// last of a schedule, or that another is being compared with, stays. It returns
// how many went.
func (e *Engine) Purge(ctx context.Context, before time.Time) (gone int, err error) {
	var all []*Audit
	needed := map[string]bool{}
	for a, err := range e.list(ctx, objects.AllTenants) {
		if err != nil {
			return 0, err
		}
		all = append(all, a)
		if !a.Cleaned {
			needed[a.Previous] = true
		}
	}
	for _, a := range all {
		switch {
		case a.State == Open && a.Created.Before(before):
			if _, err := e.Cancel(ctx, a.Tenant, a.ID); err != nil && !errors.Is(err, ErrUnknown) {
				return gone, err
			}
			continue
		case !a.Cleaned, a.Ended.IsZero(), !a.Ended.Before(before), needed[a.ID], a.Repeat > 0 && a.State == Done && a.Next == "":
			continue
		}
		if err := e.forget(ctx, a); err != nil {
			return gone, err
		}
		gone++
	}
	return gone, nil
}

// forget deletes an audit. First nobody looks for its pages any more, so that
// what a crash leaves can still be read, and deleted.
func (e *Engine) forget(ctx context.Context, a *Audit) error {
	a, err := e.change(ctx, a.Tenant, a.ID, func(a *Audit) (bool, error) {
		if a.Result == nil || a.Result.Pages == 0 {
			return false, nil
		}
		a.Result.Pages = 0
		return true, nil
	})
	if err == nil {
		err = e.deleteAll(ctx, kindPage(a.ID), a.Tenant, nil)
	}
	if err == nil {
		err = e.Objects.Delete(ctx, kindAudit, a.Tenant, a.ID, a.version)
	}
	if errors.Is(err, ErrUnknown) || errors.Is(err, objects.ErrConflict) || errors.Is(err, objects.ErrNotFound) {
		return nil // somebody else was first, or comes after
	}
	return err
}

// Held is what an audit holds on one record.
type Held struct {
	Audit *Audit
	// Row is the record as it was uploaded, while the audit goes on; nil after.
	Row      *Row
	Findings []Finding
}

// About gives what the audits of a tenant hold on the records of these ids.
func (e *Engine) About(ctx context.Context, tenant string, ids ...string) ([]Held, error) {
	var out []Held
	for a, err := range e.list(ctx, tenant) {
		if err != nil {
			return nil, err
		}
		h := Held{Audit: a}
		err = e.final(ctx, a, func(f *Finding) bool {
			if slices.Contains(ids, f.ID) {
				h.Findings = append(h.Findings, *f)
			}
			return ctx.Err() == nil
		})
		if err == nil && !a.Cleaned {
			err = e.uploaded(ctx, a, ids, &h)
		}
		if err != nil && !errors.Is(err, objects.ErrNotFound) { // it has ended, or gone, this moment
			return nil, err
		}
		if h.Row != nil || len(h.Findings) > 0 {
			out = append(out, h)
		}
	}
	return out, ctx.Err()
}

func (e *Engine) uploaded(ctx context.Context, a *Audit, ids []string, h *Held) error {
	works, err := e.works(ctx, a)
	if err != nil {
		return err
	}
	for _, w := range works {
		rows, err := e.rows(ctx, a, w)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(rows, func(r Row) bool { return slices.Contains(ids, r.ID) }); i >= 0 {
			h.Row = &rows[i]
			return nil
		}
	}
	return nil
}

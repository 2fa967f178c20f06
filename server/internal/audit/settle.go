// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
)

// pageBytes is where a final page ends.
const pageBytes = 256 << 10

func finalName(n int) string { return fmt.Sprintf("f-%08d", n) }

// settle puts the findings of all chunks in order, tells which accounts share a
// password that is known, compares with the audit before, and ends the audit.
func (r *runner) settle(ctx context.Context) error {
	works, err := r.works(ctx, r.a)
	if err != nil {
		return err
	}
	shared := make(map[uint64]int)
	for _, w := range works {
		list, err := r.findings(ctx, r.a, w)
		if err != nil {
			return err
		}
		for row, tag := range tagsOf(list) {
			if row >= w.First {
				shared[tag]++
			}
		}
	}
	res := &Result{Schemes: make(map[string]int), Bands: make(map[Band]int)}
	digest := sha256.New()
	var page []Finding
	var buf []byte
	size := 0
	flush := func() error {
		if len(page) == 0 {
			return nil
		}
		err := r.put(ctx, kindPage(r.a.ID), r.a.Tenant, finalName(res.Pages), appendFindings(nil, page, true))
		page, size = page[:0], 0
		res.Pages++
		return err
	}
	for _, w := range works {
		rows, err := r.rows(ctx, r.a, w)
		if err != nil {
			return err
		}
		list, err := r.findings(ctx, r.a, w)
		if err != nil {
			return err
		}
		list = r.merge(list, shared, rows, w.First)
		res.count(w, list)
		for i := range rows {
			rows[i].tag = 0 // another in each audit
			buf = appendRow(buf[:0], &rows[i])
			digest.Write(binary.BigEndian.AppendUint32(nil, uint32(len(buf))))
			digest.Write(buf)
		}
		for _, f := range list {
			page = append(page, f)
			if size += len(f.ID) + len(f.Class) + 24; size > pageBytes {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	res.Digest = hex.EncodeToString(digest.Sum(nil))
	res.Yield = r.ahead(works)
	if res.Diff, err = r.compare(ctx, res); err != nil {
		return err
	}
	a, err := r.change(ctx, r.a.Tenant, r.a.ID, func(a *Audit) (bool, error) {
		if a.Owner != r.owner {
			return false, errLost
		}
		if a.State == Running {
			a.State = Done
		}
		a.Settled, a.Result, a.Ended, a.Owner = true, res, r.Now().UTC().Truncate(time.Second), ""
		return true, nil
	})
	if err != nil {
		return err
	}
	r.Log.Info("audit ended", "tenant", a.Tenant, "audit", a.ID, "state", a.State, "records", res.Records, "guesses", res.Guesses, "flagged", res.Flagged)
	return nil
}

// tagsOf gives, by row, the tag of the password that is known of it.
func tagsOf(list []Finding) map[int]uint64 {
	out := make(map[int]uint64)
	for _, f := range list {
		if f.tag != 0 {
			out[f.Row] = f.tag
		}
	}
	return out
}

// merge orders the findings of a chunk by row and kind, one of each, with ids
// and without tags.
func (r *runner) merge(list []Finding, shared map[uint64]int, rows []Row, first int) []Finding {
	for row, tag := range tagsOf(list) {
		if n := shared[tag]; n > 1 && row-first >= 0 && row-first < len(rows) {
			list = append(list, Finding{Row: row, Kind: Shared, Severity: sharedSeverity(n).weigh(rows[row-first].Flags), Class: "same-password", Accounts: n})
		}
	}
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Row, b.Row), cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.Severity, a.Severity),
			cmp.Compare(b.Accounts, a.Accounts), strings.Compare(a.Class, b.Class))
	})
	list = slices.CompactFunc(list, func(a, b Finding) bool { return a.Row == b.Row && a.Kind == b.Kind })
	for i := range list {
		list[i].tag = 0
		if at := list[i].Row - first; at >= 0 && at < len(rows) {
			list[i].ID = rows[at].ID
		}
	}
	return list
}

// guessed tells whether a finding means that the password is known.
func (f *Finding) guessed() bool {
	return f.Band > 0 && (f.Kind == Weak || f.Kind == ContextDerived || f.Kind == DefaultCredential)
}

func (res *Result) count(w *work, list []Finding) {
	res.Records += w.Count
	res.Rejected += w.Rejected
	res.Guesses += w.Guesses
	res.CPU += w.CPU
	if w.Corpora != "" {
		res.Corpora = w.Corpora
	}
	for s, n := range w.Schemes {
		res.Schemes[s] += n
	}
	flagged, guessed := -1, -1
	for i := range list {
		f := &list[i]
		res.Kinds[f.Kind]++
		res.Severities[f.Severity]++
		if f.Severity >= Medium && f.Row != flagged {
			flagged = f.Row
			res.Flagged++
		}
		if f.guessed() && f.Row != guessed {
			guessed = f.Row
			res.Guessed++
			res.Bands[f.Band]++
		}
	}
}

type findingKey [12]byte

func keyOf(f *Finding) findingKey {
	h := sha256.New()
	h.Write([]byte{byte(f.Kind)})
	h.Write([]byte(f.ID))
	var k findingKey
	copy(k[:], h.Sum(nil))
	return k
}

// partFindings is how many findings of the audit before are held at a time, of
// about 32 bytes each. More are gone through several times, each time for one
// part of all keys.
const partFindings = 2 << 20

// compare meets the final findings of the audit with those of the one before, by
// record and kind. It gives nil where there is none to compare with.
func (r *runner) compare(ctx context.Context, res *Result) (*Difference, error) {
	if r.a.Previous == "" {
		return nil, nil
	}
	before, err := r.load(ctx, r.a.Tenant, r.a.Previous)
	if errors.Is(err, ErrUnknown) || err == nil && !before.Settled {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := *r.a
	now.Result = res
	all := 0
	for _, n := range before.Result.Kinds {
		all += n
	}
	diff := &Difference{}
	parts := uint32((all + r.part - 1) / r.part)
	for part := range max(parts, 1) {
		// Several records may have one id: each is met with one of the audit before.
		type count struct {
			kind Kind
			n    uint32
		}
		known := make(map[findingKey]count)
		each := func(f func(findingKey, Kind)) func(*Finding) bool {
			return func(x *Finding) bool {
				if k := keyOf(x); binary.BigEndian.Uint32(k[:])%max(parts, 1) == part {
					f(k, x.Kind)
				}
				return true
			}
		}
		err := r.final(ctx, before, each(func(k findingKey, kind Kind) { known[k] = count{kind, known[k].n + 1} }))
		if errors.Is(err, errSealed) || errors.Is(err, errRows) || errors.Is(err, objects.ErrNotFound) {
			// What became of the one before is no fault of this one.
			r.Log.Error("the audit before cannot be compared with", "tenant", r.a.Tenant, "audit", r.a.Previous, "error", err)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if err := r.final(ctx, &now, each(func(k findingKey, kind Kind) {
			if n := known[k].n; n > 0 {
				known[k] = count{kind, n - 1}
				diff.Same++
				return
			}
			diff.New++
			diff.NewByKind[kind]++
		})); err != nil {
			return nil, err
		}
		for _, c := range known {
			diff.Gone += int(c.n)
			diff.GoneByKind[c.kind] += int(c.n)
		}
	}
	return diff, nil
}

// final walks the final findings of an audit until f returns false.
func (e *Engine) final(ctx context.Context, a *Audit, f func(*Finding) bool) error {
	if a.Result == nil {
		return nil
	}
	for n := range a.Result.Pages {
		list, err := e.finalPage(ctx, a, n)
		if err != nil {
			return err
		}
		for i := range list {
			if !f(&list[i]) {
				return nil
			}
		}
	}
	return nil
}

func (e *Engine) finalPage(ctx context.Context, a *Audit, n int) ([]Finding, error) {
	plain, _, err := e.get(ctx, kindPage(a.ID), a.Tenant, finalName(n))
	if err != nil {
		return nil, err
	}
	return parseFindings(plain, true)
}

// clean deletes what an audit that has ended does not need any more, and puts
// the end into the event log. One that failed keeps how far it was, and no rows.
func (r *runner) clean(ctx context.Context) error {
	a := r.a
	if a.Cleaned {
		return nil
	}
	if err := r.deleteAll(ctx, kindRows(a.ID), a.Tenant, nil); err != nil {
		return err
	}
	if a.Settled {
		if err := r.deleteAll(ctx, kindWork(a.ID), a.Tenant, nil); err != nil {
			return err
		}
		if err := r.deleteAll(ctx, kindPage(a.ID), a.Tenant, func(name string) bool { return strings.HasPrefix(name, "f-") }); err != nil {
			return err
		}
	}
	if err := r.Tell(ctx, Ended, a); err != nil {
		return err
	}
	_, err := r.change(ctx, a.Tenant, a.ID, func(a *Audit) (bool, error) {
		a.Cleaned, a.Owner = true, ""
		a.Words = nil
		return true, nil
	})
	return err
}

// Purge drops the audits of all tenants that ended before a time, and cancels
// those opened before it whose upload never came to its end. The last of a
// schedule stays until the next has begun, and so does one that another is being
// compared with. It returns how many went.
func (e *Engine) Purge(ctx context.Context, before time.Time) (gone int, err error) {
	var all []*Audit
	var errs []error
	needed := map[string]bool{}
	for a, err := range e.list(ctx, objects.AllTenants) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, a)
		if !a.Cleaned && !a.Dropped {
			needed[a.Previous] = true
		}
	}
	for _, a := range all {
		var err error
		switch {
		case a.Dropped, a.Cleaned && a.Ended.Before(before) && !a.recurs() && !needed[a.ID]:
			if err = e.drop(ctx, a); err == nil {
				gone++
			}
		case a.State == Open && a.Created.Before(before):
			_, err = e.Cancel(ctx, a.Tenant, a.ID)
		}
		if err != nil && !errors.Is(err, ErrUnknown) && !errors.Is(err, objects.ErrConflict) && !errors.Is(err, objects.ErrNotFound) {
			return gone, errors.Join(append(errs, err)...)
		}
	}
	return gone, errors.Join(errs...)
}

// drop deletes an audit with all its parts. It is marked first, so that nobody
// meets one that is half there.
func (e *Engine) drop(ctx context.Context, a *Audit) error {
	if !a.Dropped {
		a.Dropped = true
		plain, err := json.Marshal(a)
		if err != nil {
			return err
		}
		a.version++
		if err := e.save(ctx, kindAudit, a.Tenant, a.ID, a.version, plain); err != nil {
			return err
		}
	}
	for _, kind := range []string{kindRows(a.ID), kindWork(a.ID), kindPage(a.ID)} {
		if err := e.deleteAll(ctx, kind, a.Tenant, nil); err != nil {
			return err
		}
	}
	if err := e.Tell(ctx, Dropped, a); err != nil {
		return err
	}
	return e.Objects.Delete(ctx, kindAudit, a.Tenant, a.ID, a.version)
}

// recur begins the next audit of a schedule. Its id is fixed first, so that of
// several servers, or of two starts, one makes it; the schedule has gone on only
// when it is there.
func (r *runner) recur(ctx context.Context) error {
	a, err := r.change(ctx, r.a.Tenant, r.a.ID, func(a *Audit) (bool, error) {
		if a.Next != "" || !a.recurs() {
			return false, nil
		}
		a.Next = newName()
		return true, nil
	})
	if err != nil || !a.recurs() {
		return err
	}
	q := a.Request
	q.Previous = a.ID
	if q.Deadline.After(a.Created) {
		q.Deadline = r.Now().Add(q.Deadline.Sub(a.Created))
	}
	if err := r.born(ctx, r.draft(a.Next, q)); err != nil && !errors.Is(err, objects.ErrConflict) {
		return err
	}
	_, err = r.change(ctx, a.Tenant, a.ID, func(a *Audit) (bool, error) {
		a.Followed = true
		return true, nil
	})
	return err
}

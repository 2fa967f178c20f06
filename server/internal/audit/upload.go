// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/strength"
	"github.com/watchword-project/watchword/wordlists"
)

// Bounds of a chunk.
const (
	chunkRows  = 2000
	chunkBytes = 512 << 10
)

// Reasons why a record is not taken.
const (
	FaultRecord = "MALFORMED_REQUEST"       // not a record, or without an id
	FaultHash   = "BAD_HASH"                // not a hash of a known form
	FaultCost   = "HASH_COST_OUT_OF_BOUNDS" // a hash that is never verified
	FaultText   = "BAD_PASSWORD"            // not a password that can be judged
)

// Create opens an audit; one of the own store starts at once.
func (e *Engine) Create(ctx context.Context, q Request) (*Audit, error) {
	if q.Previous != "" {
		if _, err := e.load(ctx, q.Tenant, q.Previous); err != nil {
			return nil, err
		}
	}
	a := e.draft(newName(), q)
	return a, e.born(ctx, a)
}

func (e *Engine) draft(id string, q Request) *Audit {
	if q.Budget.CPU == 0 {
		q.Budget.CPU = DefaultCPU
	}
	if q.Budget.Guesses == 0 {
		q.Budget.Guesses = DefaultGuesses
	}
	if q.Limits.StaleAfter == 0 {
		q.Limits.StaleAfter = DefaultStaleAfter
	}
	if q.Limits.DormantAfter == 0 {
		q.Limits.DormantAfter = DefaultDormantAfter
	}
	now := e.Now().UTC().Truncate(time.Second)
	a := &Audit{ID: id, Request: q, State: Open, Created: now, version: 1}
	if q.Source == OwnStore {
		a.State, a.Started = Running, now
	}
	return a
}

func (e *Engine) born(ctx context.Context, a *Audit) error {
	plain, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := e.create(ctx, kindAudit, a.Tenant, a.ID, plain); err != nil {
		return err
	}
	e.Log.Info("audit created", "tenant", a.Tenant, "audit", a.ID)
	e.nudge()
	return nil
}

func (e *Engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Upload takes records, in order and from one goroutine.
type Upload struct {
	e     *Engine
	a     *Audit
	words []string
	first int // offset of the first row that is not durable
	chunk int // number of the next chunk
	rows  []byte
	count int
	bad   int
}

// Upload begins to add records to an open audit, behind those it has.
func (e *Engine) Upload(ctx context.Context, tenant, id string) (*Upload, error) {
	a, err := e.load(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if a.Source != Uploaded {
		return nil, ErrState
	}
	u := &Upload{e: e, a: a}
	if u.words, err = e.words(a); err != nil {
		return nil, err
	}
	return u, u.resume(ctx)
}

// words are those of the organisation: what the audit was given, and the
// tenant's dictionary.
func (e *Engine) words(a *Audit) ([]string, error) {
	words, err := e.Accounts.TenantWords(a.Tenant)
	if err != nil {
		return nil, err
	}
	return append(a.Words[:len(a.Words):len(a.Words)], words[:min(len(words), policy.MaxContextWords)]...), nil
}

// resume finds where the chunks that are durable end.
func (u *Upload) resume(ctx context.Context) error {
	works, err := u.e.works(ctx, u.a)
	if err != nil {
		return err
	}
	u.first, u.chunk, u.rows, u.count, u.bad = 0, len(works), nil, 0, 0
	if u.a.Result != nil { // the chunks are gone
		u.first = u.a.Result.Records
	} else if n := len(works); n > 0 {
		u.first = works[n-1].First + works[n-1].Count
	}
	return nil
}

// Next is the offset of the next record.
func (u *Upload) Next() int { return u.first + u.count }

// ID names the audit.
func (u *Upload) ID() string { return u.a.ID }

// Add takes the record at an offset, and returns why it is no good, or an empty
// reason. Offsets before Next are passed over, since they were taken before;
// one beyond it is ErrOffset. text is the password where the record has one
// instead of a hash: it is judged and not kept.
func (u *Upload) Add(ctx context.Context, offset int, r Row, text password.Text) (reason string, err error) {
	if u.a.State != Open {
		if offset < u.Next() {
			return "", nil
		}
		return "", ErrState
	}
	switch next := u.Next(); {
	case offset < next:
		return "", nil
	case offset > next:
		return "", ErrOffset
	case offset >= MaxRecords:
		return "", ErrFull
	}
	if r.Fault == "" {
		r.Fault = u.fault(&r, text)
	}
	if r.Fault != "" {
		r = Row{ID: r.ID, Fault: r.Fault}
		u.bad++
	} else if !text.IsZero() {
		u.judge(&r, text)
	}
	u.rows = appendRow(u.rows, &r)
	u.count++
	if u.count >= chunkRows || len(u.rows) >= chunkBytes {
		return r.Fault, u.Flush(ctx)
	}
	return r.Fault, nil
}

func (u *Upload) fault(r *Row, text password.Text) string {
	switch {
	case r.ID == "", text.IsZero() == (r.Hash == ""):
		return FaultRecord
	case r.Hash == "":
		return ""
	}
	err := u.e.Hasher.Check(r.Hash)
	var cost *password.CostError
	switch {
	case errors.As(err, &cost):
		return FaultCost
	case err != nil:
		return FaultHash
	}
	return ""
}

// judge finds what a password in plaintext gives away. A listed one, or one of
// less than a million guesses, is weak.
func (u *Upload) judge(r *Row, text password.Text) {
	plain := text.Reveal()
	add := func(k Kind, s Severity, b Band, class string) {
		r.found = append(r.found, Finding{Kind: k, Severity: s.weigh(r.Flags), Band: b, Class: class})
	}
	r.tag = u.e.seal.tagOf(u.a.ID, plain)
	person := personOf(r, u.words)
	login := person.Context.Login
	match, listed := wordlists.Common().Match(plain)
	context := ""
	for _, c := range Candidates(person, u.a.Created, maxCandidates) {
		if c.Text == string(plain) {
			context = c.Class
			break
		}
	}
	est := strength.Of(plain, strength.NewHints(strength.Context{Login: login, Emails: r.Context.Emails, Names: r.Context.Names,
		Phones: r.Context.Phones, Words: append(r.Context.Words[:len(r.Context.Words):len(r.Context.Words)], u.words...), BirthDate: r.Context.BirthDate}))
	band := bandOf(math.Pow(10, min(est.GuessesLog10, 30)))
	if context == "" && est.GuessesLog10 < 8 {
		for _, s := range est.Segments() {
			if s.Kind == strength.KindContext {
				context = "context"
			}
		}
	}
	switch {
	case context == "vendor-default", context == "same-as-login" && (defaultName(login) || testName(login)):
		add(DefaultCredential, Critical, band, context)
	case context != "":
		add(ContextDerived, guessedSeverity(band), band, context)
	case listed:
		band = bandOf(float64(match.Rank))
		add(Weak, guessedSeverity(band), band, "common "+match.Form.String())
	case est.GuessesLog10 < 6:
		add(Weak, guessedSeverity(band), band, "estimate")
	}
	if u.e.Corpora != nil {
		if b := u.e.Corpora.Breach(text, false); b.Found {
			add(Breached, breachSeverity(b.Count), 0, seen(b.Count))
		}
	}
}

// personOf is what is known of the owner of a row.
func personOf(r *Row, words []string) Person {
	p := Person{Login: r.Context.Login, Context: r.Context, Words: words}
	if p.Login == "" {
		p.Login = r.ID
	}
	p.Context.Login = p.Login
	return p
}

// breachSeverity and seen put how often a corpus has seen a password into
// bands.
func breachSeverity(count uint64) Severity {
	if count >= 1000 {
		return Critical
	}
	return High
}

func seen(count uint64) string {
	return fmt.Sprintf("seen 1e%d", int(math.Floor(math.Log10(float64(max(count, 1))))))
}

// Flush makes the records so far durable. When somebody else uploads to the
// same audit, the first to store a chunk wins, and the other goes on behind it.
func (u *Upload) Flush(ctx context.Context) error {
	if u.count == 0 {
		return nil
	}
	if err := u.open(ctx); err != nil {
		return err
	}
	w := work{First: u.first, Count: u.count, Rejected: u.bad, Rows: newName()}
	if err := u.e.create(ctx, kindRows(u.a.ID), u.a.Tenant, w.Rows, u.rows); err != nil {
		return err
	}
	err := u.e.create(ctx, kindWork(u.a.ID), u.a.Tenant, workName(u.chunk), w.marshal())
	if errors.Is(err, objects.ErrConflict) {
		mine := u.Next()
		if err := u.e.Objects.Delete(ctx, kindRows(u.a.ID), u.a.Tenant, w.Rows, 1); err != nil {
			return err
		}
		if err := u.resume(ctx); err != nil {
			return err
		}
		if u.Next() < mine {
			return ErrOffset // the caller sends again from Next on
		}
		return nil
	}
	if err != nil {
		return err
	}
	u.first, u.chunk, u.rows, u.count, u.bad = u.Next(), u.chunk+1, u.rows[:0], 0, 0
	return nil
}

// open looks whether the audit still takes records.
func (u *Upload) open(ctx context.Context) error {
	a, err := u.e.load(ctx, u.a.Tenant, u.a.ID)
	if err != nil {
		return err
	}
	if a.State != Open {
		return ErrState
	}
	return nil
}

// Complete says that no record follows: the audit starts. An audit that runs
// already is left alone.
func (u *Upload) Complete(ctx context.Context) error {
	if err := u.Flush(ctx); err != nil {
		return err
	}
	a, err := u.e.change(ctx, u.a.Tenant, u.a.ID, func(a *Audit) (bool, error) {
		if a.State != Open {
			return false, nil
		}
		a.State, a.Gathered, a.Started = Running, true, u.e.Now().UTC().Truncate(time.Second)
		return true, nil
	})
	if err != nil {
		return err
	}
	u.a = a
	u.e.nudge()
	return nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
)

// Stages of a chunk. The rounds over cheap hashes follow stageJoin, then those
// over the others.
const (
	stageSurvey = iota
	stageJoin
	stageRounds
)

// tier is how dear a guess is.
type tier uint8

const (
	tierNone  tier = iota // nothing to guess
	tierBare              // one digest: met with the list in stageJoin
	tierCheap             // a digest with salt, and the like
	tierSlow
)

// work is how far a chunk is.
type work struct {
	First, Count, Rejected int
	Rows                   string // name of the object that holds the rows
	Stage                  int    // the stage to do next
	// Resolved and Did are sets of rows: those whose password is known, and
	// those that the stage under way is through with.
	Resolved, Did bitset
	// Cheap and Slow count the rows to guess, and CheapCost and SlowCost are the
	// times of one guess for each of them.
	Cheap, Slow         int
	CheapCost, SlowCost time.Duration
	Guesses             int64
	CPU                 time.Duration
	Hits                int
	Kinds               [kinds]int
	Schemes             map[string]int `json:",omitempty"`
	Corpora             string         `json:",omitempty"`
	Pages               []string
	Owner               string
	Until               time.Time

	number  int
	version uint64
}

func workName(n int) string { return fmt.Sprintf("%08d", n) }

func (w *work) marshal() []byte {
	b, err := json.Marshal(w)
	if err != nil { // no field can fail
		panic(err)
	}
	return b
}

// bitset is a set of small numbers.
type bitset []byte

func (b bitset) has(i int) bool { return i/8 < len(b) && b[i/8]&(1<<(i%8)) != 0 }

func (b *bitset) add(i int) {
	for len(*b) <= i/8 {
		*b = append(*b, 0)
	}
	(*b)[i/8] |= 1 << (i % 8)
}

// works gives the chunks of an audit in order.
func (e *Engine) works(ctx context.Context, a *Audit) ([]*work, error) {
	var out []*work
	for o, err := range e.Objects.List(ctx, kindWork(a.ID), a.Tenant) {
		if err != nil {
			return nil, err
		}
		plain, err := e.seal.open(o.Data, o.Kind, a.Tenant, o.Name)
		if err != nil {
			return nil, err
		}
		w := &work{number: len(out), version: o.Version}
		if err := json.Unmarshal(plain, w); err != nil || o.Name != workName(len(out)) {
			return nil, errRows
		}
		out = append(out, w)
	}
	return out, nil
}

// commit writes a chunk's state by compare-and-swap. errLost means that
// somebody else has taken the chunk over.
func (e *Engine) commit(ctx context.Context, a *Audit, w *work) error {
	err := e.save(ctx, kindWork(a.ID), a.Tenant, workName(w.number), w.version+1, w.marshal())
	if errors.Is(err, objects.ErrConflict) {
		return errLost
	}
	if err == nil {
		w.version++
	}
	return err
}

// free tells whether a lease may be taken.
func (e *Engine) free(owner string, until time.Time) bool {
	return owner == "" || owner == e.owner || e.Alone || e.Now().After(until)
}

// claim takes a chunk for this server.
func (e *Engine) claim(ctx context.Context, a *Audit, w *work) error {
	w.Owner, w.Until = e.owner, e.Now().Add(e.Lease)
	return e.commit(ctx, a, w)
}

func (e *Engine) rows(ctx context.Context, a *Audit, w *work) ([]Row, error) {
	plain, _, err := e.get(ctx, kindRows(a.ID), a.Tenant, w.Rows)
	if err != nil {
		return nil, err
	}
	rows, err := parseRows(plain)
	if err == nil && len(rows) != w.Count {
		err = errRows
	}
	return rows, err
}

// page stores findings of a chunk and gives the name; the chunk's state must be
// committed with it to make it count.
func (e *Engine) page(ctx context.Context, a *Audit, list []Finding) (string, error) {
	name := "p-" + newName()
	return name, e.create(ctx, kindPage(a.ID), a.Tenant, name, appendFindings(nil, list, false))
}

// advance commits findings and progress of a chunk together.
func (e *Engine) advance(ctx context.Context, a *Audit, w *work, found []Finding) error {
	before := *w
	if len(found) > 0 {
		name, err := e.page(ctx, a, found)
		if err != nil {
			return err
		}
		w.Pages = append(w.Pages[:len(w.Pages):len(w.Pages)], name)
		for _, f := range found {
			w.Kinds[f.Kind]++
		}
	}
	w.Until = e.Now().Add(e.Lease)
	err := e.commit(ctx, a, w)
	if err != nil && len(found) > 0 {
		// Nobody names the page: it is deleted here, or with the audit's end.
		_ = e.Objects.Delete(ctx, kindPage(a.ID), a.Tenant, w.Pages[len(w.Pages)-1], 1)
	}
	if err != nil {
		*w = before
	}
	return err
}

// findings reads what a chunk's pages hold, in the order of their writing.
func (e *Engine) findings(ctx context.Context, a *Audit, w *work) ([]Finding, error) {
	var out []Finding
	for _, name := range w.Pages {
		plain, _, err := e.get(ctx, kindPage(a.ID), a.Tenant, name)
		if err != nil {
			return nil, err
		}
		list, err := parseFindings(plain, false)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

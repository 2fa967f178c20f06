// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// change is one compare-and-swap, run in a write transaction. It changes
// nothing when it returns one of the conflict errors.
type change func(*tables) error

// tables are the open tables of a write transaction.
type tables struct {
	credentials, objects *openTable
}

// request is what one caller wants to have committed. errs belong to the
// committer until done is closed.
type request struct {
	ctx     context.Context
	changes []change
	errs    []error // one per change
	done    chan struct{}
}

// do hands changes to the committer and waits until they are durable, refused
// or given up, and returns one error for each. A caller that gives up leaves
// the outcome open.
func (s *Store) do(ctx context.Context, changes ...change) []error {
	r := &request{ctx: ctx, changes: changes, errs: make([]error, len(changes)), done: make(chan struct{})}
	if len(changes) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return repeat(err, len(changes))
	}
	select {
	case <-s.quit: // asked first, since the queue may have room for ever
		return repeat(errClosed, len(changes))
	default:
	}
	select {
	case s.queue <- r:
	case <-s.quit:
		return repeat(errClosed, len(changes))
	case <-ctx.Done():
		return repeat(ctx.Err(), len(changes))
	}
	select {
	case <-r.done:
		return r.errs
	case <-ctx.Done():
		return repeat(ctx.Err(), len(changes))
	case <-s.stopped:
	}
	select {
	case <-r.done:
		return r.errs
	default: // came too late for the last round
		return repeat(errClosed, len(changes))
	}
}

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// batchLimit bounds one transaction, in changes.
const batchLimit = 4096

// commitLoop is the only writer. While it commits, requests queue; it then
// takes all that wait. So the batch grows with the load and nobody waits for a
// timer.
func (s *Store) commitLoop() {
	defer close(s.stopped)
	for {
		select {
		case r := <-s.queue:
			s.commitBatch(s.gather(r))
		case <-s.quit:
			for {
				select {
				case r := <-s.queue:
					s.commitBatch(s.gather(r))
				default:
					return
				}
			}
		}
	}
}

func (s *Store) gather(first *request) []*request {
	batch, n := []*request{first}, len(first.changes)
	for n < batchLimit {
		select {
		case r := <-s.queue:
			batch, n = append(batch, r), n+len(r.changes)
		default:
			return batch
		}
	}
	return batch
}

// commitBatch commits the batch in one transaction. If a change fails in a way
// that may have left half of itself behind, such as by meeting a damaged block,
// the transaction is dropped and each change tried alone, so that one bad block
// fails only those who need it.
func (s *Store) commitBatch(batch []*request) {
	if err := s.commit(batch); errors.As(err, new(dropped)) {
		for _, r := range batch {
			for i := range r.changes {
				s.commit([]*request{{ctx: r.ctx, changes: r.changes[i : i+1], errs: r.errs[i : i+1]}})
			}
		}
	}
	for _, r := range batch {
		close(r.done)
	}
}

// errIdle ends a transaction that changed nothing and so needs no sync.
var errIdle = errors.New("nothing to commit")

// dropped ends a transaction in which a change failed.
type dropped struct{ cause error }

func (d dropped) Error() string { return d.cause.Error() }
func (d dropped) Unwrap() error { return d.cause }

// commit runs one transaction and leaves the outcome in the errs of the batch.
func (s *Store) commit(batch []*request) error {
	err := s.Err()
	if err == nil {
		var id int
		err = guard(func() error {
			return s.db.Update(func(tx *bbolt.Tx) error {
				id = tx.ID()
				return s.applyAll(tx, batch)
			})
		})
		switch {
		case err == nil:
			s.lastTx = id
			return nil
		case errors.Is(err, errIdle):
			return nil
		case !errors.As(err, new(dropped)):
			err = s.commitFailed(err)
		}
	}
	for _, r := range batch {
		for i := range r.errs {
			r.errs[i] = err
		}
	}
	return err
}

func (s *Store) applyAll(tx *bbolt.Tx, batch []*request) error {
	var t tables
	var err error
	if t.credentials, err = credentials.in(tx); err != nil {
		return dropped{err}
	}
	if t.objects, err = objectTable.in(tx); err != nil {
		return dropped{err}
	}
	t.credentials.file, t.objects.file = s.file, s.file
	changed := false
	for _, r := range batch {
		for i, c := range r.changes {
			if err := r.ctx.Err(); err != nil {
				r.errs[i] = err
				continue
			}
			err := c(&t)
			switch {
			case err == nil:
				changed = true
			case errors.Is(err, verifier.ErrConflict), errors.Is(err, objects.ErrConflict):
			default:
				return dropped{err}
			}
			r.errs[i] = err
		}
	}
	if !changed {
		return errIdle
	}
	if err := t.credentials.writeHeader(tx); err != nil {
		return dropped{err}
	}
	if err := t.objects.writeHeader(tx); err != nil {
		return dropped{err}
	}
	return nil
}

// commitFailed judges a transaction that failed while it was written.
func (s *Store) commitFailed(cause error) error {
	// Is the newest header page still the one before? bbolt reads it from the
	// mapping, where a header shows up that was written and then not synced.
	visible := -1
	err := guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error { visible = tx.ID(); return nil })
	})
	unchanged := err == nil && visible == s.lastTx
	if unchanged && noRoom(cause) {
		return fmt.Errorf("%w: %w", ErrDiskFull, cause)
	}
	s.wedged = errors.Is(cause, ErrCorrupt)
	s.failure.Store(&failure{cause: cause, unreadable: !unchanged})
	return s.Err()
}

// noRoom says whether a write was refused for want of room, before anything was
// synced. A failed sync never counts, whatever its reason: bbolt returns it as a
// bare errno, and a failed write as a *fs.PathError. When the file cannot be
// made longer, bbolt keeps only the text of the error.
func noRoom(err error) bool {
	var write *fs.PathError
	if errors.As(err, &write) {
		for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
			if errors.Is(write.Err, e) {
				return true
			}
		}
	}
	return strings.HasPrefix(err.Error(), "file resize error: ")
}

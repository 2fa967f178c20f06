// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// Pseudonym is the keyed digest under which a subject is known to the
// stores and the throttle: 16 bytes of HMAC-SHA-256 over tenant and canonical
// subject. No store ever sees the name behind it.
type Pseudonym [16]byte

// InForce is the state that holds: disabled while the attempts have run out.
func (r Record) InForce() State {
	if r.Exhausted {
		return StateDisabled
	}
	return r.State
}

// live is the revision of an existing credential, and 0 for a tombstone or no
// record.
func (r Record) live() uint32 {
	if r.Hash == "" {
		return 0
	}
	return r.Revision
}

// State tells whether a credential may be used.
type State uint8

// The states of a credential. They match CredentialState in the contract.
const (
	StateActive State = iota + 1
	StateMustChange
	StateCompromised
	StateDisabled
)

// Record is what is kept of one credential. Its texts are UTF-8 without NUL;
// its times are kept in UTC to the microsecond, and a store may cut what is
// finer.
type Record struct {
	Tenant  string // at most 128 bytes
	Subject Pseudonym
	// Version counts the changes, beginning at 1, and goes on counting over a
	// deletion, so that a writer who read before it cannot bring the record back.
	Version uint64
	// Revision counts the changes that a caller sees, of password or state, and
	// not those behind a login. It is what the contract calls version.
	Revision uint32
	// State is what an administrator, an audit or a change of password has made
	// of it. InForce tells what holds.
	State State
	// Exhausted marks a credential that is disabled because its last lane ran
	// out of attempts. State is kept for when the lane is opened again.
	Exhausted bool
	// Use is the use that the password was accepted for.
	Use policy.Use
	// Hash is the sealed verifier: a PHC string whose tag is encrypted under a
	// pepper. Empty in a tombstone.
	Hash string
	// History holds the sealed verifiers before this one, newest first.
	History []string
	// Norm is the normalisation under which Hash was made.
	Norm string
	// Policy and PolicyVersion name the policy that accepted the password;
	// empty for an imported hash.
	Policy        string
	PolicyVersion string
	Created       time.Time
	Changed       time.Time // when the password was last set or changed
	LastLogin     time.Time // zero: never, to the day's precision
	// Tombstone marks a deleted credential: Hash, History and all times but
	// Changed are then empty.
	Tombstone bool
}

// Errors of a Store.
var (
	// ErrUnknownSubject is returned by Get for a subject without a record. A
	// tombstone is a record.
	ErrUnknownSubject = errors.New("unknown subject")
	// ErrConflict is returned by Put when the stored version is not the one
	// just before the record's: somebody else wrote first, and nothing changed.
	ErrConflict = errors.New("version conflict")
)

// Store keeps credentials. It decides nothing.
//
// Put is a compare-and-swap: it writes r only if the stored record has
// version r.Version-1, or if none is stored and r.Version is 1; otherwise it
// returns ErrConflict and changes nothing. When Put returns nil the record is
// durable: it survives the loss of power. When Put returns any other error
// the outcome may be unknown, and the caller must read again.
//
// Remove takes a record out, whether or not it is a tombstone, if it has the
// version; otherwise it returns ErrConflict and changes nothing. Afterwards
// nothing tells that it was there, so that a writer who read before can bring
// it back at version 1: it is for tenants that are destroyed as a whole.
//
// Get and All return records that the caller may change. All yields each
// record that exists during the whole walk at least once, tombstones
// included, in no promised order, and never holds a lock across a yield that
// a writer needs. An error of a store means the store failed; it never stands
// for an unknown subject.
type Store interface {
	Get(ctx context.Context, tenant string, subject Pseudonym) (Record, error)
	Put(ctx context.Context, r Record) error
	Remove(ctx context.Context, tenant string, subject Pseudonym, version uint64) error
	All(ctx context.Context) iter.Seq2[Record, error]
}

// Importer is what a Store may offer besides, for many records at once. PutAll
// does for each record what Put does, in any order, and returns one error per
// record, in the order of rs; what it returns nil for is durable.
type Importer interface {
	PutAll(ctx context.Context, rs []Record) []error
}

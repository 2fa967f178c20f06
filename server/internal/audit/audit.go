// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package audit finds weak stored credentials in bulk. It walks uploaded
// records, or watchword's own store, under a budget of processor time, and
// keeps every step in the store of objects, so that an audit goes on after a
// crash, or on another server, with no finding lost and none doubled.
//
// # How an audit is kept
//
// All that is kept is sealed, since rows hold hashes and what is known of
// persons. An audit is one object; its rows lie in chunks of at most 2,000:
//
//	kind          name       written
//	audit         <id>       what was asked, and the state
//	audit-r-<id>  <random>   the rows of a chunk, once
//	audit-w-<id>  <number>   how far the chunk is, and which pages belong to it
//	audit-f-<id>  p-<random> findings of a chunk, a page once
//	audit-f-<id>  f-<number> at the end: all findings, in order
//
// Whoever works on a chunk holds a lease in its audit-w object, renewed with
// each checkpoint. A page counts only once the audit-w object names it, and
// that object is changed by compare-and-swap: of two servers that take each
// other for dead one commits, and the other's work was in vain. When an audit
// has ended, everything but the audit itself and its findings is deleted.
//
// # Stages
//
// Each chunk goes through the stages in order, and the chunk that is behind
// goes first, so that what is cheap is done for everybody before what is dear
// is done for anybody:
//
//	survey   what shows without a guess: scheme, cost, age, names
//	join     for the whole audit at once: bare digests are sorted and met with
//	         each other, with the corpora and with the list of common passwords
//	rounds   cheap salted hashes, then the others: 10 guesses for each record,
//	         then 100, 1,000 and so on, as far as the budget goes
package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/verifier"
	"github.com/watchword-project/watchword/wordlists"
)

// Source says where the records come from. The values match the contract.
type Source uint8

// The sources.
const (
	OwnStore Source = iota + 1
	Uploaded
)

// State is where an audit stands. The values match the contract.
type State uint8

// The states.
const (
	Open State = iota + 1
	Running
	Done
	Cancelled
	Failed
)

// Ended tells whether a state is final.
func (s State) Ended() bool { return s >= Done }

// Reasons why guessing stopped early.
const (
	StopBudget    = "CPU_BUDGET"
	StopDeadline  = "DEADLINE"
	StopCancelled = "CANCELLED"
	StopFault     = "FAULT"
)

// Budget bounds the guesses of an audit.
type Budget struct {
	// CPU is the time that hashing slots may spend, of all servers together; it
	// may be overrun by one turn of each slot.
	CPU time.Duration
	// Guesses is the most for each record. The list of common passwords that
	// bare digests are met with costs one digest for each entry, whatever the
	// number of records, and is not counted here.
	Guesses int
}

// Defaults and bounds of a budget.
const (
	DefaultCPU     = time.Hour
	DefaultGuesses = 1000
	MaxGuesses     = wordlists.MaxRanked
	MaxRecords     = 10_000_000
)

// Request asks for an audit.
type Request struct {
	Tenant   string
	Source   Source
	Budget   Budget    // zero fields mean the defaults
	Deadline time.Time // zero: none
	Words    []string  // of the organisation
	Locale   string
	Limits   Limits // zero fields mean the defaults
	// Repeat makes an audit of the own store recur; zero: once.
	Repeat time.Duration
	// Previous is the audit to compare with; empty: none.
	Previous string
}

// Audit is one audit as it is kept.
type Audit struct {
	ID string
	Request
	State   State
	Stop    string // one of the reasons above, or empty
	Created time.Time
	Started time.Time
	Ended   time.Time
	Next    string // the audit that recurred after this one

	// Gathered tells that all chunks are there, Settled that the findings are
	// final, Cleaned that nothing else is left.
	Gathered, Settled, Cleaned bool
	// Result is set when the audit is settled.
	Result *Result `json:",omitempty"`

	// Owner holds the lease of the steps that concern all chunks.
	Owner string
	Until time.Time

	version uint64
}

// Result sums an audit up.
type Result struct {
	Records, Rejected int
	Guesses           int64
	CPU               time.Duration
	Kinds             [kinds]int
	Severities        [Critical + 1]int
	// Schemes counts records by scheme, and Bands guessed passwords by band.
	Schemes map[string]int
	Bands   map[Band]int
	// Flagged is how many records have a finding of Medium or above, and Guessed
	// how many gave their password away.
	Flagged, Guessed int
	// Yield is how many more passwords the rest of the budget would have found.
	Yield float64
	// Pages is the number of final pages.
	Pages int
	// Digest is the SHA-256 of the records in their order, in hexadecimal.
	Digest string
	// Corpora are the versions of the corpora that bare digests were met with.
	Corpora string
	Diff    *Difference `json:",omitempty"`
}

// Difference compares findings with those of the audit before, by record and
// kind.
type Difference struct {
	New, Gone, Same       int
	NewByKind, GoneByKind [kinds]int
}

// Progress is how far an audit is.
type Progress struct {
	Records, Rejected int
	Done              int // records that no stage is left for
	Guesses           int64
	CPU               time.Duration
	Kinds             [kinds]int
	// ETA is how long the rest takes at most, on the slots of this server; zero
	// when unknown.
	ETA time.Duration
	// Yield is how many more passwords the rest of the budget should find.
	Yield float64
}

// Accounts is watchword's own store, as the verifier opens it.
type Accounts interface {
	Subjects(ctx context.Context, tenant string) iter.Seq2[verifier.Pseudonym, error]
	Review(ctx context.Context, tenant string, who verifier.Pseudonym) (verifier.Reviewed, error)
	Pseudonym(tenant, subject string) (verifier.Pseudonym, error)
	TenantWords(tenant string) ([]string, error)
	Mark(ctx context.Context, tenant string, who verifier.Pseudonym, s verifier.State) (bool, error)
}

// Corpora are the breach corpora.
type Corpora interface {
	Breach(text password.Text, similar bool) policy.Breach
	// Join looks ascending keys up; verifier.ErrNoCorpus means that there is
	// none of the kind.
	Join(kind wordlists.Kind, keys []wordlists.Key) (counts []uint32, version string, err error)
}

// Config is what an Engine is made of.
type Config struct {
	Objects  objects.Store
	Accounts Accounts
	Hasher   *password.Hasher
	Corpora  Corpora // nil: none
	// Key seals all that is kept; 32 bytes.
	Key []byte
	// Alone tells that no other server shares the store: leases of a process
	// before this one are not waited for.
	Alone bool
	Log   *slog.Logger
	Now   func() time.Time
	// Lease is how long a server that says nothing is taken for alive, and
	// Checkpoint how often work under way is made durable. Zero means 15 and 3
	// seconds. Clocks of servers must agree to a few seconds.
	Lease, Checkpoint time.Duration
}

// Errors that callers branch on.
var (
	// ErrUnknown is returned for an audit that the tenant does not have.
	ErrUnknown = errors.New("unknown audit")
	// ErrState is returned for what the state of the audit does not allow:
	// records for one that runs, remediation of an upload.
	ErrState = errors.New("the audit's state or source does not allow this")
	// ErrOffset is returned for a record behind the next one expected.
	ErrOffset = errors.New("offset is beyond the next record")
	// ErrFull is returned for records above MaxRecords.
	ErrFull = errors.New("more than 10,000,000 records")
	// ErrToken is returned for a page token that was not given out.
	ErrToken = errors.New("page token is not one of this list")
)

// errLost is returned when somebody else took over what was being worked on.
var errLost = errors.New("the lease was lost")

// Engine runs audits.
type Engine struct {
	Config
	seal  sealer
	owner string
	wake  chan struct{}
	busy  atomic.Int64
}

// Busy is how many audits this server works on now.
func (e *Engine) Busy() int { return int(e.busy.Load()) }

// maxAudits is how many audits one server works on at a time.
const maxAudits = 8

// New makes an Engine. It works only while Run runs.
func New(c Config) (*Engine, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Lease == 0 {
		c.Lease = 15 * time.Second
	}
	if c.Checkpoint == 0 {
		c.Checkpoint = 3 * time.Second
	}
	s, err := newSealer(c.Key)
	if err != nil {
		return nil, err
	}
	return &Engine{Config: c, seal: s, owner: rand.Text(), wake: make(chan struct{}, 1)}, nil
}

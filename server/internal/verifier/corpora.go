// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"errors"
	"fmt"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/wordlists"
)

// ErrNoCorpus is returned when no configured corpus is of the kind, or none
// keeps what is needed to answer.
var ErrNoCorpus = errors.New("no corpus can answer this")

// HashKind says by which hash a corpus is kept.
type HashKind = wordlists.Kind

// The kinds of corpora.
const (
	SHA1 = wordlists.SHA1
	NTLM = wordlists.NTLM
)

// DigestError is returned for a text that is not a digest in hexadecimal.
type DigestError struct{ Index int }

func (e *DigestError) Error() string {
	return fmt.Sprintf("entry %d is not a digest of the kind", e.Index)
}

// Corpora looks passwords and hashes up in the breach corpora. What a corpus
// cannot answer is said; it is never taken for "not listed".
type Corpora interface {
	// Breach asks every corpus. With similar it also asks for close variants of
	// a password that is in none.
	Breach(text password.Text, similar bool) policy.Breach
	// Counts looks digests of one kind up, 0 for each that is not listed. It
	// returns *DigestError for a text that is not a digest of the kind, and
	// ErrNoCorpus when there is no corpus of the kind.
	Counts(kind HashKind, digests []string) (Counts, error)
	// Range gives the answer for a five-digit prefix. It returns ErrNoCorpus
	// when no corpus of the kind can.
	Range(kind HashKind, prefix uint32, padding bool) (Range, error)
	// List tells the corpora and their state.
	List() []Corpus
	// Lookups counts what Breach answered since the start.
	Lookups() Lookups
}

// Lookups counts look-ups of passwords by what they rest on.
type Lookups struct{ Performed, Degraded, Skipped uint64 }

// Counts are the answers to a list of digests.
type Counts struct {
	Counts  []uint32
	Status  policy.BreachStatus
	Version string
}

// Range is the answer for one prefix.
type Range struct {
	Body       []byte
	ETag       string
	ContentMD5 string // of the body, in base64
	Built      time.Time
}

// Corpus is one configured corpus.
type Corpus struct {
	Name    string
	Kind    HashKind
	Version string
	Entries uint64
	Built   time.Time
	Ranges  bool
	// Fault is why the corpus cannot be trusted now, and Refused why the file
	// that took its place on disk is not in use: DAMAGED, FOREIGN, CANARY, KIND,
	// UNSIGNED, BOUNDS, MISSING or UNREADABLE; empty when all is well.
	Fault, Refused string
}

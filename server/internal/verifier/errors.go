// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"errors"
	"fmt"
	"time"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

var (
	// ErrCorpusNotReady is returned when a policy demands a breach corpus that
	// cannot be asked, and fails closed.
	ErrCorpusNotReady = errors.New("breach corpus not ready")
	// ErrProofStale is returned for a proof of an earlier check that does not
	// belong to this password, this policy version or this time.
	ErrProofStale = errors.New("proof is stale")
	// ErrUnknownPolicy is returned for the name of a policy that the tenant
	// does not have.
	ErrUnknownPolicy = errors.New("unknown policy")
	// ErrUnknownPepper is returned for the id of a pepper key that there is not,
	// or that cannot be made active.
	ErrUnknownPepper = errors.New("unknown pepper key")
	// ErrBadSubject is returned for an account id that is empty, too long or
	// not text.
	ErrBadSubject = errors.New("bad subject")
	// ErrTenantGone is returned for whatever is asked of a tenant that was
	// destroyed.
	ErrTenantGone = errors.New("the tenant was destroyed")
	// ErrPanic is returned by Contain.
	ErrPanic = errors.New("a step of the work panicked")
)

// RejectedError is returned by Set and Change for a password that the policy
// does not accept: nothing was stored.
type RejectedError struct {
	Judgement Judgement
	Locale    string
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("password rejected by policy %s for %d reasons", e.Judgement.Verdict.Policy, len(e.Judgement.Verdict.Violations))
}

// DeniedError is returned for a login attempt that was not allowed: no
// password was looked at.
type DeniedError struct {
	Verdict    throttle.Verdict
	RetryAfter time.Duration
	Reasons    []string
}

func (e *DeniedError) Error() string { return "login attempt not allowed: " + e.Verdict.String() }

// StoreError is returned when a store failed, so that the outcome of a write
// is unknown and nothing can be said about a subject.
type StoreError struct {
	Cause error // the store's own
}

func (e *StoreError) Error() string { return "store: " + e.Cause.Error() }

// Unwrap gives the cause.
func (e *StoreError) Unwrap() error { return e.Cause }

// stored sorts the errors of a store: its sentinels pass, the rest is a
// failure of the store.
func stored(err error) error {
	var sorted *StoreError
	if err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrUnknownSubject) || errors.As(err, &sorted) {
		return err
	}
	return &StoreError{err}
}

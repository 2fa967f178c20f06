// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package throttle decides whether a login attempt may happen now.
//
// An attempt is reserved, acted upon and settled. [Limiter.Begin] charges it,
// in one atomic step over all its lanes, before anybody looks at the secret;
// [Limiter.Finish] gives the charge back after a success or a cancellation;
// silence counts as a failure. However many callers race for a budget of b
// guesses, at most b of them reach the hash.
//
// A lane is what a charge is counted on:
//
//	subject            all unknown devices of an account together
//	subject × device   one device that has logged in before
//	subject × address  one account from one address
//	address            /32 and /24, or /64, /56 and /48
//	tenant             all unknown devices of all accounts; only ever asks for a challenge
//
// The first two count distinct wrong guesses exactly (NIST SP 800-63B-4
// §3.2.2); the others are rates (the generic cell rate algorithm). An attempt
// of a known device is counted on its own lane only, so strangers cannot lock
// out the owner. The arithmetic is pure: a record in, a decision out, and the
// time as an argument.
package throttle

import (
	"errors"
	"net/netip"
	"time"
)

// Verdict says what may happen to an attempt.
type Verdict uint8

// The verdicts, from mild to strict.
const (
	Allow     Verdict = iota + 1
	Delay             // try again after RetryAfter
	Challenge         // repeat with ChallengePassed once the caller's challenge is solved
	Deny              // locked or closed
)

// String returns the verdict's name in the contract.
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "ALLOW"
	case Delay:
		return "DELAY"
	case Challenge:
		return "CHALLENGE"
	case Deny:
		return "DENY"
	}
	return "UNSPECIFIED"
}

// Outcome says how an admitted attempt ended.
type Outcome uint8

// The outcomes.
const (
	Success Outcome = iota + 1
	BadSecret
	// SecondFactorFailed: the secret was right, the login was not. It counts as
	// a failure, but the guess is not remembered.
	SecondFactorFailed
	// Cancelled: nobody looked at the secret, through no fault of the subject.
	Cancelled
)

// Channel is the kind of secret that is guessed at. Each has budgets of its own.
type Channel uint8

// The channels.
const (
	Password Channel = iota
	OTP
	ResetCode
	channels
)

// Attempt is one try to log in.
type Attempt struct {
	Tenant  string   // at most 255 bytes
	Subject [16]byte // keyed pseudonym of the account
	// IP is the address the subject came from, as the authenticated caller
	// tells it. The zero Addr skips the address lanes. Zones are dropped and
	// mapped addresses unmapped.
	IP netip.Addr
	// Device is the device token that was presented, perhaps forged, perhaps
	// another subject's; anything but a valid one counts as none.
	Device  string
	Channel Channel
	// Tag is the caller's keyed MAC of the guess, at most 32 bytes; nil if there
	// is none. It is cut to 16 bits under a key that changes every day before it
	// is kept. Parallel attempts with one tag share one charge; attempts without a
	// tag are all distinct guesses.
	Tag []byte
	// ChallengePassed: the caller has run the challenge it was asked for.
	ChallengePassed bool
}

// Decision is the answer to an attempt.
type Decision struct {
	Verdict Verdict
	// RetryAfter is how long to wait; positive for every verdict but Allow.
	RetryAfter time.Duration
	// Reasons are the codes of the lanes that refused; empty for Allow unless
	// the store is degraded.
	Reasons []string
	// Token is the reservation, for Finish; empty unless Verdict is Allow.
	Token string
	// KnownDevice: the attempt is counted on the lane of a known device.
	KnownDevice bool
	// Closed: no lane of the subject is left open on this channel; the
	// credential must be disabled.
	Closed bool
}

// Result is what settling an attempt brought.
type Result struct {
	// DeviceToken marks the device that just logged in; empty unless the
	// outcome was Success.
	DeviceToken string
	// Notify are codes of what the owner should hear about.
	Notify []string
	// Subject is the pseudonym the attempt was made for.
	Subject [16]byte
	// Closed: no lane of the subject is left open on this channel; the
	// credential must be disabled.
	Closed bool
}

// Codes in Result.Notify.
const (
	// NotifyAfterFailures: a success after at least as many failures as the
	// lane gives away free.
	NotifyAfterFailures = "SUCCESS_AFTER_FAILURES"
	// NotifySecondFactor: the right secret, then a wrong second factor.
	NotifySecondFactor = "SECOND_FACTOR_FAILED"
	// NotifyClosed: the lane has just been closed.
	NotifyClosed = "LANE_CLOSED"
)

// Errors of a Limiter.
var (
	// ErrBadToken is returned by Finish for a token that is malformed, forged,
	// expired, another tenant's, or already settled with another outcome.
	ErrBadToken = errors.New("attempt token not valid")
	// ErrBadAttempt is returned for an attempt over a bound: a tenant name or tag too
	// long, an unknown channel or outcome.
	ErrBadAttempt = errors.New("attempt not valid")
)

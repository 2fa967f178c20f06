// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"strings"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Outcome is what came of an attempt.
type Outcome int32

// The outcomes of an attempt.
const (
	Success            = Outcome(watchwordv1.Outcome_OUTCOME_SUCCESS)
	BadSecret          = Outcome(watchwordv1.Outcome_OUTCOME_BAD_SECRET)
	SecondFactorFailed = Outcome(watchwordv1.Outcome_OUTCOME_SECOND_FACTOR_FAILED)
	Cancelled          = Outcome(watchwordv1.Outcome_OUTCOME_CANCELLED)
)

// Attempt is a reserved login attempt. Until it is completed it counts as a
// failure.
type Attempt struct {
	c     *Client
	token string
}

// Begin reserves a login attempt for a back end that looks at the password
// itself. tag is a keyed MAC of the guess, at most 32 bytes, or nil; never a
// plain hash. It returns *DeniedError when no attempt is left.
func (c *Client) Begin(ctx context.Context, subject string, s Source, tag []byte) (*Attempt, error) {
	r, err := c.attempts.BeginAttempt(ctx, &watchwordv1.BeginAttemptRequest{Subject: subject, Source: s.proto(), GuessTag: tag})
	if err != nil {
		return nil, failure(err)
	}
	if r.GetVerdict() != watchwordv1.Verdict_VERDICT_ALLOW {
		return nil, &DeniedError{Verdict: strings.TrimPrefix(r.GetVerdict().String(), "VERDICT_"),
			RetryAfter: r.GetRetryAfter().AsDuration(), Reasons: r.GetReasons()}
	}
	return &Attempt{c: c, token: r.GetAttemptToken()}, nil
}

// Token names the attempt, for Resume in another process.
func (a *Attempt) Token() string { return a.token }

// Resume gives an attempt by its token.
func (c *Client) Resume(token string) *Attempt { return &Attempt{c: c, token: token} }

// Completed is the answer to Complete.
type Completed struct {
	DeviceToken string
	Notify      []string
}

// Complete says what came of the attempt. Saying the same twice changes
// nothing.
func (a *Attempt) Complete(ctx context.Context, o Outcome) (Completed, error) {
	r, err := a.c.attempts.CompleteAttempt(ctx, &watchwordv1.CompleteAttemptRequest{AttemptToken: a.token, Outcome: watchwordv1.Outcome(o)})
	return Completed{DeviceToken: r.GetDeviceToken(), Notify: r.GetNotify()}, failure(err)
}

// ResetThrottle opens the lanes of a subject.
func (c *Client) ResetThrottle(ctx context.Context, subject string) error {
	_, err := c.attempts.ResetThrottle(ctx, &watchwordv1.ResetThrottleRequest{Subject: subject})
	return failure(err)
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"strings"
	"time"

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
	// DeviceToken is to be kept on the person's device and sent with the next
	// attempt; set after a success.
	DeviceToken string `json:"deviceToken,omitempty"`
	// Notify lists what the person should be told about, in UPPER_SNAKE_CASE.
	Notify []string `json:"notify,omitempty"`
}

// Complete says what came of the attempt. Saying the same twice changes
// nothing; saying otherwise afterwards is an *InvalidError.
func (a *Attempt) Complete(ctx context.Context, o Outcome) (Completed, error) {
	r, err := a.c.attempts.CompleteAttempt(ctx, &watchwordv1.CompleteAttemptRequest{AttemptToken: a.token, Outcome: watchwordv1.Outcome(o)})
	return Completed{DeviceToken: r.GetDeviceToken(), Notify: r.GetNotify()}, failure(err)
}

// Report counts an attempt after the fact, for callers that learn of logins
// from a log. tag is as for Begin.
func (c *Client) Report(ctx context.Context, subject string, s Source, o Outcome, tag []byte) (Completed, error) {
	r, err := c.attempts.ReportAttempt(ctx, &watchwordv1.ReportAttemptRequest{Subject: subject, Source: s.proto(),
		Outcome: watchwordv1.Outcome(o), GuessTag: tag})
	return Completed{DeviceToken: r.GetDeviceToken(), Notify: r.GetNotify()}, failure(err)
}

// Lane is one budget of login attempts.
type Lane struct {
	// Name is subject, device, or prefix-<bits> for a network of the source.
	Name string
	// Channel is PASSWORD, OTP or RESET_CODE; empty for a network.
	Channel string
	// Verdict is what the next attempt would get if this were the only lane:
	// ALLOW, DELAY, CHALLENGE or DENY, after RetryAfter.
	Verdict    string
	RetryAfter time.Duration
	// Failures in a row, reservations included, of the Budget.
	Failures, Budget uint32
}

// Throttle shows the lanes of a subject.
func (c *Client) Throttle(ctx context.Context, subject string) ([]Lane, error) {
	return c.lanes(ctx, &watchwordv1.GetThrottleStateRequest{Subject: subject})
}

// ThrottleAddress shows the lanes of an IP address.
func (c *Client) ThrottleAddress(ctx context.Context, ip string) ([]Lane, error) {
	return c.lanes(ctx, &watchwordv1.GetThrottleStateRequest{Ip: ip})
}

func (c *Client) lanes(ctx context.Context, q *watchwordv1.GetThrottleStateRequest) ([]Lane, error) {
	r, err := c.attempts.GetThrottleState(ctx, q)
	if err != nil {
		return nil, failure(err)
	}
	var out []Lane
	for _, l := range r.GetLanes() {
		lane := Lane{Name: l.GetLane(), Verdict: strings.TrimPrefix(l.GetVerdict().String(), "VERDICT_"),
			RetryAfter: l.GetRetryAfter().AsDuration(), Failures: l.GetFailures(), Budget: l.GetBudget()}
		if l.GetChannel() != watchwordv1.Channel_CHANNEL_UNSPECIFIED {
			lane.Channel = strings.TrimPrefix(l.GetChannel().String(), "CHANNEL_")
		}
		out = append(out, lane)
	}
	return out, nil
}

// ResetThrottle opens the lanes of a subject.
func (c *Client) ResetThrottle(ctx context.Context, subject string) error {
	_, err := c.attempts.ResetThrottle(ctx, &watchwordv1.ResetThrottleRequest{Subject: subject})
	return failure(err)
}

// ResetAddress opens the lanes of an IP address.
func (c *Client) ResetAddress(ctx context.Context, ip string) error {
	_, err := c.attempts.ResetThrottle(ctx, &watchwordv1.ResetThrottleRequest{Ip: ip})
	return failure(err)
}

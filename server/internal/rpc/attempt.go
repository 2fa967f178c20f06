// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

type throttleService struct {
	watchwordv1.UnimplementedLoginThrottleServiceServer
	v *verifier.Verifier
}

// attempted are the fields that BeginAttempt and ReportAttempt have in common.
type attempted interface {
	GetSubject() string
	GetSource() *watchwordv1.AttemptSource
	GetGuessTag() []byte
}

func readAttempt(ctx context.Context, r *reader, m attempted) verifier.AttemptRequest {
	return verifier.AttemptRequest{Tenant: tenantOf(callerOf(ctx)), Subject: r.subject(m.GetSubject()),
		Source: r.source(m.GetSource()), Tag: r.tag(m.GetGuessTag())}
}

func (s *throttleService) BeginAttempt(ctx context.Context, m *watchwordv1.BeginAttemptRequest) (*watchwordv1.BeginAttemptResponse, error) {
	var r reader
	q := readAttempt(ctx, &r, m)
	if r.err != nil {
		return nil, r.err
	}
	d, err := s.v.Begin(ctx, q)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.BeginAttemptResponse{Verdict: verdicts[d.Verdict], RetryAfter: durationpb.New(d.RetryAfter),
		Reasons: d.Reasons, AttemptToken: d.Token}, nil
}

func (s *throttleService) CompleteAttempt(ctx context.Context, m *watchwordv1.CompleteAttemptRequest) (*watchwordv1.CompleteAttemptResponse, error) {
	var r reader
	token := r.text("attemptToken", m.GetAttemptToken())
	outcome := pick(&r, outcomes, "outcome", m.GetOutcome())
	if r.err != nil {
		return nil, r.err
	}
	res, err := s.v.Complete(ctx, tenantOf(callerOf(ctx)), token, outcome)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.CompleteAttemptResponse{DeviceToken: res.DeviceToken, Notify: res.Notify}, nil
}

func (s *throttleService) ReportAttempt(ctx context.Context, m *watchwordv1.ReportAttemptRequest) (*watchwordv1.ReportAttemptResponse, error) {
	var r reader
	q := readAttempt(ctx, &r, m)
	outcome := pick(&r, outcomes, "outcome", m.GetOutcome())
	if r.err != nil {
		return nil, r.err
	}
	res, err := s.v.Report(ctx, q, outcome)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.ReportAttemptResponse{DeviceToken: res.DeviceToken, Notify: res.Notify}, nil
}

// lanesOf takes the subject or the address that a request is about.
func (r *reader) lanesOf(subject, ip string) {
	if (subject == "") == (ip == "") {
		r.fault("subject", "give one of subject and ip")
		return
	}
	if subject != "" {
		r.subject(subject)
	}
}

func (s *throttleService) GetThrottleState(ctx context.Context, m *watchwordv1.GetThrottleStateRequest) (*watchwordv1.GetThrottleStateResponse, error) {
	var r reader
	r.lanesOf(m.GetSubject(), m.GetIp())
	ip, ch := r.ip("ip", m.GetIp()), pick(&r, channels, "channel", m.GetChannel())
	if r.err != nil {
		return nil, r.err
	}
	st, err := s.v.Lanes(ctx, tenantOf(callerOf(ctx)), m.GetSubject(), ip, ch)
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.GetThrottleStateResponse{}
	for _, l := range st.Lanes {
		out.Lanes = append(out.Lanes, &watchwordv1.ThrottleLane{Lane: l.Lane, Channel: channelOf(l.Channel), Verdict: verdicts[l.Verdict],
			RetryAfter: durationpb.New(l.RetryAfter), Failures: uint32(l.Failures), Budget: uint32(l.Budget)})
	}
	return out, nil
}

func (s *throttleService) ResetThrottle(ctx context.Context, m *watchwordv1.ResetThrottleRequest) (*watchwordv1.ResetThrottleResponse, error) {
	var r reader
	r.lanesOf(m.GetSubject(), m.GetIp())
	ip := r.ip("ip", m.GetIp())
	if r.err != nil {
		return nil, r.err
	}
	return &watchwordv1.ResetThrottleResponse{}, s.v.ResetLanes(ctx, tenantOf(callerOf(ctx)), m.GetSubject(), ip)
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"encoding/base64"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

type throttleService struct {
	watchwordv1.UnimplementedLoginThrottleServiceServer
	v      *verifier.Verifier
	ending <-chan struct{}
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
	ip := r.ip("ip", m.GetIp())
	only := pick(&r, channels, "channel", m.GetChannel())
	if r.err != nil {
		return nil, r.err
	}
	st, err := s.v.Lanes(ctx, tenantOf(callerOf(ctx)), m.GetSubject(), ip)
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.GetThrottleStateResponse{}
	for _, l := range st.Lanes {
		if l.Channel == only || m.GetChannel() == watchwordv1.Channel_CHANNEL_UNSPECIFIED {
			out.Lanes = append(out.Lanes, laneOf(l))
		}
	}
	for _, a := range st.Addresses {
		lane := &watchwordv1.ThrottleLane{Lane: "prefix-" + strconv.Itoa(a.Bits), Verdict: watchwordv1.Verdict_VERDICT_ALLOW,
			RetryAfter: durationpb.New(a.RetryAfter), Failures: uint32(a.Failures), Budget: uint32(a.Burst)}
		if a.RetryAfter > 0 {
			lane.Verdict = watchwordv1.Verdict_VERDICT_DELAY
		}
		out.Lanes = append(out.Lanes, lane)
	}
	return out, nil
}

func laneOf(l throttle.LaneState) *watchwordv1.ThrottleLane {
	lane := &watchwordv1.ThrottleLane{Lane: "subject", Channel: channelOf(l.Channel), Verdict: watchwordv1.Verdict_VERDICT_ALLOW,
		RetryAfter: durationpb.New(l.RetryAfter), Failures: uint32(l.Failures), Budget: uint32(l.Budget)}
	if l.KnownDevice {
		lane.Lane = "device"
	}
	switch {
	case l.Closed:
		lane.Verdict = watchwordv1.Verdict_VERDICT_DENY
	case l.RetryAfter > 0:
		lane.Verdict = watchwordv1.Verdict_VERDICT_DELAY
	}
	return lane
}

func channelOf(c throttle.Channel) watchwordv1.Channel {
	return map[throttle.Channel]watchwordv1.Channel{
		throttle.Password: watchwordv1.Channel_CHANNEL_PASSWORD, throttle.OTP: watchwordv1.Channel_CHANNEL_OTP,
		throttle.ResetCode: watchwordv1.Channel_CHANNEL_RESET_CODE,
	}[c]
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

// WatchSignals streams what the limiter notices from now on. Its headers go out
// at once: from then on nothing is missed, unless the caller falls 256 signals
// behind.
func (s *throttleService) WatchSignals(_ *watchwordv1.WatchSignalsRequest, stream grpc.ServerStreamingServer[watchwordv1.WatchSignalsResponse]) error {
	ctx := stream.Context()
	tenant := tenantOf(callerOf(ctx))
	signals := s.v.Throttle.Signals(ctx)
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case <-s.ending:
			return status.Error(codes.Unavailable, "the server stops")
		case sig, more := <-signals:
			if !more {
				return ctx.Err()
			}
			if sig.Tenant != tenant {
				continue
			}
			if err := stream.Send(signalOf(sig)); err != nil {
				return err
			}
		}
	}
}

func signalOf(s throttle.Signal) *watchwordv1.WatchSignalsResponse {
	out := &watchwordv1.WatchSignalsResponse{Signal: s.Kind.String(), Time: timestamppb.New(s.Time), Severity: watchwordv1.Severity_SEVERITY_HIGH,
		Params: map[string]string{"channel": channelOf(s.Channel).String(), "subjects": strconv.Itoa(s.Subjects),
			"failures": strconv.Itoa(s.Failures), "successes": strconv.Itoa(s.Successes)}}
	if s.Kind == throttle.SignalSuccessAfterFailures {
		out.Severity = watchwordv1.Severity_SEVERITY_MEDIUM
	}
	if s.Subject != ([16]byte{}) {
		out.Subject = base64.RawURLEncoding.EncodeToString(s.Subject[:])
	}
	if s.Prefix.IsValid() {
		out.Prefix = s.Prefix.String()
	}
	return out
}

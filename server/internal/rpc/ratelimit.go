// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"math"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// attemptHeader carries the attempt token on to the program behind the proxy.
const attemptHeader = "x-watchword-attempt"

// maxDescriptors bounds one request.
const maxDescriptors = 16

// rateLimitService is Envoy's rate-limit service, version 3. A proxy asks once,
// before the password is looked at, and never says what came of it:
//
//   - A descriptor with the entry subject, and perhaps remote_address, device
//     and channel (password, otp or reset_code), begins an attempt. Its token
//     goes to the program behind the proxy in the header x-watchword-attempt,
//     and that program says by CompleteAttempt what came of it. Until then, and
//     if nobody does, it counts as a failure.
//   - A descriptor with remote_address alone asks whether the address still has
//     failures to give. It is charged nothing.
//
// The answer is OVER_LIMIT when any descriptor is refused, with the longest
// wait; what the others had begun is given back. hits_addend is not used: one
// request is one guess.
type rateLimitService struct {
	ratelimitv3.UnimplementedRateLimitServiceServer
	v *verifier.Verifier
}

func (s *rateLimitService) ShouldRateLimit(ctx context.Context, m *ratelimitv3.RateLimitRequest) (*ratelimitv3.RateLimitResponse, error) {
	if n := len(m.GetDescriptors()); n == 0 || n > maxDescriptors {
		return nil, &fieldError{"descriptors", "from 1 to " + strconv.Itoa(maxDescriptors) + " are taken"}
	}
	tenant := tenantOf(callerOf(ctx))
	asks := make([]verifier.AttemptRequest, len(m.GetDescriptors()))
	for i, d := range m.GetDescriptors() {
		var err error
		if asks[i], err = readDescriptor(tenant, d); err != nil {
			return nil, err
		}
	}
	out := &ratelimitv3.RateLimitResponse{OverallCode: ratelimitv3.RateLimitResponse_OK}
	var tokens []string
	var err error
	wait := 0.0
	for _, q := range asks {
		var st *ratelimitv3.RateLimitResponse_DescriptorStatus
		var token string
		if st, token, err = s.ask(ctx, q); err != nil {
			break
		}
		if token != "" {
			tokens = append(tokens, token)
		}
		if st.GetCode() == ratelimitv3.RateLimitResponse_OVER_LIMIT {
			out.OverallCode = st.GetCode()
			wait = max(wait, st.GetDurationUntilReset().AsDuration().Seconds())
		}
		out.Statuses = append(out.Statuses, st)
	}
	if err == nil && out.OverallCode == ratelimitv3.RateLimitResponse_OK {
		for _, t := range tokens {
			out.RequestHeadersToAdd = append(out.RequestHeadersToAdd, &corev3.HeaderValue{Key: attemptHeader, Value: t})
		}
		return out, nil
	}
	// Nobody will look at a password: what was begun is given back. One that
	// cannot be stays a failure, which is the safe side.
	for _, t := range tokens {
		_, _ = s.v.Complete(context.WithoutCancel(ctx), tenant, t, throttle.Cancelled)
	}
	if err != nil {
		return nil, err
	}
	out.ResponseHeadersToAdd = []*corev3.HeaderValue{{Key: "retry-after", Value: strconv.FormatFloat(max(1, math.Ceil(wait)), 'f', 0, 64)}}
	return out, nil
}

// ask answers one descriptor.
func (s *rateLimitService) ask(ctx context.Context, q verifier.AttemptRequest) (*ratelimitv3.RateLimitResponse_DescriptorStatus, string, error) {
	st := &ratelimitv3.RateLimitResponse_DescriptorStatus{Code: ratelimitv3.RateLimitResponse_OK}
	if q.Subject == "" {
		lanes, err := s.v.Lanes(ctx, q.Tenant, "", q.Source.IP)
		if err != nil {
			return nil, "", err
		}
		for _, l := range lanes.Addresses {
			if l.RetryAfter > st.GetDurationUntilReset().AsDuration() {
				st.Code, st.DurationUntilReset = ratelimitv3.RateLimitResponse_OVER_LIMIT, durationpb.New(l.RetryAfter)
			}
		}
		return st, "", nil
	}
	d, err := s.v.Begin(ctx, q)
	if err != nil {
		return nil, "", err
	}
	if d.Verdict != throttle.Allow {
		st.Code, st.DurationUntilReset = ratelimitv3.RateLimitResponse_OVER_LIMIT, durationpb.New(d.RetryAfter)
	}
	return st, d.Token, nil
}

// onlySubject gives the account that a request is about, if it is one.
func onlySubject(m *ratelimitv3.RateLimitRequest) (subject string) {
	for _, d := range m.GetDescriptors() {
		for _, e := range d.GetEntries() {
			switch {
			case e.GetKey() != "subject":
			case subject != "" && subject != e.GetValue():
				return ""
			default:
				subject = e.GetValue()
			}
		}
	}
	return subject
}

var channelNames = map[string]throttle.Channel{"password": throttle.Password, "otp": throttle.OTP, "reset_code": throttle.ResetCode}

// readDescriptor takes a descriptor. An entry that is not known here is a
// fault: it would otherwise look like a limit, and be none.
func readDescriptor(tenant string, d *commonv3.RateLimitDescriptor) (verifier.AttemptRequest, error) {
	var r reader
	q := verifier.AttemptRequest{Tenant: tenant}
	seen := make(map[string]bool)
	for _, e := range d.GetEntries() {
		if seen[e.GetKey()] || e.GetValue() == "" {
			r.fault("descriptors", "an entry stands twice or is empty")
		}
		seen[e.GetKey()] = true
		switch e.GetKey() {
		case "subject":
			q.Subject = r.subject(e.GetValue())
		case "remote_address":
			q.Source.IP = r.ip("descriptors", e.GetValue())
		case "device":
			q.Source.Device = r.text("descriptors", e.GetValue())
		case "channel":
			q.Source.Channel = pick(&r, channelNames, "descriptors", e.GetValue())
		default:
			r.fault("descriptors", "an entry is none of subject, remote_address, device and channel")
		}
	}
	if !seen["subject"] && (!seen["remote_address"] || len(seen) > 1) {
		r.fault("descriptors", "each needs subject, or remote_address alone")
	}
	return q, r.err
}

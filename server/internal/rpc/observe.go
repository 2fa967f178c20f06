// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"net/http"
	"slices"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Observer measures calls. What it learns names methods, codes and defences,
// never a subject, an address or anything that was sent.
type Observer interface {
	// Begin is called when a call was let in; header gives a header or metadata
	// value that carries a trace on. What strangers send begins nothing.
	Begin(ctx context.Context, method string, header func(ctx context.Context, name string) string) context.Context
	// End is called when it was answered, with the context that Begin gave, or
	// when it was refused.
	End(ctx context.Context, method string, code codes.Code, took time.Duration)
	// Defence is called when a defence noticed something, and tells whether it
	// also stopped it.
	Defence(name string, mitigated bool)
}

// observe begins to measure a call that was let in.
func (g *gate) observe(ctx context.Context, c *call) context.Context {
	if g.observer == nil || slices.Contains(open, c.method) {
		return ctx
	}
	return g.observer.Begin(ctx, c.method, traceHeader)
}

// maxTraceHeader is the longest that a header that carries a trace on may be
// (W3C Trace Context).
const maxTraceHeader = 512

// traceHeader gives a header that carries a trace on.
func traceHeader(ctx context.Context, name string) (v string) {
	if a := arrivalOf(ctx); a != nil {
		v = a.header.Get(name)
	} else if md := metadata.ValueFromIncomingContext(ctx, name); len(md) == 1 {
		v = md[0]
	}
	if len(v) > maxTraceHeader {
		return ""
	}
	return v
}

// known is the method's name, if it is one of ours: a stranger chooses no label.
func (g *gate) known(method string) string {
	if method != "REST" && g.scopes[method] == "" && !slices.Contains(open, method) {
		return "unknown"
	}
	return method
}

// observed tells what came of a call. err is a status already.
func (g *gate) observed(ctx context.Context, c *call, resp any, err error) {
	if g.observer == nil {
		return
	}
	st := status.Convert(err)
	g.observer.End(ctx, g.known(c.method), st.Code(), c.took)
	if name := defences[reasonOf(st)]; name != "" {
		g.observer.Defence(name, true)
	}
	switch m := resp.(type) {
	case *watchwordv1.VerifyPasswordResponse:
		switch m.GetResult() {
		case watchwordv1.VerifyPasswordResponse_RESULT_NO_MATCH:
			g.observer.Defence("guess", false)
		case watchwordv1.VerifyPasswordResponse_RESULT_MATCH_MUST_CHANGE:
			g.observer.Defence("must_change", false)
		}
	case *watchwordv1.ChangePasswordResponse:
		if m.GetResult() == watchwordv1.ChangePasswordResponse_RESULT_NO_MATCH {
			g.observer.Defence("guess", false)
		}
	case *watchwordv1.CheckPasswordResponse:
		if m.GetDecision() == watchwordv1.Decision_DECISION_REJECT {
			g.observer.Defence("policy", false)
		}
		if m.GetBreach().GetFound() {
			g.observer.Defence("breach", false)
		}
	case *watchwordv1.BeginAttemptResponse:
		if v := m.GetVerdict(); v != watchwordv1.Verdict_VERDICT_ALLOW && v != watchwordv1.Verdict_VERDICT_UNSPECIFIED {
			g.observer.Defence("throttle", true)
		}
	case *ratelimitv3.RateLimitResponse:
		if m.GetOverallCode() == ratelimitv3.RateLimitResponse_OVER_LIMIT {
			g.observer.Defence("throttle", true)
		}
	}
}

// defences are the reasons of the contract under which something was stopped.
var defences = map[string]string{
	"DENIED": "access", "PASSWORD_REJECTED": "policy", "ATTEMPTS_EXHAUSTED": "throttle", "CALLER_QUOTA": "quota",
	"HASH_CAPACITY": "admission", "HASH_COST_OUT_OF_BOUNDS": "hash_cost", "PASSWORD_TOO_LARGE": "size",
	"PROOF_STALE": "proof", "CORPUS_NOT_READY": "corpus",
}

// traceHeaders keeps the headers that carry a trace on (W3C Trace Context).
func (g *gate) traceHeaders(h http.Header) http.Header {
	if g.observer == nil {
		return nil
	}
	var out http.Header
	for _, name := range []string{"Traceparent", "Tracestate"} {
		if v := h.Get(name); v != "" {
			if out == nil {
				out = http.Header{}
			}
			out.Set(name, v)
		}
	}
	return out
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// domain of every ErrorInfo.
const domain = "watchword"

// fieldError is a field of a request that is not as the contract says. It
// names the field and the fault, never the value.
type fieldError struct{ field, fault string }

func (e *fieldError) Error() string {
	if e.field == "" {
		return e.fault
	}
	return e.field + ": " + e.fault
}

var (
	errMalformed = &fieldError{fault: "the request is malformed"}
	errPanic     = errors.New("panic in a handler")
)

// quotaError is returned when the calling program has used up its own share.
type quotaError struct{}

func (*quotaError) Error() string { return "the caller's quota is used up" }

// statusOf is the one place where Go errors become status codes. What it does
// not know is INTERNAL, without a word about the cause.
func statusOf(ctx context.Context, err error, id string) *status.Status {
	if err == nil { // nearly all calls, which allocate none of these then
		return nil
	}
	var (
		field    *fieldError
		rejected *verifier.RejectedError
		denied   *verifier.DeniedError
		busy     *password.BusyError
		quota    *quotaError
		cost     *password.CostError
		store    *verifier.StoreError
		journal  *journalError
	)
	switch {
	case errors.As(err, &journal) && ctx.Err() == nil:
		return with(codes.Unavailable, "the event log cannot be written, so nothing was changed", info("STORE_UNAVAILABLE", nil), retry(time.Second))
	case errors.As(err, &field):
		return malformed("MALFORMED_REQUEST", field.field, field.fault)
	case errors.Is(err, password.ErrTooLarge):
		return malformed("PASSWORD_TOO_LARGE", "password", "longer than 4096 bytes")
	case errors.As(err, &cost):
		return malformed("HASH_COST_OUT_OF_BOUNDS", "phc", "the cost is outside the bounds that are accepted")
	case errors.Is(err, password.ErrBadHash):
		return malformed("BAD_HASH", "phc", "not a hash that can be verified")
	case errors.Is(err, identity.ErrDenied), errors.Is(err, verifier.ErrTenantGone):
		return with(codes.Unauthenticated, "no valid credential", info("DENIED", nil))
	case errors.Is(err, identity.ErrRefused):
		return with(codes.PermissionDenied, "not allowed", info("DENIED", nil))
	case errors.As(err, &rejected):
		return with(codes.FailedPrecondition, "the password is not acceptable", info("PASSWORD_REJECTED", nil),
			rejectedDetail(rejected))
	case errors.Is(err, verifier.ErrCorpusNotReady):
		return with(codes.FailedPrecondition, "a breach corpus that the policy demands is not ready", info("CORPUS_NOT_READY", nil))
	case errors.Is(err, verifier.ErrNoCorpus):
		return with(codes.FailedPrecondition, "no configured breach corpus can answer this", info("CORPUS_NOT_READY", nil))
	case errors.Is(err, verifier.ErrProofStale):
		return with(codes.FailedPrecondition, "the proof is not, or no longer, valid for this password and policy", info("PROOF_STALE", nil))
	case errors.As(err, &denied):
		verdict := verdicts[denied.Verdict].String()
		return with(codes.ResourceExhausted, "no login attempt is left for now",
			info("ATTEMPTS_EXHAUSTED", map[string]string{"verdict": verdict}), retry(denied.RetryAfter), deniedDetail(denied))
	case errors.As(err, &busy):
		return with(codes.ResourceExhausted, "all hashing capacity is in use", info("HASH_CAPACITY", nil), retry(busy.RetryAfter))
	case errors.As(err, &quota):
		return with(codes.ResourceExhausted, "the caller's quota is used up", info("CALLER_QUOTA", nil), retry(time.Second))
	case errors.Is(err, verifier.ErrConflict):
		return with(codes.Aborted, "somebody else changed it first", info("VERSION_CONFLICT", nil))
	case errors.Is(err, verifier.ErrUnknownSubject), errors.Is(err, identity.ErrUnknownKey),
		errors.Is(err, verifier.ErrUnknownPepper):
		return with(codes.NotFound, "not found")
	case errors.Is(err, ErrUnknownAudit):
		return with(codes.NotFound, "no such audit")
	case errors.Is(err, ErrAuditOffset):
		return malformed("MALFORMED_REQUEST", "offset", ErrAuditOffset.Error())
	case errors.Is(err, ErrAuditFull):
		return malformed("MALFORMED_REQUEST", "offset", ErrAuditFull.Error())
	case errors.Is(err, ErrAuditToken):
		return malformed("MALFORMED_REQUEST", "pageToken", ErrAuditToken.Error())
	case errors.Is(err, ErrAuditState):
		return with(codes.FailedPrecondition, ErrAuditState.Error(), info("AUDIT_STATE", nil))
	case errors.Is(err, errUnknownList):
		return with(codes.NotFound, errUnknownList.Error())
	case errors.Is(err, verifier.ErrUnknownPolicy):
		return with(codes.NotFound, "no such policy")
	case errors.Is(err, policybook.ErrUnknownVersion):
		return with(codes.NotFound, "no such policy version")
	case errors.Is(err, policybook.ErrBuiltin), errors.Is(err, policybook.ErrFromFile), errors.Is(err, policybook.ErrFull):
		return malformed("MALFORMED_REQUEST", "policy", err.Error())
	case errors.Is(err, policy.ErrNoCandidate), errors.Is(err, policy.ErrNoEarlier), errors.Is(err, policy.ErrPercent):
		return malformed("MALFORMED_REQUEST", "policy", err.Error())
	case errors.Is(err, verifier.ErrBadSubject):
		return malformed("MALFORMED_REQUEST", "subject", "empty, longer than 512 bytes, or not text")
	case errors.Is(err, throttle.ErrBadToken):
		return malformed("MALFORMED_REQUEST", "attemptToken", "not a live token of this tenant, or settled otherwise")
	case errors.Is(err, throttle.ErrBadAttempt):
		return malformed("MALFORMED_REQUEST", "source", "not an attempt that can be counted")
	case errors.Is(err, password.ErrEmpty), errors.Is(err, password.ErrEncoding), errors.Is(err, password.ErrControl):
		return malformed("MALFORMED_REQUEST", "password", "empty, not UTF-8, or with a control character")
	case errors.Is(err, context.Canceled):
		return with(codes.Canceled, "cancelled")
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return with(codes.DeadlineExceeded, "deadline exceeded")
	case errors.As(err, &store):
		return with(codes.Unavailable, "a store cannot be reached", info("STORE_UNAVAILABLE", nil), retry(time.Second))
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.Unknown && st.Code() != codes.Internal {
		return st
	}
	return with(codes.Internal, "internal error, request "+id, &errdetails.RequestInfo{RequestId: id})
}

func with(code codes.Code, text string, details ...protoadapt.MessageV1) *status.Status {
	st, err := status.New(code, text).WithDetails(details...)
	if err != nil { // only for code OK
		panic(err)
	}
	return st
}

func info(reason string, metadata map[string]string) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: metadata}
}

func retry(after time.Duration) *errdetails.RetryInfo {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(after)}
}

func malformed(reason, field, fault string) *status.Status {
	e := &fieldError{field, fault}
	return with(codes.InvalidArgument, e.Error(), info(reason, nil), &errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: fault}}})
}

func rejectedDetail(e *verifier.RejectedError) *watchwordv1.PasswordRejected {
	j := e.Judgement
	return &watchwordv1.PasswordRejected{
		Violations: violationsOf(e.Locale, j.Verdict.Violations), Advice: adviceOf(e.Locale, j.Verdict.Advice),
		Strength: strengthOf(j.Estimate), Breach: breachOf(j.Breach),
		Policy: j.Verdict.Policy, PolicyVersion: j.Verdict.Version,
	}
}

func deniedDetail(e *verifier.DeniedError) *watchwordv1.Denial {
	return &watchwordv1.Denial{Verdict: verdicts[e.Verdict], RetryAfter: durationpb.New(e.RetryAfter), Reasons: e.Reasons}
}

// rowError is the status of one row of a stream. The line that the log has for
// the stream tells of the first for which the row cannot help.
func rowError(ctx context.Context, err error) *watchwordv1.RowError {
	c, _ := ctx.Value(callKey{}).(*call)
	if c == nil {
		c = &call{}
	}
	st := statusOf(ctx, err, c.id)
	if st.Code() == codes.Internal || st.Code() == codes.Unavailable {
		c.fault.CompareAndSwap(nil, &err)
	}
	row := &watchwordv1.RowError{Code: int32(st.Code()), Message: st.Message()}
	for _, d := range st.Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			row.Reason = i.Reason
		}
	}
	return row
}

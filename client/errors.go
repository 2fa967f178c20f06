// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Errors that carry nothing but their kind. They are found with errors.Is.
var (
	// ErrUnauthenticated is returned when the server does not know the key:
	// there is none, or it is wrong, expired or revoked.
	ErrUnauthenticated = errors.New("the server does not accept the key")
	// ErrForbidden is returned when the key lacks the scope, or may not be used
	// from here.
	ErrForbidden = errors.New("the key does not allow this")
	// ErrNotFound is returned for an object that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict is returned when somebody else changed the object first.
	ErrConflict = errors.New("changed by somebody else first")
	// ErrProofStale is returned for a proof that does not, or no longer, belong
	// to the password and the policy.
	ErrProofStale = errors.New("the proof is stale: check the password again")
	// ErrCorpusNotReady is returned when the policy demands a breach corpus that
	// cannot be asked now.
	ErrCorpusNotReady = errors.New("a breach corpus is not ready")
	// ErrUnavailable is returned when the server, or a store behind it, cannot
	// be reached. Nothing is known about the password then.
	ErrUnavailable = errors.New("the server cannot be reached")
	// ErrUnimplemented is returned for a method that the server does not have.
	ErrUnimplemented = errors.New("the server does not offer this")
	// ErrIncomplete is returned by BatchCheck and Import when the server ended
	// before it answered every row.
	ErrIncomplete = errors.New("the server did not answer every row")
)

// RejectedError is returned by Set and Change for a password that the policy
// does not accept. Nothing was stored.
type RejectedError struct {
	Violations []Violation
	Advice     []string
	Strength   Strength
	Breach     Breach
	// Policy and Version name the policy that judged.
	Policy  string
	Version string
}

// Error gives the messages of all violations. The password is not in it.
func (e *RejectedError) Error() string {
	var why []string
	for _, v := range e.Violations {
		why = append(why, v.Message)
	}
	return "the password is not acceptable: " + strings.Join(why, " ")
}

// DeniedError is returned when no login attempt is left for now. The password
// was not looked at.
type DeniedError struct {
	// Verdict is DELAY, CHALLENGE or DENY.
	Verdict string
	// RetryAfter is how long the next attempt has to wait.
	RetryAfter time.Duration
	// Reasons say why, in UPPER_SNAKE_CASE.
	Reasons []string
}

// Error says how long to wait, rounded up to seconds.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("no login attempt is left (%s), retry after %v", e.Verdict, ceil(e.RetryAfter))
}

func ceil(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

// BusyError is returned when the server has no capacity for the call now.
type BusyError struct {
	// Reason is HASH_CAPACITY or CALLER_QUOTA.
	Reason string
	// RetryAfter is how long the server asks to wait.
	RetryAfter time.Duration
}

// Error says what is exhausted and how long to wait.
func (e *BusyError) Error() string {
	return fmt.Sprintf("the server is busy (%s), retry after %v", e.Reason, e.RetryAfter)
}

// InvalidError is returned for a request that is not as the contract says.
type InvalidError struct {
	// Reason is MALFORMED_REQUEST, PASSWORD_TOO_LARGE, BAD_HASH or
	// HASH_COST_OUT_OF_BOUNDS.
	Reason string
	// Field names what is at fault, if it is one field.
	Field string
	// Fault says what is wrong with it. It never repeats what was sent.
	Fault string
}

// Error names the field and its fault.
func (e *InvalidError) Error() string {
	if e.Field == "" {
		return e.Fault
	}
	return e.Field + ": " + e.Fault
}

// rowFailure turns the fault of one row of a stream into one of the errors
// above.
func rowFailure(e *watchwordv1.RowError) error {
	if e == nil {
		return nil
	}
	st, err := status.New(codes.Code(e.GetCode()), e.GetMessage()).WithDetails(&errdetails.ErrorInfo{Reason: e.GetReason()})
	if err != nil { // a fault with the code of success
		return errors.New(e.GetMessage())
	}
	return failure(st.Err())
}

// failure turns a status into one of the errors above. Context errors stay as
// they are.
func failure(err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok && errors.Is(err, io.EOF) {
		// The last try was refused before it was sent in full: grpc-go says so
		// without the status that made it try again, which is this one.
		return fmt.Errorf("%w: no try was answered", ErrUnavailable)
	}
	if !ok {
		return err
	}
	var (
		reason   string
		metadata map[string]string
		retry    time.Duration
		field    *errdetails.BadRequest_FieldViolation
		rejected *watchwordv1.PasswordRejected
		denial   *watchwordv1.Denial
	)
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason, metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.RetryInfo:
			retry = d.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			if v := d.GetFieldViolations(); len(v) > 0 {
				field = v[0]
			}
		case *watchwordv1.PasswordRejected:
			rejected = d
		case *watchwordv1.Denial:
			denial = d
		}
	}
	if st.Code() == codes.Internal && strings.HasSuffix(st.Message(), "invalid UTF-8") {
		// The request was never sent: protobuf takes no such text.
		return &InvalidError{Reason: "MALFORMED_REQUEST", Fault: "a text is not UTF-8"}
	}
	switch st.Code() {
	case codes.InvalidArgument:
		e := &InvalidError{Reason: reason, Fault: st.Message()}
		if field != nil {
			e.Field, e.Fault = field.GetField(), field.GetDescription()
		}
		return e
	case codes.Unauthenticated:
		return ErrUnauthenticated
	case codes.PermissionDenied:
		return ErrForbidden
	case codes.NotFound:
		if text := st.Message(); text != "" && text != ErrNotFound.Error() {
			return fmt.Errorf("%w: %s", ErrNotFound, text)
		}
		return ErrNotFound
	case codes.Aborted:
		return ErrConflict
	case codes.Unimplemented:
		return ErrUnimplemented
	case codes.Unavailable:
		return fmt.Errorf("%w: %s", ErrUnavailable, plain(st.Message()))
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.FailedPrecondition:
		switch {
		case rejected != nil:
			return &RejectedError{Violations: violationsOf(rejected.GetViolations()), Advice: rejected.GetAdvice(),
				Strength: strengthOf(rejected.GetStrength()), Breach: breachOf(rejected.GetBreach()),
				Policy: rejected.GetPolicy(), Version: rejected.GetPolicyVersion()}
		case reason == "PROOF_STALE":
			return ErrProofStale
		case reason == "CORPUS_NOT_READY":
			return ErrCorpusNotReady
		}
	case codes.ResourceExhausted:
		switch reason {
		case "ATTEMPTS_EXHAUSTED":
			return &DeniedError{Verdict: strings.TrimPrefix(metadata["verdict"], "VERDICT_"), RetryAfter: retry, Reasons: denial.GetReasons()}
		case "HASH_CAPACITY", "CALLER_QUOTA":
			return &BusyError{Reason: reason, RetryAfter: retry}
		}
	}
	return errors.New(st.Message())
}

// plain is what gRPC says of a failed connection without its own account of
// how it came to say so.
func plain(text string) string {
	if i := strings.LastIndex(text, "desc = "); i >= 0 {
		text = text[i+len("desc = "):]
	}
	if quoted, err := strconv.Unquote(text); err == nil {
		text = quoted
	}
	return strings.TrimPrefix(text, "transport: Error while dialing: ")
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"time"

	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Bounds of request fields, in bytes and entries.
const (
	maxText    = 1024
	maxEntries = 10_000
)

var verdicts = map[throttle.Verdict]watchwordv1.Verdict{
	throttle.Allow:     watchwordv1.Verdict_VERDICT_ALLOW,
	throttle.Delay:     watchwordv1.Verdict_VERDICT_DELAY,
	throttle.Challenge: watchwordv1.Verdict_VERDICT_CHALLENGE,
	throttle.Deny:      watchwordv1.Verdict_VERDICT_DENY,
}

var outcomes = map[watchwordv1.Outcome]throttle.Outcome{
	watchwordv1.Outcome_OUTCOME_SUCCESS:              throttle.Success,
	watchwordv1.Outcome_OUTCOME_BAD_SECRET:           throttle.BadSecret,
	watchwordv1.Outcome_OUTCOME_SECOND_FACTOR_FAILED: throttle.SecondFactorFailed,
	watchwordv1.Outcome_OUTCOME_CANCELLED:            throttle.Cancelled,
}

var channels = map[watchwordv1.Channel]throttle.Channel{
	watchwordv1.Channel_CHANNEL_UNSPECIFIED: throttle.Password,
	watchwordv1.Channel_CHANNEL_PASSWORD:    throttle.Password,
	watchwordv1.Channel_CHANNEL_OTP:         throttle.OTP,
	watchwordv1.Channel_CHANNEL_RESET_CODE:  throttle.ResetCode,
}

var states = map[watchwordv1.CredentialState]verifier.State{
	watchwordv1.CredentialState_CREDENTIAL_STATE_ACTIVE:      verifier.StateActive,
	watchwordv1.CredentialState_CREDENTIAL_STATE_MUST_CHANGE: verifier.StateMustChange,
	watchwordv1.CredentialState_CREDENTIAL_STATE_COMPROMISED: verifier.StateCompromised,
	watchwordv1.CredentialState_CREDENTIAL_STATE_DISABLED:    verifier.StateDisabled,
}

var uses = map[watchwordv1.Use]policy.Use{
	watchwordv1.Use_USE_UNSPECIFIED:   policy.SingleFactor,
	watchwordv1.Use_USE_SINGLE_FACTOR: policy.SingleFactor,
	watchwordv1.Use_USE_MULTI_FACTOR:  policy.MultiFactor,
}

var purposes = map[watchwordv1.Purpose]policy.Purpose{
	watchwordv1.Purpose_PURPOSE_UNSPECIFIED: policy.Signup,
	watchwordv1.Purpose_PURPOSE_SIGNUP:      policy.Signup,
	watchwordv1.Purpose_PURPOSE_CHANGE:      policy.Change,
	watchwordv1.Purpose_PURPOSE_RESET:       policy.Reset,
	watchwordv1.Purpose_PURPOSE_LOGIN:       policy.Login,
}

var breachStatuses = map[policy.BreachStatus]watchwordv1.BreachStatus{
	policy.Performed: watchwordv1.BreachStatus_BREACH_STATUS_PERFORMED,
	policy.Degraded:  watchwordv1.BreachStatus_BREACH_STATUS_DEGRADED,
	policy.Skipped:   watchwordv1.BreachStatus_BREACH_STATUS_SKIPPED,
}

// reader checks the fields of one request and keeps the first fault.
type reader struct{ err error }

func (r *reader) fault(field, fault string) {
	if r.err == nil {
		r.err = &fieldError{field, fault}
	}
}

// text takes a field that is text: UTF-8 without control characters, at most
// maxText bytes.
func (r *reader) text(field, s string) string {
	switch {
	case len(s) > maxText:
		r.fault(field, "longer than "+strconv.Itoa(maxText)+" bytes")
	case !printable(s):
		r.fault(field, "not text, or with a control character")
	}
	return s
}

func printable(s string) bool {
	for i, c := range s {
		if c < 0x20 || c == 0x7f || c >= 0x80 && unicode.Is(unicode.Cc, c) {
			return false
		}
		if c == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return false
			}
		}
	}
	return true
}

func (r *reader) texts(field string, list []string) []string {
	if len(list) > maxEntries {
		r.fault(field, "more than "+strconv.Itoa(maxEntries)+" entries")
		return nil
	}
	for _, s := range list {
		r.text(field, s)
	}
	return list
}

// subject takes an account id. What is wrong with one is found here, before
// anything depends on whether it is known.
func (r *reader) subject(s string) string {
	if _, err := verifier.Canonical(s, true); err != nil {
		r.fault("subject", "empty, longer than 512 bytes, or not text")
	}
	return s
}

// password takes plaintext off the wire.
func (r *reader) password(field, s string) password.Text {
	t, err := password.New(s)
	switch {
	case err == password.ErrTooLarge && r.err == nil: //nolint:errorlint // New returns its sentinels bare
		r.err = err
	case err != nil:
		r.fault(field, "empty, not UTF-8, or with a control character")
	}
	return t
}

// optionalPassword is password for a field that may be empty.
func (r *reader) optionalPassword(field, s string) password.Text {
	if s == "" {
		return password.Text{}
	}
	return r.password(field, s)
}

func (r *reader) policy(name string) string {
	if name != "" && policy.ValidName(name) != nil {
		r.fault("policy", "not a policy name")
		return ""
	}
	return name
}

func (r *reader) locale(s string) string {
	switch s {
	case "", "en":
		return "en"
	case "zh-CN":
		return s
	}
	r.fault("locale", `neither "en" nor "zh-CN"`)
	return "en"
}

func (r *reader) context(c *watchwordv1.PasswordContext) policy.Context {
	out := policy.Context{
		Login: r.text("context.login", c.GetLogin()), Emails: r.texts("context.emails", c.GetEmails()),
		Names: r.texts("context.names", c.GetNames()), Phones: r.texts("context.phones", c.GetPhones()),
		Words: r.texts("context.words", c.GetWords()), BirthDate: c.GetBirthDate(),
	}
	if out.BirthDate != "" {
		if _, err := time.Parse(time.DateOnly, out.BirthDate); err != nil {
			r.fault("context.birthDate", "not a date of the form YYYY-MM-DD")
		}
	}
	return out
}

func (r *reader) ip(field, s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		r.fault(field, "not an IP address")
	}
	return a.WithZone("").Unmap()
}

func (r *reader) source(s *watchwordv1.AttemptSource) verifier.Source {
	r.text("source.userAgent", s.GetUserAgent())
	return verifier.Source{
		IP: r.ip("source.ip", s.GetIp()), Device: r.text("source.deviceToken", s.GetDeviceToken()),
		Channel: pick(r, channels, "source.channel", s.GetChannel()), ChallengePassed: s.GetChallengePassed(),
	}
}

func (r *reader) tag(b []byte) []byte {
	if len(b) > 32 {
		r.fault("guessTag", "longer than 32 bytes")
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

// pick takes an enum field whose values the table lists.
func pick[K comparable, V any](r *reader, table map[K]V, field string, key K) V {
	v, ok := table[key]
	if !ok {
		r.fault(field, "not one of the values of this field")
	}
	return v
}

func breachOf(b policy.Breach) *watchwordv1.Breach {
	return &watchwordv1.Breach{Status: breachStatuses[b.Status], Found: b.Found,
		Count: uint32(min(b.Count, 1<<32-1)), CorpusVersion: b.CorpusVersion}
}

func strengthOf(e policy.Estimate) *watchwordv1.Strength {
	return &watchwordv1.Strength{GuessesLog10: e.GuessesLog10, Score: int32(e.Score), Segments: segmentsOf(e.Segments)}
}

// segmentKinds are the kinds of the contract as the rooms below spell them.
var segmentKinds = func() map[string]watchwordv1.SegmentKind {
	table := make(map[string]watchwordv1.SegmentKind)
	for n, name := range watchwordv1.SegmentKind_name {
		short := strings.TrimPrefix(name, "SEGMENT_KIND_")
		table[short], table[strings.ToLower(short)] = watchwordv1.SegmentKind(n), watchwordv1.SegmentKind(n)
	}
	return table
}()

func segmentsOf(list []policy.Segment) []*watchwordv1.Segment {
	if len(list) == 0 {
		return nil
	}
	all, out := make([]watchwordv1.Segment, len(list)), make([]*watchwordv1.Segment, len(list))
	for i, s := range list {
		kind, known := segmentKinds[s.Kind]
		if !known { // a rule's own word for something the caller gave: login, email, dictionary, …
			kind = watchwordv1.SegmentKind_SEGMENT_KIND_CONTEXT
		}
		all[i].Kind, all[i].Start, all[i].End = kind, int32(s.Start), int32(s.End)
		out[i] = &all[i]
	}
	return out
}

func violationsOf(locale string, list []policy.Violation) []*watchwordv1.Violation {
	var out []*watchwordv1.Violation
	for _, v := range list {
		out = append(out, &watchwordv1.Violation{Rule: v.Rule, Clauses: v.Clauses, Message: policy.Message(locale, v), Params: v.Params,
			Segments: segmentsOf(v.Segments)})
	}
	return out
}

func adviceOf(locale string, list []policy.Advice) []string {
	var out []string
	for _, a := range list {
		out = append(out, policy.AdviceText(locale, a))
	}
	return out
}

func timeOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// tenantOf is the tenant whose data a caller reaches.
func tenantOf(c *identity.Caller) string {
	if c.Tenant == "" {
		return identity.DefaultTenant
	}
	return c.Tenant
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Journal keeps what happened.
type Journal interface {
	// Begin records a change that is about to be made, and returns once the
	// record is durable. When it fails, the change must not be made.
	Begin(ctx context.Context, r Record) error
	// End records how the change ended. It does not wait.
	End(r Record)
	// Denied records a refusal. It does not wait, and may count many alike in
	// one record.
	Denied(r Record)
}

// Record is one thing that happened.
type Record struct {
	Type    string
	Tenant  string
	Actor   string
	Peer    string
	Request string
	// Subject is the account id as the caller sent it; the journal keeps a
	// pseudonym.
	Subject string
	Outcome string
	Params  map[string]string
}

// journalError is returned when the journal would not take a record.
type journalError struct{ cause error }

func (e *journalError) Error() string { return "the event log cannot be written: " + e.cause.Error() }
func (e *journalError) Unwrap() error { return e.cause }

// Events are the types under which calls are recorded, by method: every change,
// and every look at what was found out about people. Each goes into the journal
// before it happens and again with its outcome.
var eventTypes = map[string]string{
	"AdminService/CreateKey":               "key.create",
	"AdminService/RevokeKey":               "key.revoke",
	"AdminService/RotatePepper":            "pepper.rotate",
	"AdminService/CreateTenant":            "tenant.create",
	"AdminService/ExportSubject":           "subject.export",
	"AuditService/CreateAudit":             "audit.create",
	"AuditService/UploadRecords":           "audit.upload",
	"AuditService/CancelAudit":             "audit.cancel",
	"AuditService/ListFindings":            "audit.findings",
	"AuditService/GetReport":               "audit.report",
	"AuditService/ApplyRemediation":        "audit.remediate",
	"CredentialService/SetPassword":        "credential.set",
	"CredentialService/ChangePassword":     "credential.change",
	"CredentialService/ImportCredentials":  "credential.import",
	"CredentialService/SetCredentialState": "credential.state",
	"CredentialService/DeleteCredential":   "credential.delete",
	"LoginThrottleService/ResetThrottle":   "throttle.reset",
	"PolicyService/PutPolicy":              "policy.put",
	"PolicyService/SetRollout":             "policy.rollout",
	"PolicyService/RollbackPolicy":         "policy.rollback",
	"PolicyService/AddWords":               "words.add",
	"PolicyService/RemoveWords":            "words.remove",
	"PolicyService/ClearWords":             "words.clear",
}

// quiet are the methods that change nothing an operator answers for: questions,
// and the counting of logins.
var quiet = []string{
	"AdminService/ListKeys", "AdminService/ListEvents", "AdminService/VerifyEvents", "AdminService/GetExposure", "AdminService/GetEvidence", "AdminService/ListTenants",
	"AuditService/GetAudit", "AuditService/ListAudits", "AuditService/WatchAudit",
	"BreachService/GetRange", "BreachService/CheckHashes", "BreachService/ListCorpora",
	"BreachService/GetPrivateList", "BreachService/GetPrivateBucket", "BreachService/PrivateCheck",
	"CredentialService/GetCredential", "CredentialService/VerifyPassword",
	"LoginThrottleService/BeginAttempt", "LoginThrottleService/CompleteAttempt", "LoginThrottleService/ReportAttempt",
	"LoginThrottleService/GetThrottleState", "LoginThrottleService/WatchSignals",
	"PasswordService/CheckPassword", "PasswordService/BatchCheckPasswords", "PasswordService/GeneratePassword",
	"PasswordService/HashPassword", "PasswordService/VerifyHash",
	"PolicyService/ListPolicies", "PolicyService/GetPolicy", "PolicyService/DescribePolicy", "PolicyService/SimulatePolicy",
	"PolicyService/GetConformance", "PolicyService/ListWords",
}

// ownPackage begins the names of the contract's methods.
const ownPackage = "/watchword.v1."

// eventTable gives the event type of every method that has one. A method of the
// contract that is listed neither as recorded nor as quiet stops the start, so
// that no new one changes something unseen.
func eventTable(methods map[string]string) (map[string]string, error) {
	table := map[string]string{}
	for full := range methods {
		short, own := strings.CutPrefix(full, ownPackage)
		if !own {
			continue
		}
		typ, recorded := eventTypes[short]
		if recorded == slices.Contains(quiet, short) {
			return nil, fmt.Errorf("method %s is not listed once as recorded or quiet", full)
		}
		if recorded {
			table[full] = typ
		}
	}
	return table, nil
}

// Event types of refusals.
const (
	typeDenied = "access.denied"
	typeQuota  = "quota.denied"
	typeLogin  = "login.denied"
)

func (c *call) record(typ string) Record {
	r := Record{Type: typ, Request: c.id, Peer: c.from.String(), Subject: c.subject}
	if c.caller != nil {
		r.Tenant, r.Actor = tenantOf(c.caller), c.caller.ID
	}
	return r
}

// begin puts a change into the journal before it happens.
func (g *gate) begin(ctx context.Context, c *call, req any) error {
	switch q := req.(type) {
	case interface{ GetSubject() string }:
		c.subject = q.GetSubject()
	case *ratelimitv3.RateLimitRequest:
		c.subject = onlySubject(q)
	}
	c.named = named(req)
	typ, ok := g.events[c.method]
	if !ok || g.journal == nil {
		return nil
	}
	r := c.record(typ)
	r.Outcome = "BEGUN"
	if err := g.journal.Begin(ctx, r); err != nil {
		return &journalError{err}
	}
	c.begun = true
	return nil
}

// end puts the outcome of a change, or a refusal, into the journal. err is a
// status already.
func (g *gate) end(c *call, resp any, err error) {
	if g.journal == nil || slices.Contains(open, c.method) {
		return
	}
	st := status.Convert(err)
	reason := reasonOf(st)
	switch typ := g.events[c.method]; {
	case c.begun:
		r := c.record(typ)
		r.Outcome, r.Params = outcome(st), facts(resp)
		if st.Code() == codes.OK { // the answer vouches for what was named
			r.Params = merge(r.Params, c.named)
		}
		if reason != "" {
			r.Params = merge(r.Params, map[string]string{"reason": reason})
		}
		if c.rows > 0 {
			r.Params = merge(r.Params, map[string]string{"rows": strconv.Itoa(c.rows)})
		}
		g.journal.End(r)
	case reason == "DENIED":
		r := c.record(typeDenied)
		r.Outcome, r.Params = outcome(st), map[string]string{"method": c.method}
		if c.method != "REST" && g.scopes[c.method] == "" {
			r.Params["method"] = "unknown" // a name that a stranger chose
		}
		g.journal.Denied(r)
	case reason == "CALLER_QUOTA":
		r := c.record(typeQuota)
		r.Outcome, r.Params = outcome(st), map[string]string{"method": c.method}
		g.journal.Denied(r)
	}
	if verdict := denied(st, resp); verdict != "" {
		r := c.record(typeLogin)
		r.Outcome, r.Params = "DENIED", map[string]string{"method": c.method, "verdict": verdict}
		g.journal.Denied(r)
	}
}

func merge(a, b map[string]string) map[string]string {
	if a == nil {
		return b
	}
	maps.Copy(a, b)
	return a
}

// outcome spells a code as REST does.
func outcome(st *status.Status) string {
	if st.Code() == codes.OK {
		return "OK"
	}
	var b strings.Builder
	for i, r := range st.Code().String() {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

func reasonOf(st *status.Status) string {
	for _, d := range st.Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			return i.GetReason()
		}
	}
	return ""
}

// denied gives the verdict by which a login did not get its attempt.
func denied(st *status.Status, resp any) string {
	for _, d := range st.Details() {
		if den, ok := d.(*watchwordv1.Denial); ok {
			return den.GetVerdict().String()
		}
	}
	if st.Code() != codes.OK {
		return ""
	}
	switch m := resp.(type) {
	case *watchwordv1.BeginAttemptResponse:
		if v := m.GetVerdict(); v != watchwordv1.Verdict_VERDICT_ALLOW {
			return v.String()
		}
	case *ratelimitv3.RateLimitResponse:
		if m.GetOverallCode() == ratelimitv3.RateLimitResponse_OVER_LIMIT {
			return m.GetOverallCode().String()
		}
	}
	return ""
}

// facts are what an answer tells about the change: names that the service gave
// or has checked, never what else the caller sent.
func facts(resp any) map[string]string {
	switch m := resp.(type) {
	case *watchwordv1.CreateKeyResponse:
		return keyFacts(m.GetKey())
	case *watchwordv1.RevokeKeyResponse:
		return keyFacts(m.GetKey())
	case *watchwordv1.RotatePepperResponse:
		return map[string]string{"pepper": m.GetKeyId(), "sealed": strconv.Itoa(int(m.GetSealed())), "remaining": strconv.Itoa(int(m.GetRemaining()))}
	case *watchwordv1.CreateTenantResponse:
		return map[string]string{"tenant": m.GetTenant().GetName()}
	case *watchwordv1.SetPasswordResponse:
		return map[string]string{"version": strconv.Itoa(int(m.GetVersion())), "policy": m.GetPolicy(), "policyVersion": m.GetPolicyVersion()}
	case *watchwordv1.ChangePasswordResponse:
		return map[string]string{"result": m.GetResult().String(), "version": strconv.Itoa(int(m.GetVersion()))}
	case *watchwordv1.PutPolicyResponse:
		return map[string]string{"policy": m.GetPolicy(), "policyVersion": m.GetVersion()}
	case *watchwordv1.SetRolloutResponse:
		return rolloutFacts(m.GetRollout())
	case *watchwordv1.RollbackPolicyResponse:
		return rolloutFacts(m.GetRollout())
	case interface {
		GetVersion() uint32
		GetTotal() int32
	}:
		return map[string]string{"version": strconv.Itoa(int(m.GetVersion())), "total": strconv.Itoa(int(m.GetTotal()))}
	case *watchwordv1.CreateAuditResponse:
		return map[string]string{"audit": m.GetAudit().GetId()}
	case *watchwordv1.UploadRecordsResponse:
		return map[string]string{"nextOffset": strconv.Itoa(int(m.GetNextOffset())), "accepted": strconv.Itoa(int(m.GetAccepted()))}
	case *watchwordv1.ApplyRemediationResponse:
		return map[string]string{"changed": strconv.Itoa(int(m.GetChanged())), "unchanged": strconv.Itoa(int(m.GetUnchanged()))}
	}
	return nil
}

// named are the facts that a request tells, once the answer was good: which
// audit, and what was done with it.
func named(req any) map[string]string {
	switch m := req.(type) {
	case *watchwordv1.UploadRecordsRequest:
		return map[string]string{"audit": m.GetAuditId()}
	case *watchwordv1.CancelAuditRequest:
		return map[string]string{"audit": m.GetId()}
	case *watchwordv1.ListFindingsRequest:
		return map[string]string{"audit": m.GetId()}
	case *watchwordv1.GetReportRequest:
		return map[string]string{"audit": m.GetId(), "format": m.GetFormat().String()}
	case *watchwordv1.ApplyRemediationRequest:
		return map[string]string{"audit": m.GetId(), "action": m.GetAction().String()}
	}
	return nil
}

func keyFacts(k *watchwordv1.Key) map[string]string {
	if k == nil {
		return nil
	}
	return map[string]string{"key": k.GetId(), "keyTenant": k.GetTenant(), "preset": k.GetPreset(), "scopes": strings.Join(k.GetScopes(), " "),
		"networks": strings.Join(k.GetNetworks(), " ")}
}

func rolloutFacts(r *watchwordv1.PolicyRollout) map[string]string {
	return map[string]string{"current": r.GetCurrentVersion(), "candidate": r.GetCandidateVersion(), "percent": strconv.Itoa(int(r.GetPercent()))}
}

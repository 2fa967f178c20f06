// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// NewAudit asks for an audit. Zero fields mean the server's defaults.
type NewAudit struct {
	// OwnStore audits the server's own credentials, at once; otherwise records
	// are uploaded.
	OwnStore bool
	// CPU and Guesses bound the work: hashing time in all, and guesses for each
	// record.
	CPU      time.Duration
	Guesses  int
	Deadline time.Time
	// Words are those that anybody of the organisation might use.
	Words  []string
	Locale string
	// Repeat makes an audit of the own store recur.
	Repeat time.Duration
	// Previous is an audit to compare with.
	Previous                 string
	StaleAfter, DormantAfter time.Duration
}

// Audit is one audit and how far it is.
type Audit struct {
	ID string `json:"id"`
	// State is OPEN, RUNNING, DONE, CANCELLED or FAILED.
	State    string           `json:"state"`
	Done     int              `json:"recordsDone"`
	Total    int              `json:"recordsTotal"`
	Rejected int              `json:"recordsRejected"`
	Guesses  int64            `json:"guesses"`
	CPU      time.Duration    `json:"cpu"`
	ETA      time.Duration    `json:"eta,omitempty"`
	Yield    float64          `json:"expectedYield"`
	Findings map[string]int32 `json:"findingsByKind"`
	// Stop is why guessing ended early, if it did.
	Stop     string    `json:"stopReason,omitempty"`
	Created  time.Time `json:"createTime"`
	Ended    time.Time `json:"endTime,omitzero"`
	Previous string    `json:"previousId,omitempty"`
	// ReportKey is the key that signs the server's reports.
	ReportKey string `json:"reportKey"`
	// New, Gone and Unchanged count findings against Previous.
	New, Gone, Unchanged int `json:",omitempty"`
}

// Over tells whether an audit has ended.
func (a Audit) Over() bool {
	return a.State == "DONE" || a.State == "CANCELLED" || a.State == "FAILED"
}

func auditOf(m *watchwordv1.Audit) Audit {
	a := Audit{ID: m.GetId(), State: strings.TrimPrefix(m.GetState().String(), "STATE_"), Done: int(m.GetRecordsDone()), Total: int(m.GetRecordsTotal()),
		Rejected: int(m.GetRecordsRejected()), Guesses: m.GetGuesses(), CPU: time.Duration(m.GetCpuSecondsUsed() * float64(time.Second)),
		ETA: m.GetEta().AsDuration(), Yield: m.GetExpectedYield(), Findings: m.GetFindingsByKind(), Stop: m.GetStopReason(),
		Created: m.GetCreateTime().AsTime(), Previous: m.GetPreviousId(), ReportKey: m.GetReportKey(),
		New: int(m.GetDifference().GetNew()), Gone: int(m.GetDifference().GetGone()), Unchanged: int(m.GetDifference().GetUnchanged())}
	if m.GetEndTime() != nil {
		a.Ended = m.GetEndTime().AsTime()
	}
	return a
}

func span(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// CreateAudit opens an audit.
func (c *Client) CreateAudit(ctx context.Context, n NewAudit) (Audit, error) {
	q := &watchwordv1.CreateAuditRequest{Source: watchwordv1.CreateAuditRequest_SOURCE_UPLOAD,
		Budget:   &watchwordv1.AuditBudget{CpuSeconds: int64(n.CPU / time.Second), GuessesPerSubject: int32(n.Guesses)},
		Deadline: stamp(n.Deadline), Context: &watchwordv1.AuditContext{Words: n.Words}, Locale: n.Locale, Repeat: span(n.Repeat),
		PreviousId: n.Previous, StaleAfter: span(n.StaleAfter), DormantAfter: span(n.DormantAfter)}
	if n.OwnStore {
		q.Source = watchwordv1.CreateAuditRequest_SOURCE_OWN_STORE
	}
	r, err := c.audits.CreateAudit(ctx, q)
	return auditOf(r.GetAudit()), failure(err)
}

// AuditRecord is one record to upload.
type AuditRecord struct {
	ID string
	// Hash is in any form that the server imports; or Password is set instead,
	// which is judged and forgotten.
	Hash, Password         string
	LastLogin, LastChanged time.Time
	// Flags are disabled, privileged, test, service, never-changed,
	// never-logged-in, peppered and lm-hash.
	Flags  []string
	Person Person
}

// Rejected is a record that was not taken.
type Rejected struct {
	Offset int    `json:"offset"`
	Reason string `json:"reason"`
}

// Uploaded is what came of an upload.
type Uploaded struct {
	// Next is the offset of the record to go on with.
	Next     int
	Accepted int
	// Rejected are the first thousand records that were not taken.
	Rejected []Rejected
}

// Upload adds records to an audit, the first of them at the offset from.
// Records that the audit has already are passed over. When complete is set the
// audit starts behind the last one. After an error NextRecord tells where to go
// on.
func (c *Client) Upload(ctx context.Context, id string, from int, records iter.Seq[AuditRecord], complete bool) (Uploaded, error) {
	stream, err := c.audits.UploadRecords(ctx)
	if err != nil {
		return Uploaded{}, failure(err)
	}
	send := func(m *watchwordv1.UploadRecordsRequest) bool { return stream.Send(m) == nil } // CloseAndRecv has the reason
	ok := send(&watchwordv1.UploadRecordsRequest{AuditId: id})
	at := from
	for r := range records {
		if !ok {
			break
		}
		ok = send(&watchwordv1.UploadRecordsRequest{AuditId: id, Offset: uint32(at), Record: &watchwordv1.AuditRecord{
			Id: r.ID, Hash: r.Hash, Password: r.Password, LastLogin: stamp(r.LastLogin), LastChanged: stamp(r.LastChanged), Flags: r.Flags, Context: r.Person.proto()}})
		at++
	}
	if ok && complete {
		send(&watchwordv1.UploadRecordsRequest{AuditId: id, Offset: uint32(at), Complete: true})
	}
	r, err := stream.CloseAndRecv()
	if err != nil {
		return Uploaded{}, failure(err)
	}
	out := Uploaded{Next: int(r.GetNextOffset()), Accepted: int(r.GetAccepted())}
	for _, x := range r.GetRejected() {
		out.Rejected = append(out.Rejected, Rejected{int(x.GetOffset()), x.GetReason()})
	}
	return out, nil
}

// NextRecord tells the offset of the record that an audit expects next.
func (c *Client) NextRecord(ctx context.Context, id string) (int, error) {
	u, err := c.Upload(ctx, id, 0, func(func(AuditRecord) bool) {}, false)
	return u.Next, err
}

// Audit gives an audit, or ErrNotFound.
func (c *Client) Audit(ctx context.Context, id string) (Audit, error) {
	r, err := c.audits.GetAudit(ctx, &watchwordv1.GetAuditRequest{Id: id})
	return auditOf(r.GetAudit()), failure(err)
}

// Audits lists the audits of the tenant, newest first.
func (c *Client) Audits(ctx context.Context) ([]Audit, error) {
	r, err := c.audits.ListAudits(ctx, &watchwordv1.ListAuditsRequest{})
	var out []Audit
	for _, a := range r.GetAudits() {
		out = append(out, auditOf(a))
	}
	return out, failure(err)
}

// WatchAudit yields an audit again and again until it ends.
func (c *Client) WatchAudit(ctx context.Context, id string) iter.Seq2[Audit, error] {
	return func(yield func(Audit, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.audits.WatchAudit(ctx, &watchwordv1.WatchAuditRequest{Id: id})
		for err == nil {
			var r *watchwordv1.WatchAuditResponse
			if r, err = stream.Recv(); err == nil && !yield(auditOf(r.GetAudit()), nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(Audit{}, failure(err))
		}
	}
}

// CancelAudit stops an audit, and the schedule it belongs to.
func (c *Client) CancelAudit(ctx context.Context, id string) (Audit, error) {
	r, err := c.audits.CancelAudit(ctx, &watchwordv1.CancelAuditRequest{Id: id})
	return auditOf(r.GetAudit()), failure(err)
}

// AuditFinding is one thing found about one record.
type AuditFinding struct {
	Offset   int      `json:"offset"`
	Record   string   `json:"record"`
	Kind     string   `json:"kind"`
	Severity string   `json:"severity"`
	RankBand string   `json:"rankBand,omitempty"`
	Class    string   `json:"class,omitempty"`
	Accounts int      `json:"accounts,omitempty"`
	Clauses  []string `json:"clauses,omitempty"`
	Remedy   string   `json:"remedy"`
}

// Findings yields the findings of an audit, of one kind, such as WEAK, or of
// all.
func (c *Client) Findings(ctx context.Context, id, kind string) iter.Seq2[AuditFinding, error] {
	return func(yield func(AuditFinding, error) bool) {
		q := &watchwordv1.ListFindingsRequest{Id: id, Kind: findingKind(kind)}
		for {
			r, err := c.audits.ListFindings(ctx, q)
			if err != nil {
				yield(AuditFinding{}, failure(err))
				return
			}
			for _, f := range r.GetFindings() {
				one := AuditFinding{Offset: int(f.GetOffset()), Record: f.GetRecordId(), Kind: strings.TrimPrefix(f.GetKind().String(), "FINDING_KIND_"),
					Severity: strings.TrimPrefix(f.GetSeverity().String(), "SEVERITY_"), RankBand: f.GetRankBand(), Class: f.GetClass(),
					Accounts: int(f.GetAccounts()), Clauses: f.GetClauses(), Remedy: f.GetRemedy()}
				if !yield(one, nil) {
					return
				}
			}
			if q.PageToken = r.GetNextPageToken(); q.PageToken == "" {
				return
			}
		}
	}
}

// findingKind reads the name of a kind; an unknown one is sent as a value that
// the server refuses by the name of the field.
func findingKind(name string) watchwordv1.FindingKind {
	k, ok := watchwordv1.FindingKind_value["FINDING_KIND_"+name]
	if !ok && name != "" {
		k = -1
	}
	return watchwordv1.FindingKind(k)
}

// maxReport is the longest report taken, in bytes.
const maxReport = 64 << 20

// AuditReport gives the signed report of an audit that has ended: html, json, csv or
// sarif, in a locale, or in the audit's for an empty one.
func (c *Client) AuditReport(ctx context.Context, id, format, locale string) (contentType string, content []byte, err error) {
	f, ok := watchwordv1.GetReportRequest_Format_value["FORMAT_"+strings.ToUpper(format)]
	if !ok {
		f = -1
	}
	r, err := c.audits.GetReport(ctx, &watchwordv1.GetReportRequest{Id: id, Format: watchwordv1.GetReportRequest_Format(f), Locale: locale},
		grpc.MaxCallRecvMsgSize(maxReport))
	return r.GetContentType(), r.GetContent(), failure(err)
}

// Remediate marks the credentials of the own store about which an audit found
// one of the kinds: their password must be changed, or they are disabled.
func (c *Client) Remediate(ctx context.Context, id string, kinds []string, disable bool) (changed, unchanged int, err error) {
	q := &watchwordv1.ApplyRemediationRequest{Id: id, Action: watchwordv1.ApplyRemediationRequest_ACTION_MUST_CHANGE}
	if disable {
		q.Action = watchwordv1.ApplyRemediationRequest_ACTION_DISABLE
	}
	for _, k := range kinds {
		q.Kinds = append(q.Kinds, findingKind(k))
	}
	r, err := c.audits.ApplyRemediation(ctx, q)
	return int(r.GetChanged()), int(r.GetUnchanged()), failure(err)
}

// ErrReport is returned by VerifyReport for a file that is not a signed report,
// or that was changed.
var ErrReport = errors.New("not a report, or changed after it was signed")

var signature = regexp.MustCompile(`watchword-signature:v1:([A-Za-z0-9_-]*):([A-Za-z0-9_-]*)`)

// VerifyReport checks a report from its bytes alone, and gives the key that it
// was signed with: whose that is must be known from elsewhere, such as
// Audit.ReportKey of the server.
func VerifyReport(content []byte) (key string, err error) {
	at := signature.FindAllSubmatchIndex(content, 2)
	if len(at) != 1 {
		return "", ErrReport
	}
	m := at[0]
	b64 := base64.RawURLEncoding.Strict()
	public, err := b64.DecodeString(string(content[m[2]:m[3]]))
	sig, err2 := b64.DecodeString(string(content[m[4]:m[5]]))
	if err != nil || err2 != nil || len(public) != ed25519.PublicKeySize {
		return "", ErrReport
	}
	signed := append([]byte(nil), content[:m[2]]...)
	signed = append(signed, ':')
	signed = append(signed, content[m[5]:]...)
	if !ed25519.Verify(public, signed, sig) {
		return "", ErrReport
	}
	return string(content[m[2]:m[3]]), nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Audits is the engine behind AuditService. All it says is of one tenant.
type Audits interface {
	Create(ctx context.Context, tenant string, q AuditRequest) (*watchwordv1.Audit, error)
	Upload(ctx context.Context, tenant, id string) (AuditUpload, error)
	List(ctx context.Context, tenant string) ([]*watchwordv1.Audit, error)
	Get(ctx context.Context, tenant, id string) (*watchwordv1.Audit, error)
	Cancel(ctx context.Context, tenant, id string) (*watchwordv1.Audit, error)
	Findings(ctx context.Context, tenant, id string, kind watchwordv1.FindingKind, token string) (list []*watchwordv1.Finding, next string, err error)
	Report(ctx context.Context, tenant, id string, format watchwordv1.GetReportRequest_Format, locale string) (contentType string, content []byte, err error)
	Remediate(ctx context.Context, tenant, id string, kinds []watchwordv1.FindingKind, disable bool) (changed, unchanged int, err error)
}

// AuditRequest is CreateAudit with its fields checked.
type AuditRequest struct {
	OwnStore                         bool
	CPU                              time.Duration // zero: the default, as in the fields below
	Guesses                          int
	Deadline                         time.Time
	Words                            []string
	Locale                           string
	Repeat, StaleAfter, DormantAfter time.Duration
	Previous                         string
}

// AuditUpload takes the records of one stream, in order.
type AuditUpload interface {
	// Next is the offset of the next record.
	Next() int
	// Add gives the reason why a record was not taken, empty for a good one or
	// one that was taken before.
	Add(ctx context.Context, offset int, r AuditRecord) (reason string, err error)
	// Flush makes what was added durable; Complete says that it was all.
	Flush(ctx context.Context) error
	Complete(ctx context.Context) error
}

// AuditRecord is one uploaded record.
type AuditRecord struct {
	ID       string
	Hash     string
	Password password.Text // instead of a hash
	// Malformed marks one whose other fields are not to be looked at.
	Malformed              bool
	LastLogin, LastChanged time.Time
	Flags                  []string
	Context                policy.Context
}

// Errors of Audits.
var (
	// ErrUnknownAudit is returned for an id that the tenant has no audit of.
	ErrUnknownAudit = errors.New("unknown audit")
	// ErrAuditState is returned for what the audit's state or source does not
	// allow.
	ErrAuditState = errors.New("the audit's state or source does not allow this")
	// ErrAuditOffset is returned for a record behind the next one expected.
	ErrAuditOffset = errors.New("not the offset of the next record")
	// ErrAuditFull is returned for more records than an audit takes.
	ErrAuditFull = errors.New("the audit takes no more records")
	// ErrAuditToken is returned for a page token that was not given out.
	ErrAuditToken = errors.New("not a page token of this list")
)

type auditService struct {
	watchwordv1.UnimplementedAuditServiceServer
	audits Audits
	ending <-chan struct{}
}

// Bounds of an audit's budget and of its schedule.
const (
	maxAuditGuesses = 100_000
	maxAuditSeconds = 366 * 24 * 3600
	minAuditRepeat  = time.Hour
	maxAuditWords   = policy.MaxContextWords
)

func (r *reader) auditID(s string) string {
	if s == "" || len(s) > 64 || !printable(s) {
		r.fault("id", "not the id of an audit")
	}
	return s
}

func (r *reader) span(field string, d *durationpb.Duration, least time.Duration) time.Duration {
	if d == nil {
		return 0
	}
	if v := d.AsDuration(); d.CheckValid() == nil && v >= least {
		return v
	}
	r.fault(field, "not a duration of at least "+least.String())
	return 0
}

func (r *reader) time(field string, t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	if !t.IsValid() {
		r.fault(field, "not a time")
	}
	return t.AsTime()
}

func (s *auditService) CreateAudit(ctx context.Context, m *watchwordv1.CreateAuditRequest) (*watchwordv1.CreateAuditResponse, error) {
	var r reader
	own := pick(&r, map[watchwordv1.CreateAuditRequest_Source]bool{
		watchwordv1.CreateAuditRequest_SOURCE_OWN_STORE: true, watchwordv1.CreateAuditRequest_SOURCE_UPLOAD: false,
	}, "source", m.GetSource())
	b := m.GetBudget()
	if b.GetCpuSeconds() < 0 || b.GetCpuSeconds() > maxAuditSeconds {
		r.fault("budget.cpuSeconds", "not from 0 to a year")
	}
	if b.GetGuessesPerSubject() < 0 || b.GetGuessesPerSubject() > maxAuditGuesses {
		r.fault("budget.guessesPerSubject", "not from 0 to 100000")
	}
	if len(m.GetContext().GetWords()) > maxAuditWords {
		r.fault("context.words", "more than 256 entries")
	}
	q := AuditRequest{
		OwnStore: own, CPU: time.Duration(b.GetCpuSeconds()) * time.Second, Guesses: int(b.GetGuessesPerSubject()),
		Deadline: r.time("deadline", m.GetDeadline()), Words: r.texts("context.words", m.GetContext().GetWords()), Locale: r.locale(m.GetLocale()),
		Repeat:     r.span("repeat", m.GetRepeat(), minAuditRepeat),
		StaleAfter: r.span("staleAfter", m.GetStaleAfter(), time.Hour), DormantAfter: r.span("dormantAfter", m.GetDormantAfter(), time.Hour),
		Previous: r.text("previousId", m.GetPreviousId()),
	}
	if q.Repeat > 0 && !own {
		r.fault("repeat", "only the own store can be audited again")
	}
	if r.err != nil {
		return nil, r.err
	}
	a, err := s.audits.Create(ctx, tenantOf(callerOf(ctx)), q)
	return &watchwordv1.CreateAuditResponse{Audit: a}, err
}

// maxRejected is how many rejected records an answer lists.
const maxRejected = 1000

// UploadRecords takes records until the stream ends. What came before a broken
// stream is kept; the caller asks where to go on with a first message that names
// the audit and holds nothing else.
func (s *auditService) UploadRecords(stream grpc.ClientStreamingServer[watchwordv1.UploadRecordsRequest, watchwordv1.UploadRecordsResponse]) error {
	ctx := stream.Context()
	out := &watchwordv1.UploadRecordsResponse{}
	var up AuditUpload
	id, complete, place := "", false, 0
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if up != nil {
				_ = up.Flush(context.WithoutCancel(ctx)) // an interrupted upload need not begin anew
			}
			return err
		}
		bad := isMalformed(m)
		switch {
		case up == nil && (bad || m.GetAuditId() == ""):
			return &fieldError{"auditId", "the first message does not name the audit"}
		case up == nil:
			id = m.GetAuditId()
			if up, err = s.audits.Upload(ctx, tenantOf(callerOf(ctx)), id); err != nil {
				return err
			}
			if m.GetRecord() == nil && !m.GetComplete() {
				continue // asks where to go on
			}
		case m.GetAuditId() != "" && m.GetAuditId() != id:
			return &fieldError{"auditId", "another audit than that of the first message"}
		}
		if complete {
			return &fieldError{"complete", "a message behind the last one"}
		}
		if m.GetComplete() {
			if m.GetRecord() != nil {
				return &fieldError{"record", "the last message carries a record"}
			}
			if int(m.GetOffset()) > up.Next() {
				return ErrAuditOffset
			}
			complete = true
			continue
		}
		// A line that could not be read says no offset: it has that of its place.
		if !bad {
			place = int(m.GetOffset())
		}
		before := up.Next()
		reason, err := up.Add(ctx, place, readAuditRecord(m, bad))
		if err != nil {
			if errors.Is(err, ErrAuditOffset) {
				err = errors.Join(err, up.Flush(ctx))
			}
			return err
		}
		switch {
		case reason == "" && up.Next() > before:
			out.Accepted++
		case reason != "" && len(out.Rejected) < maxRejected:
			out.Rejected = append(out.Rejected, &watchwordv1.RejectedRecord{Offset: uint32(place), Reason: reason})
		}
		place++
	}
	if up == nil {
		return &fieldError{"auditId", "no message names the audit"}
	}
	var err error
	if complete {
		err = up.Complete(ctx)
	} else {
		err = up.Flush(ctx)
	}
	if err != nil {
		return err
	}
	out.NextOffset = uint32(up.Next())
	return stream.SendAndClose(out)
}

// maxRecord bounds one record in bytes; a line over REST has the same bound.
const maxRecord = maxLine

func readAuditRecord(m *watchwordv1.UploadRecordsRequest, bad bool) AuditRecord {
	w := m.GetRecord()
	if bad || w == nil || proto.Size(w) > maxRecord {
		return AuditRecord{Malformed: true}
	}
	var r reader
	out := AuditRecord{ID: w.GetId(), Hash: w.GetHash(), Flags: w.GetFlags(), Context: r.context(w.GetContext()),
		LastLogin: r.time("lastLogin", w.GetLastLogin()), LastChanged: r.time("lastChanged", w.GetLastChanged()),
		Password: r.optionalPassword("password", w.GetPassword())}
	if w.GetId() == "" || len(w.GetId()) > 512 || !printable(w.GetId()) {
		return AuditRecord{Malformed: true}
	}
	out.Malformed = r.err != nil || w.GetPassword() != "" && w.GetHash() != ""
	return out
}

func (s *auditService) ListAudits(ctx context.Context, _ *watchwordv1.ListAuditsRequest) (*watchwordv1.ListAuditsResponse, error) {
	list, err := s.audits.List(ctx, tenantOf(callerOf(ctx)))
	return &watchwordv1.ListAuditsResponse{Audits: list}, err
}

func (s *auditService) GetAudit(ctx context.Context, m *watchwordv1.GetAuditRequest) (*watchwordv1.GetAuditResponse, error) {
	var r reader
	id := r.auditID(m.GetId())
	if r.err != nil {
		return nil, r.err
	}
	a, err := s.audits.Get(ctx, tenantOf(callerOf(ctx)), id)
	return &watchwordv1.GetAuditResponse{Audit: a}, err
}

// watchEvery is how often a watched audit is looked at, and watchAgain how long
// one that does not change stays unmentioned.
const (
	watchEvery = 500 * time.Millisecond
	watchAgain = 15 * time.Second
)

func (s *auditService) WatchAudit(m *watchwordv1.WatchAuditRequest, stream grpc.ServerStreamingServer[watchwordv1.WatchAuditResponse]) error {
	ctx := stream.Context()
	var r reader
	id := r.auditID(m.GetId())
	if r.err != nil {
		return r.err
	}
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	var last *watchwordv1.Audit
	var told time.Time
	for {
		a, err := s.audits.Get(ctx, tenantOf(callerOf(ctx)), id)
		if err != nil {
			return err
		}
		if !proto.Equal(a, last) || time.Since(told) > watchAgain {
			if err := stream.Send(&watchwordv1.WatchAuditResponse{Audit: a}); err != nil {
				return err
			}
			last, told = a, time.Now()
		}
		if a.GetState() >= watchwordv1.Audit_STATE_DONE {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ending:
			return status.Error(codes.Unavailable, "the server stops")
		case <-t.C:
		}
	}
}

func (s *auditService) CancelAudit(ctx context.Context, m *watchwordv1.CancelAuditRequest) (*watchwordv1.CancelAuditResponse, error) {
	var r reader
	id := r.auditID(m.GetId())
	if r.err != nil {
		return nil, r.err
	}
	a, err := s.audits.Cancel(ctx, tenantOf(callerOf(ctx)), id)
	return &watchwordv1.CancelAuditResponse{Audit: a}, err
}

func (r *reader) findingKind(k watchwordv1.FindingKind) watchwordv1.FindingKind {
	if _, ok := watchwordv1.FindingKind_name[int32(k)]; !ok {
		r.fault("kind", "not one of the values of this field")
	}
	return k
}

func (s *auditService) ListFindings(ctx context.Context, m *watchwordv1.ListFindingsRequest) (*watchwordv1.ListFindingsResponse, error) {
	var r reader
	id, kind, token := r.auditID(m.GetId()), r.findingKind(m.GetKind()), r.text("pageToken", m.GetPageToken())
	if r.err != nil {
		return nil, r.err
	}
	list, next, err := s.audits.Findings(ctx, tenantOf(callerOf(ctx)), id, kind, token)
	return &watchwordv1.ListFindingsResponse{Findings: list, NextPageToken: next}, err
}

func (s *auditService) GetReport(ctx context.Context, m *watchwordv1.GetReportRequest) (*watchwordv1.GetReportResponse, error) {
	var r reader
	id := r.auditID(m.GetId())
	format := m.GetFormat()
	if _, ok := watchwordv1.GetReportRequest_Format_name[int32(format)]; !ok || format == watchwordv1.GetReportRequest_FORMAT_UNSPECIFIED {
		r.fault("format", "not one of the values of this field")
	}
	locale := m.GetLocale()
	if locale != "" {
		locale = r.locale(locale)
	}
	if r.err != nil {
		return nil, r.err
	}
	kind, content, err := s.audits.Report(ctx, tenantOf(callerOf(ctx)), id, format, locale)
	return &watchwordv1.GetReportResponse{ContentType: kind, Content: content}, err
}

func (s *auditService) ApplyRemediation(ctx context.Context, m *watchwordv1.ApplyRemediationRequest) (*watchwordv1.ApplyRemediationResponse, error) {
	var r reader
	id := r.auditID(m.GetId())
	disable := pick(&r, map[watchwordv1.ApplyRemediationRequest_Action]bool{
		watchwordv1.ApplyRemediationRequest_ACTION_MUST_CHANGE: false, watchwordv1.ApplyRemediationRequest_ACTION_DISABLE: true,
	}, "action", m.GetAction())
	if len(m.GetKinds()) == 0 {
		r.fault("kinds", "empty")
	}
	for _, k := range m.GetKinds() {
		if r.findingKind(k) == watchwordv1.FindingKind_FINDING_KIND_UNSPECIFIED {
			r.fault("kinds", "not a kind of findings")
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	changed, unchanged, err := s.audits.Remediate(ctx, tenantOf(callerOf(ctx)), id, m.GetKinds(), disable)
	return &watchwordv1.ApplyRemediationResponse{Changed: uint32(changed), Unchanged: uint32(unchanged)}, err
}

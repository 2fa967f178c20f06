// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/watchword-project/watchword/server/internal/audit"
	"github.com/watchword-project/watchword/server/internal/audit/report"
	"github.com/watchword-project/watchword/server/internal/rpc"
	"github.com/watchword-project/watchword/server/internal/verifier"
	"github.com/watchword-project/watchword/wordlists"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// audits joins the engine, which knows no protobuf, to the edge, which knows no
// audit.
type audits struct {
	engine *audit.Engine
	signer *report.Signer
	log    *slog.Logger
}

func (s *Server) openAudits(v *verifier.Verifier, master []byte, now func() time.Time) (*audits, error) {
	c := audit.Config{Objects: s.store, Accounts: v, Hasher: s.hasher, Corpora: s.corpora,
		Key: derive(master, "audit"), Alone: s.store.embedded != nil, Log: s.log, Now: now}
	e, err := audit.New(c)
	return &audits{engine: e, signer: report.NewSigner(derive(master, "report")), log: s.log}, err
}

// start works on audits until run ends. The store is closed only when that has
// come to rest.
func (a *audits) start(s *Server, run context.Context) {
	rest := make(chan struct{})
	s.spawn(func() { defer close(rest); a.engine.Run(run) })
	s.onClose(func(ctx context.Context) error {
		select {
		case <-rest:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// auditError gives the edge's error for one of the engine's.
func auditError(err error) error {
	for _, e := range []struct{ own, edge error }{
		{audit.ErrUnknown, rpc.ErrUnknownAudit}, {audit.ErrState, rpc.ErrAuditState}, {audit.ErrOffset, rpc.ErrAuditOffset},
		{audit.ErrFull, rpc.ErrAuditFull}, {audit.ErrToken, rpc.ErrAuditToken},
	} {
		if errors.Is(err, e.own) {
			return e.edge
		}
	}
	return err
}

// Create implements rpc.Audits.
func (a *audits) Create(ctx context.Context, tenant string, q rpc.AuditRequest) (*watchwordv1.Audit, error) {
	r := audit.Request{Tenant: tenant, Source: audit.Uploaded, Budget: audit.Budget{CPU: q.CPU, Guesses: q.Guesses}, Deadline: q.Deadline,
		Words: q.Words, Locale: q.Locale, Limits: audit.Limits{StaleAfter: q.StaleAfter, DormantAfter: q.DormantAfter},
		Repeat: q.Repeat, Previous: q.Previous}
	if q.OwnStore {
		r.Source = audit.OwnStore
	}
	made, err := a.engine.Create(ctx, r)
	if err != nil {
		return nil, auditError(err)
	}
	return a.message(made, audit.Progress{}), nil
}

// Upload implements rpc.Audits.
func (a *audits) Upload(ctx context.Context, tenant, id string) (rpc.AuditUpload, error) {
	u, err := a.engine.Upload(ctx, tenant, id)
	if err != nil {
		return nil, auditError(err)
	}
	return &auditUpload{u}, nil
}

type auditUpload struct{ u *audit.Upload }

func (u *auditUpload) Next() int                          { return u.u.Next() }
func (u *auditUpload) Flush(ctx context.Context) error    { return auditError(u.u.Flush(ctx)) }
func (u *auditUpload) Complete(ctx context.Context) error { return auditError(u.u.Complete(ctx)) }

func (u *auditUpload) Add(ctx context.Context, offset int, r rpc.AuditRecord) (string, error) {
	row := audit.Row{ID: r.ID, Hash: r.Hash, LastLogin: r.LastLogin, LastChanged: r.LastChanged, Context: r.Context}
	if r.Malformed {
		row.Fault = audit.FaultRecord
	}
	for _, name := range r.Flags {
		f, ok := audit.ParseFlag(name)
		if !ok {
			row.Fault = audit.FaultRecord
		}
		row.Flags |= f
	}
	reason, err := u.u.Add(ctx, offset, row, r.Password)
	return reason, auditError(err)
}

// List implements rpc.Audits.
func (a *audits) List(ctx context.Context, tenant string) ([]*watchwordv1.Audit, error) {
	list, far, err := a.engine.List(ctx, tenant)
	var out []*watchwordv1.Audit
	for i := range list {
		out = append(out, a.message(list[i], far[i]))
	}
	return out, auditError(err)
}

// Get implements rpc.Audits.
func (a *audits) Get(ctx context.Context, tenant, id string) (*watchwordv1.Audit, error) {
	one, far, err := a.engine.Get(ctx, tenant, id)
	if err != nil {
		return nil, auditError(err)
	}
	return a.message(one, far), nil
}

// Cancel implements rpc.Audits.
func (a *audits) Cancel(ctx context.Context, tenant, id string) (*watchwordv1.Audit, error) {
	if _, err := a.engine.Cancel(ctx, tenant, id); err != nil {
		return nil, auditError(err)
	}
	return a.Get(ctx, tenant, id)
}

// Findings implements rpc.Audits.
func (a *audits) Findings(ctx context.Context, tenant, id string, kind watchwordv1.FindingKind, token string) ([]*watchwordv1.Finding, string, error) {
	one, _, err := a.engine.Get(ctx, tenant, id)
	if err != nil {
		return nil, "", auditError(err)
	}
	list, next, err := a.engine.Findings(ctx, tenant, id, audit.Kind(kind), token)
	var out []*watchwordv1.Finding
	for i := range list {
		f := &list[i]
		out = append(out, &watchwordv1.Finding{RecordId: f.ID, Kind: watchwordv1.FindingKind(f.Kind), Severity: watchwordv1.Severity(f.Severity),
			RankBand: f.Band.String(), Clauses: f.Kind.Clauses(), Remedy: f.Kind.Remedy(one.Locale), Class: f.Class, Offset: uint32(f.Row), Accounts: uint32(f.Accounts)})
	}
	return out, next, auditError(err)
}

// Report implements rpc.Audits. An audit that has not ended has no report.
func (a *audits) Report(ctx context.Context, tenant, id string, format watchwordv1.GetReportRequest_Format, locale string) (string, []byte, error) {
	var top report.Top
	one, err := a.engine.Walk(ctx, tenant, id, func(f *audit.Finding) bool { top.Add(f); return true })
	if err != nil {
		return "", nil, auditError(err)
	}
	if locale == "" {
		locale = one.Locale
	}
	a.log.Info("audit report read", "tenant", tenant, "audit", id, "format", format)
	return report.Render(report.Data{Locale: locale, AsOf: one.Created, Source: one.Source, Stop: one.Stop, Budget: one.Budget, Limits: one.Limits,
		Result: *one.Result, ListDigest: wordlists.Common().Version(), Findings: top.Findings()}, report.Format(format), a.signer)
}

// Remediate implements rpc.Audits.
func (a *audits) Remediate(ctx context.Context, tenant, id string, kinds []watchwordv1.FindingKind, disable bool) (int, int, error) {
	var list []audit.Kind
	for _, k := range kinds {
		list = append(list, audit.Kind(k))
	}
	state := verifier.StateMustChange
	if disable {
		state = verifier.StateDisabled
	}
	changed, unchanged, err := a.engine.Remediate(ctx, tenant, id, list, state)
	return changed, unchanged, auditError(err)
}

// about gives what the audits of a tenant hold on a subject: under its pseudonym
// those of the own store, under its own id those of uploaded records. A hash is
// named and not shown.
func (a *audits) about(ctx context.Context, tenant string, ids ...string) ([]any, error) {
	held, err := a.engine.About(ctx, tenant, ids...)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, h := range held {
		findings := []any{}
		for _, f := range h.Findings {
			findings = append(findings, map[string]any{"kind": f.Kind.String(), "severity": f.Severity.String(), "class": f.Class, "rankBand": f.Band.String()})
		}
		one := map[string]any{"audit": h.Audit.ID, "created": instant(h.Audit.Created), "findings": findings}
		if r := h.Row; r != nil {
			one["record"] = map[string]any{"id": r.ID, "hash": r.Hash != "", "lastLogin": instant(r.LastLogin), "lastChanged": instant(r.LastChanged),
				"context": map[string]any{"login": r.Context.Login, "emails": r.Context.Emails, "names": r.Context.Names, "phones": r.Context.Phones,
					"words": r.Context.Words, "birthDate": r.Context.BirthDate}}
		}
		out = append(out, one)
	}
	return out, nil
}

// message spells an audit as the contract does.
func (a *audits) message(x *audit.Audit, p audit.Progress) *watchwordv1.Audit {
	m := &watchwordv1.Audit{
		Id: x.ID, State: watchwordv1.Audit_State(x.State), RecordsDone: uint32(p.Done), RecordsTotal: uint32(p.Records), RecordsRejected: uint32(p.Rejected),
		Guesses: p.Guesses, FindingsByKind: countsOf(p.Kinds[:]), CreateTime: timestamppb.New(x.Created),
		Budget: &watchwordv1.AuditBudget{CpuSeconds: int64(x.Budget.CPU / time.Second), GuessesPerSubject: int32(x.Budget.Guesses)},
		Locale: x.Locale, Source: watchwordv1.CreateAuditRequest_Source(x.Source), CpuSecondsUsed: p.CPU.Seconds(), ExpectedYield: p.Yield,
		StopReason: x.Stop, ReportKey: a.signer.Public(), PreviousId: x.Previous,
		StaleAfter: durationpb.New(x.Limits.StaleAfter), DormantAfter: durationpb.New(x.Limits.DormantAfter),
	}
	if !x.Ended.IsZero() {
		m.EndTime = timestamppb.New(x.Ended)
	}
	if !x.Deadline.IsZero() {
		m.Deadline = timestamppb.New(x.Deadline)
	}
	if x.Repeat > 0 {
		m.Repeat = durationpb.New(x.Repeat)
	}
	if !x.State.Ended() {
		m.Eta = durationpb.New(p.ETA.Round(time.Second))
	}
	if x.Result != nil {
		m.InputDigest = x.Result.Digest
		if d := x.Result.Diff; d != nil {
			m.Difference = &watchwordv1.AuditDifference{New: uint32(d.New), Gone: uint32(d.Gone), Unchanged: uint32(d.Same),
				NewByKind: countsOf(d.NewByKind[:]), GoneByKind: countsOf(d.GoneByKind[:])}
		}
	}
	return m
}

func countsOf(list []int) map[string]int32 {
	out := make(map[string]int32)
	for k, n := range list {
		if n > 0 {
			out[audit.Kind(k).String()] = int32(n)
		}
	}
	return out
}

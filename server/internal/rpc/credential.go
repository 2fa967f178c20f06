// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

type credentialService struct {
	watchwordv1.UnimplementedCredentialServiceServer
	v *verifier.Verifier
}

func (s *credentialService) SetPassword(ctx context.Context, m *watchwordv1.SetPasswordRequest) (*watchwordv1.SetPasswordResponse, error) {
	var r reader
	q := verifier.SetRequest{
		CheckRequest: verifier.CheckRequest{
			Password: r.password("password", m.GetPassword()),
			Tenant:   tenantOf(callerOf(ctx)), Policy: r.policy(m.GetPolicy()), Context: r.context(m.GetContext()),
			Use: pick(&r, uses, "use", m.GetUse()), Purpose: pick(&r, purposes, "purpose", m.GetPurpose()),
		},
		Subject: r.subject(m.GetSubject()), Locale: r.locale(m.GetLocale()), Proof: r.text("proof", m.GetProof()),
		MustChange: m.GetMustChange(), IfRevision: m.IfVersion,
	}
	if q.Purpose == policy.Login { // its rules are for a password that is in use already
		r.fault("purpose", "a login sets no password")
	}
	if r.err != nil {
		return nil, r.err
	}
	done, err := s.v.Set(ctx, q)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.SetPasswordResponse{Version: done.Revision, Policy: done.Verdict.Policy,
		PolicyVersion: done.Verdict.Version, Breach: breachOf(done.Breach), Pending: done.Pending}, nil
}

func (s *credentialService) VerifyPassword(ctx context.Context, m *watchwordv1.VerifyPasswordRequest) (*watchwordv1.VerifyPasswordResponse, error) {
	var r reader
	q := verifier.VerifyRequest{
		Password: r.password("password", m.GetPassword()),
		Tenant:   tenantOf(callerOf(ctx)), Subject: r.subject(m.GetSubject()), Source: r.source(m.GetSource()),
	}
	locale := r.locale(m.GetLocale())
	if r.err != nil {
		return nil, r.err
	}
	login, err := s.v.Verify(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.VerifyPasswordResponse{
		Result:   watchwordv1.VerifyPasswordResponse_RESULT_NO_MATCH,
		Findings: violationsOf(locale, login.Findings), DeviceToken: login.DeviceToken, Notify: login.Notify,
	}
	switch {
	case login.Match && login.MustChange:
		out.Result = watchwordv1.VerifyPasswordResponse_RESULT_MATCH_MUST_CHANGE
	case login.Match:
		out.Result = watchwordv1.VerifyPasswordResponse_RESULT_MATCH
	}
	return out, nil
}

func (s *credentialService) ChangePassword(ctx context.Context, m *watchwordv1.ChangePasswordRequest) (*watchwordv1.ChangePasswordResponse, error) {
	var r reader
	q := verifier.ChangeRequest{
		SetRequest: verifier.SetRequest{
			CheckRequest: verifier.CheckRequest{
				Password: r.password("newPassword", m.GetNewPassword()),
				Previous: r.password("currentPassword", m.GetCurrentPassword()),
				Tenant:   tenantOf(callerOf(ctx)), Policy: r.policy(m.GetPolicy()), Context: r.context(m.GetContext()),
				Use: pick(&r, uses, "use", m.GetUse()),
			},
			Subject: r.subject(m.GetSubject()), Locale: r.locale(m.GetLocale()), Proof: r.text("proof", m.GetProof()),
		},
		Source: r.source(m.GetSource()),
	}
	if r.err != nil {
		return nil, r.err
	}
	done, err := s.v.Change(ctx, q)
	if err != nil {
		return nil, err
	}
	if !done.Match {
		return &watchwordv1.ChangePasswordResponse{Result: watchwordv1.ChangePasswordResponse_RESULT_NO_MATCH}, nil
	}
	return &watchwordv1.ChangePasswordResponse{
		Result: watchwordv1.ChangePasswordResponse_RESULT_MATCH, Version: done.Revision, Policy: done.Verdict.Policy,
		PolicyVersion: done.Verdict.Version, Breach: breachOf(done.Breach), DeviceToken: done.DeviceToken,
		Pending: done.Pending,
	}, nil
}

// A stream of imports is answered in windows. The store writes the less for each
// row the more rows it gets at once, so a window is what came while the one
// before was stored, within these bounds, and as much of it as should be
// answered within about importTime: rows of weak hashes cost a hash each.
const (
	importRows  = 16 << 10
	importBytes = 8 << 20
	importFirst = 256
	importLeast = 64
	importTime  = time.Second
)

// ImportCredentials takes what rows there are and answers them before it takes
// more, so that neither a caller who waits for each answer nor one who sends a
// million rows at once is held up.
func (s *credentialService) ImportCredentials(stream grpc.BidiStreamingServer[watchwordv1.ImportCredentialsRequest, watchwordv1.ImportCredentialsResponse]) error {
	ctx := stream.Context()
	w := newImportWindow()
	defer context.AfterFunc(ctx, func() { w.end(ctx.Err()) })()
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				w.end(err)
				return
			}
			if !w.put(m) {
				return
			}
		}
	}()
	number, most := uint32(0), importFirst
	for {
		batch, err := w.take(most)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		begin := time.Now()
		for _, r := range s.importBatch(ctx, batch) {
			r.Row = number
			number++
			if err := stream.Send(r); err != nil {
				w.end(err)
				return err
			}
		}
		switch took := time.Since(begin); {
		case took > importTime:
			most = max(most/2, importLeast)
		case took < importTime/2 && len(batch) == most:
			most = min(2*most, importRows)
		}
	}
}

// importWindow holds the rows that came and were not taken yet.
type importWindow struct {
	mu    sync.Mutex
	moved sync.Cond
	rows  []*watchwordv1.ImportCredentialsRequest
	bytes int
	ended error
}

func newImportWindow() *importWindow {
	w := new(importWindow)
	w.moved.L = &w.mu
	return w
}

// put adds a row when there is room, and says whether more may follow.
func (w *importWindow) put(m *watchwordv1.ImportCredentialsRequest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.ended == nil && (len(w.rows) >= importRows || w.bytes >= importBytes) {
		w.moved.Wait()
	}
	if w.ended != nil {
		return false
	}
	w.rows, w.bytes = append(w.rows, m), w.bytes+proto.Size(m)
	w.moved.Broadcast()
	return true
}

// take waits for rows and takes what is there, at most so many, or tells how the
// stream ended: after its last row when the caller closed it, else at once.
func (w *importWindow) take(most int) ([]*watchwordv1.ImportCredentialsRequest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.ended == nil && len(w.rows) == 0 {
		w.moved.Wait()
	}
	if len(w.rows) == 0 || w.ended != nil && !errors.Is(w.ended, io.EOF) {
		return nil, w.ended
	}
	n := min(most, len(w.rows))
	batch := w.rows[:n:n]
	w.rows = append([]*watchwordv1.ImportCredentialsRequest(nil), w.rows[n:]...)
	for _, m := range batch {
		w.bytes -= proto.Size(m)
	}
	w.moved.Broadcast()
	return batch, nil
}

// end ends the window, for good.
func (w *importWindow) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil {
		w.ended = err
		w.moved.Broadcast()
	}
}

// importBatch gives one answer for each row, in their order.
func (s *credentialService) importBatch(ctx context.Context, batch []*watchwordv1.ImportCredentialsRequest) []*watchwordv1.ImportCredentialsResponse {
	out := make([]*watchwordv1.ImportCredentialsResponse, len(batch))
	var rows []verifier.ImportRow
	var places []int
	for i, m := range batch {
		row, err := readImport(m)
		if err != nil {
			out[i] = &watchwordv1.ImportCredentialsResponse{Error: rowError(ctx, err)}
			continue
		}
		rows, places = append(rows, row), append(places, i)
	}
	for n, done := range s.v.Import(ctx, tenantOf(callerOf(ctx)), rows) {
		if done.Err != nil {
			out[places[n]] = &watchwordv1.ImportCredentialsResponse{Error: rowError(ctx, done.Err)}
			continue
		}
		out[places[n]] = &watchwordv1.ImportCredentialsResponse{Version: done.Revision, Scheme: done.Scheme, Wrapped: done.Wrapped}
	}
	return out
}

func readImport(m *watchwordv1.ImportCredentialsRequest) (verifier.ImportRow, error) {
	if isMalformed(m) {
		return verifier.ImportRow{}, errMalformed
	}
	var r reader
	row := verifier.ImportRow{Subject: r.subject(m.GetSubject()), Hash: m.GetPhc()}
	if m.GetState() != watchwordv1.CredentialState_CREDENTIAL_STATE_UNSPECIFIED {
		row.State = pick(&r, states, "state", m.GetState())
	}
	if t := m.GetLastChanged(); t != nil {
		row.Changed = t.AsTime()
		if !t.IsValid() {
			r.fault("lastChanged", "not a time")
		}
	}
	return row, r.err
}

func (s *credentialService) GetCredential(ctx context.Context, m *watchwordv1.GetCredentialRequest) (*watchwordv1.GetCredentialResponse, error) {
	var r reader
	subject := r.subject(m.GetSubject())
	if r.err != nil {
		return nil, r.err
	}
	c, err := s.v.Get(ctx, tenantOf(callerOf(ctx)), subject)
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.GetCredentialResponse{
		State: stateOf(c.State), Scheme: c.Scheme, Cost: c.Cost, Version: c.Revision,
		CreateTime: timeOf(c.Created), ChangeTime: timeOf(c.Changed), LastLoginTime: timeOf(c.LastLogin),
		NeedsRehash: c.Stale, Policy: c.Policy, PolicyVersion: c.PolicyVersion,
		History: int32(c.History), Normalisation: c.Norm,
	}
	if !c.Changed.IsZero() { // else nobody said how old it is
		out.PasswordAge = durationpb.New(c.Age)
	}
	return out, nil
}

func (s *credentialService) SetCredentialState(ctx context.Context, m *watchwordv1.SetCredentialStateRequest) (*watchwordv1.SetCredentialStateResponse, error) {
	var r reader
	subject, state := r.subject(m.GetSubject()), pick(&r, states, "state", m.GetState())
	if r.err != nil {
		return nil, r.err
	}
	revision, err := s.v.SetState(ctx, tenantOf(callerOf(ctx)), subject, state, m.IfVersion)
	return &watchwordv1.SetCredentialStateResponse{State: m.GetState(), Version: revision}, err
}

func (s *credentialService) DeleteCredential(ctx context.Context, m *watchwordv1.DeleteCredentialRequest) (*watchwordv1.DeleteCredentialResponse, error) {
	var r reader
	subject := r.subject(m.GetSubject())
	if r.err != nil {
		return nil, r.err
	}
	return &watchwordv1.DeleteCredentialResponse{}, s.v.Delete(ctx, tenantOf(callerOf(ctx)), subject)
}

func stateOf(s verifier.State) watchwordv1.CredentialState {
	for wire, own := range states {
		if own == s {
			return wire
		}
	}
	return watchwordv1.CredentialState_CREDENTIAL_STATE_UNSPECIFIED
}

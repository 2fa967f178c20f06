// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"

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
	if r.err != nil {
		return nil, r.err
	}
	done, err := s.v.Set(ctx, q)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.SetPasswordResponse{Version: done.Revision, Policy: done.Verdict.Policy,
		PolicyVersion: done.Verdict.Version, Breach: breachOf(done.Breach)}, nil
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
	}, nil
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
	return &watchwordv1.GetCredentialResponse{
		State: stateOf(c.State), Scheme: c.Scheme, Cost: c.Cost, Version: c.Revision,
		CreateTime: timeOf(c.Created), ChangeTime: timeOf(c.Changed), LastLoginTime: timeOf(c.LastLogin),
		PasswordAge: durationpb.New(c.Age), NeedsRehash: c.Stale, Policy: c.Policy, PolicyVersion: c.PolicyVersion,
		History: int32(c.History), Normalisation: c.Norm,
	}, nil
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

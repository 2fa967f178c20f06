// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"

	"google.golang.org/grpc"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

type passwordService struct {
	watchwordv1.UnimplementedPasswordServiceServer
	v *verifier.Verifier
}

// candidate are the fields that CheckPassword and a row of
// BatchCheckPasswords have in common.
type candidate interface {
	GetPassword() string
	GetPolicy() string
	GetContext() *watchwordv1.PasswordContext
	GetPreviousPassword() string
	GetUse() watchwordv1.Use
	GetPurpose() watchwordv1.Purpose
	GetLocale() string
}

func readCandidate(ctx context.Context, m candidate) (verifier.CheckRequest, string, error) {
	var r reader
	q := verifier.CheckRequest{
		Password: r.password("password", m.GetPassword()),
		Previous: r.optionalPassword("previousPassword", m.GetPreviousPassword()),
		Tenant:   tenantOf(callerOf(ctx)),
		Policy:   r.policy(m.GetPolicy()),
		Context:  r.context(m.GetContext()),
		Use:      pick(&r, uses, "use", m.GetUse()),
		Purpose:  pick(&r, purposes, "purpose", m.GetPurpose()),
	}
	return q, r.locale(m.GetLocale()), r.err
}

// judge judges a candidate, and gives the language of the answer.
func (s *passwordService) judge(ctx context.Context, m candidate) (verifier.Judgement, string, error) {
	q, locale, err := readCandidate(ctx, m)
	if err != nil {
		return verifier.Judgement{}, "", err
	}
	defer q.Password.Wipe()
	j, err := s.v.Check(ctx, q)
	return j, locale, err
}

func decisionOf(v policy.Verdict) watchwordv1.Decision {
	if v.Accept {
		return watchwordv1.Decision_DECISION_ACCEPT
	}
	return watchwordv1.Decision_DECISION_REJECT
}

func (s *passwordService) CheckPassword(ctx context.Context, m *watchwordv1.CheckPasswordRequest) (*watchwordv1.CheckPasswordResponse, error) {
	j, locale, err := s.judge(ctx, m)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.CheckPasswordResponse{
		Decision: decisionOf(j.Verdict), Violations: violationsOf(locale, j.Verdict.Violations),
		Advice: adviceOf(locale, j.Verdict.Advice), Strength: strengthOf(j.Estimate), Breach: breachOf(j.Breach),
		Policy: j.Verdict.Policy, PolicyVersion: j.Verdict.Version, Proof: j.Proof,
	}, nil
}

// BatchCheckPasswords judges several rows at a time and answers them in order.
func (s *passwordService) BatchCheckPasswords(stream grpc.BidiStreamingServer[watchwordv1.BatchCheckPasswordsRequest, watchwordv1.BatchCheckPasswordsResponse]) error {
	b := batch{stream: stream, judge: func(m *watchwordv1.BatchCheckPasswordsRequest) *watchwordv1.BatchCheckPasswordsResponse {
		return s.row(stream.Context(), m)
	}}
	return b.run()
}

// row judges one row of a batch; whatever is wrong with it is its own answer.
func (s *passwordService) row(ctx context.Context, m *watchwordv1.BatchCheckPasswordsRequest) *watchwordv1.BatchCheckPasswordsResponse {
	if isMalformed(m) {
		return &watchwordv1.BatchCheckPasswordsResponse{Error: rowError(ctx, errMalformed)}
	}
	j, locale, err := s.judge(ctx, m)
	if err != nil {
		return &watchwordv1.BatchCheckPasswordsResponse{Error: rowError(ctx, err)}
	}
	return &watchwordv1.BatchCheckPasswordsResponse{
		Decision: decisionOf(j.Verdict), Violations: violationsOf(locale, j.Verdict.Violations),
		Advice: adviceOf(locale, j.Verdict.Advice), Strength: strengthOf(j.Estimate), Breach: breachOf(j.Breach),
		Policy: j.Verdict.Policy, PolicyVersion: j.Verdict.Version, Proof: j.Proof,
	}
}

// maxGenerated is how many passwords one call makes.
const maxGenerated = 100

var kinds = map[watchwordv1.GeneratePasswordRequest_Kind]policy.Kind{
	watchwordv1.GeneratePasswordRequest_KIND_UNSPECIFIED:       policy.Random,
	watchwordv1.GeneratePasswordRequest_KIND_RANDOM:            policy.Random,
	watchwordv1.GeneratePasswordRequest_KIND_PASSPHRASE_EN:     policy.PassphraseEN,
	watchwordv1.GeneratePasswordRequest_KIND_PASSPHRASE_PINYIN: policy.PassphrasePinyin,
}

func (s *passwordService) GeneratePassword(ctx context.Context, m *watchwordv1.GeneratePasswordRequest) (*watchwordv1.GeneratePasswordResponse, error) {
	var r reader
	name, kind := r.policy(m.GetPolicy()), pick(&r, kinds, "kind", m.GetKind())
	pick(&r, uses, "use", m.GetUse()) // what is made satisfies either use
	count := int(m.GetCount())
	if count < 0 || count > maxGenerated {
		r.fault("count", "not from 1 to "+strconv.Itoa(maxGenerated))
	}
	if r.err != nil {
		return nil, r.err
	}
	made, err := s.v.Generate(ctx, tenantOf(callerOf(ctx)), name, policy.Generation{Kind: kind, Count: max(count, 1), Rand: rand.Reader})
	if errors.Is(err, policy.ErrUnsatisfiable) {
		return nil, &fieldError{"kind", "no password of this kind satisfies the policy"}
	}
	if err != nil {
		return nil, err
	}
	return &watchwordv1.GeneratePasswordResponse{Passwords: made}, nil
}

func (s *passwordService) HashPassword(ctx context.Context, m *watchwordv1.HashPasswordRequest) (*watchwordv1.HashPasswordResponse, error) {
	var r reader
	text := r.password("password", m.GetPassword())
	if r.err != nil {
		return nil, r.err
	}
	phc, err := s.v.Hasher.Hash(ctx, password.Interactive.Of(tenantOf(callerOf(ctx))), text)
	return &watchwordv1.HashPasswordResponse{Phc: phc}, err
}

func (s *passwordService) VerifyHash(ctx context.Context, m *watchwordv1.VerifyHashRequest) (*watchwordv1.VerifyHashResponse, error) {
	var r reader
	text := r.password("password", m.GetPassword())
	if r.err != nil {
		return nil, r.err
	}
	res, err := s.v.Hasher.Verify(ctx, password.Interactive.Of(tenantOf(callerOf(ctx))), text, m.GetPhc())
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.VerifyHashResponse{Match: res.Match, NeedsRehash: res.Match && res.Stale}
	if out.NeedsRehash {
		// The answer does not hang on it: the next login may bring a new hash.
		if out.RehashedPhc, err = s.v.Hasher.Hash(ctx, password.Interactive.Of(tenantOf(callerOf(ctx))), text); err != nil {
			s.v.Log.WarnContext(ctx, "a hash that matched could not be made anew", "error", err)
		}
	}
	return out, nil
}

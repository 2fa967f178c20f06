// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Bounds of policy requests.
const (
	maxSamples  = 100_000
	wordsOnPage = 1000
)

type policyService struct {
	watchwordv1.UnimplementedPolicyServiceServer
	v    *verifier.Verifier
	book *policybook.Book
}

func (s *policyService) ListPolicies(ctx context.Context, _ *watchwordv1.ListPoliciesRequest) (*watchwordv1.ListPoliciesResponse, error) {
	out := &watchwordv1.ListPoliciesResponse{}
	for _, p := range s.book.List(tenantOf(callerOf(ctx))) {
		out.Policies = append(out.Policies, &watchwordv1.PolicySummary{Policy: p.Policy.Name(), Version: p.Policy.Version(),
			Title: p.Policy.Title("en"), Builtin: p.Builtin, Default: p.Default})
	}
	return out, nil
}

// named gives the policy that a request is about, the default one for an empty
// name.
func (s *policyService) named(ctx context.Context, name string) (*policy.Policy, error) {
	c, err := s.v.Policies.Policy(tenantOf(callerOf(ctx)), name, verifier.Pseudonym{})
	return c.Policy, err
}

func (s *policyService) GetPolicy(ctx context.Context, m *watchwordv1.GetPolicyRequest) (*watchwordv1.GetPolicyResponse, error) {
	var r reader
	name, version := r.policy(m.GetPolicy()), r.text("version", m.GetVersion())
	if r.err != nil {
		return nil, r.err
	}
	p, err := s.named(ctx, name)
	if err != nil {
		return nil, err
	}
	st, err := s.book.Get(tenantOf(callerOf(ctx)), p.Name(), version)
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.GetPolicyResponse{Policy: st.Policy.Name(), Version: st.Policy.Version(), Yaml: string(st.Source)}
	if len(st.Rollout.Releases) == 0 {
		out.Versions = []string{st.Policy.Version()}
		out.Rollout = &watchwordv1.PolicyRollout{CurrentVersion: st.Policy.Version()}
		return out, nil
	}
	for _, rel := range st.Rollout.Releases {
		out.Versions = append(out.Versions, rel.Version)
	}
	out.Rollout = rolloutOf(st.Rollout)
	return out, nil
}

func rolloutOf(r policy.Rollout) *watchwordv1.PolicyRollout {
	return &watchwordv1.PolicyRollout{CurrentVersion: r.Current, CandidateVersion: r.Candidate, Percent: int32(r.Percent), Shadow: r.Shadow}
}

func (s *policyService) DescribePolicy(ctx context.Context, m *watchwordv1.DescribePolicyRequest) (*watchwordv1.DescribePolicyResponse, error) {
	var r reader
	name, locale, use := r.policy(m.GetPolicy()), r.locale(m.GetLocale()), pick(&r, uses, "use", m.GetUse())
	if r.err != nil {
		return nil, r.err
	}
	p, err := s.named(ctx, name)
	if err != nil {
		return nil, err
	}
	form, err := structOf(p.Form(locale))
	if err != nil {
		return nil, err
	}
	return &watchwordv1.DescribePolicyResponse{Policy: p.Name(), Version: p.Version(), Text: strings.Split(p.Describe(locale), "\n"),
		PasswordRules: p.PasswordRules(use), Form: form}, nil
}

// structOf gives a value's JSON as a protobuf Struct.
func structOf(v any) (*structpb.Struct, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	s := &structpb.Struct{}
	return s, s.UnmarshalJSON(b)
}

func (s *policyService) SimulatePolicy(ctx context.Context, m *watchwordv1.SimulatePolicyRequest) (*watchwordv1.SimulatePolicyResponse, error) {
	var r reader
	name, use := r.policy(m.GetPolicy()), pick(&r, uses, "use", m.GetUse())
	sources := 0
	for _, given := range []bool{len(m.GetPasswords()) > 0, m.GetGenerate() != 0, m.GetRecorded()} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		r.fault("passwords", "give one of passwords, generate and recorded")
	}
	if m.GetGenerate() < 0 || m.GetGenerate() > maxSamples {
		r.fault("generate", "not from 1 to "+strconv.Itoa(maxSamples))
	}
	var texts []password.Text
	for _, p := range m.GetPasswords() {
		texts = append(texts, r.password("passwords", p))
	}
	if r.err != nil {
		return nil, r.err
	}
	tenant := tenantOf(callerOf(ctx))
	draft, err := s.draft(ctx, tenant, name, m.GetYaml())
	if err != nil {
		return nil, err
	}
	if m.GetRecorded() {
		h, err := s.book.Recorded(ctx, tenant)
		if err != nil {
			return nil, err
		}
		return reportOf(policy.SimulateHistogram(draft, h)), nil
	}
	samples := slices.Values(texts)
	if m.GetGenerate() > 0 {
		samples = iter.Seq[password.Text](policy.Habits(int(m.GetGenerate()), rand.Reader))
	}
	report, err := s.v.Simulate(ctx, draft, s.book.Words(tenant), use, samples)
	if err != nil {
		return nil, err
	}
	return reportOf(report), nil
}

// draft is the policy of a YAML text or, without one, an existing policy.
func (s *policyService) draft(ctx context.Context, tenant, name, yaml string) (*policy.Policy, error) {
	if yaml == "" {
		return s.named(ctx, name)
	}
	if name == "" {
		name = "draft"
	}
	p, err := s.book.Parse(tenant, name, []byte(yaml))
	return p, document(err)
}

// document names the place in a policy document that is at fault.
func document(err error) error {
	var parse *policy.ParseError
	if errors.As(err, &parse) {
		return &fieldError{"yaml", parse.Error()}
	}
	return err
}

func reportOf(r policy.Report) *watchwordv1.SimulatePolicyResponse {
	out := &watchwordv1.SimulatePolicyResponse{Samples: int64(r.N), AcceptRate: r.Accepted.Rate,
		AcceptRateLow: r.Accepted.Low, AcceptRateHigh: r.Accepted.High, Undecided: r.Undecided}
	for _, x := range r.Reasons {
		out.Reasons = append(out.Reasons, &watchwordv1.RuleShare{Rule: x.Rule, Share: x.Rate, Samples: int64(x.Count)})
	}
	return out
}

var clauseStatuses = map[policy.Status]watchwordv1.ClauseConformance_Status{
	policy.Met:           watchwordv1.ClauseConformance_STATUS_MET,
	policy.Broken:        watchwordv1.ClauseConformance_STATUS_BROKEN,
	policy.NotApplicable: watchwordv1.ClauseConformance_STATUS_NOT_APPLICABLE,
}

func (s *policyService) GetConformance(ctx context.Context, m *watchwordv1.GetConformanceRequest) (*watchwordv1.GetConformanceResponse, error) {
	var r reader
	name, locale, only := r.policy(m.GetPolicy()), r.locale(m.GetLocale()), r.text("standard", m.GetStandard())
	standards := policy.Standards(locale)
	if only != "" && !slices.ContainsFunc(standards, func(st policy.Standard) bool { return st.ID == only }) {
		r.fault("standard", "not a standard that is known")
	}
	if r.err != nil {
		return nil, r.err
	}
	p, err := s.named(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.GetConformanceResponse{Policy: p.Name(), Version: p.Version()}
	for _, st := range standards {
		if only != "" && st.ID != only {
			continue
		}
		sc := &watchwordv1.StandardConformance{Standard: st.ID}
		for _, c := range p.Conformance(st.ID, locale) {
			sc.Clauses = append(sc.Clauses, &watchwordv1.ClauseConformance{Clause: c.ID, Title: c.Title, Status: clauseStatuses[c.Status], Why: c.Why})
			switch c.Status {
			case policy.Met:
				sc.Met++
			case policy.Broken:
				sc.Broken++
			default:
				sc.NotApplicable++
			}
		}
		out.Standards = append(out.Standards, sc)
	}
	for _, c := range policy.Contradictions(locale) {
		out.Conflicts = append(out.Conflicts, c.Clauses[0]+" × "+c.Clauses[1]+": "+c.Why)
	}
	for _, f := range p.Lint(locale) {
		out.Conflicts = append(out.Conflicts, f.Code+": "+f.Text)
	}
	return out, nil
}

func (s *policyService) PutPolicy(ctx context.Context, m *watchwordv1.PutPolicyRequest) (*watchwordv1.PutPolicyResponse, error) {
	var r reader
	name, version := r.policy(m.GetPolicy()), r.text("ifVersion", m.GetIfVersion())
	if name == "" {
		r.fault("policy", "empty")
	}
	if m.GetYaml() == "" {
		r.fault("yaml", "empty")
	}
	if r.err != nil {
		return nil, r.err
	}
	p, err := s.book.Put(ctx, tenantOf(callerOf(ctx)), name, []byte(m.GetYaml()), version)
	if err != nil {
		return nil, document(err)
	}
	out := &watchwordv1.PutPolicyResponse{Policy: p.Name(), Version: p.Version()}
	for _, f := range p.Lint("en") {
		out.Warnings = append(out.Warnings, f.Code+": "+f.Text)
	}
	return out, nil
}

func (s *policyService) SetRollout(ctx context.Context, m *watchwordv1.SetRolloutRequest) (*watchwordv1.SetRolloutResponse, error) {
	var r reader
	name, version := r.policy(m.GetPolicy()), r.text("version", m.GetVersion())
	if name == "" {
		r.fault("policy", "empty")
	}
	if m.GetPercent() < 0 || m.GetPercent() > 100 {
		r.fault("percent", "not from 0 to 100")
	}
	if r.err != nil {
		return nil, r.err
	}
	ro, err := s.book.Roll(ctx, tenantOf(callerOf(ctx)), name, version, int(m.GetPercent()), m.GetShadow())
	if err != nil {
		return nil, err
	}
	return &watchwordv1.SetRolloutResponse{Rollout: rolloutOf(ro)}, nil
}

func (s *policyService) RollbackPolicy(ctx context.Context, m *watchwordv1.RollbackPolicyRequest) (*watchwordv1.RollbackPolicyResponse, error) {
	var r reader
	name := r.policy(m.GetPolicy())
	if name == "" {
		r.fault("policy", "empty")
	}
	if r.err != nil {
		return nil, r.err
	}
	ro, err := s.book.Rollback(ctx, tenantOf(callerOf(ctx)), name)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.RollbackPolicyResponse{Rollout: rolloutOf(ro)}, nil
}

// ListWords pages by the last word of the page before.
func (s *policyService) ListWords(ctx context.Context, m *watchwordv1.ListWordsRequest) (*watchwordv1.ListWordsResponse, error) {
	var r reader
	after := r.text("pageToken", m.GetPageToken())
	if r.err != nil {
		return nil, r.err
	}
	d := s.book.Words(tenantOf(callerOf(ctx)))
	words := d.Words()
	from, found := slices.BinarySearch(words, after)
	if found {
		from++
	}
	words = words[from:]
	out := &watchwordv1.ListWordsResponse{Version: uint32(d.Version())}
	if len(words) > wordsOnPage {
		words = words[:wordsOnPage]
		out.NextPageToken = words[wordsOnPage-1]
	}
	out.Words = words
	return out, nil
}

// edit changes the caller's dictionary.
func (s *policyService) edit(ctx context.Context, f func(*policy.Dictionary) (*policy.Dictionary, error)) (version uint32, total int32, err error) {
	d, err := s.book.EditWords(ctx, tenantOf(callerOf(ctx)), f)
	switch {
	case errors.Is(err, policy.ErrDictionaryWord):
		err = &fieldError{"words", "a word is not text of 2 to 64 characters"}
	case errors.Is(err, policy.ErrDictionaryFull):
		err = &fieldError{"words", "the dictionary would hold more than " + strconv.Itoa(policy.MaxDictionary) + " words, or 1 MiB of them"}
	}
	return uint32(d.Version()), int32(len(d.Words())), err
}

func (r *reader) words(list []string) []string {
	if len(list) == 0 {
		r.fault("words", "empty")
	}
	return r.texts("words", list)
}

func (s *policyService) AddWords(ctx context.Context, m *watchwordv1.AddWordsRequest) (*watchwordv1.AddWordsResponse, error) {
	var r reader
	words := r.words(m.GetWords())
	if r.err != nil {
		return nil, r.err
	}
	version, total, err := s.edit(ctx, func(d *policy.Dictionary) (*policy.Dictionary, error) { return d.Add(words...) })
	return &watchwordv1.AddWordsResponse{Version: version, Total: total}, err
}

func (s *policyService) RemoveWords(ctx context.Context, m *watchwordv1.RemoveWordsRequest) (*watchwordv1.RemoveWordsResponse, error) {
	var r reader
	words := r.words(m.GetWords())
	if r.err != nil {
		return nil, r.err
	}
	version, total, err := s.edit(ctx, func(d *policy.Dictionary) (*policy.Dictionary, error) { return d.Remove(words...), nil })
	return &watchwordv1.RemoveWordsResponse{Version: version, Total: total}, err
}

func (s *policyService) ClearWords(ctx context.Context, _ *watchwordv1.ClearWordsRequest) (*watchwordv1.ClearWordsResponse, error) {
	version, _, err := s.edit(ctx, func(d *policy.Dictionary) (*policy.Dictionary, error) { return d.Clear(), nil })
	return &watchwordv1.ClearWordsResponse{Version: version}, err
}

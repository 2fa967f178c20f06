// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// PolicySummary names one policy.
type PolicySummary struct {
	Name    string `json:"policy"`
	Version string `json:"version"`
	Title   string `json:"title"`
	// Builtin policies come with the server and cannot be changed.
	Builtin bool `json:"builtin"`
	// Default tells that it judges when a request names none.
	Default bool `json:"default"`
}

// Policies lists the policies that the caller's tenant can name.
func (c *Client) Policies(ctx context.Context) ([]PolicySummary, error) {
	r, err := c.policies.ListPolicies(ctx, &watchwordv1.ListPoliciesRequest{})
	if err != nil {
		return nil, failure(err)
	}
	var out []PolicySummary
	for _, p := range r.GetPolicies() {
		out = append(out, PolicySummary{Name: p.GetPolicy(), Version: p.GetVersion(), Title: p.GetTitle(),
			Builtin: p.GetBuiltin(), Default: p.GetDefault()})
	}
	return out, nil
}

// Policy is one version of a policy.
type Policy struct {
	Name    string `json:"policy"`
	Version string `json:"version"`
	// YAML is the policy as its author wrote it.
	YAML string `json:"yaml"`
	// Versions are all that are kept.
	Versions []string `json:"versions,omitempty"`
}

// Policy gives a version of a policy, the current one when version is empty, or
// ErrNotFound.
func (c *Client) Policy(ctx context.Context, name, version string) (Policy, error) {
	r, err := c.policies.GetPolicy(ctx, &watchwordv1.GetPolicyRequest{Policy: name, Version: version})
	if err != nil {
		return Policy{}, failure(err)
	}
	return Policy{Name: r.GetPolicy(), Version: r.GetVersion(), YAML: r.GetYaml(), Versions: r.GetVersions()}, nil
}

// PolicyDescription tells a policy to people and to password managers.
type PolicyDescription struct {
	Name    string `json:"policy"`
	Version string `json:"version"`
	// Text is one sentence a rule, in the locale of the request.
	Text []string `json:"text"`
	// PasswordRules is the value of the passwordrules attribute of an HTML input.
	PasswordRules string `json:"passwordRules"`
	// Form is what a form needs to give feedback before it asks, as JSON values.
	Form map[string]any `json:"form,omitempty"`
}

// DescribePolicy tells a policy in words; the default one when its name is
// empty. Of the options, Locale and MultiFactor count.
func (c *Client) DescribePolicy(ctx context.Context, name string, o CheckOptions) (PolicyDescription, error) {
	r, err := c.policies.DescribePolicy(ctx, &watchwordv1.DescribePolicyRequest{Policy: name, Locale: o.Locale, Use: o.use()})
	if err != nil {
		return PolicyDescription{}, failure(err)
	}
	return PolicyDescription{Name: r.GetPolicy(), Version: r.GetVersion(), Text: r.GetText(),
		PasswordRules: r.GetPasswordRules(), Form: r.GetForm().AsMap()}, nil
}

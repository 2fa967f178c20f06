// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/identity"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Installation is what AdminService shows and changes of the running server
// besides keys.
type Installation interface {
	// Events gives at most limit events from a sequence number on, and the
	// number to go on from, 0 at the end. A tenant sees its own events; with
	// whole, those of the installation as well.
	Events(ctx context.Context, q EventQuery) (events []*watchwordv1.Event, next uint64, err error)
	// VerifyEvents checks the event log.
	VerifyEvents(ctx context.Context) (*watchwordv1.VerifyEventsResponse, error)
	// Exposure examines the installation; locale is en or zh-CN.
	Exposure(ctx context.Context, locale string) ([]*watchwordv1.ExposureFinding, error)
	// Evidence holds the installation against a standard; found is false for one
	// that it does not know.
	Evidence(ctx context.Context, standard, locale string) (html, json []byte, found bool, err error)
	// CreateTenant returns verifier.ErrConflict for a name that is taken, and
	// verifier.ErrUnknownPolicy.
	CreateTenant(ctx context.Context, t *watchwordv1.Tenant) (*watchwordv1.Tenant, error)
	Tenants(ctx context.Context) ([]*watchwordv1.Tenant, error)
	// ExportSubject gives everything that is held on a subject, as JSON values.
	ExportSubject(ctx context.Context, tenant, subject string) (map[string]any, error)
}

// EventQuery says which events are asked for.
type EventQuery struct {
	Tenant   string
	Whole    bool // the events of the installation, too
	Type     string
	From, To time.Time // zero: no bound
	First    uint64
	Limit    int
}

const eventsOnPage = 500

// runsInstallation tells whether a caller belongs to the tenant that runs the
// installation; others see and change their own tenant only, whatever scopes
// they have.
func runsInstallation(c *identity.Caller) bool { return tenantOf(c) == identity.DefaultTenant }

func (s *adminService) ListEvents(ctx context.Context, m *watchwordv1.ListEventsRequest) (*watchwordv1.ListEventsResponse, error) {
	var r reader
	caller := callerOf(ctx)
	q := EventQuery{Tenant: tenantOf(caller), Whole: runsInstallation(caller), Type: r.text("type", m.GetType()), Limit: eventsOnPage, First: 1}
	if token := r.text("pageToken", m.GetPageToken()); token != "" {
		n, err := strconv.ParseUint(token, 10, 64)
		if err != nil || n == 0 {
			r.fault("pageToken", "not one that was given")
		}
		q.First = n
	}
	q.From, q.To = r.time("from", m.GetFrom()), r.time("to", m.GetTo())
	if r.err != nil {
		return nil, r.err
	}
	list, next, err := s.installation.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.ListEventsResponse{Events: list}
	if next > 0 {
		out.NextPageToken = strconv.FormatUint(next, 10)
	}
	return out, nil
}

func (s *adminService) VerifyEvents(ctx context.Context, _ *watchwordv1.VerifyEventsRequest) (*watchwordv1.VerifyEventsResponse, error) {
	if !runsInstallation(callerOf(ctx)) {
		return nil, identity.ErrRefused
	}
	return s.installation.VerifyEvents(ctx)
}

func (s *adminService) GetExposure(ctx context.Context, m *watchwordv1.GetExposureRequest) (*watchwordv1.GetExposureResponse, error) {
	if !runsInstallation(callerOf(ctx)) {
		return nil, identity.ErrRefused
	}
	var r reader
	locale := r.locale(m.GetLocale())
	if r.err != nil {
		return nil, r.err
	}
	findings, err := s.installation.Exposure(ctx, locale)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.GetExposureResponse{Findings: findings}, nil
}

func (s *adminService) GetEvidence(ctx context.Context, m *watchwordv1.GetEvidenceRequest) (*watchwordv1.GetEvidenceResponse, error) {
	if !runsInstallation(callerOf(ctx)) {
		return nil, identity.ErrRefused
	}
	var r reader
	standard, locale := r.text("standard", m.GetStandard()), r.locale(m.GetLocale())
	if r.err != nil {
		return nil, r.err
	}
	html, json, found, err := s.installation.Evidence(ctx, standard, locale)
	if err != nil {
		return nil, err
	}
	if !found {
		r.fault("standard", "not one that is known")
		return nil, r.err
	}
	return &watchwordv1.GetEvidenceResponse{Html: string(html), Json: string(json)}, nil
}

func (s *adminService) CreateTenant(ctx context.Context, m *watchwordv1.CreateTenantRequest) (*watchwordv1.CreateTenantResponse, error) {
	if !runsInstallation(callerOf(ctx)) {
		return nil, identity.ErrRefused
	}
	var r reader
	t := &watchwordv1.Tenant{Name: m.GetName(), Case: r.text("case", m.GetCase()), Policy: r.policy(m.GetPolicy())}
	if !identity.ValidTenant(t.Name) {
		r.fault("name", "not a tenant name")
	}
	switch t.Case {
	case "":
		t.Case = "fold"
	case "fold", "exact":
	default:
		r.fault("case", "neither fold nor exact")
	}
	if r.err != nil {
		return nil, r.err
	}
	t, err := s.installation.CreateTenant(ctx, t)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.CreateTenantResponse{Tenant: t}, nil
}

func (s *adminService) ListTenants(ctx context.Context, _ *watchwordv1.ListTenantsRequest) (*watchwordv1.ListTenantsResponse, error) {
	caller := callerOf(ctx)
	all, err := s.installation.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.ListTenantsResponse{}
	for _, t := range all {
		if runsInstallation(caller) || t.GetName() == tenantOf(caller) {
			out.Tenants = append(out.Tenants, t)
		}
	}
	return out, nil
}

func (s *adminService) ExportSubject(ctx context.Context, m *watchwordv1.ExportSubjectRequest) (*watchwordv1.ExportSubjectResponse, error) {
	var r reader
	subject := r.subject(m.GetSubject())
	if strings.TrimSpace(subject) == "" {
		r.fault("subject", "empty")
	}
	if r.err != nil {
		return nil, r.err
	}
	data, err := s.installation.ExportSubject(ctx, tenantOf(callerOf(ctx)), subject)
	if err != nil {
		return nil, err
	}
	st, err := structOf(data)
	return &watchwordv1.ExportSubjectResponse{Data: st}, err
}

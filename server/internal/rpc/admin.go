// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

type adminService struct {
	watchwordv1.UnimplementedAdminServiceServer
	keys   *identity.Keyring
	rotate func(ctx context.Context, id string) (active string, sealed, left int, err error)
	now    func() time.Time
	gone   func(tenant string) bool // nil: none is

	installation Installation
}

func (s *adminService) CreateKey(ctx context.Context, m *watchwordv1.CreateKeyRequest) (*watchwordv1.CreateKeyResponse, error) {
	caller := callerOf(ctx)
	var r reader
	k, secret := identity.NewKey(s.now())
	k.Name, k.Tenant = r.text("name", m.GetName()), m.GetTenant()
	if k.Name == "" {
		r.fault("name", "empty")
	}
	if k.Tenant == "" {
		k.Tenant = tenantOf(caller)
	} else if !identity.ValidTenant(k.Tenant) {
		r.fault("tenant", "not a tenant name")
	}
	k.Preset, k.Scopes = m.GetPreset(), r.scopes(m)
	nets, err := identity.ParseNetworks(m.GetNetworks())
	if err != nil {
		r.fault("networks", "not a list of networks")
	}
	for _, n := range nets {
		k.Networks = append(k.Networks, n.String())
	}
	if m.GetExpireTime() != nil {
		end := m.GetExpireTime().AsTime().UTC()
		if !m.GetExpireTime().IsValid() || !end.After(s.now()) {
			r.fault("expireTime", "not a time in the future")
		}
		k.Expires = &end
	}
	if r.err != nil {
		return nil, r.err
	}
	// A key mints at most what it holds, and for no tenant but its own unless it
	// runs the system.
	if err := caller.Bound(&k); err != nil {
		return nil, err
	}
	if k.Tenant != tenantOf(caller) && s.reach(ctx) != "*" {
		return nil, identity.ErrRefused
	}
	if s.gone != nil && s.gone(k.Tenant) {
		return nil, verifier.ErrConflict
	}
	if err := s.keys.Create(ctx, k); err != nil {
		return nil, err
	}
	return &watchwordv1.CreateKeyResponse{Key: keyOf(k), Secret: secret}, nil
}

// scopes takes the preset or the scopes of a new key.
func (r *reader) scopes(m *watchwordv1.CreateKeyRequest) []string {
	switch {
	case (m.GetPreset() == "") == (len(m.GetScopes()) == 0):
		r.fault("scopes", "give one of preset and scopes")
	case m.GetPreset() != "":
		scopes, ok := identity.Preset(m.GetPreset())
		if !ok || m.GetPreset() == identity.PresetOwner {
			r.fault("preset", "not a preset: there are system-admin, security-admin and audit-admin")
		}
		return scopes
	case identity.CheckScopes(m.GetScopes()) != nil:
		r.fault("scopes", "not all of them are scopes: there are "+strings.Join(identity.Scopes, ", "))
	case identity.CombinesPresets(m.GetScopes()):
		r.fault("scopes", "reach into more than one of the separated roles system-admin, security-admin, audit-admin")
	}
	return slices.Compact(slices.Sorted(slices.Values(m.GetScopes())))
}

func (s *adminService) ListKeys(ctx context.Context, _ *watchwordv1.ListKeysRequest) (*watchwordv1.ListKeysResponse, error) {
	out := &watchwordv1.ListKeysResponse{}
	for _, k := range s.keys.List(s.reach(ctx)) {
		out.Keys = append(out.Keys, keyOf(k))
	}
	return out, nil
}

func (s *adminService) RevokeKey(ctx context.Context, m *watchwordv1.RevokeKeyRequest) (*watchwordv1.RevokeKeyResponse, error) {
	var r reader
	r.text("id", m.GetId())
	if m.GetId() == "" {
		r.fault("id", "empty")
	}
	if r.err != nil {
		return nil, r.err
	}
	k, err := s.keys.Revoke(ctx, s.reach(ctx), m.GetId())
	if err != nil {
		return nil, err
	}
	return &watchwordv1.RevokeKeyResponse{Key: keyOf(k)}, nil
}

func (s *adminService) RotatePepper(ctx context.Context, m *watchwordv1.RotatePepperRequest) (*watchwordv1.RotatePepperResponse, error) {
	if !runsInstallation(callerOf(ctx)) {
		return nil, identity.ErrRefused
	}
	var r reader
	id := r.text("keyId", m.GetKeyId())
	if r.err != nil {
		return nil, r.err
	}
	active, sealed, left, err := s.rotate(ctx, id)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.RotatePepperResponse{KeyId: active, Sealed: uint32(sealed), Remaining: uint32(left)}, nil
}

// reach is the tenant whose keys a caller manages: its own, or every one for
// who runs the installation.
func (s *adminService) reach(ctx context.Context) string {
	c := callerOf(ctx)
	if runsInstallation(c) && c.Has("system.admin") {
		return "*"
	}
	return tenantOf(c)
}

func keyOf(k identity.Key) *watchwordv1.Key {
	out := &watchwordv1.Key{Id: k.ID, Name: k.Name, Tenant: k.Tenant, Preset: k.Preset, Scopes: k.Scopes, Networks: k.Networks,
		CreateTime: timestamppb.New(k.Created)}
	if k.Expires != nil {
		out.ExpireTime = timestamppb.New(*k.Expires)
	}
	if k.Revoked != nil {
		out.RevokeTime = timestamppb.New(*k.Revoked)
	}
	return out
}

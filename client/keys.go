// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Key is an API key without its secret.
type Key struct {
	ID, Name, Tenant, Preset string
	Scopes, Networks         []string
	Created                  time.Time
	Expires, Revoked         time.Time // zero: not
}

func keyOf(k *watchwordv1.Key) Key {
	out := Key{ID: k.GetId(), Name: k.GetName(), Tenant: k.GetTenant(), Preset: k.GetPreset(), Scopes: k.GetScopes(),
		Networks: k.GetNetworks(), Created: k.GetCreateTime().AsTime()}
	if k.GetExpireTime() != nil {
		out.Expires = k.GetExpireTime().AsTime()
	}
	if k.GetRevokeTime() != nil {
		out.Revoked = k.GetRevokeTime().AsTime()
	}
	return out
}

// NewKey describes a key to make: a preset (system-admin, security-admin,
// audit-admin) or scopes.
type NewKey struct {
	Name     string
	Tenant   string // the caller's own when empty
	Preset   string
	Scopes   []string
	Networks []string  // where it may be used from; anywhere when empty
	Expires  time.Time // zero: never
}

// CreateKey makes an API key. The secret is given this once and kept nowhere.
func (c *Client) CreateKey(ctx context.Context, k NewKey) (key Key, secret string, err error) {
	q := &watchwordv1.CreateKeyRequest{Name: k.Name, Tenant: k.Tenant, Preset: k.Preset, Scopes: k.Scopes, Networks: k.Networks}
	if !k.Expires.IsZero() {
		q.ExpireTime = timestamppb.New(k.Expires)
	}
	r, err := c.admin.CreateKey(ctx, q)
	if err != nil {
		return Key{}, "", failure(err)
	}
	return keyOf(r.GetKey()), r.GetSecret(), nil
}

// ListKeys lists the keys that the caller manages.
func (c *Client) ListKeys(ctx context.Context) ([]Key, error) {
	r, err := c.admin.ListKeys(ctx, &watchwordv1.ListKeysRequest{})
	if err != nil {
		return nil, failure(err)
	}
	var out []Key
	for _, k := range r.GetKeys() {
		out = append(out, keyOf(k))
	}
	return out, nil
}

// RevokeKey ends a key. It stops working everywhere within five seconds.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := c.admin.RevokeKey(ctx, &watchwordv1.RevokeKeyRequest{Id: id})
	return failure(err)
}

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
	ID     string `json:"id"`
	Name   string `json:"name"`
	Tenant string `json:"tenant"`
	// Preset is the role that the key was made from, if any.
	Preset string   `json:"preset,omitempty"`
	Scopes []string `json:"scopes"`
	// Networks are where the key may be used from; anywhere when there are none.
	Networks []string  `json:"networks,omitempty"`
	Created  time.Time `json:"created"`
	// Expires and Revoked are zero for a key that does not and is not.
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
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
// audit-admin) or scopes, not both. It can hold no scope that the caller's own
// key does not.
type NewKey struct {
	Name string
	// Tenant whose data the key reaches; the caller's own when empty.
	Tenant string
	Preset string
	Scopes []string
	// Networks are where the key may be used from, as addresses or prefixes;
	// anywhere when there are none.
	Networks []string
	// Expires is zero for a key that does not expire.
	Expires time.Time
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
	var out []Key
	for q := (&watchwordv1.ListKeysRequest{}); ; {
		r, err := c.admin.ListKeys(ctx, q)
		if err != nil {
			return nil, failure(err)
		}
		for _, k := range r.GetKeys() {
			out = append(out, keyOf(k))
		}
		if q.PageToken = r.GetNextPageToken(); q.PageToken == "" {
			return out, nil
		}
	}
}

// RevokeKey ends a key, or returns ErrNotFound. It stops working everywhere
// within five seconds.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := c.admin.RevokeKey(ctx, &watchwordv1.RevokeKeyRequest{Id: id})
	return failure(err)
}

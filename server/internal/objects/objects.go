// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package objects says how everything that is not a credential is kept: keys,
// tenants, dictionaries, policy versions, audits, pepper states. They are few
// and small, and share one shape: named bytes with a version.
package objects

import (
	"context"
	"errors"
	"iter"
)

// Object is one named value of a kind, within a tenant.
type Object struct {
	Kind   string // [a-z-]{1,32}: "key", "tenant", "policy", …
	Tenant string // empty for what belongs to the whole installation
	Name   string // 1 to 128 bytes, unique within Kind and Tenant
	// Version counts the changes, beginning at 1.
	Version uint64
	Data    []byte // at most 1 MiB
}

// Errors of a Store.
var (
	// ErrNotFound is returned by Load for an object that does not exist.
	ErrNotFound = errors.New("object not found")
	// ErrConflict is returned by Save and Delete when the stored version is not
	// the expected one; nothing changed.
	ErrConflict = errors.New("object version conflict")
)

// Store keeps objects. Save writes o only if the stored version is
// o.Version-1 (or none is stored and o.Version is 1); Delete removes the
// object only at the given version. Both are durable when they return nil.
// List yields the objects of a kind in one tenant, by name; with tenant "*" it
// yields those of all tenants.
type Store interface {
	Load(ctx context.Context, kind, tenant, name string) (Object, error)
	Save(ctx context.Context, o Object) error
	List(ctx context.Context, kind, tenant string) iter.Seq2[Object, error]
	Delete(ctx context.Context, kind, tenant, name string, version uint64) error
}

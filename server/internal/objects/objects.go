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
	"math"
	"strings"
	"unicode/utf8"
)

// Object is one named value of a kind, within a tenant.
type Object struct {
	Kind   string // [a-z-]{1,32}: "key", "tenant", "policy", …
	Tenant string // at most 128 bytes, never AllTenants; empty for the whole installation
	Name   string // 1 to 128 bytes, unique within Kind and Tenant
	// Version counts the changes, beginning at 1.
	Version uint64
	Data    []byte // at most MaxData bytes
}

// MaxData is the greatest length of an object's data, in bytes.
const MaxData = 1 << 20

// AllTenants is the tenant under which List yields the objects of every one.
const AllTenants = "*"

// Check says whether o keeps to the bounds of its fields: kind in [a-z-]{1,32},
// tenant and name UTF-8 without NUL, a version above 0. Every store calls it
// before it writes, so that all of them refuse the same objects.
func (o Object) Check() error {
	if len(o.Kind) < 1 || len(o.Kind) > 32 {
		return errors.New("object kind: want 1 to 32 characters")
	}
	for _, c := range []byte(o.Kind) {
		if c != '-' && (c < 'a' || c > 'z') {
			return errors.New("object kind: want a-z and - only")
		}
	}
	if len(o.Tenant) > 128 || o.Tenant == AllTenants || !plain(o.Tenant) {
		return errors.New("object tenant: want at most 128 bytes of UTF-8, no NUL, and not the sign for all tenants")
	}
	if len(o.Name) < 1 || len(o.Name) > 128 || !plain(o.Name) {
		return errors.New("object name: want 1 to 128 bytes of UTF-8, no NUL")
	}
	if o.Version == 0 || o.Version > math.MaxInt64 {
		return errors.New("object version: want 1 or more")
	}
	if len(o.Data) > MaxData {
		return errors.New("object data: want at most 1 MiB")
	}
	return nil
}

func plain(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

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
// object only at the given version, and a later Save begins again at version
// 1. Both are durable when they return nil; after an error other than
// ErrConflict the outcome may be unknown. List yields the objects of a kind in
// one tenant, by name in byte order; with AllTenants it yields those of all
// tenants, by tenant and then by name. An object that is written while List
// walks may or may not appear, and appears at most once.
type Store interface {
	Load(ctx context.Context, kind, tenant, name string) (Object, error)
	Save(ctx context.Context, o Object) error
	List(ctx context.Context, kind, tenant string) iter.Seq2[Object, error]
	Delete(ctx context.Context, kind, tenant, name string, version uint64) error
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore

import "go.etcd.io/bbolt"

// WithoutSync returns options under which nothing is synced: the fault that the
// power-cut test must see.
func WithoutSync() Options { return Options{noSync: true} }

// ForgetFailure lets a store that stopped write again: the fault that the tests
// with failing calls must see.
func ForgetFailure(s *Store) { s.failure.Store(nil) }

// WithMigrations returns options under which steps are the known migrations.
func WithMigrations(steps ...func(*bbolt.Tx) error) Options {
	o := Options{migrations: make([]migration, len(steps))}
	for i, step := range steps {
		o.migrations[i] = step
	}
	return o
}

// ReadBlock walks the entries of a block, trusting nothing.
func ReadBlock(b []byte) (entries int, err error) {
	for len(b) > 0 {
		if _, b, err = nextEntry(b); err != nil {
			return entries, err
		}
		entries++
	}
	return entries, nil
}

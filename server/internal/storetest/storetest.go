// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package storetest holds what every store must do: the contracts of
// verifier.Store and objects.Store, as checks that run against the real thing.
//
// Run is for a store's own tests. Checks gives the same checks one by one, for
// the test of this package, which plants faults in a store and demands that a
// check sees each.
package storetest

import (
	"context"
	"testing"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Instance is a store under test.
type Instance struct {
	Credentials verifier.Store
	Objects     objects.Store
	// Reopen ends the use of this instance, as rudely as the test can, and
	// returns one on the same data. What was acknowledged must still be there.
	Reopen func(t testing.TB) Instance
	// Break makes the store fail from now on: the connection cut, the file
	// closed. It is called last on an instance.
	Break func(t testing.TB)
}

// Check is one demand on a store.
type Check struct {
	Name string
	// Run opens an empty store and examines it.
	Run func(t testing.TB, open func(testing.TB) Instance)
}

// Run runs every check on stores made by open, each of which must be empty.
// open registers its own clean-up.
func Run(t *testing.T, open func(testing.TB) Instance) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, open) })
	}
}

// Checks returns all checks.
func Checks() []Check {
	return []Check{
		{"RoundTrip", roundTrip},
		{"Unknown", unknown},
		{"CompareAndSwap", compareAndSwap},
		{"BadRecords", badRecords},
		{"TwoWriters", twoWriters},
		{"ManyWriters", manyWriters},
		{"Tombstone", tombstone},
		{"Remove", remove},
		{"TenantIsolation", tenantIsolation},
		{"BigValues", bigValues},
		{"NoSharedMemory", noSharedMemory},
		{"All", all},
		{"AllDuringWrites", allDuringWrites},
		{"Cancelled", cancelled},
		{"Broken", broken},
		{"Reopen", reopen},
		{"Import", importMany},
		{"Objects", objectsBasics},
		{"ObjectVersions", objectVersions},
		{"ObjectRaces", objectRaces},
		{"ObjectList", objectList},
		{"ObjectBounds", objectBounds},
		{"CredentialModel", credentialModel},
		{"ObjectModel", objectModel},
	}
}

func ctxOf(t testing.TB) context.Context { return t.Context() }

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore_test

import (
	"testing"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/storetest"
)

func openStore(t testing.TB, dir string) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func instance(t testing.TB, dir string) storetest.Instance {
	t.Helper()
	s := openStore(t, dir)
	return storetest.Instance{
		Credentials: s,
		Objects:     s,
		Reopen: func(t testing.TB) storetest.Instance {
			if err := s.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			return instance(t, dir)
		},
		Break: func(testing.TB) { s.Close() },
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Instance { return instance(t, t.TempDir()) })
}

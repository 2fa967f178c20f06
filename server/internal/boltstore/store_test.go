// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/storetest"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// long says whether to run the full counts.
func long() bool { return os.Getenv("WATCHWORD_LONG") == "1" }

func count(short, full int) int {
	if long() {
		return full
	}
	return short
}

// version returns the record that the child writes at a version: of another
// size each time, long values among them.
func version(subject int, v uint64) verifier.Record {
	r := storetest.Sample("crash", storetest.Subject(subject), v)
	if v%5 == 0 {
		r.History = slices.Repeat([]string{r.Hash}, int(v%24))
	}
	if v%7 == 0 {
		r = verifier.Record{Tenant: r.Tenant, Subject: r.Subject, Version: v, State: verifier.StateDisabled, Tombstone: true}
	}
	return r
}

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
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Instance { return instance(t, t.TempDir()) })
}

func TestFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("the data directory holds %v, %v, want the store and its lock", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v, want 0600", f.Name(), info.Mode(), err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := boltstore.Open(t.TempDir(), boltstore.Options{MustExist: true}); !errors.Is(err, boltstore.ErrMissing) {
		t.Errorf("MustExist without a store = %v, want ErrMissing", err)
	}
	for name, content := range map[string][]byte{
		"empty":    {},
		"short":    make([]byte, 100),
		"zeros":    make([]byte, 1<<20),
		"no store": bytes.Repeat([]byte("something else\n"), 1000),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, boltstore.FileName), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := boltstore.Open(dir, boltstore.Options{}); !errors.Is(err, boltstore.ErrCorrupt) {
			t.Errorf("%s: Open = %v, want ErrCorrupt", name, err)
		}
	}
}

func TestMigrations(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir).Close()
	var ran []int
	step := func(n int) func(*bbolt.Tx) error {
		return func(*bbolt.Tx) error { ran = append(ran, n); return nil }
	}
	failing := func(*bbolt.Tx) error { return errors.New("no") }

	open := func(steps ...func(*bbolt.Tx) error) error {
		s, err := boltstore.Open(dir, boltstore.WithMigrations(steps...))
		if err == nil {
			err = s.Close()
		}
		return err
	}
	if err := open(step(1), failing); err == nil {
		t.Error("a failing migration: no error")
	}
	ran = nil // what ran was undone with the one that failed
	if err := open(step(1), step(2)); err != nil {
		t.Errorf("two migrations: %v", err)
	}
	if err := open(step(1), step(2), step(3)); err != nil {
		t.Errorf("a third one: %v", err)
	}
	if d := cmp.Diff([]int{1, 2, 3}, ran); d != "" {
		t.Errorf("migrations ran (-want +got):\n%s", d)
	}
	if _, err := boltstore.Open(dir, boltstore.Options{}); err == nil || errors.Is(err, boltstore.ErrCorrupt) {
		t.Errorf("a file of a later version: %v, want an error that asks for a newer program", err)
	}
}

// TestLongReadDoesNotHoldUpWriters leaves a walk and a backup half way while the
// file grows.
func TestLongReadDoesNotHoldUpWriters(t *testing.T) {
	s := openStore(t, t.TempDir())
	for _, err := range s.PutAll(t.Context(), manyRecords(0, 2000)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	r, w := io.Pipe() // nobody reads on
	done := make(chan error, 1)
	go func() { done <- s.Backup(t.Context(), w, nil) }()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for range s.All(t.Context()) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		for _, err := range s.PutAll(ctx, manyRecords(10_000, 20_000)) {
			if err != nil {
				t.Fatalf("writing during a walk and a backup: %v", err)
			}
		}
		cancel()
		break
	}
	r.Close()
	if err := <-done; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Backup to a closed pipe = %v", err)
	}
}

func manyRecords(from, n int) []verifier.Record {
	rs := make([]verifier.Record, n)
	for i := range rs {
		rs[i] = storetest.Sample("bench", storetest.Subject(from+i), 1)
	}
	return rs
}

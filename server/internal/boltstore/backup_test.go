// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/storetest"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

func acceptAny([]byte) error { return nil }

func backupOf(t testing.TB, s *boltstore.Store, label string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Backup(t.Context(), &b, []byte(label)); err != nil {
		t.Fatalf("Backup: %v", err)
	}
	return b.Bytes()
}

func TestBackupAndRestore(t *testing.T) {
	rs, objs := contents()
	s := openStore(t, t.TempDir())
	for _, err := range s.PutAll(t.Context(), rs) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range objs {
		if err := s.Save(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), objs[0].Kind, objs[0].Tenant, objs[0].Name, 1); err != nil {
		t.Fatal(err)
	}
	b := backupOf(t, s, "pepper k1")
	dir := t.TempDir()
	var label string
	if err := boltstore.Restore(t.Context(), dir, bytes.NewReader(b), func(l []byte) error { label = string(l); return nil }); err != nil {
		t.Fatalf("Restore: %v", err)
	}
	if label != "pepper k1" {
		t.Errorf("label = %q", label)
	}
	restored := openStore(t, dir)
	for _, r := range rs {
		got, err := restored.Get(t.Context(), r.Tenant, r.Subject)
		if err != nil || !sameRecord(r, got) {
			t.Fatalf("after Restore: %+v, %v, want %+v", got, err, r)
		}
	}
	i := 1
	for o, err := range restored.List(t.Context(), "policy", "") {
		if err != nil || !cmp.Equal(objs[i], o, cmp.Comparer(bytes.Equal)) {
			t.Fatalf("after Restore: object %s, %v", o.Name, err)
		}
		i++
	}
	if i != len(objs) {
		t.Errorf("%d objects restored, want %d", i-1, len(objs)-1)
	}
	if again := backupOf(t, restored, "pepper k1"); len(again) != len(b) {
		t.Errorf("the backup of the restored store has %d bytes, want %d", len(again), len(b))
	}
	info, err := os.Stat(filepath.Join(dir, boltstore.FileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the restored file has mode %v, %v, want 0600", info.Mode(), err)
	}
	if err := boltstore.Restore(t.Context(), dir, bytes.NewReader(b), acceptAny); !errors.Is(err, boltstore.ErrInUse) {
		t.Errorf("Restore over an open store = %v, want ErrInUse", err)
	}
	restored.Close()
	if err := boltstore.Restore(t.Context(), dir, bytes.NewReader(b), acceptAny); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Restore over a store = %v, want fs.ErrExist", err)
	}
	refused := errors.New("another pepper")
	empty := t.TempDir()
	if err := boltstore.Restore(t.Context(), empty, bytes.NewReader(b), func([]byte) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("Restore with a label that is refused = %v", err)
	}
	wantNoStore(t, empty)
}

func wantNoStore(t testing.TB, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*.db*"))
	if err != nil || len(left) != 0 {
		t.Errorf("a refused restore leaves %v", left)
	}
}

// TestTornBackups cuts a backup at every length and changes each byte, in short
// runs some, and demands that each is refused and nothing is left behind.
func TestTornBackups(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	for i := range 6 {
		if err := s.Put(t.Context(), version(i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(t.Context(), objects.Object{Kind: "key", Name: "k", Version: 1, Data: []byte("data")}); err != nil {
		t.Fatal(err)
	}
	b := backupOf(t, s, "label")
	dir := t.TempDir()
	try := func(what string, b []byte) {
		t.Helper()
		if err := boltstore.Restore(t.Context(), dir, bytes.NewReader(b), acceptAny); !errors.Is(err, boltstore.ErrBackup) {
			t.Errorf("%s: Restore = %v, want ErrBackup", what, err)
			os.Remove(filepath.Join(dir, boltstore.FileName))
		}
		wantNoStore(t, dir)
	}
	step := count(13, 1)
	for n := 0; n < len(b); n += step {
		try(fmt.Sprint("cut to ", n), b[:n])
	}
	for n := 0; n < len(b); n += step {
		bad := bytes.Clone(b)
		bad[n] ^= 1 << (n % 8)
		try(fmt.Sprint("changed in byte ", n), bad)
	}
	try("with a byte behind it", append(bytes.Clone(b), 0))
	try("twice", append(bytes.Clone(b), b...))
	try("huge length", append([]byte("WWBACKUP\x01"), bytes.Repeat([]byte{0xff}, 20)...))
}

// TestBackupWhileWriting takes backups while one writer goes round the subjects
// in order. A backup of one moment then holds versions that fall by one once
// along that order and never otherwise.
func TestBackupWhileWriting(t *testing.T) {
	const subjects = 50
	s := openStore(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		for v := uint64(1); ; v++ {
			for i := range subjects {
				if ctx.Err() != nil {
					done <- nil
					return
				}
				if err := s.Put(context.Background(), storetest.Sample("b", storetest.Subject(i), v)); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	for range 5 {
		dir := t.TempDir()
		r, w := io.Pipe()
		go func() { w.CloseWithError(s.Backup(t.Context(), w, nil)) }()
		if err := boltstore.Restore(t.Context(), dir, r, acceptAny); err != nil {
			t.Fatalf("Restore: %v", err)
		}
		restored := openStore(t, dir)
		var versions []uint64
		for i := range subjects {
			r, err := restored.Get(t.Context(), "b", storetest.Subject(i))
			if err != nil && !errors.Is(err, verifier.ErrUnknownSubject) {
				t.Fatal(err)
			}
			versions = append(versions, r.Version)
		}
		for i := 1; i < subjects; i++ {
			if versions[i] > versions[i-1] || versions[i]+1 < versions[0] {
				t.Fatalf("the backup mixes moments: %v", versions)
			}
		}
		restored.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// FuzzRestore gives Restore anything: it refuses with an error or makes a store
// that opens.
func FuzzRestore(f *testing.F) {
	s := openStore(f, f.TempDir())
	if err := s.Put(f.Context(), version(1, 1)); err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Backup(f.Context(), &b, []byte("l")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("WWBACKUP\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := boltstore.Restore(t.Context(), dir, bytes.NewReader(b), acceptAny); err != nil {
			wantNoStore(t, dir)
			return
		}
		openStore(t, dir).Close()
	})
}

// FuzzBlock gives the reader of blocks anything: it never panics.
func FuzzBlock(f *testing.F) {
	f.Add([]byte("\x03key\x0avalue"))
	f.Add([]byte("\x03key\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Add(bytes.Repeat([]byte{0xff}, 12))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := boltstore.ReadBlock(b); err != nil && !errors.Is(err, boltstore.ErrCorrupt) {
			t.Errorf("after %d entries: %v, want ErrCorrupt", n, err)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/storetest"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// mutate damages a file in one of the ways files are damaged, and says how.
// Most hits go to where something is: the tail of a bbolt file is empty.
func mutate(rnd *rand.Rand, file []byte) (string, []byte) {
	b := bytes.Clone(file)
	used := len(bytes.TrimRight(b, "\x00"))
	at := rnd.IntN(used)
	if rnd.IntN(3) == 0 { // where the structure is: page headers and what follows
		at = rnd.IntN(used/4096)*4096 + rnd.IntN(128)
	}
	fill := func(size int, f func(i int) byte) {
		start := at / size * size
		for i := start; i < min(start+size, len(b)); i++ {
			b[i] = f(i)
		}
	}
	switch rnd.IntN(10) {
	default:
		b[at] ^= 1 << rnd.IntN(8)
		return fmt.Sprintf("bit flip in byte %d", at), b
	case 4:
		b[at] = byte(rnd.Uint32())
		return fmt.Sprintf("random byte %d", at), b
	case 5:
		fill(512, func(int) byte { return 0 })
		return fmt.Sprintf("zero sector around %d", at), b
	case 6:
		fill(4096, func(int) byte { return 0 })
		return fmt.Sprintf("zero page around %d", at), b
	case 7:
		fill(512, func(int) byte { return byte(rnd.Uint32()) })
		return fmt.Sprintf("random sector around %d", at), b
	case 8:
		from := rnd.IntN(used/4096) * 4096
		copy(b[at/4096*4096:][:4096], file[from:from+4096])
		return fmt.Sprintf("page at %d over the one around %d", from, at), b
	case 9:
		n := rnd.IntN(len(b))
		if rnd.IntN(2) == 0 {
			n = n / 4096 * 4096
		}
		return fmt.Sprintf("cut to %d bytes", n), b[:n]
	}
}

// outcome counts what a store made of damaged files.
type outcome struct {
	refused, answeredAll, partly, wrong, panics int
}

// damageMany mutates file many times and lets try examine each. try returns
// whether the store refused to open, how many answers were errors, and what was
// answered wrongly; log tells of wrong answers and panics.
func damageMany(t *testing.T, rounds int, file []byte, log func(format string, args ...any), try func(dir string) (refused bool, failed int, wrong []string)) outcome {
	t.Helper()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	var o outcome
	dir := t.TempDir()
	for round := range rounds {
		what, damaged := mutate(rnd, file)
		if bytes.Equal(damaged, file) {
			continue
		}
		path := filepath.Join(dir, boltstore.FileName)
		os.Remove(path) // a new file, which no one has locked and mapped
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if p := recover(); p != nil {
					o.panics++
					log("seed %d, round %d: %s: panic: %v", seed, round, what, p)
				}
			}()
			refused, failed, wrong := try(dir)
			switch {
			case refused:
				o.refused++
			case failed > 0:
				o.partly++
			default:
				o.answeredAll++
			}
			if len(wrong) > 0 {
				o.wrong++
				log("seed %d, round %d: %s: %s", seed, round, what, strings.Join(wrong[:min(3, len(wrong))], "; "))
			}
		}()
	}
	return o
}

// contents is what the damaged stores were filled with.
func contents() ([]verifier.Record, []objects.Object) {
	var rs []verifier.Record
	for i := range 150 {
		r := version(i, uint64(i%9+1))
		r.Version = 1
		rs = append(rs, r)
	}
	var os []objects.Object
	for i := range 12 {
		os = append(os, objects.Object{Kind: "policy", Name: fmt.Sprintf("%02d", i), Version: 1, Data: bytes.Repeat([]byte{byte(i)}, i*700)})
	}
	return rs, os
}

// filled returns the bytes of a store with the contents.
func filled(t *testing.T) []byte {
	t.Helper()
	rs, objs := contents()
	dir := t.TempDir()
	s := openStore(t, dir)
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
	s.Close()
	file, err := os.ReadFile(filepath.Join(dir, boltstore.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestDamage flips bits, overwrites sectors and pages and truncates, and demands
// that each answer is right or an error that says so, that a file which does not
// open says why, and that nothing panics.
func TestDamage(t *testing.T) {
	t.Parallel()
	rs, objs := contents()
	file := filled(t)
	o := damageMany(t, count(150, 5000), file, t.Logf, func(dir string) (bool, int, []string) {
		return examine(t, dir, rs, objs)
	})
	t.Logf("%+v", o)
	if o.wrong > 0 || o.panics > 0 {
		t.Errorf("%d damaged files gave wrong answers, %d panicked, want 0 and 0", o.wrong, o.panics)
	}
	if o.refused == 0 || o.partly == 0 {
		t.Error("the damage was never felt: nothing was tested")
	}
}

// sameRecord compares by the byte form, which is quick.
func sameRecord(a, b verifier.Record) bool {
	return a.Tenant == b.Tenant && a.Subject == b.Subject &&
		bytes.Equal(verifier.AppendRecord(nil, a), verifier.AppendRecord(nil, b))
}

func examine(t *testing.T, dir string, rs []verifier.Record, objs []objects.Object) (refused bool, failed int, wrong []string) {
	ctx := t.Context()
	s, err := boltstore.Open(dir, boltstore.Options{MustExist: true})
	if err != nil {
		if !errors.Is(err, boltstore.ErrCorrupt) {
			wrong = append(wrong, fmt.Sprintf("Open: %v", err))
		}
		return true, 0, wrong
	}
	note := func(what string, err error, right bool) {
		if err != nil {
			failed++
			if !errors.Is(err, boltstore.ErrCorrupt) && !errors.Is(err, boltstore.ErrStopped) {
				wrong = append(wrong, fmt.Sprintf("%s: %v", what, err))
			}
		} else if !right {
			wrong = append(wrong, what+": another answer")
		}
	}
	for _, r := range rs {
		got, err := s.Get(ctx, r.Tenant, r.Subject)
		note("Get", err, sameRecord(r, got))
	}
	for i := range 50 {
		if _, err := s.Get(ctx, "crash", storetest.Subject(1000+i)); !errors.Is(err, verifier.ErrUnknownSubject) {
			note("Get of an unknown subject", err, false)
		}
	}
	seen := map[verifier.Pseudonym]bool{}
	bySubject := map[verifier.Pseudonym]verifier.Record{}
	for _, r := range rs {
		bySubject[r.Subject] = r
	}
	var walk error
	for r, err := range s.All(ctx) {
		if walk = err; err == nil {
			seen[r.Subject] = true
			if !sameRecord(bySubject[r.Subject], r) {
				wrong = append(wrong, "All yields another record")
			}
		}
	}
	note("All", walk, len(seen) == len(rs))
	walk = nil
	names := 0
	for o, err := range s.List(ctx, "policy", "") {
		if walk = err; err == nil {
			if !cmp.Equal(o, objs[names], cmp.Comparer(bytes.Equal)) {
				wrong = append(wrong, "List yields another object")
			}
			names++
		}
	}
	note("List", walk, names == len(objs))
	var backup bytes.Buffer
	note("Backup", s.Backup(ctx, &backup, nil), true)
	for i, r := range rs { // writing to a damaged store
		if i%20 != 0 {
			continue
		}
		r.Version++
		err := s.Put(ctx, r)
		note("Put", err, true)
		if err != nil {
			continue
		}
		got, err := s.Get(ctx, r.Tenant, r.Subject)
		note("Get after Put", err, sameRecord(r, got))
	}
	s.Close()
	return false, failed, wrong
}

// TestDamageOfPages flips the bits of page headers and of the first elements, one
// by one, and then writes: what is damaged there does its harm when bbolt
// rewrites the page. No acknowledged write may be followed by an older answer.
func TestDamageOfPages(t *testing.T) {
	t.Parallel()
	rs, _ := contents()
	file := bytes.TrimRight(filled(t), "\x00")
	file = append(file, make([]byte, 10*4096-len(file)%4096)...)
	path := filepath.Join(t.TempDir(), boltstore.FileName)
	opened, step := 0, count(211, 1) // of all bits; a prime, so that it meets all kinds
	const first, last = 8, 16 + 6*16
	for n := 0; n < (len(file)/4096-12)*(last-first)*8; n += step {
		bit := (2*4096+n/8/(last-first)*4096+first+n/8%(last-first))*8 + n%8
		b := bytes.Clone(file)
		b[bit/8] ^= 1 << (bit % 8)
		os.Remove(path)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := boltstore.Open(filepath.Dir(path), boltstore.WithoutSync())
		if err != nil {
			continue
		}
		opened++
		for i := 0; i < len(rs); i += 5 {
			r := rs[i]
			r.Version++
			if s.Put(t.Context(), r) != nil {
				continue
			}
			if got, err := s.Get(t.Context(), r.Tenant, r.Subject); err == nil && !sameRecord(r, got) {
				t.Errorf("bit %d of byte %d flipped: version %d acknowledged, then %d found", bit%8, bit/8, r.Version, got.Version)
			}
		}
		s.Close()
	}
	if opened == 0 {
		t.Error("no damaged file was opened: nothing was tested")
	}
}

// TestDamageOfPlainTree is the control: the same damage to a plain bbolt tree
// must be seen to give wrong answers.
func TestDamageOfPlainTree(t *testing.T) {
	t.Parallel()
	rs, _ := contents()
	bucket := []byte("credentials")
	path := filepath.Join(t.TempDir(), "plain.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(bucket)
		for _, r := range rs {
			v, _ := json.Marshal(r)
			err = errors.Join(err, b.Put(r.Subject[:], v))
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o := damageMany(t, 150, file, func(string, ...any) {}, func(dir string) (refused bool, failed int, wrong []string) {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		db, err := bbolt.Open(filepath.Join(dir, boltstore.FileName), 0o600, nil)
		if err != nil {
			return true, 0, nil
		}
		defer db.Close()
		db.View(func(tx *bbolt.Tx) error {
			for _, r := range rs {
				var got verifier.Record
				b := tx.Bucket(bucket)
				if b == nil {
					wrong = append(wrong, "no bucket")
					break
				}
				if v := b.Get(r.Subject[:]); v == nil {
					wrong = append(wrong, "unknown")
				} else if json.Unmarshal(v, &got) != nil {
					failed++
				} else if !sameRecord(r, got) {
					wrong = append(wrong, "another record")
				}
			}
			return nil
		})
		return false, failed, wrong
	})
	t.Logf("%+v", o)
	if o.wrong == 0 {
		t.Error("damage to a plain tree was not seen")
	}
}

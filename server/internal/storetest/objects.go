// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

func object(kind, tenant, name string, version uint64) objects.Object {
	return objects.Object{Kind: kind, Tenant: tenant, Name: name, Version: version, Data: fmt.Appendf(nil, "%s of %s, version %d\x00\xff", name, tenant, version)}
}

// sameObject compares objects; no data and empty data are one.
var sameObject = cmp.Comparer(bytes.Equal)

func mustSave(t testing.TB, s objects.Store, o objects.Object) {
	t.Helper()
	if err := s.Save(ctxOf(t), o); err != nil {
		t.Fatalf("Save of version %d: %v", o.Version, err)
	}
}

func wantObject(t testing.TB, s objects.Store, want objects.Object) {
	t.Helper()
	got, err := s.Load(ctxOf(t), want.Kind, want.Tenant, want.Name)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if d := cmp.Diff(want, got, sameObject); d != "" {
		t.Fatalf("Load differs from what was saved (-want +got):\n%s", d)
	}
}

func wantNoObject(t testing.TB, s objects.Store, kind, tenant, name string) {
	t.Helper()
	if o, err := s.Load(ctxOf(t), kind, tenant, name); !errors.Is(err, objects.ErrNotFound) {
		t.Fatalf("Load = %+v, %v, want ErrNotFound", o, err)
	}
}

func wantObjectConflict(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, objects.ErrConflict) {
		t.Fatalf("%s = %v, want ErrConflict", what, err)
	}
}

func objectsBasics(t testing.TB, open func(testing.TB) Instance) {
	in := open(t)
	s := in.Objects
	wantNoObject(t, s, "key", "", "k1")
	for _, data := range [][]byte{nil, {0}, bytes.Repeat([]byte("x"), 1024), bytes.Repeat([]byte{0xff, 0}, 20_000), make([]byte, objects.MaxData)} {
		o := objects.Object{Kind: "policy", Tenant: "a", Name: fmt.Sprint(len(data)), Version: 1, Data: data}
		mustSave(t, s, o)
		wantObject(t, s, o)
		o.Version, o.Data = 2, append([]byte("2"), data[:len(data)/2]...)
		mustSave(t, s, o)
		wantObject(t, s, o)
	}
	odd := object("word-list", "租 {}:*", "n\n'\"\\%_*?[x]", 1)
	mustSave(t, s, odd)
	wantObject(t, s, odd)
	wantNoObject(t, s, "word-lis", "t"+odd.Tenant, odd.Name) // other parts, the same text
	wantNoObject(t, s, "key", odd.Tenant, odd.Name)
	// What the caller does with its memory is nothing to the store.
	o := object("key", "", "mine", 1)
	mustSave(t, s, o)
	o.Data[0] ^= 0xff
	got, err := s.Load(ctxOf(t), "key", "", "mine")
	if err != nil {
		t.Fatal(err)
	}
	got.Data[1] ^= 0xff
	wantObject(t, s, object("key", "", "mine", 1))
	in = in.Reopen(t)
	wantObject(t, in.Objects, odd)
	wantObject(t, in.Objects, object("key", "", "mine", 1))
}

func objectVersions(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Objects
	ctx := ctxOf(t)
	wantObjectConflict(t, "Save of version 2 of nothing", s.Save(ctx, object("key", "", "k", 2)))
	wantObjectConflict(t, "Delete of nothing", s.Delete(ctx, "key", "", "k", 1))
	mustSave(t, s, object("key", "", "k", 1))
	for _, v := range []uint64{1, 3, 1 << 40} {
		wantObjectConflict(t, fmt.Sprintf("Save of version %d over 1", v), s.Save(ctx, object("key", "", "k", v)))
		wantObject(t, s, object("key", "", "k", 1))
	}
	mustSave(t, s, object("key", "", "k", 2))
	mustSave(t, s, object("key", "t", "k", 1))
	for _, v := range []uint64{0, 1, 3} {
		wantObjectConflict(t, fmt.Sprintf("Delete at version %d of 2", v), s.Delete(ctx, "key", "", "k", v))
		wantObject(t, s, object("key", "", "k", 2))
	}
	if err := s.Delete(ctx, "key", "", "k", 2); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	wantNoObject(t, s, "key", "", "k")
	wantObject(t, s, object("key", "t", "k", 1))
	wantObjectConflict(t, "Delete again", s.Delete(ctx, "key", "", "k", 2))
	wantObjectConflict(t, "Save of version 3 after the deletion", s.Save(ctx, object("key", "", "k", 3)))
	mustSave(t, s, object("key", "", "k", 1))
	wantObject(t, s, object("key", "", "k", 1))
}

// objectRaces lets savers and a deleter meet at one version: one wins.
func objectRaces(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Objects
	for round := range 20 {
		name := fmt.Sprint(round)
		mustSave(t, s, object("key", "", name, 1))
		var wins atomic.Int32
		race(8, func(i int) {
			var err error
			if i == 0 {
				err = s.Delete(ctxOf(t), "key", "", name, 1)
			} else {
				err = s.Save(ctxOf(t), object("key", "", name, 2))
			}
			if err == nil {
				wins.Add(1)
			} else if !errors.Is(err, objects.ErrConflict) {
				t.Errorf("Save or Delete = %v, want nil or ErrConflict", err)
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d of 8 changes at one version won, want 1", wins.Load())
		}
	}
}

func listed(t testing.TB, s objects.Store, kind, tenant string) []objects.Object {
	t.Helper()
	got := []objects.Object{}
	for o, err := range s.List(ctxOf(t), kind, tenant) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		got = append(got, o)
	}
	return got
}

func byTenantAndName(a, b objects.Object) int {
	if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

func objectList(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Objects
	if got := listed(t, s, "key", objects.AllTenants); len(got) != 0 {
		t.Fatalf("List of nothing yields %d objects", len(got))
	}
	var want []objects.Object
	names := []string{"b", "a", "B", "ab", "a-b", "a_b", "é", "z", "密", "10", "9", " "}
	for i := range 40 {
		names = append(names, fmt.Sprintf("n%d", i*7919%1000))
	}
	for _, tenant := range []string{"t", "", "T", "t2", "t_", "té"} {
		for _, name := range names {
			o := object("key", tenant, name, 1)
			mustSave(t, s, o)
			want = append(want, o)
		}
		mustSave(t, s, object("keys", tenant, "x", 1))
		mustSave(t, s, object("ke", tenant, "x", 1))
	}
	slices.SortFunc(want, byTenantAndName)
	if d := cmp.Diff(want, listed(t, s, "key", objects.AllTenants), sameObject); d != "" {
		t.Errorf("List of all tenants (-want +got):\n%s", d)
	}
	for _, tenant := range []string{"t", "", "t_"} {
		var mine []objects.Object
		for _, o := range want {
			if o.Tenant == tenant {
				mine = append(mine, o)
			}
		}
		if d := cmp.Diff(mine, listed(t, s, "key", tenant), sameObject); d != "" {
			t.Errorf("List of one tenant (-want +got):\n%s", d)
		}
	}
	if got := listed(t, s, "key", "nobody"); len(got) != 0 {
		t.Errorf("List of an unknown tenant yields %d objects", len(got))
	}
	// A walk may be left, and may change what it walks over.
	for o, err := range s.List(ctxOf(t), "key", "t") {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if err := s.Delete(ctxOf(t), o.Kind, o.Tenant, o.Name, o.Version); err != nil {
			t.Fatalf("Delete during List: %v", err)
		}
		if o.Name > "a" {
			break
		}
	}
}

func objectBounds(t testing.TB, open func(testing.TB) Instance) {
	s := open(t).Objects
	for name, change := range map[string]func(*objects.Object){
		"no kind":          func(o *objects.Object) { o.Kind = "" },
		"kind in capital":  func(o *objects.Object) { o.Kind = "Key" },
		"long kind":        func(o *objects.Object) { o.Kind = strings.Repeat("k", 33) },
		"no name":          func(o *objects.Object) { o.Name = "" },
		"long name":        func(o *objects.Object) { o.Name = strings.Repeat("n", 129) },
		"NUL in name":      func(o *objects.Object) { o.Name = "a\x00" },
		"tenant not UTF-8": func(o *objects.Object) { o.Tenant = "\xff" },
		"all tenants":      func(o *objects.Object) { o.Tenant = objects.AllTenants },
		"version 0":        func(o *objects.Object) { o.Version = 0 },
		"too much data":    func(o *objects.Object) { o.Data = make([]byte, objects.MaxData+1) },
	} {
		o := object("key", "t", "n", 1)
		change(&o)
		if err := s.Save(ctxOf(t), o); err == nil || errors.Is(err, objects.ErrConflict) {
			t.Errorf("%s: Save = %v, want an error that is no conflict", name, err)
		}
	}
	if got := listed(t, s, "key", objects.AllTenants); len(got) != 0 {
		t.Errorf("%d refused objects are there", len(got))
	}
	longest := object(strings.Repeat("k", 32), strings.Repeat("t", 128), strings.Repeat("n", 128), 1)
	mustSave(t, s, longest)
	wantObject(t, s, longest)
}

// everyCallFails makes each call of both interfaces and demands failures that
// are no answers; seen looks at each further.
func everyCallFails(t testing.TB, in Instance, ctx context.Context, seen func(what string, err error)) {
	t.Helper()
	first := func(err error) error {
		if err == nil {
			err = errors.New("yielded a value")
			t.Errorf("a walk over a failing store yields a value")
		}
		return err
	}
	calls := []struct {
		what string
		call func() error
	}{
		{"Get of a known subject", func() error { _, err := in.Credentials.Get(ctx, "a", Subject(1)); return err }},
		{"Get of an unknown subject", func() error { _, err := in.Credentials.Get(ctx, "a", Subject(2)); return err }},
		{"Put", func() error { return in.Credentials.Put(ctx, Sample("a", Subject(2), 1)) }},
		{"All", func() error {
			for _, err := range in.Credentials.All(ctx) {
				return first(err)
			}
			return nil
		}},
		{"Load", func() error { _, err := in.Objects.Load(ctx, "key", "", "k"); return err }},
		{"Save", func() error { return in.Objects.Save(ctx, object("key", "", "k", 1)) }},
		{"Delete", func() error { return in.Objects.Delete(ctx, "key", "", "k", 1) }},
		{"List", func() error {
			for _, err := range in.Objects.List(ctx, "key", "") {
				return first(err)
			}
			return nil
		}},
	}
	if im, ok := in.Credentials.(verifier.Importer); ok {
		calls = append(calls, struct {
			what string
			call func() error
		}{"PutAll", func() error { return im.PutAll(ctx, []verifier.Record{Sample("a", Subject(2), 1)})[0] }})
	}
	for _, c := range calls {
		err := c.call()
		wantFailure(t, c.what, err, verifier.ErrUnknownSubject, verifier.ErrConflict, objects.ErrNotFound, objects.ErrConflict)
		seen(c.what, err)
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// modelMoves is the greatest number of moves in one history.
const modelMoves = 60

type credentialMove struct {
	Reopen, Tombstone bool
	Tenant            string
	Subject           int
	Ahead             int // of the version that would be right
	State             verifier.State
	Hash              string
	History           []string
}

// credentialModel holds a store against a plain map.
func credentialModel(t testing.TB, open func(testing.TB) Instance) {
	moves := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) credentialMove {
		size := rapid.SampledFrom([]int{0, 3, 97, 140, 900, 1030, 5000}).Draw(t, "size")
		return credentialMove{
			Reopen:    rapid.IntRange(0, 60).Draw(t, "reopen") == 60,
			Tombstone: rapid.IntRange(0, 5).Draw(t, "tombstone") == 5,
			Tenant:    rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "tenant"),
			Subject:   rapid.IntRange(0, 9).Draw(t, "subject"),
			Ahead:     rapid.SampledFrom([]int{0, 0, 0, 0, -1, 1, 7}).Draw(t, "ahead"),
			State:     verifier.State(rapid.IntRange(1, 4).Draw(t, "state")),
			Hash:      strings.Repeat("h", size),
			History:   rapid.SliceOfN(rapid.SampledFrom([]string{"", "x", strings.Repeat("y", 120)}), 0, 24).Draw(t, "history"),
		}
	}), 1, modelMoves)
	histories(t, open, func(t *rapid.T, own func(string) string, in *Instance, reopen func()) {
		type key struct {
			tenant  string
			subject verifier.Pseudonym
		}
		model := map[key]verifier.Record{}
		for _, m := range moves.Draw(t, "moves") {
			if m.Reopen {
				reopen()
			}
			k := key{own(m.Tenant), Subject(m.Subject)}
			have := model[k]
			version := int64(have.Version) + 1 + int64(m.Ahead)
			if version > 0 {
				r := Sample(k.tenant, k.subject, uint64(version))
				r.State, r.Hash, r.History = m.State, m.Hash, m.History
				if m.Tombstone {
					r = grave(verifier.Record{Tenant: r.Tenant, Subject: r.Subject, Version: r.Version - 1, Changed: r.Changed})
				}
				err := in.Credentials.Put(t.Context(), r)
				switch {
				case m.Ahead == 0 && err != nil:
					t.Fatalf("Put of version %d over %d: %v", r.Version, have.Version, err)
				case m.Ahead != 0 && !errors.Is(err, verifier.ErrConflict):
					t.Fatalf("Put of version %d over %d = %v, want ErrConflict", r.Version, have.Version, err)
				case err == nil:
					model[k] = r
				}
			}
			got, err := in.Credentials.Get(t.Context(), k.tenant, k.subject)
			if want, known := model[k]; known {
				if d := cmp.Diff(want, got, equal); err != nil || d != "" {
					t.Fatalf("Get: %v, (-model +store):\n%s", err, d)
				}
			} else if !errors.Is(err, verifier.ErrUnknownSubject) {
				t.Fatalf("Get of a subject that the model does not have: %v", err)
			}
		}
		got := map[key]verifier.Record{}
		for r, err := range in.Credentials.All(t.Context()) {
			if err != nil {
				t.Fatalf("All: %v", err)
			}
			if strings.HasPrefix(r.Tenant, own("")) {
				got[key{r.Tenant, r.Subject}] = r
			}
		}
		if d := cmp.Diff(model, got, equal); d != "" {
			t.Fatalf("All (-model +store):\n%s", d)
		}
	})
}

type objectMove struct {
	Reopen, Delete     bool
	Kind, Tenant, Name string
	Ahead, Size        int
}

// objectModel does the same for objects.
func objectModel(t testing.TB, open func(testing.TB) Instance) {
	moves := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) objectMove {
		return objectMove{
			Reopen: rapid.IntRange(0, 60).Draw(t, "reopen") == 60,
			Delete: rapid.IntRange(0, 4).Draw(t, "delete") == 4,
			Kind:   rapid.SampledFrom([]string{"key", "policy"}).Draw(t, "kind"),
			Tenant: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "tenant"),
			Name:   rapid.SampledFrom([]string{"1", "2", "10", "a", "aa"}).Draw(t, "name"),
			Ahead:  rapid.SampledFrom([]int{0, 0, 0, 0, -1, 1}).Draw(t, "ahead"),
			Size:   rapid.SampledFrom([]int{0, 1, 100, 1020, 1030, 9000}).Draw(t, "size"),
		}
	}), 1, modelMoves)
	type key struct{ kind, tenant, name string }
	histories(t, open, func(t *rapid.T, own func(string) string, in *Instance, reopen func()) {
		model := map[key]objects.Object{}
		for _, m := range moves.Draw(t, "moves") {
			if m.Reopen {
				reopen()
			}
			k := key{m.Kind, own(m.Tenant), m.Name}
			have, known := model[k]
			right := m.Ahead == 0
			var err error
			if m.Delete {
				version := int64(have.Version) + int64(m.Ahead)
				right = right && known
				err = in.Objects.Delete(t.Context(), k.kind, k.tenant, k.name, uint64(max(version, 0)))
				if err == nil {
					delete(model, k)
				}
			} else if version := int64(have.Version) + 1 + int64(m.Ahead); version > 0 {
				o := objects.Object{Kind: k.kind, Tenant: k.tenant, Name: k.name, Version: uint64(version), Data: make([]byte, m.Size)}
				if err = in.Objects.Save(t.Context(), o); err == nil {
					model[k] = o
				}
			} else {
				continue
			}
			if right && err != nil || !right && !errors.Is(err, objects.ErrConflict) {
				t.Fatalf("change with delete=%v, %d versions ahead of %d: %v", m.Delete, m.Ahead, have.Version, err)
			}
		}
		for _, kind := range []string{"key", "policy"} {
			for _, tenant := range []string{own(""), own("a"), own("b"), objects.AllTenants} {
				want, got := []objects.Object{}, []objects.Object{}
				for _, o := range model {
					if o.Kind == kind && (tenant == objects.AllTenants || o.Tenant == tenant) {
						want = append(want, o)
					}
				}
				slices.SortFunc(want, byTenantAndName)
				for o, err := range in.Objects.List(t.Context(), kind, tenant) {
					if err != nil {
						t.Fatalf("List: %v", err)
					}
					if strings.HasPrefix(o.Tenant, own("")) {
						got = append(got, o)
					}
				}
				if d := cmp.Diff(want, got, sameObject); d != "" {
					t.Fatalf("List (-model +store):\n%s", d)
				}
			}
		}
	})
}

// histories runs f on rapid's histories. They share one store, which so grows
// all the while, and each has tenants of its own.
func histories(t testing.TB, open func(testing.TB) Instance, f func(t *rapid.T, own func(string) string, in *Instance, reopen func())) {
	in := open(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		prefix := fmt.Sprintf("h%d-", n)
		f(rt, func(s string) string { return prefix + s }, &in, func() { in = in.Reopen(t) })
	})
}

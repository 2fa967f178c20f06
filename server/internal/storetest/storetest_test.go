// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/storetest"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// A planted fault is meant to be found: keep no example of it, and do not
	// spend time on a shorter one.
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "0s"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// model is a store in memory, right unless a fault is planted: the thing under
// test here is the suite.
type model struct {
	fault  string
	mu     sync.RWMutex
	rs     map[string]verifier.Record
	os     map[string]objects.Object
	disk   *model // what a reopening finds, under the fault "not durable"
	broken bool
}

func (m *model) is(fault string) bool { return m.fault == fault }

func key(tenant string, subject verifier.Pseudonym) string { return tenant + "|" + string(subject[:]) }

var errBroken = errors.New("broken")

func (m *model) ready(ctx context.Context) error {
	if m.broken {
		return errBroken
	}
	if m.is("ignores the context") {
		return nil
	}
	return ctx.Err()
}

func (m *model) Get(ctx context.Context, tenant string, subject verifier.Pseudonym) (verifier.Record, error) {
	if err := m.ready(ctx); err != nil {
		if m.is("takes failure for unknown") {
			err = verifier.ErrUnknownSubject
		}
		return verifier.Record{}, err
	}
	if m.is("mixes tenants") {
		tenant = ""
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.rs[key(tenant, subject)]
	if !ok || r.Tombstone && m.is("drops tombstones") {
		return verifier.Record{}, verifier.ErrUnknownSubject
	}
	if !m.is("shares memory with readers") {
		r.History = slices.Clone(r.History)
	}
	return r, nil
}

func (m *model) Remove(ctx context.Context, tenant string, subject verifier.Pseudonym, version uint64) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := key(tenant, subject)
	have := m.rs[k].Version
	if (version == 0 || have != version) && !m.is("removes any version") {
		return verifier.ErrConflict
	}
	if !m.is("removes nothing") {
		delete(m.rs, k)
	}
	return nil
}

func (m *model) Put(ctx context.Context, r verifier.Record) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	if !m.is("accepts bad records") {
		if err := r.Check(); err != nil {
			return err
		}
	}
	if !m.is("shares memory with writers") {
		r.History = slices.Clone(r.History)
	}
	k := key(r.Tenant, r.Subject)
	if m.is("mixes tenants") {
		k = key("", r.Subject)
	}
	if m.is("loses the race") {
		m.mu.RLock()
		have := m.rs[k].Version
		m.mu.RUnlock()
		runtime.Gosched()
		time.Sleep(50 * time.Microsecond)
		if have != r.Version-1 {
			return verifier.ErrConflict
		}
	}
	for !m.mu.TryLock() { // a walker may hold it, for ever
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(10 * time.Microsecond)
	}
	defer m.mu.Unlock()
	have := m.rs[k]
	switch {
	case m.is("loses the race"):
	case m.is("last writer wins"):
	case m.is("forgets the version of a tombstone") && have.Tombstone && r.Version == 1:
	case m.is("takes any newer version") && r.Version > have.Version:
	case have.Version != r.Version-1:
		if m.is("writes and reports a conflict") {
			m.rs[k] = r
		}
		return verifier.ErrConflict
	}
	switch m.fault {
	case "keeps ten of the history":
		r.History = r.History[:min(len(r.History), 10)]
	case "cuts long hashes":
		r.Hash = r.Hash[:min(len(r.Hash), 4096)]
	case "cuts times to seconds":
		r.Changed = r.Changed.Truncate(time.Second)
	case "forgets the state":
		r.State = verifier.StateActive
	case "forgets the last login":
		r.LastLogin = time.Time{}
	case "acknowledges and drops":
		if len(m.rs) >= 300 {
			return nil
		}
	case "not durable":
		if len(m.rs) >= 20 { // the disk has what the first twenty wrote
			m.rs[k] = r
			return nil
		}
		m.disk.rs[k] = r
	}
	m.rs[k] = r
	return nil
}

func (m *model) All(ctx context.Context) iter.Seq2[verifier.Record, error] {
	return func(yield func(verifier.Record, error) bool) {
		if err := m.ready(ctx); err != nil {
			if !m.is("ends a failed walk in silence") {
				yield(verifier.Record{}, err)
			}
			return
		}
		m.mu.RLock()
		if m.is("holds a lock while it walks") {
			defer m.mu.RUnlock()
		}
		var rs []verifier.Record
		for _, r := range m.rs {
			if !m.is("shares memory with walkers") {
				r.History = slices.Clone(r.History)
			}
			rs = append(rs, r)
		}
		if !m.is("holds a lock while it walks") {
			m.mu.RUnlock()
		}
		for i, r := range rs {
			if m.is("leaves tombstones out of the walk") && r.Tombstone || m.is("walks past one") && i == 200 {
				continue
			}
			if err := m.ready(ctx); err != nil {
				if !m.is("ends a cancelled walk in silence") {
					yield(verifier.Record{}, err)
				}
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func objectKey(kind, tenant, name string) string { return kind + "\x00" + tenant + "\x00" + name }

func (m *model) Load(ctx context.Context, kind, tenant, name string) (objects.Object, error) {
	if err := m.ready(ctx); err != nil {
		if m.is("takes failure for not found") {
			err = objects.ErrNotFound
		}
		return objects.Object{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	o, ok := m.os[m.objectKey(kind, tenant, name)]
	if !ok {
		return objects.Object{}, objects.ErrNotFound
	}
	if !m.is("shares memory of objects") {
		o.Data = bytes.Clone(o.Data)
	}
	return o, nil
}

func (m *model) objectKey(kind, tenant, name string) string {
	if m.is("mixes kinds") {
		kind = ""
	}
	if m.is("runs kind, tenant and name together") {
		return kind + tenant + name
	}
	return objectKey(kind, tenant, name)
}

func (m *model) Save(ctx context.Context, o objects.Object) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	if !m.is("accepts bad objects") {
		if err := o.Check(); err != nil {
			return err
		}
	}
	k := m.objectKey(o.Kind, o.Tenant, o.Name)
	m.mu.RLock()
	have := m.os[k].Version
	m.mu.RUnlock()
	if m.is("loses the race of objects") {
		time.Sleep(50 * time.Microsecond)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.is("loses the race of objects") {
		have = m.os[k].Version
	}
	if have != o.Version-1 && !m.is("saves any version") {
		return objects.ErrConflict
	}
	o.Data = bytes.Clone(o.Data)
	if m.is("cuts long data") {
		o.Data = o.Data[:min(len(o.Data), 64<<10)]
	}
	m.os[k] = o
	if m.is("not durable") && len(m.rs) < 20 {
		m.disk.os[k] = o
	}
	return nil
}

func (m *model) Delete(ctx context.Context, kind, tenant, name string, version uint64) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.objectKey(kind, tenant, name)
	have, ok := m.os[k]
	if m.is("deletes any version") {
		delete(m.os, k)
		return nil
	}
	if !ok && m.is("deletes what is not there") {
		return nil
	}
	if !ok || have.Version != version {
		return objects.ErrConflict
	}
	delete(m.os, k)
	return nil
}

func (m *model) List(ctx context.Context, kind, tenant string) iter.Seq2[objects.Object, error] {
	return func(yield func(objects.Object, error) bool) {
		if err := m.ready(ctx); err != nil {
			yield(objects.Object{}, err)
			return
		}
		m.mu.RLock()
		var os []objects.Object
		for _, o := range m.os {
			match := o.Tenant == tenant || tenant == objects.AllTenants && !m.is("does not know all tenants")
			if m.is("lists a prefix of the kind") && strings.HasPrefix(o.Kind, kind) && match || o.Kind == kind && match {
				o.Data = bytes.Clone(o.Data)
				os = append(os, o)
			}
		}
		m.mu.RUnlock()
		slices.SortFunc(os, func(a, b objects.Object) int {
			if m.is("lists in no order") {
				return strings.Compare(string(b.Data), string(a.Data))
			}
			if m.is("lists by name before tenant") {
				return strings.Compare(a.Name+"\x00"+a.Tenant, b.Name+"\x00"+b.Tenant)
			}
			if m.is("lists as people sort") {
				a.Name, b.Name = strings.ToLower(a.Name), strings.ToLower(b.Name)
			}
			return strings.Compare(a.Tenant+"\x00"+a.Name, b.Tenant+"\x00"+b.Name)
		})
		for _, o := range os {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (m *model) instance() storetest.Instance {
	return storetest.Instance{
		Credentials: m,
		Objects:     m,
		Reopen: func(testing.TB) storetest.Instance {
			if m.is("not durable") {
				return m.disk.instance()
			}
			return m.instance()
		},
		Break: func(testing.TB) { m.broken = true },
	}
}

func newModel(fault string) *model {
	m := &model{fault: fault, rs: map[string]verifier.Record{}, os: map[string]objects.Object{}}
	if fault == "not durable" {
		m.disk = newModel("")
	}
	return m
}

func TestRightStorePasses(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Instance { return newModel("").instance() })
}

// TestFaultsAreSeen plants one fault after the other and demands that the check
// named beside it fails.
func TestFaultsAreSeen(t *testing.T) {
	for fault, check := range map[string]string{
		"takes failure for unknown":           "Broken",
		"takes failure for not found":         "Cancelled",
		"ignores the context":                 "Cancelled",
		"mixes tenants":                       "TenantIsolation",
		"drops tombstones":                    "Tombstone",
		"removes any version":                 "Remove",
		"removes nothing":                     "Remove",
		"forgets the version of a tombstone":  "Tombstone",
		"leaves tombstones out of the walk":   "Tombstone",
		"shares memory with readers":          "NoSharedMemory",
		"shares memory with writers":          "NoSharedMemory",
		"shares memory with walkers":          "NoSharedMemory",
		"accepts bad records":                 "BadRecords",
		"loses the race":                      "TwoWriters",
		"last writer wins":                    "ManyWriters",
		"takes any newer version":             "CompareAndSwap",
		"writes and reports a conflict":       "CredentialModel",
		"keeps ten of the history":            "BigValues",
		"cuts long hashes":                    "BigValues",
		"cuts times to seconds":               "RoundTrip",
		"forgets the state":                   "RoundTrip",
		"forgets the last login":              "CredentialModel",
		"acknowledges and drops":              "All",
		"not durable":                         "Reopen",
		"ends a failed walk in silence":       "Broken",
		"ends a cancelled walk in silence":    "Cancelled",
		"holds a lock while it walks":         "AllDuringWrites",
		"walks past one":                      "AllDuringWrites",
		"mixes kinds":                         "Objects",
		"runs kind, tenant and name together": "Objects",
		"shares memory of objects":            "Objects",
		"cuts long data":                      "Objects",
		"accepts bad objects":                 "ObjectBounds",
		"loses the race of objects":           "ObjectRaces",
		"saves any version":                   "ObjectVersions",
		"deletes any version":                 "ObjectModel",
		"deletes what is not there":           "ObjectVersions",
		"does not know all tenants":           "ObjectList",
		"lists a prefix of the kind":          "ObjectList",
		"lists in no order":                   "ObjectList",
		"lists by name before tenant":         "ObjectList",
		"lists as people sort":                "ObjectList",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			seen := false
			for _, c := range storetest.Checks() {
				if c.Name == check && fails(t, c, fault) {
					seen = true
				}
			}
			if !seen {
				t.Errorf("a store that %s passes %s", fault, check)
			}
		})
	}
}

// fails runs one check in a goroutine of its own, which it may leave, and says
// whether it failed.
func fails(t *testing.T, c storetest.Check, fault string) bool {
	rec := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(rec, func(testing.TB) storetest.Instance { return newModel(fault).instance() })
	}()
	<-done
	return rec.Failed()
}

// recorder is a test whose failure is wanted.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	failed bool
}

func (r *recorder) Fail()                     { r.mu.Lock(); r.failed = true; r.mu.Unlock() }
func (r *recorder) Failed() bool              { r.mu.Lock(); defer r.mu.Unlock(); return r.failed }
func (r *recorder) FailNow()                  { r.Fail(); runtime.Goexit() }
func (r *recorder) Error(a ...any)            { r.note(fmt.Sprint(a...)); r.Fail() }
func (r *recorder) Errorf(f string, a ...any) { r.note(fmt.Sprintf(f, a...)); r.Fail() }
func (r *recorder) Fatal(a ...any)            { r.note(fmt.Sprint(a...)); r.FailNow() }
func (r *recorder) Fatalf(f string, a ...any) { r.note(fmt.Sprintf(f, a...)); r.FailNow() }

func (r *recorder) note(s string) {
	if first, _, _ := strings.Cut(s, "\n"); !r.Failed() {
		r.Logf("seen: %s", first)
	}
}

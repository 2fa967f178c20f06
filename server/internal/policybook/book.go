// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package policybook keeps the policies and dictionaries of the tenants, and
// finds the one that judges: built in, from a directory of files, or stored
// with its versions and roll-out. Whoever asks sees one whole state; a change
// that cannot be read leaves the last good one in force and says so.
package policybook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Kinds of objects.
const (
	kindPolicy    = "policy"
	kindWords     = "words"
	kindHistogram = "outcomes"
	single        = "current" // the name of objects of which a tenant has one
)

// MaxPolicies is how many policies of its own a tenant may store.
const MaxPolicies = 256

// RefreshEvery is how often stored policies and the directory are read again.
const RefreshEvery = 2 * time.Second

// Errors of a Book.
var (
	// ErrBuiltin is returned for a change of a policy that comes with the program.
	ErrBuiltin = errors.New("a built-in policy cannot be changed")
	// ErrFromFile is returned for a change of a policy that a file defines.
	ErrFromFile = errors.New("a policy from the policy directory is changed there")
	// ErrFull is returned when a tenant has MaxPolicies.
	ErrFull = errors.New("too many policies")
	// ErrUnknownVersion is returned for a version that is not kept.
	ErrUnknownVersion = errors.New("unknown policy version")
)

// Config is what a Book is made of.
type Config struct {
	Store objects.Store
	// Dir holds policy files, name.yaml each; empty for none.
	Dir string
	// Default names the policy of a tenant without one of its own; Defaults
	// names those.
	Default  string
	Defaults map[string]string
	// Key decides, per subject, on which side of a roll-out it falls.
	Key []byte
	Now func() time.Time
}

// Book is the shelf of all tenants.
type Book struct {
	Config
	state atomic.Pointer[state]
	write sync.Mutex // held while state is replaced
	dir   fingerprint

	recorded struct {
		sync.Mutex
		tenants map[string]*policy.Histogram
	}
}

// state is everything, at one moment.
type state struct {
	base    *policy.Set
	tenants map[string]*shelf
}

// shelf is what one tenant has.
type shelf struct {
	policies map[string]*entry
	words    *policy.Dictionary
	version  uint64 // of the object that holds words
}

// entry is one stored policy.
type entry struct {
	rollout  policy.Rollout
	version  uint64 // of the object
	releases map[string]*policy.Policy
}

var emptyShelf = &shelf{}

func (s *state) shelf(tenant string) *shelf {
	if sh, ok := s.tenants[tenant]; ok {
		return sh
	}
	return emptyShelf
}

// New reads everything once. It fails when the default policy does not exist
// or a file of the directory is no policy: a start is the time to say so.
func New(ctx context.Context, c Config) (*Book, error) {
	b := &Book{Config: c}
	b.recorded.tenants = make(map[string]*policy.Histogram)
	base, print, err := readDir(c.Dir)
	if err != nil {
		return nil, err
	}
	b.dir = print
	tenants, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	b.state.Store(&state{base: base, tenants: tenants})
	if _, err := b.Policy("", "", verifier.Pseudonym{}); err != nil {
		return nil, fmt.Errorf("policy.default: %w", err)
	}
	for tenant := range c.Defaults {
		if _, err := b.Policy(tenant, "", verifier.Pseudonym{}); err != nil {
			return nil, fmt.Errorf("the default policy of tenant %s: %w", tenant, err)
		}
	}
	return b, nil
}

// Run reads again until ctx ends, and tells report of each error.
func (b *Book) Run(ctx context.Context, report func(error)) {
	t := time.NewTicker(RefreshEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := b.Refresh(ctx); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}

// Refresh reads the store, and the directory if it changed. What cannot be
// read leaves in force what was.
func (b *Book) Refresh(ctx context.Context) error {
	b.write.Lock()
	defer b.write.Unlock()
	old := b.state.Load()
	next := &state{base: old.base, tenants: old.tenants}
	var errs []error
	if print, err := fingerprintOf(b.Dir); err != nil {
		errs = append(errs, err)
	} else if print != b.dir {
		base, print, err := readDir(b.Dir)
		if err == nil {
			next.base = base
		}
		// A broken directory is reported once, and again when it changes.
		b.dir = print
		errs = append(errs, err)
	}
	tenants, err := b.read(ctx)
	if err == nil {
		next.tenants = tenants
	}
	b.state.Store(next)
	return errors.Join(append(errs, err)...)
}

// read gives what the store holds.
func (b *Book) read(ctx context.Context) (map[string]*shelf, error) {
	tenants := make(map[string]*shelf)
	of := func(tenant string) *shelf {
		if tenants[tenant] == nil {
			tenants[tenant] = &shelf{policies: make(map[string]*entry)}
		}
		return tenants[tenant]
	}
	var before map[string]*shelf
	if old := b.state.Load(); old != nil {
		before = old.tenants
	}
	for o, err := range b.Store.List(ctx, kindPolicy, "*") {
		if err != nil {
			return nil, fmt.Errorf("reading policies: %w", err)
		}
		if sh := before[o.Tenant]; sh != nil && sh.policies[o.Name] != nil && sh.policies[o.Name].version == o.Version {
			of(o.Tenant).policies[o.Name] = sh.policies[o.Name]
			continue
		}
		e, err := open(o)
		if err != nil {
			return nil, fmt.Errorf("stored policy %s: %w", o.Name, err)
		}
		of(o.Tenant).policies[o.Name] = e
	}
	for o, err := range b.Store.List(ctx, kindWords, "*") {
		if err != nil {
			return nil, fmt.Errorf("reading dictionaries: %w", err)
		}
		sh := of(o.Tenant)
		if old := before[o.Tenant]; old != nil && old.version == o.Version {
			sh.words, sh.version = old.words, old.version
			continue
		}
		if sh.words, err = policy.ParseDictionary(o.Data); err != nil {
			return nil, fmt.Errorf("stored dictionary: %w", err)
		}
		sh.version = o.Version
	}
	return tenants, nil
}

func open(o objects.Object) (*entry, error) {
	r, err := policy.ParseRollout(o.Data)
	if err != nil {
		return nil, err
	}
	return made(r, o.Version)
}

func made(r policy.Rollout, version uint64) (*entry, error) {
	e := &entry{rollout: r, version: version, releases: make(map[string]*policy.Policy)}
	for _, rel := range r.Releases {
		p, err := rel.Policy(r.Name)
		if err != nil {
			return nil, err
		}
		e.releases[rel.Version] = p
	}
	return e, nil
}

// Policy gives the policy that judges a subject, with the one that judges
// besides it in shadow and the tenant's words. An empty name means the
// tenant's default; a zero subject is judged by the current version. It
// returns verifier.ErrUnknownPolicy.
func (b *Book) Policy(tenant, name string, who verifier.Pseudonym) (verifier.Chosen, error) {
	s := b.state.Load()
	sh := s.shelf(tenant)
	if name == "" {
		name = b.Defaults[tenant]
	}
	if name == "" {
		name = b.Default
	}
	c := verifier.Chosen{Words: sh.words}
	if e, ok := sh.policies[name]; ok {
		subject := ""
		if who != (verifier.Pseudonym{}) {
			subject = string(who[:])
		}
		enforced, shadow := e.rollout.Pick(b.Key, subject)
		c.Policy, c.Shadow = e.releases[enforced], e.releases[shadow]
		return c, nil
	}
	p, ok := s.base.Get(name)
	if !ok {
		return c, verifier.ErrUnknownPolicy
	}
	c.Policy = p
	return c, nil
}

// Summary names one policy of a tenant.
type Summary struct {
	Policy  *policy.Policy
	Builtin bool
	Default bool
}

// List gives the policies that a tenant can name, sorted.
func (b *Book) List(tenant string) []Summary {
	s := b.state.Load()
	fallback, err := b.Policy(tenant, "", verifier.Pseudonym{})
	if err != nil {
		panic(err) // New made sure of it, and a default is never removed
	}
	var out []Summary
	for _, name := range s.base.Names() {
		p, _ := s.base.Get(name)
		out = append(out, Summary{Policy: p, Builtin: s.base.BuiltIn(name)})
	}
	for _, e := range s.shelf(tenant).policies {
		out = append(out, Summary{Policy: e.releases[e.rollout.Current]})
	}
	for i := range out {
		out[i].Default = out[i].Policy.Name() == fallback.Policy.Name()
	}
	slices.SortFunc(out, func(x, y Summary) int {
		switch {
		case x.Policy.Name() < y.Policy.Name():
			return -1
		case x.Policy.Name() > y.Policy.Name():
			return 1
		}
		return 0
	})
	return out
}

// Stored is one policy with its history.
type Stored struct {
	Policy *policy.Policy
	Source []byte
	// Rollout is zero for a policy that is not stored.
	Rollout policy.Rollout
}

// Get gives a policy, in its current version when version is empty.
func (b *Book) Get(tenant, name, version string) (Stored, error) {
	s := b.state.Load()
	e, ok := s.shelf(tenant).policies[name]
	if !ok {
		p, ok := s.base.Get(name)
		if !ok {
			return Stored{}, verifier.ErrUnknownPolicy
		}
		if version != "" && version != p.Version() {
			return Stored{}, ErrUnknownVersion
		}
		src, _ := s.base.Source(name)
		return Stored{Policy: p, Source: src}, nil
	}
	if version == "" {
		version = e.rollout.Current
	}
	rel, ok := e.rollout.Release(version)
	if !ok {
		return Stored{}, ErrUnknownVersion
	}
	return Stored{Policy: e.releases[version], Source: rel.Source, Rollout: e.rollout}, nil
}

// Parse reads a draft that may extend any policy the tenant can name.
func (b *Book) Parse(tenant, name string, doc []byte) (*policy.Policy, error) {
	s := b.state.Load()
	set, err := s.set(tenant)
	if err != nil {
		return nil, err
	}
	return set.Parse(name, doc)
}

// set gives all policies that a tenant can name, in their current versions.
func (s *state) set(tenant string) (*policy.Set, error) {
	docs := make(map[string][]byte)
	for name, e := range s.shelf(tenant).policies {
		rel, _ := e.rollout.Release(e.rollout.Current)
		docs[name] = rel.Effective
	}
	return s.base.With(docs)
}

// change replaces one tenant's shelf in a new state.
func (b *Book) change(tenant string, f func(*shelf)) {
	old := b.state.Load()
	next := &state{base: old.base, tenants: make(map[string]*shelf, len(old.tenants)+1)}
	for t, sh := range old.tenants {
		next.tenants[t] = sh
	}
	was := old.shelf(tenant)
	sh := &shelf{policies: make(map[string]*entry), words: was.words, version: was.version}
	for n, e := range was.policies {
		sh.policies[n] = e
	}
	f(sh)
	next.tenants[tenant] = sh
	b.state.Store(next)
}

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
	"strings"
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

// Kinds are the kinds of objects that a Book keeps for a tenant.
var Kinds = []string{kindPolicy, kindWords, kindHistogram}

// RefreshEvery is how often stored policies and the directory are read again,
// FlushEvery how often recorded outcomes are written. A changed directory is
// taken once it has stayed the same from one look to the next.
const (
	RefreshEvery = 2 * time.Second
	FlushEvery   = time.Minute
)

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
	// DefaultOf gives that of a tenant that is not in Defaults, empty for none;
	// nil means that there are no others.
	DefaultOf func(tenant string) string
	// Key decides, per subject, on which side of a roll-out it falls.
	Key []byte
	Now func() time.Time
}

// Book is the shelf of all tenants.
type Book struct {
	Config
	state atomic.Pointer[state]
	write sync.Mutex // held while state is replaced
	// taken is the content of the directory that was last taken or refused, and
	// refused why it was; seen is that of the last look.
	taken, seen fingerprint
	refused     error

	flushing sync.Mutex // held while outcomes are between memory and store
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

// New reads everything once. It fails when a default policy does not exist, a
// file of the directory is no policy, or what is stored cannot be read: a start
// is the time to say so.
func New(ctx context.Context, c Config) (*Book, error) {
	b := &Book{Config: c}
	b.recorded.tenants = make(map[string]*policy.Histogram)
	look := look(c.Dir)
	base, err := look.set()
	if err != nil {
		return nil, err
	}
	b.taken, b.seen = look.print, look.print
	tenants, err := b.read(ctx, nil)
	if err != nil {
		return nil, err
	}
	s := &state{base: base, tenants: tenants}
	if err := b.complete(s); err != nil {
		return nil, err
	}
	b.state.Store(s)
	return b, nil
}

// complete makes sure that every default policy is there.
func (b *Book) complete(s *state) error {
	if _, err := b.choose(s, "", b.Default, verifier.Pseudonym{}); err != nil {
		return fmt.Errorf("policy.default: %w", err)
	}
	for tenant, name := range b.Defaults {
		if _, err := b.choose(s, tenant, name, verifier.Pseudonym{}); err != nil {
			return fmt.Errorf("the default policy of tenant %s: %w", tenant, err)
		}
	}
	return nil
}

// Run keeps the book up to date and writes what it recorded until ctx ends. It
// tells report of each error once, not at every look.
func (b *Book) Run(ctx context.Context, report func(error)) {
	look, flush := time.NewTicker(RefreshEvery), time.NewTicker(FlushEvery)
	defer look.Stop()
	defer flush.Stop()
	last := ""
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			if err := b.Flush(ctx); err != nil && ctx.Err() == nil {
				report(fmt.Errorf("recorded outcomes: %w", err))
			}
			continue
		case <-look.C:
			err = b.Refresh(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			last = ""
		case err.Error() != last:
			last = err.Error()
			report(err)
		}
	}
}

// Refresh reads the store, and the directory if it changed. What cannot be
// read leaves in force what was, and is an error at every call until it is
// mended.
func (b *Book) Refresh(ctx context.Context) error {
	b.write.Lock()
	defer b.write.Unlock()
	old := b.state.Load()
	next := &state{base: old.base}
	var err error
	next.tenants, err = b.read(ctx, old.tenants)

	// Somebody may be writing the files: a file that was cut short can be a
	// policy too, with fewer rules.
	look := look(b.Dir)
	if look.print == b.seen && look.print != b.taken {
		b.taken = look.print
		var base *policy.Set
		if base, b.refused = look.set(); b.refused == nil {
			if b.refused = b.complete(&state{base: base, tenants: next.tenants}); b.refused == nil {
				next.base = base
			}
		}
	}
	b.seen = look.print
	b.state.Store(next)
	return errors.Join(b.refused, err)
}

// read gives what the store holds. What cannot be read stays as it was before,
// and is an error besides.
func (b *Book) read(ctx context.Context, before map[string]*shelf) (map[string]*shelf, error) {
	tenants := make(map[string]*shelf)
	of := func(tenant string) *shelf {
		if tenants[tenant] == nil {
			tenants[tenant] = &shelf{policies: make(map[string]*entry)}
		}
		return tenants[tenant]
	}
	was := func(tenant string) *shelf { return (&state{tenants: before}).shelf(tenant) }
	var faults []error
	for o, err := range b.Store.List(ctx, kindPolicy, objects.AllTenants) {
		if err != nil {
			return before, fmt.Errorf("reading policies: %w", err)
		}
		e := was(o.Tenant).policies[o.Name]
		if e == nil || e.version != o.Version {
			opened, err := open(o)
			if err != nil {
				faults = append(faults, fmt.Errorf("stored policy %s: %w", o.Name, err))
			} else {
				e = opened
			}
		}
		if e != nil {
			of(o.Tenant).policies[o.Name] = e
		}
	}
	for o, err := range b.Store.List(ctx, kindWords, objects.AllTenants) {
		if err != nil {
			return before, fmt.Errorf("reading dictionaries: %w", err)
		}
		sh, old := of(o.Tenant), was(o.Tenant)
		sh.words, sh.version = old.words, old.version
		if old.version == o.Version {
			continue
		}
		words, err := policy.ParseDictionary(o.Data)
		if err != nil {
			faults = append(faults, fmt.Errorf("stored dictionary: %w", err))
			continue
		}
		sh.words, sh.version = words, o.Version
	}
	return tenants, errors.Join(faults...)
}

// open reads one stored policy.
func open(o objects.Object) (*entry, error) {
	r, err := policy.ParseRollout(o.Data)
	if err != nil {
		return nil, err
	}
	return made(r, o.Version, nil)
}

// made parses the releases of a roll-out, except those that are known.
func made(r policy.Rollout, version uint64, known map[string]*policy.Policy) (*entry, error) {
	e := &entry{rollout: r, version: version, releases: make(map[string]*policy.Policy)}
	for _, rel := range r.Releases {
		p := known[rel.Version]
		if p == nil {
			var err error
			if p, err = rel.Policy(r.Name); err != nil {
				return nil, err
			}
			if p.Version() != rel.Version {
				return nil, policy.ErrRolloutForm
			}
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
	return b.choose(b.state.Load(), tenant, b.named(tenant, name), who)
}

// named puts the tenant's default in the place of an empty name.
func (b *Book) named(tenant, name string) string {
	for _, n := range []string{name, b.Defaults[tenant]} {
		if n != "" {
			return n
		}
	}
	if b.DefaultOf != nil {
		if n := b.DefaultOf(tenant); n != "" {
			return n
		}
	}
	return b.Default
}

func (b *Book) choose(s *state, tenant, name string, who verifier.Pseudonym) (verifier.Chosen, error) {
	sh := s.shelf(tenant)
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

// InForce gives the policies that judge the accounts of a tenant when none is
// named: the default and, while it is rolled out, its candidate.
func (b *Book) InForce(tenant string) ([]*policy.Policy, error) {
	s, name := b.state.Load(), b.named(tenant, "")
	if e, ok := s.shelf(tenant).policies[name]; ok && e.rollout.Candidate != "" && e.rollout.Percent > 0 {
		return []*policy.Policy{e.releases[e.rollout.Current], e.releases[e.rollout.Candidate]}, nil
	}
	c, err := b.choose(s, tenant, name, verifier.Pseudonym{})
	if err != nil {
		return nil, err
	}
	return []*policy.Policy{c.Policy}, nil
}

// Summary names one policy of a tenant.
type Summary struct {
	Policy  *policy.Policy
	Builtin bool
	Default bool
}

// List gives the policies that a tenant can name, sorted. A stored one hides
// one of the same name from a file.
func (b *Book) List(tenant string) []Summary {
	s, fallback := b.state.Load(), b.named(tenant, "")
	stored := s.shelf(tenant).policies
	var out []Summary
	for _, name := range s.base.Names() {
		if stored[name] == nil {
			p, _ := s.base.Get(name)
			out = append(out, Summary{Policy: p, Builtin: s.base.BuiltIn(name), Default: name == fallback})
		}
	}
	for name, e := range stored {
		out = append(out, Summary{Policy: e.releases[e.rollout.Current], Default: name == fallback})
	}
	slices.SortFunc(out, func(x, y Summary) int { return strings.Compare(x.Policy.Name(), y.Policy.Name()) })
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

// Parse reads a draft that may extend any policy the tenant can name, in its
// current version.
func (b *Book) Parse(tenant, name string, doc []byte) (*policy.Policy, error) {
	s := b.state.Load()
	return policy.ParseOn(name, doc, func(name string) (*policy.Policy, bool) {
		c, err := b.choose(s, tenant, name, verifier.Pseudonym{})
		return c.Policy, err == nil
	})
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

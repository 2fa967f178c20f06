// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

// Default is the name of the policy that holds where none is chosen.
const Default = "nist-800-63b-4"

//go:embed profiles/*.yaml
var profiles embed.FS

// Set is a consistent set of policies: every parent is in it. It does not
// change; With gives a new one.
type Set struct {
	policies map[string]*Policy
	sources  map[string][]byte
	builtin  map[string]bool
}

// Builtin gives the policies that follow a published standard.
func Builtin() *Set { return builtin() }

// Profiles lists the policies of Builtin, and Profile gives the document of
// one, for those who cannot wait until all are read.
func Profiles() []string {
	entries, err := profiles.ReadDir("profiles")
	if err != nil {
		panic(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Profile gives the document of a policy of Builtin.
func Profile(name string) ([]byte, bool) {
	b, err := profiles.ReadFile(path.Join("profiles", name+".yaml"))
	return b, err == nil
}

var builtin = sync.OnceValue(func() *Set {
	sources := map[string][]byte{}
	for _, name := range Profiles() {
		sources[name], _ = Profile(name)
	}
	s, err := (&Set{}).With(sources)
	if err != nil {
		panic("policy: a built-in profile is wrong: " + err.Error())
	}
	s.builtin = map[string]bool{}
	for name := range sources {
		s.builtin[name] = true
	}
	return s
})

// Get gives the policy of that name.
func (s *Set) Get(name string) (*Policy, bool) {
	p, ok := s.policies[name]
	return p, ok
}

// Names lists the policies, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.policies)) }

// Source gives the document of that name as it was written.
func (s *Set) Source(name string) ([]byte, bool) {
	b, ok := s.sources[name]
	return slices.Clone(b), ok
}

// BuiltIn tells whether the policy of that name comes with the program. Such
// a policy cannot be replaced or removed.
func (s *Set) BuiltIn(name string) bool { return s.builtin[name] }

// Nearest gives the policy for a role of an application of a tenant: the
// first that exists of "tenant.application.role", "tenant.application",
// "tenant". Empty parts are left out. Each may extend the one above it.
func (s *Set) Nearest(tenant, application, role string) (*Policy, bool) {
	for _, name := range []string{
		tenant + "." + application + "." + role,
		tenant + "." + application,
		tenant,
	} {
		if ValidName(name) != nil || strings.HasSuffix(name, ".") {
			continue
		}
		if p, ok := s.policies[name]; ok {
			return p, true
		}
	}
	return nil, false
}

// Parse reads a policy that may extend one of the set, without adding it.
func (s *Set) Parse(name string, doc []byte) (*Policy, error) { return ParseOn(name, doc, s.Get) }

// ParseOn reads a policy that may extend any that find gives.
func ParseOn(name string, doc []byte, find func(name string) (*Policy, bool)) (*Policy, error) {
	if err := ValidName(name); err != nil {
		return nil, err
	}
	var head document
	if _, err := decode(doc, &head); err != nil {
		return nil, err
	}
	if head.Extends == "" {
		return parse(name, doc, nil)
	}
	parent, ok := find(head.Extends)
	if !ok {
		return nil, errorAt("extends", "names no policy")
	}
	for depth, at := 0, parent; at != nil; depth++ {
		if at.name == name {
			return nil, errorAt("extends", "leads back to the policy itself")
		}
		if depth == maxExtends {
			return nil, errorAt("extends", "is longer than 8 steps")
		}
		at, _ = find(at.Extends())
	}
	return parse(name, doc, parent)
}

// With gives a set with the documents added or put in the place of those of
// the same name; an empty document removes. Policies that extend a changed
// one are read anew. If any document of the result is wrong, With gives an
// error that names it, and s stays as it is.
func (s *Set) With(docs map[string][]byte) (*Set, error) {
	out := &Set{policies: map[string]*Policy{}, sources: maps.Clone(s.sources), builtin: s.builtin}
	if out.sources == nil {
		out.sources = map[string][]byte{}
	}
	for name, doc := range docs {
		switch {
		case ValidName(name) != nil:
			return nil, ErrName
		case s.builtin[name]:
			return nil, fmt.Errorf("policy %s is built in: extend it under another name", name)
		case len(doc) == 0:
			delete(out.sources, name)
		default:
			out.sources[name] = slices.Clone(doc)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(out.sources)) {
		if err := out.resolve(name, nil, s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// resolve parses one policy after those it extends, unless nothing about it
// has changed since the set before.
func (s *Set) resolve(name string, below []string, before *Set) error {
	if s.policies[name] != nil {
		return nil
	}
	wrap := func(err error) error { return fmt.Errorf("policy %s: %w", name, err) }
	switch {
	case slices.Contains(below, name):
		return wrap(errorAt("extends", "leads back to the policy itself"))
	case len(below) > maxExtends:
		return wrap(errorAt("extends", "is longer than 8 steps"))
	}
	old := before.policies[name]
	if old != nil && !bytes.Equal(before.sources[name], s.sources[name]) {
		old = nil
	}
	var extends string
	if old != nil {
		extends = old.Extends()
	} else {
		var head document
		if _, err := decode(s.sources[name], &head); err != nil {
			return wrap(err)
		}
		extends = head.Extends
	}
	if extends != "" {
		if _, ok := s.sources[extends]; !ok {
			return wrap(errorAt("extends", "names no policy"))
		}
		if err := s.resolve(extends, append(below, name), before); err != nil {
			return err
		}
	}
	if old != nil && s.policies[extends] == before.policies[extends] {
		s.policies[name] = old
		return nil
	}
	p, err := s.Parse(name, s.sources[name])
	if err != nil {
		return wrap(err)
	}
	s.policies[name] = p
	return nil
}

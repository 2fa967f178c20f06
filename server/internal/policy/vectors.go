// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/watchword-project/watchword/server/internal/password"
)

// The golden vectors travel with the program, so that a policy can be held
// against them where it is in force, and not only where it was written.
//
//go:embed golden.yaml
var goldenVectors []byte

// Vector is a golden vector: a password with what is known about it, and what a
// built-in policy says to it.
type Vector struct {
	Name   string
	Sample Sample
	// Want are the rules that it breaks, in order; none if it is accepted.
	Want []string
	// Advice are ids of advice that must be given.
	Advice []string
	// Clause is the clause that every policy which keeps it must judge this
	// vector by: to break one of Want, or to be accepted at some length. Empty
	// where the built-in policy goes beyond what its standard asks for.
	Clause string
}

// vectorsNow is when the vectors are judged.
var vectorsNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// vectorEntry is one line of golden.yaml.
type vectorEntry struct {
	Name, Password, Use, Purpose, Previous string
	Context                                struct {
		Login                        string
		Emails, Names, Phones, Words []string
		BirthDate                    string `yaml:"birthDate"`
	}
	Listed *struct {
		List, Form string
		Rank       int
	}
	Breach     uint64
	Degraded   bool
	Log10      float64
	Dictionary []string
	Reused     bool
	Hours      int
	Want       []string
	Advice     []string
	Clause     string
}

func (e *vectorEntry) vector() (Vector, error) {
	v := Vector{Name: e.Name, Want: e.Want, Advice: e.Advice, Clause: e.Clause}
	text, err := password.New(e.Password)
	if err != nil {
		return v, err
	}
	v.Sample = Sample{
		Text:    text,
		Purpose: map[string]Purpose{"": Signup, "change": Change, "reset": Reset, "login": Login}[e.Purpose],
		Context: Context(e.Context),
		Evidence: Evidence{
			Breach:     Breach{Status: Performed, Found: e.Breach > 0, Count: e.Breach},
			HistoryHit: e.Reused, Now: vectorsNow,
		},
	}
	s := &v.Sample
	if e.Use == "multi" {
		s.Use = MultiFactor
	}
	if e.Degraded {
		s.Evidence.Breach.Status = Degraded
	}
	if e.Listed != nil {
		s.Evidence.Listed = []Listed{{List: e.Listed.List, Form: e.Listed.Form, Rank: e.Listed.Rank}}
	}
	if e.Log10 > 0 {
		s.Evidence.Estimate = &Estimate{GuessesLog10: e.Log10}
	}
	if e.Previous != "" {
		if s.Evidence.Previous, err = password.New(e.Previous); err != nil {
			return v, err
		}
	}
	if e.Hours > 0 {
		s.Evidence.LastChanged = vectorsNow.Add(-time.Duration(e.Hours) * time.Hour)
	}
	if e.Dictionary != nil {
		if s.Evidence.Dictionary, err = (*Dictionary)(nil).Add(e.Dictionary...); err != nil {
			return v, err
		}
	}
	return v, nil
}

var readVectors = sync.OnceValue(func() map[string][]Vector {
	var all map[string][]vectorEntry
	d := yaml.NewDecoder(bytes.NewReader(goldenVectors))
	d.KnownFields(true)
	if err := d.Decode(&all); err != nil {
		panic(fmt.Sprintf("policy: golden vectors: %v", err))
	}
	out := make(map[string][]Vector, len(all))
	for name, entries := range all {
		for i := range entries {
			v, err := entries[i].vector()
			if err != nil {
				panic(fmt.Sprintf("policy: golden vector %s: %v", entries[i].Name, err))
			}
			out[name] = append(out[name], v)
		}
	}
	return out
})

// Vectors gives the golden vectors of each built-in policy.
func Vectors() map[string][]Vector { return readVectors() }

// Trial is how a policy did on the vectors of one clause.
type Trial struct {
	Run int
	// Failed are the names of the vectors that it judged otherwise than the
	// clause asks.
	Failed []string
}

// Try judges the golden vectors of a standard by p, and tells by clause how it
// did.
func (p *Policy) Try(standard string) map[string]Trial {
	out := map[string]Trial{}
	for _, v := range readVectors()[standard] {
		if v.Clause == "" {
			continue
		}
		t := out[v.Clause]
		t.Run++
		if s := v.Sample; !v.holds(p.Judge(s.Text, s.Use, s.Purpose, s.Context, s.Evidence)) {
			t.Failed = append(t.Failed, v.Name)
		}
		out[v.Clause] = t
	}
	return out
}

// byWords are the rules that refuse words of the context and the dictionary;
// a policy may choose by which of them it does.
var byWords = []string{ContextDerived, InDictionary, ContainsWord, FuzzyScore}

func (v *Vector) holds(got Verdict) bool {
	if len(v.Want) == 0 {
		// A greater length than the vector has is asked for by some and forbidden
		// by none.
		return !slices.ContainsFunc(got.Violations, func(x Violation) bool { return x.Rule != LengthMin })
	}
	return slices.ContainsFunc(got.Violations, func(x Violation) bool {
		return slices.Contains(v.Want, x.Rule) || slices.Contains(byWords, x.Rule) && slices.Contains(byWords, v.Want[0])
	})
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/watchword-project/watchword/server/internal/policy"
)

var (
	key      = bytes.Repeat([]byte{7}, 32)
	proofKey = policy.NewProofKey(key)
)

func proof(t testing.TB) policy.Proof {
	return policy.Proof{
		Tenant: "acme", Policy: "p", Version: "1.aa", State: "words 3", Use: policy.MultiFactor, Purpose: policy.Change,
		Context: policy.Context{Login: "alice", Emails: []string{"a@example.com"}, Names: []string{"Alice", "Smith"}, BirthDate: "1990-05-12"},
		Text:    text(t, "gorilla-umbrella-tax"),
	}
}

func TestProof(t *testing.T) {
	expires := now.Add(10 * time.Minute)
	token := proof(t).Sign(proofKey, expires)
	if err := proof(t).Verify(proofKey, token, expires.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	// What an earlier version of the program handed out is good for this one.
	const before = "AQAAAABoTuGAAsexn4P_NmDy3D8QmYDDg-MxjjMfc_y1zlsGDDH6mkHqsyaUo9KeERmD36cdeDeG"
	if got := proof(t).Sign(policy.NewProofKey([]byte("key")), time.Unix(1_750_000_000, 0)); got != before {
		t.Errorf("Sign() = %q, want %q", got, before)
	}
	if len(token) > 100 || strings.ContainsAny(token, "+/=") {
		t.Errorf("token of %d characters is not fit for a form", len(token))
	}
	for name, c := range map[string]struct {
		change func(p *policy.Proof)
		want   error
	}{
		"tenant":         {func(p *policy.Proof) { p.Tenant = "other" }, policy.ErrProofMismatch},
		"policy":         {func(p *policy.Proof) { p.Policy = "q" }, policy.ErrProofStale},
		"version":        {func(p *policy.Proof) { p.Version = "2.aa" }, policy.ErrProofStale},
		"state":          {func(p *policy.Proof) { p.State = "words 4" }, policy.ErrProofStale},
		"fields shifted": {func(p *policy.Proof) { p.Policy, p.Version = "p1", ".aa" }, policy.ErrProofStale},
		"use":            {func(p *policy.Proof) { p.Use = policy.SingleFactor }, policy.ErrProofMismatch},
		"purpose":        {func(p *policy.Proof) { p.Purpose = policy.Reset }, policy.ErrProofMismatch},
		"password":       {func(p *policy.Proof) { p.Text = text(t, "gorilla-umbrella-taX") }, policy.ErrProofMismatch},
		"login":          {func(p *policy.Proof) { p.Context.Login = "bob" }, policy.ErrProofMismatch},
		"no context":     {func(p *policy.Proof) { p.Context = policy.Context{} }, policy.ErrProofMismatch},
		"names joined":   {func(p *policy.Proof) { p.Context.Names = []string{"AliceSmith"} }, policy.ErrProofMismatch},
		"list moved": {func(p *policy.Proof) { p.Context.Phones, p.Context.Names = p.Context.Names, nil },
			policy.ErrProofMismatch},
	} {
		p := proof(t)
		c.change(&p)
		if err := p.Verify(proofKey, token, now); !errors.Is(err, c.want) {
			t.Errorf("%s: Verify = %v, want %v", name, err, c.want)
		}
	}
	if err := proof(t).Verify(proofKey, token, expires); !errors.Is(err, policy.ErrProofStale) {
		t.Errorf("expired: %v", err)
	}
	if err := proof(t).Verify(policy.NewProofKey([]byte("other key")), token, now); !errors.Is(err, policy.ErrProofMismatch) {
		t.Errorf("other key: %v", err)
	}
	for i := range token {
		b := []byte(token)
		b[i] ^= 1
		if err := proof(t).Verify(proofKey, string(b), now); err == nil {
			t.Errorf("a token with character %d changed was taken", i)
		}
	}
	for _, bad := range []string{"", "x", token + "A", token[:len(token)-2], strings.Repeat("A", 1<<20)} {
		if err := proof(t).Verify(proofKey, bad, now); !errors.Is(err, policy.ErrProofMismatch) {
			t.Errorf("token of %d bytes: %v", len(bad), err)
		}
	}
}

func version(t testing.TB, n int) *policy.Policy {
	p, err := policy.Parse("acme", fmt.Appendf(nil, "extends: nist-800-63b-4\nversion: %d", n))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRollout(t *testing.T) {
	var r policy.Rollout
	put := func(n int, immediately bool) {
		r = r.Put(version(t, n), []byte("source"), immediately, now)
	}
	want := func(current, candidate int, enforced, shadow int) {
		t.Helper()
		name := func(n int) string {
			if n == 0 {
				return ""
			}
			return version(t, n).Version()
		}
		e, s := r.Pick(key, "")
		if r.Current != name(current) || r.Candidate != name(candidate) || e != name(enforced) || s != name(shadow) {
			t.Fatalf("current %s, candidate %s, picked %s and %s; want %d, %d, %d, %d", r.Current, r.Candidate, e, s, current, candidate, enforced, shadow)
		}
		again, err := policy.ParseRollout(r.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("read back: %s", diff)
		}
	}
	set := func(percent int, shadow bool) {
		t.Helper()
		next, err := r.Set(percent, shadow)
		if err != nil {
			t.Fatal(err)
		}
		r = next
	}
	put(1, false)
	want(1, 0, 1, 0)
	if _, err := r.Rollback(); !errors.Is(err, policy.ErrNoEarlier) {
		t.Errorf("Rollback of the first version = %v", err)
	}
	if _, err := r.Set(5, false); !errors.Is(err, policy.ErrNoCandidate) {
		t.Errorf("Set without a candidate = %v", err)
	}
	put(2, false)
	want(1, 2, 1, 2)
	for _, percent := range []int{-1, 101} {
		if _, err := r.Set(percent, false); !errors.Is(err, policy.ErrPercent) {
			t.Errorf("Set(%d) = %v", percent, err)
		}
	}
	set(0, false)
	want(1, 2, 1, 0)
	set(30, true)
	want(1, 2, 1, 2)

	in := map[string]bool{}
	for i := range 20_000 {
		s := fmt.Sprint("subject", i)
		if e, _ := r.Pick(key, s); e == r.Candidate {
			in[s] = true
		}
	}
	// Five standard deviations of a binomial with 20,000 and 0.3.
	if n := len(in); math.Abs(float64(n)-6000) > 5*65 {
		t.Errorf("30 %% of 20,000 is %d", n)
	}
	set(60, true)
	for s := range in {
		if e, _ := r.Pick(key, s); e != r.Candidate {
			t.Fatalf("%s left the candidate when the share grew", s)
		}
	}
	same := 0
	for s := range in {
		if e, _ := r.Pick([]byte("other"), s); e == r.Candidate {
			same++
		}
	}
	if same == len(in) {
		t.Error("the choice does not depend on the key")
	}
	before := r
	set(100, false)
	want(2, 0, 2, 0)
	if before.Current == r.Current {
		t.Error("a step changed the value it began with")
	}
	put(3, true)
	want(3, 0, 3, 0)
	put(4, false)
	want(3, 4, 3, 4)
	back := func() {
		t.Helper()
		next, err := r.Rollback()
		if err != nil {
			t.Fatal(err)
		}
		if next.Revision != r.Revision+1 {
			t.Errorf("revision %d after %d", next.Revision, r.Revision)
		}
		r = next
	}
	back()
	want(3, 0, 3, 0)
	back()
	want(2, 0, 2, 0)
	back()
	want(1, 0, 1, 0)
	for n := range 40 {
		put(10+n, n%2 == 0)
	}
	if len(r.Releases) > 16 {
		t.Errorf("%d releases kept", len(r.Releases))
	}
	want(48, 49, 48, 49)
	x, ok := r.Release(r.Current)
	if !ok {
		t.Fatal("the current release is gone")
	}
	if p, err := x.Policy("acme"); err != nil || p.Version() != r.Current || p.Needs() != version(t, 48).Needs() {
		t.Errorf("release %s: %v", x.Version, err)
	}
}

func TestParseRolloutRefuses(t *testing.T) {
	good := policy.Rollout{}.Put(version(t, 1), []byte("x"), false, now)
	spoil := func(f func(r *policy.Rollout)) []byte {
		r := good
		r.Releases = slices.Clone(good.Releases)
		f(&r)
		return r.Marshal()
	}
	for name, b := range map[string][]byte{
		"empty":      nil,
		"name":       spoil(func(r *policy.Rollout) { r.Name = "../x" }),
		"percent":    spoil(func(r *policy.Rollout) { r.Percent = 100 }),
		"current":    spoil(func(r *policy.Rollout) { r.Current = "9.99" }),
		"candidate":  spoil(func(r *policy.Rollout) { r.Candidate = "9.99" }),
		"document":   spoil(func(r *policy.Rollout) { r.Releases[0].Effective = []byte("version: 1") }),
		"no release": spoil(func(r *policy.Rollout) { r.Releases = nil }),
	} {
		if _, err := policy.ParseRollout(b); !errors.Is(err, policy.ErrRolloutForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInterval compares with the exact binomial intervals tabulated for small
// samples (Clopper and Pearson 1934) and with the rule of three.
func TestInterval(t *testing.T) {
	for _, c := range []struct {
		k, n      uint64
		low, high float64
	}{
		{0, 10, 0, 0.3085}, {1, 10, 0.0025, 0.4450}, {5, 10, 0.1871, 0.8129}, {10, 10, 0.6915, 1},
		{0, 100, 0, 0.0362}, {50, 100, 0.3983, 0.6017}, {95, 100, 0.8872, 0.9836},
	} {
		s := policy.Interval(c.k, c.n)
		if math.Abs(s.Low-c.low) > 6e-5 || math.Abs(s.High-c.high) > 6e-5 || s.Rate != float64(c.k)/float64(c.n) {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.k, c.n, s.Low, s.High, c.low, c.high)
		}
	}
	big := policy.Interval(300_000_000, 1_000_000_000)
	if half := 1.96 * math.Sqrt(0.21/1e9); math.Abs(big.Low-(0.3-half)) > 1e-7 || math.Abs(big.High-(0.3+half)) > 1e-7 {
		t.Errorf("of a billion: %.8f to %.8f", big.Low, big.High)
	}
	if s := policy.Interval(0, 0); s.Low != 0 || s.High != 1 {
		t.Errorf("of nothing: %+v", s)
	}
}

// TestIntervalCovers draws samples of a known rate: the interval must hold it
// in at least 95 of 100 cases. Of 2,000 draws fewer than 1,850 would be ten
// standard deviations away.
func TestIntervalCovers(t *testing.T) {
	rng := mathrand.New(mathrand.NewPCG(1, 2))
	for _, rate := range []float64{0.02, 0.3, 0.9} {
		covered := 0
		for range 2000 {
			var k uint64
			for range 60 {
				if rng.Float64() < rate {
					k++
				}
			}
			if s := policy.Interval(k, 60); s.Low <= rate && rate <= s.High {
				covered++
			}
		}
		if covered < 1850 {
			t.Errorf("rate %.2f was covered %d times of 2000", rate, covered)
		}
	}
}

func samples(t testing.TB) []policy.Sample {
	var out []policy.Sample
	for _, name := range policy.Builtin().Names() {
		for _, v := range policy.Vectors()[name] {
			out = append(out, v.Sample)
		}
	}
	return out
}

func TestSimulate(t *testing.T) {
	all := samples(t)
	for _, name := range policy.Builtin().Names() {
		p := get(t, name)
		accepted, reasons := uint64(0), map[string]uint64{}
		for _, s := range all {
			v := judge(p, s)
			if v.Accept {
				accepted++
			}
			r := rules(v.Violations)
			slices.Sort(r)
			for _, x := range slices.Compact(r) {
				reasons[x]++
			}
		}
		got := policy.Simulate(p, slices.Values(all))
		if got.N != uint64(len(all)) || got.Accepted.Count != accepted || len(got.Reasons) != len(reasons) {
			t.Errorf("%s: %d of %d accepted for %d reasons, want %d for %d", name, got.Accepted.Count, got.N, len(got.Reasons), accepted, len(reasons))
		}
		for i, r := range got.Reasons {
			if r.Count != reasons[r.Rule] || r.Low > r.Rate || r.High < r.Rate || i > 0 && r.Count > got.Reasons[i-1].Count {
				t.Errorf("%s: reason %+v, want %d", name, r, reasons[r.Rule])
			}
		}
		shadow := parse(t, "extends: "+name+"\nmode: shadow")
		if s := policy.Simulate(shadow, slices.Values(all)); s.Accepted != got.Accepted {
			t.Errorf("%s in shadow mode: %+v, want %+v", name, s.Accepted, got.Accepted)
		}
	}
	if r := policy.Simulate(get(t, policy.Default), slices.Values([]policy.Sample(nil))); r.N != 0 || r.Accepted.High != 1 {
		t.Errorf("of no samples: %+v", r)
	}
}

// TestHistogramAgrees asks that a simulation on recorded outcomes says the
// same as one on the passwords themselves, but for rules it calls undecided.
func TestHistogramAgrees(t *testing.T) {
	all := samples(t)
	for _, name := range policy.Builtin().Names() {
		p := get(t, name)
		for i, s := range all {
			var h policy.Histogram
			h.Add(policy.Observe(s))
			r := policy.SimulateHistogram(p, &h)
			var got []string
			for _, x := range r.Reasons {
				got = append(got, x.Rule)
			}
			want := rules(judge(p, s).Violations)
			slices.Sort(got)
			slices.Sort(want)
			want = slices.DeleteFunc(slices.Compact(want), func(rule string) bool {
				return slices.Contains(r.Undecided, rule)
			})
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s, sample %d, undecided %v (-passwords +outcomes):\n%s", name, i, r.Undecided, diff)
			}
		}
	}
}

func TestHistogramStores(t *testing.T) {
	var h policy.Histogram
	for _, s := range samples(t) {
		h.Add(policy.Observe(s))
		h.Add(policy.Observe(s))
	}
	b := h.Marshal()
	again, err := policy.ParseHistogram(b)
	if err != nil || again.Total() != h.Total() {
		t.Fatalf("read back %d of %d: %v", again.Total(), h.Total(), err)
	}
	p := get(t, "mlps-l3")
	if diff := cmp.Diff(policy.SimulateHistogram(p, &h), policy.SimulateHistogram(p, again)); diff != "" {
		t.Error(diff)
	}
	again.Merge(&h)
	if again.Total() != 2*h.Total() {
		t.Errorf("merged %d, want %d", again.Total(), 2*h.Total())
	}
	for _, s := range []string{"gorilla", "zhang", "alice", "example", "13812345678"} {
		if bytes.Contains(b, []byte(s)) {
			t.Errorf("the histogram holds %q", s)
		}
	}
	for _, bad := range []string{"", "[]", `{"cells":[{"u":9,"#":1}]}`, `{"cells":[{"p":9,"#":1}]}`} {
		if _, err := policy.ParseHistogram([]byte(bad)); err == nil {
			t.Errorf("ParseHistogram(%s) succeeded", bad)
		}
	}
}

// TestGeneratedSamples runs a simulation on generated passwords: a policy
// accepts what it made.
func TestGeneratedSamples(t *testing.T) {
	p := get(t, "mlps-l3")
	made, err := p.Generate(policy.Generation{Kind: policy.Random, Count: 200, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	var seq iter.Seq[policy.Sample] = func(yield func(policy.Sample) bool) {
		for _, g := range made {
			if !yield(policy.Sample{Text: text(t, g.Password)}) {
				return
			}
		}
	}
	if r := policy.Simulate(p, seq); r.Accepted.Rate != 1 || r.Accepted.Low < 0.98 {
		t.Errorf("%+v", r)
	}
}

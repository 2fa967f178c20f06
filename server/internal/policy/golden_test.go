// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func text(t testing.TB, s string) password.Text {
	t.Helper()
	p, err := password.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func get(t testing.TB, name string) *policy.Policy {
	t.Helper()
	p, ok := policy.Builtin().Get(name)
	if !ok {
		t.Fatalf("no policy %s", name)
	}
	return p
}

func parse(t testing.TB, doc string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("test", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func rules(vs []policy.Violation) []string {
	var out []string
	for _, v := range vs {
		out = append(out, v.Rule)
	}
	return out
}

func judge(p *policy.Policy, s policy.Sample) policy.Verdict {
	return p.Judge(s.Text, s.Use, s.Purpose, s.Context, s.Evidence)
}

func TestGoldenVectors(t *testing.T) {
	all := policy.Vectors()
	for _, name := range policy.Builtin().Names() {
		if len(all[name]) == 0 {
			t.Errorf("%s has no vectors", name)
		}
	}
	clauses := map[string]bool{}
	for _, s := range policy.Standards("en") {
		for _, c := range get(t, policy.Default).Conformance(s.ID, "en") {
			clauses[c.ID] = true
		}
	}
	for name, vectors := range all {
		p := get(t, name)
		for clause, trial := range p.Try(name) {
			if trial.Run == 0 || len(trial.Failed) > 0 {
				t.Errorf("%s fails %v of its own standard's %s", name, trial.Failed, clause)
			}
			if !slices.ContainsFunc(p.Conformance(name, "en"), func(c policy.Clause) bool { return c.ID == clause }) {
				t.Errorf("%s has vectors of %q, which is no clause of it", name, clause)
			}
		}
		for _, v := range vectors {
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				got := judge(p, v.Sample)
				if diff := cmp.Diff(v.Want, rules(got.Violations)); diff != "" {
					t.Fatalf("violations (-want +got):\n%s", diff)
				}
				checkVerdict(t, p, string(v.Sample.Text.Reveal()), got)
				for _, x := range got.Violations {
					for _, c := range x.Clauses {
						if !clauses[c] {
							t.Errorf("%s names the clause %q, which no standard lists", x.Rule, c)
						}
					}
				}
				for _, want := range v.Advice {
					if !slices.ContainsFunc(got.Advice, func(a policy.Advice) bool { return a.ID == want }) {
						t.Errorf("no advice %s in %v", want, got.Advice)
					}
				}
			})
		}
	}
}

// checkVerdict holds a verdict against what every verdict promises.
func checkVerdict(t testing.TB, p *policy.Policy, plain string, v policy.Verdict) {
	t.Helper()
	if v.Policy != p.Name() || v.Version != p.Version() {
		t.Errorf("verdict of %s %s, judged by %s %s", v.Policy, v.Version, p.Name(), p.Version())
	}
	if v.Accept != (len(v.Violations) == 0) {
		t.Errorf("Accept = %v with %d violations", v.Accept, len(v.Violations))
	}
	if !v.Accept && len(v.Advice) == 0 {
		t.Error("refused without advice")
	}
	length := len([]rune(plain))
	// "password" is both a password and a word of every sentence; one of a
	// dozen characters with a digit among them is not.
	echoes := func(s string) bool {
		return length >= 12 && strings.ContainsAny(plain, "0123456789") && strings.Contains(s, plain)
	}
	check := func(sentence string) {
		if sentence == "" || strings.ContainsAny(sentence, "{}|") || strings.Contains(sentence, "  ") {
			t.Errorf("bad sentence %q", sentence)
		}
		if echoes(sentence) {
			t.Errorf("a sentence repeats the password")
		}
	}
	for _, x := range append(slices.Clone(v.Violations), v.Shadow...) {
		if len(x.Clauses) == 0 || x.Rule == "" {
			t.Errorf("a violation without rule or clause: %v", x)
		}
		for _, l := range policy.Locales() {
			check(policy.Message(l, x))
		}
		for k, value := range x.Params {
			if echoes(value) {
				t.Errorf("parameter %s repeats the password", k)
			}
		}
		for _, s := range x.Segments {
			if s.Start < 0 || s.End > length || s.Start > s.End {
				t.Errorf("%s has a segment %d–%d of %d", x.Rule, s.Start, s.End, length)
			}
		}
	}
	for _, a := range v.Advice {
		for _, l := range policy.Locales() {
			check(policy.AdviceText(l, a))
		}
	}
}

// TestEveryRuleHasVectors asks that the golden vectors break each rule of
// each profile at least once, and keep it at least once.
func TestEveryRuleHasVectors(t *testing.T) {
	for name, vectors := range policy.Vectors() {
		p := get(t, name)
		broken, kept := map[string]bool{}, false
		for _, v := range vectors {
			for _, r := range v.Want {
				broken[r] = true
			}
			kept = kept || len(v.Want) == 0
		}
		if !kept {
			t.Errorf("%s: no vector is accepted", name)
		}
		want := append([]string{policy.LengthMin}, p.Form("en").ServerRules...)
		if p.Form("en").Composition != nil {
			want = append(want, policy.Composition)
		}
		for _, r := range want {
			if !broken[r] {
				t.Errorf("%s: no vector breaks %s", name, r)
			}
		}
	}
}

// TestTryFindsWhatAClauseForbids takes one rule after the other from a policy,
// or adds what a clause forbids: the vectors of that clause notice.
func TestTryFindsWhatAClauseForbids(t *testing.T) {
	for _, c := range []struct{ standard, rules, clause string }{
		{"nist-800-63b-4", "length: {min: 14, min_mfa: 8}", "NIST SP 800-63B-4 3.1.1.2 (N1)"},
		{"nist-800-63b-4", "size: {max_bytes: 100}", "NIST SP 800-63B-4 3.1.1.2 (N2)"},
		{"nist-800-63b-4", "composition: {mode: enforce, min_digits: 1}", "NIST SP 800-63B-4 3.1.1.2 (N6)"},
		{"nist-800-63b-4", "max_age: {mode: enforce, days: 365}", "NIST SP 800-63B-4 3.1.1.2 (N7)"},
		{"nist-800-63b-4", "context: {mode: shadow}", "NIST SP 800-63B-4 3.1.1.2 (N10)"},
		{"nist-800-63b-4", "breach: {threshold: 2}", "NIST SP 800-63B-4 3.1.1.2 (N10)"},
		{"nist-800-63b-4", "blocklist: {mode: shadow}", "NIST SP 800-63B-4 3.1.1.2 (N12)"},
		{"asvs-5-l2", "dictionary: {mode: advise}", "ASVS 5.0.0 6.2.11"},
		{"asvs-5-l2", "breach: {mode: shadow}", "ASVS 5.0.0 6.2.12"},
		{"pci-4.0.1", "composition: {mode: shadow}", "PCI DSS 4.0.1 8.3.6"},
		{"pci-4.0.1", "history: {mode: shadow}", "PCI DSS 4.0.1 8.3.7"},
		{"pci-4.0.1", "max_age: {mode: shadow}", "PCI DSS 4.0.1 8.3.9"},
		{"mlps-l3", "max_age: {mode: shadow}", "GB/T 22239-2019 8.1.4.1 a) regular change"},
	} {
		p := parse(t, "version: 1\nextends: "+c.standard+"\nrules:\n  "+c.rules+"\n")
		if trial := p.Try(c.standard)[c.clause]; len(trial.Failed) == 0 {
			t.Errorf("%s with %s still passes %d vectors of %s", c.standard, c.rules, trial.Run, c.clause)
		}
	}
}

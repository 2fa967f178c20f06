// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

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

// vector is one line of testdata/golden.yaml.
type vector struct {
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
}

func (v vector) sample(t testing.TB) policy.Sample {
	s := policy.Sample{
		Text:    text(t, v.Password),
		Purpose: map[string]policy.Purpose{"": policy.Signup, "change": policy.Change, "reset": policy.Reset, "login": policy.Login}[v.Purpose],
		Context: policy.Context(v.Context),
		Evidence: policy.Evidence{
			Breach:     policy.Breach{Status: policy.Performed, Found: v.Breach > 0, Count: v.Breach},
			HistoryHit: v.Reused, Now: now,
		},
	}
	if v.Use == "multi" {
		s.Use = policy.MultiFactor
	}
	if v.Degraded {
		s.Evidence.Breach.Status = policy.Degraded
	}
	if v.Listed != nil {
		s.Evidence.Listed = []policy.Listed{{List: v.Listed.List, Form: v.Listed.Form, Rank: v.Listed.Rank}}
	}
	if v.Log10 > 0 {
		s.Evidence.Estimate = &policy.Estimate{GuessesLog10: v.Log10}
	}
	if v.Previous != "" {
		s.Evidence.Previous = text(t, v.Previous)
	}
	if v.Hours > 0 {
		s.Evidence.LastChanged = now.Add(-time.Duration(v.Hours) * time.Hour)
	}
	if v.Dictionary != nil {
		d, err := (*policy.Dictionary)(nil).Add(v.Dictionary...)
		if err != nil {
			t.Fatal(err)
		}
		s.Evidence.Dictionary = d
	}
	return s
}

func golden(t testing.TB) map[string][]vector {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]vector
	d := yaml.NewDecoder(strings.NewReader(string(b)))
	d.KnownFields(true)
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func judge(p *policy.Policy, s policy.Sample) policy.Verdict {
	return p.Judge(s.Text, s.Use, s.Purpose, s.Context, s.Evidence)
}

func TestGoldenVectors(t *testing.T) {
	all := golden(t)
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
		for _, v := range vectors {
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				got := judge(p, v.sample(t))
				if diff := cmp.Diff(v.Want, rules(got.Violations)); diff != "" {
					t.Fatalf("violations (-want +got):\n%s", diff)
				}
				checkVerdict(t, p, v.Password, got)
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
	for name, vectors := range golden(t) {
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

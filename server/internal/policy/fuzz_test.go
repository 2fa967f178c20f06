// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
)

// FuzzParse asks that a document is refused without being repeated, or makes
// a policy whose canonical form means the same and which judges, describes
// and lints without a panic.
func FuzzParse(f *testing.F) {
	for _, name := range policy.Builtin().Names() {
		b, _ := policy.Builtin().Source(name)
		f.Add(b)
	}
	f.Add([]byte("extends: cis\nlocked: [breach]\nrules: {patterns: {list: [{id: a, forbid: '(a|b)+$'}]}, fuzzy: {points: 5}}"))
	f.Add([]byte("a: &a [*a]\n---\n"))
	txt, err := password.New("Zhangwei@2024")
	if err != nil {
		f.Fatal(err)
	}
	ctx := policy.Context{Names: []string{"张伟"}}
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := policy.Parse("fuzz", doc)
		if err != nil {
			if s := strings.TrimSpace(string(doc)); len(s) > 24 && strings.Contains(err.Error(), s) {
				t.Fatal("the error repeats the document")
			}
			return
		}
		again, err := policy.Parse("fuzz", p.Document())
		if err != nil {
			t.Fatalf("its canonical form: %v\n%s", err, p.Document())
		}
		if !bytes.Equal(p.Document(), again.Document()) || p.Version() != again.Version() || p.Needs() != again.Needs() {
			t.Fatalf("the canonical form means something else:\n%s", p.Document())
		}
		for _, purpose := range []policy.Purpose{policy.Signup, policy.Change, policy.Login} {
			ev := policy.Evidence{Now: now, LastChanged: now.Add(-time.Hour), Previous: txt, HistoryHit: true,
				Breach: policy.Breach{Status: policy.Degraded}, Estimate: &policy.Estimate{GuessesLog10: 3}}
			v := p.Judge(txt, policy.SingleFactor, purpose, ctx, ev)
			checkVerdict(t, p, "Zhangwei@2024", v)
			if diff := cmp.Diff(v, again.Judge(txt, policy.SingleFactor, purpose, ctx, ev)); diff != "" {
				t.Fatal(diff)
			}
		}
		for _, l := range policy.Locales() {
			if s := p.Describe(l); strings.Count(s, "\n")+1 < 2 {
				t.Fatalf("description %q", s)
			}
			p.Lint(l)
			p.Form(l)
			for _, s := range policy.Standards(l) {
				p.Conformance(s.ID, l)
			}
		}
		p.PasswordRules(policy.MultiFactor)
	})
}

// FuzzJudge asks what every verdict promises of any password and context, and
// that more knowledge never helps a password.
func FuzzJudge(f *testing.F) {
	for _, s := range []string{"zhangwei1990", "１２３４", "ﬁsher\u0301", "😀😀😀", "\ufdfa\ufdfa", "qwertyuiop", "aaaaab", "4l1c3"} {
		f.Add(s, "张伟", "alice@example.com", "1990-05-12", "acme")
	}
	f.Fuzz(func(t *testing.T, plain, name, email, birth, word string) {
		txt, err := password.New(plain)
		if err != nil {
			t.Skip()
		}
		ctx := policy.Context{Login: name, Names: []string{name}, Emails: []string{email}, BirthDate: birth, Phones: []string{word}}
		ev := policy.Evidence{}
		if d, err := ev.Dictionary.Add(word); err == nil {
			ev.Dictionary = d
		}
		if prev, err := password.New(word); err == nil {
			ev.Previous = prev
		}
		shown := string(txt.Reveal())
		for _, pol := range []string{policy.Default, "mlps-l3"} {
			p := get(t, pol)
			v := p.Judge(txt, policy.MultiFactor, policy.Change, ctx, ev)
			checkVerdict(t, p, shown, v)
			longer := ctx
			longer.Words = []string{word, name}
			if after := p.Judge(txt, policy.MultiFactor, policy.Change, longer, ev); !v.Accept && after.Accept {
				t.Fatalf("refused for %v, accepted once more was known", rules(v.Violations))
			}
			policy.Observe(policy.Sample{Text: txt, Context: ctx, Evidence: ev})
		}
	})
}

// FuzzPattern asks that any expression is refused or judged.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"(a|aa)+$", "(a{100}){4}", "\\p{Han}+", "(?i)^PASS", "[^\\x00-\\x{10FFFF}]", "((((a?){9}){9}){9})b", "\\C"} {
		f.Add(s, strings.Repeat("a", 300))
	}
	f.Fuzz(func(t *testing.T, expr, plain string) {
		txt, err := password.New(plain)
		if err != nil || strings.ContainsAny(expr, "'\n\r") {
			t.Skip()
		}
		p, err := policy.Parse("fuzz", []byte("rules: {patterns: {list: [{id: a, forbid: '"+expr+"'}]}}"))
		if err != nil {
			return
		}
		q, err := policy.Parse("fuzz", []byte("rules: {patterns: {list: [{id: a, require: '"+expr+"'}]}}"))
		if err != nil {
			t.Fatal(err)
		}
		s := policy.Sample{Text: txt}
		if judge(p, s).Accept == judge(q, s).Accept {
			t.Fatal("the same expression is both forbidden and required, or neither")
		}
	})
}

// BenchmarkJudge judges a usual request; the hostile ones report how many
// times that they cost.
func BenchmarkJudge(b *testing.B) {
	usual := policy.Context{Login: "zwei90", Emails: []string{"wei.zhang@example.com"}, Names: []string{"张伟"}, Phones: []string{"+86 13812345678"}, BirthDate: "1990-05-12"}
	txt := text(b, "gorilla umbrella tax 27")
	p := get(b, policy.Default)
	one := func(txt password.Text, ctx policy.Context) {
		p.Judge(txt, policy.SingleFactor, policy.Signup, ctx, policy.Evidence{})
	}
	b.Run("usual", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			one(txt, usual)
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			one(txt, policy.Context{})
		}
	})
	hostile := text(b, strings.Repeat("1il!|", 25))
	for name, ctx := range hostileContexts() {
		b.Run("hostile/"+strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			var bad, good time.Duration
			for b.Loop() {
				t0 := time.Now()
				one(hostile, ctx)
				t1 := time.Now()
				for range 10 {
					one(txt, usual)
				}
				bad += t1.Sub(t0)
				good += time.Since(t1) / 10
			}
			b.ReportMetric(float64(bad)/float64(good), "times-usual")
		})
	}
}

// FuzzStored asks that whatever is read back from a store is refused or comes
// out as it went in.
func FuzzStored(f *testing.F) {
	f.Add(policy.Rollout{}.Put(version(f, 1), []byte("x"), false, now).Marshal())
	f.Add([]byte(`{"version":3,"words":["acme"]}`))
	f.Add([]byte(`{"cells":[{"n":8,"k":[200,200,200,0,0],"#":3}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := policy.ParseRollout(b); err == nil {
			if again, err := policy.ParseRollout(r.Marshal()); err != nil || again.Current != r.Current {
				t.Fatal("a roll-out does not survive storing")
			}
			r.Pick(nil, "subject")
		}
		if d, err := policy.ParseDictionary(b); err == nil {
			again, err := d.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			if e, err := policy.ParseDictionary(again); err != nil || e.Version() != d.Version() {
				t.Fatal("a dictionary does not survive storing")
			}
		}
		if h, err := policy.ParseHistogram(b); err == nil {
			policy.SimulateHistogram(get(t, "mlps-l3"), h)
		}
	})
}

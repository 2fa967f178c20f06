// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
)

// TestContextDerivatives goes through what people make of their own data.
// Each password is judged for multi-factor use, so that eight characters do.
func TestContextDerivatives(t *testing.T) {
	ctx := policy.Context{
		Login: "zwei90", Emails: []string{"wei.zhang1990@mail.example.com"}, Names: []string{"张伟", "William Zhang", "欧阳小明"},
		Phones: []string{"+86 138-1234-5678"}, BirthDate: "1990-05-12", Words: []string{"Blue Horizon", "华夏银行"},
	}
	p := get(t, policy.Default)
	refused := func(s string) bool {
		v := p.Judge(text(t, s), policy.MultiFactor, policy.Signup, ctx, policy.Evidence{})
		checkVerdict(t, p, s, v)
		return slices.Contains(rules(v.Violations), policy.ContextDerived)
	}
	for _, s := range []string{
		"zhangwei", "ZhangWei", "zhangwei1990", "zhangwei@1990", "weizhang0512", "zw19900512", "ZW900512!", "zhangw1990", "zwei1990",
		"zwei90zwei90", "09iewz!!!", "gnahziew", "zh@ngwe1", "ZH4NGW31", "张伟19900512", "张伟张伟张伟张伟", "ｚｈａｎｇｗｅｉ", "wei.zhang1990",
		"wei.zhang1990@mail.example.com", "example.com1", "williamzhang", "WZhang90", "wzhang!!", "zhangwilliam", "13812345678", "12345678zw", "wei5678!",
		"19900512", "12051990", "05/12/1990", "1990-5-12", "1990年5月12日", "12may1990", "May12!May12!", "bluehorizon", "BlueHorizon2026!", "horizonblue",
		"bh2026bh", "ouyangxiaoming", "xiaomingouyang", "oyxm1990", "ouyangxm", "xmouyang", "huaxiayinhang", "hxyh2026", "woainizhangwei", "zhangweilove520",
		"abc123zhangwei", "iloveyouzhangwei1314", "zhangzhangzhang", "zhangwei123qwe", "admin@zhangwei",
	} {
		if !refused(s) {
			t.Errorf("%s is not seen as a derivative", s)
		}
	}
	for _, s := range []string{
		"zhangweijia likes tea", "my horizon is blue", "william the conqueror", "kTr7xQpw2Lm", "wei-ling-chen-tao", "correct horse battery staple",
		"zhangwei 84930 27401 882", "blue whale horizontal", "x-zhangwei-y", "张三丰打太极拳练功夫", "1990 was a good year",
	} {
		if refused(s) {
			t.Errorf("%s is seen as a derivative", s)
		}
	}
	// Nothing known, nothing derived.
	if v := p.Judge(text(t, "zhangwei1990"), policy.MultiFactor, policy.Signup, policy.Context{}, policy.Evidence{}); !v.Accept {
		t.Errorf("without a context: %v", rules(v.Violations))
	}
}

func TestContextSegments(t *testing.T) {
	p := get(t, policy.Default)
	v := p.Judge(text(t, "ﬁsher2024!!wong"), policy.MultiFactor, policy.Signup, policy.Context{Login: "fisher", Names: []string{"Wong"}}, policy.Evidence{})
	if len(v.Violations) != 1 {
		t.Fatalf("%v", rules(v.Violations))
	}
	// The ligature is one code point of the password and two once folded.
	want := []policy.Segment{{Kind: "login", Start: 0, End: 5}, {Kind: "decoration", Start: 5, End: 11}, {Kind: "name", Start: 11, End: 15}}
	if diff := cmp.Diff(want, v.Violations[0].Segments); diff != "" || v.Violations[0].Params["kind"] != "login" {
		t.Errorf("%v (-want +got):\n%s", v.Violations[0].Params, diff)
	}
}

func hostileContexts() map[string]policy.Context {
	words := func(n int, f func(i int) string) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = f(i)
		}
		return out
	}
	return map[string]policy.Context{
		"10,000 words":    {Words: words(10_000, func(i int) string { return fmt.Sprintf("word%d", i) })},
		"one prefix":      {Words: words(10_000, func(i int) string { return strings.Repeat("a", 60) + fmt.Sprint(i%1000) })},
		"l33t":            {Words: words(10_000, func(i int) string { return fmt.Sprintf("il1!|il1!|il1!|%b", i) })},
		"1 MiB word":      {Words: []string{strings.Repeat("acme ", 200_000)}},
		"growing word":    {Names: []string{strings.Repeat("\ufdfa", 300_000)}},
		"hanzi":           {Names: words(10_000, func(i int) string { return strings.Repeat("吕行长重", 20) })},
		"not UTF-8":       {Names: []string{"\xff\xfe\xed\xa0\x80"}, Login: "\xff"},
		"empty":           {Names: []string{"", " ", "\x00"}, Emails: []string{"@", "@@"}, Phones: []string{"+"}, BirthDate: "0000-00-00"},
		"at signs":        {Emails: []string{strings.Repeat("a@", 100_000)}},
		"far future date": {BirthDate: "99999-01-01"},
	}
}

// TestHostileContext asks for a verdict within the bounds, whatever is sent.
func TestHostileContext(t *testing.T) {
	inputs := hostileContexts()
	passwords := []string{"zhangwei", strings.Repeat("1", 128), strings.Repeat("a", 4096), strings.Repeat("1il!|", 25), strings.Repeat("\ufdfa", 1365)}
	for name, ctx := range inputs {
		for _, pol := range []string{policy.Default, "mlps-l3"} {
			p := get(t, pol)
			for _, s := range passwords {
				v := p.Judge(text(t, s), policy.SingleFactor, policy.Signup, ctx, policy.Evidence{})
				if want := max(0, len(ctx.Words)+len(ctx.Names)-policy.MaxContextWords); len(ctx.Words)+len(ctx.Names) > 9999 && v.ContextIgnored != want {
					t.Errorf("%s: %d entries ignored, want %d", name, v.ContextIgnored, want)
				}
				checkVerdict(t, p, s, v)
			}
		}
	}
	// The 256th word still counts, the 257th does not.
	w := make([]string, 257)
	for i := range w {
		w[i] = fmt.Sprintf("qx%03dk", i)
	}
	for i, want := range map[int]bool{255: true, 256: false} {
		v := get(t, policy.Default).Judge(text(t, w[i]+"!!!!!!!!"), policy.MultiFactor, policy.Signup, policy.Context{Words: w}, policy.Evidence{})
		if got := slices.Contains(rules(v.Violations), policy.ContextDerived); got != want {
			t.Errorf("word %d: derived = %v, want %v", i+1, got, want)
		}
	}
}

func TestShadowAndAdvice(t *testing.T) {
	s := policy.Sample{Text: text(t, "short")}
	shadow := parse(t, "extends: nist-800-63b-4\nmode: shadow")
	if v := judge(shadow, s); !v.Accept || !slices.Equal(rules(v.Shadow), []string{policy.LengthMin}) || len(v.Advice) > 0 {
		t.Errorf("policy in shadow mode: %+v", v)
	}
	rule := parse(t, "rules: {length: {min: 8, mode: shadow}, composition: {min_digits: 1}}")
	v := judge(rule, s)
	if v.Accept || !slices.Equal(rules(v.Shadow), []string{policy.LengthMin}) || !slices.Equal(rules(v.Violations), []string{policy.Composition}) {
		t.Errorf("rule in shadow mode: %+v", v)
	}
	advise := parse(t, "rules: {length: {min: 8, mode: advise}}")
	if v := judge(advise, s); !v.Accept || len(v.Shadow) > 0 || len(v.Advice) != 1 || v.Advice[0].Params["more"] != "3" {
		t.Errorf("rule giving advice: %+v", v)
	}
	off := parse(t, "rules: {length: {min: 8, mode: 'off'}}")
	if v := judge(off, s); !v.Accept || len(v.Shadow)+len(v.Advice) > 0 {
		t.Errorf("rule that is off: %+v", v)
	}
	other := judge(get(t, policy.Default), s)
	if v := judge(off, s).WithShadow(other); !v.Accept || !slices.Equal(rules(v.Shadow), []string{policy.LengthMin}) {
		t.Errorf("WithShadow: %+v", v)
	}
}

func TestBlocklistOptions(t *testing.T) {
	listed := func(list, form string, rank int) policy.Sample {
		return policy.Sample{Text: text(t, "qzvbnwpl"), Evidence: policy.Evidence{Listed: []policy.Listed{{List: list, Form: form, Rank: rank}}}}
	}
	p := parse(t, "rules: {blocklist: {forms: [exact, case], lists: [common], max_rank: 3000}}")
	for _, c := range []struct {
		s    policy.Sample
		want bool
	}{
		{listed("common", "exact", 3000), false}, {listed("common", "exact", 3001), true}, {listed("common", "case", 0), false},
		{listed("common", "l33t", 1), true}, {listed("vendor", "exact", 1), true},
	} {
		if got := judge(p, c.s).Accept; got != c.want {
			t.Errorf("%+v: accepted = %v, want %v", c.s.Evidence.Listed, got, c.want)
		}
	}
}

func TestBreachOptions(t *testing.T) {
	for _, c := range []struct {
		rule    string
		breach  policy.Breach
		purpose policy.Purpose
		want    []string
	}{
		{"threshold: 10", policy.Breach{Status: policy.Performed, Found: true, Count: 9}, policy.Signup, nil},
		{"threshold: 10", policy.Breach{Status: policy.Performed, Found: true, Count: 10}, policy.Signup, []string{policy.Breached}},
		{"threshold: 10", policy.Breach{Status: policy.Performed, Found: true, Count: 10}, policy.Login, []string{policy.Breached}},
		{"threshold: 1", policy.Breach{Status: policy.Performed, Similar: true}, policy.Signup, nil},
		{"similar: true", policy.Breach{Status: policy.Performed, Similar: true}, policy.Signup, []string{policy.Breached}},
		{"threshold: 1", policy.Breach{}, policy.Signup, nil},
		{"required: true", policy.Breach{}, policy.Signup, []string{policy.BreachUnavailable}},
		{"required: true", policy.Breach{}, policy.Login, nil},
		{"threshold: 1", policy.Breach{Status: policy.Degraded}, policy.Change, []string{policy.BreachUnavailable}},
		{"threshold: 1", policy.Breach{Status: policy.Degraded}, policy.Reset, []string{policy.BreachUnavailable}},
		{"unavailable: {reset: embedded}", policy.Breach{Status: policy.Degraded}, policy.Reset, nil},
		{"unavailable: {login: reject}", policy.Breach{Status: policy.Degraded}, policy.Login, []string{policy.BreachUnavailable}},
		// A hit counts even if another corpus could not be asked.
		{"threshold: 1", policy.Breach{Status: policy.Degraded, Found: true, Count: 2}, policy.Login, []string{policy.Breached}},
	} {
		p := parse(t, "rules: {breach: {"+c.rule+"}}")
		v := judge(p, policy.Sample{Text: text(t, "qzvbnwpl"), Purpose: c.purpose, Evidence: policy.Evidence{Breach: c.breach}})
		if diff := cmp.Diff(c.want, rules(v.Violations)); diff != "" {
			t.Errorf("%s, %+v: %s", c.rule, c.breach, diff)
		}
		checkVerdict(t, p, "qzvbnwpl", v)
	}
}

func TestComposition(t *testing.T) {
	p := parse(t, "rules: {composition: {min_lower: 2, min_upper: 1, min_digits: 1, min_symbols: 1, min_letters: 4, min_non_letters: 3, min_classes: 4}}")
	for s, want := range map[string][]string{
		"abCD12!":  nil,
		"aBCD12!":  {"lower"},
		"abcd12!":  {"upper", "classes"},
		"abCD!!!":  {"digits", "classes"},
		"abCD123":  {"symbols", "classes"},
		"abC12!":   {"letters"},
		"abCD1!":   {"non_letters"},
		"àéÈÉ１２！":  nil,
		"ab密C12!":  nil,
		"密码密码密码密码": {"lower", "upper", "digits", "symbols", "non_letters", "classes"},
	} {
		var got []string
		v := judge(p, policy.Sample{Text: text(t, s)})
		for _, x := range v.Violations {
			got = append(got, x.Params["kind"])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", s, diff)
		}
		checkVerdict(t, p, s, v)
	}
}

func TestPatterns(t *testing.T) {
	p := parse(t, `rules: {patterns: {list: [{id: no-year, forbid: '(19|20)\d\d'}, {id: letter-first, require: '^\pL'}]}}`)
	for s, want := range map[string][]string{"zhangwei": nil, "zw1990": {"no-year"}, "1zhang": {"letter-first"}, "张1999": {"no-year"}, "張": nil} {
		var got []string
		v := judge(p, policy.Sample{Text: text(t, s)})
		for _, x := range v.Violations {
			got = append(got, x.Params["id"])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", s, diff)
		}
		checkVerdict(t, p, s, v)
	}
}

func TestFuzzyScore(t *testing.T) {
	p := parse(t, "rules: {fuzzy: {points: 5, words: [contoso, blank, password]}}")
	// The first two are the worked examples of Entra's documentation: a
	// password of two banned words and two further characters scores four, one
	// of a banned word and five further characters scores six.
	for s, want := range map[string]string{
		"C0ntos0Blank12":  "4",
		"ContoS0Bl@nkf9!": "",
		"P@$$w0rd":        "1",
		"Pasword1":        "2",
		"Passwordxy":      "3",
		"blnk":            "1",
		"bxxnk":           "",
	} {
		v := judge(p, policy.Sample{Text: text(t, s)})
		got := ""
		if len(v.Violations) > 0 {
			got = v.Violations[0].Params["points"]
		}
		if got != want {
			t.Errorf("%s scores %q, want %q", s, got, want)
		}
		checkVerdict(t, p, s, v)
	}
}

func TestDictionary(t *testing.T) {
	var d *policy.Dictionary
	step := func(version uint64, words ...string) {
		t.Helper()
		if d.Version() != version || !slices.Equal(d.Words(), words) {
			t.Fatalf("version %d with %v, want %d with %v", d.Version(), d.Words(), version, words)
		}
	}
	add := func(words ...string) error {
		n, err := d.Add(words...)
		d = n
		return err
	}
	step(0)
	if err := add("Acme", "ＡＣＭＥ", "天工"); err != nil {
		t.Fatal(err)
	}
	step(1, "acme", "天工")
	if err := add("acme"); err != nil {
		t.Fatal(err)
	}
	step(1, "acme", "天工")
	for _, bad := range []string{"", " ", "a", "\x00\x00", "\xff\xff", strings.Repeat("a", 65), strings.Repeat("\ufdfa", 1<<18)} {
		if err := add("fine", bad); err == nil {
			t.Errorf("a bad word of %d bytes was taken", len(bad))
		}
	}
	step(1, "acme", "天工")
	b, err := d.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	again, err := policy.ParseDictionary(b)
	if err != nil || again.Version() != 1 || !slices.Equal(again.Words(), d.Words()) {
		t.Errorf("read back %v %v", again.Words(), err)
	}
	for _, bad := range []string{"", "{", `{"words":["A"]}`, `{"words":["acme","acme"]}`} {
		if _, err := policy.ParseDictionary([]byte(bad)); err == nil {
			t.Errorf("ParseDictionary(%s) succeeded", bad)
		}
	}
	d = d.Remove("nothing")
	step(1, "acme", "天工")
	d = d.Remove("ACME")
	step(2, "天工")
	p := get(t, policy.Default)
	v := judge(p, policy.Sample{Text: text(t, "TianGong2026!!!"), Evidence: policy.Evidence{Dictionary: d}})
	if !slices.Equal(rules(v.Violations), []string{policy.InDictionary}) {
		t.Errorf("pinyin of a dictionary word: %v", rules(v.Violations))
	}
	d = d.Clear()
	step(3)
	if v := judge(p, policy.Sample{Text: text(t, "TianGong2026!!!"), Evidence: policy.Evidence{Dictionary: d}}); !v.Accept {
		t.Errorf("after Clear: %v", rules(v.Violations))
	}
	many := make([]string, policy.MaxDictionary+1)
	for i := range many {
		many[i] = fmt.Sprintf("word%d", i)
	}
	if err := add(many...); err != policy.ErrDictionaryFull {
		t.Errorf("Add of %d words = %v", len(many), err)
	}
	if err := add(many[:policy.MaxDictionary]...); err != nil {
		t.Error(err)
	}
}

// TestLongerListsNeverHelp is the property that adding to what is known about
// a password, or its owner, never turns a refusal into an acceptance.
func TestLongerListsNeverHelp(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		word := rapid.SampledFrom([]string{"acme", "zhang", "wei", "张伟", "alice", "1990", "l33t", "qx", "blue horizon", "a@b.c"})
		plain := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"acme", "Zhang", "wei", "4lice", "ecila", "1990", "!", "-", "x", "abc", "1", "張"}), 1, 8).Draw(r, "password"), "")
		txt, err := password.New(plain)
		if err != nil {
			r.Skip()
		}
		p := get(t, rapid.SampledFrom(policy.Builtin().Names()).Draw(r, "policy"))
		use := policy.Use(rapid.IntRange(0, 1).Draw(r, "use"))
		ctx := policy.Context{Words: rapid.SliceOfN(word, 0, 4).Draw(r, "context")}
		dict, err := (*policy.Dictionary)(nil).Add(rapid.SliceOfN(rapid.SampledFrom([]string{"acme", "alice", "zhang"}), 0, 3).Draw(r, "dictionary")...)
		if err != nil {
			t.Fatal(err)
		}
		ev := policy.Evidence{Dictionary: dict, Breach: policy.Breach{Status: policy.Performed}}
		before := p.Judge(txt, use, policy.Signup, ctx, ev)
		more := word.Draw(r, "more")
		switch rapid.IntRange(0, 3).Draw(r, "where") {
		case 0:
			ctx.Words = append(ctx.Words, more)
		case 1:
			ev.Dictionary, err = dict.Add(more)
			if err != nil {
				t.Fatal(err)
			}
		case 2:
			ev.Listed = append(ev.Listed, policy.Listed{List: "common", Form: "exact", Rank: 7})
		case 3:
			ev.Breach.Found, ev.Breach.Count = true, 3
		}
		after := p.Judge(txt, use, policy.Signup, ctx, ev)
		if !before.Accept && after.Accept {
			r.Errorf("refused for %v, accepted once more was known", rules(before.Violations))
		}
		checkVerdict(t, p, plain, after)
	})
}

func TestLengthAndAge(t *testing.T) {
	p := parse(t, "rules: {size: {max_bytes: 64}, min_age: {hours: 24}, max_age: {days: 2, uses: [single]}}")
	long := func(n int) policy.Sample {
		return policy.Sample{Text: text(t, strings.Repeat("é", n/2)+strings.Repeat("x", n%2))}
	}
	aged := func(s policy.Sample, purpose policy.Purpose, age time.Duration) policy.Sample {
		s.Purpose, s.Evidence.Now, s.Evidence.LastChanged = purpose, now, now.Add(-age)
		return s
	}
	multi := long(8)
	multi.Use = policy.MultiFactor
	for name, c := range map[string]struct {
		s    policy.Sample
		want string
	}{
		"64 bytes":            {long(64), ""},
		"65 bytes":            {long(65), "The password is longer than 64 bytes."},
		"just changed":        {aged(long(8), policy.Change, 0), "The password was changed less than 24 hours ago; it can be changed again in 24 hours."},
		"changed 22.5 h ago":  {aged(long(8), policy.Change, 22*time.Hour+30*time.Minute), "The password was changed less than 24 hours ago; it can be changed again in 2 hours."},
		"changed 23.5 h ago":  {aged(long(8), policy.Change, 23*time.Hour+30*time.Minute), "The password was changed less than 24 hours ago; it can be changed again in 1 hour."},
		"changed 24 h ago":    {aged(long(8), policy.Change, 24*time.Hour), ""},
		"clock set back":      {aged(long(8), policy.Change, -time.Hour), "The password was changed less than 24 hours ago; it can be changed again in 24 hours."},
		"reset":               {aged(long(8), policy.Reset, 0), ""},
		"old":                 {aged(long(8), policy.Login, 48*time.Hour+time.Second), "The password is older than 2 days."},
		"nearly old":          {aged(long(8), policy.Login, 48*time.Hour), ""},
		"old, other use":      {aged(multi, policy.Login, 1000*time.Hour), ""},
		"old, being replaced": {aged(long(8), policy.Change, 1000*time.Hour), ""},
	} {
		v := judge(p, c.s)
		got := ""
		if len(v.Violations) > 0 {
			got = policy.Message("en", v.Violations[0])
		}
		if got != c.want || len(v.Violations) > 1 {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package meter_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/watchword-project/watchword/server/internal/meter"
	"github.com/watchword-project/watchword/wordlists"
)

func load(t testing.TB, e *meter.Engine, answers ...meter.Answer) int {
	t.Helper()
	l, err := e.Load(meter.JSON(answers, nil))
	if err != nil {
		t.Fatal(err)
	}
	return l.Handle
}

func reason(err error) string {
	var e *meter.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// TestPending: what the service alone can tell is named, and nothing else.
func TestPending(t *testing.T) {
	const all = `rules:
  length: {min: 8}
  blocklist: {mode: enforce}
  dictionary: {mode: enforce}
  breach: {threshold: 1, unavailable: {login: embedded}}
  contains: {context: true, dictionary: true}
  fuzzy: {points: 2, words: [xyzzy]}
  history: {depth: 3}
  similarity: {min_distance: 3}
  min_age: {hours: 1}
  max_age: {days: 90}
`
	with, without := meter.New(nil, wordlists.Common()), meter.New(nil, nil)
	for _, c := range []struct {
		name, yaml, options, previous string
		engine                        *meter.Engine
		want                          string
	}{
		{"signup", all, `{}`, "", with, "DICTIONARY BREACHED BREACH_UNAVAILABLE CONTAINS_WORD FUZZY_SCORE REUSED"},
		{"without the list", all, `{}`, "", without, "BLOCKLISTED DICTIONARY BREACHED BREACH_UNAVAILABLE CONTAINS_WORD FUZZY_SCORE REUSED"},
		{"change, the former known", all, `{"purpose":"PURPOSE_CHANGE"}`, "quite another one", with, "DICTIONARY BREACHED BREACH_UNAVAILABLE CONTAINS_WORD FUZZY_SCORE REUSED TOO_YOUNG"},
		{"change", all, `{"purpose":"PURPOSE_CHANGE"}`, "", with, "DICTIONARY BREACHED BREACH_UNAVAILABLE CONTAINS_WORD FUZZY_SCORE REUSED SIMILAR_TO_PREVIOUS TOO_YOUNG"},
		{"login", all, `{"purpose":"PURPOSE_LOGIN"}`, "", with, "DICTIONARY BREACHED CONTAINS_WORD FUZZY_SCORE EXPIRED"},
		{"shadow", "mode: shadow\n" + all, `{}`, "", without, ""},
		{"advice only", "rules: {blocklist: {mode: advise}, history: {mode: shadow, depth: 2}}", `{}`, "", without, ""},
		{"another use", "rules: {history: {uses: [multi], depth: 2}}", `{}`, "", with, ""},
		{"that use", "rules: {history: {uses: [multi], depth: 2}}", `{"use":"USE_MULTI_FACTOR"}`, "", with, "REUSED"},
		{"nothing", "rules: {length: {min: 8}}", `{}`, "", with, ""},
	} {
		h := load(t, c.engine, meter.Answer{Policy: "p", YAML: c.yaml})
		v, err := c.engine.Check(h, []byte("tangled lantern orbit 7 walrus"), []byte(c.previous), []byte(c.options))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := strings.Join(v.Pending, " "); got != c.want {
			t.Errorf("%s: pending %q, want %q", c.name, got, c.want)
		}
	}
}

// TestBrokenIsNotPending: a rule that is broken already is not also open.
func TestBrokenIsNotPending(t *testing.T) {
	e := meter.New(nil, wordlists.Common())
	h := load(t, e, meter.Answer{Policy: "p", YAML: "rules: {contains: {words: [lantern], dictionary: true}}"})
	v, err := e.Check(h, []byte("tangled lantern orbit"), nil, []byte(`{}`))
	if err != nil || len(v.Violations) != 1 || len(v.Pending) != 0 {
		t.Errorf("%+v, %v: want one violation and nothing pending", v, err)
	}
}

func TestLoad(t *testing.T) {
	e := meter.New(nil, nil)
	parent := meter.Answer{Policy: "a", YAML: "version: 1\nextends: cis\nrules: {length: {min: 20}}"}
	child := meter.Answer{Policy: "a.b", YAML: "version: 2\nextends: a\nrules: {repeat: {max_run: 2}}"}
	l, err := e.Load(meter.JSON([]meter.Answer{parent, child}, nil))
	if err != nil || l.Policy != "a.b" {
		t.Fatalf("%+v, %v", l, err)
	}
	child.Version = l.Version
	if _, err := e.Load(meter.JSON([]meter.Answer{parent, child}, nil)); err != nil {
		t.Errorf("with its own version: %v", err)
	}
	// Another parent makes other rules, and so another version.
	parent.YAML = strings.Replace(parent.YAML, "20", "21", 1)
	for name, c := range map[string]struct {
		answers []meter.Answer
		want    string
	}{
		"another parent":         {[]meter.Answer{parent, child}, meter.StalePolicy},
		"no parent":              {[]meter.Answer{child}, meter.BadPolicy},
		"a description":          {[]meter.Answer{{Policy: "own", Version: "1.0"}}, meter.PartPolicy},
		"a built-in, stale":      {[]meter.Answer{{Policy: "cis", Version: "1.0"}}, meter.StalePolicy},
		"nine parents":           {slices.Repeat([]meter.Answer{{Policy: "cis"}}, 10), meter.BadPolicy},
		"none":                   {nil, meter.BadPolicy},
		"a name with a way out":  {[]meter.Answer{{Policy: "../profiles/cis"}}, meter.PartPolicy},
		"a name that is a glob":  {[]meter.Answer{{Policy: "*"}}, meter.PartPolicy},
		"a built-in name, taken": {[]meter.Answer{{Policy: "cis", YAML: "rules: {}", Version: "0.0"}}, meter.StalePolicy},
	} {
		if _, err := e.Load(meter.JSON(c.answers, nil)); reason(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	for _, s := range []string{"", "null", "{}", "[", `["cis"]`, `[{"policy":1}]`, "[{\"policy\":\"\xff\"}]", strings.Repeat("[", 20_000), "[" + strings.Repeat(" ", meter.MaxPolicy) + "]"} {
		if _, err := e.Load([]byte(s)); reason(err) != meter.BadPolicy {
			t.Errorf("Load(%.20q) = %v, want %s", s, err, meter.BadPolicy)
		}
	}
	for {
		if _, err = e.Load([]byte(`[{"policy":"cis"}]`)); err != nil {
			break
		}
	}
	if reason(err) != meter.ManyPolicies {
		t.Errorf("%v, want %s", err, meter.ManyPolicies)
	}
	for h := range meter.MaxPolicies + 1 {
		e.Release(h)
	}
	load(t, e, meter.Answer{Policy: "cis"})
}

func TestRefusals(t *testing.T) {
	e := meter.New(nil, nil)
	h := load(t, e, meter.Answer{Policy: "cis"})
	long := strings.Repeat("x", meter.MaxOptions)
	for _, c := range []struct{ password, previous, options, want string }{
		{"", "", "{}", meter.Empty},
		{"\xff", "", "{}", meter.NotText},
		{"a\x00", "", "{}", meter.Control},
		{"a", "\x7f", "{}", meter.Control},
		{strings.Repeat("x", 4097), "", "{}", meter.TooLarge},
		{strings.Repeat("x", meter.MaxPassword+1), "", "{}", meter.TooLarge},
		{"a", strings.Repeat("x", meter.MaxPassword+1), "{}", meter.TooLarge},
		{"a", "", "", meter.Malformed},
		{"a", "", "{}{}", meter.Malformed},
		{"a", "", "{\"locale\":\"\xff\"}", meter.Malformed},
		{"a", "", `{"locale":"fr"}`, meter.Malformed},
		{"a", "", `{"use":"x"}`, meter.Malformed},
		{"a", "", `{"purpose":"x"}`, meter.Malformed},
		{"a", "", `{"password":"x"}`, meter.Malformed},
		{"a", "", `{"context":{"birthDate":"1.1.1990"}}`, meter.Malformed},
		{"a", "", `{"context":{"login":"` + long + `"}}`, meter.Malformed},
	} {
		if _, err := e.Check(h, []byte(c.password), []byte(c.previous), []byte(c.options)); reason(err) != c.want {
			t.Errorf("Check(%.20q, %.20q, %.40q) = %v, want %s", c.password, c.previous, c.options, err, c.want)
		}
	}
	if _, err := e.Check(h+1, []byte("a"), nil, []byte("{}")); reason(err) != meter.UnknownPolicy {
		t.Errorf("%v, want %s", err, meter.UnknownPolicy)
	}
	if _, err := e.Describe(h+1, []byte("{}")); reason(err) != meter.UnknownPolicy {
		t.Errorf("%v, want %s", err, meter.UnknownPolicy)
	}
	if got := string(meter.JSON(nil, errors.New("zebra"))); strings.Contains(got, "zebra") {
		t.Errorf("%s tells an error that is not the engine's", got)
	}
}

// FuzzCheck: whatever is typed, the answer is the same twice, and its offsets
// are places of the text, in order, on the borders of characters.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"password1", "🦊password🦊1990", "e\u0301e\u0301", "\u0301", "\u1100\u1161\u11a8x", "ａ\u0323\u0301b", strings.Repeat("\u0301", 70), "a\u0327\u0301\u0323z"} {
		f.Add(s, "alice")
	}
	e := meter.New(nil, wordlists.Common())
	h := load(f, e, meter.Answer{Policy: "mlps-l3"})
	f.Fuzz(func(t *testing.T, pw, login string) {
		if !utf8.ValidString(login) {
			return
		}
		options := meter.JSON(map[string]any{"context": map[string]any{"login": login}, "locale": "zh-CN"}, nil)
		v, err := e.Check(h, []byte(pw), nil, options)
		again, errAgain := e.Check(h, []byte(pw), nil, options)
		if a, b := string(meter.JSON(v, err)), string(meter.JSON(again, errAgain)); a != b {
			t.Fatalf("two answers: %s, %s", a, b)
		}
		if err != nil {
			if reason(err) == "" || reason(err) == meter.Internal {
				t.Fatal(err)
			}
			return
		}
		units := utf16.Encode([]rune(pw))
		border := func(at int) bool {
			return at == len(units) || !utf16.IsSurrogate(rune(units[at])) || units[at] < 0xdc00
		}
		all := v.Strength.Segments
		for _, x := range v.Violations {
			all = append(all, x.Segments...)
		}
		normal := norm.NFC.IsNormalString(pw)
		for _, s := range all {
			if s.From < 0 || s.To < s.From || s.To > len(units) || !border(s.From) || !border(s.To) {
				t.Fatalf("%q: segment %+v of %d units", pw, s, len(units))
			}
			if normal && len(utf16.Encode([]rune(pw)[s.Start:s.End])) != s.To-s.From {
				t.Fatalf("%q: segment %+v", pw, s)
			}
		}
	})
}

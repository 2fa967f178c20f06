// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/watchword-project/watchword/server/internal/policy"
)

func statuses(p *policy.Policy, standard string) map[policy.Status][]string {
	out := map[policy.Status][]string{}
	for _, c := range p.Conformance(standard, "en") {
		id := c.ID[strings.LastIndexAny(c.ID, " ")+1:]
		out[c.Status] = append(out[c.Status], id)
	}
	return out
}

// TestProfilesKeepTheirStandard asks that a built-in policy breaks no clause
// of the standard it is named after.
func TestProfilesKeepTheirStandard(t *testing.T) {
	for _, s := range policy.Standards("en") {
		got := statuses(get(t, s.ID), s.ID)
		if len(got[policy.Broken]) > 0 || len(got[policy.Met]) == 0 {
			t.Errorf("%s: met %v, broken %v", s.ID, got[policy.Met], got[policy.Broken])
		}
		for _, l := range policy.Locales() {
			for _, c := range get(t, policy.Default).Conformance(s.ID, l) {
				if c.Title == "" || c.Why == "" || strings.ContainsAny(c.Why, "{}") {
					t.Errorf("%s: %s: %+v", s.ID, l, c)
				}
			}
		}
	}
	if got := get(t, policy.Default).Conformance("unheard-of", "en"); got != nil {
		t.Errorf("an unknown standard has clauses: %v", got)
	}
}

func TestConformanceNamesTheClauseOfEachChange(t *testing.T) {
	for name, c := range map[string]struct {
		rules    string
		standard string
		broken   []string
	}{
		"rotation":             {"max_age: {days: 90}", "nist-800-63b-4", []string{"(N7)"}},
		"composition":          {"composition: {min_digits: 1}", "nist-800-63b-4", []string{"(N6)"}},
		"composition, shadow":  {"composition: {min_digits: 1, mode: shadow}", "nist-800-63b-4", nil},
		"shorter":              {"length: {min: 14}", "nist-800-63b-4", []string{"(N1)"}},
		"shorter with another": {"length: {min_mfa: 7}", "nist-800-63b-4", []string{"(N1)"}},
		"length in shadow":     {"length: {mode: shadow}", "nist-800-63b-4", []string{"(N1)"}},
		"length for one use":   {"length: {uses: [single]}", "nist-800-63b-4", []string{"(N1)"}},
		"room":                 {"size: {max_bytes: 72}", "nist-800-63b-4", []string{"(N2)"}},
		"patterns":             {"patterns: {list: [{id: a, forbid: é}]}", "nist-800-63b-4", []string{"(N3)", "(N6)"}},
		"substrings":           {"contains: {context: true}", "nist-800-63b-4", []string{"(N10)"}},
		"no breach check":      {"breach: {mode: 'off'}", "nist-800-63b-4", []string{"(N10)"}},
		"breach fails open":    {"breach: {unavailable: {signup: embedded}}", "nist-800-63b-4", []string{"(N10)"}},
		"no context":           {"context: {mode: 'off'}", "nist-800-63b-4", []string{"(N10)"}},
		"no list":              {"blocklist: {mode: 'off'}", "nist-800-63b-4", []string{"(N10)", "(N12)"}},
		"short list":           {"blocklist: {max_rank: 1000}", "nist-800-63b-4", []string{"(N12)"}},
		"guess gate":           {"guesses: {mode: enforce}", "nist-800-63b-4", []string{"(N6)"}},
		"asvs":                 {"max_age: {days: 90}", "asvs-5-l2", []string{"6.2.10"}},
		"asvs short list":      {"blocklist: {max_rank: 2999}", "asvs-5-l1", []string{"6.2.4"}},
		"asvs breach":          {"breach: {threshold: 5}", "asvs-5-l2", []string{"6.2.12"}},
		"asvs words":           {"dictionary: {mode: 'off'}", "asvs-5-l2", []string{"6.2.11"}},
		"pci from nist":        {"similarity: {min_distance: 3}", "pci-4.0.1", []string{"8.3.6", "8.3.7", "8.3.9", "8.3.10.1"}},
		"pci history":          {"history: {depth: 4}", "pci-4.0.1", []string{"8.3.6", "8.3.9", "8.3.10.1"}},
		"pci kinds":            {"composition: {min_letters: 1, min_digits: 1}", "pci-4.0.1", []string{"8.3.7", "8.3.9", "8.3.10.1"}},
		"pci length":           {"composition: {min_letters: 1, min_digits: 1}", "pci-4.0.1", []string{"8.3.7", "8.3.9", "8.3.10.1"}},
		"pci rotation":         {"max_age: {days: 91}", "pci-4.0.1", []string{"8.3.6", "8.3.7", "8.3.9", "8.3.10.1"}},
		"mlps from nist":       {"similarity: {min_distance: 3}", "mlps-l3", []string{"complexity", "change"}},
		"mlps change":          {"max_age: {days: 180}", "mlps-l2", []string{"complexity"}},
		"cis from nist":        {"length: {min: 14}", "cis", []string{"composition", "reuse", "age", "expiration"}},
		"cis length":           {"length: {min: 13}", "cis", []string{"length", "composition", "reuse", "age", "expiration"}},
	} {
		p := parse(t, "extends: nist-800-63b-4\nrules: {"+c.rules+"}")
		if name == "pci length" {
			p = parse(t, "extends: nist-800-63b-4\nrules: {length: {min_mfa: 12}, "+c.rules+"}")
		}
		want := c.broken
		if strings.HasPrefix(c.standard, "pci") && name != "pci length" && !slices.Contains(want, "8.3.6") {
			want = append([]string{"8.3.6"}, want...) // eight characters with another factor
		}
		if diff := cmp.Diff(want, statuses(p, c.standard)[policy.Broken]); diff != "" {
			t.Errorf("%s: broken clauses of %s (-want +got):\n%s", name, c.standard, diff)
		}
	}
	shadow := parse(t, "extends: nist-800-63b-4\nmode: shadow")
	if got := statuses(shadow, "nist-800-63b-4")[policy.Broken]; !slices.Contains(got, "(N1)") {
		t.Errorf("a policy in shadow mode breaks only %v", got)
	}
}

// TestContradictionsAreReal asks that no built-in policy keeps both clauses
// of a pair that is said to contradict itself, and that the profiles of the
// two standards keep one each.
func TestContradictionsAreReal(t *testing.T) {
	status := func(p *policy.Policy, standard, clause string) policy.Status {
		for _, c := range p.Conformance(standard, "en") {
			if c.ID == clause {
				return c.Status
			}
		}
		t.Errorf("%s has no clause %s", standard, clause)
		return ""
	}
	all := policy.Contradictions("zh-CN")
	if len(all) == 0 {
		t.Fatal("no contradictions")
	}
	for _, x := range all {
		for side := range 2 {
			own := get(t, x.Standards[side])
			if status(own, x.Standards[side], x.Clauses[side]) != policy.Met {
				t.Errorf("%s does not keep its own %s", own.Name(), x.Clauses[side])
			}
		}
		for _, name := range policy.Builtin().Names() {
			p := get(t, name)
			if status(p, x.Standards[0], x.Clauses[0]) == policy.Met && status(p, x.Standards[1], x.Clauses[1]) == policy.Met {
				t.Errorf("%s keeps both %s and %s", name, x.Clauses[0], x.Clauses[1])
			}
		}
	}
}

func TestLint(t *testing.T) {
	codes := func(p *policy.Policy) []string {
		var out []string
		for _, f := range p.Lint("zh-CN") {
			out = append(out, f.Code)
		}
		return out
	}
	if got := codes(get(t, policy.Default)); got != nil {
		t.Errorf("the default policy: %v", got)
	}
	for doc, want := range map[string]string{
		"mode: shadow":                                             "SHADOW_ONLY",
		"rules: {length: {mode: 'off'}}":                           "NO_LENGTH",
		"rules: {length: {min: 6, min_mfa: 6}}":                    "LENGTH_SHORT",
		"rules: {breach: {mode: 'off'}, blocklist: {mode: 'off'}}": "NOTHING_LISTED",
		"rules: {breach: {unavailable: {signup: embedded}}}":       "BREACH_FAILS_OPEN",
		"rules: {blocklist: {mode: 'off'}}":                        "BREACH_FALLS_ON_NOTHING",
		"rules: {breach: {threshold: 500}}":                        "BREACH_THRESHOLD_HIGH",
		"rules: {breach: {mode: 'off'}}":                           "NO_ROTATION_NO_DETECTION",
		"rules: {max_age: {days: 90}}":                             "ROTATION_WITHOUT_HISTORY",
		"rules: {max_age: {days: 90}, similarity: {mode: 'off'}}":  "ROTATION_WITHOUT_SIMILARITY",
		"rules: {history: {depth: 4}}":                             "HISTORY_WITHOUT_MIN_AGE",
		"rules: {min_age: {hours: 72}}":                            "MIN_AGE_LONG",
		"rules: {composition: {min_digits: 1}}":                    "COMPOSITION_SHORT",
		"rules: {composition: {min_upper: 1}}":                     "COMPOSITION_LATIN",
		"rules: {size: {max_bytes: 72}}":                           "SIZE_SMALL",
		"rules: {contains: {context: true, min_length: 3}}":        "CONTAINS_SHORT",
		"rules: {breach: {required: true}}":                        "CORPUS_REQUIRED",
		"rules: {breach: {unavailable: {login: reject}}}":          "LOGIN_FINDINGS_WITHOUT_CORPUS",
	} {
		if got := codes(parse(t, "extends: nist-800-63b-4\n"+doc)); !slices.Contains(got, want) {
			t.Errorf("%s: %v, want %s", doc, got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	got := get(t, policy.Default).Describe("en")
	for _, want := range []string{"at least 15 characters, or 8", "none are required", "no need to change"} {
		if !strings.Contains(got, want) {
			t.Errorf("Describe lacks %q:\n%s", want, got)
		}
	}
	own := parse(t, "rules: {guesses: {min_log10: 10, min_log10_mfa: 8.5}}")
	for locale, want := range map[string]string{"en": "10^10 tries are refused, or 10^8.5 if", "zh-CN": "10^10 次尝试以内猜出的密码；若同时使用其他认证因素，则为 10^8.5 次"} {
		if got := own.Describe(locale); !strings.Contains(got, want) {
			t.Errorf("Describe lacks %q:\n%s", want, got)
		}
	}
	for _, name := range policy.Builtin().Names() {
		p := get(t, name)
		en, zh := p.Describe("en"), p.Describe("zh-CN")
		if strings.Count(en, "\n") != strings.Count(zh, "\n") || strings.ContainsAny(en+zh, "{}|") {
			t.Errorf("%s: the languages differ:\n%s\n%s", name, en, zh)
		}
		if strings.ContainsFunc(en, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("%s: hanzi in English", name)
		}
		f := p.Form("en")
		b, err := json.Marshal(f)
		if err != nil || !bytes.Contains(b, []byte(`"minLength":`)) || len(f.Sentences) != strings.Count(en, "\n") {
			t.Errorf("%s: form %s %v", name, b, err)
		}
	}
}

// TestPasswordRules compares with strings written by hand from the grammar.
func TestPasswordRules(t *testing.T) {
	for name, want := range map[string][2]string{
		"nist-800-63b-4": {"minlength: 15; maxlength: 4096; allowed: ascii-printable;", "minlength: 8; maxlength: 4096; allowed: ascii-printable;"},
		"pci-4.0.1": {"minlength: 12; maxlength: 4096; required: digit; required: lower, upper; allowed: ascii-printable;",
			"minlength: 12; maxlength: 4096; required: digit; required: lower, upper; allowed: ascii-printable;"},
		"mlps-l3": {"minlength: 10; maxlength: 4096; required: lower; required: upper; required: digit; max-consecutive: 3; allowed: ascii-printable;",
			"minlength: 10; maxlength: 4096; required: lower; required: upper; required: digit; max-consecutive: 3; allowed: ascii-printable;"},
		"cis": {"minlength: 14; maxlength: 4096; required: digit, special; allowed: ascii-printable;", "minlength: 8; maxlength: 4096; allowed: ascii-printable;"},
	} {
		p := get(t, name)
		if got := [2]string{p.PasswordRules(policy.SingleFactor), p.PasswordRules(policy.MultiFactor)}; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestGenerate(t *testing.T) {
	policies := []*policy.Policy{
		parse(t, "rules: {length: {min: 40}, composition: {min_lower: 20, min_upper: 6, min_digits: 5, min_symbols: 7, min_classes: 4}}"),
		parse(t, "rules: {length: {min: 200}}"),
		parse(t, "rules: {composition: {min_non_letters: 9, min_letters: 32}, repeat: {max_run: 2, min_distinct: 12}, sequence: {max: 3}}"),
		parse(t, "rules: {guesses: {min_log10: 40}}"),
	}
	for _, name := range policy.Builtin().Names() {
		policies = append(policies, get(t, name))
	}
	d, err := (*policy.Dictionary)(nil).Add("acme", "abacus", "women")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policies {
		for _, kind := range []policy.Kind{policy.Random, policy.PassphraseEN, policy.PassphrasePinyin} {
			made, err := p.Generate(policy.Generation{Kind: kind, Count: 100, Dictionary: d, Rand: rand.Reader})
			if err != nil {
				t.Fatalf("%s kind %d: %v", p.Name(), kind, err)
			}
			seen := map[string]bool{}
			for _, g := range made {
				for _, use := range []policy.Use{policy.SingleFactor, policy.MultiFactor} {
					ev := policy.Evidence{Dictionary: d, Estimate: &policy.Estimate{GuessesLog10: g.EntropyBits / math.Log2(10)}}
					if v := p.Judge(text(t, g.Password), use, policy.Signup, policy.Context{}, ev); !v.Accept {
						t.Errorf("%s kind %d: refused for %v", p.Name(), kind, rules(v.Violations))
					}
				}
				if g.EntropyBits < 64 || g.EntropyBits > 1500 || seen[g.Password] {
					t.Errorf("%s kind %d: %.1f bits, seen before: %v", p.Name(), kind, g.EntropyBits, seen[g.Password])
				}
				seen[g.Password] = true
			}
		}
	}
}

// documents draws policies as people might write them.
func documents() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		section := func(name string, settings ...string) {
			if rapid.Bool().Draw(t, name) {
				var on []string
				for _, s := range settings {
					key, most, _ := strings.Cut(s, " ")
					var low, high int
					fmt.Sscan(most, &low, &high)
					if v := rapid.IntRange(low, high).Draw(t, key); v > 0 {
						on = append(on, fmt.Sprintf("%s: %d", key, v))
					}
				}
				if len(on) > 0 {
					fmt.Fprintf(&b, "  %s: {%s}\n", name, strings.Join(on, ", "))
				}
			}
		}
		section("length", "min 1 128", "min_mfa 0 16")
		section("size", "max_bytes 64 1024")
		section("composition", "min_lower 0 6", "min_upper 0 6", "min_digits 0 6", "min_symbols 0 6", "min_letters 0 20", "min_non_letters 0 12", "min_classes 0 4")
		section("guesses", "min_log10 1 40")
		section("repeat", "max_run 2 6", "min_distinct 0 10")
		section("sequence", "max 3 8")
		section("fuzzy", "points 1 12")
		section("history", "depth 1 24")
		section("breach", "threshold 1 10")
		return "version: 1\nrules:\n  context: {mode: enforce}\n" + b.String()
	})
}

// TestGenerateForAnyPolicy makes passwords for policies of all kinds: each is
// accepted for either use, with the estimate that its randomness promises.
func TestGenerateForAnyPolicy(t *testing.T) {
	t.Parallel()
	outer := t
	made, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		doc := documents().Draw(t, "document")
		p, err := policy.Parse("own", []byte(doc))
		if err != nil {
			refused++ // it contradicts itself
			return
		}
		for _, kind := range []policy.Kind{policy.Random, policy.PassphraseEN, policy.PassphrasePinyin} {
			got, err := p.Generate(policy.Generation{Kind: kind, Count: 3, Rand: rand.Reader})
			if kind != policy.Random && strings.Contains(doc, "max_bytes") && errors.Is(err, policy.ErrUnsatisfiable) {
				continue // a phrase that takes as many guesses may be too long
			}
			if err != nil {
				t.Fatalf("kind %d: %v\n%s", kind, err, doc)
			}
			for _, g := range got {
				made++
				password := text(outer, g.Password)
				for _, use := range []policy.Use{policy.SingleFactor, policy.MultiFactor} {
					ev := policy.Evidence{Estimate: &policy.Estimate{GuessesLog10: g.EntropyBits / math.Log2(10)}}
					if v := p.Judge(password, use, policy.Signup, policy.Context{}, ev); !v.Accept {
						t.Fatalf("kind %d: refused for %v\n%s", kind, rules(v.Violations), doc)
					}
				}
			}
		}
	})
	if made < 100 {
		t.Errorf("%d passwords were made; %d policies were refused", made, refused)
	}
}

func TestGenerateFails(t *testing.T) {
	p := get(t, policy.Default)
	for name, g := range map[string]policy.Generation{
		"none":        {Count: 0, Rand: rand.Reader},
		"too many":    {Count: policy.MaxGenerated + 1, Rand: rand.Reader},
		"short input": {Count: 1, Rand: strings.NewReader("abc")},
		"stuck input": {Count: 1, Rand: mathrand.NewChaCha8([32]byte{}), Kind: 9},
	} {
		if made, err := p.Generate(g); err == nil {
			t.Errorf("%s: made %d", name, len(made))
		}
	}
	ones := readerFunc(func(b []byte) (int, error) {
		for i := range b {
			b[i] = 0xff
		}
		return len(b), nil
	})
	if _, err := p.Generate(policy.Generation{Count: 1, Rand: ones}); err == nil {
		t.Error("a source of ones gave a password")
	}
	never := parse(t, "rules: {patterns: {list: [{id: a, require: '^\\p{Han}+$'}]}}")
	if _, err := never.Generate(policy.Generation{Count: 1, Rand: rand.Reader}); !errors.Is(err, policy.ErrUnsatisfiable) {
		t.Errorf("Generate = %v, want ErrUnsatisfiable", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestGenerateIsUniform counts the characters of many random passwords:
// with 62 equally likely ones, a chi-square over 120 is rarer than 1 in 1e5.
func TestGenerateIsUniform(t *testing.T) {
	source := mathrand.NewChaCha8([32]byte{1})
	made, err := get(t, policy.Default).Generate(policy.Generation{Kind: policy.Random, Count: 1000, Rand: source})
	if err != nil {
		t.Fatal(err)
	}
	count, n := map[rune]int{}, 0
	for _, g := range made {
		for _, r := range g.Password {
			count[r]++
			n++
		}
	}
	want, chi := float64(n)/62, 0.0
	for _, c := range count {
		chi += (float64(c) - want) * (float64(c) - want) / want
	}
	if len(count) != 62 || chi > 120 {
		t.Errorf("%d different characters, chi-square %.0f", len(count), chi)
	}
}

func TestWordTables(t *testing.T) {
	eff, pinyin, reading := policy.WordTables()
	if len(eff) != 7776 || len(pinyin) != 4096 {
		t.Fatalf("%d and %d words", len(eff), len(pinyin))
	}
	for _, words := range [][]string{eff, pinyin} {
		if !slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != len(words) {
			t.Error("words out of order or twice")
		}
		for _, w := range words {
			if strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" || len(w) < 3 {
				t.Errorf("word %q", w)
			}
		}
	}
	for r, want := range map[rune]string{'张': "zhang", '伟': "wei", '吕': "lv", '略': "lve", '女': "nv", '張': "zhang", '龍': "long", '澜': "lan", 'a': "", '𩽾': "an"} {
		if got := reading(r); got != want {
			t.Errorf("reading of %c = %q, want %q", r, got, want)
		}
	}
	if eff[0] != "abacus" || eff[7775] != "zoom" {
		t.Errorf("the EFF list goes from %s to %s", eff[0], eff[7775])
	}
}

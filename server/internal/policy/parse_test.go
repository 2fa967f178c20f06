// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/policy"
)

func TestParseRefuses(t *testing.T) {
	const ok = "version: 1\nrules:\n  length: {min: 8}\n"
	parse(t, ok)
	for name, c := range map[string]struct {
		doc  string
		line int
		want string
	}{
		"empty":                    {"", 0, "is not a mapping"},
		"list":                     {"- a\n", 0, "is not a mapping"},
		"unknown key":              {ok + "  lenght: {min: 9}\n", 4, "has an unknown key"},
		"unknown key in a rule":    {"rules:\n  length: {minimum: 8}\n", 2, "has an unknown key"},
		"key twice":                {"version: 1\nversion: 2\n", 2, "has a key twice"},
		"rule twice":               {ok + "  length: {min: 9}\n", 4, "has a key twice"},
		"wrong kind":               {"version: one\n", 1, "has a value of the wrong kind"},
		"key without value":        {"rules:\n  length:\n", 2, "has a key without a value"},
		"two documents":            {ok + "---\n" + ok, 0, "is more than one document"},
		"anchor":                   {"title: &a {en: x}\n", 1, "has an anchor or an alias"},
		"merge":                    {"title: {<<: {en: x}}\n", 1, "has a merge key"},
		"not YAML":                 {"a: [", 0, "is not well-formed YAML"},
		"indented by a tab":        {"length:\n\tmin: 8", 2, "has a tab where only spaces may indent"},
		"too long":                 {ok + "#" + strings.Repeat("x", policy.MaxDocument), 0, "longer than 64 KiB"},
		"too deep":                 {"rules: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), 0, "nested too deeply"},
		"too many values":          {"rules: {fuzzy: {words: [" + strings.Repeat("aa,", 9000) + "]}}", 0, "too many values"},
		"too many words":           {"rules: {fuzzy: {points: 5, words: [" + strings.Repeat("aa,", 1001) + "]}}", 0, "more than 1000"},
		"min above max":            {"rules: {length: {min: 100}, size: {max_bytes: 64}}", 0, "no password could be accepted"},
		"weaker single factor":     {"rules: {length: {min: 8, min_mfa: 15}}", 0, "single factor needs the longer"},
		"ages crossed":             {"rules: {min_age: {hours: 48}, max_age: {days: 2}}", 0, "expired password could not be changed"},
		"length of zero":           {"rules: {length: {min: 0, mode: enforce}}", 0, "between 1 and 256"},
		"size over the cap":        {"rules: {size: {max_bytes: 5000}}", 0, "between 64 and 4096"},
		"size of bcrypt":           {"rules: {size: {max_bytes: 32}}", 0, "between 64 and 4096"},
		"mode":                     {"rules: {length: {min: 8, mode: maybe}}", 0, "must be enforce, shadow"},
		"policy mode":              {"mode: 'off'", 0, "must be enforce or shadow"},
		"use":                      {"rules: {length: {min: 8, uses: [triple]}}", 0, "single or multi"},
		"fail mode":                {"rules: {breach: {unavailable: {login: accept}}}", 0, "reject or embedded"},
		"form":                     {"rules: {blocklist: {forms: [rot13]}}", 0, "must be among"},
		"composition of nothing":   {"rules: {composition: {mode: enforce}}", 0, "asks for nothing"},
		"composition too long":     {"rules: {size: {max_bytes: 64}, composition: {min_lower: 32, min_upper: 32, min_digits: 32}}", 0, "no password could be accepted"},
		"guesses":                  {"rules: {guesses: {min_log10: .nan}}", 0, "min_log10"},
		"history":                  {"rules: {history: {depth: 1000}}", 0, "between 1 and 24"},
		"unknown lock":             {"locked: [everything]", 0, "not a rule"},
		"unknown parent":           {"extends: nobody", 0, "names no policy"},
		"parent by path":           {"extends: ../../etc/passwd", 0, "names no policy"},
		"itself":                   {"extends: test", 0, "names no policy"},
		"other name":               {"name: other", 0, "not the name"},
		"negative version":         {"version: -1", 0, "between 0 and"},
		"long clause":              {"rules: {length: {min: 8, clauses: ['" + strings.Repeat("x", 200) + "']}}", 0, "longer than 128"},
		"control character":        {"title: {en: \"a\\u0007\"}", 0, "printable"},
		"long expression":          {pattern(strings.Repeat("a", 300)), 0, "longer than 256"},
		"large expression":         {pattern("(a{500}){2}b{900}"), 0, "500 instructions"},
		"nested repetition":        {pattern("((a{1000}){1000}){1000}"), 0, "does not parse"},
		"expression that fails":    {pattern("(a"), 0, "does not parse"},
		"look-behind":              {pattern("(?<=a)b"), 0, "does not parse"},
		"expression without sense": {"rules: {patterns: {list: [{id: a}]}}", 0, "exactly one of"},
		"too many expressions":     {"rules: {patterns: {list: [" + strings.Repeat("{id: a, forbid: a},", 9) + "]}}", 0, "between 1 and 8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policy.Parse("test", []byte(c.doc))
			var fault *policy.ParseError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Parse = %v, want a ParseError with %q", err, c.want)
			}
			if c.line != 0 && fault.Line != c.line {
				t.Errorf("fault in line %d, want %d", fault.Line, c.line)
			}
			if strings.Contains(err.Error(), "lenght") || strings.Contains(err.Error(), "etc/passwd") {
				t.Error("the error repeats the document")
			}
		})
	}
}

func pattern(expr string) string {
	return fmt.Sprintf("rules: {patterns: {list: [{id: a, forbid: %q}]}}", expr)
}

func TestYAMLBombIsRefusedBeforeItGrows(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := range 20 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9))
	}
	if _, err := policy.Parse("test", []byte(bomb)); err == nil {
		t.Fatal("a document that doubles with each line was taken")
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "acme.web.admin": true, "nist-800-63b-4": true, strings.Repeat("a", 64): true,
		"": false, "A": false, ".a": false, "-a": false, "a..b": false, "..": false, "a/b": false, "a\\b": false, "a b": false,
		"a\n": false, strings.Repeat("a", 65): false, "é": false,
	} {
		if err := policy.ValidName(name); (err == nil) != ok {
			t.Errorf("ValidName(%q) = %v", name, err)
		}
		if _, err := policy.Parse(name, []byte("version: 1")); (err == nil) != ok {
			t.Errorf("Parse(%q) = %v", name, err)
		}
	}
}

func TestCanonicalDocument(t *testing.T) {
	docs := map[string][]byte{
		"child":  []byte("extends: pci-4.0.1\nversion: 3\nrules: {length: {min: 14}, contains: {words: [acme]}}"),
		"shadow": []byte("mode: shadow\nrules: {patterns: {list: [{id: x, require: '^[a-z]'}]}}"),
	}
	s, err := policy.Builtin().With(docs)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range s.Names() {
		p, _ := s.Get(name)
		again, err := policy.Parse(name, p.Document())
		if err != nil {
			t.Fatalf("%s: its own document: %v", name, err)
		}
		if diff := cmp.Diff(string(p.Document()), string(again.Document())); diff != "" || p.Version() != again.Version() {
			t.Errorf("%s: version %s, then %s\n%s", name, p.Version(), again.Version(), diff)
		}
		if diff := cmp.Diff(p.Form("en"), again.Form("en")); diff != "" || p.Needs() != again.Needs() {
			t.Errorf("%s: rules lost: %v, then %v\n%s", name, p.Needs(), again.Needs(), diff)
		}
	}
}

func TestInheritance(t *testing.T) {
	s, err := policy.Builtin().With(map[string][]byte{
		"acme":           []byte("extends: nist-800-63b-4\nversion: 2\nlocked: [breach]\nrules: {history: {depth: 3}}"),
		"acme.web":       []byte("extends: acme\nversion: 1\nrules: {length: {min: 20, clauses: [house rule 7]}}"),
		"acme.web.admin": []byte("extends: acme.web\nversion: 1\nrules: {length: {min: 24}, context: {mode: off}}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tenant, application, role string
		want                      string
		min                       int
		clause                    string
	}{
		{"acme", "", "", "acme", 15, "NIST SP 800-63B-4 3.1.1.2 (N1)"},
		{"acme", "web", "", "acme.web", 20, "house rule 7"},
		{"acme", "web", "guest", "acme.web", 20, "house rule 7"},
		{"acme", "web", "admin", "acme.web.admin", 24, "policy:acme.web.admin/length"},
		{"acme", "shop", "admin", "acme", 15, "NIST SP 800-63B-4 3.1.1.2 (N1)"},
	} {
		p, ok := s.Nearest(c.tenant, c.application, c.role)
		if !ok || p.Name() != c.want {
			t.Errorf("Nearest(%s, %s, %s) = %v %v, want %s", c.tenant, c.application, c.role, p.Name(), ok, c.want)
			continue
		}
		v := judge(p, policy.Sample{Text: text(t, "qzvb")})
		if got := v.Violations[0]; got.Params["min"] != fmt.Sprint(c.min) || got.Clauses[0] != c.clause {
			t.Errorf("%s: %v %v, want %d %q", c.want, got.Params, got.Clauses, c.min, c.clause)
		}
		if p.Needs().Context != (c.want != "acme.web.admin") {
			t.Errorf("%s: the context is looked at: %v", c.want, p.Needs().Context)
		}
		if p.Needs().History != 3 {
			t.Errorf("%s: history of %d, want 3", c.want, p.Needs().History)
		}
	}
	if _, ok := s.Nearest("other", "web", ""); ok {
		t.Error("a tenant without a policy got one")
	}

	version := func(s *policy.Set, name string) string { p, _ := s.Get(name); return p.Version() }
	changed, err := s.With(map[string][]byte{"acme": []byte("extends: nist-800-63b-4\nversion: 2\nrules: {history: {depth: 9}}")})
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := changed.Get("acme.web.admin"); p.Needs().History != 9 || p.Version() == version(s, "acme.web.admin") {
		t.Error("a change of the parent did not reach the grandchild, or left its version")
	}
	for name, docs := range map[string]map[string][]byte{
		"locked":          {"acme.web": []byte("extends: acme\nrules: {breach: {mode: 'off'}}")},
		"locked above":    {"acme.web.admin": []byte("extends: acme.web\nrules: {breach: {threshold: 5}}")},
		"locked by mode":  {"acme.web": []byte("extends: acme\nmode: shadow")},
		"circle":          {"acme": []byte("extends: acme.web.admin")},
		"orphan":          {"acme": nil},
		"built-in":        {"cis": []byte("version: 2")},
		"bad name":        {"a..b": []byte("version: 1")},
		"invalid for all": {"acme": []byte("extends: nist-800-63b-4\nrules: {length: {min: 3, min_mfa: 9}}")},
	} {
		if _, err := s.With(docs); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if p, _ := s.Get("acme"); p.Needs().History != 3 {
		t.Error("a refused change touched the set")
	}
	deep := map[string][]byte{"p0": []byte("version: 1")}
	for i := range 12 {
		deep[fmt.Sprintf("p%d", i+1)] = fmt.Appendf(nil, "extends: p%d", i)
	}
	if _, err := policy.Builtin().With(deep); err == nil {
		t.Error("a chain of twelve was taken")
	}
}

// TestExampleDocument reads the document that shows every key, and asks that
// it does: each rule appears in its description.
func TestExampleDocument(t *testing.T) {
	b, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse("example", b)
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Needs{Blocklist: true, Breach: true, Similar: true, Estimate: true, Dictionary: true, Context: true, Previous: true, Age: true, History: 5}
	if p.Needs() != want {
		t.Errorf("Needs = %+v", p.Needs())
	}
	canonical := string(p.Document())
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		for _, key := range regexp.MustCompile(`([a-z_]+):`).FindAllStringSubmatch(line, -1) {
			if key[1] != "required" && !strings.Contains(canonical, key[1]+":") {
				t.Errorf("%s is lost", key[1])
			}
		}
	}
}

// TestReadmeExample reads the policy that the README shows.
func TestReadmeExample(t *testing.T) {
	b, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "<!-- acme.shop.yaml -->\n```yaml\n")
	doc, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the README shows no policy")
	}
	set, err := policy.Builtin().With(map[string][]byte{"acme.shop": []byte(doc), "acme.shop.editor": []byte("version: 1\nextends: acme.shop\nrules: {length: {min: 20}}")})
	if err != nil {
		t.Fatal(err)
	}
	p, ok := set.Get("acme.shop")
	if !ok || p.Extends() != policy.Default || len(p.Lint("en")) > 1 {
		t.Errorf("the policy of the README: %v", p.Lint("en"))
	}
	if _, err := set.With(map[string][]byte{"acme.shop.editor": []byte("version: 2\nextends: acme.shop\nrules: {breach: {mode: off}}")}); err == nil {
		t.Error("a rule that the README locks was loosened")
	}
}

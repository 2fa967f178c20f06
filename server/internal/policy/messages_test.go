// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/watchword-project/watchword/server/internal/policy"
)

var placeholder = regexp.MustCompile(`\{([a-zA-Z0-9]+)(\|[^|{}]+\|[^|{}]+)?\}`)

// TestTemplates holds the two languages of every sentence against each other.
func TestTemplates(t *testing.T) {
	for key, s := range policy.Templates() {
		var names [2][]string
		for i := range s {
			for _, m := range placeholder.FindAllStringSubmatch(s[i], -1) {
				if m[2] == "" {
					names[i] = append(names[i], m[1])
				} else if i == 1 {
					t.Errorf("%s: Chinese has no plural", key)
				} else if !strings.Contains(s[i], "{"+m[1]+"}") {
					t.Errorf("%s: chooses a word by a number it does not show", key)
				}
			}
			slices.Sort(names[i])
			names[i] = slices.Compact(names[i])
			if rest := placeholder.ReplaceAllString(s[i], ""); strings.ContainsAny(rest, "{}|") {
				t.Errorf("%s: stray brace in %q", key, rest)
			}
			if s[i] == "" {
				t.Errorf("%s: no sentence", key)
			}
		}
		if !slices.Equal(names[0], names[1]) {
			t.Errorf("%s: parameters %v in English, %v in Chinese", key, names[0], names[1])
		}
		plain := placeholder.ReplaceAllString(s[1], "1")
		// Punctuation next to hanzi is full width; "1234、abcd" and "10^8" stay.
		if m := regexp.MustCompile(`\p{Han}[,.;:!?()]|[,.;:!?()]\p{Han}`).FindString(plain); m != "" {
			t.Errorf("%s: half-width punctuation %q beside hanzi", key, m)
		}
		if strings.ContainsFunc(s[0], func(r rune) bool { return unicode.Is(unicode.Han, r) }) || !strings.ContainsFunc(s[1], func(r rune) bool {
			return unicode.Is(unicode.Han, r)
		}) && strings.ContainsFunc(placeholder.ReplaceAllString(s[0], ""), unicode.IsLetter) {
			t.Errorf("%s: languages mixed up", key)
		}
		if strings.HasPrefix(key, "message ") || strings.HasPrefix(key, "advice ") {
			if !strings.HasSuffix(s[0], ".") || !strings.HasSuffix(s[1], "。") {
				t.Errorf("%s: a sentence without its full stop", key)
			}
		}
	}
}

func TestMessagePlurals(t *testing.T) {
	v := policy.Violation{Rule: policy.LengthMin, Params: map[string]string{"min": "15", "length": "1"}}
	for locale, want := range map[string]string{
		"en":    "The password has 1 character; at least 15 are needed.",
		"":      "The password has 1 character; at least 15 are needed.",
		"fr":    "The password has 1 character; at least 15 are needed.",
		"zh-CN": "密码只有 1 个字符，至少需要 15 个。",
		"zh":    "密码只有 1 个字符，至少需要 15 个。",
		"zh_CN": "密码只有 1 个字符，至少需要 15 个。",
	} {
		if got := policy.Message(locale, v); got != want {
			t.Errorf("Message(%q) = %q, want %q", locale, got, want)
		}
	}
	if got := policy.Message("en", policy.Violation{Rule: "UNHEARD_OF"}); got == "" {
		t.Error("no sentence for an unknown rule")
	}
}

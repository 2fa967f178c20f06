// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
)

func collect(t testing.TB, s string) []string {
	var out []string
	for form, value := range policy.Forms(text(t, s)) {
		out = append(out, form+" "+string(value))
	}
	return out
}

func TestForms(t *testing.T) {
	for in, want := range map[string][]string{
		"dragon":          {"exact dragon", "reversed nogard"},
		"Dragon":          {"exact Dragon", "case dragon", "reversed nogard"},
		"ｄragon":          {"exact ｄragon", "width dragon", "reversed nogard"},
		"dr4g0n":          {"exact dr4g0n", "l33t dragon", "reversed n0g4rd", "reversed nogard"},
		"Dragon1999!":     {"suffix dragon"},
		"123dragon!":      {"suffix dragon", "suffix dragon!"},
		"dr@g0n2024":      {"suffix dragon"},
		"pa55word":        {"l33t password"},
		"s1lent":          {"l33t silent", "l33t sllent"},
		"dragondragon":    {"repeated dragon"},
		"DragonDragonDra": {"repeated dragon"},
		"12345678":        {"exact 12345678", "reversed 87654321"},
		"11111111":        {"exact 11111111", "repeated 1"},
		"密码密码":            {"repeated 密码"},
	} {
		got := collect(t, in)
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %v lacks %q", in, got, w)
			}
		}
		if len(got) > 20 || got[0] != "exact "+in {
			t.Errorf("%s: %v", in, got)
		}
		if strings.HasPrefix(want[0], "exact") {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", in, diff)
			}
		}
	}
	// A phrase that only contains a word leaves nothing common behind.
	for _, s := range collect(t, "my dragon is 12 years old") {
		if s == "suffix dragon" {
			t.Error("a word within a phrase was looked up")
		}
	}
	// Nine digits are no longer a customary ending.
	for _, s := range collect(t, "dragon839201746") {
		if strings.HasPrefix(s, "suffix") {
			t.Error("a long number was taken off")
		}
	}
	if got := collect(t, strings.Repeat("Ab1!", 64)); len(got) != 1 {
		t.Errorf("a long password was looked up in %d forms", len(got))
	}
	for range policy.Forms(password.Text{}) {
		t.Error("nothing has a form")
	}
	n := 0
	for range policy.Forms(text(t, "Dr4gon12")) {
		if n++; n == 2 {
			break
		}
	}
}

func FuzzForms(f *testing.F) {
	for _, s := range []string{"Dr4gon!", "1il!1il!", "\ufdfa\ufdfa", "ﬁsh", "e\u0301", "!!!!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		txt, err := password.New(s)
		if err != nil {
			t.Skip()
		}
		seen := map[string]bool{}
		for form, value := range policy.Forms(txt) {
			if form == "" || len(value) == 0 || seen[string(value)] {
				t.Fatalf("form %q of %d bytes, seen before: %v", form, len(value), seen[string(value)])
			}
			seen[string(value)] = true
		}
		if len(seen) > 20 {
			t.Fatalf("%d forms", len(seen))
		}
	})
}

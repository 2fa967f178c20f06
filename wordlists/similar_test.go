// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/watchword-project/watchword/wordlists"
)

func tweaks(pw string, limit int) []string {
	var all []string
	for tweak := range wordlists.Tweaks([]byte(pw), limit) {
		all = append(all, string(tweak))
	}
	return all
}

func TestTweaks(t *testing.T) {
	for _, tt := range []struct {
		pw   string
		want []string // some of them
	}{
		{"Summer2023", []string{"Summer2024", "Summer2022", "summer2023", "Summer202", "Summer", "Summer2023!", "summer2024", "5ummer2023"}},
		{"Summer2023!", []string{"Summer2024!", "Summer2022!", "Summer2023", "Summer2023.", "Summer", "SUMMER2023!"}},
		{"2023summer7", []string{"2023summer8", "2023summer6", "2024summer7", "2022summer7"}},
		{"hunter9", []string{"hunter10", "hunter8", "hunter0", "hunter"}},
		{"hunter09", []string{"hunter10", "hunter08", "hunter00"}},
		{"hunter0", []string{"hunter1", "hunter9"}},
		{"password", []string{"Password", "PASSWORD", "password1", "password!", "p@ssword", "passw0rd", "pa$$word"}},
		{"P4ssw0rd!", []string{"Passw0rd!", "Password!", "p4ssw0rd!", "P4ssw0rd"}},
		{"éclair", []string{"Éclair", "ÉCLAIR", "éclair1", "éc1air"}},
		{"密码123", []string{"密码124", "密码122", "密码", "密码12"}},
		{"99999999999999999999", []string{"99999999999999999998", "9999999999999999999"}},
		{"!", []string{".", "!1"}},
		{"a", []string{"A", "a1", "@", "4"}},
	} {
		got := tweaks(tt.pw, wordlists.MaxTweaks)
		for _, want := range tt.want {
			if !slices.Contains(got, want) {
				t.Errorf("Tweaks(%q) lacks %q: %q", tt.pw, want, got)
			}
		}
	}
	if got := tweaks("hunter2", 0); got != nil {
		t.Errorf("limit 0 yields %q", got)
	}
	if got := tweaks("hunter2", -1); got != nil {
		t.Errorf("limit -1 yields %q", got)
	}
	for range wordlists.Tweaks([]byte("hunter2"), 9) {
		break // stopping early is allowed
	}
}

// The bound holds for passwords made to have every kind of tweak.
func TestTweaksAreBounded(t *testing.T) {
	most := 0
	for _, pw := range []string{"", "aoeistl2019@1995!5$4!7", "Aoeistl-@0315!$47-2019-1!", "Pa0o1es3!2019t7l1x5!", strings.Repeat("aA1!", 1024)} {
		most = max(most, len(tweaks(pw, 1<<30)))
	}
	t.Logf("%d at most", most)
	if most > wordlists.MaxTweaks {
		t.Errorf("%d tweaks, want %d or fewer", most, wordlists.MaxTweaks)
	}
}

func FuzzTweaks(f *testing.F) {
	for _, pw := range []string{"", "Summer2023!", "p4$$w0rd", "密码1", "\xff\x80", "9", "İı", "00"} {
		f.Add([]byte(pw), 64)
		f.Add([]byte(pw), 7)
	}
	f.Fuzz(func(t *testing.T, pw []byte, limit int) {
		if len(pw) > 4096 {
			return
		}
		original := bytes.Clone(pw)
		all := tweaks(string(pw), wordlists.MaxTweaks)
		seen := map[string]bool{string(pw): true, "": true}
		for _, tweak := range all {
			if seen[tweak] {
				t.Fatalf("Tweaks(%q) yields %q, which is the input, empty or a repetition", pw, tweak)
			}
			seen[tweak] = true
			if utf8.Valid(pw) && !utf8.ValidString(tweak) {
				t.Fatalf("Tweaks(%q) yields %q, not UTF-8", pw, tweak)
			}
		}
		if len(all) > wordlists.MaxTweaks {
			t.Fatalf("%d tweaks", len(all))
		}
		var some []string
		for tweak := range wordlists.Tweaks(pw, limit) {
			some = append(some, string(tweak))
		}
		if want := all[:min(len(all), max(limit, 0))]; !slices.Equal(some, want) {
			t.Fatalf("Tweaks(%q, %d) = %q, want %q", pw, limit, some, want)
		}
		if !bytes.Equal(pw, original) {
			t.Fatal("the input was changed")
		}
	})
}

// TestStems: a stem is the same for whatever is written for a letter, and kept
// by most tweaks.
func TestStems(t *testing.T) {
	stem := func(s string) string { return string(wordlists.AppendStem(nil, []byte(s))) }
	for _, alike := range [][]string{
		{"password", "PASSWORD", "p@ssw0rd", "Pa$$word2024!", "ｐａｓｓ", "passing"},
		{"letmein", "1etm3in", "LETM31N!!"},
		{"夏天快乐", "夏天快乐2024", "夏天快乐！"},
		{"123456", "1234", "12345678"},
		{"hello", "hell0", "Hello1"},
		{"", ""},
	} {
		for _, s := range alike[1:] {
			if stem(s) != stem(alike[0]) {
				t.Errorf("the stems of %q and %q are %q and %q", s, alike[0], stem(s), stem(alike[0]))
			}
		}
	}
	for _, apart := range [][2]string{{"password", "mustang"}, {"1990", "1991"}, {"夏天快乐", "冬天快乐"}, {"\xff\xfe", "\xff\xfd"}} {
		if stem(apart[0]) == stem(apart[1]) {
			t.Errorf("%q and %q have one stem", apart[0], apart[1])
		}
	}
	for i := 0; i < len(wordlists.TweakLeet); i += 2 {
		word := []byte("xx" + wordlists.TweakLeet[i:i+1])
		if got, want := stem("xx"+wordlists.TweakLeet[i+1:i+2]), stem(string(word)); got != want {
			t.Errorf("%q for %q changes the stem", wordlists.TweakLeet[i+1], wordlists.TweakLeet[i])
		}
	}
	for _, m := range wordlists.LeetMaps {
		for c, letter := range m {
			if got, want := stem("xx"+string(rune(c))), stem("xx"+string(rune(letter))); byte(c) != letter && got != want {
				t.Errorf("%q for %q changes the stem", rune(c), letter)
			}
		}
	}
	n, kept, all := 0, 0, 0
	for w := range wordlists.Ranked() {
		if n++; n%100 != 0 {
			continue
		}
		for tweak := range wordlists.Tweaks([]byte(w), wordlists.MaxTweaks) {
			all++
			if stem(string(tweak)) == stem(w) {
				kept++
			}
		}
	}
	if share := float64(kept) / float64(all); share < 0.85 || share > 1 {
		t.Errorf("%.3f of the tweaks keep the stem, want 0.85 or more", share)
	} else {
		t.Logf("%.3f of %d tweaks keep the stem", share, all)
	}
}

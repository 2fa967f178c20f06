// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/watchword-project/watchword/wordlists"
)

// Whatever Lookup finds Match finds; case and width never decide; the bounds
// hold; the input is left as it was.
func FuzzMatch(f *testing.F) {
	for _, pw := range []string{
		"", "password", "P@ssw0rd2024!", "iloveyouiloveyou", "dr0w$$@p", "1234567890", "ＡＢＣ１２３", "ſſſ", "İstanbul1",
		"correct horse battery staple", "床前明月光", "\xff\xfe1\x80", "a b a b a", "4@8({[</369&#!1/", "aaaa!aaaa!", "1!1!1!1!1!", "Ⱥ123",
	} {
		f.Add([]byte(pw))
	}
	list := wordlists.Common()
	f.Fuzz(func(t *testing.T, pw []byte) {
		if len(pw) > 4096 {
			return
		}
		original := bytes.Clone(pw)
		m, ok := list.Match(pw)
		if !bytes.Equal(pw, original) {
			t.Fatal("the input was changed")
		}
		if ok && (m.Rank < 1 || m.Kept < 1 || m.Kept > utf8.RuneCount(pw)) || !ok && m != (wordlists.CommonMatch{}) {
			t.Fatalf("Match(%q) = %+v, %v", pw, m, ok)
		}
		if l, listed := list.Lookup(pw); listed && (!ok || m != l) {
			t.Fatalf("Lookup(%q) = %+v, but Match = %+v, %v", pw, l, m, ok)
		} else if ok && m.Form == wordlists.FormExact && !listed {
			t.Fatalf("Match(%q) is exact, but Lookup finds nothing", pw)
		}
		folded := wordlists.AppendFold(nil, pw)
		if again := wordlists.AppendFold(nil, folded); !bytes.Equal(again, folded) {
			t.Fatalf("%q folds to %q, and that to %q", pw, folded, again)
		}
		for _, same := range [][]byte{folded, bytes.ToUpper(folded), bytes.ToLower(pw)} {
			if !utf8.Valid(pw) {
				break // ToUpper and ToLower repair what is not UTF-8
			}
			if _, okSame := list.Match(same); okSame != ok {
				t.Fatalf("Match(%q) = %v, Match(%q) = %v", pw, ok, same, okSame)
			}
		}
		if _, okProbes, n := list.MatchProbes(pw); okProbes != ok || n > wordlists.MaxProbes {
			t.Fatalf("Match(%q): %d look-ups, %v", pw, n, okProbes)
		}
	})
}

// A table from anywhere is refused or safe to use.
func FuzzOpenCommon(f *testing.F) {
	for _, entries := range [][]wordlists.CommonEntry{
		nil,
		{{Text: "one", Rank: 1}, {Text: "Two", Rank: 200, Default: true}},
	} {
		table, err := wordlists.BuildCommon(entries)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(table, []byte("one"))
	}
	f.Fuzz(func(t *testing.T, table, pw []byte) {
		list, err := wordlists.OpenCommon(table)
		if err != nil {
			return
		}
		list.Lookup(pw)
		list.Match(pw)
		if list.Len() < 0 || list.CountFitting(0) < 0 {
			t.Fatal("negative counts")
		}
	})
}

// A list holds what it was built from and finds it under every folding, for
// any entries.
func FuzzBuildCommon(f *testing.F) {
	f.Add("sesame", "Öffne", "密码")
	f.Add("a", "A", "ａ")
	f.Add("\xff", "K", "ſ")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var entries []wordlists.CommonEntry
		for i, text := range []string{a, b, c} {
			if text != "" && len(text) <= 1024 {
				entries = append(entries, wordlists.CommonEntry{Text: text, Rank: 100 * (i + 1)})
			}
		}
		table, err := wordlists.BuildCommon(entries)
		if err != nil {
			t.Fatal(err)
		}
		list, err := wordlists.OpenCommon(table)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if m, ok := list.Lookup([]byte(e.Text)); !ok || m.Rank > 150*3 {
				t.Fatalf("Lookup(%q) = %+v, %v", e.Text, m, ok)
			}
			if _, ok := list.Match(wordlists.AppendFold(nil, []byte(e.Text))); !ok {
				t.Fatalf("the folded form of %q is not matched", e.Text)
			}
			runes := []rune(e.Text)
			if !utf8.ValidString(e.Text) || len(runes) < 4 || len(runes) > 40 {
				continue
			}
			slices.Reverse(runes)
			for _, variant := range []string{string(runes), e.Text + "7", e.Text + e.Text} {
				if _, ok := list.Match([]byte(variant)); !ok {
					t.Fatalf("%q is not matched with %q on the list", variant, e.Text)
				}
			}
		}
	})
}

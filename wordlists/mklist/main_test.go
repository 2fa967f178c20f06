// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-project/watchword/wordlists"
)

// inputs returns the folder of the input lists or skips the test.
func inputs(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("WATCHWORD_DATA")
	if folder == "" {
		t.Skip("WATCHWORD_DATA does not name the folder of the input lists")
	}
	return folder
}

// The committed tables are what the inputs give, byte for byte.
func TestTablesAreReproducible(t *testing.T) {
	tables, err := makeTables(inputs(t))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]byte{"common.bin": tables.common, "defaults.txt": tables.defaults, "ranked.bin": tables.ranked} {
		got, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the inputs give; run go generate ./wordlists", file)
		}
	}
}

// An input that is not the known one is refused, and so is a missing folder.
func TestInputsAreVerified(t *testing.T) {
	folder := t.TempDir()
	for _, s := range sources {
		if err := os.WriteFile(filepath.Join(folder, s.file), []byte("not the list"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := makeTables(folder); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("a foreign input gives error %v, want one about its SHA-256", err)
	}
	if err := run("", t.TempDir()); err == nil {
		t.Error("no folder: no error")
	}
	if err := run(filepath.Join(folder, "absent"), t.TempDir()); err == nil {
		t.Error("absent folder: no error")
	}
}

// Every line of every list is found, and the number of entries is theirs.
func TestEveryEntryIsListed(t *testing.T) {
	folder := inputs(t)
	list := wordlists.Common()
	distinct := make(map[string]bool)
	atLeast8, long := 0, 0
	add := func(word string) {
		if !distinct[word] {
			distinct[word] = true
			if n := utf8.RuneCountInString(word); n >= 8 {
				atLeast8++
				if n >= longRunes {
					long++
				}
			}
		}
	}
	for _, s := range sources {
		words, err := s.words(folder)
		if err != nil {
			t.Fatal(err)
		}
		for i, word := range words {
			m, ok := list.Lookup([]byte(word))
			if !ok {
				t.Fatalf("%s: entry %d is not listed", s.file, i+1)
			}
			// At worst every entry above it, on each list, is another one.
			if most := (i + 1) * s.scale * len(sources) * 3 / 2; m.Rank > most+1 {
				t.Errorf("%s: entry %d has rank %d, want at most %d", s.file, i+1, m.Rank, most)
			}
			add(word)
		}
	}
	t.Logf("%d entries on password lists", len(distinct))
	rows, err := readVendor(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if m, ok := list.Lookup([]byte(r.password)); r.password != "" && (!ok || !m.Default) {
			t.Errorf("default password of %s is not listed", r.product)
		}
		if !r.anyUser && !wordlists.IsVendorDefault([]byte(r.user), []byte(r.password)) {
			t.Errorf("default credential of %s is not known", r.product)
		}
		if r.password != "" {
			add(r.password)
		}
	}
	joined := longWanted - long
	if list.Len() != len(distinct)+joined || list.CountFitting(8) != atLeast8+joined || list.CountFitting(longRunes) != longWanted {
		t.Errorf("Len() = %d, CountFitting(8) = %d, CountFitting(%d) = %d, want %d, %d and %d", list.Len(), list.CountFitting(8),
			longRunes, list.CountFitting(longRunes), len(distinct)+joined, atLeast8+joined, longWanted)
	}
	for _, pair := range []string{"passwordqwertyuiop", "iloveyoupassword"} {
		if m, ok := list.Match([]byte(pair)); !ok || m.Rank < len(distinct) {
			t.Errorf("Match(%q) = %+v, %t, want a rank behind all listed passwords", pair, m, ok)
		}
	}
}

// Entries in capitals, with a first capital, with a digit or a sign more,
// twice, and full-width are all matched.
func TestVariantsOfEntriesMatch(t *testing.T) {
	folder := inputs(t)
	list := wordlists.Common()
	variants := map[string]func(word string) string{
		"upper":      strings.ToUpper,
		"lower":      strings.ToLower,
		"capital":    func(w string) string { r, n := utf8.DecodeRuneInString(w); return string(unicode.ToUpper(r)) + w[n:] },
		"digit":      func(w string) string { return w + "7" },
		"sign":       func(w string) string { return w + "!" },
		"full-width": fullWidth,
		"twice":      func(w string) string { return w + w },
		"two words":  func(w string) string { return w + " " + w },
	}
	for _, s := range sources {
		words, err := s.words(folder)
		if err != nil {
			t.Fatal(err)
		}
		for name, vary := range variants {
			missed, tried := 0, 0
			for _, word := range words {
				// Shorter ones are not cores, longer ones are a few lines of
				// debris in the leaks.
				if n := utf8.RuneCountInString(word); n < 4 || n > 40 {
					continue
				}
				tried++
				if _, ok := list.Match([]byte(vary(word))); !ok {
					if missed++; missed <= 5 {
						t.Logf("%s, %s: %q is not matched", s.file, name, vary(word))
					}
				}
			}
			if missed > 0 {
				t.Errorf("%s, %s: %d of %d are not matched", s.file, name, missed, tried)
			}
		}
	}
}

func fullWidth(w string) string {
	return strings.Map(func(r rune) rune {
		if '!' <= r && r <= '~' {
			return r - '!' + '！'
		}
		return r
	}, w)
}

// Passphrases of random words never match, joined or apart.
func TestPassphrasesDoNotMatch(t *testing.T) {
	folder := inputs(t)
	list := wordlists.Common()
	rng := rand.New(rand.NewChaCha8([32]byte{4}))
	for _, tt := range []struct {
		file, sha256 string
		entry        func(string) (string, bool)
		most         int // words from the top of the list
		few          int // words in the shortest phrase
	}{
		{"common-eff-diceware-7776.txt.xz", effSHA256, wholeLine, 7776, 4},
		{"cn-zxcvbnts-common-words-pinyin.txt.xz", pinyinSHA256, toneless, 5000, 4},
		{"cn-jieba-dict-small-freq.txt.xz", jiebaSHA256, beforeCount, 60000, 4},
	} {
		words, err := source{tt.file, tt.sha256, tt.entry, 1}.words(folder)
		if err != nil {
			t.Fatal(err)
		}
		words = words[:min(len(words), tt.most)]
		hits := 0
		const phrases = 150_000
		for i := range phrases {
			var parts []string
			for range tt.few + i%3 {
				parts = append(parts, words[rng.IntN(len(words))])
			}
			for _, sep := range []string{"", " ", "-"} {
				phrase := strings.Join(parts, sep)
				if utf8.RuneCountInString(phrase) < 8 {
					continue
				}
				if m, ok := list.Match([]byte(phrase)); ok {
					hits++
					t.Errorf("%s: Match(%q) = %+v", tt.file, phrase, m)
				}
			}
		}
		t.Logf("%s: %d of %d phrases match", tt.file, hits, 3*phrases)
	}
}

const (
	effSHA256    = "a6dc2a7ea9c57fb31c37f90ff8bde65ec83ce152d71350df194ad9b45b806e5e"
	pinyinSHA256 = "450644d5ebdae1ddf9679dd853f75b9d20426254e3a8692e51bf0e9ef32d82e0"
	jiebaSHA256  = "0dba0b72da103dcc0a8f2b1e046b5aeb768c4e479684d0bb94c034762f4a072b"
)

// toneless takes the marks off a pinyin word and skips numbers.
func toneless(line string) (string, bool) {
	const marked, plain = "āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜüńňǹḿ", "aaaaeeeeiiiioooouuuuvvvvvnnnm"
	ascii := []rune(plain)
	word := strings.Map(func(r rune) rune {
		for i, m := range []rune(marked) {
			if r == m {
				return ascii[i]
			}
		}
		return r
	}, line)
	return word, !strings.ContainsAny(word, "0123456789")
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ulikunitz/xz"
)

// sums names every input file with the SHA-256 of its compressed bytes.
// Origins and licences are in NOTICE.
var sums = map[string]string{
	"cn-area-codes.csv.xz":                   "f70389306ec611114390cdde9bfb8e774344814540532f5ffb0383bc19bdb64d",
	"cn-jieba-dict-small-freq.txt.xz":        "0dba0b72da103dcc0a8f2b1e046b5aeb768c4e479684d0bb94c034762f4a072b",
	"cn-netease-top100k.txt.xz":              "edaec0f417ee5e8c4b9ec43417fb176c0dbc67cee01d807b100956f88eaa597d",
	"cn-pinyin-kmandarin-8105.txt.xz":        "ee53fba63d2fb88f22d143d49376ca6ffd0e5455cfa021525f560649dfc43bca",
	"cn-zxcvbnts-common-words-pinyin.txt.xz": "450644d5ebdae1ddf9679dd853f75b9d20426254e3a8692e51bf0e9ef32d82e0",
	"cn-zxcvbnts-firstname-syllables.txt.xz": "8f881961e488a19a8bd96726796c867d9e97b558f95e271a1d980d3b687b1056",
	"cn-zxcvbnts-lastnames-pinyin.txt.xz":    "9f9c3fe858fd524b106617e2ea4f0f502105eef378f538d9f8a0cb6f5d8aa1f7",
	"cn-zxcvbnts-wikipedia-pinyin.txt.xz":    "1c70268f90cbf27d82d99b78c9af086366aff1c39eb3f2c0d75af9ad550420ba",
	"cn-zxcvbnts-word-sequences.json.xz":     "043bad79f27a5f5273817b155e07cd563f8734c424e16acf6f2917652e499e90",
	"common-eff-diceware-7776.txt.xz":        "a6dc2a7ea9c57fb31c37f90ff8bde65ec83ce152d71350df194ad9b45b806e5e",
	"common-zxcvbnts-passwords.txt.xz":       "852ef06f7dcfb4030601d9f22770f2aa582a799cb167c34fe6b828d00c12c29e",
	"default-credentials.csv.xz":             "2b40fa975241f255d4527ca34f4260f44e7de3fc25b8319650cea8f01ba6641e",
	"en-xato-top100k.txt.xz":                 "8f05eebf2645a38e348f9d588da4ecb17723b9a328dbc917529d1fa9b1944e11",
	"en-zxcvbn-female-names.txt.xz":          "7c04eab880f5986561e55c37f1bbf71c0b41f852ce0f095df94e94b759f4fca1",
	"en-zxcvbn-male-names.txt.xz":            "352e6d727ea7a1da446e191b9d4baa435aaa279f0c3354b8c54b6685d9c96bbc",
	"en-zxcvbn-passwords-47k-count.txt.xz":   "7620f3fd4cd899f6569f309c9a82b9b83b70f2bf6db596781b7fc894354dc518",
	"en-zxcvbn-surnames.txt.xz":              "3c9242affecfed75c100bc349889ea84db0618a3226b2f1b19efa6efabd7fcff",
	"en-zxcvbn-tv-film-count.txt.xz":         "8bf04c1dd90873cd0728d5d737cc87eeb5bc3bdd8fd0fcfad23a2fca317eaf7f",
	"en-zxcvbn-wikipedia-count.txt.xz":       "d99195b77f9291e64a6d70d1c0aadec1683ea0ccd915a05de17a4bb69e786210",
	"en-zxcvbnts-word-sequences.json.xz":     "742585ac56f7f1455f019725f38835fc022d2acbbbdeea1f81642abfaa31651f",
	"global-pwdb-top100k-count.txt.xz":       "93baa0079405c6c611923282f2e55991299e6da2b59fa3038b81ec8845ba0c26",
}

// inputs reads the named files of one folder.
type inputs struct{ dir string }

// lines returns the lines of an input that are not empty.
func (in inputs) lines(name string) ([]string, error) {
	b, err := in.text(name)
	if err != nil {
		return nil, err
	}
	var out []string
	for l := range strings.SplitSeq(string(b), "\n") {
		if l = strings.TrimRight(l, "\r"); l != "" {
			out = append(out, l)
		}
	}
	return out, nil
}

// text reads an input, checks that it is the one the tables are made from,
// and inflates it.
func (in inputs) text(name string) ([]byte, error) {
	want, ok := sums[name]
	if !ok {
		return nil, fmt.Errorf("%s is not a named input", name)
	}
	packed, err := os.ReadFile(filepath.Join(in.dir, name))
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(packed); hex.EncodeToString(got[:]) != want {
		return nil, fmt.Errorf("%s: SHA-256 is %x, want %s", name, got, want)
	}
	r, err := xz.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// counted is a text with how often it was seen.
type counted struct {
	text  string
	count float64
}

// counts reads lines of a text and a number, with sep between them.
func (in inputs) counts(name, sep string) ([]counted, error) {
	ls, err := in.lines(name)
	if err != nil {
		return nil, err
	}
	out := make([]counted, 0, len(ls))
	for i, l := range ls {
		l = strings.TrimRight(l, " ")
		k := strings.LastIndex(l, sep)
		if k < 0 {
			return nil, fmt.Errorf("%s:%d: no count", name, i+1)
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(l[k+len(sep):]), 64)
		if err != nil {
			if i == 0 {
				continue // a headline
			}
			return nil, fmt.Errorf("%s:%d: no count", name, i+1)
		}
		if t := strings.TrimRight(l[:k], " "); t != "" {
			out = append(out, counted{t, n})
		}
	}
	return out, nil
}

// groups reads a JSON object of lists of words and returns the words of the
// lists whose names begin with one of the prefixes.
func (in inputs) groups(name string, prefixes ...string) ([]string, error) {
	b, err := in.text(name)
	if err != nil {
		return nil, err
	}
	var m map[string][]string
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(k, p) }) {
			out = append(out, m[k]...)
		}
	}
	return out, nil
}

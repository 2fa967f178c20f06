// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// MaxDictionary is how many words a tenant dictionary holds at most.
const MaxDictionary = 10_000

// Errors of a Dictionary.
var (
	// ErrDictionaryFull is returned when more than MaxDictionary words would
	// be kept.
	ErrDictionaryFull = errors.New("the dictionary is full")
	// ErrDictionaryWord is returned for a word that is unprintable, or not of
	// 2 to MaxWordRunes code points once folded.
	ErrDictionaryWord = errors.New("not a dictionary word")
	// ErrDictionaryForm is returned for stored bytes that are no dictionary.
	ErrDictionaryForm = errors.New("not a dictionary")
)

// Dictionary holds a tenant's own forbidden words: its names, products and
// places. It does not change: Add, Remove and Clear give a new one with the
// next version. The zero value, and nil, is empty with version 0.
type Dictionary struct {
	version uint64
	list    []string // folded, sorted
	words   matcher
}

func newDictionary(version uint64, list []string) *Dictionary {
	var t tokens
	for _, w := range list {
		t.add(kindDictionary, []rune(w))
	}
	for _, w := range list {
		t.hanzi(kindDictionary, []rune(w))
	}
	return &Dictionary{version: version, list: list, words: reversible(t)}
}

// Version counts the changes.
func (d *Dictionary) Version() uint64 {
	if d == nil {
		return 0
	}
	return d.version
}

// Words lists the words in folded form (lower case, half width), sorted.
func (d *Dictionary) Words() []string {
	if d == nil {
		return nil
	}
	return slices.Clone(d.list)
}

// Add gives a dictionary with the words added. Known ones are passed over; if
// all are known, d itself is returned. On an error nothing is added.
func (d *Dictionary) Add(words ...string) (*Dictionary, error) {
	list := d.Words()
	for _, w := range words {
		f, err := dictionaryWord(w)
		if err != nil {
			return d, err
		}
		list = append(list, f)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	switch {
	case len(list) > MaxDictionary:
		return d, ErrDictionaryFull
	case d != nil && len(list) == len(d.list):
		return d, nil
	}
	return newDictionary(d.Version()+1, list), nil
}

// Remove gives a dictionary without the words. Unknown ones are passed over.
func (d *Dictionary) Remove(words ...string) *Dictionary {
	gone := map[string]bool{}
	for _, w := range words {
		gone[string(fold(w, MaxWordRunes+1))] = true
	}
	list := slices.DeleteFunc(d.Words(), func(w string) bool { return gone[w] })
	if d == nil || len(list) == len(d.list) {
		return d
	}
	return newDictionary(d.version+1, list)
}

// Clear gives an empty dictionary.
func (d *Dictionary) Clear() *Dictionary { return newDictionary(d.Version()+1, nil) }

func dictionaryWord(w string) (string, error) {
	if len(w) > utf8.UTFMax*2*MaxWordRunes || !printable(w) {
		return "", ErrDictionaryWord
	}
	var t tokens
	t.add(kindDictionary, fold(w, MaxWordRunes+1))
	if len(t) == 0 || len(t[0].text) < 2 || len(t[0].text) > MaxWordRunes {
		return "", ErrDictionaryWord
	}
	return string(t[0].text), nil
}

type dictionaryForm struct {
	Version uint64   `json:"version"`
	Words   []string `json:"words"`
}

// MarshalText gives the form in which a dictionary is stored.
func (d *Dictionary) MarshalText() ([]byte, error) {
	return json.Marshal(dictionaryForm{Version: d.Version(), Words: d.Words()})
}

// ParseDictionary reads what MarshalText wrote.
func ParseDictionary(b []byte) (*Dictionary, error) {
	var f dictionaryForm
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, ErrDictionaryForm
	}
	d, err := (*Dictionary)(nil).Add(f.Words...)
	if err != nil || len(d.Words()) != len(f.Words) {
		return nil, ErrDictionaryForm
	}
	return newDictionary(f.Version, d.Words()), nil
}

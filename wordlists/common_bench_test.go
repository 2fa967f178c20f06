// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/watchword-project/watchword/wordlists"
)

// BenchmarkCommonLookup compares a table of as many entries as the embedded
// one with a Go map of the same entries, in turns: half of the questions are
// entries. The metric "×map" is the median of the ratios of time.
func BenchmarkCommonLookup(b *testing.B) {
	const batch = 2048
	rng := rand.New(rand.NewChaCha8([32]byte{5}))
	known := make(map[string]byte)
	var entries []wordlists.CommonEntry
	var questions [][]byte
	for len(entries) < wordlists.Common().Len() {
		text := string(randomString(nil, rng, alphabets[3].chars, 6+rng.IntN(7)))
		if _, ok := known[text]; ok {
			continue
		}
		known[text] = byte(len(entries))
		entries = append(entries, wordlists.CommonEntry{Text: text, Rank: len(entries) + 1})
		questions = append(questions, []byte(text), randomString(nil, rng, alphabets[3].chars, 6+rng.IntN(7)))
	}
	rng.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
	table, err := wordlists.BuildCommon(entries)
	if err != nil {
		b.Fatal(err)
	}
	list, err := wordlists.OpenCommon(table)
	if err != nil {
		b.Fatal(err)
	}

	var ours, theirs []time.Duration
	var ratios []float64
	found, touched := 0, byte(0)
	b.ReportAllocs()
	for at := 0; b.Loop(); at = (at + batch) % (len(questions) - batch) {
		asked := questions[at : at+batch]
		for _, q := range asked {
			touched += q[0] // neither side shall pay for bringing the questions in
		}
		t0 := time.Now()
		for _, q := range asked {
			if _, ok := list.Lookup(q); ok {
				found++
			}
		}
		t1 := time.Now()
		for _, q := range asked {
			if _, ok := known[string(q)]; ok {
				found--
			}
		}
		t2 := time.Now()
		ours, theirs = append(ours, t1.Sub(t0)), append(theirs, t2.Sub(t1))
		ratios = append(ratios, float64(t1.Sub(t0))/float64(t2.Sub(t1)))
	}
	if found != 0 {
		b.Fatalf("the table and the map differ by %d answers (%d)", found, touched)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	slices.Sort(ratios)
	b.ReportMetric(float64(ours[len(ours)/2])/batch, "ns/lookup")
	b.ReportMetric(float64(theirs[len(theirs)/2])/batch, "ns/map")
	b.ReportMetric(ratios[len(ratios)/2], "×map")
}

func BenchmarkCommonMatch(b *testing.B) {
	for _, bb := range []struct {
		name string
		pw   []byte
	}{
		{"listed", []byte("password1")},
		{"affix", []byte("Sunflower4821973!")},
		{"phrase", []byte("correct horse battery staple")},
		{"random", []byte("kJ8#vQ2!mZ5@xW9p")},
		{"digits", []byte("839201746502938")},
		{"hanzi", []byte("苹果大海自行车月亮")},
		{"leet 256", bytes.Repeat([]byte("4@8({[</369&#!1/"), 16)},
		{"one letter 4096", bytes.Repeat([]byte("a"), 4096)},
		{"nearly periodic 4096", append(append(bytes.Repeat([]byte("a"), 2048), 'b'), bytes.Repeat([]byte("a"), 2047)...)},
		{"digits 4096", bytes.Repeat([]byte("83920174650293847561"), 205)[:4096]},
		{"affixes 4096", slices.Concat(bytes.Repeat([]byte("7!"), 1020), []byte("zxqvjzxqvj"), bytes.Repeat([]byte("!7"), 1020))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			list := wordlists.Common()
			for b.Loop() {
				list.Match(bb.pw)
			}
		})
	}
}

func BenchmarkTweaks(b *testing.B) {
	n := 0
	for b.Loop() {
		n = 0
		for range wordlists.Tweaks([]byte("Summer2023!"), wordlists.MaxTweaks) {
			n++
		}
	}
	b.ReportMetric(float64(n), "tweaks")
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// TestRebuild makes the tables anew and compares them with the committed ones,
// byte for byte.
func TestRebuild(t *testing.T) {
	dir := os.Getenv("WATCHWORD_DATA")
	if dir == "" {
		t.Skip("WATCHWORD_DATA does not name the folder of inputs; the tables are not rebuilt (half a minute of processor time)")
	}
	want, err := os.ReadFile("../tables.bin")
	if err != nil {
		t.Fatal(err)
	}
	got, err := build(inputs{dir})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the rebuilt tables have %d bytes and differ from the committed %d", len(got), len(want))
	}
}

// TestStrong draws passwords that are strong by construction, words included:
// at most one in two hundred may be taken for less than 10^10 guesses.
func TestStrong(t *testing.T) {
	dir := os.Getenv("WATCHWORD_DATA")
	if dir == "" {
		t.Skip("WATCHWORD_DATA does not name the folder of word lists; no passphrases are drawn")
	}
	sets, err := strong(inputs{dir}, 2000)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		refused := 0
		for _, c := range s.cs {
			if e := strength.Of([]byte(c.text), nil); e.Score < 4 {
				refused++
			}
		}
		if refused > len(s.cs)/200 {
			t.Errorf("%s: %d of %d refused", s.name, refused, len(s.cs))
		}
	}
}

// TestListed looks every listed password up, plain and in other clothes.
func TestListed(t *testing.T) {
	dir := os.Getenv("WATCHWORD_DATA")
	if dir == "" {
		t.Skip("WATCHWORD_DATA does not name the folder of password lists; no list is looked up")
	}
	in := inputs{dir}
	global, err := in.counts("global-pwdb-top100k-count.txt.xz", "|")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cn-netease-top100k.txt.xz", "en-xato-top100k.txt.xz"} {
		ls, err := in.lines(name)
		if err != nil {
			t.Fatal(err)
		}
		global = append(global, byRank(ls, 0)...)
	}
	missing, accepted := 0, map[string]int{}
	for i, c := range global {
		if !usable(c.text) {
			continue
		}
		if e := strength.Of([]byte(c.text), nil); !e.Listed {
			missing++
		}
		for name, t := range map[string]string{
			"capital": strings.ToUpper(c.text[:1]) + c.text[1:], "upper case": strings.ToUpper(c.text), "digit behind": c.text + string(rune('0'+i%10)),
		} {
			if e := strength.Of([]byte(t), nil); e.Score > 2 {
				accepted[name]++
			}
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d listed passwords are not found", missing, len(global))
	}
	for name, n := range accepted {
		if n > len(global)/100 {
			t.Errorf("%d of %d listed passwords are accepted with %s", n, len(global), name)
		}
	}
}

func TestInputsRefuse(t *testing.T) {
	dir := t.TempDir()
	const name = "en-zxcvbn-male-names.txt.xz"
	if err := os.WriteFile(filepath.Join(dir, name), []byte("not this"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (inputs{dir}).lines(name); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("an altered input: %v, want an error about SHA-256", err)
	}
	if _, err := (inputs{dir}).lines("passwords.txt"); err == nil {
		t.Error("an input without a name gives no error")
	}
	if _, err := build(inputs{dir}); err == nil {
		t.Error("building without inputs gives no error")
	}
}

func TestArithmetic(t *testing.T) {
	for x := 1e-12; x < 1e12; x *= 1.37 {
		if got, want := ln(x), math.Log(x); math.Abs(got-want) > 1e-13*max(1, math.Abs(want)) {
			t.Errorf("ln(%g) = %g, want %g", x, got, want)
		}
	}
	for x := -300.0; x < 300; x += 0.73 {
		if got, want := exp(x), math.Exp(x); math.Abs(got/want-1) > 1e-12 {
			t.Errorf("exp(%g) = %g, want %g", x, got, want)
		}
	}
}

func TestSpearman(t *testing.T) {
	one := []float64{1, 1, 1, 1}
	for _, c := range []struct {
		x, y, w []float64
		want    float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{10, 20, 30, 40}, one, 1},
		{[]float64{1, 2, 3, 4}, []float64{4, 3, 2, 1}, one, -1},
		{[]float64{1, 2, 3, 4}, []float64{1, 3, 2, 4}, one, 0.8},
		// A pair out of order that carries no weight does not count.
		{[]float64{1, 2, 3, 4}, []float64{1, 2, 4, 3}, []float64{1, 1, 1, 0}, 1},
		// Equal values share the middle of their places.
		{[]float64{1, 1, 2, 2}, []float64{1, 1, 2, 2}, one, 1},
	} {
		if got := spearman(c.x, c.y, c.w); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("spearman(%v, %v, %v) = %g, want %g", c.x, c.y, c.w, got, c.want)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{"zhōng": "zhong", "lǜ": "lv", "cóng lái bù": "conglaibu", "Xī'ān": "xian", "ér": "er"} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPieces(t *testing.T) {
	got := pieces("abc12!x", strength.KindBruteforce)
	if d := cmp.Diff([]string{"abc", "12", "!", "x"}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"1990"}, pieces("1990", strength.KindYear)); d != "" {
		t.Error(d)
	}
}

// TestTrain trains on a tiny corpus: all probabilities after a context sum to
// one, and what was seen is likelier than what was not.
func TestTrain(t *testing.T) {
	c := corpus{{"abab", 4}, {"abc", 2}, {"bcbc", 1}}
	m := train(c, settings{order: 3, exponent: 0.5, discount: 0.7, least: 0})
	for _, ctx := range [][]uint64{{strength.StartSymbol}, {strength.Symbol('a')}, {strength.Symbol('a'), strength.Symbol('b')}, {strength.Symbol('z')}} {
		sum := 0.0
		for s := uint64(1); s <= strength.EndSymbol; s++ {
			sum += m.prob(strength.GramKey(ctx, 0)>>symBits, len(ctx), s)
		}
		if math.Abs(sum-1) > 0.06 { // the symbol for the beginning is never drawn but has a share of the unigrams
			t.Errorf("probabilities after %v sum to %g", ctx, sum)
		}
	}
	a := strength.GramKey([]uint64{strength.Symbol('a')}, 0) >> symBits
	if seen, unseen := m.prob(a, 1, strength.Symbol('b')), m.prob(a, 1, strength.Symbol('q')); seen < 5*unseen {
		t.Errorf("b after a has %g, q after a %g", seen, unseen)
	}
}

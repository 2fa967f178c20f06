// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestPlainPinyin(t *testing.T) {
	for in, want := range map[string]string{
		"yī": "yi", "lǜ": "lv", "nüè": "nve", "jué de": "juede", "wǒ": "wo", "ê̄": "", "GPS 68": "", "": "", "Běijīng": "beijing",
	} {
		if got := plainPinyin(in); got != want {
			t.Errorf("plainPinyin(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPinyinRefusesWhatItDoesNotKnow(t *testing.T) {
	got, err := pinyin([]string{"# comment", "", "U+4E8C: èr  # 二", "U+4E00: yī  # 一", "U+4EE5: yǐ  # 以"})
	if err != nil || string(got) != "er 二\nyi 一以\n" {
		t.Errorf("pinyin = %q, %v", got, err)
	}
	for _, bad := range []string{"4E00 yī", "U+XYZ: yī  # 一", "U+4E00: 一  # 一"} {
		if _, err := pinyin([]string{bad}); err == nil {
			t.Errorf("pinyin(%q) succeeded", bad)
		}
	}
}

func TestFrontCode(t *testing.T) {
	if got := frontCode([]string{"abacus", "abdomen", "abdominal"}); string(got) != "0abacus\n2domen\n5inal\n" {
		t.Errorf("frontCode = %q", got)
	}
}

// TestRebuild makes the embedded tables again from the inputs in the
// folder WATCHWORD_DATA and compares them byte for byte.
func TestRebuild(t *testing.T) {
	if os.Getenv("WATCHWORD_DATA") == "" {
		t.Skip("WATCHWORD_DATA does not name the folder of the input files")
	}
	out := t.TempDir()
	if b, err := exec.Command("go", "run", ".", "-out", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	made, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range made {
		names = append(names, f.Name())
		want, err := os.ReadFile(filepath.Join("..", "tables", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(filepath.Join(out, f.Name())); !bytes.Equal(got, want) {
			t.Errorf("%s is not what its inputs give", f.Name())
		}
	}
	if !slices.Equal(names, []string{"eff-words.txt", "pinyin-words.txt", "pinyin.txt"}) {
		t.Errorf("made %v", names)
	}
}

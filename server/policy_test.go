// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/internal/policy"
)

func TestLintPolicies(t *testing.T) {
	dir := t.TempDir()
	policies := filepath.Join(dir, "policies")
	config := filepath.Join(dir, "watchword.yaml")
	for name, doc := range map[string]string{
		config:                               "policy: {dir: policies}\n",
		filepath.Join(policies, "base.yaml"): "version: 1\nextends: nist-800-63b-4\nrules:\n  length: {min: 20, min_mfa: 9}\n",
		filepath.Join(dir, "child.yaml"):     "version: 1\nextends: base\nrules:\n  min_age: {mode: enforce, hours: 48}\n",
		filepath.Join(dir, "weak.yaml"):      "version: 1\nrules:\n  length: {min: 6}\n",
		filepath.Join(dir, "bad.yaml"):       "version: 1\nrules:\n  lenght: {min: 6}\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(doc), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what, standard string
		fault          string // part of the error; empty for none
	}{
		{"nist-800-63b-4", "", ""},
		{"nist-800-63b-4", "nist-800-63b-4", ""},
		{"nist-800-63b-4", "mlps-l3", "breaks"},
		{"base", "", ""},
		{filepath.Join(dir, "child.yaml"), "nist-800-63b-4", ""},
		{filepath.Join(dir, "weak.yaml"), "", "dangerous"},
		{filepath.Join(dir, "bad.yaml"), "", "line 3"},
		{filepath.Join(dir, "none.yaml"), "", "neither"},
		{"nist-800-63b-4", "iso-1", "standard"},
	} {
		l := policyLintCmd{Policy: c.what, Standard: c.standard, Locale: "en"}
		err := l.Run(&cli{Config: config})
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("policy lint %s --standard %q = %v, want %q", filepath.Base(c.what), c.standard, err, c.fault)
		}
	}
	p, err := draft(&cli{Config: config}, filepath.Join(dir, "child.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for locale, want := range map[string][]string{
		"en":    {"child 1.", "BROKEN", "met", "n/a", "Dangerous", "contradict", "mlps-l3"},
		"zh-CN": {"child 1.", "不符合", "不适用", "危险组合", "矛盾"},
	} {
		var out bytes.Buffer
		broken, err := lint(&out, p, policy.Standards(locale), locale)
		if err != nil || broken == 0 {
			t.Errorf("lint: %d, %v", broken, err)
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: the output has no %q:\n%s", locale, w, out.String())
			}
		}
	}
}

func TestSimulateOffline(t *testing.T) {
	p, err := draft(&cli{}, "nist-800-63b-4")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	lines := &sampleLines{from: strings.NewReader("tangled lantern orbit\nshort\n\npassword12345678\n\xff\n")}
	if err := simulate(&out, p, policy.SingleFactor, lines.each, lines); err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"3 samples, and 2 lines", "33.33 %", "LENGTH_MIN", "BLOCKLISTED", "No breach corpus"} {
		if !strings.Contains(out.String(), w) {
			t.Errorf("the output has no %q:\n%s", w, out.String())
		}
	}
	cmd := policySimulateCmd{Policy: "asvs-5-l1", Generate: 200, Use: "multi"}
	if err := cmd.Run(&cli{}); err != nil {
		t.Error(err)
	}
}

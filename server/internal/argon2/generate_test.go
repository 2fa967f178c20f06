// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGenerated makes the assembly anew and compares it with the file that is
// built, apart from the first line, which names the command that wrote it.
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the generator")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var failure bytes.Buffer
	generate := exec.Command(tool, "run", "-tags", "avo", "./asm")
	generate.Stderr = &failure
	want, err := generate.Output()
	if err != nil {
		t.Fatalf("generating: %v\n%s", err, &failure)
	}
	got, err := os.ReadFile("blamka_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ = bytes.Cut(want, []byte("\n"))
	_, got, _ = bytes.Cut(got, []byte("\n"))
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("blamka_amd64.s is not what asm generates (-generated +file):\n%s", diff)
	}
}

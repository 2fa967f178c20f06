// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/watchword-project/watchword/server/servertest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"watchword": main})
}

// TestScripts runs the sessions in testdata, each against a server of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			s := servertest.New(e.T().(testing.TB))
			e.Setenv("WATCHWORD_ADDR", s.GRPCAddr)
			e.Setenv("WATCHWORD_KEY_FILE", filepath.Join(s.DataDir, "admin.key"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"raw": raw, "firstword": firstWord},
	})
}

// raw writes a file of bytes that a script cannot spell: \r and \n are escapes,
// and *N at the end repeats the text.
func raw(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: raw file text [times]")
	}
	text := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\xff`, "\xff").Replace(args[1])
	if len(args) == 3 {
		text = strings.Repeat(text, len(args[2]))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// firstWord sets a variable to the first word of the last output.
func firstWord(ts *testscript.TestScript, neg bool, args []string) {
	words := strings.Fields(ts.ReadFile("stdout"))
	if neg || len(args) != 1 || len(words) == 0 {
		ts.Fatalf("usage: firstword VARIABLE, behind a command that printed something")
	}
	ts.Setenv(args[0], words[0])
}

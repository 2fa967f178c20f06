// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists/private"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"watchword": main})
}

// TestScripts runs the sessions in testdata, each against a server of its own.
func TestScripts(t *testing.T) {
	config, version := privateList(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			s := servertest.Start(e.T().(testing.TB), servertest.Options{Config: config})
			e.Setenv("WATCHWORD_PRIVATE_LIST", version)
			e.Setenv("WATCHWORD_ADDR", s.GRPCAddr)
			e.Setenv("REST_ADDR", strings.TrimPrefix(s.URL, "http://"))
			e.Setenv("WATCHWORD_KEY_FILE", filepath.Join(s.DataDir, "admin.key"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"raw": raw, "firstword": firstWord},
	})
}

// privateList makes a private list, and gives the configuration of a server that
// has it.
func privateList(t *testing.T) (config, version string) {
	t.Helper()
	key, err := private.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "list.wwpr")
	if err := os.WriteFile(path+".key", key.Text(), 0o600); err != nil {
		t.Fatal(err)
	}
	h, _, err := private.Build(t.Context(), path, private.BuildOptions{Words: private.Lines(strings.NewReader("sunflower\n")), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("private: {lists: [{path: %s, key_file: %s.key}]}", path, path), h.Version().String()
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

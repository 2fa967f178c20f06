// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists/private"
)

// TestPrivateInNode runs the package's private checks against a real server.
func TestPrivateInNode(t *testing.T) {
	node := procs.Find(t, "node")
	key, err := private.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "list.wwpr")
	if err := os.WriteFile(path+".key", key.Text(), 0o600); err != nil {
		t.Fatal(err)
	}
	var words strings.Builder
	for i := range 2100 {
		fmt.Fprintf(&words, "%c%cword%d\n", 'a'+i%26, 'a'+i/26%26, i)
	}
	words.WriteString("sunflower\n夏天2024\n")
	h, _, err := private.Build(t.Context(), path, private.BuildOptions{Words: private.Lines(strings.NewReader(words.String())), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf("private: {checks_per_second: 1000, lists: [{path: %s, key_file: %s.key}]}", path, path)})
	cmd := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=spec", "test/private.test.mjs")
	cmd.Dir = pkg
	cmd.Env = append(os.Environ(), "WATCHWORD_URL="+s.URL, "WATCHWORD_KEY="+s.Key, "WATCHWORD_PRIVATE_LIST="+h.Version().String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists"
)

// finish runs a program to its end and shows what it printed if it fails.
func finish(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}

// clientScript copies a script of testdata to where its packages are.
func clientScript(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "clients", name))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRangeClients runs clients of the public service, unmodified, against
// ours.
func TestRangeClients(t *testing.T) {
	dir := t.TempDir()
	words := append(manyWords(3000), leaked)
	buildCorpus(t, filepath.Join(dir, "sha1.wwix"), wordlists.SHA1, words[len(words)-3:]...)
	buildCorpus(t, filepath.Join(dir, "ntlm.wwix"), wordlists.NTLM, words[len(words)-50:]...)
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf(
		"corpora: [{name: sha1, path: %s/sha1.wwix}, {name: ntlm, path: %s/ntlm.wwix}]\nrange: {anonymous_from: [127.0.0.1]}", dir, dir)})
	t.Run("npm", func(t *testing.T) {
		node, npm := program(t, "node"), program(t, "npm")
		finish(t, dir, npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir,
			"hibp@15.2.1", "@zxcvbn-ts/core@3.0.4", "@zxcvbn-ts/matcher-pwned@3.0.4")
		finish(t, dir, node, clientScript(t, dir, "hibp.mjs"), s.URL, leaked, "3")
		finish(t, dir, node, clientScript(t, dir, "pwned.cjs"), s.URL+"/range/", leaked)
	})
	t.Run("Symfony", func(t *testing.T) {
		php := program(t, "php")
		if _, err := os.Stat("/usr/share/php/Symfony/Component/HttpClient/autoload.php"); err != nil && os.Getenv("CI") == "" {
			t.Skip("Symfony's validator and HTTP client are not installed")
		}
		finish(t, dir, php, clientScript(t, dir, "symfony.php"), s.URL+"/range/%s", leaked)
	})
}

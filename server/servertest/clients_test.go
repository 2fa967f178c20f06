// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
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
	t.Parallel()
	dir := t.TempDir()
	words := append(manyWords(3000), leaked)
	buildCorpus(t, filepath.Join(dir, "sha1.wwix"), wordlists.SHA1, words[len(words)-3:]...)
	buildCorpus(t, filepath.Join(dir, "ntlm.wwix"), wordlists.NTLM, words[len(words)-50:]...)
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf(
		"corpora: [{name: sha1, path: %s/sha1.wwix}, {name: ntlm, path: %s/ntlm.wwix}]\nrange: {anonymous_from: [127.0.0.1]}", dir, dir)})
	t.Run("npm", func(t *testing.T) {
		node, npm := procs.Find(t, "node"), procs.Find(t, "npm")
		finish(t, dir, npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir,
			"hibp@15.2.1", "@zxcvbn-ts/core@3.0.4", "@zxcvbn-ts/matcher-pwned@3.0.4")
		finish(t, dir, node, clientScript(t, dir, "hibp.mjs"), s.URL, leaked, "3")
		finish(t, dir, node, clientScript(t, dir, "pwned.cjs"), s.URL+"/range/", leaked)
	})
	t.Run("Symfony", func(t *testing.T) {
		php := procs.Find(t, "php")
		if _, err := os.Stat("/usr/share/php/Symfony/Component/HttpClient/autoload.php"); err != nil && os.Getenv("CI") == "" {
			t.Skip("Symfony's validator and HTTP client are not installed")
		}
		finish(t, dir, php, clientScript(t, dir, "symfony.php"), s.URL+"/range/%s", leaked)
	})
}

// TestKeePassXC has KeePassXC read an export, in the form of the official
// downloader's file, and find the leaked password of a database by it.
func TestKeePassXC(t *testing.T) {
	cli := procs.Find(t, "keepassxc-cli")
	dir := t.TempDir()
	buildCorpus(t, filepath.Join(dir, "a.wwix"), wordlists.SHA1, append(manyWords(300), leaked)...)
	x, err := wordlists.Open(filepath.Join(dir, "a.wwix"), wordlists.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	f, err := os.Create(filepath.Join(dir, "hashes.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(x.Export(t.Context(), f), f.Close()); err != nil {
		t.Fatal(err)
	}
	run := func(input string, args ...string) string {
		t.Helper()
		cmd := exec.Command(cli, args...)
		cmd.Dir = dir
		cmd.Stdin = strings.NewReader(input)
		cmd.Env = append(os.Environ(), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("keepassxc-cli %s: %v\n%s", args[0], err, out)
		}
		return string(out)
	}
	run("database\ndatabase\n", "db-create", "-q", "-p", "-t", "100", "db.kdbx")
	run("database\n"+leaked+"\n", "add", "-q", "-p", "db.kdbx", "first")
	run("database\n"+goodPassword+"\n", "add", "-q", "-p", "db.kdbx", "second")
	out := run("database\n", "analyze", "-q", "-H", "hashes.txt", "db.kdbx")
	if !strings.Contains(out, "'first' has been leaked 301 times") || strings.Contains(out, "'second'") {
		t.Errorf("keepassxc-cli analyze: %s", out)
	}
}

// TestArgon2Program exchanges PHC strings with the reference's own program: what
// it wrote lets people in here, and what we write it writes as well.
func TestArgon2Program(t *testing.T) {
	program := procs.Find(t, "argon2")
	s := servertest.New(t)
	encoded := func(password, salt string, args ...string) string {
		t.Helper()
		cmd := exec.Command(program, append([]string{salt}, append(args, "-e")...)...)
		cmd.Stdin = strings.NewReader(password)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("argon2 %q: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	for i, args := range [][]string{{"-id", "-t", "2", "-k", "1024", "-p", "1"}, {"-i", "-t", "3", "-k", "512", "-p", "2", "-l", "24"}, {"-d", "-t", "1", "-k", "256", "-p", "4", "-v", "10"}} {
		phc, subject := encoded(goodPassword, "saltsaltsalt", args...), fmt.Sprint("theirs", i)
		for password, want := range map[string]bool{goodPassword: true, goodPassword + "x": false} {
			if got, err := s.Client.VerifyHash(t.Context(), password, phc); err != nil || got.Match != want {
				t.Errorf("VerifyHash of %s = %v, %v, want %v", phc, got.Match, err, want)
			}
		}
		code, answer := s.Post("/v1/credentials:import", fmt.Sprintf(`{"subject":%q,"phc":%q}`, subject, phc))
		if login, err := s.Client.Verify(t.Context(), subject, goodPassword, client.Source{}); err != nil || !login.Match {
			t.Errorf("a login by %s: %v, %v (import: %d %s)", phc, login.Match, err, code, answer)
		}
	}
	for done := 0; done < 3; {
		ours, err := s.Client.Hash(t.Context(), goodPassword)
		if err != nil {
			t.Fatal(err)
		}
		var m, passes, lanes int
		parts := strings.Split(ours, "$")
		if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &m, &passes, &lanes); err != nil {
			t.Fatalf("%s: %v", ours, err)
		}
		salt, err := base64.RawStdEncoding.DecodeString(parts[4])
		if err != nil {
			t.Fatalf("%s: %v", ours, err)
		}
		if bytes.IndexByte(salt, 0) >= 0 {
			continue // it takes the salt as an argument
		}
		if theirs := encoded(goodPassword, string(salt), "-id", "-t", fmt.Sprint(passes), "-k", fmt.Sprint(m), "-p", fmt.Sprint(lanes)); theirs != ours {
			t.Errorf("argon2 writes %s, we %s", theirs, ours)
		}
		done++
	}
}

// TestKratos has Ory Kratos's own validator of passwords ask our range service.
// Its sources are built, which takes minutes: it runs with WATCHWORD_KRATOS=1.
func TestKratos(t *testing.T) {
	if os.Getenv("WATCHWORD_KRATOS") == "" {
		t.Skip("builds Ory Kratos; set WATCHWORD_KRATOS=1")
	}
	const module = "github.com/ory/kratos@v1.3.1"
	dir := t.TempDir()
	download := exec.Command("go", "mod", "download", "-json", module)
	download.Dir = dir // outside our module
	out, err := download.Output()
	var at struct{ Dir string }
	if err = errors.Join(err, json.Unmarshal(out, &at)); err != nil {
		t.Fatalf("%s: %v: %s", module, err, out)
	}
	// A copy, with its own go.mod and go.sum, and one command more.
	src := filepath.Join(dir, "kratos")
	if err := errors.Join(os.CopyFS(src, os.DirFS(at.Dir)), os.Mkdir(filepath.Join(src, "watchword"), 0o700)); err != nil {
		t.Fatal(err)
	}
	clientScript(t, filepath.Join(src, "watchword"), "kratos.go")
	finish(t, src, "go", "build", "-mod=readonly", "-o", "probe", "./watchword")

	buildCorpus(t, filepath.Join(dir, "a.wwix"), wordlists.SHA1, append(manyWords(300), leaked)...)
	certify(t, dir, 1)
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf(
		"corpora: [{name: a, path: %[1]s/a.wwix}]\nrange: {anonymous_from: [127.0.0.1]}\nlisten: {tls: {cert: %[1]s/cert.pem, key: %[1]s/cert.key}}", dir)})
	t.Setenv("SSL_CERT_FILE", filepath.Join(dir, "cert.pem"))
	finish(t, dir, filepath.Join(src, "probe"), strings.Replace(s.URL, "https://127.0.0.1", "localhost", 1), leaked, "301")
}

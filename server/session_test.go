// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/watchword-project/watchword/server/internal/storetest/procs"
)

var fence = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestReadmeSession types what the README says under Start, with the binaries
// in place of "go run", and holds the answers against what it promises.
func TestReadmeSession(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:9443", "127.0.0.1:8443"} {
		l, err := net.Listen("tcp", addr)
		if err != nil && os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		if err != nil {
			t.Skipf("%s is taken: the README's session needs the default ports", addr)
		}
		l.Close()
	}
	procs.Find(t, "curl")
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, session, _ := strings.Cut(string(readme), "\n## Start\n")
	session, _, _ = strings.Cut(session, "\n## ")
	blocks := fence.FindAllStringSubmatch(session, -1)
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands under Start, want 4", len(blocks))
	}

	dir := t.TempDir()
	compile(t, filepath.Join(dir, "server.bin"), ".")
	compile(t, filepath.Join(dir, "client.bin"), "../client/watchword")
	server := exec.Command(filepath.Join(dir, "server.bin"))
	server.Dir = dir
	p := start(t, server)
	defer func() {
		if !p.end(syscall.SIGTERM) {
			t.Errorf("the server ended with %v", p.ProcessState)
		}
	}()

	script := `go() { [ "$1 $2" = "run ./client/watchword" ] || return 9; shift 2; ./client.bin "$@"; echo "exit $?"; }` + "\n"
	for _, b := range blocks[1:] {
		script += b[1] + "\n"
	}
	sh := exec.Command("sh", "-c", script)
	sh.Dir = dir
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rest := string(out)
	for _, want := range []string{
		"rejected by nist-800-63b-4", "BLOCKLISTED", "exit 1\n",
		"accepted by nist-800-63b-4", "exit 0\n",
		"stored, version 1", "exit 0\n",
		"match", "exit 0\n",
		"no match", "exit 1\n",
		`"decision":"DECISION_REJECT"`, "该密码在常用密码名单中。",
		"ww_", "exit 0\n", "ww_", "exit 0\n",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("no %q where the README leads one to expect it, in:\n%s", want, out)
		}
		rest = after
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/internal/storetest/procs"
)

// TestDemo pastes what the demo says to paste, and looks that nothing is left.
func TestDemo(t *testing.T) {
	procs.Find(t, "curl")
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := demo(ctx, w)
		_ = w.CloseWithError(io.EOF)
		ended <- err
	}()
	var said strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() && !strings.Contains(lines.Text(), "its key:") {
		said.WriteString(lines.Text() + "\n")
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	commands := regexp.MustCompile(`(?m)^ +curl .*$`).FindAllString(said.String(), -1)
	wants := []string{`"DECISION_REJECT"`, `"RESULT_MATCH"`, `"CONTEXT_DERIVED":1`}
	if len(commands) != len(wants) {
		t.Fatalf("%d commands in:\n%s", len(commands), said.String())
	}
	for i, command := range commands {
		out, err := exec.Command("sh", "-c", command).Output()
		if err != nil || !strings.Contains(strings.ReplaceAll(string(out), ": ", ":"), wants[i]) {
			t.Errorf("%s\n%v: %s", command, err, out)
		}
	}
	page := regexp.MustCompile(`http://127\.0\.0\.1:\d+/\n`).FindString(said.String())
	resp, err := http.Get(strings.TrimSpace(page))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the operator's page: %s", resp.Status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the end: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// One that is stopped at once leaves nothing either.
	early, cancel := context.WithCancel(t.Context())
	cancel()
	_ = demo(early, io.Discard)
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
}

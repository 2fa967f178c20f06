// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/watchword-project/watchword/server/internal/storetest/procs"
)

// process is a server that runs as one of its own.
type process struct {
	*exec.Cmd
	addr   string // of its gRPC door
	exited <-chan struct{}

	mu      sync.Mutex
	refused []time.Duration // how long it says that each refusal for want of capacity took
}

// start starts a server and returns when it says that it is ready.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: cmd}
	if p.exited, err = procs.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	ready := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var line struct {
				Msg, GRPC, Code string
				Took            float64 `json:"took_ms"`
			}
			switch err := json.Unmarshal(lines.Bytes(), &line); {
			case err == nil && line.Msg == "ready":
				ready <- line.GRPC
			case err == nil && line.Code == codes.ResourceExhausted.String():
				p.mu.Lock()
				p.refused = append(p.refused, time.Duration(line.Took*1e6))
				p.mu.Unlock()
			}
		}
	}()
	select {
	case p.addr = <-ready:
	case <-p.exited:
		t.Fatal("the server does not start")
	case <-time.After(startLimit):
		t.Fatal("the server is not ready")
	}
	return p
}

// refusals gives how long it says that each refusal took since it was last asked.
func (p *process) refusals() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.refused
	p.refused = nil
	return last
}

// kill ends the server as a fault of the machine would: it learns nothing of it.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// end sends the server a signal, and tells whether it ended well.
func (p *process) end(s syscall.Signal) bool {
	_ = p.Process.Signal(s)
	<-p.exited
	return p.ProcessState.Success()
}

// program builds the server as it ships. This test binary would be the server
// too, but with the race detector its memory and speed are not what is shipped.
func program(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "watchword-server")
	compile(t, path, ".")
	return path
}

func compile(t testing.TB, out string, args ...string) {
	t.Helper()
	if b, err := exec.Command("go", append([]string{"build", "-o", out}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, b)
	}
}

// faulty builds the server with a fault in one of its files: pairs of what
// stands there once and of what takes its place.
func faulty(t *testing.T, file string, edits ...string) string {
	t.Helper()
	dir := t.TempDir()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := string(text)
	for i := 0; i < len(edits); i += 2 {
		if strings.Count(bad, edits[i]) != 1 {
			t.Fatalf("%s does not hold %q once: the fault finds no place", file, edits[i])
		}
		bad = strings.Replace(bad, edits[i], edits[i+1], 1)
	}
	edited, overlay := filepath.Join(dir, "edited.go"), filepath.Join(dir, "overlay.json")
	index, err := json.Marshal(map[string]map[string]string{"Replace": {path: edited}})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{edited: []byte(bad), overlay: index} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "server")
	compile(t, out, "-overlay", overlay, ".")
	return out
}

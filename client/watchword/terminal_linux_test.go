// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchword-project/watchword/server/servertest"
)

// terminal opens a pseudo-terminal: what is written to the first file is typed,
// and what is read from it is shown.
func terminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return keyboard, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// TestPromptDoesNotEcho types a password once the prompt is there, and looks
// for it on the screen. A terminal that was interrupted echoes again as well as
// one that was answered.
func TestPromptDoesNotEcho(t *testing.T) {
	s := servertest.New(t)
	for name, c := range map[string]struct {
		typed string
		exit  int
	}{
		"answered":    {"tangled lantern orbit 7 walrus\n", 0},
		"interrupted": {"tangled lantern\x03", exitError},
	} {
		t.Run(name, func(t *testing.T) {
			keyboard, tty := terminal(t)
			cmd := exec.Command("watchword", "check")
			cmd.Env = append(os.Environ(), "WATCHWORD_ADDR="+s.GRPCAddr, "WATCHWORD_KEY_FILE="+filepath.Join(s.DataDir, "admin.key"))
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if !echoes(t, tty) {
				t.Fatal("the terminal does not echo to begin with")
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			screen := make(chan []byte, 64)
			go func() {
				defer close(screen)
				for b := make([]byte, 4096); ; {
					n, err := keyboard.Read(b)
					if err != nil {
						return
					}
					screen <- bytes.Clone(b[:n])
				}
			}()
			var shown strings.Builder
			for deadline := time.After(30 * time.Second); !strings.Contains(shown.String(), "Password: "); {
				select {
				case b := <-screen:
					shown.Write(b)
				case <-deadline:
					t.Fatalf("no prompt, but %q", shown.String())
				}
			}
			// The prompt comes first; nobody types faster than the next line runs.
			for end := time.Now().Add(10 * time.Second); echoes(t, tty); {
				if time.Now().After(end) {
					t.Fatal("the terminal echoes while it asks for a password")
				}
			}
			if _, err := keyboard.WriteString(c.typed); err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			for done := false; !done; {
				select {
				case b := <-screen:
					shown.Write(b)
				case <-exited:
					done = true
				}
			}
			if got := cmd.ProcessState.ExitCode(); got != c.exit {
				t.Errorf("exit code %d, want %d: %q", got, c.exit, shown.String())
			}
			if !echoes(t, tty) {
				t.Error("the terminal does not echo afterwards")
			}
			if strings.Contains(shown.String(), "lantern") {
				t.Errorf("the password is on the screen: %q", shown.String())
			}
		})
	}
}

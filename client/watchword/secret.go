// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// maxSecrets bounds what is read from standard input in bytes. The server
// judges the length of a password itself.
const maxSecrets = 64 << 10

// secretFlags say where passwords come from.
type secretFlags struct {
	Stdin bool `help:"Read the password from standard input, one a line, instead of asking for it."`
}

// read gets one password for each prompt.
func (s secretFlags) read(prompts ...string) ([]string, error) {
	if s.Stdin {
		return readLines(os.Stdin, len(prompts))
	}
	var out []string
	for _, p := range prompts {
		text, err := askFor(p)
		if err != nil {
			return nil, err
		}
		if text == "" {
			return nil, errEmpty
		}
		out = append(out, text)
	}
	return out, nil
}

// readNew gets passwords of which the last is a new one. Nobody sees what they
// type, so the terminal asks for it twice.
func (s secretFlags) readNew(prompts ...string) ([]string, error) {
	if !s.Stdin {
		prompts = append(prompts, "The same again: ")
	}
	out, err := s.read(prompts...)
	if err != nil || s.Stdin {
		return out, err
	}
	n := len(out) - 1
	if out[n] != out[n-1] {
		return nil, errors.New("the two are not the same")
	}
	return out[:n], nil
}

var errEmpty = errors.New("the password is empty")

// readLines reads exactly n lines. Each ends with LF or CRLF, which is not part
// of it; the end of the last may be missing.
func readLines(r io.Reader, n int) ([]string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecrets+1))
	defer clear(b)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if len(b) > maxSecrets {
		return nil, fmt.Errorf("standard input: more than %d bytes", maxSecrets)
	}
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	if len(lines) != n {
		return nil, fmt.Errorf("standard input: %d lines, want %d", len(lines), n)
	}
	var out []string
	for _, line := range lines {
		text := strings.TrimSuffix(string(line), "\r")
		if text == "" {
			return nil, errEmpty
		}
		out = append(out, text)
	}
	return out, nil
}

// askFor asks on the terminal without echo, even when standard input is
// something else.
func askFor(prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err == nil {
		defer tty.Close()
	} else if tty = os.Stdin; !term.IsTerminal(int(tty.Fd())) {
		return "", errors.New("there is no terminal to ask for the password: use --stdin")
	}
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	// Whoever interrupts gets a terminal back that echoes.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	defer func() { signal.Stop(interrupted); close(done) }()
	go func() {
		select {
		case <-interrupted:
			_ = term.Restore(fd, before)
			fmt.Fprintln(tty)
			os.Exit(exitError)
		case <-done:
		}
	}()
	fmt.Fprint(tty, prompt)
	b, err := term.ReadPassword(fd)
	fmt.Fprintln(tty)
	defer clear(b)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("terminal: %w", err)
	}
	return string(b), nil
}

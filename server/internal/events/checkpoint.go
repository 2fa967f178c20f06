// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package events

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// A checkpoint says, under a signature, how far the log had come. One line
// each, in a file that is best kept on another machine:
//
//	{"log":"<id>","seq":7,"time":"…","mac":"<64 hexadecimal digits>","sig":"<base64>"}\n
//
// The signature is Ed25519 over the line up to and without `,"sig"`, so that a
// reader needs only the public key.
type checkpoint struct {
	Log  string    `json:"log"`
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	Mac  string    `json:"mac"`
}

const (
	sigMember = `,"sig":"`
	sigTail   = len(sigMember) + 88 + len(macEnd) // 64 bytes are 88 characters
	// keptCheckpoints bounds the file: when it holds twice as many, the older
	// half goes. One suffices to see a cut tail.
	keptCheckpoints = 4096
)

func (c checkpoint) line(key ed25519.PrivateKey) ([]byte, error) {
	c.Time = c.Time.UTC().Truncate(time.Second)
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	b = b[:len(b)-1]
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(key, b))
	return append(b, sigMember+sig+macEnd+"\n"...), nil
}

var errCheckpoint = errors.New("a checkpoint is not what was signed")

func parseCheckpoint(line []byte, key ed25519.PublicKey) (c checkpoint, err error) {
	at := len(line) - sigTail
	if at < 2 || string(line[at:at+len(sigMember)]) != sigMember || string(line[len(line)-len(macEnd):]) != macEnd {
		return c, errCheckpoint
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(string(line[at+len(sigMember) : len(line)-len(macEnd)]))
	if err != nil || !ed25519.Verify(key, line[:at], sig) {
		return c, errCheckpoint
	}
	if err := json.Unmarshal(append(bytes.Clone(line[:at]), '}'), &c); err != nil {
		return c, errCheckpoint
	}
	return c, nil
}

// readCheckpoints gives all checkpoints of a file, oldest first, and whether
// its last line is cut short. A missing file has none.
func readCheckpoints(path string, key ed25519.PublicKey) (all []checkpoint, torn bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("checkpoints: %w", err)
	}
	defer f.Close()
	for r := bufio.NewReader(f); ; {
		line, ended, err := readLine(r)
		if err != nil || len(line) == 0 && !ended {
			return all, false, err
		}
		if !ended {
			return all, true, nil
		}
		c, err := parseCheckpoint(line, key)
		if err != nil {
			return all, false, err
		}
		all = append(all, c)
	}
}

// writeCheckpoint appends a checkpoint and makes it durable.
func writeCheckpoint(path string, c checkpoint, key ed25519.PrivateKey) error {
	line, err := c.line(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	_, err = f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	return nil
}

// thin keeps the newest checkpoints of a file that has too many, and drops what
// a crash left of a line. A place that only takes appends stays as it is.
func thin(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	whole := b[:bytes.LastIndexByte(b, '\n')+1]
	if lines := bytes.SplitAfter(whole, []byte("\n")); len(lines) > 2*keptCheckpoints {
		whole = bytes.Join(lines[len(lines)-1-keptCheckpoints:], nil)
	}
	if len(whole) == len(b) {
		return nil
	}
	aside := path + ".new"
	if err := os.WriteFile(aside, whole, 0o600); err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	if err := os.Rename(aside, path); err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	return nil
}

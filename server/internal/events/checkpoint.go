// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package events

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// A checkpoint says, under a signature, how far the log had come. One line
// each, in a file that is best kept on another machine:
//
//	{"log":"<id>","seq":7,"time":"…","mac":"<64 hexadecimal digits>","link":"<64 hexadecimal digits>","sig":"<base64>"}\n
//
// The signature is Ed25519 over the line up to and without `,"sig"`, so that a
// reader needs only the public key. The link is the SHA-256 of the line before
// it, so that none can be dropped from between, or change its place.
type checkpoint struct {
	Log  string    `json:"log"`
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	Mac  string    `json:"mac"`
	Link string    `json:"link,omitempty"`
}

func linkOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
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
	f, err := openRead(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("checkpoints: %w", err)
	}
	defer f.Close()
	link, linked := "", false
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
		// The first line may link to one that was thinned out; those of before
		// there were links come before all that have one.
		if link != "" && c.Link != link && (linked || c.Link != "") {
			return all, false, errCheckpoint
		}
		link, linked = linkOf(line), linked || c.Link != ""
		all = append(all, c)
	}
}

// lastLink gives the link to the last whole line of a file. The first checkpoint
// has a link, too, to nothing.
func lastLink(path string) (string, error) {
	b, err := readAll(path)
	if err != nil {
		return "", err
	}
	end := bytes.LastIndexByte(b, '\n')
	if end < 0 {
		return linkOf(nil), nil
	}
	b = b[:end]
	return linkOf(b[bytes.LastIndexByte(b, '\n')+1:]), nil
}

// readAll reads a file of checkpoints; a missing one is empty.
func readAll(path string) ([]byte, error) {
	f, err := openRead(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	return b, nil
}

// writeCheckpoint appends a checkpoint and makes it durable. It gives the link
// to it.
func writeCheckpoint(path string, c checkpoint, key ed25519.PrivateKey) (link string, err error) {
	line, err := c.line(key)
	if err != nil {
		return "", err
	}
	f, err := openRegular(path, os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return "", fmt.Errorf("checkpoints: %w", err)
	}
	if err = dropTorn(f); err == nil {
		_, err = f.Write(line)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("checkpoints: %w", err)
	}
	return linkOf(line[:len(line)-1]), nil
}

// dropTorn cuts what an earlier write left of a line, as a full disk does: the
// next would stand behind it on the same line.
func dropTorn(f *os.File) error {
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return err
	}
	const most = 1 << 10 // more than a line
	tail := make([]byte, min(st.Size(), most))
	if _, err := f.ReadAt(tail, st.Size()-int64(len(tail))); err != nil {
		return err
	}
	torn := len(tail) - 1 - bytes.LastIndexByte(tail, '\n')
	if torn == 0 || torn == most {
		return nil
	}
	return f.Truncate(st.Size() - int64(torn))
}

// thin keeps the newest checkpoints of a file that has too many, and drops what
// a crash left of a line. A place that only takes appends stays as it is.
func thin(path string) error {
	b, err := readAll(path)
	if err != nil {
		return err
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

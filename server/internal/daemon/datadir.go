// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/watchword-project/watchword/server/internal/boltstore"
)

// Names in the data directory.
const (
	signingFile = "signing.key"
	pepperFile  = "pepper.key"
	adminFile   = "admin.key"
	socketFile  = "admin.sock"
	throttleDir = "throttle"
)

// keyBytes is the length of every secret that the server makes.
const keyBytes = 32

// dataDir is the directory that holds everything the server keeps.
type dataDir string

func (d dataDir) path(name string) string { return filepath.Join(string(d), name) }

// initialised tells whether the directory has its keys. A directory with only
// some of them, or with a store and none of them, was damaged, and making new
// ones would turn every stored password wrong; that is an error.
func (d dataDir) initialised() (bool, error) {
	found := 0
	for _, name := range []string{signingFile, pepperFile} {
		switch _, err := os.Lstat(d.path(name)); {
		case err == nil:
			found++
		case !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	if found == 1 {
		return false, fmt.Errorf("data directory: only one of %s and %s is there: restore the other from its backup", signingFile, pepperFile)
	}
	if _, err := os.Lstat(d.path(boltstore.FileName)); found == 0 && err == nil {
		return false, fmt.Errorf("data directory: it holds a store, but neither %s nor %s: restore both from their backup", signingFile, pepperFile)
	}
	return found == 2, nil
}

// check refuses a directory that others can enter.
func (d dataDir) check() error {
	st, err := os.Stat(string(d))
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if !st.IsDir() || st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("data directory: mode is %04o: set it to 0700", st.Mode().Perm())
	}
	return nil
}

// private refuses a secret's file that others can read. Where an orchestrator
// mounts secrets, the files are root's and readable by the group that the server
// alone is in: those are taken.
func private(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o077 != 0 && !mounted(st) {
		return fmt.Errorf("mode is %04o: a secret must be readable by its owner only, set it to 0600", st.Mode().Perm())
	}
	return nil
}

// writeSecret makes a file of mode 0600 that did not exist.
func writeSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + "\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// makeKey writes a fresh key.
func (d dataDir) makeKey(name string) error {
	b := make([]byte, keyBytes)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return writeSecret(d.path(name), hex.EncodeToString(b))
}

// readKey reads a key that makeKey, or an operator, wrote.
func readKey(path string) ([]byte, error) {
	if err := private(path); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != keyBytes {
		return nil, fmt.Errorf("%s: not 64 hexadecimal digits", filepath.Base(path))
	}
	return key, nil
}

// derive gives a key of its own for each purpose (HKDF, RFC 5869).
func derive(master []byte, purpose string) []byte {
	k, err := hkdf.Key(sha256.New, master, nil, "watchword "+purpose, keyBytes)
	if err != nil { // only for absurd lengths
		panic(err)
	}
	return k
}

// syncDir makes new names in the directory durable.
func (d dataDir) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

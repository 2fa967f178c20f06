// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policybook

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// maxFile bounds a policy file; a policy has a bound of its own below it.
const maxFile = 1 << 20

// fingerprint tells one content of the directory from another.
type fingerprint string

// files reads the policy files of a directory. They are opened inside it, so
// that no link leads out. A missing directory is an error: it was configured.
func files(dir string) (map[string][]byte, fingerprint, error) {
	docs := make(map[string][]byte)
	if dir == "" {
		return docs, "", nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, "", fmt.Errorf("policy directory: %w", err)
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, "", fmt.Errorf("policy directory: %w", err)
	}
	h := sha256.New()
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".yaml")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		if policy.ValidName(name) != nil {
			return nil, "", errors.New("policy directory: a file is not named like a policy ([a-z0-9][a-z0-9._-]{0,63}.yaml)")
		}
		f, err := root.Open(e.Name())
		if err != nil {
			return nil, "", fmt.Errorf("policy %s: %w", name, err)
		}
		b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
		err = errors.Join(err, f.Close())
		if err != nil || len(b) > maxFile {
			return nil, "", errors.Join(fmt.Errorf("policy %s cannot be read, or is larger than %d bytes", name, maxFile), err)
		}
		docs[name] = b
		fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	return docs, fingerprint(hex.EncodeToString(h.Sum(nil))), nil
}

func fingerprintOf(dir string) (fingerprint, error) {
	_, print, err := files(dir)
	return print, err
}

// readDir gives the built-in policies with those of a directory. The
// fingerprint is given even when a policy among the files is wrong.
func readDir(dir string) (*policy.Set, fingerprint, error) {
	docs, print, err := files(dir)
	if err != nil {
		return nil, print, err
	}
	for name := range docs {
		if policy.Builtin().BuiltIn(name) {
			return nil, print, fmt.Errorf("policy directory: %s is the name of a built-in policy", name)
		}
	}
	set, err := policy.Builtin().With(docs)
	if err != nil {
		return nil, print, fmt.Errorf("policy directory: %w", err)
	}
	return set, print, nil
}

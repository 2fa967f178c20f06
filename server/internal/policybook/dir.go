// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policybook

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// maxFiles is how many policies a directory may hold.
const maxFiles = 1000

// fingerprint tells one content of the directory from another, and from a
// directory that cannot be read.
type fingerprint string

// content is what a look at the directory found.
type content struct {
	docs  map[string][]byte
	print fingerprint
	err   error
}

// look reads the policy files of a directory once.
func look(dir string) content {
	docs, err := files(dir)
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		fmt.Fprintf(h, "%s %d\n", name, len(docs[name]))
		h.Write(docs[name])
	}
	if err != nil {
		fmt.Fprintf(h, "! %v", err)
	}
	return content{docs, fingerprint(h.Sum(nil)), err}
}

// files reads the files of a directory that are named like policies. They are
// opened inside it, so that no link leads out. A missing directory is an error:
// it was configured.
func files(dir string) (map[string][]byte, error) {
	if dir == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("policy directory: %w", err)
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("policy directory: %w", err)
	}
	docs := make(map[string][]byte)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".yaml")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		if policy.ValidName(name) != nil {
			return nil, errors.New("policy directory: a file is not named like a policy ([a-z0-9][a-z0-9._-]{0,63}.yaml, no two dots in a row)")
		}
		if len(docs) == maxFiles {
			return nil, fmt.Errorf("policy directory: more than %d files", maxFiles)
		}
		if docs[name], err = read(root, e.Name()); err != nil {
			return nil, fmt.Errorf("policy %s: %w", name, err)
		}
	}
	return docs, nil
}

// read reads one file. What is not a regular file, such as a pipe, is refused
// before it is opened: it might block.
func read(root *os.Root, name string) ([]byte, error) {
	st, err := root.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, policy.MaxDocument+1))
	if err == nil && len(b) > policy.MaxDocument {
		err = fmt.Errorf("longer than %d bytes", policy.MaxDocument)
	}
	return b, err
}

// set gives the built-in policies with those of the directory.
func (c content) set() (*policy.Set, error) {
	if c.err != nil {
		return nil, c.err
	}
	for name, doc := range c.docs {
		if len(doc) == 0 {
			return nil, fmt.Errorf("policy %s: the file is empty", name)
		}
	}
	set, err := policy.Builtin().With(c.docs)
	if err != nil {
		return nil, fmt.Errorf("policy directory: %w", err)
	}
	return set, nil
}

// Dir gives the built-in policies with those of a directory, or the built-in
// ones alone when dir is empty.
func Dir(dir string) (*policy.Set, error) { return look(dir).set() }

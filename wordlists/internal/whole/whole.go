// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package whole writes files that are there as a whole or not at all.
package whole

import (
	"errors"
	"os"
	"path/filepath"
)

// Write replaces a file by one with the parts, in one step.
func Write(path string, parts ...[]byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	for _, p := range parts {
		if _, err = f.Write(p); err != nil {
			break
		}
	}
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir puts the names in a folder on disk.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

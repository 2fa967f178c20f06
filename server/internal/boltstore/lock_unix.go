// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix && !solaris && !aix

package boltstore

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the data directory for this process until unlock is called or the
// process ends, however it ends.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = errors.Join(err, f.Close())
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, err
	}
	// Closing would not be enough: a program that is being started has the file
	// for a moment too.
	return func() error { return errors.Join(flock(f, syscall.LOCK_UN), f.Close()) }, nil
}

func flock(f *os.File, how int) (err error) {
	for {
		if err = syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package events

import "io/fs"

// File is what a log writes to.
type File interface {
	Write(p []byte) (int, error)
	Close() error
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

// WithFiles puts f between the log and the files it opens.
func (c Config) WithFiles(f func(File) File) Config {
	c.open = func(path string) (file, error) {
		inner, err := openFile(path)
		if err != nil {
			return nil, err
		}
		return f(inner), nil
	}
	return c
}

// Line gives the line of an event after a chain value, and its own, so that a
// test can forge.
func Line(key []byte, before [32]byte, e Event) ([]byte, [32]byte) {
	b, m, err := appendLine(nil, key, before, e)
	if err != nil {
		panic(err)
	}
	return b, m
}

// Genesis is the chain value before the first line.
func Genesis(key []byte) [32]byte { return genesis(key) }

// ParseLine reads one line without its end.
func ParseLine(line []byte) (Event, error) {
	e, _, _, err := parseLine(line)
	return e, err
}

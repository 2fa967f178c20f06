// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !unix && !wasip1

package wordlists

import (
	"io"
	"os"
)

// mapFile reads the file into memory where mapping is not available.
func mapFile(f *os.File, size int) ([]byte, error) {
	b := make([]byte, size)
	_, err := io.ReadFull(io.NewSectionReader(f, 0, int64(size)), b)
	return b, err
}

func willNeed([]byte) {}

func adviseHuge([]byte) {}

func populate([]byte) {}

func forget(*os.File) {}

func anonymous(size int) ([]byte, error) { return make([]byte, size), nil }

func unmap([]byte) error { return nil }

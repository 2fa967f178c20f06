// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix

package wordlists

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"unsafe"
)

// A line that the file no longer has is an error in the assembly too.
func TestScanOfTruncatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	size := 2 * os.Getpagesize()
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := mapFile(f, size)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap(mem)
	if err := os.Truncate(path, int64(size/2)); err != nil {
		t.Fatal(err)
	}
	lines := []uintptr{uintptr(unsafe.Pointer(&mem[0])), uintptr(unsafe.Pointer(&mem[size/2]))}
	for name, scan := range map[string]func(){
		"checkAll": func() { checkAll(lines, make([]uint64, 2)) },
		"matchAll": func() { matchAll(make([]uint64, 2), lines, make([]uint64, 2)) },
	} {
		err := func() (err error) {
			defer catchFault(debug.SetPanicOnFault(true), &err)
			scan()
			return nil
		}()
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}

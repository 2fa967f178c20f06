// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Mklist makes the embedded tables of package wordlists, common.bin,
// defaults.txt and ranked.bin, from a folder of published password lists. The result is the
// same byte for byte on every machine; an input with another SHA-256 than the
// one written here is refused.
//
// The inputs are xz files, read with the program xz, and are not part of this
// repository. Their origins and licences are in NOTICE.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/watchword-project/watchword/wordlists"
)

func main() {
	data := flag.String("data", os.Getenv("WATCHWORD_DATA"), "folder of the input lists (default: $WATCHWORD_DATA)")
	out := flag.String("out", ".", "folder for the tables")
	flag.Parse()
	if err := run(*data, *out); err != nil {
		fmt.Fprintln(os.Stderr, "mklist:", err)
		os.Exit(1)
	}
}

func run(data, out string) error {
	if data == "" {
		return errors.New("no input folder: give -data or set WATCHWORD_DATA")
	}
	t, err := makeTables(data)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "common.bin"), t.common, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "defaults.txt"), t.defaults, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "ranked.bin"), t.ranked, 0o644); err != nil {
		return err
	}
	list, err := wordlists.OpenCommon(t.common)
	if err != nil {
		return err
	}
	fmt.Printf("%d strings, %d with 8 code points or more, %d + %d bytes, version %s\n",
		list.Len(), list.CountFitting(8), len(t.common), len(t.defaults), list.Version())
	return nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password_test

import (
	_ "embed"
	"strings"
)

//go:embed testdata/vectors.txt
var vectorFile string

type vector struct{ by, password, encoded string }

// vectors are hashes made by other programs.
var vectors = readVectors(vectorFile)

func readVectors(text string) (out []vector) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		out = append(out, vector{f[0], f[1], f[2]})
	}
	return out
}

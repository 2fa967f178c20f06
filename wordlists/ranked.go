// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bufio"
	"compress/flate"
	_ "embed" // for the list below
	"iter"
	"strings"
)

// rankedData holds the first MaxRanked lines of the merged lists that common.bin
// is made of, in their order, each ended by a line feed, as raw DEFLATE
// (RFC 1951).
//
//go:embed ranked.bin
var rankedData string

// MaxRanked is how many passwords Ranked yields.
const MaxRanked = 100_000

// Ranked yields the most common passwords, the commonest first: the head of
// the lists that Common knows by fingerprint only, for those who must try
// passwords rather than judge them. Each walk unpacks the list anew, which
// takes some milliseconds and no more memory than a page.
func Ranked() iter.Seq[string] {
	return func(yield func(string) bool) {
		lines := bufio.NewScanner(flate.NewReader(strings.NewReader(rankedData)))
		for lines.Scan() {
			if !yield(lines.Text()) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			panic(err) // the program was built with a damaged list
		}
	}
}

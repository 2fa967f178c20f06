// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import "github.com/watchword-project/watchword/wordlists"

// Sorted sorts digests as the join does.
func Sorted(keys []wordlists.Key) func() []wordlists.Key {
	list := make([]bareKey, len(keys))
	for i, k := range keys {
		list[i] = bareKey{k, uint32(i)}
	}
	return func() []wordlists.Key {
		list = sorted(list)
		out := make([]wordlists.Key, len(list))
		for i := range list {
			out[i] = list[i].key
		}
		return out
	}
}

// Codec writes rows and findings in their byte form, and reads them.
var (
	AppendRow      = appendRow
	ParseRows      = parseRows
	AppendFindings = appendFindings
	ParseFindings  = parseFindings
)

// CompareAtATime sets how many findings are compared at a time.
func (e *Engine) CompareAtATime(n int) { e.part = n }

// Share and Rounds say how guesses are dealt out.
var (
	Share  = share
	Rounds = roundsOf
)

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"testing"

	"github.com/watchword-project/watchword/wordlists"
)

// The list is whole, without repetition, and in the order of the ranks that
// Lookup gives. Those are rounded up by at most 42 %, and may be better than
// the place where a variant in capitals is commoner.
func TestRanked(t *testing.T) {
	seen := make(map[string]bool, wordlists.MaxRanked)
	common := wordlists.Common()
	for word := range wordlists.Ranked() {
		if word == "" || seen[word] {
			t.Fatalf("entry %d is empty or stands twice", len(seen)+1)
		}
		seen[word] = true
		m, ok := common.Lookup([]byte(word))
		if !ok || 100*m.Rank > 142*len(seen) {
			t.Fatalf("entry %d: Lookup gives rank %d, %v", len(seen), m.Rank, ok)
		}
	}
	if len(seen) != wordlists.MaxRanked {
		t.Errorf("%d entries, want %d", len(seen), wordlists.MaxRanked)
	}
	for range wordlists.Ranked() {
		break // a walk may end early
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/watchword-project/watchword/wordlists"
)

// PreloadMapped brings in what look-ups need and leaves out the tails; without
// it nothing is read but the frame. A finished build keeps nothing in memory.
func TestPreloadMapped(t *testing.T) {
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, generateIn(3, 900, wordlists.SHA1, 1, 2, 3, 4), wordlists.SHA1), Full: true, Partial: true})
	x := openIndex(t, path, wordlists.Options{})
	all := int(x.Info().Size) / os.Getpagesize()
	heads := int(x.HeadBytes()) / os.Getpagesize()
	idle := x.ResidentPages()
	if idle > all/2 {
		t.Skipf("the file system keeps %d of %d pages", idle, all)
	}
	x = openIndex(t, path, wordlists.Options{Preload: wordlists.PreloadMapped})
	if n := x.ResidentPages(); n < heads {
		t.Errorf("%d pages are in memory, want at least the %d that look-ups need", n, heads)
	}
	if n, err := faults(x); err != nil || n > 0 {
		t.Errorf("look-ups met %d faults after the preload (%v)", n, err)
	}
}

// faults counts the page faults of this thread during some look-ups.
func faults(x *wordlists.Index) (int64, error) {
	var before, after unix.Rusage
	keys := x.Info().Canaries
	if _, err := x.Contains(wordlists.Key{1}); err != nil { // what the look-up itself touches
		return 0, err
	}
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &before); err != nil {
		return 0, err
	}
	for _, c := range keys {
		if _, err := x.Contains(c.Key); err != nil {
			return 0, err
		}
	}
	err := unix.Getrusage(unix.RUSAGE_THREAD, &after)
	return after.Majflt - before.Majflt, err
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"path/filepath"
	"testing"

	"github.com/watchword-project/watchword/wordlists"
)

func build(t testing.TB, opts wordlists.BuildOptions) (string, *wordlists.BuildResult) {
	t.Helper()
	if opts.Out == "" {
		opts.Out = filepath.Join(t.TempDir(), "corpus.wwix")
	}
	res, err := wordlists.Build(t.Context(), opts)
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return opts.Out, res
}

func openIndex(t testing.TB, path string, opts wordlists.Options) *wordlists.Index {
	t.Helper()
	x, err := wordlists.Open(path, opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// Every entry of a corpus is found with its exact count, in every layout and
// every way of opening, and nothing else is found.
func TestEveryEntryFound(t *testing.T) {
	t.Parallel()
	for _, kind := range []wordlists.Kind{wordlists.SHA1, wordlists.NTLM} {
		for _, full := range []bool{false, true} {
			t.Run(kind.String(), func(t *testing.T) {
				n := 120_000
				if *long {
					n = 1_000_000
				}
				all := generate(1, n, kind)
				path, res := build(t, wordlists.BuildOptions{
					In: hashesFile(t, all, kind), Kind: kind, Full: full, Partial: true,
				})
				if res.Info.Entries != uint64(len(all)) {
					t.Fatalf("Entries = %d, want %d", res.Info.Entries, len(all))
				}
				t.Logf("%.3f bytes an entry", float64(res.Info.Size)/float64(len(all)))
				for _, opts := range []wordlists.Options{
					{}, {Preload: wordlists.PreloadMapped}, {Preload: wordlists.PreloadMemory}, {Exact: full},
				} {
					x := openIndex(t, path, opts)
					if err := x.Verify(t.Context()); err != nil {
						t.Fatalf("Verify: %v", err)
					}
					if err := x.CheckCanaries(); err != nil {
						t.Fatalf("CheckCanaries: %v", err)
					}
					r := rng(7)
					for i := range all {
						n, found, err := x.Count(all[i].key)
						if err != nil || !found || n != all[i].count {
							t.Fatalf("Count(entry %d) = %d, %t, %v, want %d, true, nil", i, n, found, err, all[i].count)
						}
						miss := all[i].key
						miss[1+r.next()%5] ^= byte(1 + r.next()%255)
						if _, found, err := x.Count(miss); found || err != nil {
							t.Fatalf("Count(neighbour of entry %d) = %t, %v, want false, nil", i, found, err)
						}
					}
				}
			})
		}
	}
}

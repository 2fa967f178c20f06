// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/watchword-project/watchword/wordlists"
)

var fixedNow = func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }

// writeRanges writes the range files of some prefixes.
func writeRanges(t *testing.T, dir string, all []entry, kind wordlists.Kind, prefixes ...uint32) {
	t.Helper()
	for _, p := range prefixes {
		var part []entry
		for _, e := range all {
			if prefixOf(e.key) == p {
				part = append(part, e)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05X.txt", p)), rangeText(nil, part, kind), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func sortEntries(all []entry) {
	slices.SortFunc(all, func(a, b entry) int { return bytes.Compare(a.key[:], b.key[:]) })
}

// An update gives the very file that a build of the new list would have given,
// and rebuilds only the segments that changed.
func TestUpdate(t *testing.T) {
	t.Parallel()
	for _, kind := range []wordlists.Kind{wordlists.SHA1, wordlists.NTLM} {
		all := generateIn(70, 30, kind, 0, 3, 4, 0xabc, 0xfff)
		path, before := build(t, wordlists.BuildOptions{In: hashesFile(t, all, kind), Kind: kind, Full: true, Partial: true, Now: fixedNow, Name: "x"})
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// New entries, new counts, and a segment that was empty.
		changed := []uint32{3 * 256, 3*256 + 255, 0xabc*256 + 17, 0x500 * 256}
		for _, p := range changed {
			for i := range 10 {
				all = append(all, entry{wordlists.Key{byte(p >> 12), byte(p >> 4), byte(p<<4) | byte(i), byte(i), 1}, uint32(100 * (i + 1))})
			}
		}
		for i := range all {
			if prefixOf(all[i].key) == changed[0] {
				all[i].count += 7
			}
		}
		sortEntries(all)
		dir := t.TempDir()
		writeRanges(t, dir, all, kind, changed...)
		res, err := wordlists.Update(t.Context(), wordlists.UpdateOptions{File: path, From: dir, Now: fixedNow})
		if err != nil {
			t.Fatal(err)
		}
		if res.Ranges != 4 || res.Segments != 3 || res.Previous != before.Info.Version || res.Info.Version == res.Previous {
			t.Errorf("Update = %+v", res)
		}
		x := openIndex(t, path, wordlists.Options{Exact: true})
		if err := x.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := x.CheckCanaries(); err != nil {
			t.Fatal(err)
		}
		var got, want bytes.Buffer
		if err := x.Export(t.Context(), &got); err != nil {
			t.Fatal(err)
		}
		writeHashes(&want, all, kind)
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Error("the updated index holds other entries than the new list")
		}
		fresh, built := build(t, wordlists.BuildOptions{In: hashesFile(t, all, kind), Kind: kind, Full: true, Partial: true, Now: fixedNow, Name: "x"})
		if built.Info.Version != res.Info.Version {
			t.Errorf("updated to version %s, a build of the same list gives %s", res.Info.Version, built.Info.Version)
		}
		_ = fresh

		// And back, and forth.
		for i := range 3 {
			info, err := wordlists.Rollback(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			now, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if (i%2 == 0) != bytes.Equal(now, old) || (i%2 == 0) != (info.Version == before.Info.Version) {
				t.Errorf("Rollback %d gives version %s", i, info.Version)
			}
		}
	}
}

// An index without whole hashes takes in ranges too, as long as the segment's
// line count still suits it.
func TestUpdateHeadOnly(t *testing.T) {
	t.Parallel()
	all := generateIn(71, 60, wordlists.SHA1, 0, 1, 2)
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Partial: true})
	p := uint32(256 + 100)
	for i := range 20 {
		all = append(all, entry{wordlists.Key{byte(p >> 12), byte(p >> 4), byte(p<<4) | byte(i%16), byte(i), 9}, uint32(i + 1)})
	}
	sortEntries(all)
	dir := t.TempDir()
	writeRanges(t, dir, all, wordlists.SHA1, p)
	if _, err := wordlists.Update(t.Context(), wordlists.UpdateOptions{File: path, From: dir}); err != nil {
		t.Fatal(err)
	}
	x := openIndex(t, path, wordlists.Options{})
	if err := x.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if x.Info().Entries != uint64(len(all)) {
		t.Errorf("%d entries, want %d", x.Info().Entries, len(all))
	}
	for i, e := range all {
		if n, found, err := x.Count(e.key); n != e.count || !found || err != nil {
			t.Fatalf("Count(entry %d) = %d, %t, %v, want %d", i, n, found, err, e.count)
		}
	}
	// Too many for the line count: the whole segment is asked for, and helps.
	for i := range 2000 {
		all = append(all, entry{wordlists.Key{byte(p >> 12), byte(p >> 4), byte(p<<4) | byte(i%16), byte(i), byte(i >> 8), 10}, 1})
	}
	sortEntries(all)
	writeRanges(t, dir, all, wordlists.SHA1, p)
	_, err := wordlists.Update(t.Context(), wordlists.UpdateOptions{File: path, From: dir})
	if !errors.Is(err, wordlists.ErrIncomplete) {
		t.Fatalf("Update: %v, want ErrIncomplete", err)
	}
	for i := range uint32(256) {
		writeRanges(t, dir, all, wordlists.SHA1, 256+i)
	}
	if _, err := wordlists.Update(t.Context(), wordlists.UpdateOptions{File: path, From: dir}); err != nil {
		t.Fatal(err)
	}
	y := openIndex(t, path, wordlists.Options{})
	for i, e := range all {
		if n, found, err := y.Count(e.key); n != e.count || !found || err != nil {
			t.Fatalf("Count(entry %d) = %d, %t, %v, want %d", i, n, found, err, e.count)
		}
	}
}

// An empty, truncated, malformed or poisoned list never replaces a good one.
func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	all := generateIn(72, 40, wordlists.SHA1, 7, 8)
	path, res := build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Full: true, Partial: true})
	p := uint32(7*256 + 5)
	many := func(n int) (text []byte) {
		for i := range n {
			if i > 0 {
				text = append(text, "\r\n"...)
			}
			text = fmt.Appendf(text, "%035X:1", i)
		}
		return text
	}
	first := rangeText(nil, all[:20], wordlists.SHA1)
	for name, tt := range map[string]struct {
		text []byte
		err  error
	}{
		"an empty range":     {nil, wordlists.ErrRefused},
		"half a range":       {rangeText(nil, all[:10], wordlists.SHA1), wordlists.ErrRefused},
		"a page":             {[]byte("<html>502</html>"), wordlists.ErrSyntax},
		"out of order":       {append(append(first, "\r\n"...), first...), wordlists.ErrOrder},
		"far too many lines": {many(len(all) + 2000), wordlists.ErrRefused},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05X.txt", p)), tt.text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := wordlists.Update(t.Context(), wordlists.UpdateOptions{File: path, From: dir})
		if !errors.Is(err, tt.err) {
			t.Errorf("Update with %s: %v, want %v", name, err, tt.err)
		}
		x := openIndex(t, path, wordlists.Options{})
		if x.Info().Version != res.Info.Version {
			t.Fatalf("%s took the good list's place", name)
		}
	}
	if _, err := wordlists.Update(t.Context(), wordlists.UpdateOptions{File: path, From: t.TempDir()}); !errors.Is(err, wordlists.ErrEmpty) {
		t.Errorf("Update from an empty folder: %v, want ErrEmpty", err)
	}
	// A damaged segment is not copied on.
	flip(t, path, 4096+4096*32+700, 4)
	dir := t.TempDir()
	writeRanges(t, dir, all, wordlists.SHA1, 8*256)
	if _, err := wordlists.Update(t.Context(), wordlists.UpdateOptions{File: path, From: dir}); !errors.Is(err, wordlists.ErrCorrupt) {
		t.Errorf("Update of a damaged index: %v, want ErrCorrupt", err)
	}
}

func TestManifestAndReplace(t *testing.T) {
	t.Parallel()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	all := generateIn(73, 40, wordlists.SHA1, 7, 8)
	dir := t.TempDir()
	file, next := filepath.Join(dir, "x.wwix"), filepath.Join(dir, "next.wwix")
	build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Out: file, Partial: true})
	list := append(slices.Clone(all), entry{wordlists.Key{0xff}, 3})
	build(t, wordlists.BuildOptions{In: hashesFile(t, list, wordlists.SHA1), Out: next, Partial: true})

	signed, err := wordlists.SignManifest(t.Context(), next, key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wordlists.CheckManifest(t.Context(), next, stranger, pub); err != nil || got != signed {
		t.Fatalf("CheckManifest = %+v, %v, want %+v", got, err, signed)
	}
	if _, err := wordlists.CheckManifest(t.Context(), next, stranger); !errors.Is(err, wordlists.ErrSignature) {
		t.Errorf("CheckManifest with a stranger's key: %v", err)
	}
	if _, err := wordlists.CheckManifest(t.Context(), next); !errors.Is(err, wordlists.ErrSignature) {
		t.Errorf("CheckManifest without keys: %v", err)
	}
	text, err := os.ReadFile(wordlists.ManifestPath(next))
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		bad := slices.Clone(text)
		bad[i] ^= 1
		if err := os.WriteFile(wordlists.ManifestPath(next), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if i%9 == 0 || i > len(text)-4 {
			if _, err := wordlists.CheckManifest(t.Context(), next, pub); err == nil {
				t.Errorf("CheckManifest took a manifest with byte %d of %d changed", i, len(text))
			}
		}
	}
	if err := os.WriteFile(wordlists.ManifestPath(next), text, 0o600); err != nil {
		t.Fatal(err)
	}
	// A good manifest of another file.
	if err := os.WriteFile(wordlists.ManifestPath(file), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := wordlists.CheckManifest(t.Context(), file, pub); !errors.Is(err, wordlists.ErrSignature) {
		t.Errorf("CheckManifest of another file: %v", err)
	}

	if _, err := wordlists.Replace(t.Context(), wordlists.ReplaceOptions{File: file, From: next, Keys: []ed25519.PublicKey{stranger}}); !errors.Is(err, wordlists.ErrSignature) {
		t.Fatalf("Replace with a stranger's signature: %v", err)
	}
	info, err := wordlists.Replace(t.Context(), wordlists.ReplaceOptions{File: file, From: next, Keys: []ed25519.PublicKey{pub}})
	if err != nil || info.Version != signed.Version {
		t.Fatalf("Replace = %+v, %v", info, err)
	}
	if _, err := wordlists.CheckManifest(t.Context(), file, pub); err != nil {
		t.Errorf("CheckManifest after Replace: %v", err)
	}
	// A list that lost most of its entries is refused, unless forced.
	build(t, wordlists.BuildOptions{In: hashesFile(t, all[:len(all)/2], wordlists.SHA1), Out: next, Partial: true})
	if _, err := wordlists.Replace(t.Context(), wordlists.ReplaceOptions{File: file, From: next}); !errors.Is(err, wordlists.ErrRefused) {
		t.Errorf("Replace by half the list: %v, want ErrRefused", err)
	}
	if _, err := wordlists.Replace(t.Context(), wordlists.ReplaceOptions{File: file, From: next, Force: true}); err != nil {
		t.Errorf("Replace by half the list, forced: %v", err)
	}
	if _, err := wordlists.CheckManifest(t.Context(), file, pub); !errors.Is(err, wordlists.ErrSignature) {
		t.Errorf("CheckManifest of an unsigned replacement: %v, want ErrSignature", err)
	}
	if info, err := wordlists.Rollback(t.Context(), file); err != nil || info.Version != signed.Version {
		t.Errorf("Rollback = %s, %v, want version %s", info.Version, err, signed.Version)
	}
	if _, err := wordlists.CheckManifest(t.Context(), file, pub); err != nil {
		t.Errorf("CheckManifest after Rollback: %v", err)
	}
	// What was put aside is read through before it comes back.
	flip(t, file+".previous", 4096+4096*32+700, 4)
	if _, err := wordlists.Rollback(t.Context(), file); !errors.Is(err, wordlists.ErrCorrupt) {
		t.Errorf("Rollback to a damaged file: %v, want ErrCorrupt", err)
	}
	if _, err := wordlists.CheckManifest(t.Context(), file, pub); err != nil {
		t.Errorf("CheckManifest after a refused Rollback: %v", err)
	}
	// A list of the same size but of other members.
	other := generateIn(74, 40, wordlists.SHA1, 7, 8)
	build(t, wordlists.BuildOptions{In: hashesFile(t, other, wordlists.SHA1), Out: next, Partial: true})
	if _, err := wordlists.Replace(t.Context(), wordlists.ReplaceOptions{File: file, From: next}); !errors.Is(err, wordlists.ErrRefused) {
		t.Errorf("Replace by another list: %v, want ErrRefused", err)
	}
	// What is no index is left alone.
	foreign := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(foreign, []byte("not an index"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := wordlists.Replace(t.Context(), wordlists.ReplaceOptions{File: foreign, From: next}); !errors.Is(err, wordlists.ErrFormat) {
		t.Errorf("Replace of a foreign file: %v, want ErrFormat", err)
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/watchword-project/watchword/wordlists"
)

// damageable is a corpus with every section: dense segments, with a mean of so
// many entries to a range, and thin ones, large counts, tails, and a segment
// that is stored plain.
func damageable(t testing.TB, mean float64) ([]entry, []byte) {
	t.Helper()
	all := generateIn(30, mean, wordlists.SHA1, 0, 5, 0xfff)
	all = append(all, generateIn(31, 0.3, wordlists.SHA1, 0x100, 0x200)...)
	for i := range 500 {
		all = append(all, entry{wordlists.Key{0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, byte(i >> 8), byte(i)}, uint32(i + 1)})
	}
	slices.SortFunc(all, func(a, b entry) int { return bytes.Compare(a.key[:], b.key[:]) })
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Full: true, Partial: true})
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return all, file
}

func named(err error) bool {
	return errors.Is(err, wordlists.ErrCorrupt) || errors.Is(err, wordlists.ErrFormat)
}

// interrogate opens a damaged file without verifying it and asks it for
// everything. It returns whether anything said that the file is damaged. A
// wrong answer fails the test.
func interrogate(t *testing.T, what string, path string, all []entry, ranges [][]byte) (noticed bool) {
	t.Helper()
	x, err := wordlists.Open(path, wordlists.Options{})
	if err != nil {
		if !named(err) {
			t.Fatalf("%s: Open: %v", what, err)
		}
		return true
	}
	defer x.Close()
	keys := make([]wordlists.Key, len(all))
	for i, e := range all {
		keys[i] = e.key
		n, found, err := x.Count(e.key)
		switch {
		case err != nil:
			if !named(err) {
				t.Fatalf("%s: Count: %v", what, err)
			}
			noticed = true
		case !found || n != e.count:
			t.Fatalf("%s: silent wrong answer: Count(entry %d) = %d, %t, want %d", what, i, n, found, e.count)
		}
		miss := e.key
		miss[3] ^= 0x55
		if _, found, err := x.Count(miss); found && err == nil {
			t.Fatalf("%s: silent wrong answer: a key that is not listed is found", what)
		}
	}
	counts := make([]uint32, len(keys))
	if err := x.CountBatch(counts, keys); err != nil {
		noticed = true
	} else {
		for i := range counts {
			if counts[i] != all[i].count {
				t.Fatalf("%s: silent wrong answer of CountBatch", what)
			}
		}
	}
	var body []byte
	for p, want := range ranges {
		if want == nil {
			continue
		}
		body, _, err = x.AppendRange(body[:0], uint32(p), wordlists.PadNone)
		if err != nil {
			noticed = true
		} else if !bytes.Equal(body, want) {
			t.Fatalf("%s: silent wrong answer of AppendRange", what)
		}
	}
	if err := x.Verify(t.Context()); err != nil {
		if !named(err) {
			t.Fatalf("%s: Verify: %v", what, err)
		}
		return true
	}
	return noticed
}

// No damage gives a wrong answer, even in a file that was opened without
// verifying it, and Verify notices all of it.
func TestDamage(t *testing.T) {
	t.Parallel()
	all, good := damageable(t, 12)
	ranges := expectedRangesOf(all, wordlists.SHA1)
	path := filepath.Join(t.TempDir(), "damaged.wwix")
	try := func(what string, file []byte) {
		t.Helper()
		if bytes.Equal(file, good) {
			return
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if !interrogate(t, what, path, all, ranges) {
			t.Fatalf("%s: nobody noticed", what)
		}
	}
	r := rng(40)
	flips, others := 80, 60
	if *long {
		flips, others = 20_000, 5_000
	}
	const data = 4096 + 4096*32
	for i := range flips {
		file := slices.Clone(good)
		at := r.next() % uint64(len(good))
		if i%8 != 0 { // the table is most of a small file; look at the rest too
			at = data + r.next()%uint64(len(good)-data)
		}
		file[at] ^= 1 << (r.next() % 8)
		try("flipped bit", file)
	}
	for i := range others {
		file := slices.Clone(good)
		at := data + int(r.next()%uint64(len(good)-data))
		switch i % 6 {
		case 0: // a page that was never written
			at &^= 4095
			clear(file[at:min(at+4096, len(file))])
		case 1: // a line that was never written
			at &^= 63
			clear(file[at:min(at+64, len(file))])
		case 2: // a misdirected write
			from := data + int(r.next()%uint64(len(good)-data-64))
			copy(file[at&^63:], good[from&^63:][:64])
		case 3: // noise
			for j := range file[at:min(at+int(r.next()%200), len(file))] {
				file[at+j] = byte(r.next())
			}
		case 4: // a byte lost
			copy(file[at:], good[min(at+1, len(good)-1):])
		case 5: // one byte set
			file[at] = byte(r.next())
		}
		try("overwritten", file)
	}
}

func TestTruncation(t *testing.T) {
	t.Parallel()
	_, good := damageable(t, 12)
	path := filepath.Join(t.TempDir(), "short.wwix")
	check := func(file []byte) {
		t.Helper()
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := wordlists.Open(path, wordlists.Options{}); !named(err) {
			t.Fatalf("Open of %d of %d bytes: %v", len(file), len(good), err)
		}
	}
	for n := 0; n < len(good); n += 4096 {
		check(good[:n])
	}
	for n := len(good) - 200; n < len(good); n++ {
		check(good[:n])
	}
	check(append(slices.Clone(good), 0))
	check(append(slices.Clone(good), good[len(good)-128:]...))
}

func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	for what, content := range map[string][]byte{
		"empty": nil, "text": []byte("0000\n"), "long text": bytes.Repeat([]byte("hello\n"), 100_000),
		"zeros": make([]byte, 1<<20), "gzip": zipped(make([]byte, 1<<20)),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := wordlists.Open(path, wordlists.Options{}); !errors.Is(err, wordlists.ErrFormat) {
			t.Errorf("Open of %s: %v, want ErrFormat", what, err)
		}
	}
	if _, err := wordlists.Open(dir, wordlists.Options{}); !errors.Is(err, wordlists.ErrFormat) {
		t.Errorf("Open of a folder: %v, want ErrFormat", err)
	}
	if _, err := wordlists.Open(filepath.Join(dir, "none"), wordlists.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of nothing: %v, want ErrNotExist", err)
	}
}

// The first and last possible entries of prefixes and segments are found and
// answered; their neighbours outside are not.
func TestBoundaries(t *testing.T) {
	t.Parallel()
	for _, kind := range []wordlists.Kind{wordlists.SHA1, wordlists.NTLM} {
		all := generateIn(50, 30, kind, 0, 0x123, 0xffe, 0xfff)
		for _, s := range []uint32{0, 0x123, 0xffe, 0xfff} {
			for p := range uint32(256) {
				var low, high wordlists.Key
				prefix := s*256 + p
				for i := range kind.Size() {
					high[i] = 0xff
				}
				low[0], low[1], low[2] = byte(prefix>>12), byte(prefix>>4), byte(prefix<<4)
				high[0], high[1], high[2] = byte(prefix>>12), byte(prefix>>4), byte(prefix<<4)|15
				all = append(all, entry{low, 1 + p}, entry{high, 2000 + p})
			}
		}
		slices.SortFunc(all, func(a, b entry) int { return bytes.Compare(a.key[:], b.key[:]) })
		path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, all, kind), Kind: kind, Full: true, Partial: true})
		x := openIndex(t, path, wordlists.Options{Exact: true})
		for i, e := range all {
			if n, found, err := x.Count(e.key); n != e.count || !found || err != nil {
				t.Fatalf("%v: Count(entry %d) = %d, %t, %v, want %d", kind, i, n, found, err, e.count)
			}
			// One bit off at the far end of the hash: told apart by the tail.
			near := e.key
			near[kind.Size()-1] ^= 1
			if i > 0 && all[i-1].key == near || i+1 < len(all) && all[i+1].key == near {
				continue
			}
			if _, found, err := x.Count(near); found || err != nil {
				t.Fatalf("%v: the neighbour of entry %d: %t, %v", kind, i, found, err)
			}
		}
		ranges := expectedRangesOf(all, kind)
		for p, want := range ranges {
			if want == nil && p%997 != 0 {
				continue
			}
			body, _, err := x.AppendRange(nil, uint32(p), wordlists.PadNone)
			if err != nil || !bytes.Equal(body, want) {
				t.Fatalf("%v: AppendRange(%05X) = %q, %v, want %q", kind, p, body, err, want)
			}
		}
		if _, _, err := x.AppendRange(nil, 1<<20, wordlists.PadNone); err == nil {
			t.Errorf("AppendRange took a prefix of six digits")
		}
	}
}

func expectedRangesOf(all []entry, kind wordlists.Kind) [][]byte {
	ranges := make([][]byte, 1<<20)
	for at := 0; at < len(all); {
		end := at
		for end < len(all) && prefixOf(all[end].key) == prefixOf(all[at].key) {
			end++
		}
		ranges[prefixOf(all[at].key)] = rangeText(nil, all[at:end], kind)
		at = end
	}
	return ranges
}

// Batches of every size and order answer as single look-ups do.
func TestBatch(t *testing.T) {
	t.Parallel()
	all := generate(60, 300_000, wordlists.SHA1)
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Partial: true})
	x := openIndex(t, path, wordlists.Options{})
	r := rng(61)
	for _, size := range []int{0, 1, 2, 15, 16, 17, 19, 20, 21, 511, 512, 513, 10_000, 16_384, 1<<18 + 3} {
		keys, want := make([]wordlists.Key, size), make([]uint32, size)
		for i := range keys {
			e := all[r.next()%uint64(len(all))]
			keys[i], want[i] = e.key, e.count
			if r.next()%3 == 0 {
				keys[i][1] ^= 0x3c
				keys[i][4] ^= byte(1 + r.next()%255)
				want[i] = 0
			}
		}
		got := make([]uint32, size+1)
		for i := range got {
			got[i] = 77
		}
		if err := x.CountBatch(got, keys); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[:size], want) || got[size] != 77 {
			t.Errorf("CountBatch of %d keys differs", size)
		}
		slices.SortFunc(keys, func(a, b wordlists.Key) int { return bytes.Compare(a[:], b[:]) })
		if err := x.CountBatch(got, keys); err != nil {
			t.Fatal(err)
		}
		for i, k := range keys {
			if n, _, _ := x.Count(k); n != got[i] {
				t.Fatalf("CountBatch of %d sorted keys differs at %d", size, i)
			}
		}
	}
}

func TestNoAllocations(t *testing.T) {
	all := generateIn(62, 40, wordlists.SHA1, 1, 2)
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Partial: true, Full: true})
	keys := make([]wordlists.Key, 1000)
	for i := range keys {
		keys[i] = all[i*7].key
	}
	counts := make([]uint32, len(keys))
	body := make([]byte, 0, 1<<20)
	for _, exact := range []bool{false, true} {
		x := openIndex(t, path, wordlists.Options{Exact: exact})
		i := 0
		if n := testing.AllocsPerRun(1000, func() { x.Count(keys[i%1000]); i++ }); n != 0 {
			t.Errorf("Count, exact %t: %v allocations", exact, n)
		}
		if n := testing.AllocsPerRun(10, func() { x.CountBatch(counts, keys) }); n != 0 {
			t.Errorf("CountBatch, exact %t: %v allocations", exact, n)
		}
		if n := testing.AllocsPerRun(100, func() { x.AppendRange(body, 0x100, wordlists.PadNone) }); n > 1 {
			t.Errorf("AppendRange: %v allocations", n)
		}
	}
}

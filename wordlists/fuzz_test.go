// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/wordlists"
)

// fuzzDir is a folder in memory where the system has one: a builder waits for
// the disk at every commit, which a fuzzer has no time for.
func fuzzDir(f *testing.F) string {
	f.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "wordlists-fuzz-")
	if err != nil {
		return f.TempDir()
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var plainLine = regexp.MustCompile(`^([0-9A-Fa-f]{40}):([0-9]+)$`)

// readPlainly is the slow and obvious reader that the fast one is held to. ok
// is false for what it does not want to judge.
func readPlainly(in []byte) (all []entry, valid, ok bool) {
	counted := 0
	for _, line := range bytes.Split(in, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		if len(line) == 0 {
			continue
		}
		m := plainLine.FindSubmatch(line)
		if m == nil {
			return nil, false, len(line) != 40
		}
		counted++
		n, err := strconv.ParseUint(string(m[2]), 10, 32)
		if err != nil {
			return nil, false, true
		}
		if n == 0 {
			continue
		}
		key, err := wordlists.SHA1.ParseKey(string(m[1]))
		if err != nil {
			return nil, false, true
		}
		if len(all) > 0 && bytes.Compare(all[len(all)-1].key[:], key[:]) >= 0 {
			return nil, false, true
		}
		all = append(all, entry{key, uint32(n)})
	}
	return all, len(all) > 0, true
}

// FuzzBuildHashes holds the builder, from a file and from a stream, to a plain
// reader: the same inputs are taken, and their entries are exactly what the
// index then answers.
func FuzzBuildHashes(f *testing.F) {
	a, b := hashLine("0A", "1"), hashLine("ab", "23")
	for _, s := range []string{a, a + "\n" + b, a + "\r\n" + b + "\r\n", b + "\n" + a, a + "\n" + a, a + "\n\n\xef\xbb\xbf" + b,
		a[:39] + "\n", hashLine("00", "0"), a + "\n" + hashLine("0B", "99999999999"), strings.Repeat("0", 200)} {
		f.Add([]byte(s))
	}
	dir := fuzzDir(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.HasPrefix(in, []byte("\x1f\x8b")) {
			return
		}
		want, valid, ok := readPlainly(in)
		if !ok || longLine(in) {
			return
		}
		path := filepath.Join(dir, "in")
		if err := os.WriteFile(path, in, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, opts := range []wordlists.BuildOptions{{In: path}, {Reader: bytes.NewReader(in)}} {
			opts.Out, opts.Partial, opts.Full, opts.Workers = path+".wwix", true, true, 1
			res, err := wordlists.Build(t.Context(), opts)
			var named *wordlists.InputError
			if err != nil && !errors.As(err, &named) {
				t.Fatalf("Build: %v", err)
			}
			if (err == nil) != valid {
				t.Fatalf("Build: %v, want valid %t", err, valid)
			}
			if err != nil {
				continue
			}
			x := openIndex(t, path+".wwix", wordlists.Options{Exact: true})
			if res.Info.Entries != uint64(len(want)) {
				t.Fatalf("%d entries, want %d", res.Info.Entries, len(want))
			}
			var out, text bytes.Buffer
			if err := x.Export(t.Context(), &out); err != nil {
				t.Fatal(err)
			}
			writeHashes(&text, want, wordlists.SHA1)
			if !bytes.Equal(out.Bytes(), text.Bytes()) {
				t.Fatal("the index holds other entries than the input")
			}
		}
	})
}

// longLine reports a line near or over the reader's limit, where only the
// reader says which error comes first.
func longLine(in []byte) bool {
	for _, line := range bytes.Split(in, []byte("\n")) {
		if len(line) > 60 {
			return true
		}
	}
	return false
}

// FuzzRangeFile holds the reader of range files to the plain one.
func FuzzRangeFile(f *testing.F) {
	line := strings.Repeat("A", 35) + ":1"
	for _, s := range []string{line, line + "\r", line + "\r\n" + "B" + line[1:], line + "\n" + line, "\xef\xbb\xbf" + line, line + "\r\n" + strings.Repeat("0", 35) + ":0", ""} {
		f.Add([]byte(s))
	}
	dir := fuzzDir(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		const prefix = "00abC"
		var whole []byte
		for line := range bytes.SplitAfterSeq(in, []byte("\n")) {
			rest := bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
			if len(bytes.Trim(rest, "\r\n")) > 0 {
				whole = append(whole, prefix...)
			}
			whole = append(whole, rest...)
		}
		want, valid, ok := readPlainly(whole)
		if !ok || longLine(whole) || bytes.Contains(in, []byte("\r\r")) || bytes.Count(in, []byte("\xef\xbb\xbf\xef\xbb\xbf")) > 0 {
			return
		}
		if err := os.WriteFile(filepath.Join(dir, "00ABC.txt"), in, 0o600); err != nil {
			t.Fatal(err)
		}
		res, err := wordlists.Build(t.Context(), wordlists.BuildOptions{
			In: dir, Out: filepath.Join(dir, "out.wwix"), From: wordlists.FromRanges, Partial: true, Workers: 1,
		})
		if (err == nil) != valid || err == nil && res.Info.Entries != uint64(len(want)) {
			t.Fatalf("Build: %v, want valid %t with %d entries", err, valid, len(want))
		}
	})
}

// FuzzOpen gives the reader hostile files. Whatever their bytes, and even where
// every checksum was made to fit, nothing panics, reads outside the file or
// runs on.
func FuzzOpen(f *testing.F) {
	all, good := damageable(f, 0.5) // the smaller, the more runs
	path := filepath.Join(fuzzDir(f), "x.wwix")
	f.Add(uint32(0), uint32(0), []byte{}, true)
	f.Add(uint32(4096), uint32(8), []byte("12345678"), true)
	f.Add(uint32(4096+4096*32), uint32(128), []byte{9, 9, 9, 9, 9, 9, 9, 9}, true)
	f.Add(uint32(4096+4096*32+128+60), uint32(0), []byte{255, 255, 255, 255}, true)
	f.Add(uint32(100), uint32(len(good)), []byte("x"), false)
	f.Fuzz(func(t *testing.T, at, cut uint32, patch []byte, seal bool) {
		file := slices.Clone(good)
		if len(patch) > 0 {
			copy(file[at%uint32(len(file)):], patch)
		}
		if cut %= 1 << 16; cut > 0 && !seal {
			file = file[:len(file)-int(cut)%len(file)]
		}
		if seal {
			wordlists.Reseal(file)
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := wordlists.Open(path, wordlists.Options{})
		if err != nil {
			return
		}
		defer x.Close()
		verified := x.Verify(t.Context()) == nil
		keys := make([]wordlists.Key, 0, len(all))
		wrong := 0
		for i := range all {
			keys = append(keys, all[i].key)
			if n, _, err := x.Count(all[i].key); err == nil && n != all[i].count {
				wrong++
			}
		}
		if wrong > 0 && verified && !seal {
			t.Fatalf("%d wrong answers from a file that verifies", wrong)
		}
		x.CountBatch(make([]uint32, len(keys)), keys)
		x.CheckCanaries()
		for _, segment := range []uint32{0, 5, 0xfff, 0x801, 0x100} {
			for p := range uint32(256) {
				x.AppendRange(nil, segment<<8|p, wordlists.PadNone)
			}
		}
	})
}

// FuzzIndex holds an index to a plain map over lists of any shape.
func FuzzIndex(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), uint8(0))
	f.Add(bytes.Repeat([]byte{0xff, 0}, 200), uint8(3))
	f.Add([]byte{}, uint8(8))
	dir := fuzzDir(f)
	f.Fuzz(func(t *testing.T, raw []byte, shared uint8) {
		// Each eight bytes are one entry; shared leading bytes make clusters.
		want := map[wordlists.Key]uint32{}
		for len(raw) >= 8 {
			var k wordlists.Key
			at := min(int(shared%17), 12)
			copy(k[at:], raw[:6])
			binary.BigEndian.PutUint16(k[18:], binary.BigEndian.Uint16(raw[4:]))
			want[k] = 1 + uint32(raw[6])<<(raw[7]%24)
			raw = raw[8:]
		}
		if len(want) == 0 {
			return
		}
		var all []entry
		for k, n := range want {
			all = append(all, entry{k, n})
		}
		sortEntries(all)
		out := filepath.Join(dir, "x.wwix")
		var text bytes.Buffer
		writeHashes(&text, all, wordlists.SHA1)
		if _, err := wordlists.Build(t.Context(), wordlists.BuildOptions{Reader: &text, Out: out, Full: true, Partial: true, Workers: 1}); err != nil {
			t.Fatal(err)
		}
		x := openIndex(t, out, wordlists.Options{Exact: true})
		if err := x.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if n, found, err := x.Count(e.key); n != e.count || !found || err != nil {
				t.Fatalf("Count = %d, %t, %v, want %d", n, found, err, e.count)
			}
			miss := e.key
			miss[19] ^= 1
			n, found, err := x.Count(miss)
			if w, listed := want[miss]; err != nil || found != listed || found && n != w {
				t.Fatalf("Count of a neighbour = %d, %t, %v, want %d, %t", n, found, err, w, listed)
			}
		}
		for at := 0; at < len(all); {
			p, end := prefixOf(all[at].key), at
			for end < len(all) && prefixOf(all[end].key) == p {
				end++
			}
			got, _, err := x.AppendRange(nil, p, wordlists.PadNone)
			if err != nil || !bytes.Equal(got, rangeText(nil, all[at:end], wordlists.SHA1)) {
				t.Fatalf("AppendRange(%05X): %v", p, err)
			}
			at = end
		}
	})
}

func TestParseKey(t *testing.T) {
	for _, tt := range []struct {
		kind wordlists.Kind
		text string
		ok   bool
	}{
		{wordlists.SHA1, strings.Repeat("aB", 20), true},
		{wordlists.NTLM, strings.Repeat("aB", 16), true},
		{wordlists.SHA1, strings.Repeat("aB", 16), false},
		{wordlists.NTLM, strings.Repeat("aB", 20), false},
		{wordlists.SHA1, strings.Repeat("aG", 20), false},
		{wordlists.SHA1, "", false},
		{0, "", false},
	} {
		k, err := tt.kind.ParseKey(tt.text)
		if (err == nil) != tt.ok {
			t.Errorf("%v.ParseKey(%d digits): %v", tt.kind, len(tt.text), err)
		}
		if tt.ok && !strings.EqualFold(fmt.Sprintf("%x", k[:tt.kind.Size()]), tt.text) {
			t.Errorf("%v.ParseKey gives %x", tt.kind, k)
		}
	}
	// Known answers: SHA-1 of "password", and the NTLM hashes of "password"
	// and of the empty password that every Windows administrator knows.
	for _, tt := range []struct {
		kind           wordlists.Kind
		password, want string
	}{
		{wordlists.SHA1, "password", "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"},
		{wordlists.NTLM, "password", "8846f7eaee8fb117ad06bdd830b7586c"},
		{wordlists.NTLM, "", "31d6cfe0d16ae931b73c59d7e0c089c0"},
	} {
		k := tt.kind.Key([]byte(tt.password))
		if got := fmt.Sprintf("%x", k[:tt.kind.Size()]); got != tt.want {
			t.Errorf("%v.Key(%q) = %s, want %s", tt.kind, tt.password, got, tt.want)
		}
	}
}

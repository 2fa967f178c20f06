// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/wordlists"
)

// hashLine writes a hash that begins with the given digits.
func hashLine(digits string, count string) string {
	line := digits + strings.Repeat("0", 40-len(digits))
	if count != "" {
		line += ":" + count
	}
	return line
}

// What is wrong with an input is said by name, line and offset; what real
// downloads contain is read.
func TestHashesInput(t *testing.T) {
	t.Parallel()
	const bom = "\xef\xbb\xbf"
	a, b, c := hashLine("0A", "1"), hashLine("ab", "2"), hashLine("FF", "3")
	long := strings.Repeat("0", 10<<20)
	for _, tt := range []struct {
		name, in string
		err      error
		line     int64
		offset   int64
		entries  uint64
	}{
		{"LF", a + "\n" + b + "\n" + c + "\n", nil, 0, 0, 3},
		{"CRLF", a + "\r\n" + b + "\r\n" + c + "\r\n", nil, 0, 0, 3},
		{"mixed ends", a + "\r\n" + b + "\n" + c, nil, 0, 0, 3},
		{"marks", bom + a + "\n" + bom + b + "\r\n" + c, nil, 0, 0, 3},
		{"blank lines", a + "\n\n" + b + "\r\n\r\n\n" + c + "\n\n", nil, 0, 0, 3},
		{"padding", a + "\n" + hashLine("00", "0") + "\n" + b, nil, 0, 0, 2},
		{"no counts", hashLine("0A", "") + "\n" + hashLine("0B", ""), nil, 0, 0, 2},
		{"largest count", hashLine("0A", "4294967295") + "\n", nil, 0, 0, 1},
		{"empty", "", wordlists.ErrEmpty, 0, 0, 0},
		{"only blank", "\n\r\n", wordlists.ErrEmpty, 0, 0, 0},
		{"only a mark", bom, wordlists.ErrEmpty, 0, 0, 0},
		{"only padding", hashLine("00", "0"), wordlists.ErrEmpty, 0, 0, 0},
		{"out of order", a + "\n" + c + "\n" + b + "\n", wordlists.ErrOrder, 3, 86, 0},
		{"out of order across marks", bom + c + "\r\n" + bom + a, wordlists.ErrOrder, 2, 47, 0},
		{"duplicate", a + "\n" + a + "\n" + b, wordlists.ErrOrder, 2, 43, 0},
		{"duplicate in other case", b + "\n" + strings.ToUpper(b) + "\n", wordlists.ErrOrder, 2, 43, 0},
		{"short", a + "\n" + b[1:] + "\n", wordlists.ErrSyntax, 2, 43, 0},
		{"long", a + "\n0" + b + "\n", wordlists.ErrSyntax, 2, 43, 0},
		{"NTLM in SHA-1", a + "\n" + strings.Repeat("B", 32) + ":7\n" + c, wordlists.ErrSyntax, 2, 43, 0},
		{"no hexadecimal", a + "\n" + strings.Replace(b, "0", "G", 1) + "\n", wordlists.ErrSyntax, 2, 43, 0},
		{"high bytes", a + "\n" + strings.Replace(b, "00", "\xb0\xb0", 1) + "\n", wordlists.ErrSyntax, 2, 43, 0},
		{"text", "hello\n", wordlists.ErrSyntax, 1, 0, 0},
		{"page", "<!DOCTYPE html>\n<title>502 Bad Gateway: the server made an error that nobody expected</title>", wordlists.ErrSyntax, 1, 0, 0},
		{"negative count", a + "\n" + hashLine("0B", "-1"), wordlists.ErrSyntax, 2, 43, 0},
		{"huge count", a + "\n" + hashLine("0B", "4294967296"), wordlists.ErrSyntax, 2, 43, 0},
		{"endless count", a + "\n" + hashLine("0B", strings.Repeat("9", 40)), wordlists.ErrSyntax, 2, 43, 0},
		{"fraction", a + "\n" + hashLine("0B", "1.5"), wordlists.ErrSyntax, 2, 43, 0},
		{"no number", a + "\n" + hashLine("0B", "") + ":\n", wordlists.ErrSyntax, 2, 43, 0},
		{"trailing blank", a + " \n", wordlists.ErrSyntax, 1, 0, 0},
		{"some counts missing", a + "\n" + hashLine("0B", "") + "\n", wordlists.ErrSyntax, 2, 43, 0},
		{"ten million zeros", a + "\n" + long + "\n" + b, wordlists.ErrSyntax, 2, 43, 0},
		{"NUL bytes", a + "\n" + strings.Repeat("\x00", 50), wordlists.ErrSyntax, 2, 43, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, how := range []string{"file", "stream", "gzip"} {
				dir := t.TempDir()
				out := filepath.Join(dir, "out.wwix")
				opts := wordlists.BuildOptions{Out: out, Partial: true}
				if how == "stream" {
					opts.Reader = strings.NewReader(tt.in)
				} else {
					opts.In = filepath.Join(dir, "in.txt")
					text := []byte(tt.in)
					if how == "gzip" {
						text = zipped(text)
					}
					if err := os.WriteFile(opts.In, text, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				res, err := wordlists.Build(t.Context(), opts)
				if !errors.Is(err, tt.err) {
					t.Fatalf("%s: Build: %v, want %v", how, err, tt.err)
				}
				if tt.err == nil {
					if res.Info.Entries != tt.entries {
						t.Fatalf("%s: %d entries, want %d", how, res.Info.Entries, tt.entries)
					}
					continue
				}
				var in *wordlists.InputError
				if !errors.As(err, &in) || in.Line != tt.line || in.Offset != tt.offset {
					t.Errorf("%s: %v, want line %d, offset %d", how, err, tt.line, tt.offset)
				}
				if len(err.Error()) > 200 || strings.Contains(err.Error(), "0000") {
					t.Errorf("%s: the error quotes the input: %.300v", how, err)
				}
				names, _ := filepath.Glob(filepath.Join(dir, "out*"))
				if len(names) > 0 {
					t.Errorf("%s: a failed build leaves %d files", how, len(names))
				}
			}
		})
	}
}

func zipped(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(text)
	z.Close()
	return b.Bytes()
}

func TestGzipBudget(t *testing.T) {
	t.Parallel()
	// Of words, and by default 64 MiB and twenty times the compressed size.
	bomb := filepath.Join(t.TempDir(), "bomb.gz")
	write := func(line string, size int) {
		if err := os.WriteFile(bomb, zipped(bytes.Repeat([]byte(line), size/len(line))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Repeat("password", 500)+"\n", 67<<20)
	_, err := wordlists.Build(t.Context(), wordlists.BuildOptions{In: bomb, Out: bomb + ".wwix", From: wordlists.FromWords})
	var in *wordlists.InputError
	if !errors.Is(err, wordlists.ErrTooLarge) || !errors.As(err, &in) || in.Offset < 64<<20 || in.File != "bomb.gz" {
		t.Errorf("Build of a bomb: %v, want ErrTooLarge", err)
	}
	write("\n", 2<<20)
	for _, from := range []wordlists.From{wordlists.FromHashes, wordlists.FromWords} {
		o := wordlists.BuildOptions{In: bomb, Out: bomb + ".wwix", From: from, Partial: true, MaxInflated: 1 << 20}
		if _, err := wordlists.Build(t.Context(), o); !errors.Is(err, wordlists.ErrTooLarge) {
			t.Errorf("Build of a bomb as %s: %v, want ErrTooLarge", from, err)
		}
		o.MaxInflated = 1 << 30
		if _, err := wordlists.Build(t.Context(), o); !errors.Is(err, wordlists.ErrEmpty) {
			t.Errorf("Build with a larger budget: %v, want ErrEmpty", err)
		}
	}
	// Cut short.
	text := zipped(bytes.Repeat([]byte("password\n"), 1000))
	_, err = wordlists.Build(t.Context(), wordlists.BuildOptions{Reader: bytes.NewReader(text[:len(text)-9]), Out: bomb + ".wwix", From: wordlists.FromWords})
	if !errors.Is(err, wordlists.ErrSyntax) {
		t.Errorf("Build of a truncated stream: %v, want ErrSyntax", err)
	}
}

// The same entries give the same bytes, whatever form they came in and however
// many workers packed them.
func TestSameBytesFromEverySource(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }
	for _, kind := range []wordlists.Kind{wordlists.SHA1, wordlists.NTLM} {
		all := generateIn(4, 60, kind, 0, 1, 0x7ff, 0xfff)
		in := hashesFile(t, all, kind)
		var want []byte
		for name, opts := range map[string]wordlists.BuildOptions{
			"file, one worker":   {In: in, Workers: 1},
			"file, five workers": {In: in, Workers: 5},
			"stream":             {Reader: open(t, in)},
			"folder":             {In: rangesFolder(t, all, kind), From: wordlists.FromRanges},
		} {
			opts.Kind, opts.Full, opts.Partial, opts.Now, opts.Name = kind, true, true, now, "same"
			path, _ := build(t, opts)
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%v from %s differs", kind, name)
			}
		}
	}
}

func open(t *testing.T, path string) io.Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// rangesFolder writes range files as the public service answers, with the dirt
// that downloads carry: marks, LF, padding, a last line end, lower-case names.
func rangesFolder(t *testing.T, all []entry, kind wordlists.Kind) string {
	t.Helper()
	dir := t.TempDir()
	var text []byte
	for at := 0; at < len(all); {
		p := prefixOf(all[at].key)
		end := at
		for end < len(all) && prefixOf(all[end].key) == p {
			end++
		}
		text = rangeText(text[:0], all[at:end], kind)
		name := fmt.Sprintf("%05X.txt", p)
		switch p % 16 {
		case 1:
			text = append([]byte("\xef\xbb\xbf"), text...)
		case 2:
			text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
		case 3:
			text = append(text, "\r\n"...)
		case 4:
			pad := wordlists.Key{byte(p)}
			text = append(appendHex(append(text, "\r\n"...), &pad, 5, 2*kind.Size()), ":0"...)
		case 5:
			name = strings.ToLower(name)
		case 6:
			text = bytes.ToLower(text)
		case 7: // as curl --remote-name leaves it
			name = name[:5]
		case 8: // compressed afterwards
			name, text = name+".gz", zipped(text)
		case 9: // saved as it was transferred
			text = zipped(text)
		case 10: // the plain one counts
			os.WriteFile(filepath.Join(dir, name+".gz"), []byte("x"), 0o600)
		case 11:
			name, text = strings.ToLower(name[:5])+".gz", zipped(text)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		at = end
	}
	// What is no range file is not touched.
	os.WriteFile(filepath.Join(dir, "sha1.index"), []byte("x"), 0o600)
	os.WriteFile(filepath.Join(dir, "readme.txt"), []byte("x"), 0o600)
	os.WriteFile(filepath.Join(dir, "00000.txt.old"), []byte("x"), 0o600)
	os.Mkdir(filepath.Join(dir, "FFFFF"), 0o700)
	os.Symlink("/etc/passwd", filepath.Join(dir, "..hidden.txt"))
	return dir
}

func TestRangesInput(t *testing.T) {
	good := "0" + strings.Repeat("1", 34) + ":5"
	for _, tt := range []struct {
		name, file, text string
		err              error
		line             int64
	}{
		{"good", "00000.txt", good, nil, 0},
		{"whole hashes", "00000.txt", "00000" + good, wordlists.ErrSyntax, 1},
		{"NTLM", "00000.txt", good[:27] + ":5", wordlists.ErrSyntax, 1},
		{"order", "00000.txt", "1" + good[1:] + "\r\n" + good, wordlists.ErrOrder, 2},
		{"page", "00000.txt", "<html>", wordlists.ErrSyntax, 1},
		{"empty file", "00000.txt", "", wordlists.ErrEmpty, 0},
		{"gzip", "00000.txt.gz", string(zipped([]byte(good))), nil, 0},
		{"gzip, wrong line", "00000.txt.gz", string(zipped([]byte(good + "\nx"))), wordlists.ErrSyntax, 2},
		{"gzip, cut short", "00000.txt.gz", string(zipped([]byte(good))[:20]), wordlists.ErrSyntax, 0},
		{"gzip bomb", "00000.txt.gz", string(zipped(bytes.Repeat([]byte{'\n'}, 33<<20))), wordlists.ErrTooLarge, 0},
		{"no files", "x.txt", "", wordlists.ErrEmpty, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := wordlists.Build(t.Context(), wordlists.BuildOptions{
				In: dir, Out: filepath.Join(t.TempDir(), "x.wwix"), From: wordlists.FromRanges, Partial: true,
			})
			var in *wordlists.InputError
			if !errors.Is(err, tt.err) || tt.err != nil && (!errors.As(err, &in) || in.Line != tt.line) {
				t.Errorf("Build: %v, want %v on line %d", err, tt.err, tt.line)
			}
		})
	}
	// A link out of the folder is not followed.
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "00000.txt")); err != nil {
		t.Fatal(err)
	}
	_, err := wordlists.Build(t.Context(), wordlists.BuildOptions{
		In: dir, Out: filepath.Join(t.TempDir(), "x.wwix"), From: wordlists.FromRanges, Partial: true,
	})
	if err == nil {
		t.Error("Build followed a link out of the folder")
	}
}

func TestWords(t *testing.T) {
	words := "password\r\n123456\nPassword\n密码\npassword\n\n pass word \n\xff\xfe\n\U0001F511\n123456\npassword"
	for _, tt := range []struct {
		kind    wordlists.Kind
		skipped int64
	}{{wordlists.SHA1, 0}, {wordlists.NTLM, 1}} {
		path, res := build(t, wordlists.BuildOptions{
			Reader: strings.NewReader("\xef\xbb\xbf" + words), From: wordlists.FromWords, Kind: tt.kind,
		})
		if res.Skipped != tt.skipped || !res.Info.Words {
			t.Errorf("%v: Skipped = %d, Words = %t", tt.kind, res.Skipped, res.Info.Words)
		}
		x := openIndex(t, path, wordlists.Options{})
		got := map[string]uint32{}
		for _, w := range []string{"password", "123456", "Password", "密码", " pass word ", "\U0001F511", "pass word", "", "\r"} {
			n, _, err := x.Count(tt.kind.Key([]byte(w)))
			if err != nil {
				t.Fatal(err)
			}
			got[w] = n
		}
		want := map[string]uint32{"password": 3, "123456": 2, "Password": 1, "密码": 1, " pass word ": 1, "\U0001F511": 1, "pass word": 0, "": 0, "\r": 0}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: counts (-want +got):\n%s", tt.kind, diff)
		}
	}
	_, err := wordlists.Build(t.Context(), wordlists.BuildOptions{
		Reader: strings.NewReader("a\nb\n" + strings.Repeat("x", 10<<20) + "\n"), From: wordlists.FromWords,
		Out: filepath.Join(t.TempDir(), "x.wwix"),
	})
	var in *wordlists.InputError
	if !errors.As(err, &in) || !errors.Is(err, wordlists.ErrSyntax) || in.Line > 3 {
		t.Errorf("Build with a 10 MB word: %v", err)
	}
}

// Many words in any order, over more than one run, against a plain map.
func TestManyWords(t *testing.T) {
	t.Parallel()
	n := 300_000
	if *long {
		n = 6_000_000
	}
	r := rng(8)
	want := map[string]uint32{}
	var text []byte
	for range n {
		w := fmt.Sprintf("w%d", r.next()%uint64(n))
		want[w]++
		text = append(append(text, w...), '\n')
	}
	path, res := build(t, wordlists.BuildOptions{Reader: bytes.NewReader(text), From: wordlists.FromWords, Workers: 3, Full: true})
	if res.Info.Entries != uint64(len(want)) || res.Info.Sum != uint64(n) {
		t.Fatalf("%d entries with %d counts, want %d with %d", res.Info.Entries, res.Info.Sum, len(want), n)
	}
	x := openIndex(t, path, wordlists.Options{Exact: true})
	if err := x.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	for w, c := range want {
		if n, _, err := x.Count(wordlists.SHA1.Key([]byte(w))); n != c || err != nil {
			t.Fatalf("Count(%q) = %d, %v, want %d", w, n, err, c)
		}
	}
}

// Lists that are not spread like hashes are still found whole: runs too wide
// for their fields raise the line count, and where that does not help the
// segment is stored plain.
func TestSkewedLists(t *testing.T) {
	t.Parallel()
	r := rng(21)
	even := func(n int) (all []entry) {
		for i := range n {
			var k wordlists.Key
			for j := range k {
				k[j] = byte(r.next())
			}
			k[0], k[1] = 0x12, 0x30|k[1]&15
			all = append(all, entry{k, uint32(i%40 + 1)})
		}
		return all
	}
	near := func(n, shared int) (all []entry) {
		for i := range n {
			var k wordlists.Key
			for j := range k {
				k[j] = byte(r.next())
			}
			copy(k[:shared], "\x12\x34\x56\x78\x9a\xbc\xde\xf0\x11\x22\x33\x44\x55\x66\x77\x88\x99")
			all = append(all, entry{k, uint32(i%300 + 1)})
		}
		return all
	}
	for name, all := range map[string][]entry{
		"a dense cluster":       append(even(2000), near(400, 3)...),
		"a very dense cluster":  append(even(5000), near(1000, 4)...),
		"equal heads":           append(even(500), near(3, 8)...),
		"many equal heads":      append(even(500), near(5000, 8)...),
		"nothing but a cluster": near(3000, 17),
		"one entry":             near(1, 0),
		"two entries":           near(2, 17),
	} {
		slices.SortFunc(all, func(a, b entry) int { return bytes.Compare(a.key[:], b.key[:]) })
		all = slices.CompactFunc(all, func(a, b entry) bool { return a.key == b.key })
		for _, full := range []bool{false, true} {
			path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Partial: true, Full: full})
			x := openIndex(t, path, wordlists.Options{Exact: full})
			if err := x.Verify(t.Context()); err != nil {
				t.Fatalf("%s: Verify: %v", name, err)
			}
			if err := x.CheckCanaries(); err != nil {
				t.Fatalf("%s: CheckCanaries: %v", name, err)
			}
			heads := map[[7]byte]uint32{}
			for _, e := range all {
				h := [7]byte(e.key[:7])
				heads[h] = max(heads[h], e.count)
			}
			keys, counts := make([]wordlists.Key, len(all)), make([]uint32, len(all))
			for i, e := range all {
				keys[i] = e.key
				n, found, err := x.Count(e.key)
				if err != nil || !found || full && n != e.count || n < e.count || n > heads[[7]byte(e.key[:7])] {
					t.Fatalf("%s, full %t: Count(entry %d) = %d, %t, %v, want %d", name, full, i, n, found, err, e.count)
				}
			}
			if err := x.CountBatch(counts, keys); err != nil {
				t.Fatal(err)
			}
			for i, e := range all {
				if n, _, _ := x.Count(e.key); counts[i] != n {
					t.Fatalf("%s: CountBatch and Count differ for entry %d", name, i)
				}
			}
			if full {
				var out bytes.Buffer
				if err := x.Export(t.Context(), &out); err != nil {
					t.Fatal(err)
				}
				var want bytes.Buffer
				writeHashes(&want, all, wordlists.SHA1)
				if !bytes.Equal(out.Bytes(), want.Bytes()) {
					t.Errorf("%s: Export differs from the input", name)
				}
			}
		}
	}
}

// An input that is in order but is no complete corpus is refused, unless it is
// said to be partial.
func TestCompletenessGates(t *testing.T) {
	t.Parallel()
	n := 12 << 20
	if !*long {
		t.Skip("a complete corpus has twelve million entries at least: -watchword.long")
	}
	all := generate(5, n, wordlists.SHA1)
	have := map[uint32]bool{}
	for _, e := range all {
		have[prefixOf(e.key)] = true
	}
	for p := range uint32(1 << 20) {
		if !have[p] {
			var k wordlists.Key
			k[0], k[1], k[2] = byte(p>>12), byte(p>>4), byte(p<<4)|7
			all = append(all, entry{k, 1})
		}
	}
	sorted := func() {
		slices.SortFunc(all, func(a, b entry) int { return bytes.Compare(a.key[:], b.key[:]) })
	}
	try := func(all []entry) error {
		_, err := wordlists.Build(t.Context(), wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Out: filepath.Join(t.TempDir(), "x.wwix")})
		return err
	}
	sorted()
	if err := try(all); !errors.Is(err, wordlists.ErrIncomplete) || !strings.Contains(err.Error(), "every corpus lists") {
		t.Errorf("without the well-known: %v", err)
	}
	for _, w := range []string{"123456", "123456789", "password", "qwerty"} {
		all = append(all, entry{wordlists.SHA1.Key([]byte(w)), 1000})
	}
	sorted()
	if err := try(all); err != nil {
		t.Errorf("complete: %v", err)
	}
	if err := try(all[:len(all)-20]); !errors.Is(err, wordlists.ErrIncomplete) || !strings.Contains(err.Error(), "FFFF") {
		t.Errorf("truncated: %v", err)
	}
	for i := range 100 {
		all = append(all, entry{wordlists.Key{0x12, 0x34, 0x50, byte(i), 1}, 1})
	}
	sorted()
	if err := try(all); !errors.Is(err, wordlists.ErrIncomplete) || !strings.Contains(err.Error(), "12345") {
		t.Errorf("with an overfull prefix: %v", err)
	}
}

// A small list without Partial is refused too.
func TestGatesRefuseSmallLists(t *testing.T) {
	in := hashesFile(t, generate(1, 1000, wordlists.SHA1), wordlists.SHA1)
	_, err := wordlists.Build(t.Context(), wordlists.BuildOptions{In: in, Out: in + ".wwix"})
	if !errors.Is(err, wordlists.ErrIncomplete) {
		t.Errorf("Build: %v, want ErrIncomplete", err)
	}
}

// An interrupted build goes on where it stopped and gives the same bytes; with
// other input, or with damaged work, it begins again.
func TestResume(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }
	all := generate(6, 60_000, wordlists.SHA1)
	in := hashesFile(t, all, wordlists.SHA1)
	opts := wordlists.BuildOptions{In: in, Partial: true, Full: true, Now: now, Name: "x"}
	whole, _ := build(t, opts)
	want, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	interrupted := func(t *testing.T) wordlists.BuildOptions { return interrupt(t, opts) }
	finish := func(t *testing.T, o wordlists.BuildOptions, resumed bool) {
		t.Helper()
		res, err := wordlists.Build(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if (res.Resumed > 0) != resumed {
			t.Errorf("Resumed = %d", res.Resumed)
		}
		got, err := os.ReadFile(o.Out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Error("the resumed build differs from an uninterrupted one")
		}
		if names, _ := filepath.Glob(o.Out + ".*"); len(names) > 0 {
			t.Errorf("left behind: %q", names)
		}
	}
	t.Run("whole", func(t *testing.T) { finish(t, interrupted(t), true) })
	t.Run("half a log line", func(t *testing.T) {
		o := interrupted(t)
		log := o.Out + ".partial.log"
		b, _ := os.ReadFile(log)
		os.WriteFile(log, b[:len(b)-20], 0o600)
		finish(t, o, true)
	})
	t.Run("segment damaged", func(t *testing.T) {
		o := interrupted(t)
		flip(t, o.Out+".partial", 400_000, 1)
		finish(t, o, true)
	})
	t.Run("first segment damaged", func(t *testing.T) {
		o := interrupted(t)
		flip(t, o.Out+".partial", 4096+4096*32+300, 1)
		finish(t, o, false)
	})
	t.Run("truncated", func(t *testing.T) {
		o := interrupted(t)
		os.Truncate(o.Out+".partial", 1_000_000)
		finish(t, o, true)
	})
	t.Run("other input", func(t *testing.T) {
		o := interrupted(t)
		os.Chtimes(in, time.Now(), time.Now().Add(time.Hour))
		finish(t, o, false)
	})
}

// A build from a folder goes on only as far as the files are those that it had
// read, whatever their times say.
func TestResumeRanges(t *testing.T) {
	settle := wordlists.SetSettled(0)
	defer settle()
	const step = 256 * 64 // one file in every sixty-fourth segment
	folder := func(t *testing.T) string {
		dir := t.TempDir()
		for p := uint32(0); p < 1<<20; p += step {
			e := entry{count: 3}
			e.key[0], e.key[1], e.key[2] = byte(p>>12), byte(p>>4), byte(p<<4)
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05X.txt", p)), rangeText(nil, []entry{e}, wordlists.SHA1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	// rewrite changes the count in a file, in place, and puts its times back.
	rewrite := func(t *testing.T, dir string, segment uint32) {
		path := filepath.Join(dir, fmt.Sprintf("%05X.txt", segment*256))
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		flip(t, path, st.Size()-1, '3'^'4')
		if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name            string
		change          func(t *testing.T, dir string)
		atMost, atLeast int
	}{
		{"unchanged", func(*testing.T, string) {}, 4096, 2000},
		{"one rewritten in place", func(t *testing.T, dir string) { rewrite(t, dir, 640) }, 640, 640},
		{"the first rewritten", func(t *testing.T, dir string) { rewrite(t, dir, 0) }, 0, 0},
		{"one gone", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "50000.txt")) }, 0x500, 0x500},
		{"one more", func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, "50100.txt"), []byte(strings.Repeat("1", 35)+":1"), 0o600)
		}, 0x501, 0x501},
		{"changed a moment ago", func(*testing.T, string) { wordlists.SetSettled(time.Hour) }, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer func() { wordlists.SetSettled(0) }()
			opts := wordlists.BuildOptions{In: folder(t), From: wordlists.FromRanges, Partial: true, Full: true, Now: fixedNow, Name: "x"}
			o := interrupt(t, opts)
			tt.change(t, opts.In)
			res, err := wordlists.Build(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if res.Resumed < tt.atLeast || res.Resumed > tt.atMost {
				t.Errorf("Resumed = %d, want %d to %d", res.Resumed, tt.atLeast, tt.atMost)
			}
			_, fresh := build(t, opts)
			if res.Info.Version != fresh.Info.Version {
				t.Error("the resumed build differs from an uninterrupted one")
			}
		})
	}
}

// interrupt builds half of an index and gives the options to go on with.
func interrupt(t *testing.T, o wordlists.BuildOptions) wordlists.BuildOptions {
	t.Helper()
	now := o.Now
	o.Out = filepath.Join(t.TempDir(), "x.wwix")
	ctx, cancel := context.WithCancel(t.Context())
	clock := now()
	o.Now = func() time.Time { clock = clock.Add(time.Second); return clock }
	o.Workers = 1
	o.Progress = func(p wordlists.Progress) {
		if p.Segments >= 2000 {
			cancel()
		}
	}
	if _, err := wordlists.Build(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("Build: %v, want context.Canceled", err)
	}
	if _, err := os.Stat(o.Out); err == nil {
		t.Fatal("an interrupted build left an index")
	}
	o.Now, o.Progress, o.Workers = now, nil, 3
	return o
}

// flip changes bits of one byte of a file.
func flip(t *testing.T, path string, at int64, bits byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= bits
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func TestOneBuildAtATime(t *testing.T) {
	in := hashesFile(t, generate(1, 50_000, wordlists.SHA1), wordlists.SHA1)
	opts := wordlists.BuildOptions{In: in, Out: in + ".wwix", Partial: true}
	first := true
	opts.Progress = func(wordlists.Progress) {
		if first {
			first = false
			if _, err := wordlists.Build(t.Context(), wordlists.BuildOptions{In: in, Out: in + ".wwix", Partial: true}); err == nil {
				t.Error("a second build into the same file went through")
			}
		}
	}
	if _, err := wordlists.Build(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	for name, valid := range map[string]bool{
		"hibp": true, "a": true, "0.x_y-z": true, strings.Repeat("a", 64): true,
		"": false, "..": false, "../x": false, "A": false, ".x": false, "a/b": false, "a b": false,
		strings.Repeat("a", 65): false, "a\x00": false, "ä": false, "a\n": false,
	} {
		if got := wordlists.ValidName(name); got != valid {
			t.Errorf("ValidName(%q) = %t, want %t", name, got, valid)
		}
	}
	in := hashesFile(t, generate(1, 100, wordlists.SHA1), wordlists.SHA1)
	if _, err := wordlists.Build(t.Context(), wordlists.BuildOptions{In: in, Out: in + ".wwix", Name: "../x", Partial: true}); err == nil {
		t.Error("Build took the name ../x")
	}
}

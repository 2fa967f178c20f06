// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package private_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/watchword-project/watchword/wordlists"
	"github.com/watchword-project/watchword/wordlists/private"
)

func key(t testing.TB) *private.Key {
	t.Helper()
	k, err := private.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ranked are the first n common passwords.
func ranked(n int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for w := range wordlists.Ranked() {
			if n--; n < 0 || !yield([]byte(w), nil) {
				return
			}
		}
	}
}

func build(t testing.TB, k *private.Key, words iter.Seq2[[]byte, error], bucket int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "list.wwpr")
	if _, _, err := private.Build(t.Context(), path, private.BuildOptions{Words: words, Key: k, Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, k *private.Key) *private.List {
	t.Helper()
	l, err := private.Open(path, k)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// header is what an asker knows who was told the version.
func header(t testing.TB, l *private.List) *private.Header {
	t.Helper()
	h, err := private.ParseHeader(l.Bytes(), l.Version())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// check is one check from end to end.
func check(t testing.TB, l *private.List, h *private.Header, pw string) private.Result {
	t.Helper()
	q, err := private.NewAsker(h).Ask([]byte(pw))
	if err != nil {
		t.Fatal(err)
	}
	evaluated, proof, err := l.Evaluate(q.Elements)
	if err != nil {
		t.Fatal(err)
	}
	r, err := q.Finish(evaluated, proof, bucket(t, l, h, q.Bucket))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func bucket(t testing.TB, l *private.List, h *private.Header, id uint32) *private.Bucket {
	t.Helper()
	records, path, err := l.Read(id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.Bucket(id, records, path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFindsWhatIsListedAndWhatIsNear(t *testing.T) {
	k := key(t)
	words := private.Lines(strings.NewReader("\ufeffsunflower\r\nPa\u0301rizs2019\n\nhunter2\n夏天2024\nsunflower\n" + strings.Repeat("x", private.MaxPassword+1) + "\n\xff\xfe\n"))
	path := filepath.Join(t.TempDir(), "list.wwpr")
	h, skipped, err := private.Build(t.Context(), path, private.BuildOptions{Words: words, Key: k})
	if err != nil || skipped != 3 || h.Records != 4 {
		t.Fatalf("Build: %+v, %d left out, %v; want 4 records, 3 left out", h, skipped, err)
	}
	l := open(t, path, k)
	h = header(t, l)
	for pw, want := range map[string]private.Result{
		"sunflower":       {Found: true},
		"P\u00e1rizs2019": {Found: true}, // the list has it decomposed
		"hunter2":         {Found: true},
		"hunter3":         {Similar: true},
		"Hunter2":         {Similar: true},
		"sunflower1":      {Similar: true},
		"sunfl0wer":       {Similar: true},
		"夏天2025":          {Similar: true},
		"moonflower":      {},
		"hunter2hunter2":  {},
		"x":               {},
	} {
		if got := check(t, l, h, pw); got != want {
			t.Errorf("%q: %+v, want %+v", pw, got, want)
		}
	}
	for _, pw := range []string{"", "\xff", strings.Repeat("x", private.MaxPassword+1), strings.Repeat("e\u0301", 4*private.MaxPassword)} {
		if _, err := private.NewAsker(h).Ask([]byte(pw)); !errors.Is(err, private.ErrPassword) {
			t.Errorf("asking for %d bytes: %v, want ErrPassword", len(pw), err)
		}
	}
}

// TestBucketsTellNothing holds a list of many buckets: all of a length, full of
// numbers in ascending order, and each with what is listed.
func TestBucketsTellNothing(t *testing.T) {
	k := key(t)
	l := open(t, build(t, k, ranked(1500), 100), k)
	h := header(t, l)
	if h.Bits < 2 || h.Records != 1500 || h.Slots > 3*1500>>h.Bits {
		t.Fatalf("%d bits, %d slots, %d records", h.Bits, h.Slots, h.Records)
	}
	for id := range uint32(1) << h.Bits {
		records, _, err := l.Read(id)
		if err != nil || len(records) != h.BucketSize() {
			t.Fatalf("bucket %d: %d bytes, %v", id, len(records), err)
		}
		for i := 8; i < len(records); i += 8 {
			if binary.BigEndian.Uint64(records[i:]) <= binary.BigEndian.Uint64(records[i-8:]) {
				t.Fatalf("bucket %d is not in order", id)
			}
		}
	}
	n := 0
	for w := range ranked(1500) {
		if n++; n%100 == 0 {
			if !check(t, l, h, string(w)).Found {
				t.Errorf("password %d is not found", n)
			}
			if strange := string(w) + "~~~"; check(t, l, h, strange).Found {
				t.Errorf("%q is found", strange)
			}
		}
	}
	if _, _, err := l.Read(1 << h.Bits); !errors.Is(err, private.ErrBucket) {
		t.Errorf("a bucket behind the last: %v", err)
	}
}

// TestQuestionsLookAlike: what goes out is 32 fresh points for any password, one
// with hardly a variant too, and never twice the same.
func TestQuestionsLookAlike(t *testing.T) {
	k := key(t)
	l := open(t, build(t, k, ranked(500), 0), k)
	a := private.NewAsker(header(t, l))
	seen := map[string]bool{}
	for _, pw := range []string{"a", "password", "password", strings.Repeat("密", 1000)} {
		q, err := a.Ask([]byte(pw))
		if err != nil || len(q.Elements) != private.Elements {
			t.Fatalf("%d elements, %v", len(q.Elements), err)
		}
		for _, e := range q.Elements {
			if len(e) != private.ElementSize || seen[string(e)] {
				t.Errorf("an element of %d bytes, sent before: %v", len(e), seen[string(e)])
			}
			seen[string(e)] = true
		}
	}
}

// TestBadQuestions: the server computes for nothing but 32 points.
func TestBadQuestions(t *testing.T) {
	k := key(t)
	l := open(t, build(t, k, ranked(50), 0), k)
	q, err := private.NewAsker(header(t, l)).Ask([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	with := func(e []byte) [][]byte { return append(slices.Clone(q.Elements[:private.Elements-1]), e) }
	for name, c := range map[string]struct {
		elements [][]byte
		want     error
	}{
		"none":      {nil, private.ErrCount},
		"one less":  {q.Elements[1:], private.ErrCount},
		"one more":  {append(slices.Clone(q.Elements), q.Elements[0]), private.ErrCount},
		"10,000":    {slices.Repeat(q.Elements[:1], 10_000), private.ErrCount},
		"empty":     {with(nil), private.ErrElement},
		"too short": {with(q.Elements[0][:31]), private.ErrElement},
		"too long":  {with(append(slices.Clone(q.Elements[0]), 0)), private.ErrElement},
		"identity":  {with(make([]byte, 32)), private.ErrElement},
		// RFC 9496, appendix A.3: a field element that is not reduced, one that is
		// negative, and one without a square root.
		"not canonical":  {with(unhex("00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff")), private.ErrElement},
		"over the field": {with(unhex("f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")), private.ErrElement},
		"negative":       {with(unhex("0100000000000000000000000000000000000000000000000000000000000000")), private.ErrElement},
		"off the curve":  {with(unhex("26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371")), private.ErrElement},
		"high bit":       {with(append(slices.Clone(q.Elements[0][:31]), q.Elements[0][31]|0x80)), private.ErrElement},
	} {
		evaluated, proof, err := l.Evaluate(c.elements)
		if !errors.Is(err, c.want) || evaluated != nil || proof != nil {
			t.Errorf("%s: %v and %d elements, want %v and none", name, err, len(evaluated), c.want)
		}
	}
}

// TestBadAnswers: an answer that is not the list's to this very question is
// refused by name.
func TestBadAnswers(t *testing.T) {
	k, k2 := key(t), key(t)
	l := open(t, build(t, k, ranked(1000), 100), k)
	other := open(t, build(t, k2, ranked(1000), 100), k2)
	h, h2 := header(t, l), header(t, other)
	a := private.NewAsker(h)
	q, err := a.Ask([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	elements, proof, err := l.Evaluate(q.Elements)
	if err != nil {
		t.Fatal(err)
	}
	strange, strangeProof, err := other.Evaluate(q.Elements)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Ask([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	replayed, replayedProof, err := l.Evaluate(again.Elements)
	if err != nil {
		t.Fatal(err)
	}
	good := bucket(t, l, h, q.Bucket)
	swapped := slices.Clone(elements)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	flipped := bytes.Clone(proof)
	flipped[3] ^= 1
	for name, c := range map[string]struct {
		elements [][]byte
		proof    []byte
		bucket   *private.Bucket
		want     error
	}{
		"right":                         {elements, proof, good, nil},
		"evaluated with another key":    {strange, strangeProof, good, private.ErrProof},
		"another key, the list's proof": {strange, proof, good, private.ErrProof},
		"replayed":                      {replayed, replayedProof, good, private.ErrProof},
		"elements swapped":              {swapped, proof, good, private.ErrProof},
		"not evaluated":                 {q.Elements, proof, good, private.ErrProof},
		"proof altered":                 {elements, flipped, good, private.ErrProof},
		"proof not reduced":             {elements, bytes.Repeat([]byte{0xff}, private.ProofSize), good, private.ErrProof},
		"proof cut short":               {elements, proof[:63], good, private.ErrProof},
		"no proof":                      {elements, nil, good, private.ErrProof},
		"cut short":                     {elements[1:], proof, good, private.ErrCount},
		"none":                          {nil, proof, good, private.ErrCount},
		"10,000":                        {slices.Repeat(elements[:1], 10_000), proof, good, private.ErrCount},
		"identity":                      {append(slices.Clone(elements[1:]), make([]byte, 32)), proof, good, private.ErrElement},
		"element cut short":             {append(slices.Clone(elements[1:]), elements[0][:31]), proof, good, private.ErrElement},
		"no bucket":                     {elements, proof, nil, private.ErrBucket},
		"another bucket":                {elements, proof, bucket(t, l, h, q.Bucket^1), private.ErrBucket},
		"another list's bucket":         {elements, proof, bucket(t, other, h2, q.Bucket), private.ErrBucket},
	} {
		got, err := q.Finish(c.elements, c.proof, c.bucket)
		if !errors.Is(err, c.want) || got.Found != (c.want == nil) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, c.want)
		}
	}

	records, path, err := l.Read(q.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(records)
	altered[7] ^= 1
	wrong := slices.Clone(path)
	wrong[0] = make([]byte, 32)
	for name, c := range map[string]struct {
		id      uint32
		records []byte
		path    [][]byte
	}{
		"another number": {q.Bucket ^ 1, records, path},
		"beyond":         {1 << h.Bits, records, path},
		"altered":        {q.Bucket, altered, path},
		"cut short":      {q.Bucket, records[:len(records)-8], path},
		"empty":          {q.Bucket, nil, path},
		"no path":        {q.Bucket, records, nil},
		"longer path":    {q.Bucket, records, append(slices.Clone(path), path[0])},
		"altered path":   {q.Bucket, records, wrong},
		"cut path":       {q.Bucket, records, append([][]byte{path[0][:31]}, path[1:]...)},
	} {
		if _, err := h.Bucket(c.id, c.records, c.path); !errors.Is(err, private.ErrBucket) {
			t.Errorf("bucket, %s: %v, want ErrBucket", name, err)
		}
	}
	if _, err := private.ParseHeader(other.Bytes(), l.Version()); !errors.Is(err, private.ErrVersion) {
		t.Errorf("another list's header: %v, want ErrVersion", err)
	}
}

// TestTheProofIsWhatRefuses plants what it is there against: a server with a key
// of its own for one who asks, to know them again by what they find. One who
// does not look at the proof takes the answer, and is told that a listed
// password is not.
func TestTheProofIsWhatRefuses(t *testing.T) {
	k, k2 := key(t), key(t)
	l := open(t, build(t, k, ranked(300), 0), k)
	marking := open(t, build(t, k2, ranked(300), 0), k2)
	h := header(t, l)
	q, err := private.NewAsker(h).Ask([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	b := bucket(t, l, h, q.Bucket)
	for name, c := range map[string]struct {
		server   *private.List
		credible private.Result
		careful  error
	}{
		"the list's key": {l, private.Result{Found: true, Similar: true}, nil},
		"a key for one":  {marking, private.Result{}, private.ErrProof},
	} {
		elements, proof, err := c.server.Evaluate(q.Elements)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := private.FinishUnverified(q, elements, b); err != nil || got != c.credible {
			t.Errorf("%s, without the check: %+v, %v; want %+v accepted", name, got, err, c.credible)
		}
		if _, err := q.Finish(elements, proof, b); !errors.Is(err, c.careful) {
			t.Errorf("%s: %v, want %v", name, err, c.careful)
		}
	}
}

// TestDamagedFiles: a list that is torn, altered, foreign or of another key is
// refused by name, whichever byte it is.
func TestDamagedFiles(t *testing.T) {
	k := key(t)
	path := build(t, k, ranked(300), 50)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(b []byte, k *private.Key) error {
		t.Helper()
		path := filepath.Join(t.TempDir(), "x.wwpr")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := private.Open(path, k)
		return err
	}
	if err := try(whole, k); err != nil {
		t.Fatal(err)
	}
	if err := try(whole, key(t)); !errors.Is(err, private.ErrKey) {
		t.Errorf("another key: %v, want ErrKey", err)
	}
	for at := 0; at < len(whole); at += 1 + at/64 {
		b := bytes.Clone(whole)
		b[at] ^= 0x20
		want := []error{private.ErrCorrupt}
		if at < 11 {
			want = []error{private.ErrFormat}
		}
		if err := try(b, k); !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
			t.Errorf("byte %d altered: %v, want %v", at, err, want)
		}
		if err := try(whole[:at], k); !errors.Is(err, private.ErrFormat) && !errors.Is(err, private.ErrCorrupt) {
			t.Errorf("cut after %d bytes: %v", at, err)
		}
	}
	if err := try(append(bytes.Clone(whole), 0), k); !errors.Is(err, private.ErrCorrupt) {
		t.Errorf("a byte more: %v, want ErrCorrupt", err)
	}
	if err := try([]byte(strings.Repeat("not a list\n", 100)), k); !errors.Is(err, private.ErrFormat) {
		t.Errorf("a text: %v, want ErrFormat", err)
	}
}

func TestBadInput(t *testing.T) {
	for name, c := range map[string]struct {
		words iter.Seq2[[]byte, error]
		want  error
	}{
		"empty":        {private.Lines(strings.NewReader("")), private.ErrEmpty},
		"blank lines":  {private.Lines(strings.NewReader("\n\n")), private.ErrEmpty},
		"endless line": {private.Lines(strings.NewReader("a\n" + strings.Repeat("x", 1<<20))), private.ErrLineLong},
	} {
		path := filepath.Join(t.TempDir(), "x.wwpr")
		_, _, err := private.Build(t.Context(), path, private.BuildOptions{Words: c.words, Key: key(t)})
		if _, none := os.Stat(path); !errors.Is(err, c.want) || none == nil {
			t.Errorf("%s: %v, file there: %v; want %v and none", name, err, none == nil, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := private.Build(ctx, filepath.Join(t.TempDir(), "x"), private.BuildOptions{Words: ranked(5000), Key: key(t)}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestKeys(t *testing.T) {
	k := key(t)
	again, err := private.ParseKey(k.Text())
	if err != nil || !bytes.Equal(again.Text(), k.Text()) {
		t.Fatalf("a key is not what it was: %v", err)
	}
	for name, text := range map[string]string{
		"empty": "", "zero": strings.Repeat("00", 32), "short": strings.Repeat("01", 31), "not hexadecimal": strings.Repeat("zz", 32),
		"not reduced": strings.Repeat("ff", 32), "group order": "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
	} {
		if _, err := private.ParseKey([]byte(text)); !errors.Is(err, private.ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
	secret := strings.TrimSpace(string(k.Text()))
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s %x %d", k, k, k, k, k, k), fmt.Sprintf("%+v", struct{ K *private.Key }{k})} {
		if strings.Contains(printed, secret) || strings.Contains(printed, secret[:16]) {
			t.Errorf("a key is printed: %s", printed)
		}
	}
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	k := key(t)
	again, err := private.ParseKey(k.Text())
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, build(t, k, ranked(200), 0), again)
	h := header(t, l)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			if got := check(t, l, h, "123456"); !got.Found {
				t.Errorf("run %d: %+v", i, got)
			}
		})
	}
	group.Wait()
}

func FuzzParseHeader(f *testing.F) {
	k := key(f)
	l := open(f, build(f, k, ranked(50), 0), k)
	f.Add(l.Bytes())
	f.Add([]byte("WWPR\r\n\x1a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := private.Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(h.Bytes(), b) {
			t.Error("a header is not written as it was read")
		}
		if h.Slots < 1 || h.Bits > 20 || h.BucketSize() > 1<<20 {
			t.Errorf("%d slots, %d bits", h.Slots, h.Bits)
		}
		if q, err := private.NewAsker(h).Ask([]byte("password")); err != nil || uint64(q.Bucket) >= 1<<h.Bits {
			t.Errorf("Ask: %v", err)
		}
	})
}

// FuzzEvaluate: whatever the elements are, they are refused, or evaluated with a
// proof.
func FuzzEvaluate(f *testing.F) {
	k := key(f)
	l := open(f, build(f, k, ranked(50), 0), k)
	q, err := private.NewAsker(header(f, l)).Ask([]byte("password"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(q.Elements[0], 0)
	f.Add(make([]byte, 32), 15)
	f.Fuzz(func(t *testing.T, e []byte, at int) {
		elements := slices.Clone(q.Elements)
		elements[uint(at)%private.Elements] = e
		evaluated, proof, err := l.Evaluate(elements)
		switch {
		case errors.Is(err, private.ErrElement) && evaluated == nil:
		case err != nil || len(evaluated) != private.Elements || len(proof) != private.ProofSize:
			t.Errorf("%d elements, %d bytes of proof, %v", len(evaluated), len(proof), err)
		}
	})
}

// FuzzFinish: no other answer than the right one is taken.
func FuzzFinish(f *testing.F) {
	k := key(f)
	l := open(f, build(f, k, ranked(50), 0), k)
	h := header(f, l)
	q, err := private.NewAsker(h).Ask([]byte("password"))
	if err != nil {
		f.Fatal(err)
	}
	elements, proof, err := l.Evaluate(q.Elements)
	if err != nil {
		f.Fatal(err)
	}
	b := bucket(f, l, h, q.Bucket)
	f.Add(elements[0], proof, 0)
	f.Add(elements[1], proof, 0)
	f.Fuzz(func(t *testing.T, e, p []byte, at int) {
		given := slices.Clone(elements)
		given[uint(at)%private.Elements] = e
		right := bytes.Equal(e, elements[uint(at)%private.Elements]) && bytes.Equal(p, proof)
		if r, err := q.Finish(given, p, b); (err == nil) != right || r.Found != right {
			t.Errorf("%+v, %v; the right answer: %v", r, err, right)
		}
	})
}

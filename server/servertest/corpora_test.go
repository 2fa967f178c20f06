// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists"
)

// leaked is a password that the embedded list does not know, long enough for
// the default policy.
const leaked = "ninth gravel teapot 31 mirror"

// buildCorpus builds a small corpus of a kind in which each word stands as often as
// its place says, from 1.
func buildCorpus(t testing.TB, path string, kind wordlists.Kind, words ...string) {
	t.Helper()
	var b strings.Builder
	for i, w := range words {
		b.WriteString(strings.Repeat(w+"\n", i+1))
	}
	_, err := wordlists.Build(context.Background(), wordlists.BuildOptions{Reader: strings.NewReader(b.String()), Out: path, Kind: kind,
		From: wordlists.FromWords, Full: true, Name: "test"})
	if err != nil {
		t.Fatalf("building a corpus: %v", err)
	}
}

// manyWords are enough to make a range or two.
func manyWords(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("corpus word %d of many", i))
	}
	return out
}

func TestCorpusAnswers(t *testing.T) {
	dir := t.TempDir()
	buildCorpus(t, filepath.Join(dir, "a.wwix"), wordlists.SHA1, "something else 7 entirely", leaked)
	buildCorpus(t, filepath.Join(dir, "b.wwix"), wordlists.NTLM, leaked, "x", "y", "z")
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf("corpora: [{name: a, path: %s/a.wwix}, {name: b, path: %s/b.wwix}]", dir, dir)})
	ctx := t.Context()

	j, err := s.Client.Check(ctx, leaked, client.CheckOptions{})
	if err != nil || j.Accepted || !j.Breach.Found || j.Breach.Count != 2 || j.Breach.Status != "PERFORMED" ||
		!strings.Contains(j.Breach.CorpusVersion, "a@") || !strings.Contains(j.Breach.CorpusVersion, "b@") ||
		!slices.ContainsFunc(j.Violations, func(v client.Violation) bool { return v.Rule == "BREACHED" }) {
		t.Errorf("a leaked password: %+v, %v", j, err)
	}
	j, err = s.Client.Check(ctx, goodPassword, client.CheckOptions{})
	if err != nil || !j.Accepted || j.Breach.Found || j.Breach.Status != "PERFORMED" {
		t.Errorf("a password in no corpus: %+v, %v", j, err)
	}
	var rejected *client.RejectedError
	if _, err := s.Client.Set(ctx, "alice", leaked, noOptions); !errors.As(err, &rejected) {
		t.Errorf("Set of a leaked password: %v", err)
	}
	code, answer := s.Post("/v1/corpora:list", `{}`)
	for _, want := range []string{`"name":"a"`, `"HASH_KIND_NTLM"`, `"entries":"4"`, `"canaries":true`, `"ranges":true`} {
		if code != 200 || !strings.Contains(strings.ReplaceAll(answer, " ", ""), want) {
			t.Errorf("ListCorpora: %d %s, want %s", code, answer, want)
		}
	}
}

func TestCheckHashes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.wwix")
	words := manyWords(300)
	buildCorpus(t, path, wordlists.SHA1, words...)
	s := servertest.Start(t, servertest.Options{Config: "corpora: [{name: a, path: " + path + "}]"})
	ask := func(kind string, hashes []string) (int, []uint32, string) {
		b, _ := json.Marshal(map[string]any{"kind": kind, "hashes": hashes})
		code, answer := s.Post("/v1/breaches:checkHashes", string(b))
		var out struct{ Counts []uint32 }
		_ = json.Unmarshal([]byte(answer), &out)
		return code, out.Counts, answer
	}
	var hashes []string
	for i, w := range words {
		sum := sha1.Sum([]byte(w))
		h := hex.EncodeToString(sum[:])
		if i%2 == 0 {
			h = strings.ToUpper(h)
		}
		hashes = append(hashes, h, strings.Repeat("0", 40))
	}
	code, counts, answer := ask("HASH_KIND_SHA1", hashes)
	if code != 200 || len(counts) != len(hashes) {
		t.Fatalf("%d, %d counts: %.200s", code, len(counts), answer)
	}
	for i, n := range counts {
		if want := uint32((i/2 + 1) * (1 - i%2)); n != want {
			t.Errorf("count %d = %d, want %d", i, n, want)
		}
	}
	for name, c := range map[string]struct {
		kind   string
		hashes []string
		reason string
	}{
		"no kind":           {"HASH_KIND_UNSPECIFIED", hashes[:1], "MALFORMED_REQUEST"},
		"none":              {"HASH_KIND_SHA1", nil, "MALFORMED_REQUEST"},
		"too many":          {"HASH_KIND_SHA1", slices.Repeat([]string{hashes[0]}, 10_001), "MALFORMED_REQUEST"},
		"another length":    {"HASH_KIND_SHA1", []string{hashes[0][:39]}, "MALFORMED_REQUEST"},
		"not hexadecimal":   {"HASH_KIND_SHA1", []string{strings.Repeat("g", 40)}, "MALFORMED_REQUEST"},
		"no corpus of kind": {"HASH_KIND_NTLM", []string{strings.Repeat("0", 32)}, "CORPUS_NOT_READY"},
	} {
		if code, _, answer := ask(c.kind, c.hashes); code != 400 || !strings.Contains(answer, c.reason) || strings.Contains(answer, "gggg") {
			t.Errorf("%s: %d %.300s", name, code, answer)
		}
	}
	if code, counts, _ := ask("HASH_KIND_SHA1", slices.Repeat([]string{hashes[0]}, 10_000)); code != 200 || len(counts) != 10_000 {
		t.Errorf("10,000 digests: %d, %d counts", code, len(counts))
	}
}

// TestRangeIsThePublicForm asks as the public service's clients do.
func TestRangeIsThePublicForm(t *testing.T) {
	dir := t.TempDir()
	words := manyWords(500)
	buildCorpus(t, filepath.Join(dir, "a.wwix"), wordlists.SHA1, words...)
	buildCorpus(t, filepath.Join(dir, "b.wwix"), wordlists.NTLM, words...)
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf(
		"corpora: [{name: a, path: %s/a.wwix}, {name: b, path: %s/b.wwix}]\nrange: {anonymous_from: [127.0.0.1]}", dir, dir)})
	get := func(method, path string, headers ...string) (int, http.Header, string) {
		req, err := http.NewRequest(method, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return s.Do(req)
	}
	for _, k := range []struct {
		kind wordlists.Kind
		mode string
	}{{wordlists.SHA1, ""}, {wordlists.NTLM, "?mode=ntlm"}} {
		for i, w := range words[:40] {
			key := k.kind.Key([]byte(w))
			h := strings.ToUpper(hex.EncodeToString(key[:k.kind.Size()]))
			code, head, body := get("GET", "/range/"+h[:5]+k.mode)
			if code != 200 || !strings.Contains("\r\n"+body+"\r\n", fmt.Sprintf("\r\n%s:%d\r\n", h[5:], i+1)) ||
				strings.HasSuffix(body, "\n") || head.Get("Content-Type") != "text/plain" {
				t.Fatalf("range of word %d: %d %v %q", i, code, head, body)
			}
			sum := md5.Sum([]byte(body))
			if head.Get("Content-Md5") != base64.StdEncoding.EncodeToString(sum[:]) || head.Get("Cache-Control") != "private, no-cache" || head.Get("Etag") == "" {
				t.Fatalf("range headers: %v", head)
			}
			if code, _, body := get("GET", "/range/"+strings.ToLower(h[:5])+k.mode, "If-None-Match", head.Get("Etag")); code != 304 || body != "" {
				t.Fatalf("with its own tag: %d %q", code, body)
			}
			if code, h2, got := get("HEAD", "/range/"+h[:5]+k.mode); code != 200 || got != "" || h2.Get("Etag") != head.Get("Etag") {
				t.Fatalf("HEAD: %d %v", code, h2)
			}
			code, _, padded := get("GET", "/range/"+h[:5]+k.mode, "Add-Padding", "true")
			zero := strings.Count(padded+"\r\n", ":0\r\n")
			if code != 200 || !strings.HasPrefix(padded, body) || strings.Count(padded, "\r\n") < strings.Count(body, "\r\n")+zero-1 {
				t.Fatalf("padded: %d, %d lines of count 0", code, zero)
			}
		}
	}
	lengths := map[int]bool{}
	for range 30 {
		_, _, padded := get("GET", "/range/00000", "Add-Padding", "true")
		lengths[len(padded)] = true
	}
	if len(lengths) < 5 {
		t.Errorf("30 padded answers have only %d lengths", len(lengths))
	}
	for _, path := range []string{"/range/", "/range/1234", "/range/123456", "/range/1234G", "/range/12%2034", "/range/../12345"} {
		if code, _, body := get("GET", path); code != 400 || strings.Contains(body, "1234") {
			t.Errorf("GET %s: %d %q, want 400", path, code, body)
		}
	}
	if code, _, _ := get("POST", "/range/12345"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST of a range: %d", code)
	}
	if code, _, _ := get("GET", "/openapi.json"); code != http.StatusUnauthorized {
		t.Errorf("what is open to ranges is open to more: %d", code)
	}
}

// TestBrokenCorpusIsNeverSilent damages a corpus at every time there is.
func TestBrokenCorpusIsNeverSilent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.wwix")
	config := "corpora: [{name: a, path: " + path + "}]"
	if _, err := servertest.TryStart(t, servertest.Options{Config: config}); err == nil {
		t.Fatal("started without the configured corpus")
	}
	buildCorpus(t, path, wordlists.SHA1, append(manyWords(50), leaked)...)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"cut": whole[:len(whole)/2], "empty": {}, "foreign": []byte(strings.Repeat("foreign ", 10_000)), "flipped": flipped(whole, len(whole)-20),
	} {
		other := filepath.Join(dir, name+".wwix")
		if err := os.WriteFile(other, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := servertest.TryStart(t, servertest.Options{Config: "corpora: [{name: a, path: " + other + "}]"}); err == nil {
			t.Errorf("started on a corpus that is %s", name)
		}
	}

	s := servertest.Start(t, servertest.Options{Config: config})
	set(t, s, "alice", goodPassword)
	// A bad file in its place is not taken; the good one answers on.
	if err := os.WriteFile(path+".new", whole[:len(whole)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return strings.Contains(s.Log.String(), "a changed corpus was not taken") })
	if j, err := s.Client.Check(t.Context(), leaked, client.CheckOptions{}); err != nil || !j.Breach.Found || j.Breach.Status != "PERFORMED" {
		t.Errorf("after a bad file was put in its place: %+v, %v", j.Breach, err)
	}
}

func flipped(b []byte, at int) []byte {
	out := slices.Clone(b)
	out[at] ^= 0x10
	return out
}

// wait waits for something that happens within seconds.
func wait(t *testing.T, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}

// TestDamageUnderTheMap flips bits of the file that is open, as a dying disk
// would.
func TestDamageUnderTheMap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.wwix")
	buildCorpus(t, path, wordlists.SHA1, append(manyWords(2000), leaked)...)
	s := servertest.Start(t, servertest.Options{Config: "corpora: [{name: a, path: " + path + "}]"})
	set(t, s, "alice", goodPassword)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 8192; at < len(b)-4096; at += 61 {
		if _, err := f.WriteAt([]byte{b[at] ^ 0x55}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	// Whatever is asked, the answer is right or says that it is not whole.
	degraded := 0
	for i := range 60 {
		word := fmt.Sprintf("corpus word %d of many", i)
		j, err := s.Client.Check(t.Context(), word, client.CheckOptions{})
		switch {
		case err != nil:
			t.Fatal(err)
		case j.Breach.Status == "DEGRADED":
			degraded++
		case !j.Breach.Found:
			t.Errorf("%q is not listed, says a damaged corpus", word)
		}
	}
	if degraded == 0 {
		t.Fatal("no answer was degraded: the test saw nothing")
	}
	req, _ := http.NewRequest(http.MethodGet, s.URL+"/readyz", nil)
	if code, _, _ := s.Do(req); code != http.StatusServiceUnavailable {
		t.Errorf("readyz with a damaged corpus: %d", code)
	}
	// Setting fails closed, and a login goes on with the embedded list.
	closed := false
	for i := range 60 {
		_, err := s.Client.Set(t.Context(), "bob", fmt.Sprintf("corpus word %d of many", i), noOptions)
		var rejected *client.RejectedError
		switch {
		case err == nil:
			t.Errorf("word %d was set through a damaged corpus", i)
		case errors.Is(err, client.ErrCorpusNotReady):
			closed = true
		case !errors.As(err, &rejected):
			t.Fatal(err)
		}
	}
	if !closed {
		t.Error("no Set failed closed")
	}
	if login, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{}); err != nil || !login.Match {
		t.Errorf("a login with a damaged corpus: %+v, %v", login, err)
	}
}

// TestCorpusSwapUnderLoad exchanges the file while checks run: each answer
// belongs to one version, and a password that got listed is found at login.
func TestCorpusSwapUnderLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.wwix")
	buildCorpus(t, path, wordlists.SHA1, manyWords(50)...)
	s := servertest.Start(t, servertest.Options{Config: "corpora: [{name: a, path: " + path + "}]"})
	set(t, s, "alice", leaked)
	var stop atomic.Bool
	var wg sync.WaitGroup
	var mu sync.Mutex
	versions := map[string]bool{}
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				j, err := s.Client.Check(t.Context(), leaked, client.CheckOptions{})
				if err != nil || j.Breach.Status != "PERFORMED" {
					t.Errorf("during the swap: %+v, %v", j.Breach, err)
					return
				}
				mu.Lock()
				versions[fmt.Sprint(j.Breach.CorpusVersion, j.Breach.Found)] = true
				mu.Unlock()
			}
		})
	}
	buildCorpus(t, path+".new", wordlists.SHA1, append(manyWords(50), leaked)...)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool {
		j, err := s.Client.Check(t.Context(), leaked, client.CheckOptions{})
		return err == nil && j.Breach.Found
	})
	stop.Store(true)
	wg.Wait()
	if len(versions) != 2 {
		t.Errorf("answers of the swap: %v, want two", versions)
	}
	login, err := s.Client.Verify(t.Context(), "alice", leaked, client.Source{})
	if err != nil || !login.MustChange || !slices.ContainsFunc(login.Findings, func(v client.Violation) bool { return v.Rule == "BREACHED" }) {
		t.Errorf("a login with a password that has leaked since: %+v, %v", login, err)
	}
}

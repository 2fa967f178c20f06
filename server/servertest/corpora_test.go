// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	t.Parallel()
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
		req.Header.Set("Accept-Encoding", "identity")
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
			for _, tags := range []string{head.Get("Etag"), "W/" + head.Get("Etag"), `"other", ` + head.Get("Etag"), "*"} {
				if code, again, body := get("GET", "/range/"+strings.ToLower(h[:5])+k.mode, "If-None-Match", tags); code != 304 || body != "" ||
					again.Get("Etag") != head.Get("Etag") {
					t.Fatalf("If-None-Match %s: %d %q", tags, code, body)
				}
			}
			if code, _, _ := get("GET", "/range/"+h[:5]+k.mode, "If-None-Match", `"other"`); code != 200 {
				t.Fatalf("with another tag: %d", code)
			}
			if code, h2, got := get("HEAD", "/range/"+h[:5]+k.mode); code != 200 || got != "" || h2.Get("Etag") != head.Get("Etag") ||
				h2.Get("Content-Length") != strconv.Itoa(len(body)) || h2.Get("Content-Md5") != head.Get("Content-Md5") {
				t.Fatalf("HEAD: %d %v", code, h2)
			}
			for _, accept := range []string{"gzip", "deflate, gzip;q=0.5", "*", "br, GZIP"} {
				code, h3, packed := get("GET", "/range/"+h[:5]+k.mode, "Accept-Encoding", accept)
				z, err := gzip.NewReader(strings.NewReader(packed))
				if err != nil {
					t.Fatalf("Accept-Encoding %s: %d %v: %v", accept, code, h3, err)
				}
				text, err := io.ReadAll(z)
				if err != nil || string(text) != body || h3.Get("Content-Encoding") != "gzip" || h3.Get("Etag") != "W/"+head.Get("Etag") ||
					h3.Get("Content-Md5") != head.Get("Content-Md5") || !strings.Contains(h3.Get("Vary"), "Accept-Encoding") {
					t.Fatalf("Accept-Encoding %s: %d %v %q, %v", accept, code, h3, text, err)
				}
			}
			for _, accept := range []string{"", "deflate", "gzip;q=0", "gzip; q=0.0, *", "br"} {
				if code, h3, plain := get("GET", "/range/"+h[:5]+k.mode, "Accept-Encoding", accept); plain != body || h3.Get("Content-Encoding") != "" {
					t.Fatalf("Accept-Encoding %q: %d %v", accept, code, h3)
				}
			}
			code, h4, padded := get("GET", "/range/"+h[:5]+k.mode, "Add-Padding", "true")
			real, zero := strings.Count(body, ":"), strings.Count(padded+"\r\n", ":0\r\n")
			if code != 200 || !strings.HasPrefix(padded, body) || strings.Count(padded, "\r\n")+1 != real+zero ||
				zero > 0 && h4.Get("Etag") != "W/"+head.Get("Etag") {
				t.Fatalf("padded: %d, %d lines and %d of count 0", code, real, zero)
			}
		}
	}
	lengths := map[int]bool{}
	for range 30 {
		_, _, padded := get("GET", "/range/00000", "Add-Padding", "True")
		lengths[len(padded)] = true
	}
	if len(lengths) < 5 {
		t.Errorf("30 padded answers have only %d lengths", len(lengths))
	}
	if code, h, body := get("GET", "/range/00000", "Add-Padding", "false"); code != 200 || body != "" || h.Get("Etag") == "" {
		t.Errorf("an empty range: %d %v %q", code, h, body)
	}
	if code, _, body := get("GET", "/range/00000?mode=other"); code != 200 || body != "" {
		t.Errorf("an unknown mode, which means SHA-1: %d %q", code, body)
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

// TestPublicPadding pads as the public service does.
func TestPublicPadding(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.wwix")
	buildCorpus(t, path, wordlists.SHA1, manyWords(300)...)
	s := servertest.Start(t, servertest.Options{Config: "corpora: [{name: a, path: " + path + "}]\nrange: {anonymous_from: [127.0.0.1], padding: public}"})
	least, most := 1000, 0
	for range 200 {
		req, _ := http.NewRequest(http.MethodGet, s.URL+"/range/00000", nil)
		req.Header.Set("Add-Padding", "true")
		code, _, body := s.Do(req)
		if code != 200 {
			t.Fatalf("%d %q", code, body)
		}
		n := strings.Count(body, ":0")
		least, most = min(least, n), max(most, n)
	}
	if least < 10 || least > 40 || most < 180 || most > 209 {
		t.Errorf("200 answers have from %d to %d lines of padding, want about 10 to 209", least, most)
	}
}

// TestRangeIsClosed: without a key, only to the listed networks, and to pages
// of the listed origins.
func TestRangeIsClosed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.wwix")
	buildCorpus(t, path, wordlists.SHA1, manyWords(300)...)
	corpora := "corpora: [{name: a, path: " + path + "}]\n"
	get := func(s *servertest.Server, method string, headers ...string) (int, http.Header) {
		req, _ := http.NewRequest(method, s.URL+"/range/12345", nil)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		code, h, _ := s.Do(req)
		return code, h
	}
	for name, c := range map[string]struct {
		config string
		want   int
	}{
		"by default":          {corpora, 401},
		"for another network": {corpora + "range: {anonymous_from: [192.0.2.0/24]}", 401},
		"for this machine":    {corpora + "range: {anonymous_from: [127.0.0.0/8]}", 200},
		"without a corpus":    {"range: {anonymous_from: [127.0.0.0/8]}", 400},
	} {
		s := servertest.Start(t, servertest.Options{Config: c.config})
		if code, _ := get(s, http.MethodGet); code != c.want {
			t.Errorf("%s: %d, want %d", name, code, c.want)
		}
		// What a header says of where a call comes from counts for nothing.
		if code, _ := get(s, http.MethodGet, "X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.1"); code != c.want {
			t.Errorf("%s, with forwarding headers: %d, want %d", name, code, c.want)
		}
		if code, _ := get(s, http.MethodGet, "Authorization", "Bearer ww_wrong_key"); code != 401 {
			t.Errorf("%s, with a wrong key: %d, want 401", name, code)
		}
	}
	s := servertest.Start(t, servertest.Options{Config: corpora + "range: {anonymous_from: [127.0.0.1]}\nlisten: {cors_origins: ['https://forms.example']}"})
	if code, h := get(s, http.MethodGet, "Origin", "https://forms.example"); code != 200 || h.Get("Access-Control-Allow-Origin") != "https://forms.example" ||
		!strings.Contains(h.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("from a page of a listed origin: %d %v", code, h)
	}
	if code, h := get(s, http.MethodOptions, "Origin", "https://forms.example", "Access-Control-Request-Method", "GET",
		"Access-Control-Request-Headers", "add-padding"); code != 204 || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Add-Padding") {
		t.Errorf("the question before it: %d %v", code, h)
	}
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		if code, h := get(s, method, "Origin", "https://evil.example", "Access-Control-Request-Method", "GET"); code != 403 || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s from a page of another origin: %d %v", method, code, h)
		}
	}
}

// corporaState is the answer of ListCorpora.
type corporaState struct {
	Corpora                      []struct{ Name, Version, Entries, Fault, Refused string }
	Performed, Degraded, Skipped string
}

func listCorpora(t *testing.T, s *servertest.Server) (out corporaState) {
	t.Helper()
	code, answer := s.Post("/v1/corpora:list", `{}`)
	if err := json.Unmarshal([]byte(answer), &out); err != nil || code != 200 {
		t.Fatalf("ListCorpora: %d %s: %v", code, answer, err)
	}
	return out
}

// putInPlace puts a file in another one's place in one step.
func putInPlace(t *testing.T, content []byte, path string) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestPoisonedCorpusIsRefused puts files in a good corpus's place that open and
// answer, but cannot be its successors: it keeps answering. What it takes is
// the next load, the one before again, and, where the configuration says so,
// anything.
func TestPoisonedCorpusIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.wwix")
	read := func(kind wordlists.Kind, words ...string) []byte {
		buildCorpus(t, filepath.Join(dir, "next"), kind, words...)
		b, err := os.ReadFile(filepath.Join(dir, "next"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	words := append(manyWords(120), leaked)
	good := read(wordlists.SHA1, words...)
	putInPlace(t, good, path)
	s := servertest.Start(t, servertest.Options{Config: "corpora: [{name: a, path: " + path + "}]"})
	before := listCorpora(t, s)
	ask := func(what string) {
		t.Helper()
		if j, err := s.Client.Check(t.Context(), leaked, client.CheckOptions{}); err != nil || !j.Breach.Found || j.Breach.Status != "PERFORMED" {
			t.Errorf("%s: %+v, %v", what, j.Breach, err)
		}
	}
	middle := slices.Clone(good)
	middle[len(middle)/2] ^= 1
	for _, bad := range []struct {
		what, why string
		content   []byte
	}{
		{"another list as long", "BOUNDS", read(wordlists.SHA1, manyWords(400)[200:321]...)},
		{"one word", "BOUNDS", read(wordlists.SHA1, leaked)},
		{"another kind", "KIND", read(wordlists.NTLM, words...)},
		{"a flipped bit", "DAMAGED", middle},
		{"nothing", "FOREIGN", nil},
		{"text", "FOREIGN", []byte(strings.Repeat("5BAA6:1\r\n", 2000))},
	} {
		putInPlace(t, bad.content, path)
		wait(t, func() bool { return listCorpora(t, s).Corpora[0].Refused == bad.why })
		if now := listCorpora(t, s); now.Corpora[0].Version != before.Corpora[0].Version || now.Corpora[0].Refused != bad.why || now.Corpora[0].Fault != "" {
			t.Errorf("%s: %+v", bad.what, now)
		}
		ask(bad.what)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return listCorpora(t, s).Corpora[0].Refused == "MISSING" })
	ask("removed")
	putInPlace(t, read(wordlists.SHA1, append(words, manyWords(200)[150:]...)...), path)
	wait(t, func() bool { return listCorpora(t, s).Corpora[0].Entries == "171" })
	ask("a successor")
	putInPlace(t, good, path)
	wait(t, func() bool { return listCorpora(t, s).Corpora[0].Entries == "121" })
	ask("the one before")
	if now := listCorpora(t, s); now.Corpora[0].Version != before.Corpora[0].Version || now.Performed == "0" || now.Performed == "" || now.Skipped != "0" && now.Skipped != "" {
		t.Errorf("at the end: %+v", now)
	}
	code, _, _ := s.Do(func() *http.Request { r, _ := http.NewRequest(http.MethodGet, s.URL+"/readyz", nil); return r }())
	if code != 200 {
		t.Errorf("readyz: %d", code)
	}
}

// resealed makes the checksums of a file's frame fit its header again.
func resealed(file []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	const header, frame, footer = 4096, 4096 + 4096*32, 128
	binary.LittleEndian.PutUint32(file[header-4:], crc32.Checksum(file[:header-4], table))
	foot := file[len(file)-footer:]
	sum := sha256.Sum256(file[:frame])
	copy(foot[16:], sum[:])
	binary.LittleEndian.PutUint32(foot[footer-4:], crc32.Checksum(foot[:footer-4], table))
	return file
}

// TestCanariesGateCorpora: a list that opens, with every checksum true, but does
// not have a member that its builder recorded, stops a start and is not taken
// in the place of a good one, even where any list would be.
func TestCanariesGateCorpora(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.wwix")
	buildCorpus(t, path, wordlists.SHA1, append(manyWords(120), leaked)...)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	bad[128+12] ^= 1
	bad[128] ^= 0xf0
	bad = resealed(bad)
	putInPlace(t, bad, path)
	config := servertest.Options{Config: "corpora: [{name: a, path: " + path + ", unbounded: true, preload: memory}]"}
	if _, err := servertest.TryStart(t, config); err == nil || !strings.Contains(err.Error(), "canary") {
		t.Errorf("start with a corpus whose canary is missing: %v", err)
	}
	putInPlace(t, resealed(slices.Clone(good)), path)
	s := servertest.Start(t, config)
	before := listCorpora(t, s)
	putInPlace(t, bad, path)
	wait(t, func() bool { return listCorpora(t, s).Corpora[0].Refused != "" })
	if now := listCorpora(t, s); now.Corpora[0].Version != before.Corpora[0].Version || now.Corpora[0].Fault != "" {
		t.Errorf("after a swap for one whose canary is missing: %+v", now)
	}
	if j, err := s.Client.Check(t.Context(), leaked, client.CheckOptions{}); err != nil || !j.Breach.Found || j.Breach.Status != "PERFORMED" {
		t.Errorf("after a swap for one whose canary is missing: %+v, %v", j.Breach, err)
	}
}

// TestUnboundedCorpus takes any list, as of words that people edit by hand.
func TestUnboundedCorpus(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.wwix")
	buildCorpus(t, path, wordlists.SHA1, manyWords(100)...)
	s := servertest.Start(t, servertest.Options{Config: "corpora: [{name: a, path: " + path + ", unbounded: true}]"})
	buildCorpus(t, path, wordlists.SHA1, leaked)
	wait(t, func() bool { return listCorpora(t, s).Corpora[0].Entries == "1" })
	if j, err := s.Client.Check(t.Context(), leaked, client.CheckOptions{}); err != nil || !j.Breach.Found {
		t.Errorf("after the exchange: %+v, %v", j.Breach, err)
	}
}

// TestSkippedIsCounted: without a corpus each look-up is said, and counted, to
// be skipped.
func TestSkippedIsCounted(t *testing.T) {
	s := servertest.New(t)
	for range 3 {
		if j, err := s.Client.Check(t.Context(), goodPassword, client.CheckOptions{}); err != nil || j.Breach.Status != "SKIPPED" || j.Breach.CorpusVersion != "" {
			t.Errorf("%+v, %v", j.Breach, err)
		}
	}
	if n := listCorpora(t, s); n.Skipped != "3" || len(n.Corpora) != 0 {
		t.Errorf("ListCorpora: %+v", n)
	}
}

// TestEmbeddedListIsCounted: the part of the embedded list that is long enough
// for the policy is counted at the start, and too small a part is told.
func TestEmbeddedListIsCounted(t *testing.T) {
	s := servertest.New(t)
	if log := s.Log.String(); !strings.Contains(log, "embedded list counted") || strings.Contains(log, "fewer than 3,000") {
		t.Errorf("the default policy's log: %s", log)
	}
	dir := t.TempDir()
	long := "name: long\nrules:\n  length: {min: 40, min_mfa: 40}\n  blocklist: {}\n"
	if err := os.WriteFile(filepath.Join(dir, "long.yaml"), []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	s = servertest.Start(t, servertest.Options{Config: "policy: {default: long, dir: " + dir + "}"})
	if log := s.Log.String(); !strings.Contains(log, "fewer than 3,000") {
		t.Errorf("the log with a policy of 40 characters: %s", log)
	}
}

// TestSimilarToBreached: a password one habitual change away from a leaked one
// is a finding of its own, where the policy asks for it.
func TestSimilarToBreached(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.wwix")
	buildCorpus(t, path, wordlists.SHA1, append(manyWords(50), leaked)...)
	for name, similar := range map[string]string{"strict": "true", "plain": "false"} {
		text := "name: " + name + "\nrules:\n  length: {min: 8, min_mfa: 8}\n  breach: {threshold: 1, similar: " + similar + "}\n"
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := servertest.Start(t, servertest.Options{Config: "policy: {default: strict, dir: " + dir + "}\ncorpora: [{name: a, path: " + path + "}]"})
	kind := func(password, policy string) string {
		t.Helper()
		j, err := s.Client.Check(t.Context(), password, client.CheckOptions{Policy: policy})
		if err != nil || j.Breach.Status != "PERFORMED" || j.Breach.Found != (password == leaked) {
			t.Errorf("%q: %+v, %v", password, j.Breach, err)
		}
		for _, v := range j.Violations {
			if v.Rule == "BREACHED" {
				return v.Params["kind"]
			}
		}
		return ""
	}
	for password, want := range map[string]string{
		leaked: "found", leaked + "1": "similar", leaked + "!": "similar", "Ninth gravel teapot 31 mirror": "similar",
		"ninth gravel teapot 32 mirror": "similar", strings.ToUpper(leaked): "similar", "ninth gr@vel te@pot 31 mirror": "similar",
		"ninth gravel teapot mirror": "", goodPassword: "",
	} {
		if got := kind(password, "strict"); got != want {
			t.Errorf("%q: BREACHED of kind %q, want %q", password, got, want)
		}
		if want != "found" && kind(password, "plain") != "" {
			t.Errorf("%q is refused by a policy that does not ask for similar ones", password)
		}
	}
}

// TestFailModes: what a corpus that cannot answer means is the policy's choice,
// for each purpose.
func TestFailModes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.wwix")
	// Enough words for every segment to hold some.
	if _, err := wordlists.Build(t.Context(), wordlists.BuildOptions{Reader: strings.NewReader(strings.Join(manyWords(60_000), "\n")),
		Out: path, From: wordlists.FromWords}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"closed": "", "open": ", unavailable: {signup: embedded, change: embedded, reset: reject, login: embedded}",
	} {
		text = "name: " + name + "\nrules:\n  length: {min: 8, min_mfa: 8}\n  blocklist: {mode: enforce}\n  breach: {threshold: 1" + text + "}\n"
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := servertest.Start(t, servertest.Options{Config: "policy: {default: closed, dir: " + dir + "}\ncorpora: [{name: a, path: " + path + "}]"})
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		policy, purpose string
		accepted        bool
	}{
		{"closed", "SIGNUP", false}, {"closed", "CHANGE", false}, {"closed", "RESET", false}, {"closed", "LOGIN", true},
		{"open", "SIGNUP", true}, {"open", "CHANGE", true}, {"open", "RESET", false}, {"open", "LOGIN", true},
	} {
		var answer struct {
			Decision   string
			Breach     struct{ Status string }
			Violations []struct{ Rule string }
		}
		// The embedded list is asked all the same.
		for _, password := range []string{goodPassword, "password1"} {
			code, body := s.Post("/v1/passwords:check", fmt.Sprintf(`{"password": %q, "policy": %q, "purpose": "PURPOSE_%s"}`, password, c.policy, c.purpose))
			if err := json.Unmarshal([]byte(body), &answer); err != nil || code != 200 {
				t.Fatalf("%d %s: %v", code, body, err)
			}
			accepted, listed := c.accepted, false
			for _, v := range answer.Violations {
				listed = listed || v.Rule != "BREACH_UNAVAILABLE"
			}
			if password != goodPassword {
				accepted = false
			}
			if (answer.Decision == "DECISION_ACCEPT") != accepted || answer.Breach.Status != "BREACH_STATUS_DEGRADED" || listed != (password != goodPassword) {
				t.Errorf("%s, %s, %q: %s", c.policy, c.purpose, password, body)
			}
			answer.Violations = nil
		}
	}
	state := listCorpora(t, s)
	if state.Corpora[0].Fault != "DAMAGED" || state.Degraded != "16" || state.Performed != "0" && state.Performed != "" {
		t.Errorf("ListCorpora: %+v", state)
	}
}

// TestFetchFromOurServer downloads ranges from a server of ours, which a second
// download finds unchanged, and builds them into the index of another one.
func TestFetchFromOurServer(t *testing.T) {
	t.Parallel()
	for _, kind := range []wordlists.Kind{wordlists.SHA1, wordlists.NTLM} {
		dir := t.TempDir()
		path, other := filepath.Join(dir, "a.wwix"), filepath.Join(dir, "b.wwix")
		words := manyWords(200)
		buildCorpus(t, path, kind, words...)
		s := servertest.Start(t, servertest.Options{Config: "corpora: [{name: a, path: " + path + "}]\nrange: {anonymous_from: [127.0.0.1]}"})
		var prefixes []uint32
		for _, w := range words {
			k := kind.Key([]byte(w))
			prefixes = append(prefixes, uint32(k[0])<<12|uint32(k[1])<<4|uint32(k[2])>>4)
		}
		slices.Sort(prefixes)
		prefixes = slices.Compact(prefixes)
		ranges := filepath.Join(dir, "ranges")
		fetch := wordlists.FetchOptions{BaseURL: s.URL, Dir: ranges, Kind: kind, Prefixes: prefixes, Parallel: 4}
		for i, want := range []wordlists.FetchResult{{Fetched: len(prefixes)}, {Unchanged: len(prefixes)}} {
			got, err := wordlists.Fetch(t.Context(), fetch)
			if err != nil || got.Fetched != want.Fetched || got.Unchanged != want.Unchanged || got.Retries != 0 || (got.Bytes == 0) != (i == 1) {
				t.Fatalf("Fetch = %+v, %v, want %+v", got, err, want)
			}
		}
		if _, err := wordlists.Build(t.Context(), wordlists.BuildOptions{In: ranges, From: wordlists.FromRanges, Kind: kind, Out: other, Full: true, Partial: true}); err != nil {
			t.Fatal(err)
		}
		var texts [2]strings.Builder
		for i, p := range []string{path, other} {
			x, err := wordlists.Open(p, wordlists.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(x.Export(t.Context(), &texts[i]), x.Close()); err != nil {
				t.Fatal(err)
			}
		}
		if texts[0].String() != texts[1].String() {
			t.Errorf("%v: what was fetched is not what was served", kind)
		}
	}
}

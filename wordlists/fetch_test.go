// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-project/watchword/wordlists"
)

// rangeServer speaks the public range API from an index.
type rangeServer struct {
	x        *wordlists.Index
	requests atomic.Int64
	sent     atomic.Int64 // answers with a body
	mu       sync.Mutex
	misdeeds map[string][]http.HandlerFunc // by prefix: what the next answers are instead
}

func (s *rangeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	digits := strings.TrimPrefix(r.URL.Path, "/range/")
	s.mu.Lock()
	if list := s.misdeeds[digits]; len(list) > 0 {
		s.misdeeds[digits] = list[1:]
		s.mu.Unlock()
		list[0](w, r)
		return
	}
	s.mu.Unlock()
	s.answer(w, r)
}

func (s *rangeServer) answer(w http.ResponseWriter, r *http.Request) {
	digits := strings.TrimPrefix(r.URL.Path, "/range/")
	p, err := strconv.ParseUint(digits, 16, 20)
	if err != nil || (r.URL.Query().Get("mode") == "ntlm") != (s.x.Kind() == wordlists.NTLM) {
		http.Error(w, "The hash prefix was not in a valid format", http.StatusBadRequest)
		return
	}
	body, real, err := s.x.AppendRange(nil, uint32(p), wordlists.PadNone)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	tag, sum := wordlists.RangeTags(body, real)
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.sent.Add(1)
	w.Header().Set("Content-MD5", sum)
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && p%2 == 0 {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write(body)
		z.Close()
		return
	}
	w.Write(body)
}

// newRangeServer serves a corpus that has 40 entries a range in one segment.
func newRangeServer(t *testing.T, kind wordlists.Kind) (*rangeServer, string, []entry, []uint32) {
	t.Helper()
	all := generateIn(80, 40, kind, 0x3a)
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, all, kind), Kind: kind, Full: true, Partial: true})
	s := &rangeServer{x: openIndex(t, path, wordlists.Options{}), misdeeds: map[string][]http.HandlerFunc{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	prefixes := make([]uint32, 256)
	for i := range prefixes {
		prefixes[i] = 0x3a00 + uint32(i)
	}
	return s, srv.URL, all, prefixes
}

func fetchOptions(url, dir string, kind wordlists.Kind, prefixes []uint32) wordlists.FetchOptions {
	return wordlists.FetchOptions{BaseURL: url, Dir: dir, Kind: kind, Prefixes: prefixes, Parallel: 8, BackOff: time.Millisecond}
}

func checkFolder(t *testing.T, dir string, all []entry, kind wordlists.Kind) {
	t.Helper()
	for p, want := range expectedRangesOf(all, kind) {
		if want == nil {
			continue
		}
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%05X.txt", p)))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("range %05X: %v, %d bytes, want %d", p, err, len(got), len(want))
		}
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*.new")); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// A download is whole, a second one transfers nothing, and what was fetched
// updates an index, once.
func TestFetch(t *testing.T) {
	t.Parallel()
	for _, kind := range []wordlists.Kind{wordlists.SHA1, wordlists.NTLM} {
		s, url, all, prefixes := newRangeServer(t, kind)
		dir := filepath.Join(t.TempDir(), "ranges")
		res, err := wordlists.Fetch(t.Context(), fetchOptions(url, dir, kind, prefixes))
		if err != nil || res.Fetched != 256 || res.Unchanged != 0 {
			t.Fatalf("Fetch = %+v, %v", res, err)
		}
		checkFolder(t, dir, all, kind)
		sent := s.sent.Load()
		res, err = wordlists.Fetch(t.Context(), fetchOptions(url, dir, kind, prefixes))
		if err != nil || res.Fetched != 0 || res.Unchanged != 256 || s.sent.Load() != sent {
			t.Fatalf("second Fetch = %+v, %v, %d bodies sent", res, err, s.sent.Load()-sent)
		}
		// A file that was lost or cut short is got again.
		os.Remove(filepath.Join(dir, "03A05.txt"))
		os.Truncate(filepath.Join(dir, "03A06.txt"), 10)
		res, err = wordlists.Fetch(t.Context(), fetchOptions(url, dir, kind, prefixes))
		if err != nil || res.Fetched != 2 {
			t.Fatalf("third Fetch = %+v, %v", res, err)
		}
		checkFolder(t, dir, all, kind)

		path, _ := build(t, wordlists.BuildOptions{In: dir, From: wordlists.FromRanges, Kind: kind, Full: true, Partial: true})
		up, err := wordlists.Update(t.Context(), wordlists.UpdateOptions{File: path, From: dir})
		if err != nil || up.Unchanged || up.Ranges != 256 {
			t.Fatalf("Update = %+v, %v", up, err)
		}
		up, err = wordlists.Update(t.Context(), wordlists.UpdateOptions{File: path, From: dir})
		if err != nil || !up.Unchanged {
			t.Fatalf("second Update = %+v, %v", up, err)
		}
	}
}

// Whatever a server does wrong, a bad range never reaches the folder, and what
// may pass is tried again.
func TestFetchMisbehavingServer(t *testing.T) {
	t.Parallel()
	s, url, all, prefixes := newRangeServer(t, wordlists.SHA1)
	body := func(text string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			fmt.Fprint(w, text)
		}
	}
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	line := strings.Repeat("A", 35) + ":1"
	misdeeds := []http.HandlerFunc{
		status(500), status(502), status(503), status(429), status(408),
		status(304),
		body("<html>everything is fine</html>"),
		body(""),
		body(line + "\r\n" + line),
		body(line, "Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="),
		body(line, "Content-Encoding", "gzip"),
		body(line, "Content-Encoding", "br"),
		body(strings.Repeat("0", 2<<20)),
		body(string(zipped(make([]byte, 4<<20))), "Content-Encoding", "gzip"),
		body(strings.Repeat("A", 27) + ":1"),
		func(w http.ResponseWriter, r *http.Request) { // breaks off
			w.Header().Set("Content-Length", "5000")
			fmt.Fprint(w, line)
			panic(http.ErrAbortHandler)
		},
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for i, m := range misdeeds {
		s.misdeeds[fmt.Sprintf("03A%02X", i*3)] = []http.HandlerFunc{m, m}
	}
	dir := t.TempDir()
	res, err := wordlists.Fetch(t.Context(), fetchOptions(url, dir, wordlists.SHA1, prefixes))
	if err != nil || res.Fetched != 256 || res.Retries < len(misdeeds) {
		t.Fatalf("Fetch = %+v, %v", res, err)
	}
	checkFolder(t, dir, all, wordlists.SHA1)

	// What does not pass ends the download with the range's name.
	s.mu.Lock()
	s.misdeeds["03A11"] = make([]http.HandlerFunc, 100)
	for i := range s.misdeeds["03A11"] {
		s.misdeeds["03A11"][i] = status(500)
	}
	s.mu.Unlock()
	o := fetchOptions(url, dir, wordlists.SHA1, prefixes)
	o.Force, o.Attempts = true, 3
	if _, err := wordlists.Fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), "03A11") {
		t.Errorf("Fetch: %v, want an error that names 03A11", err)
	}
	s.mu.Lock()
	s.misdeeds["03A11"] = []http.HandlerFunc{status(403)}
	s.mu.Unlock()
	if _, err := wordlists.Fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("Fetch: %v, want 403 at once", err)
	}
	checkFolder(t, dir, all, wordlists.SHA1)
}

// A server that asks for patience gets it from all requests.
func TestFetchRetryAfter(t *testing.T) {
	t.Parallel()
	s, url, _, prefixes := newRangeServer(t, wordlists.SHA1)
	s.misdeeds["03A00"] = []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}}
	o := fetchOptions(url, t.TempDir(), wordlists.SHA1, prefixes[:1])
	begin := time.Now()
	if _, err := wordlists.Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d < time.Second {
		t.Errorf("asked again after %v, want the second that the server asked for", d)
	}
}

// An interrupted download goes on without asking for what it has.
func TestFetchResume(t *testing.T) {
	t.Parallel()
	s, url, all, prefixes := newRangeServer(t, wordlists.SHA1)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	o := fetchOptions(url, dir, wordlists.SHA1, prefixes)
	o.Parallel = 1
	o.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if s.requests.Load() == 100 {
			cancel()
		}
		return http.DefaultTransport.RoundTrip(r)
	})}
	if _, err := wordlists.Fetch(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("Fetch: %v, want context.Canceled", err)
	}
	before := s.requests.Load()
	o.Client = nil
	res, err := wordlists.Fetch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if res.Resumed < 95 || int(s.requests.Load()-before) != 256-res.Resumed {
		t.Errorf("Fetch = %+v with %d requests", res, s.requests.Load()-before)
	}
	checkFolder(t, dir, all, wordlists.SHA1)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A service that cannot be reached is told of at once; one that was reached may
// be away for a while.
func TestFetchUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	for _, host := range []string{closed, "no-such-host.invalid"} {
		o := fetchOptions("http://"+host, t.TempDir(), wordlists.SHA1, []uint32{1, 2, 3})
		o.BackOff = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		_, err := wordlists.Fetch(ctx, o)
		cancel()
		if err == nil || !strings.Contains(err.Error(), host) || !strings.Contains(err.Error(), "cannot be reached: ") {
			t.Errorf("%s: %v", host, err)
		}
	}
	s, url, all, prefixes := newRangeServer(t, wordlists.SHA1)
	dir := t.TempDir()
	o := fetchOptions(url, dir, wordlists.SHA1, prefixes)
	var asked atomic.Int64
	o.Parallel = 1
	o.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if n := asked.Add(1); n > 1 && n < 5 {
			r.URL.Host = closed
		}
		return http.DefaultTransport.RoundTrip(r)
	})}
	res, err := wordlists.Fetch(t.Context(), o)
	if err != nil || res.Retries != 3 || s.requests.Load() != 256 {
		t.Fatalf("Fetch from a service that is away meanwhile: %+v, %v, %d requests", res, err, s.requests.Load())
	}
	checkFolder(t, dir, all, wordlists.SHA1)
}

func TestFetchOptions(t *testing.T) {
	for _, url := range []string{"", "ftp://x", "x", "https://", "https://user@host", "https://host/?q=1"} {
		if _, err := wordlists.Fetch(t.Context(), wordlists.FetchOptions{BaseURL: url, Dir: t.TempDir()}); err == nil {
			t.Errorf("Fetch took the address %q", url)
		}
	}
	if _, err := wordlists.Fetch(t.Context(), wordlists.FetchOptions{BaseURL: "http://x", Dir: t.TempDir(), Prefixes: []uint32{1 << 20}}); err == nil {
		t.Error("Fetch took a prefix of six digits")
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists"
)

const consoleOn = "listen: {console: '127.0.0.1:0'}\n"

// TestConsoleIsClosed walks the console's door with what no page of its own
// would send.
func TestConsoleIsClosed(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: consoleOn})
	own := s.ConsoleURL
	for _, c := range []struct {
		what, method, path string
		headers            []string
		want               int
	}{
		{"the page", "GET", "/", nil, 200},
		{"a script", "GET", "/app.js", nil, 200},
		{"the head of a script", "HEAD", "/app.js", nil, 200},
		{"the page by a link from elsewhere", "GET", "/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 200},
		{"a script for another page", "GET", "/app.js", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"another name", "GET", "/", []string{"Host: evil.example"}, 403},
		{"a name that only begins well", "GET", "/", []string{"Host: 127.0.0.1.evil.example"}, 403},
		{"no such file", "GET", "/nothing", nil, 404},
		{"a file above", "GET", "/../console.go", nil, 404},
		{"a folder", "GET", "/.", nil, 404},
		{"a post to a file", "POST", "/app.js", nil, 405},
		{"liveness of the other door", "GET", "/healthz", nil, 404},
		{"a call without a key", "POST", "/v1/policies:list", nil, 401},
		{"a call with a wrong key", "POST", "/v1/policies:list", []string{"Authorization: Bearer x"}, 401},
		{"a call", "POST", "/v1/policies:list", []string{"Authorization: Bearer " + s.Key}, 200},
		{"a call of the page", "POST", "/v1/policies:list", []string{"Authorization: Bearer " + s.Key, "Origin: " + own, "Sec-Fetch-Site: same-origin"}, 200},
		{"a call of another page", "POST", "/v1/policies:list", []string{"Authorization: Bearer " + s.Key, "Origin: https://evil.example"}, 403},
		{"a call of another port", "POST", "/v1/policies:list", []string{"Authorization: Bearer " + s.Key, "Origin: http://127.0.0.1:1"}, 403},
		{"a call of a page without origin", "POST", "/v1/policies:list", []string{"Authorization: Bearer " + s.Key, "Origin: null"}, 403},
		{"a call across sites", "POST", "/v1/policies:list", []string{"Authorization: Bearer " + s.Key, "Sec-Fetch-Site: cross-site"}, 403},
		{"a call across ports", "POST", "/v1/policies:list", []string{"Authorization: Bearer " + s.Key, "Sec-Fetch-Site: same-site"}, 403},
		{"a navigation to a call", "GET", "/v1/policies:list", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 403},
		{"a preflight", "OPTIONS", "/v1/policies:list", []string{"Origin: https://evil.example", "Access-Control-Request-Method: POST"}, 403},
	} {
		req, err := http.NewRequest(c.method, own, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Path = c.path
		req.Header.Set("Content-Type", "application/json")
		for _, h := range c.headers {
			name, value, _ := strings.Cut(h, ": ")
			if req.Header.Set(name, value); name == "Host" {
				req.Host = value
			}
		}
		code, h, _ := s.Do(req)
		if code != c.want {
			t.Errorf("%s: %d, want %d", c.what, code, c.want)
		}
		if h.Get("Access-Control-Allow-Origin") != "" || h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: headers %v", c.what, h)
		}
		if csp := h.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", c.what, csp)
		}
	}
	// A list of networks that leaves the loopback out would leave a page that
	// answers every key with a refusal.
	if _, err := servertest.TryStart(t, servertest.Options{Config: "listen: {console: '127.0.0.1:0', allow: [10.20.0.0/16]}"}); err == nil ||
		!strings.Contains(err.Error(), "listen.console") || !strings.Contains(err.Error(), "listen.allow") {
		t.Errorf("a console that nobody may use: %v, want a refusal", err)
	}
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		if _, err := servertest.TryStart(t, servertest.Options{Config: "listen: {console: '" + addr + "', allow: [127.0.0.0/8]}"}); err == nil || !strings.Contains(err.Error(), "listen.console") {
			t.Errorf("a console on %s: %v, want a refusal", addr, err)
		}
	}
}

// TestConsole uses the page in Chromium, on a server that has something to
// show, with scripts in every name that it shows. WATCHWORD_SHOTS names a
// folder for screenshots.
func TestConsole(t *testing.T) {
	if os.Getenv("WATCHWORD_PAGES") == "" {
		t.Skip("pages are tested with WATCHWORD_PAGES set only, as the gate does")
	}
	node, npm := procs.Find(t, "node"), procs.Find(t, "npm")
	chromium := procs.Find(t, "chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
	dir := t.TempDir()
	finish(t, dir, npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "puppeteer-core@24.43.1", "axe-core@4.14.1")

	buildCorpus(t, filepath.Join(dir, "sha1.wwix"), wordlists.SHA1, append(manyWords(300), leaked)...)
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf("%scorpora: [{name: sha1, path: %s/sha1.wwix}]\n", consoleOn, dir)})
	const script = `<img src=x onerror="document.title='run'">`
	for i := range 7 {
		_, _ = s.Client.Verify(t.Context(), script, fmt.Sprint("guess ", i), client.Source{IP: "192.0.2.7"})
	}
	weak, err := s.Client.Hash(t.Context(), "password1")
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Client.CreateAudit(t.Context(), client.NewAudit{})
	if err != nil {
		t.Fatal(err)
	}
	records := func(yield func(client.AuditRecord) bool) {
		for _, id := range []string{script, "bob", "=1+1"} {
			if !yield(client.AuditRecord{ID: id, Hash: weak}) {
				return
			}
		}
	}
	if _, err := s.Client.Upload(t.Context(), a.ID, 0, records, true); err != nil {
		t.Fatal(err)
	}
	for one, err := range s.Client.WatchAudit(t.Context(), a.ID) {
		if err != nil || one.State == "FAILED" {
			t.Fatal(one.State, err)
		}
	}
	_, narrow, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: script, Scopes: []string{"breach.query"}})
	if err != nil {
		t.Fatal(err)
	}

	if shots := os.Getenv("WATCHWORD_SHOTS"); shots != "" {
		if err := os.MkdirAll(shots, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(node, clientScript(t, dir, "console.mjs"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium, "CONSOLE_URL="+s.ConsoleURL, "CONSOLE_KEY="+s.Key, "CONSOLE_NARROW="+narrow, "CONSOLE_SCRIPT="+script)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) || err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if log := s.Log.String(); strings.Contains(log, "Kanarienvogel") {
		t.Error("the log has the password that was tried")
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/internal/meter"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
)

const (
	pkg = "../../client/js"
	// count is how many vectors there are.
	count = 2400
)

// TestInStep builds the package anew: what is in client/js is what the sources
// give. `go generate ./client/js` brings it back in step.
func TestInStep(t *testing.T) {
	toolchain, err := recorded(pkg)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("env", "GOTOOLCHAIN="+toolchain, "go", "version").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not to be had: %s", toolchain, out)
		}
		t.Skipf("%s is not to be had: not tested", toolchain)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "package.json"), unpacked(t, pkg+"/package.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, toolchain); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 9 {
		t.Errorf("%d files were made, want 9 with package.json", len(made))
	}
	for _, f := range made {
		want, got := unpacked(t, filepath.Join(dir, f.Name())), unpacked(t, filepath.Join(pkg, f.Name()))
		if !bytes.Equal(got, want) {
			t.Errorf("client/js/%s is not what the sources give: run go generate ./client/js", f.Name())
		}
	}
}

// unpacked is a file's content; that of the engine without its packing.
func unpacked(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(path) != ".gz" {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPackage holds what is written by hand to what is made: versions and the
// files that are sent.
func TestPackage(t *testing.T) {
	var p struct {
		Version, License string
		Files            []string
	}
	if err := json.Unmarshal(unpacked(t, pkg+"/package.json"), &p); err != nil {
		t.Fatal(err)
	}
	if p.License != "Apache-2.0" {
		t.Errorf("licence %q", p.License)
	}
	for _, file := range []string{"engine.js", "manifest.js"} {
		if !strings.Contains(string(unpacked(t, pkg+"/"+file)), `"`+p.Version+`"`) {
			t.Errorf("%s does not name version %s", file, p.Version)
		}
	}
	readme := string(unpacked(t, pkg+"/README.md"))
	for _, name := range []string{"engine.wasm.gz", "strength.bin", "list.bin", "private.wasm.gz"} {
		info, err := os.Stat(filepath.Join(pkg, name))
		if err != nil {
			t.Fatal(err)
		}
		_, row, _ := strings.Cut(readme, "\n| `"+name+"` | ")
		said, _, _ := strings.Cut(row, " MB")
		mb, err := strconv.ParseFloat(said, 64)
		if size := float64(info.Size()) / 1e6; err != nil || math.Abs(mb-size) > 0.05*size {
			t.Errorf("README.md says %q MB of %s, which has %.2f", said, name, size)
		}
	}
	for _, f := range p.Files {
		if _, err := os.Stat(filepath.Join(pkg, f)); err != nil {
			t.Errorf("package.json lists %s: %v", f, err)
		}
	}
}

// TestSameAsService asks a real server for every vector: where it answers, the
// engine's verdict is the service's.
func TestSameAsService(t *testing.T) {
	s := servertest.New(t)
	for _, name := range []string{"house", "house.shop", "patterns", "quiet"} {
		post(t, s, "/v1/policies:put", meter.JSON(map[string]string{"policy": name, "yaml": own[name]}, nil))
	}
	all, err := vectors(count)
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	for _, v := range all {
		row := map[string]any{"password": v.Password, "policy": v.Policies[len(v.Policies)-1].Policy}
		if v.Previous != "" {
			row["previousPassword"] = v.Previous
		}
		for key, value := range map[string]string{"use": v.Options.Use, "purpose": v.Options.Purpose, "locale": v.Options.Locale} {
			if value != "" {
				row[key] = value
			}
		}
		if v.Options.Context != nil {
			row["context"] = v.Options.Context
		}
		body.Write(append(meter.JSON(row, nil), '\n'))
	}
	lines := bufio.NewScanner(bytes.NewReader(post(t, s, "/v1/passwords:batchCheck", body.Bytes())))
	lines.Buffer(nil, 1<<20)
	judged := 0
	for i := 0; lines.Scan(); i++ {
		var row struct{ Result map[string]any }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		var mine map[string]any
		if err := json.Unmarshal([]byte(all[i].Answer), &mine); err != nil {
			t.Fatal(err)
		}
		theirs := row.Result
		if refused := theirs["error"] != nil; refused != (mine["error"] != nil) {
			t.Errorf("vector %d: refused by the service: %v, by the engine: %v", i, refused, mine["error"])
			continue
		} else if refused {
			continue
		}
		judged++
		for _, field := range []string{"decision", "violations", "advice", "strength", "policy", "policyVersion"} {
			if got, want := plain(mine[field]), plain(theirs[field]); !reflect.DeepEqual(got, want) {
				t.Errorf("vector %d (%s), %s: %v, the service says %v", i, mine["policy"], field, got, want)
			}
		}
	}
	if judged < 2000 {
		t.Errorf("%d vectors were judged, want 2000 or more", judged)
	}
}

// plain takes the UTF-16 offsets out, which the service does not give.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "from")
		delete(v, "to")
		for key, inner := range v {
			v[key] = plain(inner)
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

func post(t *testing.T, s *servertest.Server, path string, body []byte) []byte {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+s.Key)
	q.Header.Set("Content-Type", "application/json")
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", path, a.StatusCode, b, err)
	}
	return b
}

// TestEngines runs the package itself: its tests in Node and, if WATCHWORD_PAGES
// is set, since that takes a while, those in Chromium on pages of a real server.
// Both are on one file of vectors.
func TestEngines(t *testing.T) {
	node := procs.Find(t, "node")
	chromium := procs.Find(t, "chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
	if _, err := os.Stat(pkg + "/test/node_modules"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("npm ci --prefix client/js/test has not been run, which this test needs")
		}
		t.Skip("npm ci --prefix client/js/test has not been run: not tested")
	}
	all, err := vectors(count)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "vectors.jsonl")
	var b bytes.Buffer
	for _, v := range all {
		b.Write(append(meter.JSON(v, nil), '\n'))
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := servertest.Start(t, servertest.Options{Config: "listen: {browser: true}"})
	tests := []string{"engine.test.mjs", "page.test.mjs"}
	if os.Getenv("WATCHWORD_PAGES") == "" {
		t.Log("pages are tested with WATCHWORD_PAGES set only, as the gate does")
		tests = tests[:1]
	}
	for _, name := range tests {
		cmd := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=spec", "--test-concurrency=1", "test/"+name)
		cmd.Dir = pkg
		cmd.Env = append(os.Environ(), "WATCHWORD_VECTORS="+file, "WATCHWORD_URL="+s.URL, "CHROMIUM="+chromium)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		} else if testing.Verbose() {
			t.Logf("%s", out)
		}
	}
}

// TestVectorsDiffer is the control of the vectors: they are of all kinds, so
// that an engine that ignored any part of a call would give other answers.
func TestVectorsDiffer(t *testing.T) {
	all, err := vectors(count)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, v := range all {
		for _, word := range []string{
			"ACCEPT", "REJECT", "LENGTH_MIN", "BLOCKLISTED", "CONTEXT_DERIVED", "TOO_GUESSABLE", "COMPOSITION", "CONTAINS_WORD", "FUZZY_SCORE",
			"REPEATED", "SEQUENCE", `"PATTERN"`, "SIMILAR_TO_PREVIOUS", meter.Empty, meter.Control, meter.TooLarge, "密码", `"score":0`, `"score":4`,
			"KIND_WORD", "KIND_NAME", "KIND_PINYIN", "KIND_HANZI", "KIND_DATE", "KIND_PHONE", "KIND_ID_NUMBER", "KIND_KEYBOARD", "KIND_LOVE_DIGITS", "KIND_CONTEXT",
		} {
			if strings.Contains(v.Answer, word) {
				seen[word]++
			} else if _, ok := seen[word]; !ok {
				seen[word] = 0
			}
		}
	}
	for word, n := range seen {
		if n == 0 {
			t.Errorf("no vector gives %s", word)
		}
	}
	names := map[string]bool{}
	for _, v := range all {
		names[v.Policies[len(v.Policies)-1].Policy] = true
	}
	if want := append(meter.Names(), "house", "house.shop", "patterns", "quiet"); len(names) != len(slices.Compact(slices.Sorted(slices.Values(want)))) {
		t.Errorf("policies judged by: %v, want all of %v", names, want)
	}
}

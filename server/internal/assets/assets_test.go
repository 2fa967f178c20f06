// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package assets_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/internal/assets"
)

func get(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// TestFiles fetches what the manifest names, and finds what it says, and what
// lies in the package's folder.
func TestFiles(t *testing.T) {
	h, err := assets.New("/x/")
	if err != nil {
		t.Fatal(err)
	}
	var latest struct {
		Path, ID  string
		Integrity map[string]string
	}
	if err := json.Unmarshal(get(h, "GET", "/x/latest.json").Body.Bytes(), &latest); err != nil {
		t.Fatal(err)
	}
	manifest := get(h, "GET", latest.Path+"manifest.js").Body.String()
	if !strings.Contains(manifest, latest.ID) || len(latest.ID) != 64 || len(latest.Integrity) != 4 {
		t.Errorf("latest.json says %+v, the manifest %s", latest, manifest)
	}
	files := regexp.MustCompile(`"([a-z.]+)": \{\s+"bytes": \d+,\s+"sha256": "([0-9a-f]+)"`).FindAllStringSubmatch(manifest, -1)
	if len(files) != 4 {
		t.Fatalf("the manifest names %d files, want 4", len(files))
	}
	for _, f := range files {
		sent := get(h, "GET", latest.Path+f[1]).Body.Bytes()
		if sum := sha256.Sum256(sent); hex.EncodeToString(sum[:]) != f[2] {
			t.Errorf("%s is not what the manifest says: go generate ./client/js", f[1])
		}
		if kept, err := os.ReadFile("../../../client/js/" + f[1]); err != nil || !bytes.Equal(kept, sent) {
			t.Errorf("%s is sent otherwise than it lies in the package: %v", f[1], err)
		}
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"HEAD", latest.Path + "index.js", 200},
		{"GET", "/x/", 302},
		{"GET", "/x", 302},
		{"GET", latest.Path, 404},
		{"GET", latest.Path + "js.go", 404},
		{"GET", latest.Path + "test/page.test.mjs", 404},
		{"GET", latest.Path + "../index.js", 404},
		{"GET", "/x/00000000000000000000000000000000/index.js", 404},
		{"GET", "/x/index.js", 404},
		{"POST", latest.Path + "index.js", 405},
		{"OPTIONS", "/x/", 405},
	} {
		w := get(h, c.method, c.path)
		if w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.want)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s %s: headers %v", c.method, c.path, w.Header())
		}
		if c.want != 200 && strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s %s: %d may be kept", c.method, c.path, w.Code)
		}
	}
}

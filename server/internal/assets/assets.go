// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package assets serves the engine that judges passwords in a page. Each file
// is under a path that names the digest of them all, so it may be kept for ever
// and never meets a file of another version.
package assets

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/watchword-project/watchword/client/js"
	"github.com/watchword-project/watchword/server/internal/strength"
	"github.com/watchword-project/watchword/wordlists"
)

// slow is how long a phone may take over a file.
const slow = 2 * time.Minute

// types are the content types by ending. The engine is sent packed, as a file
// and not as an encoding, since it is verified before it is unpacked.
var types = map[string]string{
	".bin": "application/octet-stream", ".css": "text/css; charset=utf-8", ".gz": "application/gzip", ".html": "text/html; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".ts": "text/plain; charset=utf-8", "": "text/plain; charset=utf-8",
}

// pagePolicy lets the example load its own files and run the engine, and
// nothing else: it cannot even send its own form.
const pagePolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

var engineID = regexp.MustCompile(`"id": "([0-9a-f]{64})"`)

// Handler serves the package.
type Handler struct {
	files  map[string][]byte // by path from the package's folder
	prefix string            // where everything is, with a slash on both sides
	root   string            // prefix + digest + "/"
	latest []byte
}

// New lays the files out under a path and takes their digest.
func New(prefix string) (*Handler, error) {
	h := &Handler{prefix: prefix, files: map[string][]byte{"strength.bin": strength.Tables(), "list.bin": []byte(wordlists.Common().Table())}}
	err := fs.WalkDir(js.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(js.Files, name)
		h.files[name] = b
		return err
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range h.files {
		names = append(names, name)
	}
	slices.Sort(names)
	all := sha256.New()
	for _, name := range names {
		sum := sha256.Sum256(h.files[name])
		all.Write([]byte(name + "\x00"))
		all.Write(sum[:])
	}
	h.root = prefix + hex.EncodeToString(all.Sum(nil)[:16]) + "/"
	integrity := map[string]string{}
	for _, name := range []string{"index.js", "engine.js", "private.js", "manifest.js"} {
		sum := sha512.Sum384(h.files[name])
		integrity[name] = "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
	}
	id := engineID.FindSubmatch(h.files["manifest.js"])
	if id == nil {
		return nil, errors.New("manifest.js names no engine")
	}
	h.latest, err = json.Marshal(map[string]any{"path": h.root, "id": string(id[1]), "integrity": integrity})
	return h, err
}

// ServeHTTP serves the files, latest.json, which tells their path, the engine's
// id and the integrity of each module, and at the prefix itself the way to the example.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case h.prefix, strings.TrimSuffix(h.prefix, "/"):
		http.Redirect(w, r, h.root+"example/form.html", http.StatusFound)
		return
	case h.prefix + "latest.json":
		head.Set("Content-Type", "application/json")
		_, _ = w.Write(h.latest)
		return
	}
	name, ours := strings.CutPrefix(r.URL.Path, h.root)
	file, ok := h.files[name]
	if !ours || !ok {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	head.Set("Cache-Control", "public, max-age=31536000, immutable")
	head.Set("Content-Type", types[path.Ext(name)])
	if path.Ext(name) == ".html" {
		head.Set("Content-Security-Policy", pagePolicy)
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(slow))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package console serves the operator's page: files that hold nothing, and
// behind them the public REST interface, which asks for a key as everywhere.
// It knows no call of its own.
package console

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/identity"
)

//go:embed page
var files embed.FS

// policy lets the page run its own scripts, ask its own origin, and nothing
// else: no inline script or style, no frame, no form that is sent anywhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// prefix is where the REST interface begins.
const prefix = "/v1/"

type console struct {
	api  http.Handler
	page fs.FS
}

// New gives the console's handler. Calls go on to api as they came, but for
// the Origin header: a page of this origin may call, and none of another.
func New(api http.Handler) http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the name above is not a path
	}
	return &console{api: api, page: page}
}

func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", policy)
	if !identity.ThisMachine(r.Host) || !ownOrigin(r) {
		http.Error(w, "not for this host or origin", http.StatusForbidden)
		return
	}
	if strings.HasPrefix(r.URL.Path, prefix) {
		r.Header.Del("Origin")
		c.api.ServeHTTP(w, r)
		return
	}
	c.file(w, r)
}

func (c *console) file(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	b, err := fs.ReadFile(c.page, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
}

// ownOrigin tells whether a request is from no page, or from one of this
// origin; opening the page from anywhere, as by a link, is neither's business.
func ownOrigin(r *http.Request) bool {
	if o := r.Header.Get("Origin"); o != "" && o != "http://"+r.Host {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return true
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, prefix)
}

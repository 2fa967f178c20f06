// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/servertest"
)

// TestBrowserFiles: the files for pages are there only if the operator says so,
// and then for pages of this door and of the origins that he lists.
func TestBrowserFiles(t *testing.T) {
	off, on := servertest.New(t), servertest.Start(t, servertest.Options{Config: "listen: {browser: true, cors_origins: ['https://app.example']}"})
	for _, c := range []struct {
		name         string
		server       *servertest.Server
		path, host   string
		origin, auth string
		want         int
		cors         string
	}{
		{name: "off", server: off, path: "/browser/latest.json", want: 401},
		{name: "off, with a key", server: off, path: "/browser/latest.json", auth: "Bearer " + off.Key, want: 404},
		{name: "on", server: on, path: "/browser/latest.json", want: 200},
		{name: "on, a page of its own", server: on, path: "/browser/latest.json", origin: on.URL, want: 200},
		{name: "on, behind a proxy that ends TLS", server: on, path: "/browser/latest.json", origin: strings.Replace(on.URL, "http", "https", 1), want: 200},
		{name: "on, a page of a listed origin", server: on, path: "/browser/latest.json", origin: "https://app.example", want: 200, cors: "https://app.example"},
		{name: "on, a stranger's page", server: on, path: "/browser/latest.json", origin: "https://evil.example", want: 403},
		{name: "on, a name of somebody else", server: on, path: "/browser/latest.json", host: "evil.example", want: 403},
		{name: "on, both", server: on, path: "/browser/latest.json", host: "evil.example", origin: "http://evil.example", want: 403},
		{name: "on, a page of its own asks another route", server: on, path: "/v1/passwords:check", origin: on.URL, want: 403},
		{name: "on, without the slash", server: on, path: "/browser", want: 302},
		{name: "on, beside the prefix", server: on, path: "/browsers", want: 401},
		{name: "on, no file", server: on, path: "/browser/../v1/keys:list", want: 404},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.server.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		for name, value := range map[string]string{"Origin": c.origin, "Authorization": c.auth} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		a, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if vary := a.Header.Get("Vary") == "Origin"; vary != (c.server == on) {
			t.Errorf("%s: Vary %q: a cache may mix up origins", c.name, a.Header.Get("Vary"))
		}
		if a.StatusCode != c.want || a.Header.Get("Access-Control-Allow-Origin") != c.cors {
			t.Errorf("%s: %d with origin %q, want %d with %q", c.name, a.StatusCode, a.Header.Get("Access-Control-Allow-Origin"), c.want, c.cors)
		}
	}
}

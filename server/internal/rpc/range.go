// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"crypto/md5" //nolint:gosec // Content-MD5 is the public API's own integrity header
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/watchword-project/watchword/server/internal/identity"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// rangeVisitor is who asks for a range without a key, from a network that the
// configuration opened for it.
var rangeVisitor = &identity.Caller{ID: "anonymous", Tenant: identity.DefaultTenant, Scopes: []string{"breach.query"}}

// serveRange answers GET /range/{prefix} in the form of the public Pwned
// Passwords API, errors in plain text included, so that its clients work
// unchanged.
func (g *gateway) serveRange(w http.ResponseWriter, r *http.Request, a *arrival) {
	if !g.methodAllowed(w, r, a, http.MethodGet, http.MethodHead) {
		return
	}
	prefix := strings.TrimPrefix(r.URL.Path, "/range/")
	if len(prefix) != 5 || strings.Trim(prefix, "0123456789abcdefABCDEF") != "" {
		plain(w, http.StatusBadRequest, "The hash prefix was not in a valid format")
		return
	}
	req := &watchwordv1.GetRangeRequest{
		Prefix: prefix, Kind: watchwordv1.HashKind_HASH_KIND_SHA1,
		Padding:     strings.EqualFold(r.Header.Get("Add-Padding"), "true"),
		IfNoneMatch: r.Header.Get("If-None-Match"),
	}
	if r.URL.Query().Get("mode") == "ntlm" {
		req.Kind = watchwordv1.HashKind_HASH_KIND_NTLM
	}
	resp, err := g.breach.GetRange(withArrival(r.Context(), a), req)
	if err != nil {
		if status.Code(err) == codes.InvalidArgument {
			plain(w, http.StatusBadRequest, "The hash prefix was not in a valid format")
			return
		}
		g.fail(r.Context(), nil, nil, w, r, err)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Add-Padding")
	if resp.GetEtag() != "" {
		h.Set("ETag", resp.GetEtag())
	}
	if b := resp.GetBuilt(); b.IsValid() && b.GetSeconds() > 0 {
		h.Set("Last-Modified", b.AsTime().UTC().Format(http.TimeFormat))
	}
	if resp.GetNotModified() {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	sum := md5.Sum(resp.GetBody()) //nolint:gosec // see above
	h.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	h.Set("Content-Type", "text/plain")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(unaryTimeout))
	_, _ = w.Write(resp.GetBody())
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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
	req := &watchwordv1.GetRangeRequest{
		Prefix: prefix, Kind: watchwordv1.HashKind_HASH_KIND_SHA1,
		Padding:     strings.EqualFold(r.Header.Get("Add-Padding"), "true"),
		IfNoneMatch: strings.Join(r.Header.Values("If-None-Match"), ","),
	}
	if r.URL.Query().Get("mode") == "ntlm" {
		req.Kind = watchwordv1.HashKind_HASH_KIND_NTLM
	}
	answer, err := g.invoke(withArrival(r.Context(), a), watchwordv1.BreachService_GetRange_FullMethodName, func(m any) error {
		proto.Merge(m.(proto.Message), req)
		return nil
	})
	if err != nil {
		if status.Code(err) == codes.InvalidArgument {
			plain(w, http.StatusBadRequest, "The hash prefix was not in a valid format")
			return
		}
		g.fail(r.Context(), nil, nil, w, r, err)
		return
	}
	resp := answer.(*watchwordv1.GetRangeResponse)
	h := w.Header()
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Vary", "Accept-Encoding, Add-Padding")
	h.Set("Access-Control-Expose-Headers", "Content-MD5, ETag")
	zipped := acceptsGzip(r.Header.Values("Accept-Encoding"))
	tag := resp.GetEtag()
	if zipped && !strings.HasPrefix(tag, "W/") {
		tag = "W/" + tag // the same entries in other bytes (RFC 9110, 8.8.3.3)
	}
	h.Set("ETag", tag)
	h.Set("Last-Modified", resp.GetBuilt().AsTime().UTC().Format(http.TimeFormat))
	if resp.GetNotModified() {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := resp.GetBody()
	h.Set("Content-MD5", resp.GetContentMd5()) // of the text, whatever its coding
	h.Set("Content-Type", "text/plain")
	if zipped {
		h.Set("Content-Encoding", "gzip")
		body = g.zipped(body)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(unaryTimeout))
	_, _ = w.Write(body)
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3): gzip counts when it,
// or else "*", is named with a weight above zero.
func acceptsGzip(headers []string) bool {
	others := false
	for _, header := range headers {
		for one := range strings.SplitSeq(header, ",") {
			name, weight, _ := strings.Cut(one, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			_, q, weighted := strings.Cut(strings.ReplaceAll(weight, " ", ""), "=")
			wanted := !weighted || strings.Trim(q, "0.") != ""
			switch name {
			case "gzip", "x-gzip":
				return wanted
			case "*":
				others = wanted
			}
		}
	}
	return others
}

// zipped compresses a body. The state of a compressor is large, so it is kept.
func (g *gateway) zipped(body []byte) []byte {
	z, ok := g.zippers.Get().(*gzip.Writer)
	if !ok {
		z, _ = gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	}
	defer g.zippers.Put(z)
	var out bytes.Buffer
	out.Grow(len(body)*5/8 + 64)
	z.Reset(&out)
	_, err := z.Write(body)
	if err = errors.Join(err, z.Close()); err != nil {
		panic(err) // a buffer takes everything
	}
	return out.Bytes()
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}

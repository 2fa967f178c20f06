// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Names on the forward-auth door.
const (
	// secretHeader carries the door's credential; Authorization is the user's.
	secretHeader = "X-Watchword-Secret"
	userHeader   = "Remote-User"
	// deviceCookie holds the device token. Its prefix makes browsers keep it to
	// this very host and to TLS (RFC 6265bis §4.1.3.2).
	deviceCookie = "__Host-watchword-device"
	deviceDays   = 180
)

// ForwardAuth is the door that web servers ask before they pass a request on:
// GET /forward-auth with the request's own headers.
type ForwardAuth struct {
	Adapter
	// Trusted are the proxies whose forwarding header is believed.
	Trusted []netip.Prefix
	// Header is the one forwarding header those proxies write:
	// X-Forwarded-For, or Forwarded (RFC 7239). The other is never read, since
	// clients could send it past them.
	Header string
	// DenyStatus answers a login for which no attempt is left; 429 unless set.
	DenyStatus int
}

// NewForwardAuth gives the forward-auth door. It answers 200 with the user's
// name in Remote-User, 401 to what is no valid login, 403 to one whose
// password must be changed first, DenyStatus with Retry-After when no attempt
// is left, and 503 when it cannot tell.
func NewForwardAuth(f ForwardAuth) http.Handler {
	if f.DenyStatus == 0 {
		f.DenyStatus = http.StatusTooManyRequests
	}
	return f.serve("forward-auth", f.handle)
}

func (f *ForwardAuth) handle(v *visit) error {
	switch {
	case f.Secret != "" && !f.known(v.req):
		v.barred = "PERMISSION_DENIED"
		return say(v, http.StatusForbidden, "the asking server is not known here")
	case v.req.URL.Path != "/forward-auth":
		return say(v, http.StatusNotFound, "no such path")
	case v.req.Method != http.MethodGet && v.req.Method != http.MethodHead:
		v.Header().Set("Allow", "GET, HEAD")
		return say(v, http.StatusMethodNotAllowed, "method not allowed")
	}
	q, ok := f.read(v.req)
	if !ok {
		return f.challenge(v)
	}
	name, err := f.Verifier.Spelling(f.Tenant, q.Subject)
	if err != nil {
		return f.challenge(v)
	}
	v.subject = q.Subject
	q.Source.IP = SourceAddress(v.from, v.req.Header.Values(f.Header), f.Header, f.Trusted)
	cookie := ""
	if c := v.req.CookiesNamed(deviceCookie); len(c) == 1 {
		cookie = c[0].Value
	}
	q.Source.Device = cookie
	login, err := f.Verifier.Verify(v.req.Context(), q)
	var denied *verifier.DeniedError
	var busy *password.BusyError
	switch {
	case errors.As(err, &denied):
		v.verdict = verdicts[denied.Verdict].String()
		return retryLater(v, f.DenyStatus, denied.RetryAfter, "no login attempt is left for now")
	case errors.As(err, &busy):
		return retryLater(v, http.StatusServiceUnavailable, busy.RetryAfter, "all hashing capacity is in use")
	case err != nil:
		return errors.Join(err, retryLater(v, http.StatusServiceUnavailable, time.Second, "logins are not possible at the moment"))
	case !login.Match:
		v.noticed = "guess"
		return f.challenge(v)
	}
	if login.DeviceToken != "" && login.DeviceToken != cookie {
		http.SetCookie(v, &http.Cookie{Name: deviceCookie, Value: login.DeviceToken, Path: "/", MaxAge: deviceDays * 24 * 3600,
			Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	if login.MustChange {
		v.noticed = "must_change"
		return say(v, http.StatusForbidden, "the password must be changed first")
	}
	v.Header().Set(userHeader, name)
	return say(v, http.StatusOK, "")
}

// known tells whether the asking server has shown the door's secret, once.
func (f *ForwardAuth) known(r *http.Request) bool {
	h := r.Header.Values(secretHeader)
	return len(h) == 1 && sameSecret(h[0], f.Secret)
}

// read takes the login off the request.
func (f *ForwardAuth) read(r *http.Request) (verifier.VerifyRequest, bool) {
	user, secret, ok := r.BasicAuth()
	if !ok || len(r.Header.Values("Authorization")) != 1 {
		return verifier.VerifyRequest{}, false
	}
	text, err := password.New(secret)
	return verifier.VerifyRequest{Tenant: f.Tenant, Subject: user, Password: text}, err == nil
}

func (f *ForwardAuth) challenge(v *visit) error {
	v.Header().Set("WWW-Authenticate", `Basic realm="login", charset="UTF-8"`)
	return say(v, http.StatusUnauthorized, "no valid login")
}

func retryLater(v *visit, code int, after time.Duration, text string) error {
	v.Header().Set("Retry-After", strconv.FormatFloat(max(1, math.Ceil(after.Seconds())), 'f', 0, 64))
	return say(v, code, text)
}

func say(v *visit, code int, text string) error {
	v.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.WriteHeader(code)
	if text != "" {
		_, _ = io.WriteString(v, text+"\n")
	}
	return nil
}

// SourceAddress finds where a request came from. It walks the chain of hops
// from the right, starting at the socket, over the trusted ones, and takes the
// first that is not. A hop that cannot be read ends the walk at the one that
// named it: what stands further left was written by whoever wanted to.
// Repeated headers are one list (RFC 9110 §5.3).
func SourceAddress(socket netip.Addr, values []string, header string, trusted []netip.Prefix) netip.Addr {
	var hops []string
	for _, v := range values {
		hops = append(hops, strings.Split(v, ",")...)
	}
	if plantLeftmostHop && len(hops) > 0 {
		if a, ok := hopAddress(strings.TrimSpace(hops[0])); ok {
			return a
		}
	}
	at := socket
	for i := len(hops) - 1; i >= 0 && identity.Within(trusted, at); i-- {
		hop := strings.TrimSpace(hops[i])
		if http.CanonicalHeaderKey(header) == "Forwarded" {
			hop = forwardedFor(hop)
		}
		next, ok := hopAddress(hop)
		if !ok {
			break
		}
		at = next
	}
	return at.Unmap().WithZone("")
}

// forwardedFor gives the node of the for parameter of one element (RFC 7239
// §4), or nothing if there is not exactly one.
func forwardedFor(element string) string {
	node, found := "", false
	for _, pair := range strings.Split(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if found {
			return ""
		}
		node, found = strings.Trim(value, `"`), true
	}
	return node
}

// hopAddress reads an address with or without a port.
func hopAddress(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return a.Unmap().WithZone(""), err == nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Adapter is what the doors for foreign protocols have in common. Each has a
// listener and a credential of its own, speaks for one tenant, and translates
// into the calls of the verifier that our own methods make.
type Adapter struct {
	Verifier *verifier.Verifier
	Tenant   string
	// Secret is the credential of the door; empty means that none is asked for,
	// which only a loopback listener may be.
	Secret string
	// Journal keeps what was refused or changed; nil means none.
	Journal Journal
	Log     *slog.Logger
	Now     func() time.Time
	// Observer measures; nil means none.
	Observer Observer
}

// visit is one request on its way through an adapter.
type visit struct {
	http.ResponseWriter
	req  *http.Request
	from netip.Addr
	code int
	id   string
	door string

	subject string // as the caller sent it
	verdict string // by which the login did not get its attempt
	barred  string // outcome, where the caller was not let in
	noticed string // by which defence, where nothing was stopped
}

func (v *visit) WriteHeader(code int) {
	if v.code == 0 {
		v.code = code
	}
	v.ResponseWriter.WriteHeader(code)
}

func (v *visit) Write(p []byte) (int, error) {
	if v.code == 0 {
		v.code = http.StatusOK
	}
	return v.ResponseWriter.Write(p)
}

// serve guards a door: a panic stays inside, and every request leaves one log
// line without names. The handler returns an error for that line only; it has
// answered already.
func (a *Adapter) serve(door string, handle func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := r.Context().Value(connKey{}).(socket)
		id, start := newID(), a.Now()
		v := &visit{ResponseWriter: w, req: r, from: s.addr, id: id, door: door}
		var err error
		defer func() {
			if p := recover(); p != nil {
				err = errPanic
				if v.code == 0 {
					http.Error(v, "internal error, request "+id, http.StatusInternalServerError)
				}
			}
			attrs := []slog.Attr{slog.String("id", id), slog.String("method", door), slog.String("peer", s.String()),
				slog.Int("code", v.code), took(a.Now().Sub(start))}
			level := slog.LevelInfo
			if err != nil {
				if c := statusOf(r.Context(), err, id).Code(); c == codes.Internal || c == codes.Unavailable {
					level = slog.LevelError
					attrs = append(attrs, slog.String("error", err.Error()))
				}
			}
			a.Log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
			a.recordRefusal(v)
			if a.Observer != nil {
				a.Observer.End(r.Context(), door, codeOf(v.code), a.Now().Sub(start))
				a.observeDefences(v)
			}
		}()
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Request-Id", id)
		if err = handle(v); v.barred == "" {
			s.guest.vouch()
		}
	})
}

// observeDefences tells what the interceptors tell of calls.
func (a *Adapter) observeDefences(v *visit) {
	if v.barred != "" {
		a.Observer.Defence("access", true)
	}
	if v.verdict != "" {
		a.Observer.Defence("throttle", true)
	}
	if v.noticed != "" {
		a.Observer.Defence(v.noticed, false)
	}
}

// record is what the journal keeps of a visit.
func (a *Adapter) record(v *visit, typ, outcome string, params map[string]string) Record {
	return Record{Type: typ, Tenant: a.Tenant, Actor: "adapter:" + v.door, Peer: socket{addr: v.from}.String(), Request: v.id,
		Subject: v.subject, Outcome: outcome, Params: params}
}

// recordRefusal puts what was refused into the journal, as the interceptors do.
func (a *Adapter) recordRefusal(v *visit) {
	if a.Journal == nil {
		return
	}
	if v.barred != "" {
		r := a.record(v, typeDenied, v.barred, map[string]string{"method": v.door})
		r.Tenant, r.Actor = "", "" // nobody has shown who it is
		a.Journal.Denied(r)
	}
	if v.verdict != "" {
		a.Journal.Denied(a.record(v, typeLogin, "DENIED", map[string]string{"method": v.door, "verdict": v.verdict}))
	}
}

// change makes a change once the journal has it, and records how it ended.
func (a *Adapter) change(v *visit, typ string, f func() error) error {
	if a.Journal == nil {
		return f()
	}
	if err := a.Journal.Begin(v.req.Context(), a.record(v, typ, "BEGUN", nil)); err != nil {
		return &journalError{err}
	}
	err := f()
	a.Journal.End(a.record(v, typ, outcome(statusOf(v.req.Context(), err, v.id)), nil))
	return err
}

// codeOf is the code of the contract that REST would spell as an HTTP status.
func codeOf(status int) codes.Code {
	switch {
	case status < 400:
		return codes.OK
	case status == http.StatusUnauthorized:
		return codes.Unauthenticated
	case status == http.StatusForbidden:
		return codes.PermissionDenied
	case status == http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case status == http.StatusServiceUnavailable:
		return codes.Unavailable
	case status < 500:
		return codes.InvalidArgument
	}
	return codes.Internal
}

// sameSecret compares in a time that tells neither content nor length.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

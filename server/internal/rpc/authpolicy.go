// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// The form that Dovecot's auth policy and weakforced speak: JSON by POST to
// /?command=allow, report or reset, and /?command=ping.
//
//	Dovecot                          here
//	allow, before the password       an attempt is reserved
//	allow, after the password        the same reservation, free
//	report                           the reservation is settled
//	reset                            the lanes are opened
//
// A status of 0 lets the login go on, -1 refuses it. The form also knows a
// positive status, a wait before the login goes on; it is never given, since
// the guess behind it would be uncharged.
const (
	maxPolicyBody = 64 << 10
	// maxHeld bounds the reservations between allow and report; the oldest are
	// forgotten, and count as failures, when there are more.
	maxHeld       = 1 << 16
	maxHeldTokens = 8
)

// policyForm is a request. Fields that it does not name are the caller's own
// business.
type policyForm struct {
	Login        string `json:"login"`
	Remote       string `json:"remote"`
	PWHash       string `json:"pwhash"`
	SessionID    string `json:"session_id"`
	DeviceID     string `json:"device_id"`
	IP           string `json:"ip"` // of reset
	Success      bool   `json:"success"`
	PolicyReject bool   `json:"policy_reject"`
	FailType     string `json:"fail_type"`
}

type policyAnswer struct {
	Status     int      `json:"status"`
	Msg        string   `json:"msg"`
	Attributes struct{} `json:"r_attrs"`
}

// NewAuthPolicy gives the auth-policy door. Callers send the secret as the
// whole value of their Authorization header, or as the password of HTTP Basic.
// pending is how long a reservation waits for its outcome.
func NewAuthPolicy(a Adapter, pending time.Duration) http.Handler {
	p := &authPolicy{Adapter: a, desk: desk{life: pending, open: make(map[[32]byte]*list.Element)}}
	return a.serve("auth-policy", p.handle)
}

type authPolicy struct {
	Adapter
	desk desk
}

func (p *authPolicy) handle(v *visit) error {
	v.Header().Set("Content-Type", "application/json")
	if !p.known(v.req) {
		v.barred = "UNAUTHENTICATED"
		v.Header().Set("WWW-Authenticate", `Basic realm="watchword"`)
		return failPolicy(v, http.StatusUnauthorized, "no valid credential")
	}
	command := v.req.URL.Query().Get("command")
	switch {
	case v.req.URL.Path != "/":
		return failPolicy(v, http.StatusNotFound, "no such path")
	case command == "ping" && (v.req.Method == http.MethodGet || v.req.Method == http.MethodPost):
		return answerPolicy(v, map[string]string{"status": "ok"})
	case command != "allow" && command != "report" && command != "reset":
		return failPolicy(v, http.StatusNotFound, "no such command")
	case v.req.Method != http.MethodPost:
		v.Header().Set("Allow", http.MethodPost)
		return failPolicy(v, http.StatusMethodNotAllowed, "method not allowed")
	}
	f, err := readPolicyForm(v)
	if err != nil {
		return failPolicy(v, http.StatusBadRequest, "not a JSON object of at most 64 KiB with the fields of this command")
	}
	v.subject = f.Login
	switch command {
	case "allow":
		return p.allow(v, f)
	case "report":
		return p.report(v, f)
	}
	return p.reset(v, f)
}

func (p *authPolicy) known(r *http.Request) bool {
	h := r.Header.Values("Authorization")
	if len(h) != 1 {
		return false
	}
	_, pass, basic := r.BasicAuth()
	whole, part := sameSecret(h[0], p.Secret), sameSecret(pass, p.Secret)
	return whole || basic && part
}

func readPolicyForm(v *visit) (policyForm, error) {
	var f policyForm
	d := json.NewDecoder(http.MaxBytesReader(v, v.req.Body, maxPolicyBody))
	if err := d.Decode(&f); err != nil {
		return f, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return f, errMalformed
	}
	return f, nil
}

// attempt is the form as the verifier takes it. The caller's hash of the guess
// becomes the guess tag: whoever repeats a wrong password is not guessing. An
// address that cannot be read is none; the subject's lanes count all the same.
func (p *authPolicy) attempt(f policyForm) verifier.AttemptRequest {
	q := verifier.AttemptRequest{Tenant: p.Tenant, Subject: f.Login, Source: verifier.Source{Device: f.DeviceID}}
	if ip, err := netip.ParseAddr(f.Remote); err == nil {
		q.Source.IP = ip.WithZone("").Unmap()
	}
	if f.PWHash != "" {
		sum := sha256.Sum256([]byte(f.PWHash))
		q.Tag = sum[:]
	}
	return q
}

// key names the guess that a form is about. A session may hold several
// guesses, so the session alone is not enough.
func (f *policyForm) key() [32]byte {
	var b []byte
	for _, s := range []string{f.SessionID, f.Login, f.Remote, f.PWHash} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return sha256.Sum256(b)
}

func (p *authPolicy) allow(v *visit, f policyForm) error {
	now, key := p.Now(), f.key()
	// Without a hash nothing tells the second question about a guess from the
	// first about another, so each is charged.
	if f.PWHash != "" && p.desk.has(key, now) {
		return answerPolicy(v, policyAnswer{})
	}
	d, err := p.Verifier.Begin(v.req.Context(), p.attempt(f))
	switch {
	case errors.Is(err, verifier.ErrBadSubject):
		return answerPolicy(v, policyAnswer{Status: -1, Msg: "This is not a login name."})
	case err != nil:
		// An error status would let the login pass where the caller is set to go
		// on without its policy server.
		return errors.Join(err, answerPolicy(v, policyAnswer{Status: -1, Msg: "Logins are not possible at the moment. Try again in a minute."}))
	case d.Verdict != throttle.Allow:
		v.verdict = verdicts[d.Verdict].String()
		return answerPolicy(v, policyAnswer{Status: -1, Msg: "Too many failed logins. Try again in " + inWords(d.RetryAfter) + "."})
	}
	p.desk.put(key, d.Token, now)
	return answerPolicy(v, policyAnswer{})
}

// inWords gives a wait, rounded up.
func inWords(d time.Duration) string {
	unit, n := "second", math.Ceil(d.Seconds())
	switch {
	case n > 7200:
		unit, n = "hour", math.Ceil(n/3600)
	case n > 120:
		unit, n = "minute", math.Ceil(n/60)
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%.0f %s", n, unit)
}

func (p *authPolicy) report(v *visit, f policyForm) error {
	outcome := throttle.BadSecret
	switch {
	case f.Success:
		outcome = throttle.Success
	case f.PolicyReject, f.FailType == "internal", f.FailType == "policy":
		outcome = throttle.Cancelled
	}
	// What the caller has seen counts, even if it does not wait for the answer.
	ctx := context.WithoutCancel(v.req.Context())
	settled := false
	var errs []error
	for _, token := range p.desk.take(f.key(), p.Now()) {
		_, err := p.Verifier.Complete(ctx, p.Tenant, token, outcome)
		if errors.Is(err, throttle.ErrBadToken) {
			continue // it has become a failure meanwhile
		}
		settled = settled || err == nil
		errs = append(errs, err)
	}
	if !settled && outcome != throttle.Cancelled && errors.Join(errs...) == nil {
		_, err := p.Verifier.Report(ctx, p.attempt(f), outcome)
		errs = append(errs, err)
	}
	return p.done(v, errors.Join(errs...))
}

func (p *authPolicy) reset(v *visit, f policyForm) error {
	text := f.IP
	if text == "" {
		text = f.Remote
	}
	ip, err := netip.ParseAddr(text)
	if text != "" && err != nil || text == "" && f.Login == "" {
		return failPolicy(v, http.StatusBadRequest, "give login, ip or both")
	}
	return p.done(v, p.change(v, eventTypes["LoginThrottleService/ResetThrottle"], func() error {
		var errs []error
		if f.Login != "" {
			errs = append(errs, p.Verifier.ResetLanes(v.req.Context(), p.Tenant, f.Login, netip.Addr{}))
		}
		if text != "" {
			errs = append(errs, p.Verifier.ResetLanes(v.req.Context(), p.Tenant, "", ip.WithZone("").Unmap()))
		}
		return errors.Join(errs...)
	}))
}

func (p *authPolicy) done(v *visit, err error) error {
	switch {
	case err == nil:
		return answerPolicy(v, map[string]string{"status": "ok"})
	case errors.Is(err, verifier.ErrBadSubject), errors.Is(err, throttle.ErrBadAttempt):
		return failPolicy(v, http.StatusBadRequest, "not an attempt that can be counted")
	}
	return errors.Join(err, failPolicy(v, http.StatusServiceUnavailable, "a store cannot be reached"))
}

func failPolicy(v *visit, code int, reason string) error {
	v.WriteHeader(code)
	return answerPolicy(v, map[string]string{"status": "failure", "reason": reason})
}

// answerPolicy writes an answer. A peer that has gone away is not our fault.
func answerPolicy(v *visit, answer any) error {
	b, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	_, _ = v.Write(append(b, '\n'))
	return nil
}

// desk keeps the reservations between allow and report, as long as they are
// live. Its memory is bounded.
type desk struct {
	life time.Duration

	mu    sync.Mutex
	open  map[[32]byte]*list.Element
	order list.List // of *held, the one that ends first in front
}

type held struct {
	key    [32]byte
	tokens []string
	at     time.Time // when the youngest was reserved, or before
}

// prune drops what is no longer live. mu is held.
func (d *desk) prune(now time.Time) {
	for e := d.order.Front(); e != nil; e = d.order.Front() {
		h := e.Value.(*held)
		age := now.Sub(h.at)
		if age >= 0 && age < d.life && d.order.Len() <= maxHeld {
			return
		}
		d.order.Remove(e)
		delete(d.open, h.key)
	}
}

func (d *desk) has(key [32]byte, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prune(now)
	_, ok := d.open[key]
	return ok
}

func (d *desk) put(key [32]byte, token string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.open[key]
	if !ok {
		e = d.order.PushBack(&held{key: key})
		d.open[key] = e
	}
	h := e.Value.(*held)
	if len(h.tokens) == maxHeldTokens {
		h.tokens = h.tokens[1:]
	}
	h.tokens, h.at = append(h.tokens, token), at
	d.order.MoveToBack(e)
	d.prune(at)
}

func (d *desk) take(key [32]byte, now time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prune(now)
	e, ok := d.open[key]
	if !ok {
		return nil
	}
	d.order.Remove(e)
	delete(d.open, key)
	return e.Value.(*held).tokens
}

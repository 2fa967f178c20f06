// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"errors"
	"net/netip"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

// AttemptRequest is a login attempt of a caller that looks at the password
// itself.
type AttemptRequest struct {
	Tenant  string
	Subject string
	Source  Source
	// Tag is the caller's keyed MAC of the guess, at most 32 bytes; nil for none.
	Tag []byte
}

func (v *Verifier) attempt(q AttemptRequest) (throttle.Attempt, error) {
	who, err := v.who(q.Tenant, q.Subject)
	return throttle.Attempt{Tenant: q.Tenant, Subject: who, IP: q.Source.IP, Device: q.Source.Device,
		Channel: q.Source.Channel, Tag: q.Tag, ChallengePassed: q.Source.ChallengePassed}, err
}

// Begin reserves an attempt. A refusal is an answer.
func (v *Verifier) Begin(ctx context.Context, q AttemptRequest) (throttle.Decision, error) {
	a, err := v.attempt(q)
	if err != nil {
		return throttle.Decision{}, err
	}
	d, err := v.Throttle.Begin(ctx, a)
	if d.Closed {
		v.exhaust(ctx, a.Tenant, a.Subject)
	}
	return d, throttled(err)
}

// Complete settles a reservation. A credential whose last lane this closes is
// disabled. It returns throttle.ErrBadToken for a token that is not this
// tenant's, or settled with another outcome.
func (v *Verifier) Complete(ctx context.Context, tenant, token string, o throttle.Outcome) (throttle.Result, error) {
	res, err := v.Throttle.Finish(ctx, tenant, token, o)
	v.settled(ctx, tenant, res.Subject, res)
	return res, throttled(err)
}

// Report counts an attempt after the fact.
func (v *Verifier) Report(ctx context.Context, q AttemptRequest, o throttle.Outcome) (throttle.Result, error) {
	a, err := v.attempt(q)
	if err != nil {
		return throttle.Result{}, err
	}
	res, err := v.Throttle.Report(ctx, a, o)
	v.settled(ctx, a.Tenant, a.Subject, res)
	return res, throttled(err)
}

// Lanes shows the budgets of a subject, or of an address.
func (v *Verifier) Lanes(ctx context.Context, tenant, subject string, ip netip.Addr) (throttle.State, error) {
	q, err := v.query(tenant, subject, ip)
	if err != nil {
		return throttle.State{}, err
	}
	q.All = true
	s, err := v.Throttle.State(ctx, q)
	return s, throttled(err)
}

// Spelling gives the one spelling of an account id, under which all others of
// it are counted, for adapters that hand the name on.
func (v *Verifier) Spelling(tenant, subject string) (string, error) {
	return Canonical(subject, !v.tenant(tenant).Exact)
}

// ResetLanes opens the lanes of a subject, or of an address. A credential that
// was disabled because they ran out has the state again that it had before.
func (v *Verifier) ResetLanes(ctx context.Context, tenant, subject string, ip netip.Addr) error {
	q, err := v.query(tenant, subject, ip)
	if err != nil {
		return err
	}
	if subject != "" {
		_, err := v.update(ctx, tenant, q.Subject, func(r *Record) (bool, error) {
			if !r.Exhausted {
				return false, nil
			}
			r.Exhausted = false
			r.Revision++
			return true, nil
		})
		if err != nil && !errors.Is(err, ErrUnknownSubject) {
			return err
		}
	}
	return throttled(v.Throttle.Reset(ctx, q))
}

func (v *Verifier) query(tenant, subject string, ip netip.Addr) (throttle.Query, error) {
	q := throttle.Query{Tenant: tenant, IP: ip}
	if subject == "" {
		return q, nil
	}
	who, err := v.who(tenant, subject)
	q.Subject = who
	return q, err
}

// throttled sorts the errors of the throttle as stored does those of a store.
func throttled(err error) error {
	if err == nil || errors.Is(err, throttle.ErrBadToken) || errors.Is(err, throttle.ErrBadAttempt) {
		return err
	}
	return &StoreError{err}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"time"
)

// Query names what State and Reset are about: a subject, an address or both.
type Query struct {
	Tenant  string
	Subject [16]byte   // zero: no subject
	IP      netip.Addr // zero: no address
	// All: State names the subject's and the address's lanes without failures too.
	All bool
}

// State is what is known of a subject or an address. It repeats no name.
type State struct {
	// Lanes holds the guess lanes that have failures, wait or are closed.
	Lanes []LaneState
	// Devices is how many devices of the subject are known.
	Devices int
	// Addresses holds the address lanes that have failures.
	Addresses []AddressState
}

// LaneState is one guess lane.
type LaneState struct {
	Channel     Channel
	KnownDevice bool // one device's lane; else that of all unknown devices
	Failures    int  // consecutive, those whose outcome is awaited included
	Budget      int  // wrong guesses that bring no wait
	Awaited     int
	RetryAfter  time.Duration // what is left of a wait
	Closed      bool
}

// AddressState is one prefix of an address.
type AddressState struct {
	Bits     int // of the prefix
	Failures int // not yet drained, rounded up
	Burst    int // how many it may have
	// RetryAfter is how long until one more may happen.
	RetryAfter time.Duration
}

func (l *Limiter) target(q Query, c *compiled) (Target, bool, error) {
	if len(q.Tenant) > 255 {
		return Target{}, false, ErrBadAttempt
	}
	tenant := l.ring.tenant(q.Tenant)
	t := Target{Unknown: c.unknown, Known: c.known}
	if q.Subject != ([16]byte{}) {
		t.Subject = name(&tenant, ofSubject, q.Subject[:]...)
	}
	v6 := l.address(&tenant, q.IP, &t.Address)
	if t.Limits = c.v4; v6 {
		t.Limits = c.v6
	}
	return t, v6, nil
}

// State tells what is counted against a subject or an address. The error is
// ErrBadAttempt or ErrStore.
func (l *Limiter) State(ctx context.Context, q Query) (State, error) {
	t, v6, err := l.target(q, &l.rules)
	if err != nil {
		return State{}, err
	}
	var v View
	if l.remote != nil {
		v, err = l.remote.store.View(ctx, &t, 0)
	} else {
		v, err = l.local.View(ctx, &t, l.now().UnixMilli())
	}
	if err != nil {
		return State{}, err
	}
	s := State{Devices: v.DevicesKnown}
	add := func(lane LaneView, known bool, rules *Numbers) {
		if lane.Failures == 0 && !lane.Closed && !q.All {
			return
		}
		x := LaneState{
			Channel: lane.Channel, KnownDevice: known, Failures: int(lane.Failures), Budget: int(rules.Free),
			Awaited: int(lane.Awaited), Closed: lane.Closed,
		}
		if lane.Until > v.Now {
			x.RetryAfter = time.Duration(lane.Until-v.Now) * time.Millisecond
		}
		s.Lanes = append(s.Lanes, x)
	}
	for c, lane := range v.Unknown {
		if t.Subject != (Name{}) {
			lane.Channel = Channel(c)
			add(lane, false, &t.Unknown[c])
		}
	}
	for _, lane := range v.Devices {
		add(lane, true, &t.Known[lane.Channel])
	}
	bits := [3]int{32, 0, 24}
	if v6 {
		bits = [3]int{64, 56, 48}
	}
	for i, booked := range v.Address {
		if lim := t.Limits[i]; lim.Cost > 0 && (booked > 0 || q.All && t.Address[i] != (Name{})) {
			s.Addresses = append(s.Addresses, AddressState{
				Bits: bits[i], Failures: int((booked + lim.Cost - 1) / lim.Cost), Burst: int(lim.Room / lim.Cost),
				RetryAfter: time.Duration(max(0, booked+lim.Cost-lim.Room)) * time.Millisecond,
			})
		}
	}
	return s, nil
}

// Reset opens and empties every guess lane of a subject, after its
// authenticator was bound anew, or the lanes of an address. Known devices stay
// known; what single addresses have used up against the subject drains by the
// clock, within Burst times Every of Rules.Pair. Other servers on a
// shared store may go on refusing for up to five seconds. The error is
// ErrBadAttempt, or ErrStore if the shared store could not be told; this server
// tells it when it answers again, unless it is stopped before.
func (l *Limiter) Reset(ctx context.Context, q Query) error {
	t, _, err := l.target(q, &l.rules)
	if err != nil {
		return err
	}
	if err := l.local.Reset(ctx, &t, l.now().UnixMilli()); err != nil || l.remote == nil {
		return err
	}
	defer l.remote.firm[t.Subject[0]%64].forget(t.Subject)
	return l.remote.insist(ctx, func(ctx context.Context) error { return l.remote.store.Reset(ctx, &t, 0) })
}

// RevokeDevices makes every device of the subject unknown, as after a change
// of password. The error is as for Reset.
func (l *Limiter) RevokeDevices(ctx context.Context, tenant string, subject [16]byte) error {
	if len(tenant) > 255 {
		return ErrBadAttempt
	}
	tk := l.ring.tenant(tenant)
	n := name(&tk, ofSubject, subject[:]...)
	if err := l.local.Revoke(ctx, n, l.now().UnixMilli()); err != nil || l.remote == nil {
		return err
	}
	defer l.remote.firm[n[0]%64].forget(n)
	return l.remote.insist(ctx, func(ctx context.Context) error { return l.remote.store.Revoke(ctx, n, 0) })
}

// IssueDevice makes a device known without an attempt, for a caller that has
// just revoked all devices on behalf of the one it talks to. The token is
// empty if the rules know no devices.
func (l *Limiter) IssueDevice(ctx context.Context, tenant string, subject [16]byte) (string, error) {
	if !l.devices {
		return "", nil
	}
	if len(tenant) > 255 {
		return "", ErrBadAttempt
	}
	tk := l.ring.tenant(tenant)
	var nonce [12]byte
	rand.Read(nonce[:])
	x := Settlement{Nonce: nonce, Now: clampTime(l.now().UnixMilli()), Outcome: Cancelled, Report: true}
	x.Subject = name(&tk, ofSubject, subject[:]...)
	x.Enrol, x.Until = max(1, binary.LittleEndian.Uint32(nonce[:])), day(x.Now)+uint16(l.days)
	out, err := l.finish(ctx, &x, &reservation{})
	if err != nil {
		return "", err
	}
	return l.ring.sealDevice(&tk, &subject, out.Enrolled, x.Until), nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Limiter is made of. Only Keys is required.
type Config struct {
	// Profile names the rules: nist (also if empty), pci or mlps. Rules replaces them.
	Profile string
	Rules   *Rules
	Keys    Keys
	// Memory sizes the in-process store. With a shared store it sizes the
	// local limiter that takes over when that store is lost; nothing of it is
	// then kept on disk.
	Memory MemoryConfig
	// Nodes is how many servers share the store, 0 for 3: while it is lost each
	// of them gives away only that part of every budget.
	Nodes int
	// DenyOnLoss refuses attempts with ErrStore while the shared store is lost,
	// instead of deciding locally under the stricter rules.
	DenyOnLoss bool
	// DeviceLife is how long a device stays known after its last success, 1 to
	// 400 days; 0 means 180 days.
	DeviceLife time.Duration
	// Now is the clock; nil is the system's, read so that steps of it have no effect.
	Now func() time.Time
	// Log takes what an operator should see; nil is slog.Default.
	Log *slog.Logger
}

// Limiter decides over attempts. It is safe for concurrent use.
type Limiter struct {
	rules   compiled
	strict  compiled // while the shared store is lost
	ring    *keyring
	now     func() time.Time
	days    int64
	local   *Memory
	remote  *remote // nil: the local store is the only one
	watch   *watch
	devices bool
	count   counters
	flight  flight

	tenants     sync.Map // by name, an *atomic.Int64: the rate of its failures
	tenantCount atomic.Int64
}

// New returns a Limiter on the given store, or on an in-process one if store
// is nil. It takes the store over: Close closes it.
func New(c Config, store Store) (*Limiter, error) {
	rules := Rules{}
	if c.Rules != nil {
		rules = *c.Rules
	} else {
		var err error
		if rules, err = ProfileRules(c.Profile); err != nil {
			return nil, err
		}
	}
	if err := rules.check(); err != nil {
		return nil, err
	}
	if c.Nodes < 0 || c.Nodes > 1000 {
		return nil, errors.New("throttle: number of nodes out of bounds")
	}
	if c.DeviceLife == 0 {
		c.DeviceLife = 180 * 24 * time.Hour
	}
	if c.DeviceLife < 24*time.Hour || c.DeviceLife > 400*24*time.Hour {
		return nil, errors.New("throttle: device life out of bounds, want 1 to 400 days")
	}
	ring, err := newKeyring(c.Keys)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Nodes == 0 {
		c.Nodes = 3
	}
	l := &Limiter{
		rules: compile(&rules), ring: ring, now: c.Now,
		days: int64(c.DeviceLife / (24 * time.Hour)), devices: !rules.NoDevices,
		watch: newWatch(binary.LittleEndian.Uint64(ring.tags[:])),
	}
	l.strict = l.rules
	l.flight.init(rules.Pending)
	if store != nil {
		strict := rules.stricter(c.Nodes)
		l.strict = compile(&strict)
		c.Memory.Dir = ""
	}
	l.local, err = OpenMemory(c.Memory, rules, func(floor int64) func() int64 {
		if l.now == nil {
			l.now = steadyClock(floor)
		}
		return func() int64 { return l.now().UnixMilli() }
	}, c.Log)
	if err != nil {
		return nil, err
	}
	if store != nil {
		l.remote = newRemote(store, c.DenyOnLoss, c.Log)
	}
	return l, nil
}

// Close settles nothing; it writes the state, if it is kept, and stops.
func (l *Limiter) Close() error {
	var err error
	if l.remote != nil {
		err = l.remote.close()
	}
	return errors.Join(err, l.local.Close())
}

// Snapshot writes the whole state to Memory.Dir now, so that a copy of the
// directory taken afterwards holds at least what was decided before. Without a
// directory it does nothing.
func (l *Limiter) Snapshot(ctx context.Context) error {
	if l.local.log == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return l.local.log.compact()
}

// address names the lanes of an address, if there is one.
func (l *Limiter) address(tenant *[32]byte, ip netip.Addr, into *[3]Name) (v6 bool) {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() {
		return false
	}
	bits := [3]int{32, 0, 24}
	if ip.Is6() {
		bits = [3]int{64, 56, 48}
	}
	for i, n := range bits {
		if n > 0 {
			if n == 64 && plantWholeIPv6 {
				n = 128
			}
			p, _ := ip.Prefix(n) // never fails: n is within the address
			var msg [18]byte
			a := p.Addr().As16()
			copy(msg[:], a[:])
			msg[16], msg[17] = byte(n), byte(ip.BitLen()/8)
			into[i] = name(tenant, ofAddress, msg[:]...)
		}
	}
	return ip.Is6()
}

// lanes says where an attempt is counted, under the given rules.
func (l *Limiter) lanes(tenant *[32]byte, a *Attempt, nowMS int64) (Lanes, bool) {
	x := Lanes{Subject: name(tenant, ofSubject, a.Subject[:]...), Channel: a.Channel}
	if l.devices {
		x.Device = l.ring.openDevice(tenant, &a.Subject, a.Device, nowMS)
	}
	v6 := l.address(tenant, a.IP, &x.Address)
	if n := x.Address[0]; n != (Name{}) {
		var msg [29]byte
		copy(msg[:], a.Subject[:])
		copy(msg[16:], n[:12])
		msg[28] = byte(a.Channel)
		x.Pair = name(tenant, ofPair, msg[:]...)
	}
	return x, v6
}

// apply sets the rules of the lanes.
func (c *compiled) apply(x *Lanes, v6 bool) {
	x.Unknown, x.Known = c.unknown[x.Channel], c.known[x.Channel]
	x.PairLimit, x.Limits = c.pair, c.v4
	if v6 {
		x.Limits = c.v6
	}
}

func (a *Attempt) check() error {
	if len(a.Tenant) > 255 || len(a.Tag) > 32 || a.Channel >= channels {
		return ErrBadAttempt
	}
	return nil
}

// Begin decides over an attempt and, if it may happen, charges it on all its
// lanes in one step. It must be called before the secret is looked at. The
// error is ErrBadAttempt, or ErrStore if the shared store is lost and the
// configuration refuses attempts then; a refused attempt is no error.
func (l *Limiter) Begin(ctx context.Context, a Attempt) (Decision, error) {
	if err := a.check(); err != nil {
		return Decision{}, err
	}
	now := clampTime(l.now().UnixMilli())
	tenant := l.ring.tenant(a.Tenant)
	r := Request{Now: now, Challenged: a.ChallengePassed}
	var v6 bool
	r.Lanes, v6 = l.lanes(&tenant, &a, now)
	x := reservation{channel: a.Channel, subject: a.Subject, pair: r.Pair, address: r.Address, v6: v6}
	rand.Read(x.nonce[:])
	r.Tag, r.Tagged = l.guess(&tenant, &a, now, &x)
	soft := l.watch.suspect(now, &x) | l.tenantFull(a.Tenant, now)
	r.Demand = soft != 0
	r.Spare = binary.LittleEndian.Uint16(x.nonce[2:])

	g, local, err := l.flight.begin(ctx, &r, &a, func() (Grant, bool, error) { return l.begin(ctx, &r, v6) })
	if err != nil {
		return Decision{}, err
	}
	d := Decision{KnownDevice: g.Known, Closed: g.NoneOpen}
	asked := r.Demand && !r.Challenged && !g.Known
	if g.Why == 0 && !asked {
		x.kind, x.at, x.tag, x.tagged, x.known, x.local = g.Kind, g.At, g.Tag, g.Tagged, g.Known, local
		x.device = r.Device
		x.booked = g.Kind == Charged && !g.Known && l.tenantBook(a.Tenant, now, 1)
		l.watch.begun(now, &x, a.IP)
		d.Verdict = Allow
		d.Token = l.ring.sealAttempt(&tenant, &x)
		why := Reason(0)
		if local && l.remote != nil {
			why = Degraded
		}
		d.Reasons = why.Codes()
		l.count.decided(d.Verdict, why)
		return d, nil
	}
	why := g.Why
	rules := &r.Unknown
	if g.Known {
		rules = &r.Known
	}
	switch {
	case why&LaneClosed != 0, why&LaneWaits != 0 && rules.Locks:
		d.Verdict = Deny
	case why&^SlowBudget != 0:
		d.Verdict = Delay
	default:
		d.Verdict = Challenge
	}
	if asked {
		why |= soft
	}
	if local && l.remote != nil {
		why |= Degraded
	}
	d.Reasons = why.Codes()
	l.count.decided(d.Verdict, why)
	d.RetryAfter = time.Duration(max(g.Retry, 1000)) * time.Millisecond
	return d, nil
}

// guess cuts the attempt's tag; without one it gives a random number.
func (l *Limiter) guess(tenant *[32]byte, a *Attempt, now int64, x *reservation) (uint16, bool) {
	if a.Tag == nil {
		return binary.LittleEndian.Uint16(x.nonce[:]), false
	}
	x.spray = l.ring.spray(tenant, a.Channel, a.Tag, now/tagLife)
	return l.ring.tag(tenant, &a.Subject, a.Channel, a.Tag, now), true
}

// Finish settles an admitted attempt. A second call with the same token and
// outcome has no effect and gives the same device token again; one with
// another outcome, a token of another tenant, a forged or an expired one is
// ErrBadToken, and whatever was charged stays charged.
func (l *Limiter) Finish(ctx context.Context, tenant, token string, o Outcome) (Result, error) {
	if len(tenant) > 255 || o < Success || o > Cancelled {
		return Result{}, ErrBadAttempt
	}
	now := clampTime(l.now().UnixMilli())
	tk := l.ring.tenant(tenant)
	x, ok := l.ring.openAttempt(&tk, token)
	if !ok {
		return Result{}, ErrBadToken
	}
	s := Settlement{
		Now: now, Nonce: x.nonce, At: x.at, Kind: x.kind, Tag: x.tag, Tagged: x.tagged, OnList: x.known, Outcome: o,
		Lanes: Lanes{
			Subject: name(&tk, ofSubject, x.subject[:]...), Channel: x.channel, Device: x.device,
			Pair: x.pair, Address: x.address,
		},
	}
	defer l.flight.landed(&s)
	return l.settle(ctx, tenant, &tk, &x, &s)
}

// Report books an attempt that has already happened, for callers that learn of
// it from a log. Nothing is refused.
func (l *Limiter) Report(ctx context.Context, a Attempt, o Outcome) (Result, error) {
	if err := a.check(); err != nil || o < Success || o > Cancelled {
		return Result{}, ErrBadAttempt
	}
	now := clampTime(l.now().UnixMilli())
	tenant := l.ring.tenant(a.Tenant)
	lanes, v6 := l.lanes(&tenant, &a, now)
	x := reservation{channel: a.Channel, subject: a.Subject, pair: lanes.Pair, address: lanes.Address, v6: v6, device: lanes.Device}
	rand.Read(x.nonce[:])
	s := Settlement{Lanes: lanes, Now: now, Nonce: x.nonce, Outcome: o, Report: true}
	s.Tag, s.Tagged = l.guess(&tenant, &a, now, &x)
	l.watch.begun(now, &x, a.IP)
	if o == BadSecret || o == SecondFactorFailed {
		l.tenantBook(a.Tenant, now, 1)
	}
	return l.settle(ctx, a.Tenant, &tenant, &x, &s)
}

func (l *Limiter) settle(ctx context.Context, tenant string, tk *[32]byte, x *reservation, s *Settlement) (Result, error) {
	issue := s.Outcome == Success && l.devices && x.channel != ResetCode
	if issue {
		// The number of a new device follows from the reservation, so that asking
		// twice gives one device.
		s.Enrol, s.Until = max(1, binary.LittleEndian.Uint32(x.nonce[4:])), day(s.Now)+uint16(l.days)
	}
	out, err := l.finish(ctx, s, x)
	if err != nil {
		return Result{}, err
	}
	if out.Expired || out.Before != 0 && out.Before != s.Outcome {
		return Result{}, ErrBadToken
	}
	res := Result{Subject: x.subject}
	if issue {
		id := out.Enrolled
		switch {
		case id != 0:
		case x.known:
			id = x.device
		default:
			id = s.Enrol
		}
		res.DeviceToken = l.ring.sealDevice(tk, &x.subject, id, s.Until)
	}
	if out.Before != 0 {
		return res, nil
	}
	l.count.outcomes[s.Outcome].Add(1)
	if out.ClosedIt {
		l.count.closed.Add(1)
	}
	if x.booked && (s.Outcome == Success || s.Outcome == Cancelled) {
		l.tenantBook(tenant, s.Now, -1)
	}
	res.Closed = out.NoneOpen
	free := s.Unknown.Free
	if out.Known {
		free = s.Known.Free
	}
	after := s.Outcome == Success && out.Wiped >= free
	if after {
		res.Notify = append(res.Notify, NotifyAfterFailures)
	}
	if s.Outcome == SecondFactorFailed {
		res.Notify = append(res.Notify, NotifySecondFactor)
	}
	if out.ClosedIt {
		res.Notify = append(res.Notify, NotifyClosed)
	}
	l.watch.settled(s.Now, tenant, x, s.Outcome, after, out.Wiped)
	return res, nil
}

// tenantFull reports whether the tenant has used up its rate of failures.
func (l *Limiter) tenantFull(tenant string, now int64) Reason {
	lim := l.rules.tenant
	if lim.Cost == 0 {
		return 0
	}
	x, ok := l.tenants.Load(tenant)
	if !ok {
		return 0
	}
	rate := x.(*atomic.Int64)
	tat := rate.Load()
	if full := now + lim.Room; tat > full { // the clock went back
		rate.CompareAndSwap(tat, full)
		tat = full
	}
	if late(tat, now, lim.Cost, lim.Room) > 0 {
		return TenantRate
	}
	return 0
}

// tenantsMost bounds the tenants that are counted; beyond it those without
// debt are forgotten.
const tenantsMost = 1 << 16

func (l *Limiter) tenantBook(tenant string, now int64, n int64) bool {
	lim := l.rules.tenant
	if lim.Cost == 0 {
		return false
	}
	x, ok := l.tenants.Load(tenant)
	if !ok {
		if n < 0 || l.tenantCount.Load() >= tenantsMost && !l.forgetTenants(now) {
			return false
		}
		var had bool
		if x, had = l.tenants.LoadOrStore(tenant, new(atomic.Int64)); !had {
			l.tenantCount.Add(1)
		}
	}
	rate := x.(*atomic.Int64)
	for {
		old := rate.Load()
		tat := old + n*lim.Cost
		if n > 0 {
			tat = book(old, now, n*lim.Cost, lim.Room)
		}
		if rate.CompareAndSwap(old, max(0, tat)) {
			return true
		}
	}
}

// forgetTenants makes room among the tenants and reports whether there is some.
// What is booked on one of them at this very moment may be forgotten with it.
func (l *Limiter) forgetTenants(now int64) bool {
	l.tenants.Range(func(name, x any) bool {
		if x.(*atomic.Int64).Load() <= now {
			if _, had := l.tenants.LoadAndDelete(name); had {
				l.tenantCount.Add(-1)
			}
		}
		return true
	})
	return l.tenantCount.Load() < tenantsMost
}

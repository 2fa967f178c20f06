// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// MemoryConfig sizes the in-process store.
type MemoryConfig struct {
	// Subjects is how many subject lanes are kept, 1,024 to 2^28; 0 means
	// 1,048,576. The other tables follow: as many addresses and pairs, a quarter as
	// many device lanes, an eighth as many lanes of each further channel, half as many lists
	// of known devices. Room for a subject takes 65 bytes, for an address 17 a
	// level; memory is taken as lanes come.
	Subjects int
	// Dir keeps the state over a restart; empty keeps it in memory only. See
	// OpenMemory for what a crash may lose.
	Dir string
	// Flush is how often failures that led to no wait are written to Dir, 10 ms
	// to 10 s; 0 means 5 s.
	Flush time.Duration
}

// Memory is the in-process Store. Its memory is bounded by its configuration;
// when a table is full the lane with the least debt is forgotten, never one
// that is waiting or closed, and lanes of one kind never displace another.
type Memory struct {
	subjects [channels]*table[cell]
	devices  *table[cell]
	lists    *table[devices]
	pairs    *table[int64]
	address  [3]*table[int64]
	ghost    ghost
	spent    [64]nonces
	log      *journal // nil: memory only
	crowded  int      // lanes of the kept state that found no room
}

// newMemory makes the tables.
func newMemory(c MemoryConfig) (*Memory, error) {
	n := c.Subjects
	if n == 0 {
		n = 1 << 20
	}
	if n < 1024 || n > 1<<28 {
		return nil, fmt.Errorf("throttle: room for %d subjects, want 1024 to 2^28", n)
	}
	if c.Flush != 0 && (c.Flush < 10*time.Millisecond || c.Flush > 10*time.Second) {
		return nil, errors.New("throttle: flush interval out of bounds, want 10ms to 10s")
	}
	track := c.Dir != ""
	m := &Memory{
		devices: newTable[cell](tableDevices, n/4, track),
		lists:   newTable[devices](tableLists, n/2, track),
		pairs:   newTable[int64](tablePairs, n, track),
	}
	for i := range m.subjects {
		size := n / 8
		if Channel(i) == Password {
			size = n
		}
		m.subjects[i] = newTable[cell](tableSubjects+uint8(i), size, track)
	}
	for i := range m.address {
		m.address[i] = newTable[int64](tableAddress+uint8(i), n, track)
	}
	return m, nil
}

// key cuts a name to 64 bits and mixes in what tells lanes of one name apart.
// Two lanes sharing a key would share a budget; at ten million lanes that
// happens to one installation in 300,000.
func key(n Name, extra uint64) uint64 {
	k := binary.LittleEndian.Uint64(n[:8])
	if extra != 0 {
		k = mix(k ^ mix(extra))
	}
	return max(k, 1)
}

// nonces remembers settled reservations for at least two reservations' lives.
type nonces struct {
	sync.Mutex
	since      int64
	next, past map[[12]byte]Outcome
}

// noncesMost bounds one generation of one of the 64 shards: about four million
// settlements in two reservations' lives.
const noncesMost = 1 << 16

// settle returns the outcome already booked under the nonce, or books o.
func (n *nonces) settle(id [12]byte, o Outcome, now, life int64) (Outcome, error) {
	n.Lock()
	defer n.Unlock()
	n.since = min(n.since, now)
	if n.next == nil || now-n.since > life {
		if now-n.since > 2*life {
			n.next = nil
		}
		n.past, n.next, n.since = n.next, make(map[[12]byte]Outcome), now
	}
	if before, ok := n.next[id]; ok {
		return before, nil
	}
	if before, ok := n.past[id]; ok {
		return before, nil
	}
	if len(n.next) >= noncesMost {
		return 0, fmt.Errorf("%w: too many settlements: %w", ErrStore, ErrNoEffect)
	}
	n.next[id] = o
	return 0, nil
}

// guessLane says where the guess lane of an attempt is kept.
func (m *Memory) guessLane(l *Lanes, known bool) (*table[cell], uint64, *Numbers) {
	if known {
		return m.devices, key(l.Subject, 1<<40|uint64(l.Channel)<<32|uint64(l.Device)), &l.Known
	}
	return m.subjects[l.Channel], key(l.Subject, 0), &l.Unknown
}

// knows reports whether the device of l is on the subject's list.
func (m *Memory) knows(l *Lanes, now int64) bool {
	if l.Device == 0 {
		return false
	}
	k := key(l.Subject, 0)
	s := m.lists.shard(k)
	s.Lock()
	defer s.Unlock()
	i := s.find(k)
	return i >= 0 && s.slots[i].rec.find(l.Device, now) != nil
}

// debt orders pools for eviction: waits and closures stay, more failures stay
// longer, of equals the later.
func (r *Numbers) debt(p *pool, now int64) int64 {
	if p.expiry(r, now) <= now {
		return neutral
	}
	m := p.charged()
	if p.closed || p.latest()+r.wait(m) > now {
		return live
	}
	return m<<42 | p.latest()
}

// load writes the pool at slot i into p, or what the ghost knows of the key if
// it has no slot. p must be zero. It reports whether time has changed it.
func (m *Memory) load(s *shard[cell], i int, k uint64, p *pool, r *Numbers, now int64) (moved bool) {
	if i >= 0 {
		s.slots[i].rec.unpack(p, k, s.more)
	} else if fails := m.ghost.recall(k); fails > 0 {
		p.fails, p.last, p.closed = fails, max(0, now-r.Longest), int64(fails) >= r.Close
	}
	return p.settle(r, now)
}

// save keeps a pool that load returned and that changed since; one that says
// nothing gives its slot up. It reports whether there was room.
func (m *Memory) save(t *table[cell], s *shard[cell], i int, k uint64, p *pool, r *Numbers, now int64) bool {
	if *p == (pool{}) {
		m.ghost.forget(k)
		if i >= 0 {
			s.free(i)
			m.log.note(t.id, k, p, false)
		}
		return true
	}
	if i < 0 {
		i = s.place(k, poolDebt(s, func(q *pool) int64 { return r.debt(q, now) }), func(k uint64, c *cell) {
			var q pool
			if c.unpack(&q, k, s.more); q.charged() >= r.Free {
				m.ghost.add(k, uint16(min(q.charged(), 1<<16-1)), now)
			}
		})
		if i < 0 {
			return false
		}
	}
	if !setPool(s, i, p) {
		return false
	}
	s.touch(i)
	m.log.note(t.id, k, p, p.closed || p.charged() >= r.Free)
	return true
}

// rateLane is one address or pair lane of an attempt, locked.
type rateLane struct {
	s    *shard[int64]
	k    uint64
	l    Limit
	why  Reason
	slot int
}

// rateLanes locks the address and pair lanes of an attempt, always in the same
// order. The caller unlocks them.
func (m *Memory) rateLanes(l *Lanes, into *[4]rateLane) []rateLane {
	n := 0
	add := func(t *table[int64], name Name, lim Limit, why Reason) {
		if name != (Name{}) && lim.Cost > 0 {
			k := key(name, 0)
			s := t.shard(k)
			s.Lock()
			into[n] = rateLane{s: s, k: k, l: lim, why: why}
			n++
		}
	}
	add(m.pairs, l.Pair, l.PairLimit, PairRate)
	for i, why := range [3]Reason{AddressRate, NetworkRate, PrefixRate} {
		add(m.address[i], l.Address[i], l.Limits[i], why)
	}
	return into[:n]
}

func unlock(lanes []rateLane) {
	for i := range lanes {
		lanes[i].s.Unlock()
	}
}

// cost is what an attempt of kind k books on a rate.
func (l Limit) cost(k Kind) int64 {
	if k == Charged {
		return l.Cost
	}
	return max(1, l.Cost/repeatShare)
}

// rateDebt orders rates for eviction; one that refuses now stays.
func rateDebt(l Limit, now int64) func(uint64, *int64) int64 {
	return func(_ uint64, tat *int64) int64 {
		switch {
		case *tat <= now:
			return neutral
		case late(*tat, now, l.Cost, l.Room) > 0:
			return live
		}
		return *tat - now
	}
}

// Begin implements Store.
func (m *Memory) Begin(_ context.Context, r *Request) (Grant, error) {
	now := clampTime(r.Now)
	g := Grant{At: now, Known: m.knows(&r.Lanes, now)}
	t, k, rules := m.guessLane(&r.Lanes, g.Known)
	s := t.shard(k)
	s.Lock()
	slot := s.find(k)
	var p pool
	moved := m.load(s, slot, k, &p, rules, now)
	tag, tagged := r.Tag, r.Tagged
	twin := tagged && !r.Share && p.twin(tag)
	if twin {
		tag, tagged = r.Spare, false
	}
	kind, why, retry := p.admit(rules, now, tag, tagged, tagged || r.Share, r.Challenged || g.Known)
	g.Kind, g.Why, g.Retry = kind, why, retry
	asked := r.Demand && !r.Challenged && !g.Known
	var room [4]rateLane
	var lanes []rateLane
	if !g.Known {
		lanes = m.rateLanes(&r.Lanes, &room)
	}
	charge := g.Kind
	if charge == 0 {
		charge = Charged
	}
	for i := range lanes {
		a := &lanes[i]
		var tat int64
		if a.slot = a.s.find(a.k); a.slot >= 0 {
			tat = a.s.slots[a.slot].rec
		}
		if full := now + a.l.Room; tat > full {
			// The clock went back. Were this not written down, it would hold until
			// the clock is where it was.
			tat = full
			a.s.slots[a.slot].rec = full
			a.s.touch(a.slot)
		}
		if wait := late(tat, now, a.l.cost(charge), a.l.Room); wait > 0 {
			g.Why |= a.why
			g.Retry = max(g.Retry, wait)
		}
	}
	if g.Why == 0 && !asked {
		for i := range lanes {
			a := &lanes[i]
			if a.slot < 0 {
				a.slot = a.s.place(a.k, rateDebt(a.l, now), nil)
			}
			if a.slot < 0 {
				g.Why, g.Retry = StoreFull, fullWait
			}
		}
	}
	if g.Why == 0 && !asked {
		g.Tag, g.Tagged = p.charge(rules, now, kind, tag, tagged), tagged
		if !m.save(t, s, slot, k, &p, rules, now) {
			g.Why, g.Retry = StoreFull, fullWait
		}
	}
	if g.Why == 0 && !asked {
		for i := range lanes {
			a := &lanes[i]
			a.s.slots[a.slot].rec = book(a.s.slots[a.slot].rec, now, a.l.cost(kind), a.l.Room)
			a.s.touch(a.slot)
		}
	} else {
		g.Kind, g.Tag, g.Tagged = 0, 0, false
		g.Twin = twin
		g.Firm = why&(LaneWaits|LaneClosed) != 0 && p.pending == 0
		if slot >= 0 && (moved || plantRefusalsExtend) {
			// Time has changed it, not the attempt: silence became a failure, or the
			// clock went back.
			m.save(t, s, slot, k, &p, rules, now)
		}
	}
	unlock(lanes)
	s.Unlock()
	m.log.commit()
	if g.Why&LaneClosed != 0 {
		g.NoneOpen = m.noneOpen(&r.Lanes, now)
	}
	return g, nil
}

// clampTime keeps a clock within what a record can hold.
func clampTime(now int64) int64 { return min(max(now, 0), maxTime) }

// noneOpen reports whether the subject lane and the lane of every known device
// are closed on the channel.
func (m *Memory) noneOpen(l *Lanes, now int64) bool {
	t, k, _ := m.guessLane(l, false)
	s := t.shard(k)
	s.Lock()
	i := s.find(k)
	closed := i >= 0 && s.slots[i].rec.closed()
	s.Unlock()
	if !closed {
		return false
	}
	k = key(l.Subject, 0)
	d := m.lists.shard(k)
	d.Lock()
	defer d.Unlock()
	i = d.find(k)
	return i < 0 || !d.slots[i].rec.open(l.Channel, now)
}

// Settle implements Store.
func (m *Memory) Settle(_ context.Context, x *Settlement) (Settled, error) {
	now := clampTime(x.Now)
	var out Settled
	// A clock that went back by more than a reservation's life ends it as well.
	if !x.Report && (now >= x.At+x.Unknown.Pending || now < x.At-x.Unknown.Pending) {
		return Settled{Expired: true}, nil
	}
	before, err := m.spent[x.Nonce[0]%64].settle(x.Nonce, x.Outcome, now, 2*x.Unknown.Pending)
	if err != nil || before != 0 {
		return Settled{Before: before}, err
	}
	out.Known = x.OnList
	if x.Report {
		out.Known = m.knows(&x.Lanes, now)
	}
	t, k, rules := m.guessLane(&x.Lanes, out.Known)
	s := t.shard(k)
	s.Lock()
	slot := s.find(k)
	var p pool
	m.load(s, slot, k, &p, rules, now)
	wasClosed, kind := p.closed, x.Kind
	if x.Report {
		kind, out.Wiped = p.report(rules, now, x.Tag, x.Tagged, x.Outcome)
	} else {
		out.Wiped = p.finish(rules, now, x.Kind, x.Tag, x.Tagged, x.Outcome)
	}
	out.ClosedIt = p.closed && !wasClosed
	if !m.save(t, s, slot, k, &p, rules, now) {
		// Every neighbour is locked: what little is known goes to the ghost.
		m.ghost.add(k, uint16(min(p.charged(), 1<<16-1)), now)
	}
	if !out.Known {
		var room [4]rateLane
		lanes := m.rateLanes(&x.Lanes, &room)
		for i := range lanes {
			m.settleRate(&lanes[i], x, kind, now)
		}
		unlock(lanes)
	}
	closed := p.closed
	s.Unlock()
	if x.Enrol != 0 || out.ClosedIt && out.Known {
		m.changeList(x.Subject, now, func(d *devices) {
			own := d.find(x.Device, now)
			if own != nil && out.ClosedIt && out.Known {
				own.closed |= 1 << x.Channel
			}
			if x.Enrol == 0 {
				return
			}
			// A device that was revoked since the attempt began gets a new number:
			// the old one may be in a stranger's hands.
			out.Enrolled = x.Enrol
			if own != nil && out.Known {
				out.Enrolled = x.Device
			}
			d.enrol(out.Enrolled, x.Until, now)
		})
	}
	m.log.commit()
	if closed {
		out.NoneOpen = m.noneOpen(&x.Lanes, now)
	}
	return out, nil
}

func (m *Memory) settleRate(a *rateLane, x *Settlement, kind Kind, now int64) {
	i := a.s.find(a.k)
	failed := x.Outcome == BadSecret || x.Outcome == SecondFactorFailed
	switch {
	case x.Report && failed && kind == Charged:
		if i < 0 {
			i = a.s.place(a.k, rateDebt(a.l, now), nil)
		}
		if i < 0 {
			return
		}
		a.s.slots[i].rec = book(a.s.slots[i].rec, now, a.l.Cost, a.l.Room)
	case i < 0 || failed:
		return
	case a.why == PairRate && x.Outcome == Success:
		// NIST SP 800-63B-4 §3.2.2: disregard earlier failures from the same address.
		a.s.slots[i].rec = 0
	case x.Report:
		return
	default:
		a.s.slots[i].rec = max(0, a.s.slots[i].rec-a.l.cost(kind))
	}
	a.s.touch(i)
	if a.s.slots[i].rec <= now {
		a.s.slots[i].rec = 0
		if !a.s.track {
			a.s.free(i)
		}
	}
}

func (m *Memory) changeList(subject Name, now int64, change func(*devices)) {
	k := key(subject, 0)
	s := m.lists.shard(k)
	s.Lock()
	defer s.Unlock()
	i := s.place(k, func(_ uint64, d *devices) int64 {
		var last uint16
		for _, x := range d.d {
			last = max(last, x.day)
		}
		if last < day(now) {
			return neutral
		}
		return int64(last)
	}, nil)
	before := s.slots[i].rec
	change(&s.slots[i].rec)
	if s.slots[i].rec == (devices{}) {
		s.free(i)
	} else if s.slots[i].rec == before {
		return
	} else {
		s.touch(i)
	}
	m.log.noteList(k, &s.slots[i].rec)
}

// View implements Store.
func (m *Memory) View(_ context.Context, l *Target, now int64) (View, error) {
	now = clampTime(now)
	v := View{Now: now}
	for i := range m.address {
		if l.Address[i] == (Name{}) {
			continue
		}
		k := key(l.Address[i], 0)
		s := m.address[i].shard(k)
		s.Lock()
		if j := s.find(k); j >= 0 {
			v.Address[i] = max(0, min(s.slots[j].rec, now+l.Limits[i].Room)-now)
		}
		s.Unlock()
	}
	if l.Subject == (Name{}) {
		return v, nil
	}
	look := func(c Channel, device uint32) LaneView {
		at := l.lane(c, device)
		t, k, rules := m.guessLane(&at, device != 0)
		s := t.shard(k)
		s.Lock()
		defer s.Unlock()
		i := s.find(k)
		var p pool // a copy: looking changes nothing
		m.load(s, i, k, &p, rules, now)
		return p.view(rules, c, now)
	}
	for c := range channels {
		v.Unknown[c] = look(c, 0)
	}
	for _, d := range m.list(l.Subject).d {
		if d.id == 0 || d.day < day(now) {
			continue
		}
		v.DevicesKnown++
		for c := range channels {
			if lane := look(c, d.id); lane.Failures > 0 || lane.Closed {
				v.Devices = append(v.Devices, lane)
			}
		}
	}
	return v, nil
}

func (p *pool) view(r *Numbers, c Channel, now int64) LaneView {
	v := LaneView{Channel: c, Failures: p.charged(), Closed: p.closed}
	v.Awaited = v.Failures - int64(p.fails)
	if until := p.latest() + r.wait(v.Failures); until > now {
		v.Until = until
	}
	return v
}

func (m *Memory) list(subject Name) devices {
	k := key(subject, 0)
	s := m.lists.shard(k)
	s.Lock()
	defer s.Unlock()
	if i := s.find(k); i >= 0 {
		return s.slots[i].rec
	}
	return devices{}
}

// Reset implements Store.
func (m *Memory) Reset(_ context.Context, l *Target, now int64) error {
	now = clampTime(now)
	for i := range m.address {
		if l.Address[i] != (Name{}) {
			k := key(l.Address[i], 0)
			s := m.address[i].shard(k)
			s.Lock()
			if j := s.find(k); j >= 0 {
				s.slots[j].rec = 0
				s.touch(j)
			}
			s.Unlock()
		}
	}
	if l.Subject != (Name{}) {
		list := m.list(l.Subject)
		for c := range channels {
			for i := -1; i < knownDevices; i++ {
				var device uint32
				if i >= 0 {
					if device = list.d[i].id; device == 0 {
						continue
					}
				}
				at := l.lane(c, device)
				t, k, _ := m.guessLane(&at, i >= 0)
				s := t.shard(k)
				s.Lock()
				if j := s.find(k); j >= 0 {
					s.free(j)
				}
				m.ghost.forget(k)
				m.log.note(t.id, k, &pool{}, true)
				s.Unlock()
			}
		}
		m.changeList(l.Subject, now, func(d *devices) {
			for i := range d.d {
				d.d[i].closed = 0
			}
		})
	}
	m.log.commit()
	return nil
}

// Revoke implements Store.
func (m *Memory) Revoke(_ context.Context, subject Name, now int64) error {
	m.changeList(subject, clampTime(now), func(d *devices) { *d = devices{} })
	m.log.commit()
	return nil
}

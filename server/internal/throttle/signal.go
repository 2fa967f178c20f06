// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"context"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"sync"
	"time"
)

// SignalKind says what was noticed.
type SignalKind uint8

// The kinds.
const (
	SignalSpray                SignalKind = iota + 1 // one guess tried on many subjects
	SignalStuffing                                   // many subjects from one prefix, hardly a success
	SignalSuccessAfterFailures                       // a login after a run of failures
	SignalSuccessInAttack                            // a login from a prefix or with a guess that is flagged
)

// String returns the kind's name in the contract.
func (k SignalKind) String() string {
	switch k {
	case SignalSpray:
		return "SPRAY"
	case SignalStuffing:
		return "STUFFING"
	case SignalSuccessAfterFailures:
		return "SUCCESS_AFTER_FAILURES"
	case SignalSuccessInAttack:
		return "SUCCESS_IN_ATTACK"
	}
	return "UNSPECIFIED"
}

// Signal is one thing noticed.
type Signal struct {
	Kind    SignalKind
	Time    time.Time
	Tenant  string
	Channel Channel
	Subject [16]byte // of the login, for the last two kinds
	// Prefix is the /24 or /48 for SignalStuffing and SignalSuccessInAttack.
	Prefix    netip.Prefix
	Subjects  int // distinct subjects, estimated within a few per cent up to 500
	Failures  int
	Successes int
}

const (
	watchWindow = 10 * 60 * 1000 // ms counted together
	// watchSlots bounds each sketch; of 8 neighbours the one with the fewest
	// failures makes room.
	watchSlots = 1 << 13
	// spraySubjects and stuffSubjects are how many distinct failing subjects
	// make a signal; stuffing also wants fewer successes than one in stuffShare
	// attempts.
	spraySubjects = 30
	stuffSubjects = 20
	stuffShare    = 10
)

// tally counts what befalls one guess or one prefix within a window. Its
// bitmap estimates distinct subjects by linear counting.
type tally struct {
	key     uint64
	window  int64
	flagged int64 // window in which it was last over the bounds; 0: never
	fails   uint32
	good    uint32
	bits    [4]uint64
	prefix  [16]byte
	length  uint8 // of the prefix
	v6      bool
}

func (t *tally) subjects() int {
	set := 0
	for _, w := range t.bits {
		set += bits.OnesCount64(w)
	}
	const m = 256
	if set >= m-1 {
		set = m - 1
	}
	return int(math.Round(-m * math.Log(1-float64(set)/m)))
}

// watch holds the sketches and those who listen. Its memory is fixed, and
// nothing in it outlives the process.
type watch struct {
	seed   uint64 // secret, so that nobody can choose subjects that share a bit
	spray  sketch
	prefix sketch

	mu   sync.Mutex // guards what follows; taken last
	ears map[chan Signal]struct{}
	lost uint64
}

// sketch is a fixed number of tallies in rows. Each row has a lock, shared with
// some others, so that attempts seldom wait for one another.
type sketch struct {
	slots []tally
	locks [watchLocks]struct {
		sync.Mutex
		_ [56]byte // keeps neighbours on different cache lines
	}
}

const watchLocks = 64

// lock locks the row of key.
func (s *sketch) lock(key uint64) *sync.Mutex {
	l := &s.locks[row(key)%watchLocks].Mutex
	l.Lock()
	return l
}

func row(key uint64) int { return int(mix(key) % (watchSlots / ways)) }

func newWatch(seed uint64) *watch {
	return &watch{
		seed: seed, spray: sketch{slots: make([]tally, watchSlots)}, prefix: sketch{slots: make([]tally, watchSlots)},
		ears: make(map[chan Signal]struct{}),
	}
}

// look returns the tally of key, brought up to the window, or nil if there is
// none and create is false. Its row must be locked.
func (s *sketch) look(key uint64, window int64, create bool) *tally {
	from := row(key) * ways
	near := s.slots[from : from+ways]
	var least *tally
	for i := range near {
		t := &near[i]
		if t.key == key {
			if t.window != window {
				*t = tally{key: key, window: window, flagged: t.flagged, prefix: t.prefix, length: t.length, v6: t.v6}
			}
			return t
		}
		if least == nil || t.weight(window) < least.weight(window) {
			least = t
		}
	}
	if !create {
		return nil
	}
	*least = tally{key: key, window: window}
	return least
}

func (t *tally) weight(window int64) int {
	w := 0
	if t.flagged >= window-1 && t.flagged > 0 {
		w = 1 << 40
	}
	if t.key != 0 && t.window >= window-1 {
		w += 1 + int(t.fails)
	}
	return w
}

func (t *tally) hot(window int64) bool { return t != nil && t.flagged > 0 && t.flagged >= window-1 }

// wide is the name the sketches keep a prefix under.
func wide(x *reservation) uint64 { return max(1, binary.LittleEndian.Uint64(x.address[2][:8])) }

// suspect names what the sketches hold against an attempt.
func (w *watch) suspect(now int64, x *reservation) (why Reason) {
	window := now / watchWindow
	if x.address[2] != (Name{}) {
		held := w.prefix.lock(wide(x))
		if w.prefix.look(wide(x), window, false).hot(window) {
			why |= Stuffing
		}
		held.Unlock()
	}
	if x.spray != 0 {
		held := w.spray.lock(uint64(x.spray))
		if w.spray.look(uint64(x.spray), window, false).hot(window) {
			why |= Spray
		}
		held.Unlock()
	}
	return why
}

// begun remembers which prefix an admitted attempt came from.
func (w *watch) begun(now int64, x *reservation, ip netip.Addr) {
	if x.address[2] == (Name{}) {
		return
	}
	length := 24
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		length = 48
	}
	defer w.prefix.lock(wide(x)).Unlock()
	t := w.prefix.look(wide(x), now/watchWindow, true)
	if t.length == 0 {
		t.prefix, t.length, t.v6 = ip.As16(), uint8(length), ip.Is6()
	}
}

func (t *tally) network() netip.Prefix {
	if t.length == 0 {
		return netip.Prefix{}
	}
	ip := netip.AddrFrom16(t.prefix)
	if !t.v6 {
		ip = ip.Unmap()
	}
	p, _ := ip.Prefix(int(t.length)) // the length fits the address it came with
	return p
}

// settled counts an outcome and tells who listens.
func (w *watch) settled(now int64, tenant string, x *reservation, o Outcome, after bool, wiped int64) {
	if o == Cancelled {
		return
	}
	window := now / watchWindow
	at := Signal{Time: time.UnixMilli(now).UTC(), Tenant: tenant, Channel: x.channel}
	// Which bit a subject sets changes with every window.
	bit := mix(binary.LittleEndian.Uint64(x.subject[:])^mix(binary.LittleEndian.Uint64(x.subject[8:])^w.seed^uint64(window))) % 256
	count := func(t *tally) {
		if o == Success {
			t.good++
			return
		}
		t.fails++
		t.bits[bit/64] |= 1 << (bit % 64)
	}
	var net, guess *tally
	if x.address[2] != (Name{}) {
		defer w.prefix.lock(wide(x)).Unlock()
		net = w.prefix.look(wide(x), window, true)
		count(net)
	}
	if x.spray != 0 && (o != SecondFactorFailed) {
		defer w.spray.lock(uint64(x.spray)).Unlock()
		if guess = w.spray.look(uint64(x.spray), window, o == BadSecret); guess != nil {
			count(guess)
		}
	}
	if o == Success {
		if net.hot(window) || guess.hot(window) {
			s := at
			s.Kind, s.Subject = SignalSuccessInAttack, x.subject
			if net != nil {
				s.Prefix = net.network()
			}
			w.tell(s)
		}
		if after {
			s := at
			s.Kind, s.Subject, s.Failures = SignalSuccessAfterFailures, x.subject, int(wiped)
			w.tell(s)
		}
		return
	}
	if guess != nil && guess.flagged != window {
		if n := guess.subjects(); n >= spraySubjects {
			guess.flagged = window
			s := at
			s.Kind, s.Subjects, s.Failures, s.Successes = SignalSpray, n, int(guess.fails), int(guess.good)
			w.tell(s)
		}
	}
	if net != nil && net.flagged != window {
		if n := net.subjects(); n >= stuffSubjects && int(net.good)*stuffShare < int(net.good+net.fails) {
			net.flagged = window
			s := at
			s.Kind, s.Subjects, s.Failures, s.Successes, s.Prefix = SignalStuffing, n, int(net.fails), int(net.good), net.network()
			w.tell(s)
		}
	}
}

// tell hands a signal to every listener that has room.
func (w *watch) tell(s Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ear := range w.ears {
		select {
		case ear <- s:
		default:
			w.lost++
		}
	}
}

// Signals returns what is noticed from now on, until ctx is done; the channel
// is closed then. A listener that falls 256 signals behind loses those that
// come next. Signals are this server's own; nothing of them is kept.
func (l *Limiter) Signals(ctx context.Context) <-chan Signal {
	w := l.watch
	ear := make(chan Signal, 256)
	w.mu.Lock()
	w.ears[ear] = struct{}{}
	w.mu.Unlock()
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.ears, ear)
		close(ear)
	})
	return ear
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

// The records and their arithmetic. Nothing here reads a clock: every function
// takes now, in milliseconds since 1970, and a record in any state with any now
// gives a bounded answer. The Redis store runs the same steps as a script; a
// differential test holds the two together.
//
// All times are whole milliseconds so that a time, a 16-bit tag and a 6-bit
// count share one word, and so that the script's floating point holds them
// exactly.

// entries is how many guesses a pool can hold at once.
const entries = maxFree

const (
	tagLife     = 24 * 3600 * 1000            // ms a wrong guess is remembered: the life of a tag key
	quietLife   = 30 * 24 * 3600 * 1000       // ms of quiet that one failure is remembered …
	quietMost   = 13                          // … times the failures and one, up to this factor
	closedLife  = 10 * 365 * 24 * 3600 * 1000 // ms a closed lane is kept
	repeatCost  = 1000                        // ms of a guess that is repeated: one a second …
	repeatRoom  = 100 * repeatCost            // … after a hundred
	maxRefs     = 63                          // attempts that may share one pending guess
	parallel    = 1000                        // ms to wait when too many do
	repeatShare = 10                          // a repeated guess weighs a tenth on the address lanes
)

// An entry is one guess: at<<22 | tag<<6 | refs. At is when it was charged, tag
// what is kept of it, refs how many attempts with it await their outcome.
type entry uint64

func makeEntry(at int64, tag uint16, refs int) entry {
	return entry(at)<<22 | entry(tag)<<6 | entry(refs)
}
func (e entry) at() int64   { return int64(e >> 22) }
func (e entry) tag() uint16 { return uint16(e >> 6) }
func (e entry) refs() int   { return int(e & maxRefs) }

// maxTime is the last millisecond an entry can hold, in the year 2109.
const maxTime = 1<<42 - 1

// pool is the record of a lane that counts distinct wrong guesses. The zero
// pool is a lane nothing is known about. It has no pointers and a fixed size.
type pool struct {
	last   int64  // when the latest settled failure was charged
	slow   int64  // theoretical arrival time of the slow budget
	repeat int64  // the same, of repeated guesses
	fails  uint16 // consecutive settled failures
	closed bool
	n      uint8 // entries in use
	// Bit i tells of entry i: its outcome is awaited; it carries the caller's
	// tag rather than a random number.
	pending, tagged uint16
	guess           [entries]entry
}

// Numbers are the rules of one ladder with its slow budget, in milliseconds.
type Numbers struct {
	Free, Close    int64
	First, Longest int64
	SlowCost       int64 // 0: no slow budget
	SlowRoom       int64
	Pending        int64
	Locks          bool
}

// wait is how long a lane with m failures rests after the last of them.
func (r *Numbers) wait(m int64) int64 {
	if m < r.Free {
		return 0
	}
	w := r.First
	for ; m > r.Free && w < r.Longest; m-- {
		w *= 2
	}
	return min(w, r.Longest)
}

// settle brings the pool up to now: a clock that went back neither frees a
// lock nor stretches one beyond its wait; reservations without an outcome
// become failures; what has been quiet for long enough is forgotten. It
// reports whether that changed anything.
func (p *pool) settle(r *Numbers, now int64) (moved bool) {
	if p.last > now || p.slow > now+r.SlowRoom || p.repeat > now+repeatRoom {
		p.last = min(p.last, now)
		p.slow = min(p.slow, now+r.SlowRoom)
		p.repeat = min(p.repeat, now+repeatRoom)
		moved = true
	}
	for i := 0; i < int(p.n); {
		g := p.guess[i]
		at := g.at()
		if at > now {
			at, moved = now, true
			p.guess[i] = makeEntry(now, g.tag(), g.refs())
		}
		switch {
		case p.pending&(1<<i) != 0 && at+r.Pending <= now:
			p.fail(r, at)
			p.keepWrong(i) // looked at once more: it may be long ago
			moved = true
		case p.pending&(1<<i) == 0 && at+tagLife <= now:
			p.remove(i)
			moved = true
		default:
			i++
		}
	}
	if p.expiry(r, now) <= now && *p != (pool{}) {
		*p = pool{}
		moved = true
	}
	return moved
}

// expiry is when the pool will be neutral if nothing happens; at most now if it is.
func (p *pool) expiry(r *Numbers, now int64) int64 {
	if p.closed {
		return now + closedLife
	}
	end := max(p.slow, p.repeat)
	if m := p.charged(); m > 0 {
		end = max(end, p.latest()+quietLife*min(m+1, quietMost))
	}
	return end
}

// charged is the number of guesses that count against the lane.
func (p *pool) charged() int64 {
	m := int64(p.fails)
	for i := range int(p.n) {
		m += int64(p.pending >> i & 1)
	}
	return m
}

// latest is when the last of them was charged.
func (p *pool) latest() int64 {
	t := p.last
	for i := range int(p.n) {
		if p.pending&(1<<i) != 0 {
			t = max(t, p.guess[i].at())
		}
	}
	return t
}

func (p *pool) fail(r *Numbers, at int64) {
	if p.fails < 1<<16-1 {
		p.fails++
	}
	p.last = max(p.last, at)
	if int64(p.fails) >= r.Close {
		p.closed = true
	}
}

func (p *pool) remove(i int) {
	copy(p.guess[i:p.n], p.guess[i+1:p.n])
	p.n--
	p.guess[p.n] = 0
	low := uint16(1)<<i - 1
	p.pending = p.pending&low | p.pending>>1&^low
	p.tagged = p.tagged&low | p.tagged>>1&^low
}

// keepWrong turns the pending entry i into a wrong guess; one without a tag
// can never be seen again and is dropped.
func (p *pool) keepWrong(i int) {
	if p.tagged&(1<<i) == 0 {
		p.remove(i)
		return
	}
	p.pending &^= 1 << i
	p.guess[i] = makeEntry(p.guess[i].at(), p.guess[i].tag(), 0)
}

func (p *pool) find(tag uint16, tagged bool) int {
	for i := range int(p.n) {
		if p.guess[i].tag() == tag && (p.tagged&(1<<i) != 0) == tagged {
			return i
		}
	}
	return -1
}

// dropOldest forgets the oldest wrong guess, if there is one.
func (p *pool) dropOldest() bool {
	oldest := -1
	for i := range int(p.n) {
		if p.pending&(1<<i) == 0 && (oldest < 0 || p.guess[i].at() < p.guess[oldest].at()) {
			oldest = i
		}
	}
	if oldest >= 0 {
		p.remove(oldest)
	}
	return oldest >= 0
}

// add appends an entry, in place of the oldest wrong guess if all are taken.
// It reports whether there was room.
func (p *pool) add(at int64, tag uint16, tagged, pending bool) bool {
	if p.n == entries && !p.dropOldest() {
		return false
	}
	refs := 0
	if pending {
		refs = 1
		p.pending |= 1 << p.n
	}
	if tagged {
		p.tagged |= 1 << p.n
	}
	p.guess[p.n] = makeEntry(at, tag, refs)
	p.n++
	return true
}

// Kind says how an admitted attempt was charged.
type Kind uint8

// The kinds.
const (
	Charged Kind = iota + 1 // a new guess
	Shared                  // the same guess as one whose outcome is awaited
	Known                   // the same guess as one that was wrong
)

// twin reports whether an awaited guess has this tag.
func (p *pool) twin(tag uint16) bool {
	i := p.find(tag, true)
	return i >= 0 && p.pending&(1<<i) != 0
}

// admit says whether a guess may be tried now. It changes nothing; the caller
// charges once every other lane has agreed. The pool must be settled.
// same says that the guess can be told from others by its number.
func (p *pool) admit(r *Numbers, now int64, tag uint16, tagged, same, challenged bool) (k Kind, why Reason, retry int64) {
	if p.closed {
		return 0, LaneClosed, r.Longest
	}
	i := -1
	if same {
		i = p.find(tag, tagged)
	}
	if i >= 0 && p.pending&(1<<i) != 0 {
		if p.guess[i].refs() == maxRefs {
			return 0, TooParallel, parallel
		}
		if late := max(p.repeat, now) + repeatCost - now - repeatRoom; late > 0 {
			return 0, TooParallel, late
		}
		return Shared, 0, 0
	}
	m := p.charged()
	if until := p.latest() + r.wait(m); until > now {
		if plantRefusalsExtend {
			p.last = now
		}
		return 0, LaneWaits, until - now
	}
	if i >= 0 {
		if late := max(p.repeat, now) + repeatCost - now - repeatRoom; late > 0 {
			return 0, TooParallel, late
		}
		return Known, 0, 0
	}
	if m >= r.Close || p.pending == 1<<entries-1 {
		// The guesses that are awaited may be the last ones, or fill the record.
		return 0, TooParallel, parallel
	}
	if r.SlowCost > 0 && !challenged {
		if late := max(p.slow, now) + r.SlowCost - now - r.SlowRoom; late > 0 {
			return 0, SlowBudget, late
		}
	}
	return Charged, 0, 0
}

// charge books what admit allowed. It returns the number under which the guess
// is kept: its tag, or for one without a tag a number near the given one that
// no other such guess holds.
func (p *pool) charge(r *Numbers, now int64, k Kind, tag uint16, tagged bool) uint16 {
	switch k {
	case Charged:
		for !tagged && p.find(tag, false) >= 0 {
			tag++
		}
		if plantCheckThenAct {
			return tag
		}
		p.add(now, tag, tagged, true)
		p.slow = min(max(p.slow, now)+r.SlowCost, now+r.SlowRoom)
	case Shared:
		i := p.find(tag, tagged)
		g := p.guess[i]
		p.guess[i] = makeEntry(g.at(), g.tag(), g.refs()+1)
		p.repeat = max(p.repeat, now) + repeatCost
	case Known:
		p.repeat = max(p.repeat, now) + repeatCost
	}
	return tag
}

// finish books the outcome of an attempt that was charged as k. The pool must
// be settled. It returns how many failures a success wiped out.
func (p *pool) finish(r *Numbers, now int64, k Kind, tag uint16, tagged bool, o Outcome) (wiped int64) {
	i := p.find(tag, tagged)
	open := i >= 0 && p.pending&(1<<i) != 0
	switch o {
	case Success, Cancelled:
		switch k {
		case Charged:
			p.slow = max(0, p.slow-r.SlowCost)
		case Shared, Known:
			p.repeat = max(0, p.repeat-repeatCost)
		}
	}
	switch o {
	case Success:
		if !p.closed {
			wiped = int64(p.fails)
			p.fails, p.last = 0, 0
		}
		if open {
			p.remove(i)
		}
		// What others are trying at this moment stays charged; settled failures
		// and the guesses behind them go.
		for i := 0; i < int(p.n); {
			if p.pending&(1<<i) == 0 {
				p.remove(i)
			} else {
				i++
			}
		}
	case Cancelled:
		if open && k != Known {
			if g := p.guess[i]; g.refs() > 1 {
				p.guess[i] = makeEntry(g.at(), g.tag(), g.refs()-1)
			} else {
				p.remove(i)
			}
		}
	case BadSecret:
		switch {
		case k == Known:
			if open {
				// The memory of the wrong guess had lapsed and somebody began it anew.
				p.fail(r, p.guess[i].at())
				p.keepWrong(i)
			}
		case open:
			p.fail(r, p.guess[i].at())
			p.keepWrong(i)
		case i < 0:
			// The entry went with somebody's success or with a reset.
			p.fail(r, now)
			if tagged {
				p.add(now, tag, true, false)
			}
		}
	case SecondFactorFailed:
		at := now
		if open {
			at = p.guess[i].at()
		}
		if i >= 0 {
			p.remove(i)
		}
		p.fail(r, at)
	}
	return wiped
}

// report books an attempt that has already happened elsewhere.
func (p *pool) report(r *Numbers, now int64, tag uint16, tagged bool, o Outcome) (k Kind, wiped int64) {
	switch o {
	case Success:
		return Known, p.finish(r, now, 0, tag, tagged, Success)
	case Cancelled:
		return Known, 0
	}
	if o == BadSecret {
		if i := p.find(tag, true); tagged && i >= 0 {
			if p.pending&(1<<i) != 0 {
				p.fail(r, p.guess[i].at())
				p.keepWrong(i)
				return Charged, 0
			}
			return Known, 0
		}
		if tagged {
			p.add(now, tag, true, false)
		}
	}
	p.fail(r, now)
	p.slow = min(max(p.slow, now)+r.SlowCost, now+r.SlowRoom)
	return Charged, 0
}

// A rate is a theoretical arrival time in ms: what is booked drains by the
// clock, and up to room may be booked at once.

// late is how long a rate must rest before cost fits into room, or at most 0.
func late(tat, now, cost, room int64) int64 {
	return max(min(tat, now+room), now) + cost - now - room
}

func book(tat, now, cost, room int64) int64 {
	return min(max(min(tat, now+room), now)+cost, now+room)
}

// device is one known device of a subject.
type device struct {
	id     uint32 // 0: free
	day    uint16 // the day since 1970 after which it is unknown again
	closed uint8  // bit c: its lane on channel c is closed
}

// knownDevices is how many devices of a subject are remembered; the one that
// expires first makes room.
const knownDevices = 8

// devices is the record of a subject's known devices.
type devices struct {
	d [knownDevices]device
}

func day(now int64) uint16 { return uint16(min(now/(24*3600*1000), 1<<16-1)) }

func (d *devices) find(id uint32, now int64) *device {
	for i := range d.d {
		if d.d[i].id == id && id != 0 && d.d[i].day >= day(now) {
			return &d.d[i]
		}
	}
	return nil
}

// enrol remembers a device until the given day.
func (d *devices) enrol(id uint32, until uint16, now int64) {
	if known := d.find(id, now); known != nil {
		known.day = max(known.day, until)
		return
	}
	first := 0
	for i := range d.d {
		if d.d[i].day < d.d[first].day {
			first = i
		}
	}
	d.d[first] = device{id: id, day: until}
}

// open reports whether some known device has an open lane on channel c.
func (d *devices) open(c Channel, now int64) bool {
	for _, x := range d.d {
		if x.id != 0 && x.day >= day(now) && x.closed&(1<<c) == 0 {
			return true
		}
	}
	return false
}

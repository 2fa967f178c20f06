// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/watchword-project/watchword/server/internal/redisthrottle"
	"github.com/watchword-project/watchword/server/internal/throttle"
)

var long = flag.Bool("watchword.long", os.Getenv("WATCHWORD_LONG") != "", "run the long tests")

func name(n ...uint32) throttle.Name {
	var b []byte
	for _, v := range n {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	sum := sha256.Sum256(b)
	return throttle.Name(sum[:16])
}

// pair drives two stores with one history and compares what they answer.
type pair struct {
	t       *testing.T
	a, b    throttle.Store
	id      uint32 // keeps the lanes of histories apart
	rnd     *rand.Rand
	now     int64
	mood    mood
	tokens  []throttle.Settlement
	settled []throttle.Settlement // already, and worth trying again
	devices [4][]uint32
	steps   int
	over    bool // they have differed, or …
	lost    bool // … the server gave no answer
	// passes, if set, lets as many milliseconds pass for the second store.
	passes func(ms int64)
}

// mood is what a history leans to: what hardly ever comes about in one, such as
// a hundred repeats of a guess or a closed lane, is common in another.
type mood struct {
	ladder, known throttle.Numbers
	subjects      int
	tags          int // different guesses
	tick          int // the most ms from one step to the next, unless the clock jumps
	begins        int // of a hundred steps
	wrong         int // of twenty outcomes, beside those drawn from all
	listed        int // one in so many comes from a known device
	nowhere       int // so many of four come from no address
	told          int // of fifty settlements and questions, settled again or told after the fact
	unlimited     int // which limit there is not: of the address, of the pair, or all are
}

func newMood(r *rand.Rand) mood {
	either := func(a, b int) int { return []int{a, b}[r.IntN(2)] }
	m := mood{
		ladder:   throttle.Numbers{Free: 3, Close: 14, First: 30_000, Longest: 240_000, SlowCost: 3_600_000, SlowRoom: 36_000_000, Pending: 60_000},
		known:    throttle.Numbers{Free: 10, Close: 30, First: 1000, Longest: 16_000, Pending: 60_000},
		subjects: either(1, 4), tags: either(2, 12), tick: either(200, 20_000), begins: either(50, 80),
		wrong: either(19, either(0, 10)), listed: either(1, 3), nowhere: either(1, 4), told: either(4, 30), unlimited: r.IntN(8),
	}
	switch r.IntN(4) {
	case 0: // hardly ever waits
		m.ladder.Free, m.ladder.Close, m.ladder.First = 60, 80, 100
	case 1: // soon closed
		m.ladder.Close, m.ladder.Longest, m.ladder.SlowCost, m.known.Close = 5, 30_000, 0, 3
	case 2: // soon slow
		m.ladder.SlowRoom = 2 * m.ladder.SlowCost
	}
	return m
}

func newPair(t *testing.T, a, b throttle.Store, seed uint64, id uint32) *pair {
	r := rand.New(rand.NewPCG(seed, uint64(id)))
	return &pair{t: t, a: a, b: b, id: id, rnd: r, now: 1_800_000_000_000, mood: newMood(r)}
}

func (p *pair) lanes() throttle.Lanes {
	r := p.rnd
	who := r.IntN(p.mood.subjects)
	l := throttle.Lanes{Subject: name(p.id, 1, uint32(who)), Channel: throttle.Channel(r.IntN(8) / 6), Unknown: p.mood.ladder, Known: p.mood.known}
	if d := p.devices[who]; len(d) > 0 && r.IntN(p.mood.listed) == 0 {
		l.Device = d[r.IntN(len(d))]
	}
	if r.IntN(4) >= p.mood.nowhere {
		from := uint32(r.IntN(3))
		l.Pair = name(p.id, 2, uint32(who), from, uint32(l.Channel))
		l.Address = [3]throttle.Name{name(p.id, 3, from), name(p.id, 4, from/2), name(p.id, 5)}
		if from == 2 {
			l.Address[1] = throttle.Name{}
		}
		l.PairLimit = throttle.Limit{Cost: 60_000, Room: 600_000}
		l.Limits = [3]throttle.Limit{{Cost: 20_000, Room: 120_000}, {Cost: 10_000, Room: 100_000}, {Cost: 5_000, Room: 90_000}}
		if k := p.mood.unlimited; k < 3 {
			l.Limits[k] = throttle.Limit{}
		} else if k == 3 {
			l.PairLimit = throttle.Limit{}
		}
	}
	return l
}

func (p *pair) nonce() (n [12]byte) {
	binary.LittleEndian.PutUint64(n[:], uint64(p.steps))
	binary.LittleEndian.PutUint32(n[8:], p.id)
	return n
}

func (p *pair) same(what string, x, y any, errX, errY error) {
	p.t.Helper()
	if errX == nil && errors.Is(errY, throttle.ErrStore) {
		p.lost, p.over = true, true // no answer in time says nothing about what it would have been
	} else if errX != nil || errY != nil {
		p.t.Errorf("history %d, step %d, %s: %v and %v", p.id, p.steps, what, errX, errY)
		p.over = true
	} else if d := cmp.Diff(x, y); d != "" {
		p.t.Errorf("history %d, step %d, %s at %d: the stores differ (-first +second):\n%s", p.id, p.steps, what, p.now, d)
		p.over = true
	}
}

func (p *pair) step(ctx context.Context) {
	r := p.rnd
	p.steps++
	jump, before := r.IntN(40), p.now
	if p.mood.tick < 1000 {
		jump = r.IntN(400)
	}
	if jump < 3 {
		p.settled = nil
	}
	switch {
	case jump == 0:
		p.now += int64(r.IntN(3_600_000))
	case jump == 1:
		p.now += int64(r.IntN(40 * 24 * 3_600_000))
	case jump == 2 && p.passes == nil:
		p.now -= int64(r.IntN(7_200_000))
	default:
		p.now += int64(r.IntN(p.mood.tick))
	}
	if p.passes != nil {
		p.passes(p.now - before)
	}
	// What is not a beginning is told apart by n alike in every mood.
	n := 50 + r.IntN(50)
	if r.IntN(100) < p.mood.begins {
		n = 0
	}
	switch {
	case n < 50:
		q := throttle.Request{
			Lanes: p.lanes(), Now: p.now, Tag: uint16(r.IntN(p.mood.tags)), Tagged: r.IntN(6) > 0,
			Challenged: r.IntN(3) == 0, Demand: r.IntN(20) == 0, Share: r.IntN(2) == 0, Spare: uint16(r.IntN(p.mood.tags)),
		}
		x, errX := p.a.Begin(ctx, &q)
		y, errY := p.b.Begin(ctx, &q)
		p.same("Begin", x, y, errX, errY)
		if x.Kind != 0 {
			s := throttle.Settlement{
				Lanes: q.Lanes, At: x.At, Kind: x.Kind, Tag: x.Tag, Tagged: x.Tagged, OnList: x.Known,
			}
			s.Nonce = p.nonce()
			p.tokens = append(p.tokens, s)
			if len(p.tokens) > 20 {
				p.tokens = p.tokens[1:]
			}
		}
	case n < 88:
		s := throttle.Settlement{Lanes: p.lanes(), Report: true, Tag: uint16(r.IntN(p.mood.tags)), Tagged: r.IntN(6) > 0}
		if len(p.tokens) > 0 && n < 88-p.mood.told {
			i := r.IntN(len(p.tokens))
			s = p.tokens[i]
			p.tokens = append(p.tokens[:i:i], p.tokens[i+1:]...)
			p.settled = append(p.settled, s)
		} else if len(p.settled) > 0 && n < 88-p.mood.told/2 {
			s = p.settled[r.IntN(len(p.settled))]
		}
		if s.Report {
			s.Nonce = p.nonce()
		}
		s.Now, s.Outcome = p.now, throttle.Outcome(1+r.IntN(4))
		if r.IntN(20) < p.mood.wrong {
			s.Outcome = throttle.BadSecret
		}
		if s.Outcome == throttle.Success {
			s.Enrol, s.Until = r.Uint32()|1, uint16(p.now/86_400_000)+uint16(r.IntN(30))
		}
		x, errX := p.a.Settle(ctx, &s)
		y, errY := p.b.Settle(ctx, &s)
		p.same(fmt.Sprintf("Settle %+v", s), x, y, errX, errY)
		if x.Enrolled != 0 {
			for who := range p.devices {
				if s.Subject == name(p.id, 1, uint32(who)) {
					p.devices[who] = append(p.devices[who], x.Enrolled)
					p.devices[who] = p.devices[who][max(0, len(p.devices[who])-10):]
				}
			}
		}
	case n < 97:
		l := p.lanes()
		t := throttle.Target{Subject: l.Subject, Address: l.Address, Limits: l.Limits}
		for c := range t.Unknown {
			t.Unknown[c], t.Known[c] = p.mood.ladder, p.mood.known
		}
		x, errX := p.a.View(ctx, &t, p.now)
		y, errY := p.b.View(ctx, &t, p.now)
		p.same("View", x, y, errX, errY)
	case n < 99:
		l := p.lanes()
		t := throttle.Target{Subject: l.Subject, Address: l.Address, Limits: l.Limits}
		p.same("Reset", nil, nil, p.a.Reset(ctx, &t, p.now), p.b.Reset(ctx, &t, p.now))
	default:
		l := p.lanes()
		p.same("Revoke", nil, nil, p.a.Revoke(ctx, l.Subject, p.now), p.b.Revoke(ctx, l.Subject, p.now))
	}
}

func memory(t testing.TB) throttle.Store {
	t.Helper()
	rules, err := throttle.ProfileRules("nist")
	if err != nil {
		t.Fatal(err)
	}
	m, err := throttle.OpenMemory(throttle.MemoryConfig{Subjects: 1 << 14}, rules, noClock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// skewed is a store with a planted fault: every tenth wait is a millisecond
// too short, which no hand-written case would see.
type skewed struct{ throttle.Store }

func (f skewed) Begin(ctx context.Context, r *throttle.Request) (throttle.Grant, error) {
	q := *r
	if q.Unknown.First%10 == 0 {
		q.Unknown.First--
	}
	return f.Store.Begin(ctx, &q)
}

// TestScriptAgreesWithGo runs random histories on both stores, with clocks that jump both
// ways: few that are long, so that lanes close and lists fill, and many short ones.
// A million of those with -watchword.long.
func TestScriptAgreesWithGo(t *testing.T) {
	t.Parallel()
	srv := start(t)
	store := connect(t, redisthrottle.Config{Addrs: []string{srv.addr()}, Timeout: 500 * time.Millisecond})
	store.UseCallersClock()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const callers = 16
	var next, steps, lost atomic.Uint32
	run := func(histories, length int) {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				var a throttle.Store
				for n := 0; ; n++ {
					if t.Failed() {
						return
					}
					id := next.Add(1)
					if int(id) > histories {
						return
					}
					if n%64 == 0 { // no lane is ever forgotten for want of room
						a = memory(t)
					}
					p := newPair(t, a, store, seed, id)
					for p.steps < length && !p.over {
						p.step(t.Context())
					}
					steps.Add(uint32(p.steps))
					if p.lost {
						lost.Add(1)
						a = memory(t)
					}
				}
			})
		}
		wg.Wait()
	}
	deep, short := 40, 200
	if *long {
		deep, short = 200, 1_000_000
	}
	run(deep, 400)
	noKeyWithoutTTL(t, srv)
	for done := 0; done < short && !t.Failed(); done += 20_000 {
		srv.do("flushall", "async")
		run(deep+min(short, done+20_000), 30)
	}
	t.Logf("%d histories, %d steps", min(int(next.Load()), deep+short), steps.Load())
	if n := int(lost.Load()); n*4 > deep+short {
		t.Errorf("%d of %d histories were cut short for want of an answer", n, deep+short)
	}
}

// TestNothingEndsTooEarly has the times to live run by the clock of the histories: what
// was in a key that ended must have been of no account any more.
func TestNothingEndsTooEarly(t *testing.T) {
	t.Parallel()
	srv := start(t)
	store := connect(t, redisthrottle.Config{Addrs: []string{srv.addr()}, Timeout: 500 * time.Millisecond})
	store.UseCallersClock()
	c := redis.NewClient(&redis.Options{Addr: srv.addr(), MaxRetries: -1, DisableIdentity: true})
	defer c.Close()
	pass := redis.NewScript(`local ended = 0
		for _, k in ipairs(redis.call('keys', '*')) do
			local left = redis.call('pttl', k) - ARGV[1]
			if left > 0 then redis.call('pexpire', k, left) else ended = ended + redis.call('del', k) end
		end
		return ended`)
	ended := 0
	a, seed := memory(t), rand.Uint64()
	t.Logf("seed %d", seed)
	for id := range uint32(60) {
		p := newPair(t, a, store, seed, id+1)
		p.passes = func(ms int64) {
			n, err := pass.Run(t.Context(), c, nil, ms).Int()
			if err != nil {
				t.Fatal(err)
			}
			ended += n
		}
		for p.steps < 100 && !p.over {
			p.step(t.Context())
		}
		p.passes(5 * 365 * 86_400_000) // leaves room for the next
		if p.lost {
			a = memory(t)
		}
	}
	if ended == 0 {
		t.Error("no key has ended")
	}
}

// TestResetWithClockGoneBack: a device that was known no more when its subject was
// reset, and is again since the clock went back, has been reset with it.
func TestResetWithClockGoneBack(t *testing.T) {
	const day = 86_400_000
	store := connect(t, redisthrottle.Config{Addrs: []string{start(t).addr()}, Timeout: 500 * time.Millisecond})
	store.UseCallersClock()
	for what, s := range map[string]throttle.Store{"memory": memory(t), "redis": store} {
		ladder := throttle.Numbers{Free: 3, Close: 14, First: 30_000, Longest: 240_000, Pending: 60_000}
		target := throttle.Target{Subject: name(1)}
		for c := range target.Unknown {
			target.Unknown[c], target.Known[c] = ladder, ladder
		}
		now := int64(20_000 * day)
		settle := func(nonce byte, outcome throttle.Outcome, device, enrol uint32) throttle.Settled {
			t.Helper()
			x := throttle.Settlement{
				Lanes: throttle.Lanes{Subject: target.Subject, Device: device, Unknown: ladder, Known: ladder},
				Now:   now, Report: true, Outcome: outcome, Enrol: enrol, Until: uint16(now / day), Nonce: [12]byte{nonce},
			}
			out, err := s.Settle(t.Context(), &x)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		failures := func() (n int64) {
			t.Helper()
			v, err := s.View(t.Context(), &target, now)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range v.Devices {
				n += l.Failures
			}
			return n
		}
		device := settle(1, throttle.Success, 0, 7).Enrolled
		settle(2, throttle.BadSecret, device, 0)
		if got := failures(); got != 1 {
			t.Fatalf("%s: the known device has %d failures, want 1", what, got)
		}
		if err := s.Reset(t.Context(), &target, now+day); err != nil {
			t.Fatal(err)
		}
		if got := failures(); got != 0 {
			t.Errorf("%s: after the reset the device has %d failures", what, got)
		}
	}
}

func TestDifferenceIsSeen(t *testing.T) {
	srv := start(t)
	store := connect(t, redisthrottle.Config{Addrs: []string{srv.addr()}, Timeout: 500 * time.Millisecond})
	store.UseCallersClock()
	a := memory(t)
	ladder := throttle.Numbers{Free: 1, Close: 14, First: 30_000, Longest: 240_000, Pending: 60_000}
	r := throttle.Request{Lanes: throttle.Lanes{Subject: name(1), Unknown: ladder, Known: ladder}, Now: 1_800_000_000_000, Tagged: true}
	differ := false
	for i := range 3 {
		r.Tag = uint16(i)
		x, errX := a.Begin(t.Context(), &r)
		y, errY := skewed{store}.Begin(t.Context(), &r)
		if err := errors.Join(errX, errY); err != nil {
			t.Fatal(err)
		}
		differ = differ || cmp.Diff(x, y) != ""
	}
	if !differ {
		t.Error("a wait one millisecond short was not seen")
	}
}

// crowd guesses at one subject, whose owner logs in all the time, from more
// addresses than a record counts apart, and returns the most failures that one
// address or one prefix had beyond its rate, and the longest record.
func crowd(t *testing.T, s *server, store *redisthrottle.Store) (over int, longest int) {
	t.Helper()
	pair, near := throttle.Limit{Cost: 60_000, Room: 180_000}, throttle.Limit{Cost: 30_000, Room: 60_000}
	free := throttle.Numbers{Free: 10, Close: 1000, First: 1, Longest: 1, Pending: 60_000}
	rnd := rand.New(rand.NewPCG(1, 2))
	now := int64(1_800_000_000_000)
	charged := map[string][]int64{}
	count := func(lane string, limit throttle.Limit) {
		at := append(charged[lane], now)
		charged[lane] = at
		for i := range at {
			over = max(over, len(at)-i-int(limit.Room/limit.Cost)-int((now-at[i])/limit.Cost))
		}
	}
	for n := range uint32(2400) {
		now += int64(rnd.IntN(20))
		r := throttle.Request{Now: now, Tag: uint16(n), Tagged: true, Lanes: throttle.Lanes{Subject: name(1), Unknown: free, Known: free}}
		lane, limit := "", pair
		if n%2 == 0 {
			from := uint32(rnd.IntN(20))
			r.Pair, r.PairLimit, lane = name(2, from), pair, fmt.Sprint("pair ", from)
		} else {
			from := uint32(rnd.IntN(400))
			r.Address, r.Limits = [3]throttle.Name{name(3, from), {}, name(4)}, [3]throttle.Limit{near, {}, {Cost: 40, Room: 1_000_000}}
			lane, limit = fmt.Sprint("near ", from), near
		}
		g, err := store.Begin(t.Context(), &r)
		if err != nil {
			t.Fatal(err)
		}
		if g.Kind == 0 {
			continue
		}
		count(lane, limit)
		// The owner's own success forgives the subject lane, and no address.
		x := throttle.Settlement{Lanes: r.Lanes, Now: now, At: g.At, Kind: g.Kind, Tag: g.Tag, Tagged: g.Tagged, Outcome: throttle.Success}
		x.Pair, x.Address = throttle.Name{}, [3]throttle.Name{}
		binary.LittleEndian.PutUint32(x.Nonce[:], n+1)
		if _, err := store.Settle(t.Context(), &x); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range strings.Fields(strings.Trim(s.do("keys", "*"), "[]")) {
		n, err := strconv.Atoi(s.do("strlen", k))
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, n)
	}
	noKeyWithoutTTL(t, s)
	return over, longest
}

// TestCrowdedRecords: whoever finds no place in a record any more shares a rate
// with others, but nobody gets more than a rate of his own would give.
func TestCrowdedRecords(t *testing.T) {
	for _, fault := range []struct{ piece, by string }{{}, {"math.max(rate, all)", "all"}, {"book = table.concat(kept)", "book = string.sub(book, 1, 12)"}} {
		s := start(t)
		store := connect(t, redisthrottle.Config{Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond})
		store.UseCallersClock()
		if fault.piece != "" && !store.PlantFault(fault.piece, fault.by) {
			t.Fatalf("the script has no %q", fault.piece)
		}
		over, longest := crowd(t, s, store)
		if fault.piece == "" && longest != 13+12+10*256 {
			t.Errorf("records of up to %d bytes: not crowded, or not bounded", longest)
		}
		if (over > 0) != (fault.piece != "") {
			t.Errorf("fault %q: %d guesses more than a rate allows", fault.piece, over)
		}
	}
}

// strays returns the keys that would stay for ever or are outside ww:{…}.
func strays(t *testing.T, s *server) string {
	t.Helper()
	if s.do("dbsize") == "0" {
		t.Error("no keys to look at")
	}
	return strings.Trim(s.do("eval", `local found = {}
		for _, k in ipairs(redis.call('keys', '*')) do
			if redis.call('pttl', k) < 0 or k:sub(1, 4) ~= 'ww:{' then found[#found + 1] = k end
		end
		return found`, 0), "[]")
}

func noKeyWithoutTTL(t *testing.T, s *server) {
	t.Helper()
	if keys := strays(t, s); keys != "" {
		t.Errorf("keys without a time to live, or outside ww:{…}: %s", keys)
	}
}

func TestKeyForEverIsSeen(t *testing.T) {
	s := start(t)
	store := connect(t, redisthrottle.Config{Addrs: []string{s.addr()}, Timeout: 500 * time.Millisecond})
	if !store.PlantFault("'SETEX', key, text, value", "'SET', key, value") {
		t.Fatal("the script sets no time to live where it did")
	}
	ladder := throttle.Numbers{Free: 1, Close: 14, First: 30_000, Longest: 240_000, Pending: 60_000}
	if _, err := store.Begin(t.Context(), &throttle.Request{Lanes: throttle.Lanes{Subject: name(1), Unknown: ladder}}); err != nil {
		t.Fatal(err)
	}
	if strays(t, s) == "" {
		t.Error("a key without a time to live was not seen")
	}
}

var testKeys = throttle.Keys{Names: []byte("0123456789abcdef0123456789abcdef")}

func open(t testing.TB, c throttle.Config, s throttle.Store) *throttle.Limiter {
	t.Helper()
	c.Keys = testKeys
	c.Memory.Subjects = 1 << 14
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l, err := throttle.New(c, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// noClock serves a store that keeps nothing on disk.
func noClock(int64) func() int64 { return func() int64 { return 0 } }

// TestForeignBytes overwrites records with what nobody wrote: a lane then
// refuses, its neighbours do not care, and a reset mends it.
func TestForeignBytes(t *testing.T) {
	s := start(t)
	store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{s.addr()}})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, throttle.Config{}, store)
	a := throttle.Attempt{Subject: subject(1), IP: netAddr("192.0.2.1"), Tag: []byte{1}, ChallengePassed: true}
	for _, garbage := range []string{"", "x", strings.Repeat("\xff", 26), strings.Repeat("\x00", 27), strings.Repeat("\x01", 200), "1e400", "-5", "nan"} {
		if _, err := l.Begin(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Report(t.Context(), a, throttle.Success); err != nil {
			t.Fatal(err)
		}
		a.Tag = append(a.Tag, 1)
		if _, err := l.Begin(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		for _, k := range strings.Fields(strings.Trim(s.do("keys", "*"), "[]")) {
			s.do("set", k, garbage, "ex", "3600")
		}
		for i := range 3 {
			b := a
			b.Tag = []byte{9, byte(i)}
			d, err := l.Begin(t.Context(), b)
			if err != nil || len(d.Reasons) > 0 && d.Reasons[len(d.Reasons)-1] == "STORE_DEGRADED" {
				t.Fatalf("%q in every key: %+v, %v: the store was lost over it", garbage, d, err)
			}
			if d.Verdict != throttle.Deny {
				t.Errorf("%q in every key: %v, want DENY", garbage, d.Verdict)
			}
		}
		other := throttle.Attempt{Subject: subject(2), Tag: []byte{1}}
		if d, err := l.Begin(t.Context(), other); err != nil || d.Verdict != throttle.Allow {
			t.Errorf("%q: a neighbour gets %v %v, %v", garbage, d.Verdict, d.Reasons, err)
		}
		if err := l.Reset(t.Context(), throttle.Query{Subject: a.Subject, IP: a.IP}); err != nil {
			t.Fatal(err)
		}
		s.do("flushall")
	}
}

// TestAddressIsCountedApart: an address has its rates wherever its subjects live, in a
// cluster in other slots than it has. Who is refused for them is charged nothing, and a
// success gives back what it had booked.
func TestAddressIsCountedApart(t *testing.T) {
	t.Parallel()
	for what, s := range map[string]throttle.Store{
		"memory":  memory(t),
		"server":  connect(t, redisthrottle.Config{Addrs: []string{start(t).addr()}, Timeout: 500 * time.Millisecond}),
		"cluster": connect(t, redisthrottle.Config{Mode: "cluster", Addrs: addrs(cluster(t, 0)), Timeout: 500 * time.Millisecond}),
	} {
		const hour = 3_600_000
		now := time.Now().UnixMilli()
		ladder := throttle.Numbers{Free: 3, Close: 14, First: 30_000, Longest: 240_000, Pending: 600_000}
		target := func(who uint32) *throttle.Target {
			x := &throttle.Target{
				Subject: name(1, who), Address: [3]throttle.Name{name(2), name(3), name(4)},
				Limits: [3]throttle.Limit{{Cost: hour, Room: 3 * hour}, {Cost: hour, Room: 4 * hour}, {Cost: hour, Room: 5 * hour}},
			}
			for c := range x.Unknown {
				x.Unknown[c], x.Known[c] = ladder, ladder
			}
			return x
		}
		lanes := func(who uint32) throttle.Lanes {
			x := target(who)
			return throttle.Lanes{Subject: x.Subject, Unknown: ladder, Known: ladder, Address: x.Address, Limits: x.Limits}
		}
		begin := func(who uint32, want throttle.Reason) throttle.Settlement {
			t.Helper()
			g, err := s.Begin(t.Context(), &throttle.Request{Lanes: lanes(who), Now: now, Tag: uint16(who), Tagged: true})
			if err != nil || g.Why != want || (g.Kind == 0) != (want != 0) || (g.Retry > 0) != (want != 0) {
				t.Errorf("%s: attempt at %d: %+v, %v, want reason %v", what, who, g, err, want)
			}
			return throttle.Settlement{Lanes: lanes(who), At: g.At, Kind: g.Kind, Tag: g.Tag, Tagged: g.Tagged}
		}
		settle := func(x throttle.Settlement, who byte, o throttle.Outcome) {
			t.Helper()
			x.Now, x.Outcome, x.Nonce = now, o, [12]byte{who}
			if out, err := s.Settle(t.Context(), &x); err != nil || out.Expired {
				t.Errorf("%s: settling at %d: %+v, %v", what, who, out, err)
			}
		}
		view := func(who uint32, failures int64, hours [3]int64) {
			t.Helper()
			v, err := s.View(t.Context(), target(who), now)
			for i := range v.Address { // the servers' own clocks go on
				v.Address[i] = (v.Address[i] + hour/2) / hour
			}
			if err != nil || v.Unknown[0].Failures != failures || v.Address != hours {
				t.Errorf("%s: %d has %+v, and the address %v hours, %v; want %d failures and %v", what, who, v.Unknown[0], v.Address, err, failures, hours)
			}
		}
		right, wrong := begin(0, 0), begin(1, 0)
		begin(2, 0)
		begin(3, throttle.AddressRate)
		view(3, 0, [3]int64{3, 3, 3})
		settle(right, 0, throttle.Success)
		settle(wrong, 1, throttle.BadSecret)
		view(1, 1, [3]int64{2, 2, 2})
		begin(3, 0)
		begin(4, throttle.AddressRate)
		settle(throttle.Settlement{Lanes: lanes(5), Report: true, Tag: 5, Tagged: true}, 5, throttle.BadSecret)
		view(5, 1, [3]int64{3, 4, 4})
		settle(throttle.Settlement{Lanes: lanes(5), Report: true, Tag: 5, Tagged: true}, 6, throttle.BadSecret) // no new guess
		view(5, 1, [3]int64{3, 4, 4})
		if err := s.Reset(t.Context(), target(5), now); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		view(5, 0, [3]int64{})
		begin(4, 0)
	}
}

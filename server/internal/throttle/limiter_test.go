// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

// clock is a wall clock that moves when told to.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

var testKeys = throttle.Keys{Names: bytes.Repeat([]byte{7}, 32), Tokens: [][]byte{bytes.Repeat([]byte{8}, 32)}}

// open returns a limiter that is closed with the test.
func open(t testing.TB, c throttle.Config, s throttle.Store) *throttle.Limiter {
	t.Helper()
	if c.Keys.Names == nil {
		c.Keys = testKeys
	}
	if c.Memory.Subjects == 0 {
		c.Memory.Subjects = 1 << 14
	}
	l, err := throttle.New(c, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func begin(t testing.TB, l *throttle.Limiter, a throttle.Attempt) throttle.Decision {
	t.Helper()
	d, err := l.Begin(t.Context(), a)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return d
}

func finish(t testing.TB, l *throttle.Limiter, token string, o throttle.Outcome) throttle.Result {
	t.Helper()
	r, err := l.Finish(t.Context(), "", token, o)
	if err != nil {
		t.Fatalf("Finish: %v", err)
	}
	return r
}

// guess begins and fails an attempt; it returns the decision.
func guess(t testing.TB, l *throttle.Limiter, a throttle.Attempt, tag byte) throttle.Decision {
	t.Helper()
	a.Tag = []byte{tag, 1, 2, 3}
	d := begin(t, l, a)
	if d.Verdict == throttle.Allow {
		finish(t, l, d.Token, throttle.BadSecret)
	}
	return d
}

var home = netip.MustParseAddr("192.0.2.7")

func TestNISTLadder(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	a := throttle.Attempt{Subject: [16]byte{1}}
	for i := range 5 {
		if d := guess(t, l, a, byte(i)); d.Verdict != throttle.Allow {
			t.Fatalf("guess %d: %v %v, want ALLOW", i+1, d.Verdict, d.Reasons)
		}
	}
	wait := 30 * time.Second
	for n := 6; n <= 100; n++ {
		d := guess(t, l, a, byte(n))
		if d.Verdict != throttle.Delay || d.RetryAfter != wait {
			t.Fatalf("guess %d: %v after %v, want DELAY of %v", n, d.Verdict, d.RetryAfter, wait)
		}
		c.step(wait - time.Millisecond)
		if d := guess(t, l, a, byte(n)); d.Verdict != throttle.Delay {
			t.Fatalf("guess %d a millisecond early: %v, want DELAY", n, d.Verdict)
		}
		c.step(time.Millisecond)
		if d := guess(t, l, a, byte(n)); d.Verdict != throttle.Allow {
			t.Fatalf("guess %d after its wait: %v %v, want ALLOW", n, d.Verdict, d.Reasons)
		}
		wait = min(2*wait, time.Hour)
	}
	for _, d := range []time.Duration{0, 24 * time.Hour, 366 * 24 * time.Hour} {
		c.step(d)
		got := guess(t, l, a, 200)
		if got.Verdict != throttle.Deny || !got.Closed {
			t.Fatalf("after 100 failures and %v: %v closed=%v, want DENY and closed", d, got.Verdict, got.Closed)
		}
	}
	if err := l.Reset(t.Context(), throttle.Query{Subject: a.Subject}); err != nil {
		t.Fatal(err)
	}
	if d := guess(t, l, a, 201); d.Verdict != throttle.Allow {
		t.Errorf("after Reset: %v, want ALLOW", d.Verdict)
	}
}

func TestProfiles(t *testing.T) {
	for _, p := range []struct {
		profile string
		free    int
	}{{"pci", 10}, {"mlps", 5}} {
		t.Run(p.profile, func(t *testing.T) {
			c := newClock()
			l := open(t, throttle.Config{Profile: p.profile, Now: c.now}, nil)
			a := throttle.Attempt{Subject: [16]byte{1}}
			for i := range p.free {
				if d := guess(t, l, a, byte(i)); d.Verdict != throttle.Allow {
					t.Fatalf("guess %d: %v, want ALLOW", i+1, d.Verdict)
				}
			}
			c.step(29 * time.Minute)
			if d := guess(t, l, a, 99); d.Verdict != throttle.Deny || d.RetryAfter != time.Minute {
				t.Errorf("after 29 minutes: %v for %v, want DENY for 1m", d.Verdict, d.RetryAfter)
			}
			c.step(time.Minute)
			if d := guess(t, l, a, 99); d.Verdict != throttle.Allow {
				t.Errorf("after 30 minutes: %v, want ALLOW", d.Verdict)
			}
		})
	}
	if _, err := throttle.New(throttle.Config{Profile: "none", Keys: testKeys}, nil); err == nil {
		t.Error("New took an unknown profile")
	}
}

// login begins with a tag and succeeds; it returns the device token.
func login(t testing.TB, l *throttle.Limiter, a throttle.Attempt) string {
	t.Helper()
	a.Tag = []byte("the right one")
	d := begin(t, l, a)
	if d.Verdict != throttle.Allow {
		t.Fatalf("right login: %v %v, want ALLOW", d.Verdict, d.Reasons)
	}
	return finish(t, l, d.Token, throttle.Success).DeviceToken
}

func TestStrangersCannotLockOutTheOwner(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	owner := throttle.Attempt{Subject: [16]byte{1}, IP: home}
	owner.Device = login(t, l, owner)
	stranger := throttle.Attempt{Subject: owner.Subject, IP: netip.MustParseAddr("198.51.100.1")}
	admitted := 0
	for i := range 200 {
		if guess(t, l, stranger, byte(i)).Verdict == throttle.Allow {
			admitted++
		}
	}
	if admitted != 5 {
		t.Errorf("%d guesses of strangers admitted, want 5", admitted)
	}
	d := begin(t, l, owner)
	if d.Verdict != throttle.Allow || !d.KnownDevice {
		t.Fatalf("owner on a known device: %v known=%v, want ALLOW", d.Verdict, d.KnownDevice)
	}
	finish(t, l, d.Token, throttle.Success)
	// The owner's success is no help to the strangers.
	if d := guess(t, l, stranger, 250); d.Verdict != throttle.Delay {
		t.Errorf("stranger after the owner's success: %v, want DELAY", d.Verdict)
	}
	// Ten of its own, then the device waits too.
	for i := range 10 {
		if d := guess(t, l, owner, byte(i)); d.Verdict != throttle.Allow {
			t.Fatalf("guess %d on the known device: %v, want ALLOW", i+1, d.Verdict)
		}
	}
	if d := guess(t, l, owner, 77); d.Verdict != throttle.Delay {
		t.Errorf("eleventh guess on the known device: %v, want DELAY", d.Verdict)
	}
}

func TestClosedWithoutAnyLaneLeft(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	owner := throttle.Attempt{Subject: [16]byte{1}}
	owner.Device = login(t, l, owner)
	drive := func(a throttle.Attempt) (closed bool) {
		for n := range 100 {
			c.step(time.Hour)
			d := begin(t, l, a) // without a tag: no two are taken for one
			if d.Verdict == throttle.Challenge {
				a.ChallengePassed = true
				d = begin(t, l, a)
			}
			if d.Verdict != throttle.Allow {
				t.Fatalf("guess %d: %v %v, want ALLOW", n+1, d.Verdict, d.Reasons)
			}
			if closed = finish(t, l, d.Token, throttle.BadSecret).Closed; closed && n < 99 {
				t.Fatalf("closed after %d failures", n+1)
			}
		}
		return closed
	}
	if drive(throttle.Attempt{Subject: owner.Subject}) {
		t.Error("closed for good although a known device has its own lane")
	}
	if d := begin(t, l, throttle.Attempt{Subject: owner.Subject}); d.Verdict != throttle.Deny || d.Closed {
		t.Errorf("unknown device: %v closed=%v, want DENY and a lane left", d.Verdict, d.Closed)
	}
	login(t, l, owner)
	if !drive(owner) {
		t.Error("not closed although no lane is left")
	}
	if d := begin(t, l, owner); d.Verdict != throttle.Deny || !d.Closed {
		t.Errorf("known device: %v closed=%v, want DENY and closed", d.Verdict, d.Closed)
	}
	if err := l.Reset(t.Context(), throttle.Query{Subject: owner.Subject}); err != nil {
		t.Fatal(err)
	}
	if n := l.Stats().Closed; n != 2 {
		t.Errorf("%d lanes are counted as closed, want 2", n)
	}
	login(t, l, owner)
	login(t, l, throttle.Attempt{Subject: owner.Subject})
	if drive(throttle.Attempt{Subject: owner.Subject}) {
		t.Error("closed for good although the known device's lane was opened again")
	}
}

func TestChannelsAreApart(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	a := throttle.Attempt{Subject: [16]byte{1}, Channel: throttle.OTP}
	for i := range 6 {
		guess(t, l, a, byte(i))
	}
	login(t, l, throttle.Attempt{Subject: a.Subject})
	if d := guess(t, l, a, 9); d.Verdict != throttle.Delay {
		t.Errorf("OTP after a right password: %v, want DELAY", d.Verdict)
	}
	a.Channel = throttle.ResetCode
	if d := guess(t, l, a, 9); d.Verdict != throttle.Allow {
		t.Errorf("reset code: %v, want ALLOW", d.Verdict)
	}
}

func TestRefusalsNeverExtendAWait(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	a := throttle.Attempt{Subject: [16]byte{1}, IP: home}
	for i := range 5 {
		guess(t, l, a, byte(i))
	}
	for range 29 {
		c.step(time.Second)
		for i := range 20 {
			if d := guess(t, l, a, byte(100+i)); d.Verdict != throttle.Delay {
				t.Fatalf("during the wait: %v, want DELAY", d.Verdict)
			}
		}
	}
	c.step(time.Second)
	if d := guess(t, l, a, 99); d.Verdict != throttle.Allow {
		t.Errorf("after 30 s: %v, want ALLOW", d.Verdict)
	}
	s, err := l.State(t.Context(), throttle.Query{IP: home})
	if err != nil || len(s.Addresses) == 0 || s.Addresses[0].Failures > 6 {
		t.Errorf("State = %+v, %v, want at most six failures on the address", s, err)
	}
}

func TestSameWrongPasswordIsOneGuess(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	a := throttle.Attempt{Subject: [16]byte{1}}
	for range 20 {
		if d := guess(t, l, a, 1); d.Verdict != throttle.Allow {
			t.Fatalf("the same wrong password again: %v %v, want ALLOW", d.Verdict, d.Reasons)
		}
	}
	if s := state(t, l, a.Subject); len(s.Lanes) != 1 || s.Lanes[0].Failures != 1 {
		t.Errorf("State = %+v, want one failure", s)
	}
	// The same guess is remembered for a day at most, and one after a hundred
	// costs time.
	admitted := 0
	for range 500 {
		if guess(t, l, a, 1).Verdict == throttle.Allow {
			admitted++
		}
	}
	if admitted > 100 {
		t.Errorf("%d repetitions admitted at once, want at most 100", admitted)
	}
	c.step(25 * time.Hour)
	guess(t, l, a, 1)
	if s := state(t, l, a.Subject); len(s.Lanes) != 1 || s.Lanes[0].Failures != 2 {
		t.Errorf("the same wrong password a day later: %+v, want two failures", s)
	}
}

// TestTenantLane: beyond a tenant's rate of failures its unknown devices, and
// nobody else, are asked for a challenge.
func TestTenantLane(t *testing.T) {
	c := newClock()
	rules, err := throttle.ProfileRules("nist")
	if err != nil {
		t.Fatal(err)
	}
	rules.Tenant = throttle.Rate{Burst: 10, Every: time.Minute}
	l := open(t, throttle.Config{Now: c.now, Rules: &rules}, nil)
	owner := throttle.Attempt{Tenant: "one", Subject: [16]byte{99}, Tag: []byte("right")}
	settle := func(d throttle.Decision, o throttle.Outcome) throttle.Result {
		t.Helper()
		if d.Verdict != throttle.Allow {
			t.Fatalf("%v %v, want ALLOW", d.Verdict, d.Reasons)
		}
		r, err := l.Finish(t.Context(), "one", d.Token, o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	// What is right, or was never tried, gives back what it booked.
	for range 20 {
		owner.Device = settle(begin(t, l, throttle.Attempt{Tenant: "one", Subject: owner.Subject, Tag: owner.Tag}), throttle.Success).DeviceToken
		settle(begin(t, l, throttle.Attempt{Tenant: "one", Subject: [16]byte{98}, Tag: []byte{1}}), throttle.Cancelled)
	}
	wrong := func(n int) throttle.Attempt {
		return throttle.Attempt{Tenant: "one", Subject: [16]byte{1, byte(n)}, Tag: []byte{byte(n)}}
	}
	for n := range 8 {
		settle(begin(t, l, wrong(n)), throttle.BadSecret)
	}
	// What is told afterwards counts too, if it was wrong.
	for n, o := range []throttle.Outcome{throttle.Success, throttle.Cancelled, throttle.BadSecret, throttle.SecondFactorFailed} {
		settle(begin(t, l, wrong(20+n)), throttle.Cancelled)
		if _, err := l.Report(t.Context(), wrong(30+n), o); err != nil {
			t.Fatal(err)
		}
	}
	d := begin(t, l, wrong(10))
	if d.Verdict != throttle.Challenge || !slices.Equal(d.Reasons, []string{"TENANT_RATE"}) {
		t.Errorf("the eleventh failure: %v %v, want CHALLENGE for TENANT_RATE", d.Verdict, d.Reasons)
	}
	passed := wrong(11)
	passed.ChallengePassed = true
	for name, a := range map[string]throttle.Attempt{
		"after a challenge": passed, "a known device": owner, "another tenant": {Tenant: "two", Subject: [16]byte{1}},
	} {
		if d := begin(t, l, a); d.Verdict != throttle.Allow {
			t.Errorf("%s: %v %v, want ALLOW", name, d.Verdict, d.Reasons)
		}
	}
	c.step(2 * time.Minute)
	if d := begin(t, l, wrong(12)); d.Verdict != throttle.Allow {
		t.Errorf("two minutes later: %v %v, want ALLOW", d.Verdict, d.Reasons)
	}
	// A clock that goes back neither frees the lane nor holds it for longer.
	for n := range 10 {
		if _, err := l.Report(t.Context(), wrong(40+n), throttle.BadSecret); err != nil {
			t.Fatal(err)
		}
	}
	c.step(-time.Hour)
	if d := begin(t, l, wrong(13)); d.Verdict != throttle.Challenge {
		t.Errorf("an hour before: %v %v, want CHALLENGE", d.Verdict, d.Reasons)
	}
	c.step(2 * time.Minute)
	if d := begin(t, l, wrong(14)); d.Verdict != throttle.Allow {
		t.Errorf("two minutes after that: %v %v, want ALLOW", d.Verdict, d.Reasons)
	}
}

func state(t testing.TB, l *throttle.Limiter, subject [16]byte) throttle.State {
	t.Helper()
	s, err := l.State(t.Context(), throttle.Query{Subject: subject})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOwnSuccessRefundsNobodyElse(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	mine := throttle.Attempt{Subject: [16]byte{99}, IP: home}
	admitted := 0
	for i := range 300 {
		victim := throttle.Attempt{Subject: [16]byte{1, byte(i), byte(i >> 8)}, IP: home}
		if guess(t, l, victim, 1).Verdict == throttle.Allow {
			admitted++
		}
		mine.Tag = []byte("mine")
		if d := begin(t, l, mine); d.Verdict == throttle.Allow {
			finish(t, l, d.Token, throttle.Success)
		}
	}
	if admitted > 30 {
		t.Errorf("%d guesses from one address between own successes, want at most 30", admitted)
	}
}

func TestOutcomesInAllOrders(t *testing.T) {
	for _, x := range []struct {
		name     string
		outcomes []throttle.Outcome // of attempts with one tag that run at once
		want     int                // failures left
	}{
		{"right", []throttle.Outcome{throttle.Success, throttle.Success}, 0},
		{"wrong", []throttle.Outcome{throttle.BadSecret, throttle.BadSecret}, 1},
		{"cancelled", []throttle.Outcome{throttle.Cancelled, throttle.Cancelled}, 0},
		{"one cancelled, one wrong", []throttle.Outcome{throttle.Cancelled, throttle.BadSecret}, 1},
		{"one wrong, one cancelled", []throttle.Outcome{throttle.BadSecret, throttle.Cancelled}, 1},
		{"one cancelled, one silent", []throttle.Outcome{throttle.Cancelled, 0}, 1},
		{"right, then the password changed", []throttle.Outcome{throttle.Success, throttle.BadSecret}, 1},
		{"wrong, then the password changed", []throttle.Outcome{throttle.BadSecret, throttle.Success}, 0},
		{"second factor", []throttle.Outcome{throttle.SecondFactorFailed}, 1},
		{"silence", []throttle.Outcome{0}, 1},
	} {
		for _, tagged := range []bool{true, false} {
			if !tagged && len(x.outcomes) > 1 {
				continue
			}
			c := newClock()
			l := open(t, throttle.Config{Now: c.now}, nil)
			a := throttle.Attempt{Subject: [16]byte{1}, IP: home}
			if tagged {
				a.Tag = []byte{1}
			}
			var tokens []string
			for range x.outcomes {
				d := begin(t, l, a)
				if d.Verdict != throttle.Allow {
					t.Fatalf("%s: %v %v, want ALLOW", x.name, d.Verdict, d.Reasons)
				}
				tokens = append(tokens, d.Token)
			}
			for i, o := range x.outcomes {
				if o != 0 {
					finish(t, l, tokens[i], o)
				}
			}
			c.step(2 * time.Minute)
			got := 0
			if s := state(t, l, a.Subject); len(s.Lanes) > 0 {
				got = s.Lanes[0].Failures
			}
			if got != x.want {
				t.Errorf("%s (tagged %v): %d failures, want %d", x.name, tagged, got, x.want)
			}
		}
	}
}

func TestThirtyTwoRightLoginsAtOnce(t *testing.T) {
	for _, failures := range []int{0, 4, 5} {
		c := newClock()
		l := open(t, throttle.Config{Now: c.now}, nil)
		a := throttle.Attempt{Subject: [16]byte{1}, IP: home}
		for i := range failures {
			guess(t, l, a, byte(i))
		}
		c.step(time.Minute)
		a.Tag = []byte("right")
		var tokens []string
		for i := range 32 {
			d := begin(t, l, a)
			if d.Verdict != throttle.Allow {
				t.Fatalf("after %d failures, login %d of 32: %v %v, want ALLOW", failures, i+1, d.Verdict, d.Reasons)
			}
			tokens = append(tokens, d.Token)
		}
		for _, token := range tokens {
			finish(t, l, token, throttle.Success)
		}
		if s := state(t, l, a.Subject); len(s.Lanes) != 0 {
			t.Errorf("after 32 right logins: %+v, want nothing held against them", s.Lanes)
		}
		if s, _ := l.State(t.Context(), throttle.Query{IP: home}); len(s.Addresses) > 0 && s.Addresses[0].Failures > failures {
			t.Errorf("after 32 right logins the address has %+v", s.Addresses)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	admit := func(name string, tries, want int, addresses func(i int) netip.Addr) {
		t.Helper()
		c := newClock()
		l := open(t, throttle.Config{Now: c.now}, nil)
		admitted := 0
		for i := range tries {
			a := throttle.Attempt{Subject: [16]byte{1, byte(i), byte(i >> 8)}, IP: addresses(i), ChallengePassed: true}
			if guess(t, l, a, 1).Verdict == throttle.Allow {
				admitted++
			}
		}
		if admitted != want {
			t.Errorf("%s: %d guesses admitted, want %d", name, admitted, want)
		}
	}
	v6 := func(a [16]byte) netip.Addr { return netip.AddrFrom16(a) }
	admit("65,536 addresses of one /64", 65536, 30, func(i int) netip.Addr {
		return v6([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
	})
	admit("256 /64 of one /56", 1024, 60, func(i int) netip.Addr {
		return v6([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(i), 15: byte(i >> 8)})
	})
	admit("4,096 /64 of one /48", 4096, 120, func(i int) netip.Addr {
		return v6([16]byte{0x20, 1, 0xd, 0xb8, 6: byte(i), 7: byte(i >> 8)})
	})
	admit("256 addresses of one /24", 1024, 120, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) })
	admit("one address in five spellings", 500, 30, func(i int) netip.Addr {
		return []netip.Addr{
			home, netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("::ffff:192.0.2.7%eth0"),
			netip.MustParseAddr("::ffff:c000:207"), home,
		}[i%5]
	})
	admit("zones of one address", 500, 30, func(i int) netip.Addr {
		return netip.MustParseAddr("fe80::1").WithZone(string(rune('a' + i%26)))
	})
	admit("no address", 2000, 2000, func(int) netip.Addr { return netip.Addr{} })
}

func TestTokensThatAreNotValid(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	a := throttle.Attempt{Tenant: "one", Subject: [16]byte{1}, Tag: []byte{1}}
	d := begin(t, l, a)
	try := func(name, tenant, token string, o throttle.Outcome) {
		t.Helper()
		if _, err := l.Finish(t.Context(), tenant, token, o); err == nil {
			t.Errorf("%s: Finish took it", name)
		}
	}
	try("another tenant", "two", d.Token, throttle.Success)
	try("empty", "one", "", throttle.Success)
	try("cut", "one", d.Token[:len(d.Token)-1], throttle.Success)
	try("longer", "one", d.Token+"A", throttle.Success)
	for i := range d.Token {
		b := []byte(d.Token)
		if b[i] ^= 1; b[i] == '.' || b[i] == '^' {
			continue
		}
		try("one bit", "one", string(b), throttle.Success)
	}
	try("no outcome", "one", d.Token, 0)
	try("an outcome there is not", "one", d.Token, throttle.Cancelled+1)
	try("a tenant's name that is too long", string(make([]byte, 256)), d.Token, throttle.Success)
	other := open(t, throttle.Config{Now: c.now, Keys: throttle.Keys{Names: testKeys.Names, Tokens: [][]byte{bytes.Repeat([]byte{9}, 32)}}}, nil)
	if _, err := other.Finish(t.Context(), "one", d.Token, throttle.Success); err == nil {
		t.Error("a token under another key was taken")
	}
	// Settled once; the same again is no second success, another outcome is refused.
	first, err := l.Finish(t.Context(), "one", d.Token, throttle.Success)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		wrong := throttle.Attempt{Tenant: "one", Subject: a.Subject, Tag: []byte{byte(10 + i)}}
		if _, err := l.Report(t.Context(), wrong, throttle.BadSecret); err != nil {
			t.Fatal(err)
		}
	}
	again, err := l.Finish(t.Context(), "one", d.Token, throttle.Success)
	if err != nil || again.DeviceToken != first.DeviceToken {
		t.Errorf("repeated Finish = %v, %v, want the same device token", again, err)
	}
	if n := l.Stats().Outcomes[throttle.Success]; n != 1 {
		t.Errorf("a success that was told twice is counted %d times", n)
	}
	try("another outcome", "one", d.Token, throttle.BadSecret)
	if s, _ := l.State(t.Context(), throttle.Query{Tenant: "one", Subject: a.Subject}); len(s.Lanes) != 1 || s.Lanes[0].Failures != 3 {
		t.Errorf("a repeated success changed the lane: %+v", s)
	}
	late := begin(t, l, throttle.Attempt{Tenant: "one", Subject: [16]byte{2}})
	c.step(time.Minute)
	try("expired", "one", late.Token, throttle.Success)
	if s, _ := l.State(t.Context(), throttle.Query{Tenant: "one", Subject: [16]byte{2}}); len(s.Lanes) != 1 || s.Lanes[0].Failures != 1 {
		t.Errorf("silence: %+v, want one failure", s)
	}
}

func TestDeviceTokens(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	a := throttle.Attempt{Tenant: "one", Subject: [16]byte{1}, Tag: []byte{1}}
	issue := func(a throttle.Attempt) string {
		t.Helper()
		d := begin(t, l, a)
		r, err := l.Finish(t.Context(), a.Tenant, d.Token, throttle.Success)
		if err != nil || r.DeviceToken == "" {
			t.Fatalf("Finish = %+v, %v, want a device token", r, err)
		}
		return r.DeviceToken
	}
	known := func(tenant string, subject byte, device string) bool {
		t.Helper()
		d := begin(t, l, throttle.Attempt{Tenant: tenant, Subject: [16]byte{subject}, Device: device, Tag: []byte{1}})
		if d.Verdict == throttle.Allow {
			if _, err := l.Finish(t.Context(), tenant, d.Token, throttle.Cancelled); err != nil {
				t.Fatal(err)
			}
		}
		return d.KnownDevice
	}
	token := issue(a)
	forged := "x" + token[1:]
	if forged == token {
		forged = "y" + token[1:]
	}
	if !known("one", 1, token) {
		t.Error("own token unknown")
	}
	if known("two", 1, token) || known("one", 2, token) || known("one", 1, token[1:]) || known("one", 1, forged) {
		t.Error("a token of another tenant or subject, or a forged one, is known")
	}
	a.Device = token
	if again := issue(a); !known("one", 1, again) || !known("one", 1, token) {
		t.Error("token renewed by a known device, or the one before it, is unknown")
	}
	d := begin(t, l, a)
	for range 2 { // the answer may have been lost
		if r, err := l.Finish(t.Context(), "one", d.Token, throttle.Success); err != nil || r.DeviceToken != token {
			t.Errorf("a success of a known device, told again: %+v, %v, want its own token", r, err)
		}
	}
	if err := l.RevokeDevices(t.Context(), "one", a.Subject); err != nil {
		t.Fatal(err)
	}
	if known("one", 1, token) {
		t.Error("revoked token still known")
	}
	fresh := issue(a)
	if known("one", 1, token) || !known("one", 1, fresh) {
		t.Error("a login with a revoked token brought the token back, or was not given a new one")
	}
	if extra, err := l.IssueDevice(t.Context(), "one", a.Subject); err != nil || !known("one", 1, extra) {
		t.Errorf("IssueDevice: %v, unknown afterwards", err)
	}
	// Eight devices are remembered; the ninth displaces one.
	var tokens []string
	for range 9 {
		c.step(24 * time.Hour)
		tokens = append(tokens, issue(throttle.Attempt{Tenant: "one", Subject: [16]byte{3}, Tag: []byte{1}}))
	}
	for i, token := range tokens {
		if got := known("one", 3, token); got != (i > 0) {
			t.Errorf("device %d of 9 known: %v", i+1, got)
		}
	}
	c.step(181 * 24 * time.Hour)
	if known("one", 3, tokens[8]) {
		t.Error("token known after 181 days")
	}
	// Whoever has a code to reset a password with has shown no device, and where the
	// rules know no devices there are none.
	a = throttle.Attempt{Tenant: "one", Subject: [16]byte{4}, Channel: throttle.ResetCode, Tag: []byte{1}}
	if r, err := l.Finish(t.Context(), "one", begin(t, l, a).Token, throttle.Success); err != nil || r.DeviceToken != "" {
		t.Errorf("a success with a reset code: %+v, %v", r, err)
	}
	rules, err := throttle.ProfileRules("nist")
	if err != nil {
		t.Fatal(err)
	}
	rules.NoDevices = true
	l = open(t, throttle.Config{Now: c.now, Rules: &rules}, nil)
	a.Channel = throttle.Password
	if r, err := l.Finish(t.Context(), "one", begin(t, l, a).Token, throttle.Success); err != nil || r.DeviceToken != "" {
		t.Errorf("a success without devices: %+v, %v", r, err)
	}
}

// seen is a store that keeps what it was last asked.
type seen struct {
	throttle.Store
	last    throttle.Request
	grant   throttle.Grant
	settled throttle.Settlement
}

func (s *seen) Settle(ctx context.Context, x *throttle.Settlement) (throttle.Settled, error) {
	s.settled = *x
	return s.Store.Settle(ctx, x)
}

func (s *seen) Begin(ctx context.Context, r *throttle.Request) (throttle.Grant, error) {
	s.last = *r
	g, err := s.Store.Begin(ctx, r)
	s.grant = g
	return g, err
}

// TestTokenCarriesTheAttempt: what an attempt was charged on is what its outcome
// is booked on, for a stranger and on a known device, from every sort of address.
func TestTokenCarriesTheAttempt(t *testing.T) {
	c := newClock()
	s := &seen{Store: memory(t)}
	l := open(t, throttle.Config{Now: c.now}, s)
	a := throttle.Attempt{Subject: [16]byte{1}, Channel: throttle.OTP}
	device := finish(t, l, begin(t, l, a).Token, throttle.Success).DeviceToken
	for _, ip := range []netip.Addr{{}, home, netip.MustParseAddr("2001:db8:1:2:3::4")} {
		for _, tag := range [][]byte{nil, {1, 2, 3}} {
			for _, a.Device = range []string{"", device} {
				a.IP, a.Tag = ip, tag
				finish(t, l, begin(t, l, a).Token, throttle.Cancelled)
				want := throttle.Settlement{
					Lanes: s.last.Lanes, Now: s.last.Now, Nonce: s.settled.Nonce, At: s.grant.At, Kind: s.grant.Kind,
					Tag: s.grant.Tag, Tagged: s.grant.Tagged, OnList: s.grant.Known, Outcome: throttle.Cancelled,
				}
				if d := cmp.Diff(want, s.settled); d != "" {
					t.Errorf("from %v, known %v (-charged +settled):\n%s", ip, a.Device != "", d)
				}
			}
		}
	}
}

// TestWhatNamesAreMadeOf: nobody without the key can name a lane or tell a guess by
// its tag, tenants share none, and a guess cannot be followed over days or from one
// subject to another. Lanes are found again after an upgrade, since they are named
// as they always were.
func TestWhatNamesAreMadeOf(t *testing.T) {
	type question struct {
		keys throttle.Keys
		a    throttle.Attempt
		days int
	}
	ask := func(q question) map[string]string {
		t.Helper()
		c := newClock()
		c.step(time.Duration(q.days) * 24 * time.Hour)
		s := &seen{Store: memory(t)}
		l := open(t, throttle.Config{Now: c.now, Keys: q.keys}, s)
		begin(t, l, q.a)
		names := map[string]string{
			"subject": fmt.Sprintf("%x", s.last.Subject), "pair": fmt.Sprintf("%x", s.last.Pair), "tag": fmt.Sprintf("%04x", s.last.Tag),
		}
		for i, n := range s.last.Address {
			if n != (throttle.Name{}) {
				names[[]string{"near", "middle", "far"}[i]] = fmt.Sprintf("%x", n)
			}
		}
		return names
	}
	base := question{keys: testKeys, a: throttle.Attempt{
		Tenant: "one", Subject: [16]byte{1}, IP: netip.MustParseAddr("2001:db8:1:2:3::4"), Tag: []byte{1, 2, 3},
	}}
	always := ask(base)
	then := map[string]string{
		"subject": "7daa29ea3714a7a8a152b1cacc494c7d",
		"pair":    "eedf81c24ab369c08b7979291f188016",
		"near":    "569baacea442faf9a42a1c96aca0db88",
		"middle":  "fdc50cf47720131cc6af4ccec93db562",
		"far":     "703d78ac95fba907e94ba5dd2d95085b",
		"tag":     "9514",
	}
	if d := cmp.Diff(then, always); d != "" {
		t.Errorf("names are not what they were (-then +now):\n%s", d)
	}
	for what, c := range map[string]struct {
		change func(q *question)
		moves  string
	}{
		"nothing":           {func(*question) {}, ""},
		"the token key":     {func(q *question) { q.keys.Tokens = nil }, ""},
		"the name key":      {func(q *question) { q.keys.Names = bytes.Repeat([]byte{6}, 32) }, "far middle near pair subject tag"},
		"the tenant":        {func(q *question) { q.a.Tenant = "two" }, "far middle near pair subject tag"},
		"the subject":       {func(q *question) { q.a.Subject[15] = 1 }, "pair subject tag"},
		"the channel":       {func(q *question) { q.a.Channel = throttle.ResetCode }, "pair tag"},
		"the guess":         {func(q *question) { q.a.Tag = []byte{1, 2, 4} }, "tag"},
		"a longer guess":    {func(q *question) { q.a.Tag = []byte{1, 2, 3, 0} }, "tag"},
		"the day":           {func(q *question) { q.days = 1 }, "tag"},
		"the host":          {func(q *question) { q.a.IP = netip.MustParseAddr("2001:db8:1:2:5::6") }, ""},
		"the network":       {func(q *question) { q.a.IP = netip.MustParseAddr("2001:db8:1:3:3::4") }, "near pair"},
		"the wider network": {func(q *question) { q.a.IP = netip.MustParseAddr("2001:db8:1:102:3::4") }, "middle near pair"},
		"the widest":        {func(q *question) { q.a.IP = netip.MustParseAddr("2001:db8:2:2:3::4") }, "far middle near pair"},
		"an IPv4 address":   {func(q *question) { q.a.IP = home }, "far middle near pair"},
	} {
		q := base
		c.change(&q)
		var moved []string
		now := ask(q)
		for name, was := range always {
			if now[name] != was {
				moved = append(moved, name)
			}
		}
		slices.Sort(moved)
		if got := strings.Join(moved, " "); got != c.moves {
			t.Errorf("%s: another name for %q, want %q", what, got, c.moves)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	for what, c := range map[string]struct {
		change func(c *throttle.Config)
		good   bool
	}{
		"as it is":             {func(*throttle.Config) {}, true},
		"no such profile":      {func(c *throttle.Config) { c.Profile = "none" }, false},
		"a short name key":     {func(c *throttle.Config) { c.Keys.Names = key[1:] }, false},
		"a short token key":    {func(c *throttle.Config) { c.Keys.Tokens = [][]byte{key, key[1:]} }, false},
		"eight token keys":     {func(c *throttle.Config) { c.Keys.Tokens = slices.Repeat([][]byte{key}, 8) }, true},
		"nine token keys":      {func(c *throttle.Config) { c.Keys.Tokens = slices.Repeat([][]byte{key}, 9) }, false},
		"less than no servers": {func(c *throttle.Config) { c.Nodes = -1 }, false},
		"a thousand servers":   {func(c *throttle.Config) { c.Nodes = 1000 }, true},
		"more than that":       {func(c *throttle.Config) { c.Nodes = 1001 }, false},
		"devices for a day":    {func(c *throttle.Config) { c.DeviceLife = 24 * time.Hour }, true},
		"devices for less":     {func(c *throttle.Config) { c.DeviceLife = 24*time.Hour - 1 }, false},
		"devices for 400 days": {func(c *throttle.Config) { c.DeviceLife = 400 * 24 * time.Hour }, true},
		"devices for longer":   {func(c *throttle.Config) { c.DeviceLife = 400*24*time.Hour + 1 }, false},
		"room for 1024":        {func(c *throttle.Config) { c.Memory.Subjects = 1024 }, true},
		"room for fewer":       {func(c *throttle.Config) { c.Memory.Subjects = 1023 }, false},
		"room for too many":    {func(c *throttle.Config) { c.Memory.Subjects = 1<<28 + 1 }, false},
		"written every 10 ms":  {func(c *throttle.Config) { c.Memory.Flush = 10 * time.Millisecond }, true},
		"written more often":   {func(c *throttle.Config) { c.Memory.Flush = 10*time.Millisecond - 1 }, false},
		"written every 10 s":   {func(c *throttle.Config) { c.Memory.Flush = 10 * time.Second }, true},
		"written less often":   {func(c *throttle.Config) { c.Memory.Flush = 10*time.Second + 1 }, false},
	} {
		cfg := throttle.Config{Keys: throttle.Keys{Names: key}, Memory: throttle.MemoryConfig{Subjects: 1024}}
		c.change(&cfg)
		l, err := throttle.New(cfg, nil)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			l.Close()
		}
	}
}

func TestBadAttempts(t *testing.T) {
	l := open(t, throttle.Config{}, nil)
	for _, a := range []throttle.Attempt{
		{Tenant: string(make([]byte, 256))}, {Tag: make([]byte, 33)}, {Channel: 3}, {Channel: 255},
	} {
		if _, err := l.Begin(t.Context(), a); err == nil {
			t.Errorf("Begin took %+v", a)
		}
		if _, err := l.Report(t.Context(), a, throttle.BadSecret); err == nil {
			t.Errorf("Report took %+v", a)
		}
	}
	for _, o := range []throttle.Outcome{0, throttle.Cancelled + 1} {
		if _, err := l.Report(t.Context(), throttle.Attempt{}, o); err == nil {
			t.Errorf("Report took the outcome %d", o)
		}
	}
	if d := begin(t, l, throttle.Attempt{Tenant: string(make([]byte, 255)), Tag: make([]byte, 32)}); d.Verdict != throttle.Allow {
		t.Errorf("names and tags of full length: %v", d.Verdict)
	}
	for _, hostile := range []string{"\x00", "ww:{a}", "../..", "🙂", "a\nb", string(bytes.Repeat([]byte{0xff}, 255))} {
		if d := begin(t, l, throttle.Attempt{Tenant: hostile, Device: hostile}); d.Verdict != throttle.Allow || d.KnownDevice {
			t.Errorf("tenant and device token %q: %v known=%v", hostile, d.Verdict, d.KnownDevice)
		}
	}
}

func TestReport(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	a := throttle.Attempt{Subject: [16]byte{1}, IP: home}
	for i := range 10 { // each twice, which is no other guess
		a.Tag = []byte{byte(i / 2)}
		if _, err := l.Report(t.Context(), a, throttle.BadSecret); err != nil {
			t.Fatal(err)
		}
	}
	if s := state(t, l, a.Subject); len(s.Lanes) != 1 || s.Lanes[0].Failures != 5 {
		t.Errorf("five wrong guesses, each reported twice: %+v", s.Lanes)
	}
	if d := guess(t, l, a, 99); d.Verdict != throttle.Delay {
		t.Errorf("after five reported failures: %v, want DELAY", d.Verdict)
	}
	r, err := l.Report(t.Context(), a, throttle.Success)
	if err != nil || r.DeviceToken == "" || len(r.Notify) != 1 || r.Notify[0] != throttle.NotifyAfterFailures {
		t.Errorf("Report of a success = %+v, %v", r, err)
	}
	if d := guess(t, l, a, 99); d.Verdict != throttle.Allow {
		t.Errorf("after a reported success: %v, want ALLOW", d.Verdict)
	}
	if r, err := l.Report(t.Context(), a, throttle.Success); err != nil || len(r.Notify) != 0 {
		t.Errorf("Report of a success after one failure = %+v, %v, want nothing to tell", r, err)
	}
}

func TestStats(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	for i := range 7 {
		guess(t, l, throttle.Attempt{Subject: [16]byte{1}}, byte(i))
	}
	login(t, l, throttle.Attempt{Subject: [16]byte{2}})
	s := l.Stats()
	if s.Verdicts["ALLOW"] != 6 || s.Verdicts["DELAY"] != 2 || s.Reasons["LANE_WAITS"] != 2 ||
		s.Outcomes[throttle.BadSecret] != 5 || s.Outcomes[throttle.Success] != 1 || s.Degraded {
		t.Errorf("Stats = %+v", s)
	}
}

func TestSlowBudgetOutlivesSuccess(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	a := throttle.Attempt{Subject: [16]byte{1}}
	guesses := 0
	for range 28 { // days on which the owner logs in from a device that keeps no token
		for i := range 5 {
			if guess(t, l, a, byte(i)).Verdict == throttle.Allow {
				guesses++
			}
		}
		c.step(24 * time.Hour)
		a.ChallengePassed = true
		login(t, l, a)
		a.ChallengePassed = false
	}
	if guesses < 100 || guesses > 100+28*24*60/432+1 {
		t.Errorf("%d guesses in 28 days of daily logins, want at most 100 and one every 7.2 hours", guesses)
	}
}

var long = flag.Bool("watchword.long", os.Getenv("WATCHWORD_LONG") != "", "run the long tests")

// A table that the same few lanes come to again and again has not grown full:
// on huge pages it would take all of its memory.
func TestHugePagesWhenTaken(t *testing.T) {
	const share = 1 << 21 / 256 / 32
	if n := throttle.HugePages(share/4, 100); n != 0 {
		t.Errorf("put on huge pages %d times with a quarter of the share that it takes", n)
	}
	if n := throttle.HugePages(2*share, 100); n != 1 {
		t.Errorf("put on huge pages %d times with twice that share, want once", n)
	}
}

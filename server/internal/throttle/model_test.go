// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

// The ladder again, told as slowly and plainly as possible: a list of guesses
// with the time each was charged.
type slowLane struct {
	charged []slowGuess // since the last success or reset
	closed  bool
}

type slowGuess struct {
	at    time.Time
	open  bool // the outcome is awaited
	token string
}

func (s *slowLane) wait(n int) time.Duration {
	if n < 5 {
		return 0
	}
	w := 30 * time.Second
	for range n - 5 {
		w = min(2*w, time.Hour)
	}
	return w
}

// may says what a new guess that nobody has tried before gets.
func (s *slowLane) may(now time.Time) throttle.Verdict {
	if s.closed {
		return throttle.Deny
	}
	var last time.Time
	for _, g := range s.charged {
		if g.at.After(last) {
			last = g.at
		}
	}
	if n := len(s.charged); n > 0 && now.Before(last.Add(s.wait(n))) {
		return throttle.Delay
	}
	open := 0
	for _, g := range s.charged {
		if g.open {
			open++
		}
	}
	if open == 10 || len(s.charged) >= 20 {
		return throttle.Delay
	}
	return throttle.Allow
}

func (s *slowLane) expire(now time.Time) {
	for i := range s.charged {
		if g := &s.charged[i]; g.open && !now.Before(g.at.Add(time.Minute)) {
			g.open = false
		}
	}
	wrong := 0
	for _, g := range s.charged {
		if !g.open {
			wrong++
		}
	}
	s.closed = s.closed || wrong >= 20
}

func TestLadderAgreesWithSlowModel(t *testing.T) {
	t.Parallel()
	rules, err := throttle.ProfileRules("nist")
	if err != nil {
		t.Fatal(err)
	}
	for c := range rules.Unknown {
		rules.Unknown[c].Close = 20
	}
	rules.Slow = throttle.Rate{}
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		l, err := throttle.New(throttle.Config{Rules: &rules, Keys: testKeys, Now: c.now, Memory: throttle.MemoryConfig{Subjects: 1024}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var m slowLane
		a := throttle.Attempt{Subject: [16]byte{1}, ChallengePassed: true}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				st, err := l.State(t.Context(), throttle.Query{Subject: a.Subject})
				if err != nil {
					t.Fatal(err)
				}
				failures, closed := 0, false
				if len(st.Lanes) > 0 {
					failures, closed = st.Lanes[0].Failures, st.Lanes[0].Closed
				}
				if failures != len(m.charged) || closed != m.closed {
					t.Fatalf("%d failures, closed=%v; the model has %d, %v", failures, closed, len(m.charged), m.closed)
				}
			},
			"wait": func(t *rapid.T) {
				c.step(rapid.SampledFrom([]time.Duration{
					time.Millisecond, time.Second, 29 * time.Second, 30 * time.Second, time.Minute, time.Hour,
				}).Draw(t, "d"))
				m.expire(c.now())
			},
			"guess": func(t *rapid.T) {
				d, err := l.Begin(t.Context(), a)
				if err != nil {
					t.Fatal(err)
				}
				if want := m.may(c.now()); d.Verdict != want {
					t.Fatalf("a new guess after %d failures: %v %v, want %v", len(m.charged), d.Verdict, d.Reasons, want)
				}
				if d.Verdict == throttle.Allow {
					m.charged = append(m.charged, slowGuess{c.now(), true, d.Token})
				}
			},
			"settle": func(t *rapid.T) {
				var open []int
				for i, g := range m.charged {
					if g.open {
						open = append(open, i)
					}
				}
				if len(open) == 0 {
					t.Skip("nothing is awaited")
				}
				i := rapid.SampledFrom(open).Draw(t, "which")
				o := rapid.SampledFrom([]throttle.Outcome{
					throttle.BadSecret, throttle.BadSecret, throttle.BadSecret, throttle.SecondFactorFailed, throttle.Cancelled, throttle.Success,
				}).Draw(t, "outcome")
				if _, err := l.Finish(t.Context(), "", m.charged[i].token, o); err != nil {
					t.Fatal(err)
				}
				g := m.charged[i]
				switch o {
				case throttle.Cancelled:
					m.charged = append(m.charged[:i:i], m.charged[i+1:]...)
				case throttle.Success:
					var rest []slowGuess
					for _, x := range m.charged {
						if x.open && x.token != g.token || m.closed && x.token != g.token {
							rest = append(rest, x)
						}
					}
					m.charged = rest
				default:
					m.charged[i].open = false
				}
				m.expire(c.now())
			},
			"reset": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
					t.Skip("not now")
				}
				if err := l.Reset(t.Context(), throttle.Query{Subject: a.Subject}); err != nil {
					t.Fatal(err)
				}
				m = slowLane{}
			},
		})
	})
}

// TestRateBound holds the address lanes to what a GCRA promises: in any window
// w at most burst + w/interval.
func TestRateBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		l, err := throttle.New(throttle.Config{Keys: testKeys, Now: c.now, Memory: throttle.MemoryConfig{Subjects: 1 << 12}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var admitted []time.Time
		n := 0
		for range rapid.IntRange(1, 40).Draw(t, "bursts") {
			for range rapid.IntRange(0, 50).Draw(t, "tries") {
				n++
				a := throttle.Attempt{Subject: subject(n), IP: home, Tag: []byte{1}, ChallengePassed: true}
				d, err := l.Begin(t.Context(), a)
				if err != nil {
					t.Fatal(err)
				}
				if d.Verdict == throttle.Allow {
					admitted = append(admitted, c.now())
				}
			}
			c.step(time.Duration(rapid.IntRange(0, 120_000).Draw(t, "ms")) * time.Millisecond)
		}
		for i := range admitted {
			for j := i; j < len(admitted); j++ {
				w := admitted[j].Sub(admitted[i])
				if got, most := j-i+1, 30+int(w/(20*time.Second)); got > most {
					t.Fatalf("%d failures admitted in %v, want at most %d", got, w, most)
				}
			}
		}
	})
}

// TestAWeekOfHammering lets strangers from a thousand prefixes hammer one
// account for a simulated week while its owner logs in every hour.
func TestAWeekOfHammering(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	owner := throttle.Attempt{Subject: subject(1), IP: home}
	owner.Device = login(t, l, owner)
	guesses, refusedOwner, tries := 0, 0, 0
	for hour := range 7 * 24 {
		for minute := range 60 {
			for k := range 5 {
				tries++
				n := (hour*300 + minute*5 + k) % 1000
				a := throttle.Attempt{
					Subject: owner.Subject, IP: netip.AddrFrom4([4]byte{100, byte(n >> 8), byte(n), 9}),
					Tag: fmt.Append(nil, tries), ChallengePassed: true,
				}
				d := begin(t, l, a)
				if d.Verdict == throttle.Allow {
					guesses++
					finish(t, l, d.Token, throttle.BadSecret)
				}
			}
			c.step(time.Minute)
		}
		owner.Tag = []byte("right")
		if d := begin(t, l, owner); d.Verdict != throttle.Allow {
			refusedOwner++
		} else {
			owner.Device = finish(t, l, d.Token, throttle.Success).DeviceToken
		}
	}
	t.Logf("%d tries of strangers, %d reached the hash; the owner was refused %d of %d times", tries, guesses, refusedOwner, 7*24)
	if guesses > 100 {
		t.Errorf("%d distinct guesses in a week, want at most 100", guesses)
	}
	if refusedOwner > 0 {
		t.Errorf("the owner was refused %d times", refusedOwner)
	}
	// The same without device tokens is what locking out looks like.
	if d := begin(t, l, throttle.Attempt{Subject: owner.Subject, IP: home}); d.Verdict != throttle.Deny {
		t.Errorf("an unknown device after a week of hammering: %v, want DENY", d.Verdict)
	}
}

func TestSignals(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	heard := l.Signals(t.Context())
	kinds := func() map[throttle.SignalKind]throttle.Signal {
		all := make(map[throttle.SignalKind]throttle.Signal)
		for {
			select {
			case s := <-heard:
				all[s.Kind] = s
			default:
				return all
			}
		}
	}
	// Ordinary life: many subjects behind one address, one typo in five.
	for n := range 400 {
		a := throttle.Attempt{Subject: subject(n), IP: home, ChallengePassed: true}
		a.Tag = fmt.Append(nil, "typo", n)
		if n%5 == 0 {
			if d := begin(t, l, a); d.Verdict == throttle.Allow {
				finish(t, l, d.Token, throttle.BadSecret)
			}
		}
		a.Tag = fmt.Append(nil, "right", n)
		if d := begin(t, l, a); d.Verdict == throttle.Allow {
			finish(t, l, d.Token, throttle.Success)
		}
		c.step(2 * time.Second)
	}
	if got := kinds(); len(got) > 0 {
		t.Errorf("ordinary logins brought %v", got)
	}
	// Spray: one guess at many subjects, each from another network.
	refused := 0
	for n := range 200 {
		a := throttle.Attempt{Subject: subject(1000 + n), IP: netip.AddrFrom4([4]byte{byte(n), 1, 1, 1}), Tag: []byte("Summer2026")}
		if d := begin(t, l, a); d.Verdict == throttle.Allow {
			finish(t, l, d.Token, throttle.BadSecret)
		} else if d.Verdict == throttle.Challenge && len(d.Reasons) == 1 && d.Reasons[0] == "SPRAY" {
			refused++
		} else {
			t.Fatalf("spray %d: %v %v", n, d.Verdict, d.Reasons)
		}
	}
	got := kinds()
	if s, ok := got[throttle.SignalSpray]; !ok || s.Subjects < 25 || s.Subjects > 40 {
		t.Errorf("spray over 200 subjects brought %+v", got)
	}
	if refused < 150 {
		t.Errorf("%d of 200 sprayed guesses were challenged", refused)
	}
	// Stuffing: many subjects with a guess each from one network.
	net := netip.MustParsePrefix("2001:db8:5::/48").Addr().As16()
	for n := range 60 {
		net[7], net[15] = byte(n), byte(n)
		a := throttle.Attempt{Subject: subject(5000 + n), IP: netip.AddrFrom16(net), Tag: fmt.Append(nil, n)}
		if d := begin(t, l, a); d.Verdict == throttle.Allow {
			finish(t, l, d.Token, throttle.BadSecret)
		}
	}
	got = kinds()
	if s, ok := got[throttle.SignalStuffing]; !ok || s.Prefix.String() != "2001:db8:5::/48" {
		t.Errorf("stuffing brought %+v", got)
	}
	// A hit: a login from the flagged network.
	hit := throttle.Attempt{Subject: subject(9000), IP: netip.AddrFrom16(net), Tag: []byte("x"), ChallengePassed: true}
	finish(t, l, begin(t, l, hit).Token, throttle.Success)
	if s, ok := kinds()[throttle.SignalSuccessInAttack]; !ok || s.Subject != subject(9000) {
		t.Error("a login from a flagged network brought no signal")
	}
	// A success after failures.
	for i := range 5 {
		guess(t, l, throttle.Attempt{Subject: subject(9001), ChallengePassed: true}, byte(100+i))
	}
	c.step(time.Minute)
	d := begin(t, l, throttle.Attempt{Subject: subject(9001), Tag: []byte("r")})
	if r := finish(t, l, d.Token, throttle.Success); len(r.Notify) != 1 || r.Notify[0] != throttle.NotifyAfterFailures {
		t.Errorf("Notify = %v after a success that follows failures", r.Notify)
	}
	if s, ok := kinds()[throttle.SignalSuccessAfterFailures]; !ok || s.Failures != 5 {
		t.Errorf("success after failures brought %+v", s)
	}
	// What is flagged is forgotten.
	c.step(time.Hour)
	if d := begin(t, l, throttle.Attempt{Subject: subject(9100), IP: netip.AddrFrom16(net), Tag: []byte("Summer2026")}); d.Verdict != throttle.Allow {
		t.Errorf("an hour later: %v %v, want ALLOW", d.Verdict, d.Reasons)
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle_test

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"
	"time"

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

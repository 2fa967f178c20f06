// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle_test

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/throttle/throttletest"
)

// memory returns an in-process store on its own, for faults to be planted in.
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

// race lets n callers try three distinct guesses each at one subject and
// returns how many reached the hash before the waits began.
func race(t testing.TB, l *throttle.Limiter, n int, subject byte) int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	admitted := 0
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			for k := range 3 {
				tag := binary.LittleEndian.AppendUint32(nil, uint32(i*3+k))
				d, err := l.Begin(t.Context(), throttle.Attempt{Subject: [16]byte{subject}, Tag: tag, IP: home, ChallengePassed: true})
				if err != nil {
					t.Error(err)
					return
				}
				if d.Verdict != throttle.Allow {
					continue
				}
				mu.Lock()
				admitted++
				mu.Unlock()
				time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond) // the hash
				if _, err := l.Finish(t.Context(), "", d.Token, throttle.BadSecret); err != nil {
					t.Error(err)
				}
			}
		})
	}
	close(start)
	wg.Wait()
	return admitted
}

func TestRacingGuesses(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	for i, n := range []int{2, 8, 64, 256} {
		if got := race(t, l, n, byte(i)); got > 5 {
			t.Errorf("%d callers: %d guesses admitted, want at most 5", n, got)
		} else if n >= 2 && got != 5 {
			t.Errorf("%d callers: %d guesses admitted, want all 5", n, got)
		}
		if err := l.Reset(t.Context(), throttle.Query{IP: home}); err != nil {
			t.Fatal(err)
		}
	}
	if *long { // a million attempts in all
		for n := range 1300 {
			l := open(t, throttle.Config{Now: c.now, Memory: throttle.MemoryConfig{Subjects: 1024}}, nil)
			if got := race(t, l, 256, byte(n)); got != 5 {
				t.Errorf("round %d: %d guesses admitted, want 5", n, got)
			}
		}
	}
	mutant := open(t, throttle.Config{Now: c.now}, throttletest.CheckThenAct{Store: memory(t)})
	if got := race(t, mutant, 64, 100); got <= 5 {
		t.Errorf("check-then-act admitted %d: the race is not run hard enough to see it", got)
	}
}

func TestHistoriesAreLinearizable(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	for subject := range 24 {
		if !throttletest.Linearizable(t, subject, l) {
			t.Errorf("history %d is not linearizable", subject)
		}
	}
	for name, plant := range throttletest.Faults() {
		mutant := open(t, throttle.Config{Now: c.now}, plant(memory(t)))
		caught := 0
		for subject := range 12 {
			if !throttletest.Linearizable(t, subject, mutant) {
				caught++
			}
		}
		if caught == 0 {
			t.Errorf("%s: all of 12 histories passed", name)
		}
		t.Logf("%s: %d of 12 histories rejected", name, caught)
	}
}

// noClock serves a store that keeps nothing on disk.
func noClock(int64) func() int64 { return func() int64 { return 0 } }

// TestSixteenBitsAreNotAGuess begins guesses that look the same to a store but
// are not: each costs, and the one too many is refused with a hint.
func TestSixteenBitsAreNotAGuess(t *testing.T) {
	store := memory(t)
	ladder := throttle.Numbers{Free: 5, Close: 100, First: 30_000, Longest: 3_600_000, Pending: 60_000}
	r := throttle.Request{Lanes: throttle.Lanes{Subject: throttle.Name{1}, Unknown: ladder, Known: ladder}, Now: 1_800_000_000_000, Tag: 7, Tagged: true}
	for i := range 6 {
		r.Spare = uint16(100 + i)
		g, err := store.Begin(t.Context(), &r)
		if err != nil {
			t.Fatal(err)
		}
		if admitted := g.Kind == throttle.Charged; admitted != (i < 5) || g.Tagged != (i == 0) || g.Twin != (i == 5) {
			t.Errorf("guess %d of six with one tag: %+v", i+1, g)
		}
	}
	r.Share = true
	if g, err := store.Begin(t.Context(), &r); err != nil || g.Kind != throttle.Shared {
		t.Errorf("the very same guess again: %+v, %v, want it shared", g, err)
	}
}

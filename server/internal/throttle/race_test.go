// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/watchword-project/watchword/server/internal/throttle"
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

// The planted faults: stores that go wrong in ways others have.

// checkThenAct looks whether a guess may go on and counts it when its outcome
// comes.
type checkThenAct struct{ throttle.Store }

func (f checkThenAct) Begin(ctx context.Context, r *throttle.Request) (throttle.Grant, error) {
	v, err := f.View(ctx, &throttle.Target{Subject: r.Subject, Unknown: [3]throttle.Numbers{r.Unknown, r.Unknown, r.Unknown}}, r.Now)
	g := throttle.Grant{At: r.Now, Kind: throttle.Charged, Tag: r.Tag, Tagged: r.Tagged}
	if v.Unknown[r.Channel].Failures >= r.Unknown.Free {
		g.Kind, g.Why, g.Retry = 0, throttle.LaneWaits, 1
	}
	time.Sleep(time.Millisecond)
	return g, err
}

func (f checkThenAct) Settle(ctx context.Context, s *throttle.Settlement) (throttle.Settled, error) {
	r := *s
	r.Report = true
	return f.Store.Settle(ctx, &r)
}

// refundOnFailure takes every outcome for a cancellation: nothing sticks.
type refundOnFailure struct{ throttle.Store }

func (f refundOnFailure) Settle(ctx context.Context, s *throttle.Settlement) (throttle.Settled, error) {
	r := *s
	if r.Outcome == throttle.BadSecret {
		r.Outcome = throttle.Cancelled
	}
	return f.Store.Settle(ctx, &r)
}

// resetThenRecord empties the lane on success, whatever is awaited on it, and
// then books the success.
type resetThenRecord struct{ throttle.Store }

func (f resetThenRecord) Settle(ctx context.Context, s *throttle.Settlement) (throttle.Settled, error) {
	if s.Outcome == throttle.Success {
		if err := f.Reset(ctx, &throttle.Target{Subject: s.Subject}, s.Now); err != nil {
			return throttle.Settled{}, err
		}
	}
	return f.Store.Settle(ctx, s)
}

// chargeTwice repeats every request, as a client does that retries after a
// lost answer.
type chargeTwice struct{ throttle.Store }

func (f chargeTwice) Begin(ctx context.Context, r *throttle.Request) (throttle.Grant, error) {
	again := *r
	again.Tag++
	if _, err := f.Store.Begin(ctx, &again); err != nil {
		return throttle.Grant{}, err
	}
	return f.Store.Begin(ctx, r)
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
	mutant := open(t, throttle.Config{Now: c.now}, checkThenAct{memory(t)})
	if got := race(t, mutant, 64, 100); got <= 5 {
		t.Errorf("check-then-act admitted %d: the race is not run hard enough to see it", got)
	}
}

// The model of one subject lane while the clock stands still, for porcupine:
// which guesses are awaited, by how many, and which were wrong.
type lane struct {
	awaited string // sorted, one byte for each reservation
	wrong   string // sorted, distinct
	fails   int
}

type call struct {
	begin   bool
	guess   byte
	outcome throttle.Outcome
}

const modelFree = 5

func (s lane) distinct() int {
	n := 0
	for i := range s.awaited {
		if i == 0 || s.awaited[i] != s.awaited[i-1] {
			n++
		}
	}
	return n
}

func insert(s string, g byte) string {
	b := append([]byte(s), g)
	slices.Sort(b)
	return string(b)
}

func drop(s string, g byte, all bool) string {
	if all {
		return strings.ReplaceAll(s, string(rune(g)), "")
	}
	return strings.Replace(s, string(rune(g)), "", 1)
}

func (s lane) step(in call, allowed bool) (bool, lane) {
	has := strings.IndexByte(s.awaited, in.guess) >= 0
	wrong := strings.IndexByte(s.wrong, in.guess) >= 0
	if in.begin {
		may := has || s.fails+s.distinct() < modelFree
		if may && allowed && (has || !wrong) {
			s.awaited = insert(s.awaited, in.guess)
		}
		return may == allowed, s
	}
	switch in.outcome {
	case throttle.Success:
		s.awaited = drop(s.awaited, in.guess, true)
		s.wrong, s.fails = "", 0
	case throttle.BadSecret:
		if has || !wrong {
			s.fails++
			s.wrong = insert(s.wrong, in.guess)
		}
		s.awaited = drop(s.awaited, in.guess, true)
	case throttle.Cancelled:
		s.awaited = drop(s.awaited, in.guess, false)
	}
	return true, s
}

var laneModel = porcupine.Model{
	Init: func() any { return lane{} },
	Step: func(state, in, out any) (bool, any) {
		ok, next := state.(lane).step(in.(call), out.(bool))
		return ok, next
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprint(in, out) },
}

// history runs clients against one subject and records what each saw. Guesses
// are never begun again once they were repeated wrongly (the model leaves that
// kind of reservation out), and the last letter is the right one.
func history(t testing.TB, l *throttle.Limiter, subject byte) []porcupine.Operation {
	var mu sync.Mutex
	var ops []porcupine.Operation
	base := time.Now()
	record := func(client int, in call, out bool, from time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		ops = append(ops, porcupine.Operation{
			ClientId: client, Input: in, Output: out,
			Call: from.Nanoseconds(), Return: time.Since(base).Nanoseconds(),
		})
	}
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(subject), uint64(client)))
			for n := range 5 {
				g := byte('A' + client*5 + n)
				if rnd.IntN(4) == 0 {
					g = 'z'
				}
				from := time.Since(base)
				d, err := l.Begin(t.Context(), throttle.Attempt{Subject: [16]byte{subject}, Tag: []byte{g}, ChallengePassed: true})
				if err != nil {
					t.Error(err)
					return
				}
				record(client, call{begin: true, guess: g}, d.Verdict == throttle.Allow, from)
				if d.Verdict != throttle.Allow {
					continue
				}
				time.Sleep(time.Duration(rnd.IntN(200)) * time.Microsecond)
				o := throttle.BadSecret
				switch {
				case g == 'z':
					o = throttle.Success
				case rnd.IntN(8) == 0:
					o = throttle.Cancelled
				}
				from = time.Since(base)
				if _, err := l.Finish(t.Context(), "", d.Token, o); err != nil {
					t.Error(err)
					return
				}
				record(client, call{guess: g, outcome: o}, true, from)
			}
		})
	}
	wg.Wait()
	return ops
}

func linearizable(t testing.TB, l *throttle.Limiter, subject byte) bool {
	t.Helper()
	result := porcupine.CheckOperationsTimeout(laneModel, history(t, l, subject), 20*time.Second)
	if result == porcupine.Unknown {
		t.Fatal("porcupine gave up")
	}
	return result == porcupine.Ok
}

func TestHistoriesAreLinearizable(t *testing.T) {
	c := newClock()
	l := open(t, throttle.Config{Now: c.now}, nil)
	for subject := range byte(24) {
		if !linearizable(t, l, subject) {
			t.Errorf("history %d is not linearizable", subject)
		}
	}
	for name, plant := range map[string]func(throttle.Store) throttle.Store{
		"check then act":    func(s throttle.Store) throttle.Store { return checkThenAct{s} },
		"refund on failure": func(s throttle.Store) throttle.Store { return refundOnFailure{s} },
		"reset then record": func(s throttle.Store) throttle.Store { return resetThenRecord{s} },
		"charge twice":      func(s throttle.Store) throttle.Store { return chargeTwice{s} },
	} {
		mutant := open(t, throttle.Config{Now: c.now}, plant(memory(t)))
		caught := 0
		for subject := range byte(12) {
			if !linearizable(t, mutant, subject) {
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

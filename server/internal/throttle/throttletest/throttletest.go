// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package throttletest holds what the tests of every throttle store share: a
// check of recorded histories, and stores with planted faults that it must
// catch.
package throttletest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

// Faults are stores that go wrong in ways that others have, by name.
func Faults() map[string]func(throttle.Store) throttle.Store {
	return map[string]func(throttle.Store) throttle.Store{
		"check then act":    func(s throttle.Store) throttle.Store { return CheckThenAct{s} },
		"refund on failure": func(s throttle.Store) throttle.Store { return refundOnFailure{s} },
		"reset then record": func(s throttle.Store) throttle.Store { return resetThenRecord{s} },
		"charge twice":      func(s throttle.Store) throttle.Store { return chargeTwice{s} },
	}
}

// CheckThenAct looks whether a guess may go on and counts it when its outcome
// comes.
type CheckThenAct struct{ throttle.Store }

func (f CheckThenAct) Begin(ctx context.Context, r *throttle.Request) (throttle.Grant, error) {
	v, err := f.View(ctx, &throttle.Target{Subject: r.Subject, Unknown: [3]throttle.Numbers{r.Unknown, r.Unknown, r.Unknown}}, r.Now)
	g := throttle.Grant{At: r.Now, Kind: throttle.Charged, Tag: r.Tag, Tagged: r.Tagged}
	if v.Unknown[r.Channel].Failures >= r.Unknown.Free {
		g.Kind, g.Why, g.Retry = 0, throttle.LaneWaits, 1
	}
	time.Sleep(time.Millisecond)
	return g, err
}

func (f CheckThenAct) Settle(ctx context.Context, s *throttle.Settlement) (throttle.Settled, error) {
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

// history runs clients against one subject, over all servers, and records what
// each saw. An attempt is settled by another server than the one that let it
// through, if there is one. Guesses are never begun again once they were
// repeated wrongly (the model leaves that kind of reservation out). One guess is
// right; with more than one server each client has a right one of its own, since
// servers may go on refusing for some seconds when one of several that share
// a guess is reported late.
func history(t testing.TB, servers []*throttle.Limiter, subject int) []porcupine.Operation {
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
			mine, next := client%len(servers), (client+1)%len(servers)
			right := byte('z')
			if len(servers) > 1 {
				right -= byte(client)
			}
			for n := range 5 {
				g := byte('A' + client*5 + n)
				if rnd.IntN(4) == 0 {
					g = right
				}
				from := time.Since(base)
				d, err := servers[mine].Begin(t.Context(), throttle.Attempt{Subject: [16]byte{byte(subject), byte(subject >> 8)}, Tag: []byte{g}, ChallengePassed: true})
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
				case g == right:
					o = throttle.Success
				case rnd.IntN(8) == 0:
					o = throttle.Cancelled
				}
				from = time.Since(base)
				if _, err := servers[next].Finish(t.Context(), "", d.Token, o); err != nil {
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

// Linearizable records a history of racing attempts at one subject, over one or
// more servers with the profile nist and one store, and reports whether there is
// an order of its operations, each between its call and its return, in which
// a single lane would have answered the same (Herlihy & Wing 1990).
func Linearizable(t testing.TB, subject int, servers ...*throttle.Limiter) bool {
	t.Helper()
	result := porcupine.CheckOperationsTimeout(laneModel, history(t, servers, subject), 20*time.Second)
	if result == porcupine.Unknown {
		t.Fatal("porcupine gave up")
	}
	return result == porcupine.Ok
}

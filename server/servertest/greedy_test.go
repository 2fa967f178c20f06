// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

// TestGreedyTenant has three tenants ask for hashes, of which one has six hundred
// callers and never waits. It is told when to come back, and the other two are
// served as if they were alone.
func TestGreedyTenant(t *testing.T) {
	t.Parallel()
	const each = 6
	// The queue is so long that only hundreds of callers fill it, however
	// busy the machine is.
	s := servertest.Start(t, servertest.Options{ProductionCost: true, Config: "tenants: [{name: greedy}, {name: one}, {name: other}]\nhashing: {slots: 1, queue_wait: 3s}\n"})
	// A connection has a hundred streams at most.
	of := func(tenant string, connections int) (all []*client.Client) {
		_, secret, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "hash", Tenant: tenant, Scopes: []string{"password.hash"}})
		if err != nil {
			t.Fatal(err)
		}
		for range connections {
			all = append(all, s.ClientWith(secret))
		}
		return all
	}
	greedy, polite := of("greedy", 6), append(of("one", 1), of("other", 1)...)
	// served tells whether a call was; whoever is refused is told for how long.
	served := func(c *client.Client) bool {
		_, err := c.Hash(t.Context(), goodPassword)
		var busy *client.BusyError
		if err != nil && (!errors.As(err, &busy) || busy.RetryAfter <= 0) {
			t.Error(err)
		}
		return err == nil
	}
	var over atomic.Bool
	var calls, callers sync.WaitGroup
	var refusedGreedy atomic.Int64
	for i := range 600 {
		callers.Go(func() {
			for !over.Load() {
				if !served(greedy[i%len(greedy)]) {
					refusedGreedy.Add(1)
					time.Sleep(300 * time.Millisecond)
				}
			}
		})
	}
	var done, refused [2]atomic.Int64
	for i, c := range polite {
		calls.Go(func() {
			for range each {
				if served(c) {
					done[i].Add(1)
				} else {
					refused[i].Add(1)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	calls.Wait()
	over.Store(true)
	callers.Wait()
	t.Logf("%d and %d of %d served; the greedy tenant was refused %d times", done[0].Load(), done[1].Load(), each, refusedGreedy.Load())
	for i := range polite {
		if n := refused[i].Load(); n > 1 { // on a machine that has just become much slower
			t.Errorf("a tenant that never had more than one call under way was refused %d of %d times", n, each)
		}
	}
	if refusedGreedy.Load() == 0 {
		t.Error("the greedy tenant was never refused")
	}
}

// TestAMatchNeedsNoNewHash has more callers compare passwords with hashes of an old
// cost than there is room for: whoever is compared in time has the answer, also
// where no hash could be made to take the place of the old one.
func TestAMatchNeedsNoNewHash(t *testing.T) {
	t.Parallel()
	cheap, err := servertest.New(t).Client.Hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	s := servertest.Start(t, servertest.Options{ProductionCost: true, Config: "hashing: {slots: 1, queue_wait: 20ms}\n"})
	whole, err := s.Client.VerifyHash(t.Context(), goodPassword, cheap)
	if err != nil || !whole.Match || !whole.Stale || whole.Rehashed == "" {
		t.Fatalf("on an idle server: %+v, %v", whole, err)
	}
	found, end := context.WithTimeout(t.Context(), 60*time.Second)
	defer end()
	var seen atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for found.Err() == nil {
				if got, err := s.Client.VerifyHash(t.Context(), goodPassword, cheap); err == nil && got.Match && got.Stale && got.Rehashed == "" {
					seen.Add(1)
					end()
				}
			}
		})
	}
	all.Wait()
	if seen.Load() == 0 {
		t.Error("in a minute there was no match without a new hash")
	}
}

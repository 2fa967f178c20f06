// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"
)

// UseCallersClock makes the scripts take the time from the request, so that
// they can be compared with the in-process store.
func (s *Store) UseCallersClock() { s.replay = true }

// PlantFault replaces a piece of the script. It reports whether that was there.
func (s *Store) PlantFault(piece, by string) bool {
	text := strings.ReplaceAll(s.whole.text, piece, by)
	found := text != s.whole.text
	s.whole = scriptOf(text)
	return found
}

// SendTogether has the calls for all nodes of a cluster wait for each other.
func (s *Store) SendTogether() { s.route = s.together }

// Hang sends that many calls at once to a server that never answers, and says
// how many batches were sent and how many calls met the time limit.
func Hang(callers int) (batches, late int) {
	var mu sync.Mutex
	g := group{most: 1, patience: time.Hour}
	hung := make(chan struct{})
	g.run = func(batch []*call) {
		mu.Lock()
		batches++
		mu.Unlock()
		<-hung
		for _, c := range batch {
			c.err = os.ErrDeadlineExceeded
		}
	}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			_, err := g.do(context.Background(), new(call))
			mu.Lock()
			defer mu.Unlock()
			if os.IsTimeout(err) {
				late++
			}
		})
	}
	for waiting := 0; waiting < callers-groupLanes; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		waiting = len(g.queue)
		g.mu.Unlock()
	}
	close(hung)
	wg.Wait()
	return batches, late
}

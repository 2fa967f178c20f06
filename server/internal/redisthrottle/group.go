// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// call is one operation of the script.
type call struct {
	node   *redis.Client // the master that has the keys, as far as is known; nil unless in a cluster
	script *script
	keys   []string
	rules  string
	packed []byte
	text   string
	err    error
	done   chan struct{}
}

// group sends concurrent calls together: what comes while the pipelines are
// out goes with the next one. There is no timer; a call that finds a pipeline
// free goes at once, alone, and its caller sends it.
type group struct {
	run      func([]*call)
	most     int           // calls in one pipeline, so that none keeps a server busy for long
	patience time.Duration // of a call that waits for its turn

	mu    sync.Mutex
	out   int
	queue []*call
}

const (
	groupLanes = 2 // pipelines at a time
	queueMost  = 1 << 14
)

// do has the call sent and returns its answer. No caller waits for longer than
// the group's patience, or than it takes to send two batches.
func (g *group) do(ctx context.Context, c *call) (string, error) {
	g.mu.Lock()
	if g.out < groupLanes {
		g.out++
		g.mu.Unlock()
		alone := []*call{c}
		g.run(alone)
		if g.more(alone) {
			go g.drain()
		}
		return c.text, c.err
	}
	if len(g.queue) >= queueMost {
		g.mu.Unlock()
		return "", context.DeadlineExceeded
	}
	c.done = make(chan struct{})
	g.queue = append(g.queue, c)
	g.mu.Unlock()
	patience := time.NewTimer(g.patience)
	defer patience.Stop()
	select {
	case <-c.done:
		return c.text, c.err
	// The call may yet be sent and charge; the caller only stops waiting.
	case <-ctx.Done():
		return "", ctx.Err()
	case <-patience.C:
		return "", context.DeadlineExceeded
	}
}

func (g *group) drain() {
	for {
		g.mu.Lock()
		n := min(len(g.queue), g.most)
		if n == 0 {
			g.out--
			g.mu.Unlock()
			return
		}
		batch := g.queue[:n:n]
		g.queue = g.queue[n:]
		g.mu.Unlock()
		g.run(batch)
		for _, c := range batch {
			close(c.done)
		}
		if !g.more(batch) {
			return
		}
	}
}

// more reports whether there is something to send after a batch; if not, its
// pipeline is free. If none of the batch was answered in time, what waits
// behind it would not be either: it gets the same error at once, unsent, so
// that a server that hangs holds nobody up for longer than one batch.
func (g *group) more(sent []*call) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.ContainsFunc(sent, func(c *call) bool { return !late(c.err) }) {
		for _, c := range g.queue {
			c.err = sent[0].err
			close(c.done)
		}
		g.queue = nil
	}
	if len(g.queue) == 0 {
		g.out--
		return false
	}
	return true
}

// late reports whether an error is that of waiting in vain.
func late(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// send runs a batch. What a server did not run, since it does not know the script,
// as after a failover, or has the keys no longer, is sent once more, with the
// script, and on a way that finds the keys.
func (s *Store) send(batch []*call) {
	to := s.client
	if node := batch[0].node; node != nil {
		to = node
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.timeout)
	defer cancel()
	again := s.exchange(ctx, to, batch, false)
	if len(again) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*s.timeout)
		defer cancel()
		s.exchange(ctx, s.client, again, true)
	}
}

// once is a command that the client for clusters sends again only if a server
// refused it. It would repeat one whose answer is late, or lost, and with it all of
// its pipeline.
type once struct{ *redis.Cmd }

// NoRetry is asked when the command has its answer or its error.
func (o once) NoRetry() bool {
	var refused redis.Error
	return !errors.As(o.Err(), &refused)
}

// command runs calls whose keys live together as one script call.
func command(ctx context.Context, calls []*call, inFull bool) once {
	keys, rules := 0, calls[0].rules
	for _, c := range calls {
		keys += len(c.keys)
	}
	args := make([]any, 3, 4+keys+len(calls))
	args[0], args[1], args[2] = "evalsha", calls[0].script.sha, keys
	if inFull {
		args[0], args[1] = "eval", calls[0].script.text
	}
	for _, c := range calls {
		for _, k := range c.keys {
			args = append(args, k)
		}
	}
	args = append(args, nil)
	for _, c := range calls {
		at := 0
		for at < len(rules) && rules[at:at+rulesSize] != c.rules {
			at += rulesSize
		}
		if at == len(rules) {
			rules += c.rules
		}
		c.packed[rulesAt] = byte(at / rulesSize)
		args = append(args, c.packed)
	}
	args[3+keys] = rules
	cmd := redis.NewCmd(ctx, args...)
	cmd.SetFirstKeyPos(3)
	return once{cmd}
}

// exchange runs the calls and returns those that had no effect and are to be
// sent again.
func (s *Store) exchange(ctx context.Context, to redis.UniversalClient, batch []*call, inFull bool) (again []*call) {
	book := func(calls []*call, cmd *redis.Cmd) {
		var answers []string
		var err error
		if len(calls) > 1 {
			answers, err = cmd.StringSlice()
		} else if answer, e := cmd.Text(); e == nil {
			answers = []string{answer}
		} else {
			err = e
		}
		if err == nil && len(answers) != len(calls) {
			err = errShort
		}
		if err != nil && !inFull && s.refused(err) {
			again = append(again, calls...)
			return
		}
		for i, c := range calls {
			if c.err = err; err == nil {
				c.text = answers[i]
			}
		}
	}
	if s.cluster == nil || len(batch) == 1 {
		cmd := command(ctx, batch, inFull)
		to.Process(ctx, cmd) // every command carries its own error
		book(batch, cmd.Cmd)
	} else {
		slices.SortStableFunc(batch, func(a, b *call) int {
			return cmp.Or(strings.Compare(a.slot(), b.slot()), strings.Compare(a.script.sha, b.script.sha))
		})
		p := to.Pipeline()
		var parts [][]*call
		var cmds []once
		for rest := batch; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].slot() == rest[0].slot() && rest[n].script == rest[0].script {
				n++
			}
			cmd := command(ctx, rest[:n], inFull)
			p.Process(ctx, cmd)
			parts, cmds = append(parts, rest[:n]), append(cmds, cmd)
			rest = rest[n:]
		}
		p.Exec(ctx)
		for i, part := range parts {
			book(part, cmds[i].Cmd)
		}
	}
	if s.cluster != nil && !s.mapped.Load() && slices.ContainsFunc(batch, func(c *call) bool { return c.err == nil }) {
		s.mapped.Store(true)
	}
	return again
}

// slot returns what decides where the call's keys live.
func (c *call) slot() string { return c.keys[0][:slotSize] }

// refused reports whether a server did not run a script that it may run soon, or
// another will: it does not know it, or in a cluster has no such keys now.
func (s *Store) refused(err error) bool {
	return slices.ContainsFunc(refusals[:], func(r string) bool {
		return redis.HasErrorPrefix(err, r) && (s.cluster != nil || r == "NOSCRIPT")
	})
}

var refusals = [...]string{"NOSCRIPT", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING"}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// call is one operation of the script.
type call struct {
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
	run func([]*call)

	mu    sync.Mutex
	out   int
	queue []*call
}

const (
	groupLanes = 2  // pipelines at a time
	groupMost  = 32 // calls in one, so that none keeps a server busy for long
	queueMost  = 1 << 14
)

func (g *group) do(ctx context.Context, c *call) (string, error) {
	g.mu.Lock()
	if g.out < groupLanes {
		g.out++
		g.mu.Unlock()
		g.run([]*call{c})
		g.mu.Lock()
		if len(g.queue) > 0 {
			go g.drain()
		} else {
			g.out--
		}
		g.mu.Unlock()
		return c.text, c.err
	}
	if len(g.queue) >= queueMost {
		g.mu.Unlock()
		return "", context.DeadlineExceeded
	}
	c.done = make(chan struct{})
	g.queue = append(g.queue, c)
	g.mu.Unlock()
	select {
	case <-c.done:
		return c.text, c.err
	case <-ctx.Done():
		// The call may yet be sent and charge; the caller only stops waiting.
		return "", ctx.Err()
	}
}

func (g *group) drain() {
	for {
		g.mu.Lock()
		n := min(len(g.queue), groupMost)
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
	}
}

// send runs a batch: in one script call where all keys live together, in a
// cluster as a pipeline. A server that does not know the script, as after a
// failover, is sent it with the same calls once more: it has not run them.
func (s *Store) send(batch []*call) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.timeout)
	defer cancel()
	unknown := s.exchange(ctx, batch, false)
	if len(unknown) > 0 {
		again, cancel := context.WithTimeout(context.Background(), 2*s.timeout)
		defer cancel()
		s.exchange(again, unknown, true)
	}
}

// exchange runs the calls and returns those that met a server without the script.
func (s *Store) exchange(ctx context.Context, batch []*call, inFull bool) (unknown []*call) {
	one := func(p redis.Cmdable, calls []*call) *redis.Cmd {
		keys := make([]string, 0, 8*len(calls))
		args := make([]any, 1, 1+2*len(calls))
		for _, c := range calls {
			keys = append(keys, c.keys...)
			set := slices.Index(args, any(c.rules))
			if set < 0 {
				set = len(args)
				args = append(args, c.rules)
			}
			c.packed[rulesAt] = byte(set)
		}
		args[0] = len(args) - 1
		for _, c := range calls {
			args = append(args, c.packed)
		}
		if inFull {
			return p.Eval(ctx, calls[0].script.text, keys, args...)
		}
		return p.EvalSha(ctx, calls[0].script.sha, keys, args...)
	}
	book := func(calls []*call, cmd *redis.Cmd) {
		answers, err := cmd.StringSlice()
		if err == nil && len(answers) != len(calls) {
			err = errShort
		}
		if err != nil && !inFull && strings.HasPrefix(err.Error(), "NOSCRIPT") {
			unknown = append(unknown, calls...)
			return
		}
		for i, c := range calls {
			if c.err = err; err == nil {
				c.text = answers[i]
			}
		}
	}
	if s.cluster == nil || len(batch) == 1 {
		book(batch, one(s.client, batch))
	} else {
		p := s.client.Pipeline()
		cmds := make([]*redis.Cmd, len(batch))
		for i := range batch {
			cmds[i] = one(p, batch[i:i+1])
		}
		p.Exec(ctx) // every command carries its own error
		for i := range batch {
			book(batch[i:i+1], cmds[i])
		}
	}
	return unknown
}

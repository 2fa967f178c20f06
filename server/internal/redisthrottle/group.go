// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// call is one run of the script.
type call struct {
	keys []string
	args []any
	text string
	err  error
	done chan struct{}
}

// group sends concurrent calls together: what comes while the pipelines are
// out goes with the next one. There is no timer; a call that finds a pipeline
// free goes at once, alone.
type group struct {
	run func([]*call)

	mu    sync.Mutex
	out   int
	queue []*call
}

const (
	groupLanes = 2  // pipelines at a time
	groupMost  = 64 // calls in one, so that none keeps a server busy for long
	queueMost  = 1 << 14
)

func (g *group) do(ctx context.Context, c *call) (string, error) {
	c.done = make(chan struct{})
	g.mu.Lock()
	if len(g.queue) >= queueMost {
		g.mu.Unlock()
		return "", context.DeadlineExceeded
	}
	g.queue = append(g.queue, c)
	if g.out < groupLanes {
		g.out++
		go g.drain()
	}
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

// send runs a batch as one pipeline. A server that does not know the script,
// as after a failover, is sent it with the same calls once more: it has not
// run them.
func (s *Store) send(batch []*call) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.timeout)
	defer cancel()
	unknown := s.pipe(ctx, batch, false)
	if len(unknown) > 0 {
		again, cancel := context.WithTimeout(context.Background(), 2*s.timeout)
		defer cancel()
		s.pipe(again, unknown, true)
	}
}

// pipe runs the calls and returns those that met a server without the script.
func (s *Store) pipe(ctx context.Context, batch []*call, whole bool) (unknown []*call) {
	one := func(p redis.Cmdable, c *call) *redis.Cmd {
		if whole {
			return p.Eval(ctx, source, c.keys, c.args...)
		}
		return p.EvalSha(ctx, s.sha, c.keys, c.args...)
	}
	book := func(c *call, cmd *redis.Cmd) {
		if c.text, c.err = cmd.Text(); c.err != nil && !whole && strings.HasPrefix(c.err.Error(), "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	if len(batch) == 1 {
		book(batch[0], one(s.client, batch[0]))
		return unknown
	}
	p := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(batch))
	for i, c := range batch {
		cmds[i] = one(p, c)
	}
	p.Exec(ctx) // every command carries its own error
	for i, c := range batch {
		book(c, cmds[i])
	}
	return unknown
}

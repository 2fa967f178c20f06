// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle

import (
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
		keys, rules := calls[0].keys, calls[0].rules
		args := make([]any, 1, 1+len(calls))
		for i, c := range calls {
			if i > 0 {
				keys = append(keys, c.keys...)
			}
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
		args[0] = rules
		if inFull {
			return p.Eval(ctx, calls[0].script.text, keys, args...)
		}
		return p.EvalSha(ctx, calls[0].script.sha, keys, args...)
	}
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

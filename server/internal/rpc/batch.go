// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"

	"google.golang.org/grpc"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// batch is a stream of rows under way. Each of its goroutines receives a row,
// judges it, and sends what is next to be sent: a row goes from hand to hand
// only where its turn has not come, and as long as rows arrive nobody is woken
// for one. Rows that were received and not answered yet are bounded, so a
// caller that stops reading is not read from either.
type batch struct {
	stream grpc.BidiStreamingServer[watchwordv1.BatchCheckPasswordsRequest, watchwordv1.BatchCheckPasswordsResponse]
	judge  func(*watchwordv1.BatchCheckPasswordsRequest) *watchwordv1.BatchCheckPasswordsResponse

	receiving sync.Mutex // held by the one that waits for a row
	received  int        // rows, and behind them the end
	ended     bool

	mu      sync.Mutex
	moved   sync.Cond // sent has grown, or the batch is over
	sent    int
	sending bool
	pending []judged // the place of a row is its number modulo the length
	over    chan struct{}
	last    judged // what the batch ended with, once it is over
}

// judged is what comes of receiving: an answer, or what ends the batch.
type judged struct {
	row   *watchwordv1.BatchCheckPasswordsResponse
	err   error
	panic *carriedPanic
}

func (j *judged) waits() bool { return j.row != nil || j.err != nil || j.panic != nil }

// run answers the rows, and returns when all are answered or none can be any
// more. Goroutines that are still receiving then end with the stream.
func (b *batch) run() error {
	width := runtime.GOMAXPROCS(0)
	b.pending, b.over, b.moved.L = make([]judged, 4*width), make(chan struct{}), &b.mu
	for range width {
		go b.work()
	}
	<-b.over
	switch {
	case b.last.panic != nil:
		panic(b.last.panic)
	case errors.Is(b.last.err, io.EOF):
		return nil
	}
	return b.last.err
}

func (b *batch) work() {
	for {
		n, m, err := b.receive()
		if n < 0 {
			return
		}
		j := judged{err: err}
		if err == nil {
			j = guarded(func() judged { return judged{row: b.judge(m)} })
		}
		if !b.answer(n, j) {
			return
		}
	}
}

// receive gives the next row and its number, which is negative behind the end.
func (b *batch) receive() (n int, m *watchwordv1.BatchCheckPasswordsRequest, err error) {
	b.receiving.Lock()
	defer b.receiving.Unlock()
	if b.ended {
		return -1, nil, nil
	}
	n = b.received
	b.received++
	m, err = b.stream.Recv()
	b.ended = err != nil
	return n, m, err
}

// guarded makes a panic of f what ends the batch.
func guarded(f func() judged) (j judged) {
	defer func() {
		if p := carry(recover()); p != nil {
			j = judged{panic: p}
		}
	}()
	return f()
}

// answer leaves what came of row n, and sends all that is next, unless another
// goroutine is about to. It waits while n is too far ahead, and tells whether
// the batch goes on.
func (b *batch) answer(n int, j judged) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.isOver() && n-b.sent >= len(b.pending) {
		b.moved.Wait()
	}
	b.pending[n%len(b.pending)] = j
	for !b.isOver() && !b.sending {
		next := &b.pending[b.sent%len(b.pending)]
		if !next.waits() {
			return true
		}
		b.send(*next)
		*next = judged{}
		b.sent++
		b.moved.Broadcast()
	}
	return !b.isOver()
}

func (b *batch) isOver() bool { return b.last.waits() }

// send sends an answer, or ends the batch. It lets go of b.mu meanwhile.
func (b *batch) send(j judged) {
	if j.row != nil {
		b.sending = true
		b.mu.Unlock()
		j = guarded(func() judged { return judged{err: b.stream.Send(j.row)} })
		b.mu.Lock()
		b.sending = false
		if errors.Is(j.err, io.EOF) || j.err != nil && b.stream.Context().Err() != nil { // as the channel within the process says it
			j.err = context.Canceled
		}
	}
	if b.last = j; b.isOver() {
		close(b.over)
	}
}

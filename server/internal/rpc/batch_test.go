// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/watchword-project/watchword/server/internal/rpc"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// rows is a stream of so many rows, each of which says its number.
type rows struct {
	grpc.ServerStream
	ctx      context.Context
	count    int
	received atomic.Int64
	send     func(row int) error // nil: all are taken
	answered []string
}

func (s *rows) Context() context.Context { return s.ctx }

func (s *rows) Recv() (*watchwordv1.BatchCheckPasswordsRequest, error) {
	n := int(s.received.Load()) // one at a time, as a stream is received from
	if n >= s.count {
		return nil, io.EOF
	}
	s.received.Store(int64(n + 1))
	return &watchwordv1.BatchCheckPasswordsRequest{Password: strconv.Itoa(n)}, nil
}

func (s *rows) Send(m *watchwordv1.BatchCheckPasswordsResponse) error {
	if s.send != nil {
		if err := s.send(len(s.answered)); err != nil {
			return err
		}
	}
	before := s.answered
	time.Sleep(time.Microsecond) // a second sender would not see this answer
	s.answered = append(before, m.GetPolicy())
	return nil
}

// TestBatchEnds: whatever ends a batch, and wherever, all rows before it were
// answered, each once and in order, and none behind it.
func TestBatchEnds(t *testing.T) {
	broken := errors.New("broken")
	const count, at = 500, 237
	for _, c := range []struct {
		name     string
		judge    func(row string) // besides the answer
		send     func(row int) error
		answered int
		err      error
		panics   bool
	}{
		{"all are answered", func(string) {}, nil, count, nil, false},
		{"a judge that panics", func(row string) {
			if row == strconv.Itoa(at) {
				panic("a row")
			}
		}, nil, at, nil, true},
		{"a transport that panics", func(string) {}, func(row int) error {
			if row == at {
				panic("an answer")
			}
			return nil
		}, at, nil, true},
		{"a transport that fails", func(string) {}, func(row int) error {
			if row == at {
				return broken
			}
			return nil
		}, at, broken, false},
		{"a caller that is gone", func(string) {}, func(row int) error {
			if row == at {
				return io.EOF
			}
			return nil
		}, at, context.Canceled, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &rows{ctx: t.Context(), count: count, send: c.send}
				err, panicked := func() (err error, panicked bool) {
					defer func() { panicked = recover() != nil }()
					return rpc.Batch(s, func(m *watchwordv1.BatchCheckPasswordsRequest) *watchwordv1.BatchCheckPasswordsResponse {
						time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
						c.judge(m.GetPassword())
						return &watchwordv1.BatchCheckPasswordsResponse{Policy: m.GetPassword()}
					}), false
				}()
				time.Sleep(time.Second) // until those who still judge have ended too
				if !errors.Is(err, c.err) || panicked != c.panics {
					t.Errorf("the batch ends with %v, panicking %v", err, panicked)
				}
				if len(s.answered) != c.answered {
					t.Errorf("%d rows were answered, want %d", len(s.answered), c.answered)
				}
				for i, row := range s.answered {
					if row != strconv.Itoa(i) {
						t.Fatalf("row %d has the answer of row %s", i, row)
					}
				}
			})
		})
	}
}

// TestBatchIsBounded: a caller that takes no answers is soon not read from
// either, and is read from again when it does.
func TestBatchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 1000
		taken := make(chan struct{})
		s := &rows{ctx: t.Context(), count: count, send: func(int) error { <-taken; return nil }}
		done := make(chan error)
		go func() {
			done <- rpc.Batch(s, func(m *watchwordv1.BatchCheckPasswordsRequest) *watchwordv1.BatchCheckPasswordsResponse {
				return &watchwordv1.BatchCheckPasswordsResponse{Policy: m.GetPassword()}
			})
		}()
		synctest.Wait()
		if n, most := s.received.Load(), int64(5*runtime.GOMAXPROCS(0)); n > most {
			t.Errorf("%d rows were received of which none is answered, want at most %d", n, most)
		}
		close(taken)
		if err := <-done; err != nil || len(s.answered) != count {
			t.Errorf("%d rows are answered, %v", len(s.answered), err)
		}
	})
}

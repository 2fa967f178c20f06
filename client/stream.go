// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"
)

// exchange sends rows over a stream and yields the answer to each, in order.
// Sending and receiving run beside each other: one that waited for the other
// could fill the stream's window in one direction and stand still for ever.
func exchange[In, Q, R, Out any](ctx context.Context,
	open func(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[Q, R], error),
	rows iter.Seq[In], request func(In) *Q, answer func(*R) Out,
) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var none Out
		ctx, cancel := context.WithCancel(ctx)
		stream, err := open(ctx)
		if err != nil {
			cancel()
			yield(none, failure(err))
			return
		}
		// What the goroutine has sent, and whether that was all, is read when it is
		// done.
		sent, all := 0, false
		done := make(chan struct{})
		defer func() { cancel(); <-done }()
		go func() {
			defer close(done)
			for row := range rows {
				if ctx.Err() != nil || stream.Send(request(row)) != nil {
					return // Recv has the reason
				}
				sent++
			}
			all = true
			_ = stream.CloseSend()
		}()
		for received := 0; ; received++ {
			r, err := stream.Recv()
			switch {
			case errors.Is(err, io.EOF):
				// The server ends behind the last row, or has given up.
				cancel()
				<-done
				if !all || received != sent {
					yield(none, ErrIncomplete)
				}
				return
			case err != nil:
				yield(none, failure(err))
				return
			case !yield(answer(r), nil):
				return
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/identity"
)

// Panicking gives the answers to a call and to a stream whose handlers panic
// with value, behind the gate that both doors use.
func Panicking(log *slog.Logger, value any) (unary, stream error) {
	const method = "/watchword.v1.PasswordService/CheckPassword"
	g := &gate{access: &Access{}, scopes: map[string]string{method: "password.check"}, log: log, local: localOperator}
	_, unary = g.unary(context.Background(), nil, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) { panic(value) })
	stream = g.stream(nil, silent{}, &grpc.StreamServerInfo{FullMethod: method}, func(any, grpc.ServerStream) error { panic(value) })
	return unary, stream
}

// FailingRow gives the answer to a row that fails by err, in a stream that goes
// on behind the gate.
func FailingRow(log *slog.Logger, err error) (row *watchwordv1.RowError) {
	const method = "/watchword.v1.PasswordService/BatchCheckPasswords"
	g := &gate{access: &Access{}, scopes: map[string]string{method: "password.check"}, log: log, local: localOperator}
	_ = g.stream(nil, silent{}, &grpc.StreamServerInfo{FullMethod: method}, func(_ any, s grpc.ServerStream) error {
		row = rowError(s.Context(), err)
		_ = rowError(s.Context(), errors.New("another"))
		return nil
	})
	return row
}

type silent struct{ grpc.ServerStream }

func (silent) Context() context.Context { return context.Background() }

// MaxLine is the longest line of a streamed request in bytes.
const MaxLine = maxLine

// DecodeBody gives the decoder of a unary body.
func DecodeBody(r io.Reader) runtime.Decoder { return newJSON().NewDecoder(r) }

// DecodeLines gives the decoder of a body of lines.
func DecodeLines(r io.Reader) runtime.Decoder { return DecodeLinesOf(r, httptest.NewRecorder()) }

// DecodeLinesOf is DecodeLines for the body of a request that w answers.
func DecodeLinesOf(r io.Reader, w http.ResponseWriter) runtime.Decoder {
	return newJSON().NewDecoder(&streamBody{ReadCloser: io.NopCloser(r), control: http.NewResponseController(w)})
}

// IsMalformed tells whether a row was marked as one that could not be read.
func IsMalformed(m proto.Message) bool { return isMalformed(m) }

// Batch runs a stream of rows with another judge.
func Batch(stream grpc.BidiStreamingServer[watchwordv1.BatchCheckPasswordsRequest, watchwordv1.BatchCheckPasswordsResponse],
	judge func(*watchwordv1.BatchCheckPasswordsRequest) *watchwordv1.BatchCheckPasswordsResponse) error {
	b := batch{stream: stream, judge: judge}
	return b.run()
}

// Callers has that many callers come and go, under bounds for each, while one of
// another name stays. It says how many are counted in the end, and what the one
// that stayed gets when it asks once more.
func Callers(n int, rps float64, concurrency int) (counted int, again error) {
	a := &Access{RPS: rps, Concurrency: concurrency}
	stays := &identity.Caller{ID: "stays"}
	if _, err := a.enter(stays); err != nil {
		return 0, err
	}
	for i := range n {
		leave, err := a.enter(&identity.Caller{ID: strconv.Itoa(i)})
		if err != nil {
			return 0, err
		}
		leave()
	}
	_, again = a.enter(stays)
	return len(a.quotas), again
}

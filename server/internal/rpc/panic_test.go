// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/watchword-project/watchword/server/internal/rpc"
)

// TestPanicsAreSilent has handlers panic with a password: the caller hears of
// an internal error, and the log of the place.
func TestPanicsAreSilent(t *testing.T) {
	const secret = "canary-9Yq-plaintext-zebra-lamp"
	for _, value := range []any{secret, fmt.Errorf("cannot hash %s", secret), struct{ Password string }{secret}} {
		var log bytes.Buffer
		unary, stream := rpc.Panicking(slog.New(slog.NewJSONHandler(&log, nil)), value)
		for _, err := range []error{unary, stream} {
			if status.Code(err) != codes.Internal || strings.Contains(fmt.Sprint(err, status.Convert(err).Proto()), "canary") {
				t.Errorf("%T: the caller hears %v", value, err)
			}
		}
		if text := log.String(); strings.Contains(text, "canary") || strings.Count(text, `"msg":"panic in a handler"`) != 2 || !strings.Contains(text, "rpc.Panicking.func2") {
			t.Errorf("%T: the log says %s", value, text)
		}
	}
}

// TestFailedRowsAreInTheLog: a row that fails by a fault of ours has the id under
// which the log tells the cause, once for the stream.
func TestFailedRowsAreInTheLog(t *testing.T) {
	var log bytes.Buffer
	row := rpc.FailingRow(slog.New(slog.NewJSONHandler(&log, nil)), errors.New("the pepper is lost"))
	_, id, _ := strings.Cut(row.GetMessage(), "internal error, request ")
	text := log.String()
	if row.GetCode() != int32(codes.Internal) || id == "" || strings.Contains(row.GetMessage(), "pepper") {
		t.Errorf("the row: %v", row)
	}
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, `"id":"`+id+`"`) || !strings.Contains(text, "the pepper is lost") || !strings.Contains(text, `"level":"ERROR"`) {
		t.Errorf("the log: %s", text)
	}
}

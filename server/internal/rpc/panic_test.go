// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc_test

import (
	"bytes"
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

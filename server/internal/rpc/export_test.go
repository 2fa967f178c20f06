// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"
)

// MaxLine is the longest line of a streamed request in bytes.
const MaxLine = maxLine

// DecodeBody gives the decoder of a unary body.
func DecodeBody(r io.Reader) runtime.Decoder { return newJSON().NewDecoder(r) }

// DecodeLines gives the decoder of a body of lines.
func DecodeLines(r io.Reader) runtime.Decoder {
	return newJSON().NewDecoder(&streamBody{ReadCloser: io.NopCloser(r), control: http.NewResponseController(httptest.NewRecorder())})
}

// IsMalformed tells whether a row was marked as one that could not be read.
func IsMalformed(m proto.Message) bool { return isMalformed(m) }

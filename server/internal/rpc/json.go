// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// maxLine is the longest line of a streamed request in bytes.
const maxLine = 64 << 10

// Faults of a body that have no place.
var (
	errNoJSON = &fieldError{fault: "the body is not JSON"}
	errBody   = &fieldError{fault: "the body is not a JSON object of this request"}
)

// strictJSON is protobuf's JSON mapping with nothing forgiven: unknown,
// duplicate and wrongly cased fields are errors, and so is anything behind the
// object.
type strictJSON struct{ runtime.JSONPb }

func newJSON() *strictJSON {
	return &strictJSON{runtime.JSONPb{
		MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true},
	}}
}

func (j *strictJSON) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if ok && plantFaultsRepeat {
		return protojson.Unmarshal(data, m)
	}
	if !ok {
		return errBody
	}
	return decode(data, m)
}

// decode reads an object of a request. That it is JSON at all is asked first:
// protojson takes a number whose exponent has no digits (1e).
func decode(data []byte, m proto.Message) error {
	if !json.Valid(data) {
		return errNoJSON
	}
	if err := protojson.Unmarshal(data, m); err != nil {
		return bodyFault(err)
	}
	return nil
}

// place is how protojson begins an error that has a place; which space it
// has varies from build to build.
var place = regexp.MustCompile(`^proto:[ \x{a0}](?:syntax error )?\(line (\d+):(\d+)\): (unknown field )?`)

// bodyFault tells where a body is not as the request demands. The decoder's own
// words would repeat what was sent.
func bodyFault(err error) error {
	at := place.FindStringSubmatch(err.Error())
	if at == nil {
		return errBody
	}
	what := "not what belongs there"
	if at[3] != "" {
		what = "this request has no such field"
	}
	return &fieldError{fault: fmt.Sprintf("line %s, column %s of the body: %s", at[1], at[2], what)}
}

// NewDecoder reads one object from a unary body, or one a line from a
// streaming one.
func (j *strictJSON) NewDecoder(r io.Reader) runtime.Decoder {
	if s, ok := r.(*streamBody); ok {
		lines := bufio.NewReaderSize(s, maxLine+1) // with its line feed
		return runtime.DecoderFunc(func(v any) error { return j.decodeLine(s, lines, v) })
	}
	return runtime.DecoderFunc(func(v any) error {
		data, err := io.ReadAll(r)
		defer clear(data)
		if err != nil {
			return errBody
		}
		return j.Unmarshal(data, v)
	})
}

// decodeLine reads the next line that is not blank. A line that is too long or
// not an object of the request becomes a row marked as malformed, so that the
// rows behind it are still answered.
func (j *strictJSON) decodeLine(body *streamBody, lines *bufio.Reader, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return errBody
	}
	for {
		body.within = false
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = lines.ReadSlice('\n')
			}
			markMalformed(m)
			return nil
		}
		if len(bytes.TrimSpace(line)) == 0 {
			if err == nil {
				continue
			}
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return errBody
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return errBody
		}
		if decode(line, m) != nil {
			markMalformed(m)
		}
		return nil
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that strictCodec wraps
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// maxMessage is the largest unary request in bytes, after inflation.
const maxMessage = 1 << 20

// maxReceive is what the transport lets through: more than maxMessage, so that
// an oversized request still gets the contract's INVALID_ARGUMENT rather than
// the library's RESOURCE_EXHAUSTED.
const maxReceive = 4 * maxMessage

// A request that cannot be decoded is not an error of the codec: gRPC would
// answer INTERNAL with the decoder's words, before any interceptor has asked
// who is calling. It becomes an empty message that carries this mark in its
// unknown fields, which the interceptors turn into INVALID_ARGUMENT behind
// authentication, and which a stream of rows turns into one bad row.
var malformedMark = protowire.AppendVarint(protowire.AppendTag(nil, 536870000, protowire.VarintType), 1)

func markMalformed(m proto.Message) {
	proto.Reset(m)
	m.ProtoReflect().SetUnknown(malformedMark)
}

func isMalformed(m proto.Message) bool {
	return string(m.ProtoReflect().GetUnknown()) == string(malformedMark)
}

// strictCodec is gRPC's protobuf codec with malformed requests marked.
type strictCodec struct{ encoding.CodecV2 }

func newCodec() encoding.CodecV2 { return strictCodec{encoding.GetCodecV2("proto")} }

func (c strictCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if data.Len() > maxMessage || c.CodecV2.Unmarshal(data, v) != nil {
		markMalformed(m)
	}
	return nil
}

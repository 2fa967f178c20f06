// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// BackupMethod streams a backup. It is not part of the contract: only the
// socket in the data directory has it, for the server's own command.
const BackupMethod = "/watchword.local.Backup/Stream"

// backupChunk is the size of a piece of a backup on its way.
const backupChunk = 256 << 10

// registerBackup puts the method on the local server.
func registerBackup(s *grpc.Server, g *gate, backup func(context.Context, io.Writer) error) {
	g.scopes[BackupMethod] = "system.admin"
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "watchword.local.Backup",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "Stream",
			ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
					return err
				}
				return backup(stream.Context(), &chunks{stream})
			},
		}},
	}, nil)
}

// chunks is a writer onto a stream.
type chunks struct{ stream grpc.ServerStream }

func (c *chunks) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), backupChunk)
		if err := c.stream.SendMsg(wrapperspb.Bytes(rest[:n])); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

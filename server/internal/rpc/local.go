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

// These methods are not part of the contract: only the socket in the data
// directory has them, for the server's own commands. BackupMethod streams a
// backup; DestroyTenantMethod takes a tenant's name and gives the number of
// credentials that it had.
const (
	BackupMethod        = "/watchword.local.Backup/Stream"
	DestroyTenantMethod = "/watchword.local.Tenants/Destroy"
)

// backupChunk is the size of a piece of a backup on its way.
const backupChunk = 256 << 10

// registerLocal puts the methods on the local server.
func registerLocal(s *grpc.Server, g *gate, backup func(context.Context, io.Writer) error, destroy func(context.Context, string) (int, error)) {
	g.scopes[BackupMethod], g.scopes[DestroyTenantMethod] = "system.admin", "system.admin"
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "watchword.local.Tenants",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Destroy",
			Handler: func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
				name := &wrapperspb.StringValue{}
				if err := decode(name); err != nil {
					return nil, err
				}
				return intercept(ctx, name, &grpc.UnaryServerInfo{FullMethod: DestroyTenantMethod}, func(ctx context.Context, _ any) (any, error) {
					n, err := destroy(ctx, name.GetValue())
					return wrapperspb.UInt64(uint64(n)), err
				})
			},
		}},
	}, nil)
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

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// healthService is gRPC's own, whose watches would last as long as their caller
// wants and hold up a stop. Here they end with it, when their caller has been
// told that nobody serves.
type healthService struct {
	*health.Server
	ending <-chan struct{}
}

// Watch implements the service.
func (h healthService) Watch(in *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		select {
		case <-h.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	w := &healthWatch{ServerStreamingServer: stream, ctx: ctx}
	err := h.Server.Watch(in, w)
	select {
	case <-h.ending:
	default:
		return err
	}
	if w.told != healthpb.HealthCheckResponse_NOT_SERVING {
		if err := stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}); err != nil {
			return err
		}
	}
	return status.Error(codes.Unavailable, "the server stops")
}

// healthWatch remembers what was told last.
type healthWatch struct {
	grpc.ServerStreamingServer[healthpb.HealthCheckResponse]
	ctx  context.Context
	told healthpb.HealthCheckResponse_ServingStatus
}

func (w *healthWatch) Context() context.Context { return w.ctx }

func (w *healthWatch) Send(r *healthpb.HealthCheckResponse) error {
	w.told = r.GetStatus()
	return w.ServerStreamingServer.Send(r)
}

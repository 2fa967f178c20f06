// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// bare is a gRPC server without anything behind it, which refuses every login.
type bare struct {
	watchwordv1.UnimplementedCredentialServiceServer
	refusal error
}

func (b bare) VerifyPassword(context.Context, *watchwordv1.VerifyPasswordRequest) (*watchwordv1.VerifyPasswordResponse, error) {
	return nil, b.refusal
}

// runBare is the program of a bare server.
func runBare() {
	refusal, err := status.New(codes.ResourceExhausted, "busy").WithDetails(
		&errdetails.ErrorInfo{Reason: "HASH_CAPACITY", Domain: "watchword"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := grpc.NewServer()
	watchwordv1.RegisterCredentialServiceServer(s, bare{refusal: refusal.Err()})
	if len(os.Args) > 1 {
		checks, err := newBareChecks(os.Args[1])
		if err != nil {
			panic(err)
		}
		watchwordv1.RegisterPasswordServiceServer(s, checks)
	}
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Info("ready", "grpc", l.Addr().String())
	panic(s.Serve(l))
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"google.golang.org/protobuf/types/known/wrapperspb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/rpc"
)

// Operator speaks with a running server through the socket in its data
// directory.
type Operator struct {
	Admin  watchwordv1.AdminServiceClient
	Health healthpb.HealthClient
	conn   *grpc.ClientConn
}

// ErrNotRunning is returned when no server runs on the data directory.
var ErrNotRunning = errors.New("no server is running on this data directory")

// Operate connects to the server that runs on a data directory.
func Operate(dir string) (*Operator, error) {
	path := dataDir(dir).path(socketFile)
	switch probe, err := net.Dial("unix", path); {
	case err == nil:
		probe.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED): // left by one that was killed
		return nil, ErrNotRunning
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("admin socket: only the user that the server runs as may do this")
	default:
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return &Operator{Admin: watchwordv1.NewAdminServiceClient(conn), Health: healthpb.NewHealthClient(conn), conn: conn}, nil
}

// DestroyTenant destroys a tenant, and tells how many credentials it had.
func (o *Operator) DestroyTenant(ctx context.Context, name string) (uint64, error) {
	var n wrapperspb.UInt64Value
	err := o.conn.Invoke(ctx, rpc.DestroyTenantMethod, wrapperspb.String(name), &n)
	return n.GetValue(), err
}

// Close ends the connection.
func (o *Operator) Close() error { return o.conn.Close() }

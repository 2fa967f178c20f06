// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"net"
)

// Bind opens a door as Start does, on an installation with or without keys
// other than the owner's.
func Bind(ctx context.Context, c Config, addr string, otherKeys bool) (net.Listener, error) {
	return bind(ctx, door{"listen.http", addr}, func() error { return c.interlock(otherKeys) })
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon_test

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/watchword-project/watchword/server/internal/daemon"
)

// TestOperateWithoutServer: a server that was killed leaves its socket, and
// commands that work on a stopped one must take it for that.
func TestOperateWithoutServer(t *testing.T) {
	dir := t.TempDir()
	if _, err := daemon.Operate(dir); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("without a socket: %v", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "admin.sock")})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if o, err := daemon.Operate(dir); err != nil {
		t.Errorf("with somebody behind the socket: %v", err)
	} else {
		o.Close()
	}
	l.Close()
	if _, err := daemon.Operate(dir); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("with the socket of a server that was killed: %v", err)
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"google.golang.org/grpc"

	"github.com/watchword-project/watchword/server/internal/rpc"
)

// adminDoor is a Unix socket in the data directory through which the server's
// own commands reach it. Who may use it is asked of the kernel: the same user,
// and nobody else.
type adminDoor struct {
	server *grpc.Server
	l      net.Listener
	path   string
}

func openAdmin(path string, s *rpc.Server) (*adminDoor, error) {
	// The store's lock is held, so a socket that is still there is left over.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	// Until here nobody else came near: the data directory has mode 0700. The
	// umask would say it in one step, but for every file of the process.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), l.Close())
	}
	return &adminDoor{server: s.Admin(), l: &sameUser{l.(*net.UnixListener)}, path: path}, nil
}

func (d *adminDoor) serve() error { return d.server.Serve(d.l) }

func (d *adminDoor) close() { d.server.Stop() }

// sameUser drops connections of other users.
type sameUser struct{ *net.UnixListener }

func (l *sameUser) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(c); err == nil && uid == os.Getuid() {
			return c, nil
		}
		c.Close()
	}
}

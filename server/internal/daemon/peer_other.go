// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !linux

package daemon

import (
	"errors"
	"net"
)

// peerUID is not known on this system; the socket's mode and the directory's
// are what keeps others out, and where even that is not to be had, nobody is
// let in.
func peerUID(*net.UnixConn) (int, error) {
	return 0, errors.New("no peer credentials on this system")
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/watchword-project/watchword/server/internal/identity"
)

// socket is the other end of the connection a call came in on.
type socket struct {
	addr  netip.Addr          // invalid for a Unix socket
	chain []*x509.Certificate // verified at the handshake, the client's own first
	guest *guest              // the connection, if it came through a Door
}

// arrival is what the REST door learned of a call. It travels as a context
// value, within the process, so no header or metadata of the caller can forge
// it.
type arrival struct {
	socket
	caller *identity.Caller
	// authorization is what the caller has shown, to be looked at again.
	authorization string
	id            string
	header        http.Header // those that carry a trace on
	fault         *fieldError // of the body, where it is known
}

type arrivalKey struct{}

func withArrival(ctx context.Context, a *arrival) context.Context {
	return context.WithValue(ctx, arrivalKey{}, a)
}

// arrivalOf gives what the REST door learned, or nil for a call over gRPC.
func arrivalOf(ctx context.Context) *arrival {
	if a := requestArrival(ctx); a != nil {
		return a
	}
	if outer := inprocgrpc.ClientContext(ctx); outer != nil { // of a stream
		return requestArrival(outer)
	}
	return nil
}

func requestArrival(ctx context.Context) *arrival {
	a, _ := ctx.Value(arrivalKey{}).(*arrival)
	return a
}

// socketOf gives the peer of a call that came over the network.
func socketOf(ctx context.Context) socket {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return socket{}
	}
	s := socketAt(p.Addr)
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 {
		s.chain = info.State.VerifiedChains[0]
	}
	return s
}

// socketAt gives what the address of a connection tells.
func socketAt(a net.Addr) (s socket) {
	if g, ok := a.(guestAddr); ok {
		s.guest, a = g.guest, g.Addr
	}
	if t, ok := a.(*net.TCPAddr); ok {
		s.addr = t.AddrPort().Addr().Unmap().WithZone("")
	}
	return s
}

// oneAuthorization gives the authorization header of a call, "" where there is
// none. With two of them nobody is identified, be it by a certificate: a proxy
// and the server could each believe another one.
func oneAuthorization(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", identity.ErrDenied
}

// String names the peer in logs.
func (s socket) String() string {
	if !s.addr.IsValid() {
		return "local"
	}
	return s.addr.String()
}

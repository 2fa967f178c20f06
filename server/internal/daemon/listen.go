// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/rpc"
)

func validTenant(name string) bool { return identity.ValidTenant(name) }

// door is one address that the server is to listen on.
type door struct {
	name string // of the setting
	addr string
}

// maxConnections bounds the connections of one door. Those beyond wait to be
// accepted until others end, which silent ones do: within strangersPatience, or
// within minutes once somebody was identified. One address has no more than its
// share of them, which is plenty for a proxy that brings all callers.
const (
	maxConnections    = 8192
	addressShare      = maxConnections / 4
	strangersPatience = 15 * time.Second
)

// How long a caller may take to read what it asked for: the bulk methods of
// REST answer at length, the adapters in a few bytes.
const (
	restWrite    = time.Minute
	adapterWrite = 30 * time.Second
)

// webServer serves HTTP at one door, within its limits. What net/http has to
// say is dropped: mostly handshakes of port scanners, with texts of theirs.
func webServer(h http.Handler, t *tls.Config, write time.Duration) *http.Server {
	return &http.Server{
		Handler: h, TLSConfig: t.Clone(), ConnContext: rpc.ConnContext,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: write, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

// bind opens a door. What counts as loopback is decided on the socket that
// came out, not on the text: names, empty hosts, zones and odd spellings of an
// address all end there.
func bind(ctx context.Context, d door, exposed func() error) (net.Listener, error) {
	ap, err := resolve(ctx, d)
	if err != nil {
		return nil, err
	}
	if !ap.Addr().Unmap().IsLoopback() {
		if err := exposed(); err != nil {
			return nil, fmt.Errorf("%s would be reachable from outside this machine: %w", d.name, err)
		}
	}
	l, err := net.Listen("tcp", ap.String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	l = netutil.LimitListener(l, maxConnections)
	if got := addrPort(l); got.Addr().Unmap().IsLoopback() != ap.Addr().Unmap().IsLoopback() {
		l.Close()
		return nil, fmt.Errorf("%s: the socket was bound elsewhere than to the address that was checked", d.name)
	}
	return l, nil
}

// guard lets those who have shown nothing have only so much of a door. liveness
// tells that it answers, without a key, to whom allow leaves out too.
func (s *Server) guard(l net.Listener, name string, allow []netip.Prefix, liveness bool) net.Listener {
	return &rpc.Door{Listener: l, Name: name, Allow: allow, Liveness: liveness, Share: addressShare, Patience: strangersPatience,
		Log: s.log, Journal: s.journal, Observer: s.observer()}
}

func addrPort(l net.Listener) netip.AddrPort {
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// resolve gives the one address a door's text stands for. A name with several
// addresses is refused: some of them could be open to others.
func resolve(ctx context.Context, d door) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(d.addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s is not host:port", d.name)
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s has no usable port", d.name)
	}
	if host == "" {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(n)), nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(a, uint16(n)), nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return netip.AddrPort{}, fmt.Errorf("%s: the host has no address", d.name)
	}
	first := addrs[0].Unmap()
	for _, a := range addrs {
		if a.Unmap().IsLoopback() != first.IsLoopback() {
			return netip.AddrPort{}, fmt.Errorf("%s: the host has addresses on and off the loopback: write one address", d.name)
		}
		if a.Unmap().Is4() {
			first = a.Unmap()
		}
	}
	return netip.AddrPortFrom(first, uint16(n)), nil
}

// interlock says what is missing before a listener may be reached from
// outside, and how to mend it.
func (c Config) interlock(otherKeys bool) error {
	var missing []string
	if c.Listen.TLS.Cert == "" {
		missing = append(missing, "set listen.tls.cert and listen.tls.key, so that nothing is sent in plaintext")
	}
	if !c.allowWritten || len(c.Listen.Allow) == 0 {
		missing = append(missing, "write listen.allow into the configuration file, with the networks that may connect")
	}
	if c.Listen.TLS.ClientCA == "" && c.Auth.OIDC.Issuer == "" && !otherKeys {
		missing = append(missing, "let callers identify themselves: set listen.tls.client_ca or auth.oidc, or start on the loopback once and create a key (watchword-server key create)")
	}
	if c.Hashing.InsecureTestCost {
		missing = append(missing, "remove hashing.insecure_test_cost")
	}
	if len(missing) == 0 {
		return nil
	}
	return errors.New("refusing to start. To fix it: " + strings.Join(missing, "; "))
}

// serverTLS builds the TLS configuration of both doors, or nil without one.
func (c Config) serverTLS() (*tls.Config, error) {
	if c.Listen.TLS.Cert == "" {
		return nil, nil
	}
	if err := private(c.Listen.TLS.Key); err != nil {
		return nil, fmt.Errorf("listen.tls.key: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.Listen.TLS.Cert, c.Listen.TLS.Key)
	if err != nil {
		return nil, fmt.Errorf("listen.tls: %w", err)
	}
	t := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if c.Listen.TLS.ClientCA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.Listen.TLS.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("listen.tls.client_ca: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("listen.tls.client_ca holds no certificate")
	}
	t.ClientAuth = tls.RequireAndVerifyClientCert
	// A resumed session would skip the check against a changed authority
	// (CVE-2025-68121).
	t.SessionTicketsDisabled = true
	return t, nil
}

// certificates maps the configured certificate names to callers.
func (c Config) certificates() (map[string]*identity.Caller, error) {
	out := make(map[string]*identity.Caller)
	for i, m := range c.Auth.MTLS {
		tenant := m.Tenant
		if tenant == "" {
			tenant = identity.DefaultTenant
		}
		switch {
		case m.Name == "":
			return nil, fmt.Errorf("auth.mtls[%d].name is empty", i)
		case out[m.Name] != nil:
			return nil, fmt.Errorf("auth.mtls[%d].name stands twice", i)
		case !validTenant(tenant):
			return nil, fmt.Errorf("auth.mtls[%d].tenant is not a tenant name", i)
		case identity.CheckScopes(m.Scopes) != nil:
			return nil, fmt.Errorf("auth.mtls[%d].scopes: %w", i, identity.CheckScopes(m.Scopes))
		case identity.CombinesPresets(m.Scopes):
			return nil, fmt.Errorf("auth.mtls[%d].scopes reach into more than one of the separated roles", i)
		}
		out[m.Name] = &identity.Caller{ID: "mtls:" + m.Name, Tenant: tenant, Scopes: m.Scopes}
	}
	return out, nil
}

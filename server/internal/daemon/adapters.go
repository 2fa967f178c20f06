// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/console"
	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/rpc"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// minDoorSecret is the least length of an adapter's secret, in bytes: nobody
// counts guesses at it.
const minDoorSecret = 16

// metricsSetting is the setting that opens the door for metrics.
const metricsSetting = "telemetry.metrics_addr"

// adapterDoors are the doors for foreign protocols, and for metrics, that are
// switched on.
func (c Config) adapterDoors() []door {
	var out []door
	for _, d := range []door{{"listen.auth_policy", c.Listen.AuthPolicy}, {"listen.forward_auth", c.Listen.ForwardAuth},
		{metricsSetting, c.Telemetry.MetricsAddr}} {
		if d.addr != "" {
			out = append(out, d)
		}
	}
	return out
}

// allDoors are those of callers, of foreign protocols and of the console that
// are switched on.
func (c Config) allDoors() []door {
	all := append(c.doors(), c.adapterDoors()...)
	if c.Listen.Console != "" {
		all = append(all, door{consoleSetting, c.Listen.Console})
	}
	return all
}

// checkAdapters finds what the adapters' settings lack.
func (c Config) checkAdapters() error {
	l := c.Listen
	switch {
	case l.AuthPolicy != "" && l.AuthPolicySecretFile == "":
		return errors.New("configuration: listen.auth_policy needs listen.auth_policy_secret_file")
	case l.ForwardAuthDenyStatus < 400 || l.ForwardAuthDenyStatus > 499:
		return errors.New("configuration: listen.forward_auth_deny_status must be from 400 to 499")
	case l.ForwardedHeader != "X-Forwarded-For" && l.ForwardedHeader != "Forwarded":
		return errors.New("configuration: listen.forwarded_header must be one of X-Forwarded-For, Forwarded")
	case !validTenant(l.AdapterTenant):
		return errors.New("configuration: listen.adapter_tenant is not a tenant name")
	}
	return nil
}

// doorSecret reads the credential of an adapter.
func doorSecret(key, path string) (string, error) {
	secret, err := readSecret(key, path)
	if err == nil && len(secret) < minDoorSecret {
		err = fmt.Errorf("configuration: %s: the secret is shorter than %d bytes", key, minDoorSecret)
	}
	return secret, err
}

// adapter is a door that is open.
type adapter struct {
	name     string
	listener net.Listener
	server   *http.Server
	plain    bool // never TLS
}

// openAdapters binds the adapters' doors and makes what answers behind them.
func (s *Server) openAdapters(ctx context.Context, c Config, v *verifier.Verifier, allow []netip.Prefix, t *tls.Config, exposed func() error, now func() time.Time) error {
	trusted, err := identity.ParseNetworks(c.Listen.TrustedProxies)
	if err != nil {
		return fmt.Errorf("configuration: listen.trusted_proxies: %w", err)
	}
	rules, err := c.Rules()
	if err != nil {
		return err
	}
	for _, d := range c.adapterDoors() {
		base := rpc.Adapter{Verifier: v, Tenant: c.Listen.AdapterTenant, Journal: s.journal, Log: s.log, Now: now, Observer: s.observer()}
		var handler http.Handler
		switch d.name {
		case "listen.auth_policy":
			if base.Secret, err = doorSecret("listen.auth_policy_secret_file", c.Listen.AuthPolicySecretFile); err != nil {
				return err
			}
			handler = rpc.NewAuthPolicy(base, rules.Pending)
		case metricsSetting:
			handler = s.metricsDoor()
		default:
			if c.Listen.ForwardAuthSecretFile != "" {
				if base.Secret, err = doorSecret("listen.forward_auth_secret_file", c.Listen.ForwardAuthSecretFile); err != nil {
					return err
				}
			}
			handler = rpc.NewForwardAuth(rpc.ForwardAuth{Adapter: base, Trusted: trusted,
				Header: c.Listen.ForwardedHeader, DenyStatus: c.Listen.ForwardAuthDenyStatus})
		}
		l, err := bind(ctx, d, func() error {
			if base.Secret == "" && d.name != metricsSetting {
				return errors.New("refusing to start. To fix it: set listen.forward_auth_secret_file")
			}
			return exposed()
		})
		if err != nil {
			return err
		}
		s.adapters = append(s.adapters, adapter{name: d.name, listener: s.guard(l, d.name, allow, false), server: webServer(handler, t, adapterWrite)})
	}
	return nil
}

const consoleSetting = "listen.console"

// openConsole binds the operator's page. It stays on the loopback whatever else
// is configured, and speaks without TLS there: a browser on this machine has
// no client certificate to show, and nothing leaves the machine.
func (s *Server) openConsole(ctx context.Context, c Config, allow []netip.Prefix) error {
	if c.Listen.Console == "" {
		return nil
	}
	l, err := bind(ctx, door{consoleSetting, c.Listen.Console}, func() error {
		return errors.New("refusing to start. To fix it: give listen.console an address of the loopback, such as 127.0.0.1:8480, and reach it through a tunnel")
	})
	if err != nil {
		return err
	}
	if own := addrPort(l).Addr().Unmap(); !identity.Within(allow, own) {
		return errors.Join(fmt.Errorf("%s: listen.allow holds no network with %v, so nobody could use the page: add it there", consoleSetting, own), l.Close())
	}
	s.adapters = append(s.adapters, adapter{name: consoleSetting, listener: s.guard(l, consoleSetting, allow, false), server: webServer(console.New(s.rpc.REST()), nil, restWrite), plain: true})
	return nil
}

// serveAdapters begins to answer.
func (s *Server) serveAdapters(t *tls.Config) {
	for _, a := range s.adapters {
		s.serve(func() error {
			if t != nil && !a.plain {
				return a.server.ServeTLS(a.listener, "", "")
			}
			return a.server.Serve(a.listener)
		})
	}
}

// closeDoors closes what was bound and where nobody was answered yet.
func (s *Server) closeDoors() error {
	var errs []error
	for _, l := range []net.Listener{s.grpcL, s.httpL} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	for _, a := range s.adapters {
		errs = append(errs, a.listener.Close())
	}
	s.adapters = nil
	return errors.Join(errs...)
}

// drainAdapters lets their requests end.
func (s *Server) drainAdapters(ctx context.Context) error {
	var errs []error
	for _, a := range s.adapters {
		if err := a.server.Shutdown(ctx); err != nil {
			errs = append(errs, err, a.server.Close())
		}
	}
	return errors.Join(errs...)
}

// Doors lists where the server listens, as attributes of a log line: each door
// under the last part of its setting.
func (s *Server) Doors() []any {
	out := []any{"grpc", s.GRPCAddr().String(), "http", s.HTTPAddr().String()}
	for _, a := range s.adapters {
		out = append(out, a.name[strings.LastIndexByte(a.name, '.')+1:], addrPort(a.listener).String())
	}
	return out
}

// AdapterAddr is where the door of a setting such as listen.auth_policy is;
// not valid if it is off.
func (s *Server) AdapterAddr(setting string) netip.AddrPort {
	for _, a := range s.adapters {
		if a.name == setting {
			return addrPort(a.listener)
		}
	}
	return netip.AddrPort{}
}

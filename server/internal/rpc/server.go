// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package rpc is the edge: protobuf to verifier and back. Both doors, gRPC and
// REST, pass through the same interceptors and give the same answers, and no
// Go error text leaves unless it is meant to.
package rpc

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/fullstorydev/grpchan"
	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Config is what the edge is made of.
type Config struct {
	Verifier *verifier.Verifier
	Keyring  *identity.Keyring
	Book     *policybook.Book
	Audits   Audits
	// Private are the private lists on offer; nil means none.
	Private *Private
	// Rotate makes a pepper key active, a new one for an empty id, and tells how
	// many records were sealed under it and how many were not.
	Rotate func(ctx context.Context, id string) (active string, sealed, left int, err error)
	// Backup writes a backup; only the local server offers it.
	Backup func(ctx context.Context, w io.Writer) error
	// DestroyTenant destroys a tenant and tells how many credentials it had; only
	// the local server offers it.
	DestroyTenant func(ctx context.Context, name string) (int, error)
	Access        *Access
	Log           *slog.Logger
	// TLS is used on the gRPC listener; nil means plaintext, which only a
	// loopback listener may be.
	TLS *tls.Config
	// Hosts are the names under which REST may be called besides those of the
	// loopback; AnyHost lifts the check, for a listener whose TLS certificate
	// binds the name already.
	Hosts   []string
	AnyHost bool
	// Origins are the web origins that may call REST; none by default.
	Origins []string
	// AnonymousRange are the networks that may ask for ranges without a key.
	AnonymousRange []netip.Prefix
	Installation   Installation
	// Journal keeps what happened, and Observer measures it; nil means none.
	Journal  Journal
	Observer Observer
	// Envoy adds Envoy's rate-limit service to the gRPC door.
	Envoy bool
	// Browser serves what is under BrowserPrefix on the REST door, without a
	// key; nil means nothing.
	Browser http.Handler
	// Ready tells why the service is not ready, or nil.
	Ready func() error
	Now   func() time.Time
}

// Server holds both doors.
type Server struct {
	GRPC    *grpc.Server
	health  *health.Server
	admin   *grpc.Server
	gate    *gate
	local   *inprocgrpc.Channel
	unary   map[string]unaryMethod
	streams map[string]bool // methods whose request is a stream
	watches map[string]bool // methods whose answer alone is one
	ending  chan struct{}
	end     sync.Once
	rest    *gateway
}

// callsAtOnce is how many calls a connection over gRPC may have under way.
const callsAtOnce = 100

// New builds both doors. It fails when a method of the contract declares no
// scope.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{health: health.NewServer(), local: &inprocgrpc.Channel{}, unary: map[string]unaryMethod{}, streams: map[string]bool{},
		watches: map[string]bool{}, ending: make(chan struct{}),
		gate: &gate{access: cfg.Access, log: cfg.Log, journal: cfg.Journal, observer: cfg.Observer}}
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		// What does not exist passes the gate too: only a caller learns of it.
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return errNoMethod }),
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.MaxConcurrentStreams(callsAtOnce),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 15 * time.Minute, Time: 2 * time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 20 * time.Second, PermitWithoutStream: true}),
	}
	operator := &gate{access: cfg.Access, log: cfg.Log, local: localOperator, journal: cfg.Journal, observer: cfg.Observer}
	s.admin = grpc.NewServer(append(operator.interceptors(), opts...)...)
	if cfg.TLS != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(cfg.TLS)))
	}
	// A goroutine that serves one call after the other grows its stack once; a
	// call that finds all of them busy gets one of its own, and growing that is a
	// good part of what a short call costs.
	opts = append(opts, grpc.NumStreamWorkers(callsAtOnce))
	s.GRPC = grpc.NewServer(append(s.gate.interceptors(), opts...)...)
	services := grpchan.HandlerMap{}
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	watchwordv1.RegisterPasswordServiceServer(services, &passwordService{v: cfg.Verifier})
	watchwordv1.RegisterCredentialServiceServer(services, &credentialService{v: cfg.Verifier})
	watchwordv1.RegisterLoginThrottleServiceServer(services, &throttleService{v: cfg.Verifier, ending: s.ending})
	watchwordv1.RegisterBreachServiceServer(services, &breachService{v: cfg.Verifier, private: cfg.Private})
	watchwordv1.RegisterPolicyServiceServer(services, &policyService{v: cfg.Verifier, book: cfg.Book})
	watchwordv1.RegisterAuditServiceServer(services, &auditService{audits: cfg.Audits, ending: s.ending})
	watchwordv1.RegisterAdminServiceServer(services, &adminService{keys: cfg.Keyring, rotate: cfg.Rotate, now: now, gone: cfg.Access.Gone, installation: cfg.Installation})
	services.ForEach(func(d *grpc.ServiceDesc, impl any) {
		s.GRPC.RegisterService(d, impl)
		s.admin.RegisterService(d, impl)
		s.local.RegisterService(d, impl)
		s.health.SetServingStatus(d.ServiceName, healthpb.HealthCheckResponse_NOT_SERVING)
		for _, m := range d.Methods {
			s.unary["/"+d.ServiceName+"/"+m.MethodName] = unaryMethod{service: impl, handler: m.Handler}
		}
		for _, st := range d.Streams {
			name := "/" + d.ServiceName + "/" + st.StreamName
			s.streams[name], s.watches[name] = st.ClientStreams, !st.ClientStreams
		}
	})
	s.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	ends := healthService{s.health, s.ending}
	healthpb.RegisterHealthServer(s.GRPC, ends)
	healthpb.RegisterHealthServer(s.admin, ends)
	if cfg.Envoy {
		ratelimitv3.RegisterRateLimitServiceServer(s.GRPC, &rateLimitService{v: cfg.Verifier})
	}
	reflection.Register(s.GRPC)
	s.local.WithServerUnaryInterceptor(s.gate.unary).WithServerStreamInterceptor(s.gate.stream)

	var names []string
	for name := range s.GRPC.GetServiceInfo() {
		names = append(names, name)
	}
	scopes, err := scopeTable(names)
	if err != nil {
		return nil, err
	}
	s.gate.scopes, operator.scopes = scopes, maps.Clone(scopes)
	if s.gate.events, err = eventTable(scopes); err != nil {
		return nil, err
	}
	operator.events = s.gate.events
	registerLocal(s.admin, operator, cfg.Backup, cfg.DestroyTenant)
	s.rest, err = newGateway(ctx, s, cfg)
	return s, err
}

// Admin is the gRPC server for a listener that only the operator of this very
// machine can reach: it takes every call for the operator's.
func (s *Server) Admin() *grpc.Server { return s.admin }

// REST is the HTTP door.
func (s *Server) REST() http.Handler { return s.rest }

// Serving tells the health service of the readiness.
func (s *Server) Serving(ready bool) {
	if ready {
		s.health.Resume()
	} else {
		s.health.Shutdown()
	}
}

// EndWatches ends the streams that would otherwise last as long as their
// caller wants.
func (s *Server) EndWatches() { s.end.Do(func() { close(s.ending) }) }

// Methods lists the methods that need a key, with their scopes.
func (s *Server) Methods() map[string]string { return s.gate.scopes }

// Routes lists the REST routes that need a key, with their methods.
func (s *Server) Routes() map[string]string {
	out := make(map[string]string)
	for path, r := range s.rest.routes {
		out[path] = r.method
	}
	return out
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/watchword-project/watchword/server/internal/identity"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Authenticator turns what a call brings into a caller.
type Authenticator interface {
	// Authenticate returns identity.ErrDenied or identity.ErrRefused for a call
	// that is not let in.
	Authenticate(key string, from netip.Addr) (*identity.Caller, error)
}

// Tokens turns an access token into a caller.
type Tokens interface {
	// Authenticate returns identity.ErrDenied for a token that is not taken.
	Authenticate(ctx context.Context, token string) (*identity.Caller, error)
}

// Access decides who may call what. Every method needs a scope, declared in
// the contract; what has none is open to nobody.
type Access struct {
	// Keys knows the API keys.
	Keys Authenticator
	// Tokens knows access tokens; nil means that none is taken.
	Tokens Tokens
	// Certificates maps names of verified client certificates to callers.
	Certificates map[string]*identity.Caller
	// Trusts tells whether a chain that was verified at its handshake would be
	// now; nil means that all would. A connection may outlive its certificate,
	// or the authority that signed it.
	Trusts func(chain []*x509.Certificate) bool
	// Gone tells of a tenant that was destroyed: its callers are nobody's.
	Gone func(tenant string) bool
	// Allow is the list of networks that may connect at all.
	Allow []netip.Prefix
	// RPS and Concurrency bound each caller; 0 means no bound.
	RPS         float64
	Concurrency int

	mu     sync.Mutex
	quotas map[string]*quota
	crowd  int // so many quotas, and those at rest are looked for
}

type quota struct {
	rate    *rate.Limiter
	running chan struct{}
}

// Why a caller is refused: the log tells it, and the answer does not.
var (
	errNetwork = fmt.Errorf("%w: the address is not in listen.allow", identity.ErrRefused)
	errScope   = fmt.Errorf("%w: the scope of the method is missing", identity.ErrRefused)
	errHost    = fmt.Errorf("%w: the Host header names neither this machine nor one of listen.hosts", identity.ErrRefused)
	errOrigin  = fmt.Errorf("%w: the web page's origin is not in listen.cors_origins", identity.ErrRefused)
)

// open are the methods that need no key: liveness and nothing else.
var open = []string{"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch"}

// foreign are the scopes of methods whose protos are not ours.
var foreign = map[string]string{
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      "system.read",
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "system.read",
	"/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit":   "throttle.attempt",
}

// scopeTable reads the scope of every method of the registered services. A
// method without a scope, or with one that is not the contract's, stops the
// start.
func scopeTable(services []string) (map[string]string, error) {
	table := make(map[string]string)
	for _, name := range services {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return nil, fmt.Errorf("service %s has no descriptor: %w", name, err)
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			m := methods.Get(i)
			full := fmt.Sprintf("/%s/%s", name, m.Name())
			if slices.Contains(open, full) {
				continue
			}
			scope := foreign[full]
			if scope == "" {
				scope, _ = proto.GetExtension(m.Options(), watchwordv1.E_Scope).(string)
			}
			if !slices.Contains(identity.Scopes, scope) {
				return nil, fmt.Errorf("method %s declares no scope of the contract", full)
			}
			table[full] = scope
		}
	}
	return table, nil
}

// authenticate gives the caller of a connection and its authorization header.
// A key or a token wins over a certificate: a proxy's own certificate must not
// lend its scopes to whoever it passes on.
func (a *Access) authenticate(ctx context.Context, s socket, authorization string) (*identity.Caller, error) {
	c, err := a.identify(ctx, s, authorization)
	if err == nil && a.Gone != nil && a.Gone(tenantOf(c)) {
		return nil, identity.ErrDenied
	}
	if err == nil {
		s.guest.vouch()
	}
	return c, err
}

func (a *Access) identify(ctx context.Context, s socket, authorization string) (*identity.Caller, error) {
	if len(a.Allow) > 0 && s.addr.IsValid() && !identity.Within(a.Allow, s.addr) {
		return nil, errNetwork
	}
	if len(s.chain) > 0 && a.Trusts != nil && !a.Trusts(s.chain) {
		return nil, identity.ErrDenied
	}
	if authorization != "" {
		key, ok := strings.CutPrefix(authorization, "Bearer ")
		if !ok {
			return nil, identity.ErrDenied
		}
		if a.Tokens != nil && !identity.LooksLikeKey(key) {
			return a.Tokens.Authenticate(ctx, key)
		}
		return a.Keys.Authenticate(key, s.addr)
	}
	if len(s.chain) > 0 {
		for _, name := range certificateNames(s.chain[0]) {
			if c, ok := a.Certificates[name]; ok {
				return c, nil
			}
		}
	}
	return nil, identity.ErrDenied
}

// certificateNames are the names a certificate can be known by: the subject
// alternative names, and the common name only when there are none.
func certificateNames(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

// enter takes the caller's quota for one call and gives the function that
// returns it.
func (a *Access) enter(c *identity.Caller) (func(), error) {
	if a.RPS <= 0 && a.Concurrency <= 0 {
		return func() {}, nil
	}
	q := a.quota(c.ID)
	if q.rate != nil && !q.rate.Allow() {
		return nil, &quotaError{}
	}
	if q.running == nil {
		return func() {}, nil
	}
	select {
	case q.running <- struct{}{}:
		return func() { <-q.running }, nil
	default:
		return nil, &quotaError{}
	}
}

func (a *Access) quota(id string) *quota {
	a.mu.Lock()
	defer a.mu.Unlock()
	q, ok := a.quotas[id]
	if !ok {
		q = &quota{}
		if a.RPS > 0 {
			q.rate = rate.NewLimiter(rate.Limit(a.RPS), max(1, int(a.RPS)))
		}
		if a.Concurrency > 0 {
			q.running = make(chan struct{}, a.Concurrency)
		}
		if a.quotas == nil {
			a.quotas = make(map[string]*quota)
		}
		if len(a.quotas) >= max(a.crowd, maxQuotas) {
			a.forgetIdle()
			a.crowd = 2 * len(a.quotas) // not one look for each who comes, where nobody rests
		}
		a.quotas[id] = q
	}
	return q
}

// maxQuotas is how many callers are counted before those at rest are forgotten:
// keys and certificates are few, but an issuer may know any number of subjects.
const maxQuotas = 4096

// forgetIdle drops the quotas that are whole, which a new one would be as well.
func (a *Access) forgetIdle() {
	for id, q := range a.quotas {
		if (q.rate == nil || q.rate.Tokens() >= float64(q.rate.Burst())) && len(q.running) == 0 {
			delete(a.quotas, id)
		}
	}
}

type callerKey struct{}

// callerOf gives the caller that the interceptor let in.
func callerOf(ctx context.Context) *identity.Caller {
	return ctx.Value(callerKey{}).(*identity.Caller)
}

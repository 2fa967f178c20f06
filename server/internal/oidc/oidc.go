// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package oidc turns access tokens (RFC 9068, RFC 8725) into callers. Issuer,
// audience and algorithms are pinned by the configuration; what a token's own
// header says about keys is not believed. What a caller may do follows from
// claims that the configuration names, and from nothing else.
package oidc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-project/watchword/server/internal/identity"
)

// Bounds of the settings.
const (
	maxLeeway   = 5 * time.Minute
	maxLifetime = 24 * time.Hour
	minRefresh  = time.Second
	maxKeep     = 7 * 24 * time.Hour
	maxGrants   = 256
)

// Algorithms are those that may be pinned. All are asymmetric: with a shared
// secret, whoever checks tokens could make them.
var Algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// Config says whose tokens are taken, and what they are good for.
type Config struct {
	// Issuer and Audience are demanded exactly as they stand here.
	Issuer, Audience string
	// Algorithms are the signature algorithms that are taken, one at least.
	Algorithms []string
	// JWKSURL and JWKSFile say where the issuer's keys are; at most one is set.
	// Without either, the issuer is asked (OpenID Connect Discovery 1.0 §4).
	JWKSURL, JWKSFile string
	// Roots are the authorities for the issuer's certificate; nil: the system's.
	Roots *x509.CertPool
	// ScopeClaim is a claim whose values are scopes of the contract, as text
	// with spaces or a list. What is no scope of the contract is passed over.
	// Empty: no claim is one.
	ScopeClaim string
	// Tenant is whose tokens these are, unless a grant says otherwise.
	Tenant string
	// Grants give scopes to tokens with a claim of a value.
	Grants []Grant
	// Leeway is how far clocks may be apart.
	Leeway time.Duration
	// MaxLifetime is the most that may lie between iat and exp.
	MaxLifetime time.Duration
	// Refresh is how often the keys are read again.
	Refresh time.Duration
	// Keep is how long the last good keys are used while they cannot be read.
	Keep time.Duration
	Now  func() time.Time
}

// Grant gives scopes, as they are or by a preset, to tokens in which a claim is
// a value or a list with it. A name of a claim that begins with a slash is a
// JSON pointer (RFC 6901) into the claims.
type Grant struct {
	Claim, Value string
	Tenant       string // empty: the Config's
	Preset       string
	Scopes       []string
}

// Verifier verifies tokens.
type Verifier struct {
	c      Config
	algs   []jose.SignatureAlgorithm
	client *http.Client
	keys   atomic.Pointer[keySet]
	failed atomic.Pointer[error] // of the last time that keys were read; nil: none

	turn sync.Mutex // one refresh at a time
	kick chan struct{}

	mu     sync.Mutex
	asked  time.Time     // when an unknown key last made the keys be read
	answer chan struct{} // closed when that is done; nil: nobody waits
}

// New checks the settings. An error names one, never its value.
func New(c Config) (*Verifier, error) {
	v := &Verifier{c: c, kick: make(chan struct{}, 1)}
	if c.Now == nil {
		v.c.Now = time.Now
	}
	switch {
	case c.Issuer == "" || len(c.Issuer) > maxURL:
		return nil, errors.New("issuer is empty or too long")
	case c.Audience == "":
		return nil, errors.New("audience is empty")
	case len(c.Algorithms) == 0:
		return nil, errors.New("algorithms is empty: list what the issuer signs with, such as RS256 or ES256")
	case !identity.ValidTenant(c.Tenant):
		return nil, errors.New("tenant is not a tenant name")
	case c.Leeway < 0 || c.Leeway > maxLeeway:
		return nil, fmt.Errorf("leeway must be from 0 to %v", maxLeeway)
	case c.MaxLifetime <= 0 || c.MaxLifetime > maxLifetime:
		return nil, fmt.Errorf("max_lifetime must be above 0 and at most %v", maxLifetime)
	case c.Keep < c.Refresh || c.Keep > maxKeep || c.Refresh < minRefresh:
		return nil, fmt.Errorf("refresh must be at least %v, and keep from there to %v", minRefresh, maxKeep)
	case c.JWKSURL != "" && c.JWKSFile != "":
		return nil, errors.New("jwks_url and jwks_file are both set")
	case len(c.Grants) > maxGrants:
		return nil, fmt.Errorf("grants has more than %d entries", maxGrants)
	}
	for i, name := range c.Algorithms {
		alg := jose.SignatureAlgorithm(name)
		if !slices.Contains(Algorithms, alg) {
			return nil, fmt.Errorf("algorithms[%d] is not one of %v: only signatures with a public key are taken", i, Algorithms)
		}
		v.algs = append(v.algs, alg)
	}
	if c.JWKSFile == "" {
		at, name := c.Issuer, "issuer"
		if c.JWKSURL != "" {
			at, name = c.JWKSURL, "jwks_url"
		}
		if _, err := fetchable(at, true); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	v.c.Grants = slices.Clone(c.Grants)
	for i := range v.c.Grants {
		if err := v.c.Grants[i].check(c.Tenant); err != nil {
			return nil, fmt.Errorf("grants[%d]: %w", i, err)
		}
	}
	v.client = newClient(c.Roots)
	v.keys.Store(&keySet{})
	return v, nil
}

// check completes a grant, and refuses one that could never do good.
func (g *Grant) check(tenant string) error {
	if g.Tenant == "" {
		g.Tenant = tenant
	}
	switch {
	case g.Claim == "" || g.Value == "":
		return errors.New("needs claim and value")
	case !identity.ValidTenant(g.Tenant):
		return errors.New("tenant is not a tenant name")
	case (g.Preset == "") == (len(g.Scopes) == 0):
		return errors.New("give one of preset and scopes")
	case g.Preset != "":
		scopes, ok := identity.Preset(g.Preset)
		if !ok || g.Preset == identity.PresetOwner {
			return errors.New("preset is not one")
		}
		g.Scopes = scopes
		return nil
	}
	if err := identity.CheckScopes(g.Scopes); err != nil {
		return fmt.Errorf("scopes: %w", err)
	}
	if identity.CombinesPresets(g.Scopes) {
		return errors.New("scopes reach into more than one of the separated roles")
	}
	return nil
}

// Authenticate gives the caller that a token stands for, or
// identity.ErrDenied. It waits, shortly, only for a key that is not known yet.
func (v *Verifier) Authenticate(ctx context.Context, token string) (*identity.Caller, error) {
	p, err := parse(token)
	if err != nil || !slices.Contains(v.algs, p.alg) {
		return nil, identity.ErrDenied
	}
	key := v.key(p.kid, p.alg)
	if key == nil && v.await(ctx) {
		key = v.key(p.kid, p.alg)
	}
	if key == nil {
		return nil, identity.ErrDenied
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{p.alg})
	if err != nil {
		return nil, identity.ErrDenied
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, identity.ErrDenied
	}
	claims, err := object(payload)
	if err != nil || v.valid(claims) != nil {
		return nil, identity.ErrDenied
	}
	return v.caller(claims)
}

// caller gives what the claims make of the bearer. All that grants something
// must name one tenant, and keep to one of the separated roles: otherwise
// nothing is granted at all.
func (v *Verifier) caller(claims map[string]any) (*identity.Caller, error) {
	c := &identity.Caller{ID: "oidc:" + claims["sub"].(string), Tenant: v.c.Tenant} // valid has looked at sub
	granted := false
	grant := func(tenant string, scopes []string) bool {
		if granted && tenant != c.Tenant {
			return false
		}
		granted, c.Tenant = true, tenant
		c.Scopes = append(c.Scopes, scopes...)
		return true
	}
	if v.c.ScopeClaim != "" {
		if scopes := scopesIn(at(claims, v.c.ScopeClaim)); len(scopes) > 0 {
			grant(v.c.Tenant, scopes)
		}
	}
	for _, g := range v.c.Grants {
		if !slices.Contains(texts(at(claims, g.Claim)), g.Value) {
			continue
		}
		if !grant(g.Tenant, g.Scopes) {
			return nil, identity.ErrDenied
		}
		c.Preset = g.Preset
	}
	c.Scopes = slices.Compact(slices.Sorted(slices.Values(c.Scopes)))
	if identity.CombinesPresets(c.Scopes) {
		return nil, identity.ErrDenied
	}
	return c, nil
}

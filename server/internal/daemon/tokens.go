// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/watchword-project/watchword/server/internal/exposure"
	"github.com/watchword-project/watchword/server/internal/oidc"
)

// openTokens makes what verifies access tokens; nil when they are not taken. An
// issuer that does not answer is no reason not to start: its tokens are refused
// until it does. A file that cannot be read is one.
func (s *Server) openTokens(ctx context.Context, c Config, now func() time.Time) (*oidc.Verifier, error) {
	o := c.Auth.OIDC
	if o.Issuer == "" {
		if o.Audience != "" || len(o.Algorithms)+len(o.Grants) > 0 || o.ScopeClaim != "" || o.JWKSURL != "" || o.JWKSFile != "" {
			return nil, errors.New("configuration: auth.oidc.issuer is empty")
		}
		return nil, nil
	}
	oc := oidc.Config{Issuer: o.Issuer, Audience: o.Audience, Algorithms: o.Algorithms, JWKSURL: o.JWKSURL, JWKSFile: o.JWKSFile,
		ScopeClaim: o.ScopeClaim, Tenant: o.Tenant, Leeway: o.Leeway, MaxLifetime: o.MaxLifetime, Refresh: o.Refresh, Keep: o.Keep, Now: now}
	for _, g := range o.Grants {
		oc.Grants = append(oc.Grants, oidc.Grant(g))
	}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("configuration: auth.oidc.ca: %w", err)
		}
		oc.Roots = x509.NewCertPool()
		if !oc.Roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("configuration: auth.oidc.ca holds no certificate")
		}
	}
	v, err := oidc.New(oc)
	if err != nil {
		return nil, fmt.Errorf("configuration: auth.oidc.%w", err)
	}
	switch _, err := v.Refresh(ctx); {
	case err != nil && o.JWKSFile != "":
		return nil, fmt.Errorf("configuration: auth.oidc.%w", err)
	case err != nil:
		s.log.Error("the token issuer's keys cannot be read: its tokens are refused until they can", "error", err)
		s.journal.note("oidc.keys", "FAILED", nil)
	default:
		s.sayTokenKeys(v)
	}
	return v, nil
}

func (s *Server) sayTokenKeys(v *oidc.Verifier) {
	_, n := v.Read()
	s.log.Info("the token issuer's keys were read", "keys", n)
	if n == 0 {
		s.log.Warn("the token issuer has no key for the configured algorithms: every token is refused")
	}
	s.journal.note("oidc.keys", "OK", nil)
}

// noteTokenKeys tells of changed keys, of the first failure to read them, and
// of its end.
func (s *Server) noteTokenKeys() func(changed bool, err error) {
	at, _ := s.tokens.Read()
	lost := at.IsZero()
	return func(changed bool, err error) {
		switch {
		case err != nil && !lost:
			s.log.Error("the token issuer's keys cannot be read; those before stay good for a while", "keep", s.config.Auth.OIDC.Keep.String(), "error", err)
			s.journal.note("oidc.keys", "FAILED", nil)
		case err == nil && (changed || lost):
			s.sayTokenKeys(s.tokens)
		}
		lost = err != nil
	}
}

// addIssuer tells what the configuration says of the token issuer.
func (f *facts) addIssuer(o OIDC) {
	if o.Issuer == "" {
		return
	}
	f.Issuer = &exposure.Issuer{Lifetime: o.MaxLifetime}
	if o.JWKSFile == "" {
		u, err := url.Parse(cmp.Or(o.JWKSURL, o.Issuer))
		f.Issuer.Plain = err == nil && u.Scheme != "https" && !loopbackHost(u.Hostname())
	}
}

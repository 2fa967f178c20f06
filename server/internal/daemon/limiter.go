// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/redisthrottle"
	"github.com/watchword-project/watchword/server/internal/throttle"
)

// limiter opens the throttle: on its state in the data directory, or on Redis
// with a stricter limiter in process for when that is lost.
func (s *Server) limiter(c Config, dir dataDir, master []byte, now func() time.Time) (*throttle.Limiter, error) {
	rules, err := c.Rules()
	if err != nil {
		return nil, err
	}
	config := throttle.Config{
		Rules: &rules, Log: s.log, Now: now, DenyOnLoss: c.Throttle.OnStoreFailure == "deny",
		Keys: throttle.Keys{Names: derive(master, "throttle names"), Tokens: [][]byte{derive(master, "throttle tokens")}},
	}
	var store throttle.Store
	if c.Throttle.Store == "redis" {
		rc, err := c.Redis.throttle()
		if err != nil {
			return nil, err
		}
		shared, err := redisthrottle.Open(rc)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		store = shared
		s.spawn(func() { s.inspectCounters(shared) })
	} else {
		config.Memory.Dir = dir.path(throttleDir)
		if err := os.MkdirAll(config.Memory.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	l, err := throttle.New(config, store)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	s.onClose(func(context.Context) error { return l.Close() })
	return l, nil
}

// inspectCounters warns of settings of Redis that do not suit counters. One that
// cannot be asked is no reason not to start: that it is lost, the limiter says.
func (s *Server) inspectCounters(store *redisthrottle.Store) {
	facts, err := store.Inspect(context.Background()) // bounds itself
	if err != nil {
		return
	}
	for _, w := range facts.Warnings() {
		s.log.Warn(w)
	}
}

// Rules are those of the profile, with the two numbers the configuration may
// change.
func (c Config) Rules() (throttle.Rules, error) {
	rules, err := throttle.ProfileRules(c.Throttle.Profile)
	if err != nil {
		return rules, fmt.Errorf("configuration: throttle.profile: %w", err)
	}
	if n := c.Throttle.SubjectFree; n != nil {
		for i := range rules.Unknown {
			rules.Unknown[i].Free = *n
		}
	}
	if n := c.Throttle.PrefixBurst; n != nil {
		rules.Address.Burst = *n
	}
	return rules, nil
}

func (r Redis) throttle() (redisthrottle.Config, error) {
	password, err := r.password()
	if err != nil {
		return redisthrottle.Config{}, err
	}
	t, err := r.TLS.config()
	return redisthrottle.Config{Mode: r.Mode, Addrs: r.Addrs, Master: r.Master, Username: r.Username, Password: password, TLS: t}, err
}

func (r Redis) password() (string, error) {
	if r.PasswordFile == "" {
		return "", nil
	}
	return readSecret("redis.password_file", r.PasswordFile)
}

// readSecret reads a secret's file, which only its owner may read.
func readSecret(key, path string) (string, error) {
	if err := private(path); err != nil {
		return "", fmt.Errorf("configuration: %s: %w", key, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("configuration: %s: %w", key, err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", fmt.Errorf("configuration: %s: the file is empty", key)
	}
	return text, nil
}

func (t RedisTLS) config() (*tls.Config, error) {
	if t == (RedisTLS{}) {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.Name}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("configuration: redis.tls.ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("configuration: redis.tls.ca holds no certificate")
		}
	}
	if t.Cert != "" {
		if err := private(t.Key); err != nil {
			return nil, fmt.Errorf("configuration: redis.tls.key: %w", err)
		}
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("configuration: redis.tls: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

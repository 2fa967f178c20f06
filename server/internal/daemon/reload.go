// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// reloadEvery is how often the certificate's files are looked at.
const reloadEvery = 2 * time.Second

// certificates gives each new connection the TLS configuration that is in
// force. A changed set of files is taken whole or not at all: as long as it
// does not hold together, the last good one stays.
type certificates struct {
	config  Config
	current atomic.Pointer[tls.Config]
	turn    sync.Mutex // one look at a time
	taken   [sha256.Size]byte
	refused [sha256.Size]byte
	now     func() time.Time

	mu      sync.Mutex
	trusted map[[sha256.Size]byte]time.Time // client certificates, and until when
}

// maxTrusted bounds the certificates that are remembered.
const maxTrusted = 4096

// trusts tells whether the authority in force stands behind a client's chain.
func (r *certificates) trusts(chain []*x509.Certificate) bool {
	now, sum := r.now(), sha256.Sum256(chain[0].Raw)
	r.mu.Lock()
	until, known := r.trusted[sum]
	roots := r.current.Load().ClientCAs
	r.mu.Unlock()
	if known {
		return now.Before(until)
	}
	if roots == nil {
		return true // nobody is asked for one any more
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	verified, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return false
	}
	until = chain[0].NotAfter
	for _, c := range verified[0] {
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current.Load().ClientCAs != roots {
		return true // good under the one before; the next call asks the new one
	}
	if len(r.trusted) >= maxTrusted {
		clear(r.trusted)
	}
	r.trusted[sum] = until
	return true
}

// newCertificates reads the files; nil without TLS.
func newCertificates(c Config, now func() time.Time) (*certificates, error) {
	if c.Listen.TLS.Cert == "" {
		return nil, nil
	}
	r := &certificates{config: c, now: now}
	t, err := c.serverTLS()
	if err != nil {
		return nil, err
	}
	r.taken = r.content()
	r.install(t)
	return r, nil
}

func (r *certificates) install(t *tls.Config) {
	t.NextProtos = []string{"h2", "http/1.1"}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trusted = make(map[[sha256.Size]byte]time.Time)
	r.current.Store(t)
}

// tls gives a configuration that asks for the one in force at each handshake.
func (r *certificates) tls() *tls.Config {
	if r == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, SessionTicketsDisabled: r.config.Listen.TLS.ClientCA != "",
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.current.Load(), nil }}
}

// content tells one state of the files from another. A file that cannot be read
// is a state, too.
func (r *certificates) content() (sum [sha256.Size]byte) {
	h := sha256.New()
	t := r.config.Listen.TLS
	for _, path := range []string{t.Cert, t.Key, t.ClientCA} {
		part := sha256.Sum256(nil)
		if path != "" {
			if b, err := os.ReadFile(path); err == nil {
				part = sha256.Sum256(append([]byte{1}, b...))
			}
		}
		h.Write(part[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// look takes the files if they changed, and tells whether it did. The error of
// a set that does not hold together comes once.
func (r *certificates) look() (taken bool, err error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	before := r.content()
	if before == r.taken || before == r.refused {
		return false, nil
	}
	t, err := r.config.serverTLS()
	if r.content() != before {
		return false, nil // somebody is writing: the next look will see it whole
	}
	if err != nil {
		r.refused = before
		return false, err
	}
	r.taken, r.refused = before, [sha256.Size]byte{}
	r.install(t)
	return true, nil
}

// watchCertificates looks again and again until ctx ends.
func (s *Server) watchCertificates(ctx context.Context) {
	every(ctx, reloadEvery, s.reloadCertificates)
}

func (s *Server) reloadCertificates() {
	if s.certs == nil {
		return
	}
	switch taken, err := s.certs.look(); {
	case err != nil:
		s.reloads.note(partCertificates, err)
		s.log.Error("a changed certificate was not taken; the one before stays in force", "error", err)
		s.journal.note("tls.reload", "FAILED", nil)
	case taken:
		s.reloads.note(partCertificates, nil)
		s.log.Info("a changed certificate was taken")
		s.journal.note("tls.reload", "OK", nil)
	}
}

// sayCorpus tells what came of a changed corpus.
func (s *Server) sayCorpus(name string, err error) {
	s.reloads.note(partCorpora, err)
	if err != nil {
		s.log.Error("a changed corpus was not taken", "corpus", name, "error", err)
		return
	}
	s.log.Info("a changed corpus was taken", "corpus", name)
}

// Reload reads certificates, corpora, policies, keys and tenants again at once.
// What cannot be read leaves in force what was; whatever does not say so in the
// log itself is an error.
func (s *Server) Reload(ctx context.Context) error {
	s.reloadCertificates()
	s.corpora.Check(ctx, s.sayCorpus)
	var tokens error
	if s.tokens != nil {
		_, tokens = s.tokens.Refresh(ctx)
	}
	return errors.Join(tokens, s.keys.Refresh(ctx), s.book.Refresh(ctx), s.tenants.refresh(ctx))
}

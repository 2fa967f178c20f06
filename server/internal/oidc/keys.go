// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of what is fetched.
const (
	maxURL      = 2 << 10
	maxDocument = 256 << 10
	maxKeys     = 64
	fetchLimit  = 5 * time.Second // for one document
	minRSA      = 2048            // bits; NIST SP 800-131A
	maxRSA      = 8192
)

// fileRefresh is how often a file of keys is looked at.
const fileRefresh = 2 * time.Second

// A token with a key that nobody has seen makes the keys be read at once, if
// that has not happened within askEvery, and waits at most awaitLimit for it.
// Whoever sends made-up names of keys costs one fetch in askEvery.
const (
	askEvery   = 10 * time.Second
	awaitLimit = 2 * time.Second
)

// firstRetry is the wait after a first failure; it doubles up to Refresh.
const firstRetry = time.Second

type keySet struct {
	keys []publicKey
	read time.Time
	sum  [sha256.Size]byte
}

type publicKey struct {
	id, alg string
	key     any
}

// key gives the key of a name for an algorithm, or nil. Two keys that both
// could be meant are none.
func (v *Verifier) key(id string, alg jose.SignatureAlgorithm) any {
	set := v.keys.Load()
	if v.c.Now().Sub(set.read) > v.c.Keep {
		return nil
	}
	var found any
	for _, k := range set.keys {
		if k.id != id || !fits(k.key, alg) || k.alg != "" && k.alg != string(alg) {
			continue
		}
		if found != nil {
			return nil
		}
		found = k.key
	}
	return found
}

// fits tells whether a key is of the kind that an algorithm takes (RFC 7518
// §3.1, RFC 8037 §3.1).
func fits(key any, alg jose.SignatureAlgorithm) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(string(alg), "RS") || strings.HasPrefix(string(alg), "PS")
	case *ecdsa.PublicKey:
		return alg == map[elliptic.Curve]jose.SignatureAlgorithm{elliptic.P256(): jose.ES256, elliptic.P384(): jose.ES384, elliptic.P521(): jose.ES512}[k.Curve]
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}

// Read tells when the keys in use were read, and how many there are.
func (v *Verifier) Read() (at time.Time, keys int) {
	set := v.keys.Load()
	return set.read, len(set.keys)
}

// Err gives the error with which the keys could not be read the last time.
func (v *Verifier) Err() error {
	if err := v.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Refresh reads the keys again, and tells whether they are others now. On an
// error the last good ones stay, until Config.Keep has passed.
func (v *Verifier) Refresh(ctx context.Context) (changed bool, err error) {
	v.turn.Lock()
	defer v.turn.Unlock()
	defer v.answered()
	defer func() {
		v.failed.Store(nil)
		if err != nil {
			v.failed.Store(&err)
		}
	}()
	begun := v.c.Now()
	b, err := v.document(ctx)
	if err != nil {
		return false, err
	}
	set := &keySet{read: begun, sum: sha256.Sum256(b)}
	if set.keys, err = readKeys(b); err != nil {
		return false, err
	}
	set.keys = slices.DeleteFunc(set.keys, func(k publicKey) bool {
		return k.alg != "" && !slices.Contains(v.algs, jose.SignatureAlgorithm(k.alg))
	})
	before := v.keys.Swap(set)
	return before.sum != set.sum, nil
}

// Run reads the keys again and again until ctx ends, sooner after a failure,
// and tells report of each time.
func (v *Verifier) Run(ctx context.Context, report func(changed bool, err error)) {
	period := v.c.Refresh
	if v.c.JWKSFile != "" {
		period = min(period, fileRefresh)
	}
	retry := time.Duration(0)
	if _, n := v.Read(); n == 0 {
		retry = firstRetry
	}
	for {
		wait := period
		if retry > 0 {
			wait = min(retry, period)
			wait = wait/2 + rand.N(wait/2+1) // not all servers at one moment
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-v.kick:
			t.Stop()
		case <-t.C:
		}
		changed, err := v.Refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil:
			retry = 0
		case retry == 0:
			retry = firstRetry
		default:
			retry = min(2*retry, period)
		}
		report(changed, err)
	}
}

// await asks for the keys to be read because of one that is unknown, and waits
// for the outcome. It tells whether they were.
func (v *Verifier) await(ctx context.Context) bool {
	v.mu.Lock()
	if v.answer == nil {
		now := v.c.Now()
		if since := now.Sub(v.asked); since >= 0 && since < askEvery {
			v.mu.Unlock()
			return false
		}
		v.asked, v.answer = now, make(chan struct{})
		select {
		case v.kick <- struct{}{}:
		default:
		}
	}
	answer := v.answer
	v.mu.Unlock()
	t := time.NewTimer(awaitLimit)
	defer t.Stop()
	select {
	case <-answer:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// answered lets go on who awaits.
func (v *Verifier) answered() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.answer != nil {
		close(v.answer)
		v.answer = nil
	}
}

// document gives the issuer's JSON Web Key Set.
func (v *Verifier) document(ctx context.Context) ([]byte, error) {
	switch {
	case v.c.JWKSFile != "":
		f, err := os.Open(v.c.JWKSFile)
		if err != nil {
			return nil, fmt.Errorf("jwks_file: %w", err)
		}
		defer f.Close()
		return bounded("jwks_file", f)
	case v.c.JWKSURL != "":
		return v.fetch(ctx, "jwks_url", v.c.JWKSURL, true)
	}
	// OpenID Connect Discovery 1.0 §4.1: a slash at the end of the issuer is
	// taken off before the path is put on.
	b, err := v.fetch(ctx, "discovery", strings.TrimSuffix(v.c.Issuer, "/")+"/.well-known/openid-configuration", true)
	if err != nil {
		return nil, err
	}
	doc, err := object(b)
	if err != nil {
		return nil, errors.New("discovery: not a JSON object")
	}
	if doc["issuer"] != v.c.Issuer {
		return nil, errors.New("discovery: the document is another issuer's")
	}
	at, _ := doc["jwks_uri"].(string)
	// An issuer on the network does not send its keys in plaintext.
	return v.fetch(ctx, "jwks_uri", at, strings.HasPrefix(v.c.Issuer, "http:"))
}

// fetch gets a document. Redirects are not followed: where keys are is said by
// the configuration and by the issuer's own document.
func (v *Verifier) fetch(ctx context.Context, what, at string, plain bool) ([]byte, error) {
	u, err := fetchable(at, plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: not a URL that can be asked", what)
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	resp, err := v.client.Do(req)
	if err != nil {
		var outer *url.Error // repeats the URL
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: answered with status %d", what, resp.StatusCode)
	}
	return bounded(what, resp.Body)
}

func bounded(what string, r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(b) > maxDocument {
		return nil, fmt.Errorf("%s: larger than %d bytes", what, maxDocument)
	}
	return b, nil
}

// fetchable refuses a URL from which keys are not to be taken. Plaintext is for
// the loopback.
func fetchable(at string, plain bool) (*url.URL, error) {
	u, err := url.Parse(at)
	if err != nil || len(at) > maxURL || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, errors.New("not a URL of a host, without user and fragment")
	}
	if u.Scheme == "https" {
		return u, nil
	}
	host := u.Hostname()
	a, err := netip.ParseAddr(host)
	if u.Scheme != "http" || !plain || host != "localhost" && (err != nil || !a.Unmap().IsLoopback()) {
		return nil, errors.New("not https: plaintext is for addresses of the loopback only")
	}
	return u, nil
}

// newClient gives a client that knows no proxy of the environment, follows no
// redirect, and speaks plaintext with the loopback alone, whatever a name there
// resolves to.
func newClient(roots *x509.CertPool) *http.Client {
	dial := &net.Dialer{Timeout: fetchLimit}
	local := &net.Dialer{Timeout: fetchLimit, Control: func(_, address string, _ syscall.RawConn) error {
		if ap, err := netip.ParseAddrPort(address); err != nil || !ap.Addr().Unmap().IsLoopback() {
			return errors.New("plaintext beyond the loopback")
		}
		return nil
	}}
	return &http.Client{
		Timeout:       fetchLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            local.DialContext,
			DialTLSContext:         (&tls.Dialer{NetDialer: dial, Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}).DialContext,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
	}
}

// readKeys takes the keys for signatures out of a JSON Web Key Set (RFC 7517
// §5). A key that is not for signatures, without a name, too short, or of a
// kind that is not taken is passed over; symmetric ones are among these.
func readKeys(b []byte) ([]publicKey, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &doc); err != nil || doc.Keys == nil {
		return nil, errors.New("the document is not a JSON Web Key Set")
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("the issuer has more than %d keys", maxKeys)
	}
	var out []publicKey
	for _, raw := range doc.Keys {
		var k jose.JSONWebKey
		var more struct {
			Ops []string `json:"key_ops"`
		}
		if k.UnmarshalJSON(raw) != nil || json.Unmarshal(raw, &more) != nil || !k.IsPublic() ||
			k.KeyID == "" || len(k.KeyID) > maxKid || k.Use != "" && k.Use != "sig" ||
			more.Ops != nil && !slices.Contains(more.Ops, "verify") {
			continue
		}
		if r, ok := k.Key.(*rsa.PublicKey); ok && (r.N.BitLen() < minRSA || r.N.BitLen() > maxRSA) {
			continue
		}
		out = append(out, publicKey{id: k.KeyID, alg: k.Algorithm, key: k.Key})
	}
	return out, nil
}

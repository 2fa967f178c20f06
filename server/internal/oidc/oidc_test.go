// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package oidc_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/oidc"
)

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pair = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
)

func base() oidc.Config {
	return oidc.Config{Issuer: "https://idp.example", Audience: "watchword", Algorithms: []string{"EdDSA"}, Tenant: "default", ScopeClaim: "scope",
		Leeway: 30 * time.Second, MaxLifetime: time.Hour, Refresh: time.Minute, Keep: time.Hour, Now: func() time.Time { return now }}
}

// TestNewRefuses: an error names the setting and repeats nothing of it.
func TestNewRefuses(t *testing.T) {
	grant := oidc.Grant{Claim: "c", Value: "v", Scopes: []string{"password.check"}}
	for want, change := range map[string]func(*oidc.Config){
		"issuer is empty":                          func(c *oidc.Config) { c.Issuer = "" },
		"issuer: not https":                        func(c *oidc.Config) { c.Issuer = "http://marker7731.example" },
		"issuer: not https:":                       func(c *oidc.Config) { c.Issuer = "http://10.0.0.1/marker7731" },
		"issuer: not a URL":                        func(c *oidc.Config) { c.Issuer = "marker7731" },
		"issuer: not a URL of a host":              func(c *oidc.Config) { c.Issuer = "https://marker7731@idp.example" },
		"issuer: not https: plaintext":             func(c *oidc.Config) { c.Issuer = "http://localhost.marker7731.example" },
		"issuer: not https: plaintext is":          func(c *oidc.Config) { c.Issuer = "file://localhost/marker7731" },
		"jwks_url: not https":                      func(c *oidc.Config) { c.JWKSURL = "http://marker7731.example/jwks" },
		"jwks_url and jwks_file":                   func(c *oidc.Config) { c.JWKSURL, c.JWKSFile = "https://marker7731", "marker7731" },
		"audience is empty":                        func(c *oidc.Config) { c.Audience = "" },
		"algorithms is empty":                      func(c *oidc.Config) { c.Algorithms = nil },
		"algorithms[0] is not one of":              func(c *oidc.Config) { c.Algorithms = []string{"none"} },
		"algorithms[1] is not one of":              func(c *oidc.Config) { c.Algorithms = []string{"RS256", "HS256"} },
		"algorithms[0] is not one of [RS256":       func(c *oidc.Config) { c.Algorithms = []string{"marker7731"} },
		"algorithms[0] is not one of [RS256 RS384": func(c *oidc.Config) { c.Algorithms = []string{"rs256"} },
		"tenant is not":                            func(c *oidc.Config) { c.Tenant = "../marker7731" },
		"leeway must be":                           func(c *oidc.Config) { c.Leeway = time.Hour },
		"leeway must be from":                      func(c *oidc.Config) { c.Leeway = -1 },
		"max_lifetime must be":                     func(c *oidc.Config) { c.MaxLifetime = 48 * time.Hour },
		"max_lifetime must be above 0":             func(c *oidc.Config) { c.MaxLifetime = 0 },
		"refresh must be":                          func(c *oidc.Config) { c.Refresh = 0 },
		"refresh must be at least":                 func(c *oidc.Config) { c.Keep = c.Refresh - 1 },
		"refresh must be at least 1s, and keep":    func(c *oidc.Config) { c.Keep = 365 * 24 * time.Hour },
		"grants has more":                          func(c *oidc.Config) { c.Grants = make([]oidc.Grant, 1000) },
		"grants[0]: needs claim and value":         func(c *oidc.Config) { c.Grants = []oidc.Grant{{Scopes: grant.Scopes}} },
		"grants[1]: tenant is not":                 func(c *oidc.Config) { g := grant; g.Tenant = "Marker7731"; c.Grants = []oidc.Grant{grant, g} },
		"grants[0]: give one of":                   func(c *oidc.Config) { g := grant; g.Preset = "audit-admin"; c.Grants = []oidc.Grant{g} },
		"grants[0]: give one of preset and scopes": func(c *oidc.Config) { g := grant; g.Scopes = nil; c.Grants = []oidc.Grant{g} },
		"grants[0]: preset is not one":             func(c *oidc.Config) { c.Grants = []oidc.Grant{{Claim: "c", Value: "v", Preset: "owner"}} },
		"grants[0]: scopes: scope 1 is not":        func(c *oidc.Config) { g := grant; g.Scopes = []string{"marker7731"}; c.Grants = []oidc.Grant{g} },
		"grants[0]: scopes reach into more than one of ": func(c *oidc.Config) {
			g := grant
			g.Scopes = []string{"audit.run", "system.read"}
			c.Grants = []oidc.Grant{g}
		},
	} {
		c := base()
		change(&c)
		_, err := oidc.New(c)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(strings.ToLower(err.Error()), "marker7731") {
			t.Errorf("New: %v, want %s…", err, want)
		}
	}
	for _, issuer := range []string{"http://127.0.0.1:8080/realm", "http://[::1]:8080", "http://localhost:8080"} {
		c := base()
		c.Issuer = issuer
		if _, err := oidc.New(c); err != nil {
			t.Errorf("New with an issuer on the loopback: %v", err)
		}
	}
}

const keysJSON = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"}]}`

// TestFetchIsBounded: whatever comes instead of keys is an error in a bounded
// time, repeats nothing of it, and leaves the keys that were there.
func TestFetchIsBounded(t *testing.T) {
	var answer atomic.Pointer[http.HandlerFunc]
	say := func(f http.HandlerFunc) { answer.Store(&f) }
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) }))
	defer srv.Close()
	var strays atomic.Int32
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { strays.Add(1); _, _ = io.WriteString(w, keysJSON) }))
	defer plain.Close()
	discovery := func(issuer, keys string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
				_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer, keys)
				return
			}
			_, _ = io.WriteString(w, keysJSON)
		}
	}
	c := base()
	c.Issuer, c.Roots = srv.URL, x509.NewCertPool()
	c.Roots.AddCert(srv.Certificate())
	v, err := oidc.New(c)
	if err != nil {
		t.Fatal(err)
	}
	say(discovery(srv.URL, srv.URL+"/jwks"))
	if changed, err := v.Refresh(t.Context()); err != nil || !changed {
		t.Fatalf("Refresh: %v, %v", changed, err)
	}
	if changed, err := v.Refresh(t.Context()); err != nil || changed {
		t.Errorf("the same keys again: %v, %v", changed, err)
	}
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	keys := func(f http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
				discovery(srv.URL, srv.URL+"/jwks")(w, r)
				return
			}
			f(w, r)
		}
	}
	for name, f := range map[string]http.HandlerFunc{
		"an error":               func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"nothing new":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) },
		"no JSON":                text("<html>marker7731"),
		"another issuer":         discovery("https://marker7731.example", srv.URL+"/jwks"),
		"an issuer with a slash": discovery(srv.URL+"/", srv.URL+"/jwks"),
		"an issuer twice":        text(`{"issuer":"https://marker7731.example","issuer":"` + srv.URL + `","jwks_uri":"` + srv.URL + `/jwks"}`),
		"keys in plaintext":      discovery(srv.URL, plain.URL),
		"keys in a file":         discovery(srv.URL, "file:///etc/marker7731"),
		"keys nowhere":           discovery(srv.URL, ""),
		"a redirect":             func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL, http.StatusFound) },
		"keys elsewhere": keys(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, srv.URL+"/other", http.StatusMovedPermanently)
		}),
		"keys without end": keys(text(`{"keys":[` + strings.Repeat(" ", 1<<20) + `]}`)),
		"an endless stream": keys(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<12)); err != nil {
					return
				}
			}
		}),
		"no key set":       keys(text(`{}`)),
		"keys that are no": keys(text(`{"keys":{}}`)),
		"many keys":        keys(text(`{"keys":[` + strings.Repeat(`{},`, 64) + `{}]}`)),
		"a long header":    keys(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("a", 1<<16)) }),
		"a broken answer":  keys(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"an unsent length": keys(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, keysJSON)
		}),
	} {
		say(f)
		begin := time.Now()
		_, err := v.Refresh(t.Context())
		if err == nil || strings.Contains(err.Error(), "marker7731") || strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("%s: %v", name, err)
		}
		if _, n := v.Read(); n != 1 {
			t.Errorf("%s: %d keys are left", name, n)
		}
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	if n := strays.Load(); n > 0 {
		t.Errorf("%d requests went where the issuer only pointed", n)
	}

	// Somebody else's certificate is nobody's.
	c.Roots = x509.NewCertPool()
	if v, err = oidc.New(c); err != nil {
		t.Fatal(err)
	}
	say(discovery(srv.URL, srv.URL+"/jwks"))
	if _, err := v.Refresh(t.Context()); err == nil {
		t.Error("a certificate of an unknown authority was taken")
	}
}

// TestKeysThatAreNoneAreRefused takes only what is a key for signatures.
func TestKeysThatAreNoneAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	c := base()
	c.JWKSFile = path
	v, err := oidc.New(c)
	if err != nil {
		t.Fatal(err)
	}
	const x = `"x":"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"`
	for key, want := range map[string]int{
		`{"kty":"OKP","crv":"Ed25519","kid":"a",` + x + `}`:                                       1,
		`{"kty":"OKP","crv":"Ed25519","kid":"a","use":"sig","key_ops":["verify"],` + x + `}`:      1,
		`{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA",` + x + `}`:                         1,
		`{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"RS256",` + x + `}`:                         0,
		`{"kty":"OKP","crv":"Ed25519","kid":"a","use":"enc",` + x + `}`:                           0,
		`{"kty":"OKP","crv":"Ed25519","kid":"a","key_ops":["deriveKey"],` + x + `}`:               0,
		`{"kty":"OKP","crv":"Ed25519","kid":"a","key_ops":[],` + x + `}`:                          0,
		`{"kty":"OKP","crv":"Ed25519",` + x + `}`:                                                 0,
		`{"kty":"OKP","crv":"Ed25519","kid":"` + strings.Repeat("a", 257) + `",` + x + `}`:        0,
		`{"kty":"OKP","crv":"Ed25519","kid":"a",` + x + `,"d":"` + strings.Repeat("A", 43) + `"}`: 0,
		`{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AA"}`:                                        0,
		`{"kty":"oct","kid":"a","k":"AAAAAAAAAAAAAAAAAAAAAA"}`:                                    0,
		`{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}`:                                  0,
		`{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}`:                                           0,
		`{"kty":"unknown","kid":"a"}`:                                                             0,
		`7`:                                                                                       0,
	} {
		if err := os.WriteFile(path, []byte(`{"keys":[`+key+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Refresh(t.Context()); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if _, n := v.Read(); n != want {
			t.Errorf("%s: %d keys, want %d", key, n, want)
		}
	}
	// Two that could both be meant are none.
	two := `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed",` + x + `},{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	for set, want := range map[string]error{keysJSON: nil, two: identity.ErrDenied} {
		if err := os.WriteFile(path, []byte(set), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Authenticate(t.Context(), token(t, claims())); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", set, err, want)
		}
	}
}

func claims() map[string]any {
	return map[string]any{"iss": "https://idp.example", "aud": "watchword", "sub": "s", "iat": now.Unix(), "exp": now.Unix() + 60, "scope": "password.check"}
}

func token(t testing.TB, c map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: pair, KeyID: "ed"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// FuzzToken: of all texts, only the one that the issuer signed is taken, and
// what is refused is refused with one error and no caller. Signatures of
// Ed25519 are deterministic and have one form, so a second text that passes
// would be a second spelling of the first, or a forgery. Claims signed as they
// are never give a caller more than the claims say.
func FuzzToken(f *testing.F) {
	path := filepath.Join(f.TempDir(), "jwks.json")
	if err := os.WriteFile(path, []byte(keysJSON), 0o600); err != nil {
		f.Fatal(err)
	}
	c := base()
	c.JWKSFile = path
	c.Grants = []oidc.Grant{{Claim: "groups", Value: "auditors", Preset: "audit-admin"}, {Claim: "/a/b", Value: "v", Tenant: "acme", Scopes: []string{"breach.query"}}}
	v, err := oidc.New(c)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := v.Refresh(f.Context()); err != nil {
		f.Fatal(err)
	}
	good := token(f, claims())
	if caller, err := v.Authenticate(f.Context(), good); err != nil || caller.ID != "oidc:s" || !caller.Has("password.check") || len(caller.Scopes) != 1 {
		f.Fatalf("the good token: %+v, %v", caller, err)
	}
	// The turn to look for an unknown key is used up, so that no input waits.
	ended, end := context.WithCancel(f.Context())
	end()
	_, _ = v.Authenticate(ended, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"x"}`))+good[strings.IndexByte(good, '.'):])
	if _, err := v.Refresh(f.Context()); err != nil {
		f.Fatal(err)
	}
	text, _ := json.Marshal(claims())
	f.Add(good, text)
	f.Add(good[:len(good)-1], []byte(`{"iss":"https://idp.example","aud":["watchword"],"sub":"s","iat":1772366400,"exp":1772366460,"groups":["auditors"]}`))
	f.Add("a.b.c", []byte(`{"iss":"https://idp.example","aud":["watchword"],"sub":"s","iat":1772366400,"exp":1772366460,"a":{"b":"v"}}`))
	f.Add("..", []byte(`{"sub":"s","sub":"t"}`))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"ed"}`))+".e30.", []byte("[[[["))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: pair, KeyID: "ed"}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		caller, err := v.Authenticate(t.Context(), text)
		if (err == nil) != (text == good) || err != nil && (err != identity.ErrDenied || caller != nil) {
			t.Fatalf("Authenticate(%q) = %+v, %v", text, caller, err)
		}
		s, err := signer.Sign(payload)
		if err != nil {
			return
		}
		signed, err := s.CompactSerialize()
		if err != nil {
			return
		}
		caller, err = v.Authenticate(t.Context(), signed)
		if err != nil {
			if err != identity.ErrDenied || caller != nil {
				t.Fatalf("Authenticate of claims %q = %+v, %v", payload, caller, err)
			}
			return
		}
		var c struct {
			Iss, Sub string
			Exp, Iat float64
		}
		if err := json.Unmarshal(payload, &c); err != nil || c.Iss != "https://idp.example" || caller.ID != "oidc:"+c.Sub || c.Exp-c.Iat > 3601 || c.Exp < float64(now.Unix()-31) {
			t.Fatalf("claims %q are taken: %v", payload, err)
		}
		if identity.CombinesPresets(caller.Scopes) || caller.Preset == identity.PresetOwner || caller.Tenant != "default" && caller.Tenant != "acme" {
			t.Fatalf("claims %q make %+v", payload, caller)
		}
		for _, scope := range caller.Scopes {
			if !strings.Contains(string(payload), scope) && !strings.Contains(string(payload), "auditors") && scope != "breach.query" && !strings.Contains(string(payload), `\u`) {
				t.Fatalf("claims %q give %s", payload, scope)
			}
		}
	})
}

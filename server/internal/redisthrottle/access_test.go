// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/redisthrottle"
	"github.com/watchword-project/watchword/server/internal/throttle"
)

// everything runs each operation of the store once.
func everything(t *testing.T, store throttle.Store) {
	t.Helper()
	l := open(t, throttle.Config{}, store)
	ctx := t.Context()
	a := throttle.Attempt{Subject: subject(1), IP: netAddr("2001:db8::1"), Tag: []byte{1}}
	d, err := l.Begin(ctx, a)
	if err != nil || d.Verdict != throttle.Allow || len(d.Reasons) > 0 {
		t.Fatalf("Begin = %+v, %v, want ALLOW by the store", d, err)
	}
	r, err := l.Finish(ctx, "", d.Token, throttle.Success)
	if err != nil || r.DeviceToken == "" {
		t.Fatalf("Finish = %+v, %v", r, err)
	}
	if _, err := l.Report(ctx, a, throttle.BadSecret); err != nil {
		t.Fatal(err)
	}
	q := throttle.Query{Subject: a.Subject, IP: a.IP}
	st, err := l.State(ctx, q)
	if err != nil || len(st.Lanes) != 1 || len(st.Addresses) != 3 || st.Devices != 1 {
		t.Fatalf("State = %+v, %v, want one lane, three prefixes, one device", st, err)
	}
	if err := l.Reset(ctx, q); err != nil {
		t.Fatal(err)
	}
	if err := l.RevokeDevices(ctx, "", a.Subject); err != nil {
		t.Fatal(err)
	}
	st, err = l.State(ctx, q)
	if err != nil || len(st.Lanes)+len(st.Addresses)+st.Devices != 0 {
		t.Fatalf("State after Reset and RevokeDevices = %+v, %v", st, err)
	}
	if _, err := store.View(ctx, &throttle.Target{}, 0); err != nil {
		t.Fatalf("probe: %v", err)
	}
}

func TestNarrowUser(t *testing.T) {
	s := start(t)
	s.do("acl", "setuser", "throttle", "on", ">secret", "resetkeys", "~ww:*", "nocommands",
		"+evalsha", "+eval", "+get", "+set", "+del", "+time", "+setex", "+ping", "+info")
	s.do("acl", "setuser", "default", "nocommands", "+acl", "+ping", "+auth", "+hello")
	store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{s.addr()}, Username: "throttle", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	everything(t, store)
	facts, err := connect(t, redisthrottle.Config{Addrs: []string{s.addr()}, Username: "throttle", Password: "secret"}).Inspect(t.Context())
	if err != nil || facts.EvictionPolicy != "noeviction" || facts.Version == "" || facts.AppendOnly {
		t.Errorf("Inspect = %+v, %v", facts, err)
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	port := freePort(t)
	start(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", certFile, "--tls-key-file", keyFile,
		"--tls-ca-cert-file", certFile, "--tls-auth-clients", "no")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	addr := "127.0.0.1:" + strconv.Itoa(port)
	store, err := redisthrottle.Open(redisthrottle.Config{Addrs: []string{addr}, TLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	everything(t, store)
	stranger := connect(t, redisthrottle.Config{Addrs: []string{addr}, TLS: &tls.Config{}})
	if _, err := stranger.View(t.Context(), &throttle.Target{}, 0); err == nil {
		t.Error("a server with a certificate nobody vouches for was talked to")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []redisthrottle.Config{
		{}, {Addrs: []string{"a:1", "b:1"}}, {Mode: "ring", Addrs: []string{"a:1"}},
		{Mode: "sentinel", Addrs: []string{"a:1"}}, {Addrs: []string{"a:1"}, Timeout: time.Second},
	} {
		if s, err := redisthrottle.Open(c); err == nil {
			s.Close()
			t.Errorf("Open took %+v", c)
		}
	}
}

func TestWarnings(t *testing.T) {
	s := start(t)
	store := connect(t, redisthrottle.Config{Addrs: []string{s.addr()}})
	for policy, fine := range map[string]bool{"noeviction": true, "volatile-ttl": true, "allkeys-lru": false, "volatile-lru": false} {
		s.do("config", "set", "maxmemory-policy", policy)
		facts, err := store.Inspect(t.Context())
		if w := facts.Warnings(); err != nil || (len(w) == 0) != fine {
			t.Errorf("%s: %q, %v", policy, w, err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/servertest"
)

// certify writes a self-signed certificate with a serial number, and its key.
func certify(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "w"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "cert.key": {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCertificatesReload: a changed certificate is served by both doors without
// a restart, and a broken one leaves the last good one.
func TestCertificatesReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certify(t, dir, 1)
	s := servertest.Start(t, servertest.Options{Config: "listen: {tls: {cert: " + dir + "/cert.pem, key: " + dir + "/cert.key}}"})
	served := func(addr string) int64 {
		t.Helper()
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.ConnectionState().NegotiatedProtocol; got != "h2" {
			t.Errorf("%s speaks %q", addr, got)
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	doors := []string{s.GRPCAddr, strings.TrimPrefix(s.URL, "https://")}
	become := func(want int64) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			if served(doors[0]) == want && served(doors[1]) == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the doors serve %d and %d, want %d", served(doors[0]), served(doors[1]), want)
			}
		}
	}
	become(1)
	certify(t, dir, 2)
	become(2)
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("-----BEGIN CERT"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); !strings.Contains(s.Log.String(), "was not taken"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody said that the certificate is broken")
		}
	}
	become(2)
	certify(t, dir, 3)
	become(3)
}

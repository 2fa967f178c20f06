// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

// issuer signs certificates, and writes them and their keys into a directory.
type issuer struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{dir: t.TempDir()}
	i.key, i.cert = i.issue(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return i
}

func (i *issuer) path(name string) string { return filepath.Join(i.dir, name) }

// issue writes name.pem and name.key.
func (i *issuer) issue(t *testing.T, name string, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := i.cert, i.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(i.path(file), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key, cert
}

// TestCertificates reaches a server that demands a certificate: with the right
// ones it does what the certificate's name allows, without it gets no answer.
func TestCertificates(t *testing.T) {
	i, stranger := newIssuer(t), newIssuer(t)
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	i.issue(t, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: usage})
	i.issue(t, "signup", &x509.Certificate{DNSNames: []string{"signup.internal"}, ExtKeyUsage: usage})
	stranger.issue(t, "signup", &x509.Certificate{DNSNames: []string{"signup.internal"}, ExtKeyUsage: usage})
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf(
		"listen: {tls: {cert: %q, key: %q, client_ca: %q}}\nauth: {mtls: [{name: signup.internal, scopes: [password.check]}]}",
		i.path("server.pem"), i.path("server.key"), i.path("ca.pem"))})
	good := client.Options{Addr: s.GRPCAddr, CAFile: i.path("ca.pem"), CertFile: i.path("signup.pem"), KeyPairFile: i.path("signup.key")}
	c := newClient(t, good)
	if err := checkWith(t.Context(), c); err != nil {
		t.Errorf("Check: %v", err)
	}
	if _, err := c.Get(t.Context(), "alice"); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("Get: %v, want ErrForbidden", err)
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	for name, change := range map[string]func(*client.Options){
		"in plaintext":          func(o *client.Options) { *o = client.Options{Addr: o.Addr, Key: s.Key} },
		"without a certificate": func(o *client.Options) { o.CertFile, o.KeyPairFile = "", "" },
		"a stranger's certificate": func(o *client.Options) {
			o.CertFile, o.KeyPairFile = stranger.path("signup.pem"), stranger.path("signup.key")
		},
		"another authority": func(o *client.Options) { o.CAFile = stranger.path("ca.pem") },
	} {
		o := good
		change(&o)
		refused := newClient(t, o)
		wait.Go(func() {
			if err := checkWith(t.Context(), refused); !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/daemon"
)

// resumes tells whether a second connection takes up the session of the first,
// and whether it comes about at all. A ticket of TLS 1.3 comes behind the
// handshake, so something is read; between runs between the two.
func resumes(t *testing.T, addr string, config *tls.Config, between func()) (resumed bool, err error) {
	t.Helper()
	config = config.Clone()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	config.ServerName = "localhost"
	connect := func() (bool, error) {
		c, err := tls.Dial("tcp", addr, config)
		if err != nil {
			return false, err
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
			return false, err
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if b, err := io.ReadAll(c); len(b) == 0 {
			return false, fmt.Errorf("no answer: %w", errors.Join(err, io.ErrUnexpectedEOF))
		}
		return c.ConnectionState().DidResume, nil
	}
	if _, err := connect(); err != nil {
		t.Fatalf("the first connection: %v", err)
	}
	between()
	return connect()
}

// TestNoSessionOutlivesItsAuthority: with real tickets and connections, who had
// a certificate of the authority before is refused once it was replaced, by a
// new session, a resumed one, and one that is still open.
func TestNoSessionOutlivesItsAuthority(t *testing.T) {
	alone, _, _ := dataDirs(t)
	one, two := newAuthority(t), newAuthority(t)
	cert, key := one.issue(t, "localhost", net.IPv4(127, 0, 0, 1))
	clients := filepath.Join(t.TempDir(), "clients.pem")
	use := func(a *authority) {
		t.Helper()
		b, err := os.ReadFile(a.file)
		if err == nil {
			err = os.WriteFile(clients, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	use(one)
	s, err := start(t, alone, cheap+fmt.Sprintf(`
listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0, tls: {cert: %q, key: %q, client_ca: %q}}
auth: {mtls: [{name: signup.internal, scopes: [password.check]}]}`, cert, key, clients))
	if err != nil {
		t.Fatal(err)
	}
	before, after := one.pair(t, "signup.internal"), two.pair(t, "signup.internal")

	// Connections that are open all the time.
	conn, err := grpc.NewClient("passthrough:///"+s.GRPCAddr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: one.pool, Certificates: []tls.Certificate{before}})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	open := func() codes.Code {
		return status.Code(conn.Invoke(t.Context(), checkMethod, &emptypb.Empty{}, &emptypb.Empty{}))
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: one.pool, Certificates: []tls.Certificate{before}}}, Timeout: 10 * time.Second}
	defer web.CloseIdleConnections()
	openREST := func() int {
		resp, err := web.Post("https://"+s.HTTPAddr().String()+"/v1/passwords:check", "application/json", strings.NewReader("{}"))
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got, rest := open(), openREST(); got != codes.InvalidArgument || rest != 400 {
		t.Fatalf("with a certificate of the authority in force: %v, %d", got, rest)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{RootCAs: one.pool, Certificates: []tls.Certificate{before}, MinVersion: version, MaxVersion: version}
		if resumed, err := resumes(t, s.HTTPAddr().String(), config, func() {}); resumed || err != nil {
			t.Errorf("%s: resumed %v, %v, want a new session each time", tls.VersionName(version), resumed, err)
		}
		resumed, err := resumes(t, s.HTTPAddr().String(), config, func() {
			use(two)
			if err := s.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		if err == nil {
			t.Errorf("%s: a certificate of the authority before is let in, resumed %v", tls.VersionName(version), resumed)
		}
		if got, rest := open(), openREST(); got != codes.Unauthenticated || rest != 401 && rest != 0 {
			t.Errorf("over connections of the authority before: %v, %d", got, rest)
		}
		config.Certificates = []tls.Certificate{after}
		if got := call(t.Context(), s.GRPCAddr().String(), checkMethod, "", credentials.NewTLS(config)); got != codes.InvalidArgument {
			t.Errorf("with a certificate of the new authority: %v", got)
		}
		use(one)
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	// The probe sees what it looks for: a server with tickets, which checks
	// clients only when it has to, lets the old certificate in.
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := one.pool
	careless := &http.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = careless.ServeTLS(l, "", "") }()
	defer careless.Close()
	if resumed, err := resumes(t, l.Addr().String(), &tls.Config{RootCAs: one.pool, Certificates: []tls.Certificate{before}}, func() {}); !resumed || err != nil {
		t.Errorf("the control: resumed %v, %v", resumed, err)
	}
}

// TestTwoKeysLendNoCertificate: who shows more than one key over a connection
// that has a certificate, as a proxy's does, is not taken for the proxy.
func TestTwoKeysLendNoCertificate(t *testing.T) {
	alone, _, _ := dataDirs(t)
	ca := newAuthority(t)
	cert, key := ca.issue(t, "localhost", net.IPv4(127, 0, 0, 1))
	s, err := start(t, alone, cheap+fmt.Sprintf(`
listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0, tls: {cert: %q, key: %q, client_ca: %q}}
auth: {mtls: [{name: proxy.internal, scopes: [password.check]}]}`, cert, key, ca.file))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.pair(t, "proxy.internal")}}
	conn, err := grpc.NewClient("passthrough:///"+s.GRPCAddr().String(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 10 * time.Second}
	defer web.CloseIdleConnections()
	for _, c := range []struct {
		shown []string
		code  codes.Code
		http  int
	}{
		{nil, codes.InvalidArgument, 400}, // the proxy itself, with an empty request
		{[]string{"Bearer x"}, codes.Unauthenticated, 401},
		{[]string{"Bearer x", "Bearer y"}, codes.Unauthenticated, 401},
		{[]string{"", ""}, codes.Unauthenticated, 401},
	} {
		ctx := t.Context()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.HTTPAddr().String()+"/v1/passwords:check", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for _, v := range c.shown {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", v)
			req.Header.Add("Authorization", v)
		}
		if got := status.Code(conn.Invoke(ctx, checkMethod, &emptypb.Empty{}, &emptypb.Empty{})); got != c.code {
			t.Errorf("gRPC with %q: %v, want %v", c.shown, got, c.code)
		}
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.http {
			t.Errorf("REST with %q: %d, want %d", c.shown, resp.StatusCode, c.http)
		}
	}
}

// TestMalformedCertificates: what a client shows that is no certificate of the
// authority for clients, in whatever way, opens nothing.
func TestMalformedCertificates(t *testing.T) {
	alone, with, _ := dataDirs(t)
	ca := newAuthority(t)
	cert, key := ca.issue(t, "localhost", net.IPv4(127, 0, 0, 1))
	s, err := start(t, alone, cheap+fmt.Sprintf(`
listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0, tls: {cert: %q, key: %q, client_ca: %q}}
auth: {mtls: [{name: signup.internal, scopes: [password.check]}, {name: 'spiffe://prod/signup', scopes: [password.check]}, {name: only-common, scopes: [password.check]}]}`,
		cert, key, ca.file))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	made := func(by *authority, change func(*x509.Certificate)) tls.Certificate {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "someone"}, DNSNames: []string{"signup.internal"},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		change(template)
		var k *ecdsa.PrivateKey
		k, der := sign(t, template, by)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
	}
	uri := func(s string) []*url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{u}
	}
	whole := made(ca, func(*x509.Certificate) {})
	other := made(ca, func(*x509.Certificate) {})
	for name, c := range map[string]struct {
		pair tls.Certificate
		want bool
	}{
		"good":                       {whole, true},
		"by its URI":                 {made(ca, func(c *x509.Certificate) { c.DNSNames, c.URIs = nil, uri("spiffe://prod/signup") }), true},
		"by its common name alone":   {made(ca, func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, "only-common" }), true},
		"common name beside another": {made(ca, func(c *x509.Certificate) { c.DNSNames[0], c.Subject.CommonName = "other.internal", "only-common" }), false},
		"expired":                    {made(ca, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), false},
		"not yet valid":              {made(ca, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }), false},
		"for servers":                {made(ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), false},
		"signed by itself":           {made(nil, func(*x509.Certificate) {}), false},
		"a wildcard":                 {made(ca, func(c *x509.Certificate) { c.DNSNames[0] = "*.internal" }), false},
		"another case":               {made(ca, func(c *x509.Certificate) { c.DNSNames[0] = "SIGNUP.internal" }), false},
		"a point behind":             {made(ca, func(c *x509.Certificate) { c.DNSNames[0] = "signup.internal." }), false},
		"a NUL in the common name":   {made(ca, func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, "only-common\x00.evil" }), false},
		"another URI":                {made(ca, func(c *x509.Certificate) { c.DNSNames, c.URIs = nil, uri("spiffe://prod/signup/x") }), false},
		"no name":                    {made(ca, func(c *x509.Certificate) { c.DNSNames, c.Subject = nil, pkix.Name{} }), false},
		"an address":                 {made(ca, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)} }), false},
		"the key of another":         {tls.Certificate{Certificate: whole.Certificate, PrivateKey: other.PrivateKey}, false},
		"a changed byte":             {tls.Certificate{Certificate: [][]byte{flipped(whole.Certificate[0])}, PrivateKey: whole.PrivateKey}, false},
		"cut":                        {tls.Certificate{Certificate: [][]byte{whole.Certificate[0][:100]}, PrivateKey: whole.PrivateKey}, false},
		"no certificate but a claim": {tls.Certificate{Certificate: [][]byte{{}}, PrivateKey: whole.PrivateKey}, false},
		"a thousand names": {made(ca, func(c *x509.Certificate) {
			c.DNSNames = strings.Split(strings.Repeat("x.internal,", 1000)+"y.internal", ",")
		}), false},
		"the authority's own as leaf": {tls.Certificate{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key}, false},
	} {
		config := &tls.Config{RootCAs: ca.pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.pair, nil }}
		got := call(t.Context(), s.GRPCAddr().String(), checkMethod, "", credentials.NewTLS(config))
		rest := post(t, "https://"+s.HTTPAddr().String()+"/v1/passwords:check", "", config)
		if c.want && (got != codes.InvalidArgument || rest != 400) || !c.want && (got != codes.Unauthenticated && got != codes.Unavailable || rest != 401 && rest != 0) {
			t.Errorf("%s: %v, %d", name, got, rest)
		}
	}
	// Files that are no certificates stop the start, by name.
	garbage := write(t, "x.pem", &pem.Block{Type: "CERTIFICATE", Bytes: []byte("no certificate")})
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, foreign := ca.issue(t, "localhost")
	for want, files := range map[string][3]string{
		"listen.tls:":                               {garbage, key, ca.file},
		"listen.tls: ":                              {empty, key, ca.file},
		"listen.tls: tls: private key":              {cert, foreign, ca.file},
		"listen.tls.client_ca holds no certificate": {cert, key, garbage},
		"listen.tls.client_ca holds":                {cert, key, empty},
		"listen.tls.client_ca:":                     {cert, key, empty + "x"},
	} {
		_, err := start(t, with, cheap+fmt.Sprintf("listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0, tls: {cert: %q, key: %q, client_ca: %q}}", files[0], files[1], files[2]))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("start: %v, want %s", err, want)
		}
	}
}

// flipped changes a byte of the signature.
func flipped(der []byte) []byte {
	out := append([]byte(nil), der...)
	out[len(out)-3] ^= 1
	return out
}

// TestMappedAddresses calls a door of both families by IPv4: the socket shows
// the caller inside IPv6, and the lists of the listener and of a key see the
// address that it is.
func TestMappedAddresses(t *testing.T) {
	_, with, secret := dataDirs(t)
	ca := newAuthority(t)
	cert, key := ca.issue(t, "localhost", net.IPv4(127, 0, 0, 1), net.IPv6loopback)
	trusting := credentials.NewTLS(&tls.Config{RootCAs: ca.pool, ServerName: "localhost"})
	for _, c := range []struct {
		allow    string
		v4, v6   codes.Code // with a key of no networks
		key4Only codes.Code // by IPv4, with a key of that network
	}{
		{"127.0.0.0/8", codes.InvalidArgument, codes.PermissionDenied, codes.InvalidArgument},
		{"'::1/128'", codes.PermissionDenied, codes.InvalidArgument, codes.PermissionDenied},
		{"'::/0'", codes.PermissionDenied, codes.InvalidArgument, codes.PermissionDenied},
		{"0.0.0.0/0, '::1/128'", codes.InvalidArgument, codes.InvalidArgument, codes.InvalidArgument},
	} {
		s, err := start(t, with, fmt.Sprintf("listen: {grpc: '[::]:0', http: 127.0.0.1:0, tls: {cert: %q, key: %q}, allow: [%s]}", cert, key, c.allow))
		if err != nil {
			t.Fatal(err)
		}
		o, err := daemon.Operate(with)
		if err != nil {
			t.Fatal(err)
		}
		keyOf := func(network string) string {
			r, err := o.Admin.CreateKey(t.Context(), &watchwordv1.CreateKeyRequest{Name: "n", Scopes: []string{"password.check"}, Networks: []string{network}})
			if err != nil {
				t.Fatal(err)
			}
			return r.GetSecret()
		}
		port := s.GRPCAddr().Port()
		four, six := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String(), netip.AddrPortFrom(netip.IPv6Loopback(), port).String()
		ask := func(addr, key string) codes.Code {
			return call(context.WithoutCancel(t.Context()), addr, checkMethod, key, trusting)
		}
		if got := ask(four, secret); got != c.v4 {
			t.Errorf("allow %s, by IPv4: %v, want %v", c.allow, got, c.v4)
		}
		if got := ask(six, secret); got != c.v6 {
			t.Errorf("allow %s, by IPv6: %v, want %v", c.allow, got, c.v6)
		}
		if got := ask(four, keyOf("127.0.0.1")); got != c.key4Only {
			t.Errorf("allow %s, with a key of the network: %v, want %v", c.allow, got, c.key4Only)
		}
		if got := ask(four, keyOf("::/0")); got != codes.PermissionDenied {
			t.Errorf("allow %s, with a key of IPv6 networks: %v", c.allow, got)
		}
		o.Close()
		stop(t, s)
	}
}

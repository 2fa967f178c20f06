// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/daemon"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	var der []byte
	a.key, der = sign(t, template, nil)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	a.pool.AddCert(cert)
	a.file = write(t, "ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// sign makes a key and a certificate for it, signed by itself without an
// authority.
func sign(t *testing.T, template *x509.Certificate, by *authority) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

func write(t *testing.T, name string, b *pem.Block) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issue makes the files of a certificate for a name and addresses.
func (a *authority) issue(t *testing.T, name string, ips ...net.IP) (cert, key string) {
	t.Helper()
	k, der := sign(t, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "common"},
		DNSNames: []string{name}, IPAddresses: ips, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, a)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pem", &pem.Block{Type: "CERTIFICATE", Bytes: der}), write(t, "key.pem", &pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func (a *authority) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.issue(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// outside gives an address of this machine that is not on the loopback.
func outside(t *testing.T) netip.Addr {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() && p.Addr().Is4() {
			return p.Addr()
		}
	}
	t.Skip("this machine has no address beyond the loopback")
	return netip.Addr{}
}

const cheap = "hashing: {memory: 64KiB, time: 1, insecure_test_cost: true}\n"

func start(t *testing.T, dir, yaml string) (*daemon.Server, error) {
	t.Helper()
	c, err := daemon.Read(strings.NewReader(yaml))
	if err != nil {
		t.Fatalf("configuration: %v\n%s", err, yaml)
	}
	s, err := daemon.Start(t.Context(), daemon.Options{Config: c, DataDir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { stop(t, s) })
	return s, nil
}

func stop(t *testing.T, s *daemon.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// dataDirs makes a data directory with the owner's key alone, and one with a
// key besides, and gives that key.
func dataDirs(t *testing.T) (alone, with, secret string) {
	t.Helper()
	for _, dir := range []*string{&alone, &with} {
		*dir = filepath.Join(t.TempDir(), "data")
		s, err := start(t, *dir, cheap+"listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0}")
		if err != nil {
			t.Fatal(err)
		}
		if dir == &with {
			o, err := daemon.Operate(*dir)
			if err != nil {
				t.Fatal(err)
			}
			r, err := o.Admin.CreateKey(t.Context(), &watchwordv1.CreateKeyRequest{Name: "signup", Scopes: []string{"password.check"}})
			if err != nil {
				t.Fatal(err)
			}
			secret = r.GetSecret()
			o.Close()
		}
		stop(t, s)
	}
	return alone, with, secret
}

// TestExposedDoorsAreRefused tries every spelling of an address beyond the
// loopback with each of the things missing that such a door needs; and each
// spelling with one of them through a whole start.
func TestExposedDoorsAreRefused(t *testing.T) {
	alone, with, _ := dataDirs(t)
	ca := newAuthority(t)
	cert, key := ca.issue(t, "localhost")
	tlsFiles := fmt.Sprintf("tls: {cert: %q, key: %q}", cert, key)
	const allow = "allow: [192.0.2.0/24]"
	spellings := []string{"0.0.0.0:0", "[::]:0", ":0", "[::0]:0", "[0:0:0:0:0:0:0:0]:0", "[::ffff:0.0.0.0]:0", "[::%lo]:0",
		"192.0.2.99:0", "[::ffff:192.0.2.99]:0", "[2001:db8::1]:0", "[fe80::1%lo]:0", "128.0.0.1:0", "[::2]:0"}
	if name, err := os.Hostname(); err == nil {
		if addrs, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip", name); err == nil && !addrs[0].Unmap().IsLoopback() {
			spellings = append(spellings, name+":0")
		}
	}
	missing := []struct {
		what         string
		otherKeys    bool
		listen, rest string
		fix          string
	}{
		{"TLS", true, allow, "", "set listen.tls.cert and listen.tls.key"},
		{"client credentials", false, allow + ", " + tlsFiles, "", "let callers identify themselves"},
		{"allow", true, tlsFiles, "", "write listen.allow"},
		{"allow, since it is empty", true, tlsFiles + ", allow: []", "", "write listen.allow"},
		{"hashes of a decent cost", true, allow + ", " + tlsFiles, cheap, "remove hashing.insecure_test_cost"},
		{"everything", false, "hosts: []", cheap, "set listen.tls.cert"},
	}
	refused := func(how, what, addr, fix string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), fix) || !strings.Contains(err.Error(), "reachable from outside") {
			t.Errorf("%s without %s: %s: %v, want a refusal with advice to %s", how, what, addr, err, fix)
		}
	}
	tried := 0
	for i, addr := range spellings {
		for j, m := range missing {
			c, err := daemon.Read(strings.NewReader(m.rest + "listen: {" + m.listen + "}"))
			if err != nil {
				t.Fatal(err)
			}
			tried++
			l, err := daemon.Bind(t.Context(), c, addr, m.otherKeys)
			if err == nil {
				l.Close()
			}
			refused("bind", m.what, addr, m.fix, err)
			if i%len(missing) != j {
				continue
			}
			doors := []string{"127.0.0.1:0", "127.0.0.1:0"}
			doors[i/len(missing)%2] = addr
			dir := alone
			if m.otherKeys {
				dir = with
			}
			s, err := start(t, dir, m.rest+fmt.Sprintf("listen: {grpc: %q, http: %q, %s}", doors[0], doors[1], m.listen))
			if err == nil {
				stop(t, s)
			}
			refused("start", m.what, addr, m.fix, err)
		}
	}
	t.Logf("%d combinations were refused", tried)
}

// TestOddSpellingsOfTheLoopback: names and old notations are either refused or
// end on the loopback.
func TestOddSpellingsOfTheLoopback(t *testing.T) {
	alone, _, _ := dataDirs(t)
	for _, addr := range []string{"localhost:0", "[::1]:0", "[::ffff:127.0.0.1]:0", "127.255.255.254:0",
		"127.1:0", "0x7f.1:0", "0177.0.0.1:0", "2130706433:0", "0:0", "localhost.:0", "127.0.0.1.:0", "127.0.0.1", "no-such-host.invalid:0"} {
		l, err := daemon.Bind(t.Context(), daemon.Default(), addr, false)
		if err != nil {
			t.Logf("%s: %v", addr, err)
			continue
		}
		if got := netip.MustParseAddrPort(l.Addr().String()); !got.Addr().Unmap().IsLoopback() {
			t.Errorf("%s was opened as %v", addr, got)
		}
		l.Close()
	}
	for _, addr := range []string{"localhost:0", "127.0.0.2:0"} {
		s, err := start(t, alone, cheap+fmt.Sprintf("listen: {grpc: 127.0.0.1:0, http: %q}", addr))
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		stop(t, s)
	}
}

// call calls a gRPC method with an empty request.
func call(ctx context.Context, addr, method, key string, creds credentials.TransportCredentials) codes.Code {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds), grpc.WithNoProxy())
	if err != nil {
		return codes.Internal
	}
	defer conn.Close()
	if key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	st, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err == nil {
		_ = st.SendMsg(&emptypb.Empty{})
		_ = st.CloseSend()
		err = st.RecvMsg(&emptypb.Empty{})
	}
	return status.Code(err)
}

const checkMethod = "/watchword.v1.PasswordService/CheckPassword"

// post posts to a REST route and gives the status, or 0 when there was none.
func post(t *testing.T, url, key string, config *tls.Config) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 10 * time.Second}
	defer h.CloseIdleConnections()
	resp, err := h.Do(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// TestExposedDoorOpensWhenAllIsThere opens both doors to the network and looks
// at who is let in, and how.
func TestExposedDoorOpensWhenAllIsThere(t *testing.T) {
	ip := outside(t)
	_, with, secret := dataDirs(t)
	ca := newAuthority(t)
	cert, key := ca.issue(t, "watchword.internal", ip.AsSlice())
	config := func(allow string) string {
		return fmt.Sprintf("listen: {grpc: '%[1]s:0', http: '%[1]s:0', tls: {cert: %[2]q, key: %[3]q}, allow: [%[4]s]}", ip, cert, key, allow)
	}
	s, err := start(t, with, config(ip.String()))
	if err != nil {
		t.Fatal(err)
	}
	grpcAddr, url := s.GRPCAddr().String(), "https://"+s.HTTPAddr().String()+"/v1/passwords:check"
	trusting := &tls.Config{RootCAs: ca.pool}
	old := &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	owner, err := os.ReadFile(filepath.Join(with, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		key   string
		creds credentials.TransportCredentials
		want  codes.Code
	}{
		{"with a key", secret, credentials.NewTLS(trusting), codes.InvalidArgument}, // the request is empty
		{"without a key", "", credentials.NewTLS(trusting), codes.Unauthenticated},
		{"with the owner's key", strings.TrimSpace(string(owner)), credentials.NewTLS(trusting), codes.PermissionDenied},
		{"in plaintext", secret, insecure.NewCredentials(), codes.Unavailable},
		{"over TLS 1.1", secret, credentials.NewTLS(old), codes.Unavailable},
	} {
		if got := call(t.Context(), grpcAddr, checkMethod, c.key, c.creds); got != c.want {
			t.Errorf("gRPC %s: %v, want %v", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		name, url, key string
		config         *tls.Config
		want           int
	}{
		{"with a key", url, secret, trusting, 400},
		{"without a key", url, "", trusting, 401},
		{"with the owner's key", url, strings.TrimSpace(string(owner)), trusting, 403},
		{"in plaintext", strings.Replace(url, "https", "http", 1), secret, nil, 400}, // net/http's own, below
		{"over TLS 1.1", url, secret, old, 0},
	} {
		if got := post(t, c.url, c.key, c.config); got != c.want {
			t.Errorf("REST %s: %d, want %d", c.name, got, c.want)
		}
	}
	// Plaintext is answered before any of our code runs, whatever it asks for.
	resp, err := http.Get("http://" + s.HTTPAddr().String() + "/healthz")
	if err == nil {
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 400 || strings.Contains(string(b), "SERVING") {
			t.Errorf("GET /healthz in plaintext: %d %s", resp.StatusCode, b)
		}
	}
	stop(t, s)

	// From outside the list nobody is let in, with whatever key.
	s, err = start(t, with, config("203.0.113.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t.Context(), s.GRPCAddr().String(), checkMethod, secret, credentials.NewTLS(trusting)); got != codes.PermissionDenied {
		t.Errorf("from outside listen.allow: %v", got)
	}
}

// TestCertificatesGiveExactlyTheirScopes calls every method with certificates
// instead of keys.
func TestCertificatesGiveExactlyTheirScopes(t *testing.T) {
	alone, _, _ := dataDirs(t)
	ca, stranger := newAuthority(t), newAuthority(t)
	cert, key := ca.issue(t, "localhost", net.IPv4(127, 0, 0, 1))
	s, err := start(t, alone, cheap+fmt.Sprintf(`
listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0, tls: {cert: %q, key: %q, client_ca: %q}}
auth: {mtls: [{name: signup.internal, scopes: [password.check, credential.write]}, {name: login.internal, scopes: [credential.verify]}]}`,
		cert, key, ca.file))
	if err != nil {
		t.Fatal(err)
	}
	use := func(pairs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ca.pool, Certificates: pairs}
	}
	scopes := map[string][]string{"signup.internal": {"password.check", "credential.write"}, "login.internal": {"credential.verify"}}
	routes := s.RPC().Routes()
	for name, own := range scopes {
		config := use(ca.pair(t, name))
		allowed := 0
		for method, scope := range s.RPC().Methods() {
			got := call(t.Context(), s.GRPCAddr().String(), method, "", credentials.NewTLS(config))
			want := strings.Contains(strings.Join(own, " "), scope)
			if want {
				allowed++
			}
			if (got != codes.PermissionDenied) != want || got == codes.Unauthenticated || got == codes.Unavailable {
				t.Errorf("%s calls %s, which needs %s: %v", name, method, scope, got)
			}
		}
		if allowed == 0 || allowed == len(s.RPC().Methods()) {
			t.Errorf("%s may call %d methods: the test compares nothing", name, allowed)
		}
		for path, method := range routes {
			got := post(t, "https://"+s.HTTPAddr().String()+path, "", config)
			want := strings.Contains(strings.Join(own, " "), s.RPC().Methods()[method])
			if (got != http.StatusForbidden) != want || got == http.StatusUnauthorized || got == 0 {
				t.Errorf("%s posts to %s: %d", name, path, got)
			}
		}
	}
	for name, config := range map[string]*tls.Config{
		"without a certificate":              use(),
		"with one of another authority":      use(stranger.pair(t, "signup.internal")),
		"with one that nothing is given to":  use(ca.pair(t, "nobody.internal")),
		"with the server's own name":         use(ca.pair(t, "localhost")),
		"with a longer name":                 use(ca.pair(t, "signup.internal.example")),
		"with the common name that all have": use(ca.pair(t, "common")),
	} {
		if got := call(t.Context(), s.GRPCAddr().String(), checkMethod, "", credentials.NewTLS(config)); got != codes.Unauthenticated && got != codes.Unavailable {
			t.Errorf("gRPC %s: %v", name, got)
		}
		if got := post(t, "https://"+s.HTTPAddr().String()+"/v1/passwords:check", "", config); got != http.StatusUnauthorized && got != 0 {
			t.Errorf("REST %s: %d", name, got)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
)

// limitOn makes a descriptor of keys and values.
func limitOn(pairs ...string) *commonv3.RateLimitDescriptor {
	d := &commonv3.RateLimitDescriptor{}
	for i := 0; i < len(pairs); i += 2 {
		d.Entries = append(d.Entries, &commonv3.RateLimitDescriptor_Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return d
}

// shouldLimit asks as Envoy does.
func shouldLimit(t *testing.T, c *client.Client, list ...*commonv3.RateLimitDescriptor) (*ratelimitv3.RateLimitResponse, error) {
	t.Helper()
	return ratelimitv3.NewRateLimitServiceClient(c.Conn()).ShouldRateLimit(t.Context(),
		&ratelimitv3.RateLimitRequest{Domain: "login", Descriptors: list, HitsAddend: 1})
}

// TestEnvoy walks the rate-limit service with a generated client.
func TestEnvoy(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: measured + "listen: {envoy: true}\nthrottle: {prefix_burst: 8}"})
	_, secret, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "envoy", Scopes: []string{"throttle.attempt"}})
	if err != nil {
		t.Fatal(err)
	}
	c := s.ClientWith(secret)
	ok := func(list ...*commonv3.RateLimitDescriptor) []string {
		t.Helper()
		r, err := shouldLimit(t, c, list...)
		if err != nil || r.GetOverallCode() != ratelimitv3.RateLimitResponse_OK || len(r.GetStatuses()) != len(list) {
			t.Fatalf("%v, %v, want OK", r, err)
		}
		var tokens []string
		for _, h := range r.GetRequestHeadersToAdd() {
			if h.GetKey() != "x-watchword-attempt" {
				t.Errorf("a header %s goes on to the program", h.GetKey())
			}
			tokens = append(tokens, h.GetValue())
		}
		return tokens
	}
	over := func(list ...*commonv3.RateLimitDescriptor) {
		t.Helper()
		r, err := shouldLimit(t, c, list...)
		if err != nil || r.GetOverallCode() != ratelimitv3.RateLimitResponse_OVER_LIMIT || len(r.GetRequestHeadersToAdd()) != 0 ||
			len(r.GetResponseHeadersToAdd()) != 1 || r.GetResponseHeadersToAdd()[0].GetKey() != "retry-after" {
			t.Fatalf("%v, %v, want OVER_LIMIT", r, err)
		}
		wait := false
		for _, st := range r.GetStatuses() {
			wait = wait || st.GetCode() == ratelimitv3.RateLimitResponse_OVER_LIMIT && st.GetDurationUntilReset().AsDuration() > 0
		}
		if !wait {
			t.Errorf("no descriptor tells how long: %v", r)
		}
	}
	alice := limitOn("subject", "alice", "remote_address", "192.0.2.7")
	// The program behind the proxy says that they were right.
	for range 12 {
		tokens := ok(alice)
		if len(tokens) != 1 {
			t.Fatalf("%d tokens", len(tokens))
		}
		if _, err := c.Resume(tokens[0]).Complete(t.Context(), client.Success); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody says anything: they count as failures.
	for range 5 {
		ok(alice)
	}
	over(alice)
	over(limitOn("subject", "ALICE"))
	if got := seriesOf(scrape(t, s))[`watchword_defence_total{defence="throttle",outcome="mitigated"}`]; got != "2" {
		t.Errorf("the metrics tell of %s attempts that were stopped, want 2", got)
	}
	ok(limitOn("subject", "alice", "channel", "otp"))
	// One refused descriptor refuses all, and costs the others nothing.
	for range 10 {
		over(limitOn("subject", "bob", "remote_address", "198.51.100.1"), alice)
	}
	lanes, err := s.Client.Throttle(t.Context(), "bob")
	if err != nil || len(lanes) == 0 || lanes[0].Failures != 0 {
		t.Errorf("bob is charged: %+v, %v", lanes, err)
	}
	// An address alone is asked about, and charged nothing.
	for range 20 {
		if tokens := ok(limitOn("remote_address", "192.0.2.7")); len(tokens) != 0 {
			t.Fatal("a question about an address began an attempt")
		}
	}
	for i := range 3 {
		ok(limitOn("subject", fmt.Sprint("someone ", i), "remote_address", "192.0.2.7"))
	}
	over(limitOn("remote_address", "192.0.2.7"))
	over(limitOn("subject", "someone else", "remote_address", "::ffff:192.0.2.7"))
	ok(limitOn("remote_address", "192.0.3.7"))

	for name, list := range map[string][]*commonv3.RateLimitDescriptor{
		"nothing": nil, "an empty descriptor": {limitOn()}, "an unknown entry": {limitOn("subject", "a", "path", "/")},
		"an entry twice": {limitOn("subject", "a", "subject", "b")}, "no address": {limitOn("remote_address", "here")},
		"no value": {limitOn("subject", "")}, "another channel": {limitOn("subject", "a", "channel", "voice")},
		"a device alone": {limitOn("device", "x")}, "too many": make([]*commonv3.RateLimitDescriptor, 17),
	} {
		if _, err := shouldLimit(t, c, list...); status.Code(err) != codes.InvalidArgument || strings.Contains(err.Error(), "voice") {
			t.Errorf("%s: %v, want INVALID_ARGUMENT", name, err)
		}
	}
	if _, err := shouldLimit(t, s.ClientWith("ww_x_y"), alice); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a key: %v", err)
	}
	_, other, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "other", Scopes: []string{"password.check"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shouldLimit(t, s.ClientWith(other), alice); status.Code(err) != codes.PermissionDenied {
		t.Errorf("with a key of another scope: %v", err)
	}
	off := servertest.New(t)
	if _, err := shouldLimit(t, off.Client, alice); status.Code(err) != codes.Unimplemented {
		t.Errorf("while it is off: %v", err)
	}
}

// certificates writes an authority, and certificates of it for a server on the
// loopback and a client of the given name.
func certificates(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(file, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	var signer *ecdsa.PrivateKey
	for i, c := range []struct {
		file     string
		template *x509.Certificate
	}{
		{"ca", authority},
		{"server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}},
		{"client", &x509.Certificate{DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = key
		}
		c.template.SerialNumber, c.template.NotBefore, c.template.NotAfter = big.NewInt(int64(i+1)), authority.NotBefore, authority.NotAfter
		cert, err := x509.CreateCertificate(rand.Reader, c.template, authority, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(c.file+".crt", "CERTIFICATE", cert)
		write(c.file+".key", "PRIVATE KEY", der)
	}
	return dir
}

// clientCmd is the client that comes with envoyproxy/ratelimit.
const clientCmd = "github.com/envoyproxy/ratelimit/src/client_cmd@v1.4.1-0.20260122083618-3fb702589d36"

// TestEnvoyClientCmd asks with envoyproxy/ratelimit's own client, which
// identifies itself by certificate. Building it takes a minute, so it runs in
// CI, or with WATCHWORD_LONG=1.
func TestEnvoyClientCmd(t *testing.T) {
	program := procs.GoTool(t, clientCmd)
	dir := certificates(t, "envoy.internal")
	s := servertest.Start(t, servertest.Options{Config: place(t, readmeExample(t, "envoy.yaml"),
		"server.crt", dir+"/server.crt", "server.key", dir+"/server.key", "ca.crt", dir+"/ca.crt")})
	command := strings.Fields(strings.ReplaceAll(place(t, readmeExample(t, "client_cmd"), "127.0.0.1:9443", s.GRPCAddr), "\\\n", " "))
	ask := func() string {
		cmd := exec.Command(filepath.Join(filepath.Dir(program), command[0]), command[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("client_cmd: %v\n%s", err, out)
		}
		_, answer, _ := strings.Cut(string(out), "response: ")
		return answer
	}
	for range 5 {
		if got := ask(); !strings.Contains(got, "overall_code:OK") || !strings.Contains(got, "x-watchword-attempt") {
			t.Errorf("%s, want OK and a token", got)
		}
	}
	if got := ask(); !strings.Contains(got, "overall_code:OVER_LIMIT") || !strings.Contains(got, "duration_until_reset") {
		t.Errorf("%s, want OVER_LIMIT", got)
	}
}

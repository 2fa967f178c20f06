// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package client calls a watchword server. Answers are values and failures are
// typed errors; a caller needs to know nothing of gRPC.
//
//	c, err := client.New(client.Options{Addr: "127.0.0.1:9443", KeyFile: "watchword-data/admin.key"})
//	…
//	login, err := c.Verify(ctx, "alice", password, client.Source{IP: "203.0.113.7"})
//	var denied *client.DeniedError
//	switch {
//	case errors.As(err, &denied): // tell the person to wait denied.RetryAfter
//	case err != nil:              // the server could not answer: let nobody in
//	case login.Match:             // go on
//	}
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/watchword-project/watchword/wordlists/private"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// DefaultAddr is where a server listens for gRPC unless told otherwise.
const DefaultAddr = "127.0.0.1:9443"

// DefaultTimeout bounds a call whose context has no deadline of its own.
const DefaultTimeout = 10 * time.Second

// Options say how to reach a server. The zero value reaches one on this
// machine, without a key.
type Options struct {
	// Addr is host:port of the server's gRPC door; DefaultAddr when empty.
	Addr string
	// Key is an API key, ww_<id>_<secret>, or an access token; or KeyFile names
	// the file that holds it. Key wins.
	Key     string
	KeyFile string
	// CAFile holds the authority of the server's certificate in PEM; the
	// system's authorities when empty. CertFile and KeyPairFile hold a client
	// certificate and its key.
	CAFile      string
	CertFile    string
	KeyPairFile string
	// TLS replaces the three fields above. Without any of the four, a loopback
	// address is reached in plaintext and every other one over TLS.
	TLS *tls.Config
	// Timeout bounds calls without a deadline; DefaultTimeout when 0. BatchCheck
	// and Import, which last as long as their rows, have no bound but that of
	// their context.
	Timeout time.Duration
	// PrivateList is the version of the list that PrivateCheck asks, 64
	// hexadecimal digits, as its keeper gave it out by another way than this
	// server.
	PrivateList string
}

// Client is a connection to a server. It is safe for concurrent use, and
// connects anew by itself.
type Client struct {
	conn        *grpc.ClientConn
	passwords   watchwordv1.PasswordServiceClient
	credentials watchwordv1.CredentialServiceClient
	attempts    watchwordv1.LoginThrottleServiceClient
	policies    watchwordv1.PolicyServiceClient
	audits      watchwordv1.AuditServiceClient
	breaches    watchwordv1.BreachServiceClient
	admin       watchwordv1.AdminServiceClient

	private *privateList // nil without Options.PrivateList
}

// retries lets calls that change nothing be tried again when the server could
// not be reached, for about two seconds in all: as long as a restart takes. A
// login or an attempt is never repeated, since each is spent, and neither is a
// write, which could have been done before its answer was lost.
const retries = `{"methodConfig": [{
	"name": [
		{"service": "watchword.v1.PasswordService", "method": "CheckPassword"},
		{"service": "watchword.v1.PasswordService", "method": "GeneratePassword"},
		{"service": "watchword.v1.PasswordService", "method": "HashPassword"},
		{"service": "watchword.v1.PasswordService", "method": "VerifyHash"},
		{"service": "watchword.v1.CredentialService", "method": "GetCredential"},
		{"service": "watchword.v1.LoginThrottleService", "method": "GetThrottleState"},
		{"service": "watchword.v1.PolicyService", "method": "ListPolicies"},
		{"service": "watchword.v1.PolicyService", "method": "GetPolicy"},
		{"service": "watchword.v1.PolicyService", "method": "DescribePolicy"},
		{"service": "watchword.v1.BreachService", "method": "GetPrivateList"},
		{"service": "watchword.v1.BreachService", "method": "GetPrivateBucket"},
		{"service": "watchword.v1.BreachService", "method": "PrivateCheck"},
		{"service": "watchword.v1.AuditService", "method": "ListAudits"},
		{"service": "watchword.v1.AuditService", "method": "GetAudit"},
		{"service": "watchword.v1.AuditService", "method": "ListFindings"},
		{"service": "watchword.v1.AuditService", "method": "GetReport"},
		{"service": "watchword.v1.AdminService", "method": "ListKeys"}
	],
	"retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.2s", "maxBackoff": "1s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]}
}]}`

// reconnect is how soon a lost connection is tried again: sooner than a call
// gives up, so that the last try of a call finds a server that came back.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// New makes a client. It does not connect yet: an unreachable server shows
// with the first call. Its errors never repeat the key.
func New(o Options) (*Client, error) {
	if o.Addr == "" {
		o.Addr = DefaultAddr
	}
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return nil, errors.New("the server's address is not host:port")
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	var list *privateList
	if o.PrivateList != "" {
		version, err := private.ParseVersion(o.PrivateList)
		if err != nil {
			return nil, err
		}
		list = &privateList{version: version}
	}
	key, err := o.key()
	if err != nil {
		return nil, err
	}
	transport, err := o.transport()
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("dns:///"+o.Addr, append(transport,
		grpc.WithDefaultServiceConfig(retries),
		grpc.WithConnectParams(reconnect),
		grpc.WithChainUnaryInterceptor(deadline(o.Timeout), authorise(key)),
		grpc.WithChainStreamInterceptor(authoriseStream(key)),
	)...)
	if err != nil {
		return nil, fmt.Errorf("the server's address: %w", err)
	}
	return &Client{
		conn:        conn,
		passwords:   watchwordv1.NewPasswordServiceClient(conn),
		credentials: watchwordv1.NewCredentialServiceClient(conn),
		attempts:    watchwordv1.NewLoginThrottleServiceClient(conn),
		policies:    watchwordv1.NewPolicyServiceClient(conn),
		audits:      watchwordv1.NewAuditServiceClient(conn),
		breaches:    watchwordv1.NewBreachServiceClient(conn),
		admin:       watchwordv1.NewAdminServiceClient(conn),

		private: list,
	}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Conn is the connection underneath, for methods that Client does not wrap.
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

// maxKey bounds a key file in bytes; access tokens are the longest keys.
const maxKey = 16 << 10

func (o Options) key() (string, error) {
	key := o.Key
	if key == "" && o.KeyFile != "" {
		f, err := os.Open(o.KeyFile)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("the key file: %w (a server writes admin.key to its data directory when it first starts)", err)
		}
		if err != nil {
			return "", fmt.Errorf("the key file: %w", err)
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxKey+1))
		if err != nil {
			return "", fmt.Errorf("the key file: %w", err)
		}
		if key = strings.TrimSpace(string(b)); key == "" {
			return "", errors.New("the key file is empty")
		}
	}
	if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", errors.New("the key is not one word of printable ASCII")
	}
	return key, nil
}

func (o Options) transport() ([]grpc.DialOption, error) {
	if o.TLS != nil {
		return []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(o.TLS))}, nil
	}
	if o.CAFile == "" && o.CertFile == "" && loopback(o.Addr) {
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dialLoopback)}, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the authority: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("the authority's file holds no certificate")
		}
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyPairFile)
		if err != nil {
			return nil, fmt.Errorf("the client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(t))}, nil
}

// dialLoopback makes sure that plaintext stays on this machine whatever
// "localhost" was resolved to, and that no proxy of the environment sees it.
func dialLoopback(ctx context.Context, addr string) (net.Conn, error) {
	if ap, err := netip.ParseAddrPort(addr); err != nil || !ap.Addr().Unmap().IsLoopback() {
		return nil, errors.New("the address is not on the loopback: plaintext is not sent there")
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// loopback tells whether an address is written as this machine's.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func deadline(d time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, d)
			defer cancel()
		}
		return next(ctx, method, req, reply, cc, opts...)
	}
}

func withKey(ctx context.Context, key string) context.Context {
	if key == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
}

func authorise(key string) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return next(withKey(ctx, key), method, req, reply, cc, opts...)
	}
}

func authoriseStream(key string) grpc.StreamClientInterceptor {
	return func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return next(withKey(ctx, key), d, cc, method, opts...)
	}
}

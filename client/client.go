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
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

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
	// Key is an API key, ww_<id>_<secret>; or KeyFile holds one.
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
	// Timeout bounds calls without a deadline; DefaultTimeout when 0.
	Timeout time.Duration
}

// Client is a connection to a server. It is safe for concurrent use, and
// connects anew by itself.
type Client struct {
	conn        *grpc.ClientConn
	passwords   watchwordv1.PasswordServiceClient
	credentials watchwordv1.CredentialServiceClient
	attempts    watchwordv1.LoginThrottleServiceClient
	admin       watchwordv1.AdminServiceClient
}

// retries lets calls that change nothing be tried again when the server could
// not be reached. A login or an attempt is never repeated: each is spent.
const retries = `{"methodConfig": [{
	"name": [
		{"service": "watchword.v1.PasswordService"},
		{"service": "watchword.v1.CredentialService", "method": "GetCredential"},
		{"service": "watchword.v1.AdminService", "method": "ListKeys"}
	],
	"retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]}
}]}`

// New makes a client. It does not connect yet: an unreachable server shows
// with the first call.
func New(o Options) (*Client, error) {
	if o.Addr == "" {
		o.Addr = DefaultAddr
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	key := o.Key
	if key == "" && o.KeyFile != "" {
		b, err := os.ReadFile(o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the key: %w", err)
		}
		key = strings.TrimSpace(string(b))
	}
	transport, err := o.transport()
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("dns:///"+o.Addr,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(retries),
		grpc.WithChainUnaryInterceptor(deadline(o.Timeout), authorise(key)),
		grpc.WithChainStreamInterceptor(authoriseStream(key)),
	)
	if err != nil {
		return nil, fmt.Errorf("server address: %w", err)
	}
	return &Client{
		conn:        conn,
		passwords:   watchwordv1.NewPasswordServiceClient(conn),
		credentials: watchwordv1.NewCredentialServiceClient(conn),
		attempts:    watchwordv1.NewLoginThrottleServiceClient(conn),
		admin:       watchwordv1.NewAdminServiceClient(conn),
	}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Conn is the connection underneath, for methods that Client does not wrap.
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

func (o Options) transport() (credentials.TransportCredentials, error) {
	if o.TLS != nil {
		return credentials.NewTLS(o.TLS), nil
	}
	if o.CAFile == "" && o.CertFile == "" && loopback(o.Addr) {
		return insecure.NewCredentials(), nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the authority: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("the authority's file holds no certificate")
		}
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyPairFile)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(t), nil
}

// loopback tells whether an address is this machine's, so that plaintext never
// leaves it.
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

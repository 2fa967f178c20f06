// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package servertest gives a test a real watchword server: the same code as
// the command, on free loopback ports, with its data in the test's directory
// and hashes at a cost that suits tests.
//
//	s := servertest.New(t)
//	login, err := s.Client.Verify(ctx, "alice", "…", client.Source{})
package servertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/daemon"
)

// Options of a server. The zero value is a server with defaults.
type Options struct {
	// Config is YAML in the form of the configuration file. The doors are on
	// free ports unless it names them.
	Config string
	// ProductionCost keeps the configured cost of hashes, instead of one of
	// 64 KiB and one pass.
	ProductionCost bool
	// DataDir is used instead of a directory of the test's own.
	DataDir string
	// Now replaces the clock.
	Now func() time.Time
	// LogTo takes the log in place of Server.Log.
	LogTo io.Writer
}

// Server is a running server.
type Server struct {
	// Client holds the owner's key.
	Client *client.Client
	// Key is that key.
	Key string
	// GRPCAddr and URL are where the doors are.
	GRPCAddr string
	URL      string
	// AuthPolicyURL and ForwardAuthURL are where the adapters are, ConsoleURL is
	// where the console is; empty unless Options.Config switches them on.
	AuthPolicyURL  string
	ForwardAuthURL string
	ConsoleURL     string
	// MetricsURL is where the metrics are; empty unless Options.Config switches
	// them on.
	MetricsURL string
	DataDir    string
	// Log is everything the server logged so far.
	Log *Log

	daemon *daemon.Server
	stop   sync.Once
	t      testing.TB
}

// Log collects log lines.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// New starts a server with defaults, and stops it when the test ends.
func New(t testing.TB) *Server {
	t.Helper()
	return Start(t, Options{})
}

// Start starts a server, and stops it when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := TryStart(t, o)
	if err != nil {
		t.Fatalf("starting a server: %v", err)
	}
	return s
}

// TryStart is Start for a server that may refuse.
func TryStart(t testing.TB, o Options) (*Server, error) {
	t.Helper()
	config, err := daemon.Read(strings.NewReader(o.Config))
	if err != nil {
		return nil, err
	}
	for _, addr := range []*string{&config.Listen.GRPC, &config.Listen.HTTP} {
		if *addr == daemon.Default().Listen.GRPC || *addr == daemon.Default().Listen.HTTP {
			*addr = "127.0.0.1:0"
		}
	}
	if !o.ProductionCost {
		config.Hashing.InsecureTestCost = true
		config.Hashing.Memory, config.Hashing.Time, config.Hashing.Parallelism = 64<<10, 1, 1
		config.Hashing.MemoryBudget = 64 << 20
	}
	s := &Server{DataDir: o.DataDir, Log: &Log{}, t: t}
	if s.DataDir == "" {
		s.DataDir = filepath.Join(t.TempDir(), "data")
	}
	var log io.Writer = s.Log
	if o.LogTo != nil {
		log = o.LogTo
	}
	s.daemon, err = daemon.Start(context.Background(), daemon.Options{
		Config: config, DataDir: s.DataDir, Now: o.Now,
		// Many tests share one disk; what a slow one does is tested with the log.
		EventPatience: time.Minute,
		Log:           slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(s.Stop)
	s.GRPCAddr = s.daemon.GRPCAddr().String()
	scheme := "http://"
	if config.Listen.TLS.Cert != "" {
		scheme = "https://"
	}
	s.URL = scheme + s.daemon.HTTPAddr().String()
	s.AuthPolicyURL = adapterURL(scheme, s.daemon.AdapterAddr("listen.auth_policy"))
	s.ConsoleURL = adapterURL("http://", s.daemon.AdapterAddr("listen.console"))
	s.ForwardAuthURL = adapterURL(scheme, s.daemon.AdapterAddr("listen.forward_auth"))
	if s.MetricsURL = adapterURL(scheme, s.daemon.AdapterAddr("telemetry.metrics_addr")); s.MetricsURL != "" {
		s.MetricsURL += "/metrics"
	}
	key, err := os.ReadFile(filepath.Join(s.DataDir, "admin.key"))
	if err != nil {
		return nil, err
	}
	s.Key = strings.TrimSpace(string(key))
	s.Client = s.ClientWith(s.Key)
	return s, nil
}

func adapterURL(scheme string, a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return scheme + a.String()
}

// Signals counts what the server noticed about logins, and what became of it
// at the webhook: SPRAY, STUFFING, SUCCESS_AFTER_FAILURES, SUCCESS_IN_ATTACK,
// DELIVERED, FAILED and DROPPED.
func (s *Server) Signals() map[string]uint64 {
	n := s.daemon.SignalCounts()
	return map[string]uint64{"SPRAY": n.Spray, "STUFFING": n.Stuffing, "SUCCESS_AFTER_FAILURES": n.SuccessAfterFailures,
		"SUCCESS_IN_ATTACK": n.SuccessInAttack, "DELIVERED": n.Delivered, "FAILED": n.Failed, "DROPPED": n.Dropped}
}

// ClientWith gives a client with another key.
func (s *Server) ClientWith(key string) *client.Client {
	s.t.Helper()
	c, err := client.New(client.Options{Addr: s.GRPCAddr, Key: key})
	if err != nil {
		s.t.Fatalf("making a client: %v", err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Stop stops the server as a signal would, before the test ends.
func (s *Server) Stop() {
	if err := s.StopWithin(20 * time.Second); err != nil {
		s.t.Errorf("stopping the server: %v", err)
	}
}

// StopWithin is Stop with another limit than that of a test's patience, for calls
// that do not end by themselves.
func (s *Server) StopWithin(limit time.Duration) (err error) {
	s.stop.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		err = s.daemon.Stop(ctx)
	})
	return err
}

// Reload reads files and stored objects again, as SIGHUP does.
func (s *Server) Reload(ctx context.Context) error { return s.daemon.Reload(ctx) }

// Methods lists the gRPC methods that need a key, with the scope of each.
func (s *Server) Methods() map[string]string { return s.daemon.RPC().Methods() }

// Routes lists the REST routes that need a key, with the method behind each.
func (s *Server) Routes() map[string]string { return s.daemon.RPC().Routes() }

// Hashes counts the password hashes that were begun.
func (s *Server) Hashes() uint64 { return s.daemon.Hashes() }

// Backup writes a backup to nowhere, and tells whether that went well.
func (s *Server) Backup(ctx context.Context) error {
	return daemon.Backup(ctx, s.DataDir, nil, io.Discard)
}

// Post sends JSON to a REST route with the owner's key, and gives status and
// body.
func (s *Server) Post(path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.Key)
	code, _, text := s.Do(req)
	return code, text
}

// Do sends a request and gives status, headers and body.
func (s *Server) Do(req *http.Request) (int, http.Header, string) {
	s.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(fmt.Errorf("asking the server: %w", err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(fmt.Errorf("reading the answer: %w", err))
	}
	return resp.StatusCode, resp.Header, string(b)
}

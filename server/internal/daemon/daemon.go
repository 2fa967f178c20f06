// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package daemon turns a configuration into a running server. It is the one
// place where all rooms meet. The server starts fully or not at all, and stops
// in order, finishing what it accepted.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/corpora"
	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/pepper"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/rpc"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Server is a running server.
type Server struct {
	log     *slog.Logger
	rpc     *rpc.Server
	http    *http.Server
	grpcL   net.Listener
	httpL   net.Listener
	admin   *adminDoor
	hasher  *password.Hasher
	book    *policybook.Book
	pepper  *peppers
	store   *boltstore.Store
	corpora *corpora.Shelf // nil: none configured

	adapters []adapter
	signals  signals

	ready   atomic.Bool
	failed  chan error
	closers []func(context.Context) error // in the order of starting
	stop    context.CancelFunc
	wait    sync.WaitGroup
}

// Options are what Start needs.
type Options struct {
	Config Config
	// DataDir is made, with its keys, when it does not exist and all doors are
	// on the loopback.
	DataDir string
	Log     *slog.Logger
	Now     func() time.Time
}

// Start starts a server. When it returns nil the doors are open.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{log: o.Log, failed: make(chan error, 4)}
	run, stop := context.WithCancel(context.Background())
	s.stop = stop
	defer func() {
		if err != nil {
			s.closeAll(context.Background())
		}
	}()
	c := o.Config
	if err := c.supported(); err != nil {
		return nil, err
	}
	dir := dataDir(o.DataDir)
	fresh, err := s.prepare(ctx, c, dir)
	if err != nil {
		return nil, err
	}
	store, err := boltstore.Open(o.DataDir, boltstore.Options{})
	if err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { return store.Close() })
	s.store = store
	keyring, err := identity.NewKeyring(ctx, store, o.Now)
	if err != nil {
		return nil, err
	}
	if fresh {
		if err := firstKey(ctx, keyring, dir, o.Now()); err != nil {
			return nil, err
		}
		o.Log.Info("made the data directory with its keys", "dir", o.DataDir, "admin_key", dir.path(adminFile))
	}
	v, err := s.verifier(ctx, c, dir, store, store, o)
	if err != nil {
		return nil, err
	}
	access, err := c.access(keyring)
	if err != nil {
		return nil, err
	}
	hook, err := c.openWebhook(s.log, o.Now)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, c, dir, v, keyring, access, o.Now); err != nil {
		return nil, err
	}
	noticed := v.Throttle.Signals(run)
	s.spawn(func() { s.watchSignals(run, noticed, hook) })
	s.spawn(func() {
		keyring.Run(run, func(err error) { o.Log.Error("keys could not be read again", "error", err) })
	})
	s.spawn(func() {
		s.book.Run(run, func(err error) {
			o.Log.Error("policies could not be read again; those before stay in force", "error", err)
		})
	})
	s.spawn(func() { v.Run(run) })
	if s.corpora != nil {
		s.spawn(func() {
			s.corpora.Run(run, func(name string, err error) {
				if err != nil {
					o.Log.Error("a changed corpus was not taken", "corpus", name, "error", err)
					return
				}
				o.Log.Info("a changed corpus was taken", "corpus", name)
			})
		})
	}
	s.setReady(true)
	return s, nil
}

// supported refuses settings that this version would silently not honour.
func (c Config) supported() error {
	for _, f := range []struct {
		key string
		set bool
	}{
		{"store.kind other than embedded", c.Store.Kind != "embedded"},
		{"auth.oidc", c.Auth.OIDC.Issuer != ""},
		{"listen.console", c.Listen.Console != ""},
		{"events.path", c.Events.Path != "" || c.Events.Checkpoint != ""},
		{"retention", len(c.Retention) > 0},
		{"doctor.neighbours", len(c.Doctor.Neighbours) > 0},
		{"telemetry", c.Telemetry != Telemetry{}},
	} {
		if f.set {
			return fmt.Errorf("configuration: %s is not supported by this version", f.key)
		}
	}
	return nil
}

// prepare makes a new data directory, or checks the one there is.
func (s *Server) prepare(ctx context.Context, c Config, dir dataDir) (fresh bool, err error) {
	done, err := dir.initialised()
	if err != nil {
		return false, err
	}
	if done {
		return false, dir.check()
	}
	for _, d := range append(c.doors(), c.adapterDoors()...) {
		ap, err := resolve(ctx, d)
		if err != nil {
			return false, err
		}
		if !ap.Addr().Unmap().IsLoopback() {
			return false, fmt.Errorf("the data directory has no keys yet: start once on the loopback, or run watchword-server init, before %s is opened to others", d.name)
		}
	}
	return true, Init(string(dir))
}

// Init makes a data directory with its keys, or returns an error and changes
// nothing when it has any of them. The admin key follows with the first start.
func Init(dir string) error {
	d := dataDir(dir)
	switch done, err := d.initialised(); {
	case err != nil:
		return err
	case done:
		return errors.New("data directory: it has its keys already")
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := d.check(); err != nil {
		return err
	}
	if _, err := pepper.CreateFile(d.path(pepperFile)); err != nil {
		return err
	}
	if err := d.makeKey(signingFile); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return d.sync()
}

// firstKey makes the owner's key: all scopes, from the loopback only.
func firstKey(ctx context.Context, keyring *identity.Keyring, dir dataDir, now time.Time) error {
	k, secret := identity.NewKey(now)
	k.Name, k.Tenant, k.Preset = "owner", identity.DefaultTenant, identity.PresetOwner
	k.Scopes, _ = identity.Preset(identity.PresetOwner)
	for _, n := range identity.Loopback {
		k.Networks = append(k.Networks, n.String())
	}
	if err := keyring.Create(ctx, k); err != nil {
		return err
	}
	if err := writeSecret(dir.path(adminFile), secret); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return dir.sync()
}

// verifier builds everything below the edge.
func (s *Server) verifier(ctx context.Context, c Config, dir dataDir, store verifier.Store, objs objects.Store, o Options) (*verifier.Verifier, error) {
	master, err := readKey(dir.path(signingFile))
	if err != nil {
		return nil, err
	}
	s.pepper, err = openPepper(ctx, dir, c.Pepper.Keys, objs)
	if err != nil {
		return nil, err
	}
	hasher, err := password.NewHasher(password.Config{
		Params:       c.Hashing.Params(),
		MemoryBudget: int64(c.Hashing.MemoryBudget), QueueWait: c.Hashing.QueueWait, Insecure: c.Hashing.InsecureTestCost,
	})
	if err != nil {
		return nil, err
	}
	s.hasher = hasher
	s.onClose(func(context.Context) error { hasher.Close(); return nil })
	if c.Hashing.InsecureTestCost {
		s.log.Warn("INSECURE: hashing.insecure_test_cost is on: hashes may be far too cheap to guess")
	}
	limiter, err := s.limiter(c, dir, master, o.Now)
	if err != nil {
		return nil, err
	}
	tenants, defaults := make(map[string]verifier.Tenant), make(map[string]string)
	for _, t := range c.Tenants {
		tenants[t.Name] = verifier.Tenant{Exact: t.Case == "exact"}
		if t.Policy != "" {
			defaults[t.Name] = t.Policy
		}
	}
	s.book, err = policybook.New(ctx, policybook.Config{Store: objs, Dir: c.Policy.Dir, Default: c.Policy.Default, Defaults: defaults,
		Key: derive(master, "rollout"), Now: o.Now})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	s.onClose(s.book.Flush)
	var shelf verifier.Corpora
	if len(c.Corpora) > 0 {
		if s.corpora, err = openCorpora(c.Corpora); err != nil {
			return nil, err
		}
		s.onClose(func(context.Context) error { s.corpora.Close(); return nil })
		shelf = s.corpora
	}
	v, err := verifier.New(ctx, verifier.Config{
		Store: store, Objects: objs, Hasher: hasher, Throttle: limiter, Pepper: s.pepper.Ring,
		Keys:     verifier.Keys{Subject: derive(master, "subject"), Guess: derive(master, "guess"), Proof: derive(master, "proof")},
		Policies: s.book, Corpora: shelf, Tenants: tenants, Log: s.log, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	s.onClose(func(ctx context.Context) error { v.Close(ctx); return nil })
	return v, nil
}

func (c Config) access(keyring *identity.Keyring) (*rpc.Access, error) {
	allow, err := identity.ParseNetworks(c.Listen.Allow)
	if err != nil {
		return nil, fmt.Errorf("configuration: listen.allow: %w", err)
	}
	certs, err := c.certificates()
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return &rpc.Access{Keys: keyring, Certificates: certs, Allow: allow,
		RPS: c.Limits.PerKeyRPS, Concurrency: c.Limits.PerKeyConcurrency}, nil
}

func (c Config) doors() []door {
	return []door{{"listen.grpc", c.Listen.GRPC}, {"listen.http", c.Listen.HTTP}}
}

// open binds and serves the doors.
func (s *Server) open(ctx context.Context, c Config, dir dataDir, v *verifier.Verifier, keyring *identity.Keyring, access *rpc.Access, now func() time.Time) error {
	tlsConfig, err := c.serverTLS()
	if err != nil {
		return err
	}
	anonymous, err := identity.ParseNetworks(c.Range.AnonymousFrom)
	if err != nil {
		return fmt.Errorf("configuration: range.anonymous_from: %w", err)
	}
	others := false
	for _, k := range keyring.List("*") {
		others = others || k.Preset != identity.PresetOwner && k.Live(time.Now())
	}
	exposed := func() error { return c.interlock(others) }
	if err := s.openAdapters(ctx, c, v, tlsConfig, exposed, now); err != nil {
		return err
	}
	var ls [2]net.Listener
	for i, d := range c.doors() {
		if ls[i], err = bind(ctx, d, exposed); err != nil {
			if ls[0] != nil {
				ls[0].Close()
			}
			return errors.Join(err, s.closeAdapters())
		}
	}
	s.grpcL, s.httpL = ls[0], ls[1]
	s.rpc, err = rpc.New(ctx, rpc.Config{
		Verifier: v, Keyring: keyring, Book: s.book, Rotate: s.rotatePepper(v), Backup: s.backup, Access: access, Log: s.log, TLS: tlsConfig,
		Hosts: c.Listen.Hosts, AnyHost: tlsConfig != nil && len(c.Listen.Hosts) == 0, Origins: c.Listen.CORSOrigins,
		AnonymousRange: anonymous, Ready: s.unready, Envoy: c.Listen.Envoy,
	})
	if err != nil {
		return errors.Join(err, ls[0].Close(), ls[1].Close(), s.closeAdapters())
	}
	s.http = &http.Server{
		Handler: s.rpc.REST(), TLSConfig: tlsConfig.Clone(), ConnContext: rpc.ConnContext,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(discard{}, slog.LevelDebug),
	}
	s.admin, err = openAdmin(dir.path(socketFile), s.rpc)
	if err != nil {
		return errors.Join(err, ls[0].Close(), ls[1].Close(), s.closeAdapters())
	}
	s.serveAdapters(tlsConfig)
	s.serve(func() error { return s.rpc.GRPC.Serve(s.grpcL) })
	s.serve(func() error {
		if tlsConfig != nil {
			return s.http.ServeTLS(s.httpL, "", "")
		}
		return s.http.Serve(s.httpL)
	})
	s.serve(s.admin.serve)
	s.onClose(s.drain)
	return nil
}

// discard drops what net/http has to say: mostly handshakes of port scanners,
// with texts of the peer in them.
type discard struct{ slog.Handler }

func (discard) Enabled(context.Context, slog.Level) bool { return false }

func (s *Server) serve(f func() error) {
	s.spawn(func() {
		if err := f(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			select {
			case s.failed <- err:
			default:
			}
		}
	})
}

func (s *Server) spawn(f func()) {
	s.wait.Add(1)
	go func() { defer s.wait.Done(); f() }()
}

func (s *Server) onClose(f func(context.Context) error) { s.closers = append(s.closers, f) }

func (s *Server) setReady(ready bool) {
	s.ready.Store(ready)
	s.rpc.Serving(ready)
}

var errNotReady = errors.New("not ready")

// unready says why the service is not ready: it starts or stops, or a corpus
// cannot be trusted any more.
func (s *Server) unready() error {
	if !s.ready.Load() {
		return errNotReady
	}
	if s.corpora != nil {
		return s.corpora.Ready()
	}
	return nil
}

// rotatePepper gives the rotation of the pepper: a key is made active, and
// every hash sealed under it while logins go on.
func (s *Server) rotatePepper(v *verifier.Verifier) func(context.Context, string) (string, int, int, error) {
	return func(ctx context.Context, id string) (string, int, int, error) {
		id, err := s.pepper.rotate(ctx, id)
		if err != nil {
			return "", 0, 0, err
		}
		changed, left, err := v.Reseal(ctx)
		return id, changed, left, err
	}
}

func (s *Server) backup(ctx context.Context, w io.Writer) error {
	return s.pepper.backup(s.store)(ctx, w)
}

func openCorpora(list []Corpus) (*corpora.Shelf, error) {
	var sources []corpora.Source
	for _, c := range list {
		sources = append(sources, corpora.Source{Name: c.Name, Path: c.Path})
	}
	s, err := corpora.Open(sources)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return s, nil
}

// GRPCAddr and HTTPAddr are where the doors are.
func (s *Server) GRPCAddr() netip.AddrPort { return addrPort(s.grpcL) }

// HTTPAddr is where the REST door is.
func (s *Server) HTTPAddr() netip.AddrPort { return addrPort(s.httpL) }

// RPC is the edge, for tests that walk its methods and routes.
func (s *Server) RPC() *rpc.Server { return s.rpc }

// Hashes counts the password hashes that were begun.
func (s *Server) Hashes() uint64 { return s.hasher.Stats().Runs }

// Failed gives the error of a door that closed by itself.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop says that the server is not ready, lets the calls under way end, at the
// longest until ctx does, and closes everything in reverse order.
func (s *Server) Stop(ctx context.Context) error {
	if s.rpc != nil {
		s.setReady(false)
	}
	return s.closeAll(ctx)
}

func (s *Server) closeAll(ctx context.Context) error {
	s.stop()
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i](ctx))
	}
	s.closers = nil
	s.wait.Wait()
	return errors.Join(errs...)
}

// drain lets REST calls end first, since they run through the same handlers,
// then gRPC.
func (s *Server) drain(ctx context.Context) error {
	s.rpc.EndWatches()
	err := s.drainAdapters(ctx)
	if e := s.http.Shutdown(ctx); e != nil {
		err = errors.Join(err, e, s.http.Close())
	}
	done := make(chan struct{})
	go func() { s.rpc.GRPC.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.rpc.GRPC.Stop()
		<-done
		err = errors.Join(err, ctx.Err())
	}
	s.admin.close()
	return err
}

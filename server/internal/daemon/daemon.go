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
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/watchword-project/watchword/server/internal/assets"
	"github.com/watchword-project/watchword/server/internal/corpora"
	"github.com/watchword-project/watchword/server/internal/events"
	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/mac"
	"github.com/watchword-project/watchword/server/internal/oidc"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/pepper"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/rpc"
	"github.com/watchword-project/watchword/server/internal/telemetry"
	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Server is a running server.
type Server struct {
	log     *slog.Logger
	now     func() time.Time
	rpc     *rpc.Server
	http    *http.Server
	grpcL   net.Listener
	httpL   net.Listener
	admin   *adminDoor
	hasher  *password.Hasher
	book    *policybook.Book
	shadow  func() verifier.Shadowed
	pepper  *peppers
	store   *keep
	corpora *corpora.Shelf
	audits  *audits
	events  *events.Log
	journal *journal
	tenants *tenants
	certs   *certificates // nil: no TLS
	keys    *identity.Keyring
	tokens  *oidc.Verifier // nil: off
	dir     dataDir
	legacy  func() map[string]time.Duration
	config  Config
	version string
	// examining has room for the one examination that may run.
	examining chan struct{}

	throttle  *throttle.Limiter
	telemetry *telemetry.Observer // nil: nothing is measured
	reloads   reloads

	announced struct {
		sync.Mutex
		ready bool
	}

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
	// Slots is the most hashes that run at the same moment, unless
	// hashing.slots says it; zero means GOMAXPROCS.
	Slots int
	// Version describes the program, for those who ask.
	Version string
	Log     *slog.Logger
	Now     func() time.Time
	// EventPatience is how long a change waits for the event log's disk before
	// it is refused; zero means 1.8 s.
	EventPatience time.Duration
}

// Start starts a server. When it returns nil the doors are open.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{log: o.Log, now: o.Now, version: o.Version, failed: make(chan error, 4), examining: make(chan struct{}, 1)}
	run, stop := context.WithCancel(context.Background())
	s.stop = stop
	defer func() {
		if err != nil {
			s.closeAll(context.Background())
		}
	}()
	c := o.Config
	s.config = c
	dir := dataDir(o.DataDir)
	s.dir = dir
	fresh, err := s.prepare(ctx, c, dir)
	if err != nil {
		return nil, err
	}
	if err := s.measure(ctx, c, o); err != nil {
		return nil, err
	}
	if s.store, err = openStore(ctx, c, dir); err != nil {
		return nil, err
	}
	s.store.telemetry = s.telemetry
	s.onClose(func(context.Context) error { return s.store.close() })
	v, err := s.verifier(ctx, c, dir, o)
	if err != nil {
		return nil, err
	}
	s.shadow = v.Shadowed
	if err := s.openJournal(c, dir, v, o.Now, o.EventPatience); err != nil {
		return nil, err
	}
	keyring, err := s.keyring(ctx, c, dir, fresh, o)
	if err != nil {
		return nil, err
	}
	s.keys = keyring
	access, err := c.access(keyring)
	if err != nil {
		return nil, err
	}
	access.Gone = s.tenants.gone
	if s.tokens, err = s.openTokens(ctx, c, o.Now); err != nil {
		return nil, err
	}
	if s.tokens != nil {
		access.Tokens = s.tokens
		s.spawn(func() { s.tokens.Run(run, s.noteTokenKeys()) })
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
		keyring.Run(run, func(err error) {
			s.reloads.note(partKeys, err)
			o.Log.Error("keys could not be read again", "error", err)
		})
	})
	s.spawn(func() {
		s.book.Run(run, func(err error) {
			s.reloads.note(partPolicies, err)
			o.Log.Error("policies could not be read again; those before stay in force", "error", err)
		})
	})
	s.spawn(func() { v.Run(run) })
	s.spawn(func() { s.journal.run(run) })
	s.spawn(func() { s.watchCertificates(run) })
	s.spawn(func() { s.purge(run, c.Retention, o.Now) })
	s.spawn(func() {
		s.tenants.run(run, func(err error) {
			s.reloads.note(partTenants, err)
			o.Log.Error("tenants could not be read again", "error", err)
		})
	})
	s.audits.start(s, run)
	s.spawn(func() { s.eraseAgain(run, v) })
	if s.store.durability != nil {
		// A server that must not be asked for its settings is no reason not to start.
		findings, err := s.store.durability(ctx)
		if err != nil {
			o.Log.Warn("the store's settings could not be read", "error", err)
		}
		for _, f := range findings {
			o.Log.Warn(f)
		}
		if c.Throttle.Store != "redis" {
			o.Log.Warn("servers that share this store count login attempts each on its own: set throttle.store to redis unless this is the only one")
		}
	}
	s.spawn(func() {
		s.store.watch(run, func(err error) {
			if err != nil {
				o.Log.Error("the store is lost: nothing can be said about any subject", "error", err)
			} else {
				o.Log.Info("the store answers again")
			}
			s.announce()
		})
	})
	s.spawn(func() {
		s.corpora.Run(run, s.sayCorpus)
	})
	// A corpus that breaks is noticed by whoever asks it.
	s.spawn(func() { every(run, probeEvery, s.announce) })
	s.setReady(true)
	return s, nil
}

// keyring reads the API keys, and makes the first for a store that has none, if
// nobody but this machine can reach the server.
func (s *Server) keyring(ctx context.Context, c Config, dir dataDir, fresh bool, o Options) (*identity.Keyring, error) {
	keyring, err := identity.NewKeyring(ctx, s.store, o.Now)
	if err != nil {
		return nil, err
	}
	exposed, err := c.exposed(ctx)
	if err != nil {
		return nil, err
	}
	made := false
	if exposed == "" {
		if made, err = firstKey(ctx, keyring, s.store, dir, o.Now()); err != nil {
			return nil, err
		}
	}
	switch {
	case made:
		s.journal.note("key.create", "OK", map[string]string{"preset": identity.PresetOwner})
		o.Log.Info("made the data directory with its keys", "dir", o.DataDir, "admin_key", dir.path(adminFile))
	case fresh:
		o.Log.Info("made the data directory with its keys; the store has API keys already", "dir", o.DataDir)
	}
	return keyring, nil
}

// exposed names a door that others than this machine can reach, if there is
// one.
func (c Config) exposed(ctx context.Context) (string, error) {
	for _, d := range c.allDoors() {
		ap, err := resolve(ctx, d)
		if err != nil {
			return "", err
		}
		if !ap.Addr().Unmap().IsLoopback() {
			return d.name, nil
		}
	}
	return "", nil
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
	switch door, err := c.exposed(ctx); {
	case err != nil:
		return false, err
	case door != "":
		return false, fmt.Errorf("the data directory has no keys yet: start once on the loopback, or run watchword-server init, before %s is opened to others", door)
	}
	return true, Init(string(dir))
}

// ErrInitialised is returned by Init for a data directory that has its keys.
var ErrInitialised = errors.New("data directory: it has its keys already")

// Init makes a data directory with its keys, or returns ErrInitialised and changes
// nothing when it has them. The admin key follows with the first start.
func Init(dir string) error {
	d := dataDir(dir)
	switch done, err := d.initialised(); {
	case err != nil:
		return err
	case done:
		return ErrInitialised
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

// verifier builds everything below the edge.
func (s *Server) verifier(ctx context.Context, c Config, dir dataDir, o Options) (*verifier.Verifier, error) {
	master, err := readKey(dir.path(signingFile))
	if err != nil {
		return nil, err
	}
	if err := bindStore(ctx, s.store, master); err != nil {
		return nil, err
	}
	s.pepper, err = openPepper(ctx, dir, c.Pepper.Keys, s.store)
	if err != nil {
		return nil, err
	}
	if err := s.pepper.settle(ctx, s.store); err != nil {
		return nil, err
	}
	if s.hasher, err = s.newHasher(c.Hashing, o.Slots); err != nil {
		return nil, err
	}
	limiter, err := s.limiter(c, dir, master, o.Now)
	if err != nil {
		return nil, err
	}
	s.throttle = limiter
	if s.tenants, err = newTenants(ctx, s.store, c.Tenants, &subjectKeys{dir: dir.path(subjectKeysDir)}); err != nil {
		return nil, err
	}
	if s.book, err = c.book(ctx, s.store, s.tenants, derive(master, "rollout"), o.Now); err != nil {
		return nil, err
	}
	s.onClose(s.book.Flush)
	if s.corpora, err = openCorpora(ctx, &c); err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { s.corpora.Close(); return nil })
	v, err := verifier.New(ctx, verifier.Config{
		Store: s.store, Objects: s.store, Hasher: s.hasher, Throttle: limiter, Pepper: s.pepper.Ring,
		Keys:     verifier.Keys{Subject: mac.NewKey(derive(master, "subject")), Guess: mac.NewKey(derive(master, "guess")), Proof: policy.NewProofKey(derive(master, "proof"))},
		Policies: s.book, Corpora: s.corpora, TenantOf: s.tenants.settings, Disabled: s.noteDisabled, Log: s.log, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	s.onClose(func(ctx context.Context) error { v.Close(ctx); return nil })
	s.countEmbedded(v)
	s.legacy = v.LegacyWaits
	if s.audits, err = s.openAudits(v, master, o.Now); err != nil {
		return nil, err
	}
	return v, nil
}

// book opens the policies of configuration, directory and store.
func (c Config) book(ctx context.Context, store *keep, tenants *tenants, key []byte, now func() time.Time) (*policybook.Book, error) {
	defaults := make(map[string]string)
	for _, t := range c.Tenants {
		if t.Policy != "" {
			defaults[t.Name] = t.Policy
		}
	}
	book, err := policybook.New(ctx, policybook.Config{Store: store, Dir: c.Policy.Dir, Default: c.Policy.Default, Defaults: defaults, DefaultOf: tenants.policy,
		Key: key, Now: now})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return book, nil
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
func (s *Server) open(ctx context.Context, c Config, dir dataDir, v *verifier.Verifier, keyring *identity.Keyring, access *rpc.Access, now func() time.Time) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeDoors())
		}
	}()
	certs, err := newCertificates(c, now)
	if err != nil {
		return err
	}
	s.certs = certs
	if certs != nil {
		access.Trusts = certs.trusts
	}
	tlsConfig := certs.tls()
	anonymous, err := identity.ParseNetworks(c.Range.AnonymousFrom)
	if err != nil {
		return fmt.Errorf("configuration: range.anonymous_from: %w", err)
	}
	lists, err := openPrivate(&c)
	if err != nil {
		return err
	}
	others := false
	for _, k := range keyring.List("*") {
		others = others || k.Preset != identity.PresetOwner && k.Live(time.Now())
	}
	exposed := func() error { return c.interlock(others) }
	if err := s.openAdapters(ctx, c, v, access.Allow, tlsConfig, exposed, now); err != nil {
		return err
	}
	doors := []*net.Listener{&s.grpcL, &s.httpL}
	for i, d := range c.doors() {
		l, err := bind(ctx, d, exposed)
		if err != nil {
			return err
		}
		allow := access.Allow
		if doors[i] == &s.httpL && len(allow) > 0 {
			allow = slices.Concat(allow, anonymous)
		}
		*doors[i] = s.guard(l, d.name, allow, true)
	}
	var browser http.Handler
	if c.Listen.Browser {
		if browser, err = assets.New(rpc.BrowserPrefix); err != nil {
			return err
		}
	}
	s.rpc, err = rpc.New(ctx, rpc.Config{
		Verifier: v, Keyring: keyring, Book: s.book, Audits: s.audits, Private: lists, Rotate: s.rotatePepper(v), Backup: s.backup, DestroyTenant: s.destroyTenant(v), Access: access, Log: s.log, TLS: tlsConfig,
		Hosts: c.Listen.Hosts, AnyHost: tlsConfig != nil && len(c.Listen.Hosts) == 0, Origins: c.Listen.CORSOrigins,
		AnonymousRange: anonymous, Ready: s.unready, Envoy: c.Listen.Envoy, Browser: browser, Journal: s.journal,
		Now: now, Installation: installation{s, v}, Observer: s.observer(),
	})
	if err != nil {
		return err
	}
	s.http = webServer(s.rpc.REST(), tlsConfig, restWrite)
	if err := s.openConsole(ctx, c, access.Allow); err != nil {
		return err
	}
	s.admin, err = openAdmin(dir.path(socketFile), s.rpc)
	if err != nil {
		return err
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

// every calls f again and again, period apart, until ctx ends.
func every(ctx context.Context, period time.Duration, f func()) {
	t := time.NewTicker(period)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f()
		}
	}
}

func (s *Server) onClose(f func(context.Context) error) { s.closers = append(s.closers, f) }

func (s *Server) setReady(ready bool) {
	s.ready.Store(ready)
	s.announce()
}

// announce tells the health service of a change.
func (s *Server) announce() {
	s.announced.Lock()
	defer s.announced.Unlock()
	if ready := s.unready() == nil; ready != s.announced.ready {
		s.announced.ready = ready
		s.rpc.Serving(ready)
	}
}

var errNotReady = errors.New("not ready")

// unready says why the service is not ready: it starts or stops, the store is
// lost, or a corpus cannot be trusted any more.
func (s *Server) unready() error {
	if !s.ready.Load() {
		return errNotReady
	}
	if err := s.store.ready(); err != nil {
		return err
	}
	return s.corpora.Ready()
}

// rotatePepper gives the rotation of the pepper: a key is made active, and
// every hash sealed under it while logins go on.
func (s *Server) rotatePepper(v *verifier.Verifier) func(context.Context, string) (string, int, int, error) {
	return func(ctx context.Context, id string) (string, int, int, error) {
		if s.store.embedded == nil && len(s.config.Pepper.Keys) == 0 {
			return "", 0, 0, errSharedPepper
		}
		id, err := s.pepper.rotate(ctx, id)
		if err != nil {
			return "", 0, 0, err
		}
		changed, left, err := v.Reseal(ctx)
		return id, changed, left, err
	}
}

var (
	errSharedPepper = status.Error(codes.FailedPrecondition, "several servers may share this store: list the new key in pepper.keys of each, first as decrypt-only, before one makes it active")
	errForeignStore = status.Error(codes.FailedPrecondition, "the credentials are not in the data directory: back the database up with its own tools, and keep pepper.key and signing.key elsewhere")
)

func (s *Server) backup(ctx context.Context, w io.Writer) error {
	if s.store.embedded == nil {
		return errForeignStore
	}
	return s.pepper.backup(s.store.embedded)(ctx, w)
}

// openCorpora opens the configured corpora.
func openCorpora(ctx context.Context, c *Config) (*corpora.Shelf, error) {
	cfg := corpora.Config{PublicPadding: c.Range.Padding == "public"}
	for _, e := range c.Corpora {
		cfg.Sources = append(cfg.Sources, corpora.Source{Name: e.Name, Path: e.Path, SignedBy: e.SignedBy, Unbounded: e.Unbounded, Preload: preloads[e.Preload]})
	}
	s, err := corpora.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return s, nil
}

// fittingLeast is what OWASP ASVS 5.0 6.2.4 asks for.
const fittingLeast = 3_000

// countEmbedded counts how much of the embedded list the default policy's
// minimum lengths leave to be refused by the list.
func (s *Server) countEmbedded(v *verifier.Verifier) {
	chosen, err := s.book.Policy(identity.DefaultTenant, "", verifier.Pseudonym{})
	if err != nil {
		return // whoever asks for it is told
	}
	form := chosen.Policy.Form("en")
	single, multi := v.Fitting(form.MinLength), v.Fitting(form.MinLengthMFA)
	s.log.Info("embedded list counted", "strings", v.Fitting(0), "long_enough", single, "long_enough_multi_factor", multi)
	if min(single, multi) < fittingLeast {
		s.log.Warn("the default policy demands such length that the embedded list holds fewer than 3,000 passwords that fit it: configure a breach corpus (OWASP ASVS 5.0 6.2.4)")
	}
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

// closeLimit bounds what closing takes when calls under way have used up the
// time of the stop.
const closeLimit = 5 * time.Second

func (s *Server) closeAll(ctx context.Context) error {
	s.stop()
	var errs []error
	late := false
	for i := len(s.closers) - 1; i >= 0; i-- {
		if ctx.Err() != nil && !late {
			// Calls have used the time up; what they did is still to be written.
			late = true
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.Background(), closeLimit)
			defer cancel()
		}
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

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/pgstore"
	"github.com/watchword-project/watchword/server/internal/redisstore"
	"github.com/watchword-project/watchword/server/internal/telemetry"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

const (
	// callLimit bounds one call of a store that is reached over a network, so
	// that a caller hears within two seconds that it is lost.
	callLimit = 1500 * time.Millisecond
	// probeEvery and probeLimit make a loss, or its end, show in the readiness
	// within two seconds, whether or not anybody calls.
	probeEvery = 500 * time.Millisecond
	probeLimit = time.Second
)

// backend is what every store is.
type backend interface {
	verifier.Store
	objects.Store
}

// keep is the open store with what stands around it.
type keep struct {
	*guard
	embedded *boltstore.Store // nil for a store that several servers may share
	// durability tells, as sentences, the settings of the store's server under
	// which what was acknowledged may be lost.
	durability func(context.Context) ([]string, error)
	// role tells, of PostgreSQL, whether our role may do everything, and the time
	// there; nil for other stores.
	role  func(context.Context) (superuser bool, clock time.Time, err error)
	close func() error
}

// openStore opens the configured store, and takes the data directory for this
// process. A store that cannot be reached stops the start.
func openStore(ctx context.Context, c Config, dir dataDir) (_ *keep, err error) {
	if c.Store.Kind == "embedded" {
		b, err := boltstore.Open(string(dir), boltstore.Options{})
		if err != nil {
			return nil, err
		}
		return &keep{guard: &guard{backend: b}, embedded: b, close: b.Close}, nil
	}
	unlock, err := boltstore.Lock(string(dir))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("store.kind %s: %w", c.Store.Kind, errors.Join(err, unlock()))
		}
	}()
	var remote interface {
		backend
		io.Closer
		CheckDurability(context.Context) ([]string, error)
	}
	var role func(context.Context) (bool, time.Time, error)
	if c.Store.Kind == "postgres" {
		dsn, err := c.Postgres.dsn()
		if err != nil {
			return nil, err
		}
		pg, err := pgstore.Open(ctx, pgstore.Config{DSN: dsn})
		if err != nil {
			return nil, err
		}
		remote, role = pg, pg.Role
	} else {
		rc, err := c.Redis.store()
		if err != nil {
			return nil, err
		}
		if remote, err = redisstore.Open(ctx, rc); err != nil {
			return nil, err
		}
	}
	return &keep{
		guard: &guard{backend: remote, limit: callLimit}, durability: remote.CheckDurability, role: role,
		close: func() error { return errors.Join(remote.Close(), unlock()) },
	}, nil
}

func (p Postgres) dsn() (string, error) {
	if p.DSNFile == "" {
		return "", errors.New("configuration: postgres.dsn_file is empty")
	}
	return readSecret("postgres.dsn_file", p.DSNFile)
}

func (r Redis) store() (redisstore.Config, error) {
	password, err := r.password()
	if err != nil {
		return redisstore.Config{}, err
	}
	t, err := r.TLS.config()
	return redisstore.Config{Mode: redisstore.Mode(r.Mode), Addrs: r.Addrs, Master: r.Master, Username: r.Username, Password: password, TLS: t}, err
}

// errSlow stands for the error of a context that the guard, and not the caller,
// has ended.
var errSlow = errors.New("no answer in time")

// guard stands before a store: no call takes longer than its limit, and every
// failure is a *verifier.StoreError, whoever asked.
type guard struct {
	backend
	limit     time.Duration // of one call; 0 for a store in process
	lost      atomic.Pointer[error]
	telemetry *telemetry.Observer // nil: calls are not measured
}

// sorted makes the error of a store out of err. The sentinels pass.
func sorted(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, verifier.ErrConflict), errors.Is(err, verifier.ErrUnknownSubject),
		errors.Is(err, objects.ErrConflict), errors.Is(err, objects.ErrNotFound):
		return err
	case ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)):
		err = errSlow
	}
	return &verifier.StoreError{Cause: err}
}

func (g *guard) call(ctx context.Context, operation string, f func(context.Context) error) (err error) {
	if g.telemetry != nil {
		var ended func(failed bool)
		ctx, ended = g.telemetry.Store(ctx, operation)
		defer func() {
			var lost *verifier.StoreError
			ended(errors.As(err, &lost))
		}()
	}
	if g.limit == 0 {
		return sorted(ctx, f(ctx))
	}
	limited, cancel := context.WithTimeout(ctx, g.limit)
	defer cancel()
	return sorted(ctx, f(limited))
}

// Get implements verifier.Store.
func (g *guard) Get(ctx context.Context, tenant string, subject verifier.Pseudonym) (r verifier.Record, err error) {
	err = g.call(ctx, "get", func(ctx context.Context) (err error) {
		r, err = g.backend.Get(ctx, tenant, subject)
		return err
	})
	return r, err
}

// Put implements verifier.Store.
func (g *guard) Put(ctx context.Context, r verifier.Record) error {
	return g.call(ctx, "put", func(ctx context.Context) error { return g.backend.Put(ctx, r) })
}

// Remove implements verifier.Store.
func (g *guard) Remove(ctx context.Context, tenant string, subject verifier.Pseudonym, version uint64) error {
	return g.call(ctx, "remove", func(ctx context.Context) error { return g.backend.Remove(ctx, tenant, subject, version) })
}

// putters is how many records are on their way at the same moment to a store
// that takes them one by one: it syncs those that wait together at once.
const putters = 64

// PutAll implements verifier.Importer.
func (g *guard) PutAll(ctx context.Context, rs []verifier.Record) []error {
	var errs []error
	if im, ok := g.backend.(verifier.Importer); ok {
		_ = g.call(ctx, "import", func(ctx context.Context) error {
			errs = im.PutAll(ctx, rs)
			return nil
		})
		for i := range errs {
			errs[i] = sorted(ctx, errs[i])
		}
		return errs
	}
	errs = make([]error, len(rs))
	var wg sync.WaitGroup
	turns := make(chan struct{}, putters)
	for i := range rs {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			errs[i] = g.Put(ctx, rs[i])
		})
	}
	wg.Wait()
	return errs
}

// All implements verifier.Store.
func (g *guard) All(ctx context.Context) iter.Seq2[verifier.Record, error] {
	return walk(ctx, g.limit, g.backend.All)
}

// Load implements objects.Store.
func (g *guard) Load(ctx context.Context, kind, tenant, name string) (o objects.Object, err error) {
	err = g.call(ctx, "load", func(ctx context.Context) (err error) {
		o, err = g.backend.Load(ctx, kind, tenant, name)
		return err
	})
	return o, err
}

// Save implements objects.Store.
func (g *guard) Save(ctx context.Context, o objects.Object) error {
	return g.call(ctx, "save", func(ctx context.Context) error { return g.backend.Save(ctx, o) })
}

// List implements objects.Store.
func (g *guard) List(ctx context.Context, kind, tenant string) iter.Seq2[objects.Object, error] {
	return walk(ctx, g.limit, func(ctx context.Context) iter.Seq2[objects.Object, error] { return g.backend.List(ctx, kind, tenant) })
}

// Delete implements objects.Store.
func (g *guard) Delete(ctx context.Context, kind, tenant, name string, version uint64) error {
	return g.call(ctx, "delete", func(ctx context.Context) error { return g.backend.Delete(ctx, kind, tenant, name, version) })
}

// walk gives up when the next element takes longer than limit.
func walk[T any](ctx context.Context, limit time.Duration, seq func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		limited, cancel := context.WithCancel(ctx)
		defer cancel()
		var late *time.Timer
		if limit > 0 {
			late = time.AfterFunc(limit, cancel)
			defer late.Stop()
		}
		for x, err := range seq(limited) {
			if late != nil {
				late.Stop()
			}
			if !yield(x, sorted(ctx, err)) {
				return
			}
			if late != nil {
				late.Reset(limit)
			}
		}
	}
}

// watch asks the store again and again until ctx ends, and tells changed of each
// loss, and with nil of its end.
func (g *guard) watch(ctx context.Context, changed func(error)) {
	t := time.NewTicker(probeEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		limited, cancel := context.WithTimeout(ctx, probeLimit)
		_, err := g.backend.Load(limited, kindServer, "", signingName)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, objects.ErrNotFound) { // emptied by somebody: an answer all the same
			err = errForeign
		}
		switch before := g.lost.Load(); {
		case err != nil && before == nil:
			g.lost.Store(&err)
			changed(err)
		case err == nil && before != nil:
			g.lost.Store(nil)
			changed(nil)
		}
	}
}

// ready says why the store cannot be relied on, nil if it can.
func (k *keep) ready() error {
	if err := k.lost.Load(); err != nil {
		return fmt.Errorf("the store does not answer: %w", *err)
	}
	if k.embedded != nil {
		return k.embedded.Err()
	}
	return nil
}

// Objects that speak of the installation.
const (
	kindServer  = "server"
	signingName = "signing" // a check value of the key behind all pseudonyms
	ownerName   = "owner"   // id of the first key
)

// errForeign is returned when the store is not the one that this server's keys
// belong to.
var errForeign = errors.New("the store belongs to another signing.key: with this one every subject would be unknown; give the right key, or another store")

// bindStore holds the key behind all pseudonyms against its check value in the
// store, or leaves it there: under another key no subject would be found again.
func bindStore(ctx context.Context, store objects.Store, master []byte) error {
	check := derive(master, "signing check value")
	err := store.Save(ctx, objects.Object{Kind: kindServer, Name: signingName, Version: 1, Data: check})
	if !errors.Is(err, objects.ErrConflict) {
		return err
	}
	o, err := store.Load(ctx, kindServer, "", signingName)
	if err == nil && subtle.ConstantTimeCompare(o.Data, check) != 1 {
		return errForeign
	}
	return err
}

// firstKey makes the owner's key, all scopes and from the loopback only, for a
// store that has no key yet. Of several servers that start on one store at the
// same time, one makes it.
func firstKey(ctx context.Context, keyring *identity.Keyring, store objects.Store, dir dataDir, now time.Time) (made bool, err error) {
	if len(keyring.List(objects.AllTenants)) > 0 {
		return false, nil
	}
	if _, err := os.Lstat(dir.path(adminFile)); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	k, secret := identity.NewKey(now)
	err = store.Save(ctx, objects.Object{Kind: kindServer, Name: ownerName, Version: 1, Data: []byte(k.ID)})
	if errors.Is(err, objects.ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	k.Name, k.Tenant, k.Preset = "owner", identity.DefaultTenant, identity.PresetOwner
	k.Scopes, _ = identity.Preset(identity.PresetOwner)
	for _, n := range identity.Loopback {
		k.Networks = append(k.Networks, n.String())
	}
	if err := keyring.Create(ctx, k); err != nil {
		return false, err
	}
	if err := writeSecret(dir.path(adminFile), secret); err != nil {
		return false, fmt.Errorf("data directory: %w", err)
	}
	return true, dir.sync()
}

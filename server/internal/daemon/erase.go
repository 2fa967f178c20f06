// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/rpc"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// A tenant is destroyed in this order:
//
//	its mark in the data directory     a backup that is restored here does not
//	                                   bring it back
//	its mark in the store              every server refuses its callers
//	the key of its event pseudonyms    nobody can tell any more who is meant by
//	                                   the lines that the event log keeps
//	keys, audits, policies, words      taken out
//	credentials and their counters     taken out, tombstones included: a tombstone
//	                                   could be found again by who has signing.key
//
// Each step may be repeated. The name is never given out again.

// settleShared and settleAlone are how long callers may still be at work after
// a tenant was marked: until every server has read the mark, or until the calls
// under way at this one have ended.
const (
	settleAlone  = time.Second
	settleShared = identity.RefreshEvery + 2*callLimit
)

var (
	errTenantConfigured = status.Error(codes.FailedPrecondition, "the tenant stands in the configuration: take it out of tenants, auth and listen.adapter_tenant first, at every server")
	errTenantDefault    = status.Error(codes.FailedPrecondition, "this tenant runs the installation: destroy the data directory and the store instead")
	errTenantUnknown    = status.Error(codes.NotFound, "no such tenant")
)

// named tells whether the configuration speaks of a tenant.
func (c Config) named(tenant string) bool {
	return slices.ContainsFunc(c.Tenants, func(t Tenant) bool { return t.Name == tenant }) ||
		slices.ContainsFunc(c.Auth.MTLS, func(m Certificate) bool { return m.Tenant == tenant }) ||
		slices.ContainsFunc(c.Auth.OIDC.Grants, func(g Grant) bool { return g.Tenant == tenant }) ||
		c.Auth.OIDC.Tenant == tenant || c.Listen.AdapterTenant == tenant
}

// destroyTenant gives what the local command does: it records that the tenant
// will be destroyed, and destroys it.
func (s *Server) destroyTenant(v *verifier.Verifier) func(context.Context, string) (int, error) {
	return func(ctx context.Context, name string) (int, error) {
		switch {
		case !validTenant(name):
			return 0, errTenantUnknown
		case name == identity.DefaultTenant:
			return 0, errTenantDefault
		case s.config.named(name):
			return 0, errTenantConfigured
		}
		if _, known := (*s.tenants.made.Load())[name]; !known && len(s.keys.List(name)) == 0 {
			return 0, errTenantUnknown
		}
		facts := map[string]string{"tenant": name}
		if err := s.journal.Begin(ctx, rpc.Record{Type: "tenant.destroy", Actor: "local", Outcome: "BEGUN", Params: facts}); err != nil {
			return 0, status.Error(codes.Unavailable, "the event log cannot be written, so nothing was destroyed")
		}
		// Once begun it goes on, whether or not somebody waits for it.
		return s.eraseTenant(context.WithoutCancel(ctx), v, name)
	}
}

// eraseTenant destroys a tenant, and records how that ended.
func (s *Server) eraseTenant(ctx context.Context, v *verifier.Verifier, name string) (erased int, err error) {
	defer func() {
		outcome := "OK"
		if err != nil {
			outcome = "FAILED"
		}
		s.journal.note("tenant.destroy", outcome, map[string]string{"tenant": name, "credentials": strconv.Itoa(erased)})
	}()
	if err := s.journal.keys.mark(name); err != nil {
		return 0, err
	}
	if err := s.tenants.destroy(ctx, name, v.Now(), false); err != nil {
		return 0, err
	}
	if err := s.journal.keys.destroy(name); err != nil {
		return 0, err
	}
	if err := s.audits.engine.CancelAll(ctx, name); err != nil {
		return 0, err
	}
	if err := s.keys.Erase(ctx, name); err != nil {
		return 0, err
	}
	settle := settleAlone
	if s.store.embedded == nil {
		settle = settleShared
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if err := errors.Join(s.audits.engine.Drop(ctx, name), s.book.Flush(ctx)); err != nil {
		return 0, err
	}
	for _, kind := range slices.Concat(policybook.Kinds, verifier.Kinds) {
		if err := dropObjects(ctx, s.store, kind, name); err != nil {
			return 0, err
		}
	}
	if err := s.book.Refresh(ctx); err != nil {
		return 0, err
	}
	if erased, err = v.Erase(ctx, name); err != nil {
		return erased, err
	}
	return erased, s.tenants.destroy(ctx, name, v.Now(), true)
}

// dropObjects takes the objects of a kind and a tenant out.
func dropObjects(ctx context.Context, store objects.Store, kind, tenant string) error {
	var found []objects.Object
	for o, err := range store.List(ctx, kind, tenant) {
		if err != nil {
			return err
		}
		found = append(found, o)
	}
	for _, o := range found {
		if err := store.Delete(ctx, kind, tenant, o.Name, o.Version); err != nil && !errors.Is(err, objects.ErrNotFound) {
			return err
		}
	}
	return nil
}

// eraseAgain destroys what a restored backup has brought back, or what a stop
// has left.
func (s *Server) eraseAgain(ctx context.Context, v *verifier.Verifier) {
	for _, name := range s.tenants.unfinished() {
		s.log.Warn("the store may hold data of a destroyed tenant, as a backup from before does: it is destroyed again", "tenant", name)
		if n, err := s.eraseTenant(ctx, v, name); err != nil {
			s.log.Error("a destroyed tenant could not be destroyed again; its callers stay refused", "tenant", name, "error", err)
		} else {
			s.log.Info("a destroyed tenant was destroyed again", "tenant", name, "credentials", n)
		}
	}
}

// markSuffix ends the names of the files that say which tenants were destroyed.
const markSuffix = ".destroyed"

// mark notes in the data directory that a tenant was destroyed.
func (k *subjectKeys) mark(tenant string) error {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	err := writeSecret(filepath.Join(k.dir, tenant+markSuffix), time.Now().UTC().Format(time.RFC3339))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return dataDir(k.dir).sync()
}

// marks lists the tenants that the data directory knows to be destroyed.
func (k *subjectKeys) marks() ([]string, error) {
	files, err := os.ReadDir(k.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), markSuffix); ok && validTenant(name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// destroy makes the tenant's key unreadable, and gives out none again.
func (k *subjectKeys) destroy(tenant string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = make(map[string][]byte)
	}
	k.keys[tenant] = []byte{}
	path := filepath.Join(k.dir, tenant+".key")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Repeat("0", 2*keyBytes))
	if err = errors.Join(err, f.Sync(), f.Close(), os.Remove(path)); err != nil {
		return err
	}
	return dataDir(k.dir).sync()
}

// gone tells whether a tenant was destroyed.
func (t *tenants) gone(name string) bool {
	if slices.Contains(t.marks, name) {
		return true
	}
	made, ok := (*t.made.Load())[name]
	return ok && made.Destroyed != nil
}

// unfinished lists the tenants that the data directory knows to be destroyed,
// and of which the store does not say that it holds nothing any more.
func (t *tenants) unfinished() []string {
	made := *t.made.Load()
	return slices.DeleteFunc(slices.Clone(t.marks), func(name string) bool { return made[name].Erased != nil })
}

// destroy marks a tenant in the store: as destroyed, and in the end as erased.
func (t *tenants) destroy(ctx context.Context, name string, now time.Time, erased bool) error {
	now = now.UTC().Truncate(time.Second)
	for {
		o, err := t.store.Load(ctx, kindTenant, "", name)
		if err != nil && !errors.Is(err, objects.ErrNotFound) {
			return err
		}
		made := tenant{Created: now}
		if err == nil {
			if err := json.Unmarshal(o.Data, &made); err != nil {
				return fmt.Errorf("a tenant in the store: %w", err)
			}
		}
		next := tenant{Case: made.Case, Created: made.Created, Destroyed: made.Destroyed, Erased: made.Erased}
		if next.Destroyed == nil {
			next.Destroyed, next.Erased = &now, nil
		}
		if erased && next.Erased == nil {
			next.Erased = &now
		}
		if next == made {
			return t.refresh(ctx)
		}
		b, err := json.Marshal(next)
		if err != nil {
			return err
		}
		err = t.store.Save(ctx, objects.Object{Kind: kindTenant, Name: name, Version: o.Version + 1, Data: b})
		if err == nil {
			return t.refresh(ctx)
		}
		if !errors.Is(err, objects.ErrConflict) {
			return err
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/rpc"
	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// installation implements rpc.Installation over the running server.
type installation struct {
	s *Server
	v *verifier.Verifier
}

// Events implements rpc.Installation.
func (i installation) Events(ctx context.Context, q rpc.EventQuery) (list []*watchwordv1.Event, next uint64, err error) {
	for e, err := range i.s.events.Events(q.First) {
		if err != nil {
			return nil, 0, err
		}
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		switch {
		case e.Tenant != q.Tenant && (e.Tenant != "" || !q.Whole),
			q.Type != "" && e.Type != q.Type,
			!q.From.IsZero() && e.Time.Before(q.From),
			!q.To.IsZero() && !e.Time.Before(q.To):
			continue
		}
		if len(list) == q.Limit {
			return list, e.Sequence, nil
		}
		params := e.Params
		if e.Peer != "" || e.Request != "" {
			params = maps.Clone(params)
			if params == nil {
				params = map[string]string{}
			}
			params["peer"], params["request"] = e.Peer, e.Request
		}
		list = append(list, &watchwordv1.Event{Sequence: int64(e.Sequence), Time: timestamppb.New(e.Time), Type: e.Type, Tenant: e.Tenant,
			Actor: e.Actor, Subject: e.Subject, Outcome: e.Outcome, Params: params})
	}
	return list, 0, nil
}

// VerifyEvents implements rpc.Installation.
func (i installation) VerifyEvents(context.Context) (*watchwordv1.VerifyEventsResponse, error) {
	r, err := i.s.events.Verify()
	if err != nil {
		return nil, err
	}
	return &watchwordv1.VerifyEventsResponse{Intact: r.Intact, Events: int64(r.Events), BrokenAt: int64(r.BrokenAt), Why: r.Why}, nil
}

// tenants knows the tenants of the configuration and those that were created.
type tenants struct {
	store  objects.Store
	config []Tenant
	turn   sync.Mutex // one refresh at a time: an older look never replaces a newer one
	made   atomic.Pointer[map[string]tenant]
	// names has the keys of their pseudonyms, and marks are the tenants that it
	// knew to be destroyed at the start.
	names *subjectKeys
	marks []string
}

// tenant is a created tenant as it is stored.
type tenant struct {
	Case    string    `json:"case"`
	Policy  string    `json:"policy,omitempty"`
	Created time.Time `json:"created"`
	// Destroyed says that nothing is held for the tenant any more, and never
	// will be.
	Destroyed *time.Time `json:"destroyed,omitempty"`
	// Erased says that this was seen through to its end.
	Erased *time.Time `json:"erased,omitempty"`
}

const kindTenant = "tenant"

func newTenants(ctx context.Context, store objects.Store, config []Tenant, keys *subjectKeys) (*tenants, error) {
	marks, err := keys.marks()
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	t := &tenants{store: store, config: config, names: keys, marks: marks}
	return t, t.refresh(ctx)
}

// refresh reads the created tenants again.
func (t *tenants) refresh(ctx context.Context) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	made := make(map[string]tenant)
	for o, err := range t.store.List(ctx, kindTenant, "") {
		if err != nil {
			return fmt.Errorf("reading tenants: %w", err)
		}
		var x tenant
		if err := json.Unmarshal(o.Data, &x); err != nil {
			return fmt.Errorf("a tenant in the store: %w", err)
		}
		made[o.Name] = x
	}
	t.made.Store(&made)
	for name, x := range made {
		if x.Destroyed == nil {
			continue
		}
		if err := t.names.destroy(name); err != nil {
			return fmt.Errorf("destroying the key of a tenant's pseudonyms: %w", err)
		}
	}
	return nil
}

// run keeps up with other servers until ctx ends.
func (t *tenants) run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(identity.RefreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := t.refresh(ctx); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}

func (t *tenants) configured(name string) (Tenant, bool) {
	i := slices.IndexFunc(t.config, func(x Tenant) bool { return x.Name == name })
	if i < 0 {
		return Tenant{}, false
	}
	return t.config[i], true
}

// settings gives what differs about a tenant.
func (t *tenants) settings(name string) verifier.Tenant {
	if t.gone(name) {
		return verifier.Tenant{Gone: true}
	}
	if c, ok := t.configured(name); ok {
		return verifier.Tenant{Exact: c.Case == "exact"}
	}
	return verifier.Tenant{Exact: (*t.made.Load())[name].Case == "exact"}
}

// policy gives the name of a created tenant's default policy, empty for none.
func (t *tenants) policy(name string) string {
	if _, ok := t.configured(name); ok {
		return "" // the book knows it
	}
	return (*t.made.Load())[name].Policy
}

// CreateTenant implements rpc.Installation.
func (i installation) CreateTenant(ctx context.Context, t *watchwordv1.Tenant) (*watchwordv1.Tenant, error) {
	if _, taken := i.s.tenants.configured(t.GetName()); taken || t.GetName() == identity.DefaultTenant || i.s.tenants.gone(t.GetName()) {
		return nil, verifier.ErrConflict
	}
	if t.GetPolicy() != "" {
		if _, err := i.s.book.Policy(t.GetName(), t.GetPolicy(), verifier.Pseudonym{}); err != nil {
			return nil, err
		}
	}
	made := tenant{Case: t.GetCase(), Policy: t.GetPolicy(), Created: i.v.Now().UTC().Truncate(time.Second)}
	b, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	err = i.s.store.Save(ctx, objects.Object{Kind: kindTenant, Name: t.GetName(), Version: 1, Data: b})
	if errors.Is(err, objects.ErrConflict) {
		return nil, verifier.ErrConflict
	}
	if err != nil {
		return nil, err
	}
	return made.message(t.GetName()), i.s.tenants.refresh(ctx)
}

func (t tenant) message(name string) *watchwordv1.Tenant {
	return &watchwordv1.Tenant{Name: name, Case: t.Case, Policy: t.Policy, CreateTime: timestamppb.New(t.Created)}
}

// Tenants implements rpc.Installation.
func (i installation) Tenants(context.Context) ([]*watchwordv1.Tenant, error) {
	out := []*watchwordv1.Tenant{}
	if _, ok := i.s.tenants.configured(identity.DefaultTenant); !ok {
		out = append(out, &watchwordv1.Tenant{Name: identity.DefaultTenant, Case: "fold"})
	}
	for _, c := range i.s.tenants.config {
		out = append(out, &watchwordv1.Tenant{Name: c.Name, Case: cmp.Or(c.Case, "fold"), Policy: c.Policy})
	}
	made := *i.s.tenants.made.Load()
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if _, ok := i.s.tenants.configured(name); !ok && made[name].Destroyed == nil {
			out = append(out, made[name].message(name))
		}
	}
	return out, nil
}

// maxExported bounds the events of one export; a person has seldom more in the
// time that events are kept.
const maxExported = 10_000

// ExportSubject implements rpc.Installation. It gives what a request for
// information about oneself is answered with (PIPL art. 45, GDPR art. 15), and
// never the hash.
func (i installation) ExportSubject(ctx context.Context, tenant, subject string) (map[string]any, error) {
	who, err := i.v.Pseudonym(tenant, subject)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"tenant": tenant, "pseudonym": hex.EncodeToString(who[:])}
	switch r, err := i.s.store.Get(ctx, tenant, who); {
	case errors.Is(err, verifier.ErrUnknownSubject):
	case err != nil:
		return nil, err
	case r.Tombstone:
		out["tombstone"] = map[string]any{"version": strconv.FormatUint(r.Version, 10), "deleted": instant(r.Changed)}
	default:
		c, err := i.v.Get(ctx, tenant, subject)
		if err != nil {
			return nil, err
		}
		out["credential"] = map[string]any{
			"state": watchwordv1.CredentialState(c.State).String(), "scheme": c.Scheme, "cost": c.Cost, "version": c.Revision,
			"created": instant(c.Created), "changed": instant(c.Changed), "lastLogin": instant(c.LastLogin),
			"policy": c.Policy, "policyVersion": c.PolicyVersion, "earlierHashes": c.History, "normalisation": c.Norm,
		}
	}
	lanes, err := i.v.Lanes(ctx, tenant, subject, netip.Addr{})
	if err != nil {
		return nil, err
	}
	out["throttle"] = lanesOf(lanes)
	if out["audits"], err = i.s.audits.about(ctx, tenant, who.String(), subject); err != nil {
		return nil, err
	}
	name, err := i.s.journal.keys.name(tenant, who)
	if err != nil {
		return nil, err
	}
	events := []any{}
	for e, err := range i.s.events.Events(1) {
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if e.Tenant != tenant || e.Subject != name {
			continue
		}
		if len(events) == maxExported {
			out["eventsCut"] = true
			break
		}
		events = append(events, e)
	}
	out["eventPseudonym"], out["events"] = name, events
	return out, nil
}

// instant gives a time as text, nothing for the zero time.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

func lanesOf(st throttle.State) map[string]any {
	lanes := []any{}
	for _, l := range st.Lanes {
		lanes = append(lanes, map[string]any{"knownDevice": l.KnownDevice, "failures": l.Failures, "awaited": l.Awaited,
			"retryAfter": l.RetryAfter.String(), "closed": l.Closed})
	}
	return map[string]any{"lanes": lanes, "knownDevices": st.Devices}
}

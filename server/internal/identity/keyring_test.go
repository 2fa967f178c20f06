// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package identity_test

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/objects"
)

// slowStore keeps objects in memory. While look is set, a List has seen what
// there is, says so, and then waits.
type slowStore struct {
	mu   sync.Mutex
	kept map[string]objects.Object
	look func()
}

func (s *slowStore) Load(_ context.Context, _, _, name string) (objects.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.kept[name]
	if !ok {
		return o, objects.ErrNotFound
	}
	return o, nil
}

func (s *slowStore) Save(_ context.Context, o objects.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[o.Name] = o
	return nil
}

func (s *slowStore) List(context.Context, string, string) iter.Seq2[objects.Object, error] {
	return func(yield func(objects.Object, error) bool) {
		s.mu.Lock()
		seen, look := make([]objects.Object, 0, len(s.kept)), s.look
		for _, o := range s.kept {
			seen = append(seen, o)
		}
		s.look = nil
		s.mu.Unlock()
		if look != nil {
			look()
		}
		for o := range slices.Values(seen) {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (s *slowStore) Delete(context.Context, string, string, string, uint64) error {
	return errors.ErrUnsupported
}

// TestRevokedStaysRevoked: a look at the store that began before a key was
// revoked, and ends after it, does not bring the key back.
func TestRevokedStaysRevoked(t *testing.T) {
	store := &slowStore{kept: map[string]objects.Object{}}
	ring, err := identity.NewKeyring(t.Context(), store, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	k, text := identity.NewKey(time.Now())
	k.Tenant, k.Scopes = identity.DefaultTenant, []string{"password.check"}
	if err := ring.Create(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddr("127.0.0.1")
	if _, err := ring.Authenticate(text, from); err != nil {
		t.Fatal(err)
	}
	looked, on := make(chan struct{}), make(chan struct{})
	store.look = func() { close(looked); <-on }
	var both sync.WaitGroup
	both.Go(func() {
		if err := ring.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-looked
	revoked := make(chan struct{})
	both.Go(func() {
		defer close(revoked)
		if _, err := ring.Revoke(t.Context(), "*", k.ID); err != nil {
			t.Error(err)
		}
	})
	select { // it may have to wait for the look that is under way
	case <-revoked:
	case <-time.After(100 * time.Millisecond):
	}
	close(on)
	both.Wait()
	if _, err := ring.Authenticate(text, from); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("the revoked key: %v, want ErrDenied", err)
	}
}

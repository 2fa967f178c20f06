// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// Handle holds the index that is in use now and lets it be exchanged while
// look-ups go on. The zero Handle holds none.
//
//	x := handle.Acquire()
//	if x == nil { … no index … }
//	defer x.Close()
//	n, found, err := x.Count(key)
//
// Whoever acquired an index keeps it, whole and mapped, until Close, whatever
// happens to the handle or to the file's name meanwhile. An exchanged index is
// unmapped when its last reader is done.
type Handle struct {
	current atomic.Pointer[Index]
	swap    sync.Mutex // held to exchange the index
	served  []string   // versions that Load put in use
}

// Acquire gives the index in use with a reference of the caller's own, to be
// given back with Close, or nil when there is none. It does not allocate or wait.
func (h *Handle) Acquire() *Index {
	for {
		x := h.current.Load()
		if x == nil {
			return nil
		}
		// The index may have been exchanged and drained since it was loaded;
		// then a newer one is there.
		if x.retainOpen() {
			return x
		}
	}
}

// Swap puts x in use, taking over the caller's reference to it, and gives back
// the handle's reference to the one before. A nil x leaves the handle empty.
func (h *Handle) Swap(x *Index) error {
	h.swap.Lock()
	defer h.swap.Unlock()
	return h.exchange(x)
}

func (h *Handle) exchange(x *Index) error {
	if old := h.current.Swap(x); old != nil {
		return old.Close()
	}
	return nil
}

// LoadOptions describe how Handle.Load takes a file.
type LoadOptions struct {
	Options
	// Keys, if any, must include the one that signed the file's manifest.
	Keys []ed25519.PublicKey
	// Force lifts the bounds between the index in use and the new one.
	Force bool
}

// Load puts the index in a file in use. It asks for the canaries first; when
// it takes the place of another one, it also reads the whole file through and
// holds it to the bounds that Update describes, unless it was in use before: a
// list may always come back. On any error the index before stays in use. A
// file of another kind of hash is refused with ErrKind.
//
// One Load or Swap runs at a time; look-ups never wait for them.
func (h *Handle) Load(ctx context.Context, path string, opts LoadOptions) (Info, error) {
	h.swap.Lock()
	defer h.swap.Unlock()
	x, err := Open(path, opts.Options)
	if err != nil {
		return Info{}, err
	}
	if err := h.check(ctx, x, path, &opts); err != nil {
		return Info{}, errors.Join(err, x.Close())
	}
	info := x.Info()
	if !slices.Contains(h.served, info.Version) {
		h.served = append(h.served, info.Version)
	}
	return info, h.exchange(x)
}

// check decides whether x may take the place of the index in use.
func (h *Handle) check(ctx context.Context, x *Index, path string, opts *LoadOptions) error {
	old := h.current.Load()
	if old != nil && old.kind != x.kind {
		return ErrKind
	}
	switch {
	case len(opts.Keys) > 0:
		if _, err := x.checkManifest(ctx, path, opts.Keys); err != nil {
			return err
		}
	case old != nil:
		if err := x.Verify(ctx); err != nil {
			return err
		}
	}
	if err := x.CheckCanaries(); err != nil {
		return err
	}
	if old == nil || opts.Force || slices.Contains(h.served, x.info.Version) {
		return nil
	}
	return checkSuccessor(old, x)
}

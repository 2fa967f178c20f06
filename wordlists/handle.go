// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
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
	swap    sync.Mutex
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
	if old := h.current.Swap(x); old != nil {
		return old.Close()
	}
	return nil
}

// Load opens a file, asks for its canaries and puts it in use. On any error
// the index before stays in use. A file of another kind than that of the index
// in use is refused with ErrKind.
func (h *Handle) Load(path string, opts Options) error {
	x, err := Open(path, opts)
	if err != nil {
		return err
	}
	if err := x.CheckCanaries(); err != nil {
		x.Close()
		return err
	}
	if old := h.Acquire(); old != nil {
		same := old.Kind() == x.Kind()
		old.Close()
		if !same {
			x.Close()
			return ErrKind
		}
	}
	return h.Swap(x)
}

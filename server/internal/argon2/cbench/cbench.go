// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build cgo && libargon2

// Package cbench runs libargon2 through cgo so that tests can hold package
// argon2 to it, for all that x/crypto cannot compute, and so that benchmarks
// can measure against it. It is built only with the tag libargon2, which needs
// a C compiler and the library (libargon2-dev on Debian); nothing that is
// shipped imports it.
//
// Another build of the library is taken with CGO_LDFLAGS=-L and its folder.
package cbench

/*
#cgo LDFLAGS: -largon2
#include <argon2.h>
#include <stdlib.h>
#include <sys/mman.h>

// Set, in builds that show it, to leave the memory as it is at the end.
extern int FLAG_clear_internal_memory __attribute__((weak));

static uint8_t *slot;
static size_t slot_size;

static int slot_get(uint8_t **memory, size_t size) {
	*memory = size <= slot_size ? slot : NULL;
	return 0;
}

static void slot_put(uint8_t *memory, size_t size) {
	(void)memory;
	(void)size;
}

// slot_make readies the memory that every call with reuse set gets, on huge
// pages and touched.
static int slot_make(size_t size) {
	const size_t huge = 2 << 20;
	size = (size + huge - 1) / huge * huge;
	slot = aligned_alloc(huge, size);
	if (slot == NULL) {
		return 0;
	}
	madvise(slot, size, MADV_HUGEPAGE);
	for (size_t i = 0; i < size; i += 4096) {
		((volatile uint8_t *)slot)[i] = 0;
	}
	slot_size = size;
	return 1;
}

static int key(argon2_context *c, int type, int reuse, void *out, void *pwd, void *salt, void *secret, void *ad) {
	c->out = out;
	c->pwd = pwd;
	c->salt = salt;
	c->secret = secret;
	c->ad = ad;
	c->flags = ARGON2_DEFAULT_FLAGS;
	if (reuse) {
		c->allocate_cbk = slot_get;
		c->free_cbk = slot_put;
	}
	if (&FLAG_clear_internal_memory != NULL) {
		FLAG_clear_internal_memory = !reuse;
	}
	return argon2_ctx(c, (argon2_type)type);
}

static int wipes_always(void) { return &FLAG_clear_internal_memory == NULL; }
*/
import "C"

import (
	"errors"
	"runtime"
	"unsafe"

	"github.com/watchword-project/watchword/server/internal/argon2"
)

// Library computes tags with libargon2. It is for one goroutine at a time.
type Library struct {
	// Reuse takes the memory of Reserve, on one thread and without wiping where
	// the build of the library allows that. Otherwise each call allocates,
	// wipes and frees, with a thread for each lane, as the library does by
	// itself.
	Reuse bool
}

// Reserve makes the memory that calls with Reuse share.
func Reserve(kib uint32) error {
	if C.slot_make(C.size_t(kib)<<10) == 0 {
		return errors.New("cbench: no memory")
	}
	return nil
}

// WipesAlways tells whether this build of the library hides the switch that
// Reuse turns off.
func WipesAlways() bool { return C.wipes_always() != 0 }

// Key returns the tag.
func (l Library) Key(password, salt []byte, p argon2.Params) ([]byte, error) {
	out := make([]byte, p.KeyLen)
	c := C.argon2_context{
		outlen:    C.uint32_t(p.KeyLen),
		pwdlen:    C.uint32_t(len(password)),
		saltlen:   C.uint32_t(len(salt)),
		secretlen: C.uint32_t(len(p.Secret)),
		adlen:     C.uint32_t(len(p.Data)),
		t_cost:    C.uint32_t(p.Time),
		m_cost:    C.uint32_t(p.Memory),
		lanes:     C.uint32_t(p.Parallelism),
		threads:   C.uint32_t(p.Parallelism),
		version:   C.uint32_t(p.Version),
	}
	reuse := C.int(0)
	if l.Reuse {
		c.threads = 1
		reuse = 1
	}
	defer runtime.KeepAlive(&p)
	if r := C.key(&c, C.int(p.Type), reuse, pointer(out), pointer(password), pointer(salt), pointer(p.Secret), pointer(p.Data)); r != C.ARGON2_OK {
		return nil, errors.New(C.GoString(C.argon2_error_message(r)))
	}
	return out, nil
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

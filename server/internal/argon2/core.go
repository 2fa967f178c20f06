// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2

import (
	"errors"
	"sync"
)

// The implementations that New knows by name.
const (
	KernelAuto    = "auto"     // the first of those below that the machine runs
	KernelAVX512  = "avx512"   // assembly for amd64 with AVX-512 VL and BW, on vectors of 256 bits
	KernelAVX2    = "avx2"     // assembly for amd64
	KernelGeneric = "generic"  // plain Go
	KernelXCrypto = "x/crypto" // golang.org/x/crypto/argon2, with memory of its own for each call
)

// ErrKernel is returned by New for a kernel that this build does not know or
// this machine cannot run.
var ErrKernel = errors.New("argon2: unknown kernel, or one that this machine cannot run")

// Core is an implementation that has been chosen and tested. It does not
// change, and any number of goroutines may use it.
type Core struct {
	kernel *kernel // nil for x/crypto
	failed error
}

// New returns the implementation of the given name, one of the Kernel
// constants, with "" for KernelAuto, after its self-test: some milliseconds.
// When the test fails the Core that is returned is x/crypto, and its SelfTest
// is not nil. The error is ErrKernel.
func New(name string) (*Core, error) {
	if name == KernelXCrypto {
		return &Core{}, nil
	}
	for _, k := range append(kernels(), generic()) {
		if name == KernelAuto || name == "" || name == k.name {
			return newCore(k), nil
		}
	}
	return nil, ErrKernel
}

// newCore tests k, and falls back.
func newCore(k *kernel) *Core {
	if err := selfTest(k); err != nil {
		return &Core{failed: err}
	}
	return &Core{kernel: k}
}

// Kernel returns the name of the implementation in use, one of the Kernel
// constants but never KernelAuto.
func (c *Core) Kernel() string {
	if c.kernel == nil {
		return KernelXCrypto
	}
	return c.kernel.name
}

// SelfTest returns why x/crypto has taken over from the implementation that was
// chosen, and nil when it has not.
func (c *Core) SelfTest() error { return c.failed }

// defaultCore tests the fastest kernel once for each process.
var defaultCore = sync.OnceValue(func() *Core { return newCore(append(kernels(), generic())[0]) })

// Default returns the Core of KernelAuto. The first call runs its self-test.
func Default() *Core { return defaultCore() }

// Kernel returns the name of the implementation that Default uses.
func Kernel() string { return Default().Kernel() }

// SelfTest returns why Default has fallen back to x/crypto, and nil when it has
// not.
func SelfTest() error { return Default().SelfTest() }

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"

	xcrypto "golang.org/x/crypto/argon2"

	"github.com/watchword-project/watchword/server/internal/argon2"
)

// cores returns every implementation that this machine runs and that is ours,
// the fastest first.
func cores(t testing.TB) []*argon2.Core {
	t.Helper()
	var all []*argon2.Core
	for _, name := range []string{argon2.KernelAVX512, argon2.KernelAVX2, argon2.KernelGeneric} {
		c, err := argon2.New(name)
		if err != nil {
			continue // not on this machine or in this build
		}
		if c.Kernel() != name {
			t.Fatalf("New(%q) fell back to %s: %v", name, c.Kernel(), c.SelfTest())
		}
		all = append(all, c)
	}
	return all
}

func newMemory(t testing.TB, c *argon2.Core, kib uint32) *argon2.Memory {
	t.Helper()
	m, err := c.NewMemory(kib)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func key(t testing.TB, m *argon2.Memory, password, salt string, p argon2.Params) []byte {
	t.Helper()
	tag, err := m.Key(nil, []byte(password), []byte(salt), p)
	if err != nil {
		t.Fatalf("Key(%+v): %v", p, err)
	}
	return tag
}

// small is a set of parameters that any test may start from.
func small() argon2.Params {
	return argon2.Params{
		Type: argon2.ID, Version: argon2.Version13,
		Time: 2, Memory: 512, Parallelism: 1, KeyLen: 32,
	}
}

// long tells whether to run for minutes rather than seconds.
func long() bool { return os.Getenv("WATCHWORD_LONG") != "" }

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 9106)) }

func TestKeyAppends(t *testing.T) {
	m := newMemory(t, argon2.Default(), 512)
	want := key(t, m, "password", "somesalt", small())
	got, err := m.Key([]byte("before"), []byte("password"), []byte("somesalt"), small())
	if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
		t.Errorf("Key = %x, %v, want the tag %x after %q", got, err, want, "before")
	}
}

func TestKeyRefuses(t *testing.T) {
	with := func(change func(p *argon2.Params)) argon2.Params {
		p := small()
		change(&p)
		return p
	}
	for _, test := range []struct {
		name string
		p    argon2.Params
		want error
	}{
		{"type", with(func(p *argon2.Params) { p.Type = 3 }), argon2.ErrParams},
		{"version 0", with(func(p *argon2.Params) { p.Version = 0 }), argon2.ErrParams},
		{"version 0x11", with(func(p *argon2.Params) { p.Version = 0x11 }), argon2.ErrParams},
		{"no passes", with(func(p *argon2.Params) { p.Time = 0 }), argon2.ErrParams},
		{"no lanes", with(func(p *argon2.Params) { p.Parallelism = 0 }), argon2.ErrParams},
		{"too many lanes", with(func(p *argon2.Params) { p.Parallelism = 1 << 24; p.Memory = 1 << 31 }), argon2.ErrParams},
		{"lanes that overflow 8p", with(func(p *argon2.Params) { p.Parallelism = 1 << 29 }), argon2.ErrParams},
		{"7 KiB", with(func(p *argon2.Params) { p.Memory = 7 }), argon2.ErrParams},
		{"8p-1 KiB", with(func(p *argon2.Params) { p.Parallelism = 5; p.Memory = 39 }), argon2.ErrParams},
		{"tag of 3 bytes", with(func(p *argon2.Params) { p.KeyLen = 3 }), argon2.ErrParams},
		{"a KiB too many", with(func(p *argon2.Params) { p.Memory = 513 }), argon2.ErrTooLarge},
		{"all the memory there is", with(func(p *argon2.Params) { p.Memory = 1<<32 - 1 }), argon2.ErrTooLarge},
	} {
		for _, name := range []string{argon2.KernelAuto, argon2.KernelXCrypto} {
			c, err := argon2.New(name)
			if err != nil {
				t.Fatal(err)
			}
			m := newMemory(t, c, 512)
			if tag, err := m.Key(nil, nil, nil, test.p); !errors.Is(err, test.want) || tag != nil {
				t.Errorf("%s: %s: Key = %x, %v, want %v", c.Kernel(), test.name, tag, err, test.want)
			}
		}
	}
}

func TestSlotTooLarge(t *testing.T) {
	m, err := argon2.NewMemory(1<<32 - 1)
	if !errors.Is(err, argon2.ErrTooLarge) || m != nil {
		t.Errorf("NewMemory of 4 TiB = %v, %v, want ErrTooLarge", m, err)
	}
}

func TestClosedMemory(t *testing.T) {
	m, err := argon2.NewMemory(512)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Fatalf("Close = %v", err)
		}
	}
	if _, err := m.Key(nil, nil, nil, small()); !errors.Is(err, argon2.ErrClosed) {
		t.Errorf("Key after Close = %v, want ErrClosed", err)
	}
}

func TestTwoCallsAtOncePanic(t *testing.T) {
	for _, test := range []struct {
		name   string
		second func(m *argon2.Memory)
	}{
		{"Key", func(m *argon2.Memory) { _, _ = m.Key(nil, nil, nil, small()) }},
		{"Close", func(m *argon2.Memory) { _ = m.Close() }},
	} {
		var m *argon2.Memory
		panicked := false
		once := sync.OnceFunc(func() {
			defer func() { panicked = recover() != nil }()
			test.second(m)
		})
		m = newMemory(t, argon2.Watched(argon2.Default(), once), 512)
		key(t, m, "password", "somesalt", small())
		if !panicked {
			t.Errorf("%s during Key did not panic", test.name)
		}
	}
}

// TestSlotsAreIndependent is for the race detector as much as for the tags.
func TestSlotsAreIndependent(t *testing.T) {
	want := key(t, newMemory(t, argon2.Default(), 512), "password", "somesalt", small())
	var group sync.WaitGroup
	for range 4 {
		m := newMemory(t, argon2.Default(), 512)
		group.Go(func() {
			for range 10 {
				got, err := m.Key(nil, []byte("password"), []byte("somesalt"), small())
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("Key = %x, %v, want %x", got, err, want)
				}
			}
		})
	}
	group.Wait()
}

// TestUnequalCallsInOneSlot goes from large to small and back, so that each
// call finds the leavings of one of another shape, if there were any.
func TestUnequalCallsInOneSlot(t *testing.T) {
	for _, c := range cores(t) {
		m := newMemory(t, c, 2048)
		for _, kib := range []uint32{2048, 8, 999, 64, 2047, 32, 2048} {
			for lanes := uint32(1); 8*lanes <= kib && lanes < 8; lanes++ {
				p := small()
				p.Memory, p.Parallelism = kib, lanes
				got := key(t, m, "password", "somesalt", p)
				want := xcrypto.IDKey([]byte("password"), []byte("somesalt"), p.Time, p.Memory, uint8(lanes), p.KeyLen)
				if !bytes.Equal(got, want) {
					t.Errorf("%s: m=%d p=%d: tag %x, want %x", c.Kernel(), kib, lanes, got, want)
				}
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	for _, keyLen := range []uint32{16, 32, 64, 100} {
		m := newMemory(t, argon2.Default(), 512)
		p := small()
		p.KeyLen = keyLen
		f := func() { key(t, m, "password", "somesalt", p) }
		f()
		const most, mostBytes, runs = 8, 2 << 10, 100
		if n := testing.AllocsPerRun(runs, f); n > most {
			t.Errorf("tag of %d bytes: %v allocations, want at most %d", keyLen, n, most)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			f()
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > mostBytes {
			t.Errorf("tag of %d bytes: %d bytes allocated, want at most %d", keyLen, n, mostBytes)
		}
	}
}

func TestNew(t *testing.T) {
	fastest := cores(t)[0].Kernel()
	for name, want := range map[string]string{
		"":                   fastest,
		argon2.KernelAuto:    fastest,
		argon2.KernelGeneric: argon2.KernelGeneric,
		argon2.KernelXCrypto: argon2.KernelXCrypto,
	} {
		c, err := argon2.New(name)
		if err != nil || c.Kernel() != want || c.SelfTest() != nil {
			t.Errorf("New(%q) = %v, %v, want kernel %s", name, c, err, want)
		}
	}
	if c, err := argon2.New("avx1024"); !errors.Is(err, argon2.ErrKernel) {
		t.Errorf("New of an unknown kernel = %v, %v, want ErrKernel", c, err)
	}
	if argon2.Kernel() != fastest || argon2.SelfTest() != nil {
		t.Errorf("Kernel = %s, SelfTest = %v, want %s, nil", argon2.Kernel(), argon2.SelfTest(), fastest)
	}
}

// TestWrongKernelFallsBack plants mistakes in the kernels; every one of them
// must be found at the start, and x/crypto take over.
func TestWrongKernelFallsBack(t *testing.T) {
	for _, c := range cores(t) {
		for _, fault := range argon2.Faults(c) {
			t.Run(c.Kernel()+"/"+fault.Name, func(t *testing.T) {
				wrong := fault.Core()
				if wrong.Kernel() != argon2.KernelXCrypto || wrong.SelfTest() == nil {
					t.Fatalf("Kernel = %s, SelfTest = %v, want x/crypto and an error", wrong.Kernel(), wrong.SelfTest())
				}
				m := newMemory(t, wrong, 512)
				for _, typ := range []argon2.Type{argon2.I, argon2.ID} {
					p := small()
					p.Type = typ
					want := key(t, newMemory(t, c, 512), "password", "somesalt", p)
					if got := key(t, m, "password", "somesalt", p); !bytes.Equal(got, want) {
						t.Errorf("type %d: tag %x, want %x", typ, got, want)
					}
				}
			})
		}
	}
}

func TestXCryptoRefusesWhatItCannotDo(t *testing.T) {
	c, err := argon2.New(argon2.KernelXCrypto)
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory(t, c, 2048)
	for name, change := range map[string]func(p *argon2.Params){
		"argon2d":         func(p *argon2.Params) { p.Type = argon2.D },
		"version 0x10":    func(p *argon2.Params) { p.Version = argon2.Version10 },
		"secret":          func(p *argon2.Params) { p.Secret = []byte{1} },
		"associated data": func(p *argon2.Params) { p.Data = []byte{1} },
		"256 lanes":       func(p *argon2.Params) { p.Parallelism, p.Memory = 256, 2048 },
	} {
		p := small()
		change(&p)
		if _, err := m.Key(nil, nil, nil, p); !errors.Is(err, argon2.ErrUnsupported) {
			t.Errorf("%s: Key = %v, want ErrUnsupported", name, err)
		}
	}
}

// dirtyDiffers tells whether tags of the core depend on what a slot held
// before.
func dirtyDiffers(t *testing.T, c *argon2.Core) bool {
	t.Helper()
	r := newRand(1)
	differ := false
	for _, p := range []argon2.Params{
		{Type: argon2.D, Version: argon2.Version10, Time: 1, Memory: 100, Parallelism: 3, KeyLen: 32},
		{Type: argon2.I, Version: argon2.Version13, Time: 1, Memory: 700, Parallelism: 1, KeyLen: 64},
		{Type: argon2.ID, Version: argon2.Version13, Time: 1, Memory: 512, Parallelism: 1, KeyLen: 32},
		{Type: argon2.ID, Version: argon2.Version13, Time: 3, Memory: 511, Parallelism: 5, KeyLen: 99},
		{Type: argon2.ID, Version: argon2.Version10, Time: 3, Memory: 511, Parallelism: 5, KeyLen: 99},
	} {
		m := newMemory(t, c, 700)
		clean := key(t, m, "password", "somesalt", p)
		for range 5 {
			m.Soil(r)
			if !bytes.Equal(key(t, m, "password", "somesalt", p), clean) {
				differ = true
			}
		}
	}
	return differ
}

func TestDirtySlot(t *testing.T) {
	for _, c := range cores(t) {
		if dirtyDiffers(t, c) {
			t.Errorf("%s: the tag depends on what the slot held before", c.Kernel())
		}
		if !dirtyDiffers(t, argon2.NoOverwrite(c).Untested()) {
			t.Errorf("%s: a kernel that needs zeroed memory was not found out", c.Kernel())
		}
	}
}

// remains returns the names of the parts of a slot that are not as new.
func remains(m *argon2.Memory) []string {
	var names []string
	for _, r := range m.Regions() {
		if slices.ContainsFunc(r.Bytes, func(b byte) bool { return b != 0 }) {
			names = append(names, r.Name)
		}
	}
	if !m.HashIsFresh() {
		names = append(names, "BLAKE2b")
	}
	return names
}

func TestWipe(t *testing.T) {
	for _, c := range cores(t) {
		for _, p := range []argon2.Params{
			small(),
			{Type: argon2.I, Version: argon2.Version13, Time: 1, Memory: 512, Parallelism: 4, KeyLen: 100, Secret: []byte("secret")},
			{Type: argon2.D, Version: argon2.Version10, Time: 1, Memory: 511, Parallelism: 3, KeyLen: 4, Data: []byte("data")},
		} {
			var m *argon2.Memory
			during := 0
			m = newMemory(t, argon2.Watched(c, func() { during = max(during, len(remains(m))) }), 512)
			key(t, m, "password", "somesalt", p)
			if during < 3 {
				t.Errorf("%s: %d parts in use during Key; does this test look in the right place?", c.Kernel(), during)
			}
			if left := remains(m); left != nil {
				t.Errorf("%s: %+v: left after Key: %q", c.Kernel(), p, left)
			}
			// The check must see a single byte, wherever it is.
			for _, region := range m.Regions() {
				for _, i := range []int{0, len(region.Bytes) / 2, len(region.Bytes) - 1} {
					region.Bytes[i] = 1
					if got := remains(m); !slices.Equal(got, []string{region.Name}) {
						t.Errorf("byte %d of %s set: remains = %q", i, region.Name, got)
					}
					region.Bytes[i] = 0
				}
			}
		}
	}
}

func TestWipeAfterPanic(t *testing.T) {
	blocks := 0
	m := newMemory(t, argon2.Watched(argon2.Default(), func() {
		if blocks++; blocks == 300 {
			panic("planted")
		}
	}), 512)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the planted panic did not come through")
			}
		}()
		key(t, m, "password", "somesalt", small())
	}()
	if left := remains(m); left != nil {
		t.Errorf("left after a panic: %q", left)
	}
}

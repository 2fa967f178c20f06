// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2_test

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/watchword-project/watchword/server/internal/argon2"
)

// faults runs f and tells whether it touched memory that it must not.
func faults(f func()) (faulted bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(interface{ Addr() uintptr }); !ok {
				panic(r)
			}
			faulted = true
		}
	}()
	f()
	return false
}

// TestFences fills slots to the last byte. Nothing may be read or written
// outside of them, where access is a fault; a kernel that writes one word too
// many must be found out.
func TestFences(t *testing.T) {
	page := os.Getpagesize()
	kib := uint32(page >> 10)
	for _, p := range []argon2.Params{
		{Type: argon2.D, Version: argon2.Version13, Time: 2, Memory: 16 * kib, Parallelism: 1, KeyLen: 32},
		{Type: argon2.I, Version: argon2.Version13, Time: 2, Memory: 16 * kib, Parallelism: 2, KeyLen: 32},
		{Type: argon2.ID, Version: argon2.Version10, Time: 2, Memory: 64 * kib, Parallelism: 8, KeyLen: 32},
		{Type: argon2.ID, Version: argon2.Version13, Time: 1, Memory: 2048, Parallelism: 1, KeyLen: 32},
	} {
		for _, c := range cores(t) {
			m := newMemory(t, c, p.Memory)
			if faults(func() { key(t, m, "password", "somesalt", p) }) {
				t.Errorf("%s: %+v: access outside the slot", c.Kernel(), p)
			}
			m = newMemory(t, argon2.Overrun(c).Untested(), p.Memory)
			if !faults(func() { key(t, m, "password", "somesalt", p) }) {
				t.Errorf("%s: %+v: a write behind the slot was not found out", c.Kernel(), p)
			}
		}
	}

	m := newMemory(t, argon2.Default(), 16*kib)
	for _, r := range m.Regions()[:2] { // what is mapped
		first := unsafe.Pointer(&r.Bytes[0])
		end := (len(r.Bytes) + page - 1) / page * page
		for _, i := range []int{-page, -1, end, end + page - 1} {
			if !faults(func() { *(*byte)(unsafe.Add(first, i)) = 1 }) {
				t.Errorf("%s: byte %d of %d can be written", r.Name, i, len(r.Bytes))
			}
		}
	}
}

// TestMappingFlags reads what the kernel keeps about a slot, VmFlags of
// proc_pid_smaps(5): dd for left out of dumps, dc for not given to children, hg
// for wanted on huge pages.
func TestMappingFlags(t *testing.T) {
	m := newMemory(t, argon2.Default(), 8<<10)
	first := fmt.Sprintf("%x-", uintptr(unsafe.Pointer(&m.Regions()[0].Bytes[0])))
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	var here bool
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		here = here || strings.HasPrefix(line, first)
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && here {
			want := []string{"dd", "dc"}
			if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err == nil {
				want = append(want, "hg")
			}
			for _, flag := range want {
				if !slices.Contains(strings.Fields(flags), flag) {
					t.Errorf("flags of the mapping:%s, want %s among them", flags, flag)
				}
			}
			return
		}
	}
	t.Skip("the system does not list VmFlags for the slot")
}

func TestHugePages(t *testing.T) {
	m := newMemory(t, argon2.Default(), 19<<10)
	info := m.HugePages()
	t.Logf("%+v", info)
	if info.Bytes != 19<<20 || info.Huge < 0 || info.Huge > info.Bytes {
		t.Errorf("HugePages = %+v, want 19 MiB and some or all of it on huge pages", info)
	}
	if uintptr(unsafe.Pointer(&m.Regions()[0].Bytes[0]))%(2<<20) != 0 {
		t.Error("slot not aligned to 2 MiB")
	}
}

func TestAnonHuge(t *testing.T) {
	const smaps = `7f0000000000-7f0000001000 rw-p 00000000 00:00 0
AnonHugePages:      4096 kB
VmFlags: rd wr
7f0000200000-7f0001500000 rw-p 00000000 00:00 0
Rss:               19456 kB
AnonHugePages:     18432 kB
VmFlags: rd wr hg
7f0001600000-7f0001601000 rw-p 00000000 00:00 0
AnonHugePages:   garbage kB
`
	for first, want := range map[string]int{
		"7f0000000000-": 4 << 20,
		"7f0000200000-": 18 << 20,
		"7f0001600000-": 0,
		"7f0001700000-": 0,
	} {
		if got := argon2.AnonHuge(bufio.NewScanner(strings.NewReader(smaps)), first); got != want {
			t.Errorf("AnonHuge(%s) = %d, want %d", first, got, want)
		}
	}
}

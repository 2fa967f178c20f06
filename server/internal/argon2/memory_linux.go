// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size that the mapping is aligned to, the huge page of amd64
// and of arm64 with 4 KiB pages.
const hugePage = 2 << 20

// mapping is memory outside the Go heap, laid out as
//
//	fence | side | fence | main | fence
//	                     ^ aligned to hugePage
//
// where the fences are at least a page each, cannot be accessed, and start
// right after the last page of what precedes them.
type mapping struct {
	all, side, main []byte
	huge            int // bytes of main on huge pages
}

// mapMemory returns zeroed memory of the two sizes in bytes.
func mapMemory(main, side int) (mapping, error) {
	page := os.Getpagesize()
	up := func(n, to int) int { return (n + to - 1) / to * to }
	main, side = up(main, page), up(side, page)
	if rest := main % hugePage; rest >= hugePage/2 {
		// A last huge page of which at least half is used is worth the other
		// half: small pages cost a tag of 19 MiB more than 2 % of its time.
		main += hugePage - rest
	}

	all, err := unix.Mmap(-1, 0, page+side+page+hugePage+main+page, unix.PROT_NONE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return mapping{}, err
	}
	start := page + side + page
	start += int(-(uintptr(unsafe.Pointer(&all[0])) + uintptr(start)) % hugePage)
	m := mapping{all: all, side: all[start-page-side : start-page], main: all[start : start+main]}
	for _, part := range [][]byte{m.side, m.main} {
		if len(part) == 0 {
			continue
		}
		if err := unix.Mprotect(part, unix.PROT_READ|unix.PROT_WRITE); err != nil {
			_ = m.release()
			return mapping{}, err
		}
		// Core dumps and children do without the passwords of this process:
		// both have worked for longer than any kernel that Go runs on.
		for _, advice := range []int{unix.MADV_DONTDUMP, unix.MADV_DONTFORK} {
			if err := unix.Madvise(part, advice); err != nil {
				_ = m.release()
				return mapping{}, fmt.Errorf("madvise: %w", err)
			}
		}
	}
	if len(m.main) > 0 {
		// A kernel without huge pages refuses; count tells what came of it.
		_ = unix.Madvise(m.main, unix.MADV_HUGEPAGE)
	}
	return m, nil
}

// count finds out how much of main is on huge pages. A system that does not
// tell is counted as having none.
func (m *mapping) count() {
	if len(m.main) == 0 {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	first := strconv.FormatUint(uint64(uintptr(unsafe.Pointer(&m.main[0]))), 16) + "-"
	m.huge = anonHuge(bufio.NewScanner(f), first)
}

// anonHuge returns AnonHugePages in bytes of the mapping whose line begins with
// the given address, and 0 when it is not listed; see proc_pid_smaps(5).
func anonHuge(lines *bufio.Scanner, first string) int {
	found := false
	for lines.Scan() {
		line := lines.Bytes()
		if !found {
			found = bytes.HasPrefix(line, []byte(first))
			continue
		}
		if value, ok := bytes.CutPrefix(line, []byte("AnonHugePages:")); ok {
			kib, err := strconv.Atoi(string(bytes.TrimSpace(bytes.TrimSuffix(value, []byte("kB")))))
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

// release gives the memory back.
func (m *mapping) release() error {
	all := m.all
	*m = mapping{}
	if all == nil {
		return nil
	}
	return unix.Munmap(all)
}

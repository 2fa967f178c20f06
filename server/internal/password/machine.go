// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"io/fs"
	"path"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what hashing may use of the machine it runs on.
type Machine struct {
	// CPUs is GOMAXPROCS, which knows the CPU limit of the cgroup.
	CPUs int
	// Memory is the memory of the machine or the limit of the cgroup,
	// whichever is lower, in bytes; 0 if the system does not tell.
	Memory int64
	// Limited tells that Memory is a cgroup's.
	Limited bool
	// HugePages is the kernel's mode for transparent huge pages: "always",
	// "madvise" or "never"; empty if the system does not tell. With "never"
	// hashing is slower by a tenth to a quarter.
	HugePages string
}

// DetectMachine reads root, which is os.DirFS("/") but in tests.
func DetectMachine(root fs.FS) Machine {
	m := Machine{CPUs: runtime.GOMAXPROCS(0)}
	for line := range strings.Lines(read(root, "proc/meminfo")) {
		if v, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			if f := strings.Fields(v); len(f) > 0 {
				kib, _ := strconv.ParseInt(f[0], 10, 64)
				m.Memory = kib << 10
			}
		}
	}
	if limit := cgroupLimit(root); limit > 0 && (m.Memory == 0 || limit < m.Memory) {
		m.Memory, m.Limited = limit, true
	}
	if _, mode, ok := strings.Cut(read(root, "sys/kernel/mm/transparent_hugepage/enabled"), "["); ok {
		m.HugePages, _, _ = strings.Cut(mode, "]")
	}
	return m
}

// cgroupLimit is the lowest memory limit of the process's cgroup and those
// above it, 0 if there is none.
func cgroupLimit(root fs.FS) int64 {
	low := int64(0)
	take := func(file string) {
		n, err := strconv.ParseInt(strings.TrimSpace(read(root, file)), 10, 64)
		if err == nil && n > 0 && (low == 0 || n < low) {
			low = n
		}
	}
	for line := range strings.Lines(read(root, "proc/self/cgroup")) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		base, file := "", ""
		switch {
		case part[0] == "0" && part[1] == "": // version 2
			base, file = "sys/fs/cgroup", "memory.max"
		case part[1] == "memory": // version 1, where "no limit" is close to 2⁶³
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := path.Clean("/" + part[2]); ; dir = path.Dir(dir) {
			take(path.Join(base, dir, file))
			if dir == "/" {
				break
			}
		}
	}
	return low
}

func read(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

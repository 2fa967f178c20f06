// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/password"
)

func TestDetectMachine(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	cpus := runtime.GOMAXPROCS(0)
	const meminfo = "MemTotal:       16384000 kB\nMemFree: 1 kB\n"
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  password.Machine
	}{
		"nothing known": {nil, password.Machine{CPUs: cpus}},
		"bare machine": {fstest.MapFS{
			"proc/meminfo":     file(meminfo),
			"proc/self/cgroup": file("0::/user.slice\n"),
			"sys/kernel/mm/transparent_hugepage/enabled": file("always [madvise] never\n"),
		}, password.Machine{CPUs: cpus, Memory: 16384000 << 10, HugePages: "madvise"}},
		"cgroup 2": {fstest.MapFS{
			"proc/meminfo":                               file(meminfo),
			"proc/self/cgroup":                           file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max":               file("max\n"),
			"sys/fs/cgroup/a/memory.max":                 file("536870912\n"),
			"sys/kernel/mm/transparent_hugepage/enabled": file("always madvise [never]\n"),
		}, password.Machine{CPUs: cpus, Memory: 512 << 20, Limited: true, HugePages: "never"}},
		"cgroup 2 in its own namespace": {fstest.MapFS{
			"proc/meminfo":             file(meminfo),
			"proc/self/cgroup":         file("0::/\n"),
			"sys/fs/cgroup/memory.max": file("268435456\n"),
		}, password.Machine{CPUs: cpus, Memory: 256 << 20, Limited: true}},
		"cgroup 1": {fstest.MapFS{
			"proc/meminfo":     file(meminfo),
			"proc/self/cgroup": file("4:cpu,cpuacct:/x\n3:memory:/x\n"),
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("1073741824\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   file("9223372036854771712\n"),
		}, password.Machine{CPUs: cpus, Memory: 1 << 30, Limited: true}},
		"limit above the machine": {fstest.MapFS{
			"proc/meminfo":             file(meminfo),
			"proc/self/cgroup":         file("0::/\n"),
			"sys/fs/cgroup/memory.max": file("99999999999999\n"),
		}, password.Machine{CPUs: cpus, Memory: 16384000 << 10}},
		"garbage": {fstest.MapFS{
			"proc/meminfo":             file("MemTotal:\nMemTotal: x kB\n"),
			"proc/self/cgroup":         file("::\n0\n\n0::../../..\n"),
			"sys/fs/cgroup/memory.max": file("-1"),
		}, password.Machine{CPUs: cpus}},
	} {
		if diff := cmp.Diff(c.want, password.DetectMachine(c.files)); diff != "" {
			t.Errorf("%s: DetectMachine (-want +got):\n%s", name, diff)
		}
	}
	if runtime.GOOS == "linux" {
		if m := password.DetectMachine(os.DirFS("/")); m.Memory < 64<<20 {
			t.Errorf("this machine has %+v", m)
		}
	}
}

func TestCalibrate(t *testing.T) {
	p, err := password.Calibrate(t.Context(), password.Calibration{
		P95: time.Minute, PerSecond: 0.001, Turn: time.Millisecond, MemoryBudget: 20 << 20,
	}, password.Machine{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Choice == nil || p.Choice.Params != (password.Params{Memory: 19 << 10, Time: 20, Parallelism: 1}) || p.Kernel == "" {
		t.Errorf("with a budget of 20 MiB and all the time Calibrate chose %+v of %+v on kernel %q: %s", p.Choice, p.Rows, p.Kernel, p.Missing)
	}
	for _, r := range p.Rows {
		if r.Slots != 1 && r.Memory > 20<<20 {
			t.Errorf("row %v takes %d bytes on %d slots, over the budget", r.Params, r.Memory, r.Slots)
		}
		if r.P50 <= 0 || r.P95 < r.P50 || r.PerSecond <= 0 {
			t.Errorf("row %+v was not measured", r)
		}
	}
}

func TestCalibrateSaysWhatIsMissing(t *testing.T) {
	for problem, c := range map[string]password.Calibration{
		"give more memory": {MemoryBudget: 11 << 20},
		"fewer logins":     {MemoryBudget: 40 << 20, PerSecond: 1e6, P95: time.Minute},
		"faster cores":     {MemoryBudget: 40 << 20, PerSecond: 0.001, P95: time.Microsecond},
		"below the floor":  {Only: []password.Params{{Memory: 64, Time: 1, Parallelism: 1}}},
		"memory budget":    {MemoryBudget: 40 << 20, Only: []password.Params{{Memory: 64 << 10, Time: 1, Parallelism: 1}}},
	} {
		c.Turn = time.Millisecond
		p, err := password.Calibrate(t.Context(), c, password.Machine{})
		if err != nil {
			t.Errorf("%s: %v", problem, err)
			continue
		}
		if p.Choice != nil || !strings.Contains(p.Missing, problem) {
			t.Errorf("Calibrate chose %+v and misses %q, want %q", p.Choice, p.Missing, problem)
		}
	}
}

func TestCalibrateStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := password.Calibrate(ctx, password.Calibration{}, password.Machine{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Calibrate = %v", err)
	}
	if _, err := password.Calibrate(t.Context(), password.Calibration{Headroom: 2}, password.Machine{}); err == nil {
		t.Error("a headroom of 2 was taken")
	}
}

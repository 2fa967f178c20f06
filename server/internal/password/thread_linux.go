// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import "golang.org/x/sys/unix"

const (
	// yieldSteps lowers a thread to about a third of the processor time of
	// another of this process that wants it just as much.
	yieldSteps = 5
	// yieldSlice is a time slice, in nanoseconds, that is longer than the
	// scheduler's own of at most about 3 ms, and short enough to wait for.
	yieldSlice = 10_000_000
)

// yieldThread makes the calling thread give way: when a thread that takes in
// requests wakes, it runs at once and not after this one's time slice. On Linux
// a priority is a thread's own (setpriority(2), notes), and anybody may lower
// it. SCHED_BATCH marks work that nobody waits for by the millisecond; and from
// Linux 6.12 on, one with a shorter slice comes before one with a longer, which
// older kernels take no notice of.
func yieldThread() {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 less the nice value
	if err != nil {
		return
	}
	nice := min(20-raw+yieldSteps, 19)
	err = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_BATCH, Nice: int32(nice), Runtime: yieldSlice}, 0)
	if err != nil { // a sandbox without the newer call
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice)
	}
}

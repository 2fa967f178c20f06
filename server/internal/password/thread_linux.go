// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import "golang.org/x/sys/unix"

// yieldThread lowers the priority of the calling thread a little, to about half
// of the processor time of another thread that wants it just as much. On
// Linux a priority is a thread's own (setpriority(2), notes), and anybody may
// lower it.
func yieldThread() {
	const steps = 3
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil { // 20 less the nice value
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, min(20-raw+steps, 19))
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password_test

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchword-project/watchword/server/internal/password"
)

// A hash runs on a thread that gives way to this one, and only that thread does.
func TestHashesGiveWay(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := password.NewPool(1, 1<<20, time.Minute, time.Millisecond)
	defer p.Close()
	var within *unix.SchedAttr
	err = p.Do(t.Context(), password.Interactive, 1, password.Text{}, func([]byte) {
		within, err = unix.SchedGetAttr(0, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	if within.Nice <= before.Nice && before.Nice < 19 {
		t.Errorf("a hash has nice value %d, its caller %d", within.Nice, before.Nice)
	}
	if within.Policy != unix.SCHED_BATCH {
		t.Errorf("a hash has scheduling policy %d, want SCHED_BATCH", within.Policy)
	}
	// A kernel that does not know slices tells none.
	if before.Runtime > 0 && within.Runtime <= before.Runtime {
		t.Errorf("a hash has a time slice of %d ns, its caller %d: it would not give way before its end", within.Runtime, before.Runtime)
	}
	if after, err := unix.SchedGetAttr(0, 0); err != nil || *after != *before {
		t.Errorf("the caller has %+v, and had %+v, %v", after, before, err)
	}
}

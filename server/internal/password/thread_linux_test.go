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
	before, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := password.NewPool(1, 1<<20, time.Minute, time.Millisecond)
	defer p.Close()
	var within int
	err = p.Do(t.Context(), password.Interactive, 1, password.Text{}, func([]byte) {
		within, err = unix.Getpriority(unix.PRIO_PROCESS, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	// The system call gives 20 less the nice value: more is sooner.
	if within >= before && before > 1 {
		t.Errorf("a hash has priority %d, its caller %d", within, before)
	}
	if after, _ := unix.Getpriority(unix.PRIO_PROCESS, 0); after != before {
		t.Errorf("the caller has priority %d, and had %d", after, before)
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix

package daemon

import (
	"io/fs"
	"testing"
)

// TestLentToGroup: of the files that others can read, only those are taken that
// an orchestrator mounts for the server's group.
func TestLentToGroup(t *testing.T) {
	for _, c := range []struct {
		name      string
		mode      fs.FileMode
		uid, gid  int
		self      int
		want      bool
		inGroupOf int
	}{
		{"a mounted secret", 0o440, 0, 65532, 65532, true, 65532},
		{"one of mode 0640", 0o640, 0, 65532, 65532, true, 65532},
		{"one that everybody reads", 0o444, 0, 65532, 65532, false, 65532},
		{"one that the group writes", 0o460, 0, 65532, 65532, false, 65532},
		{"one that the group executes", 0o450, 0, 65532, 65532, false, 65532},
		{"another group's", 0o440, 0, 100, 65532, false, 65532},
		{"another user's", 0o440, 1000, 65532, 65532, false, 65532},
		{"our own, lent to the group", 0o440, 65532, 65532, 65532, false, 65532},
		{"of root for root", 0o440, 0, 0, 0, false, 0},
	} {
		if got := lentToGroup(c.mode, c.uid, c.gid, c.self, []int{1, c.inGroupOf}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc_test

import (
	"testing"

	"github.com/watchword-project/watchword/server/internal/rpc"
)

// TestQuotasAreForgotten: callers at rest make room for others, and whoever has used
// up what it may is not let in again by a crowd.
func TestQuotasAreForgotten(t *testing.T) {
	const most, callers = 4096, 4100
	for what, c := range map[string]struct {
		rps         float64
		concurrency int
		kept        bool // all of them, since none is at rest
	}{
		"calls under way": {0, 1, false},
		"calls a second":  {0.001, 0, true},
		"both":            {0.001, 1, true},
	} {
		counted, again := rpc.Callers(callers, c.rps, c.concurrency)
		if again == nil {
			t.Errorf("%s: the first caller may exceed its quota after %d others", what, callers)
		}
		if (counted > most) != c.kept {
			t.Errorf("%s: %d callers are counted", what, counted)
		}
	}
}

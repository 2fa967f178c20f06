// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"flag"
	"os"
	"runtime"
	"testing"
)

// TestMain runs at least four tests side by side, on however few processors:
// those that may run so wait more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); runtime.GOMAXPROCS(0) < 4 && p.Value.String() == p.DefValue {
		_ = flag.Set("test.parallel", "4")
	}
	os.Exit(m.Run())
}

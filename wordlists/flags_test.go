// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"flag"
	"os"
)

// long turns on the tests that take minutes.
var long = flag.Bool("watchword.long", os.Getenv("WATCHWORD_LONG") == "1", "run the tests that take minutes")

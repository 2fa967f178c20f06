// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build mutants

package mutant

import "os"

// Planted says that faults are built in; the command refuses to run then.
const Planted = true

// planted is the fault of this process.
var planted = Fault(os.Getenv("WATCHWORD_MUTANT"))

// Is tells whether f is planted.
func Is(f Fault) bool { return f == planted }

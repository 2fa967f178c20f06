// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build mutants

package throttle

import "github.com/watchword-project/watchword/server/internal/mutant"

// The faults that can be planted in this package.
var (
	plantRefusalsExtend   = mutant.Is(mutant.RefusalsExtend)
	plantWholeIPv6        = mutant.Is(mutant.WholeIPv6)
	plantOpenWithoutStore = mutant.Is(mutant.OpenWithoutStore)
	plantCheckThenAct     = mutant.Is(mutant.CheckThenAct)
)

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build mutants

package password

import "github.com/watchword-project/watchword/server/internal/mutant"

// The faults that can be planted in this package.
var (
	plantInvertedCompare = mutant.Is(mutant.InvertedCompare)
	plantNotNormalised   = mutant.Is(mutant.NotNormalised)
	plantOneLine         = mutant.Is(mutant.OneLine)
	plantBcryptCuts      = mutant.Is(mutant.BcryptCuts)
)

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build mutants

package verifier

import "github.com/watchword-project/watchword/server/internal/mutant"

// The faults that can be planted in this package.
var (
	plantNamesApart        = mutant.Is(mutant.NamesApart)
	plantErrorsAreGuesses  = mutant.Is(mutant.ErrorsAreGuesses)
	plantUnknownUnhashed   = mutant.Is(mutant.UnknownUnhashed)
	plantDisabledUnhashed  = mutant.Is(mutant.DisabledUnhashed)
	plantUpgradeOverwrites = mutant.Is(mutant.UpgradeOverwrites)
)

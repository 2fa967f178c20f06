// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build mutants

package rpc

import "github.com/watchword-project/watchword/server/internal/mutant"

// The faults that can be planted in this package.
var (
	plantFaultsRepeat = mutant.Is(mutant.FaultsRepeat)
	plantOpenRoutes   = mutant.Is(mutant.OpenRoutes)
	plantAnyHost      = mutant.Is(mutant.AnyHost)
	plantLeftmostHop  = mutant.Is(mutant.LeftmostHop)
)

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build mutants

package events

import "github.com/watchword-project/watchword/server/internal/mutant"

// The faults that can be planted in this package.
var (
	plantRawLines = mutant.Is(mutant.RawLines)
	plantNoAnchor = mutant.Is(mutant.NoAnchor)
)

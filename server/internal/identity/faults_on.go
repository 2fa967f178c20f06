// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build mutants

package identity

import "github.com/watchword-project/watchword/server/internal/mutant"

// The faults that can be planted in this package.
var (
	plantMappedAddresses = mutant.Is(mutant.MappedAddresses)
)

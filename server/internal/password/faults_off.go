// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !mutants

package password

// No fault is planted in this build; package mutant says what each would be.
const (
	plantInvertedCompare = false
	plantNotNormalised   = false
	plantOneLine         = false
	plantBcryptCuts      = false
)

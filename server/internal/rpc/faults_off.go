// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !mutants

package rpc

// No fault is planted in this build; package mutant says what each would be.
const (
	plantFaultsRepeat = false
	plantOpenRoutes   = false
	plantAnyHost      = false
	plantLeftmostHop  = false
)

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !mutants

package mutant

// Planted is false: this build holds no fault.
const Planted = false

// Is is false for every fault.
func Is(Fault) bool { return false }

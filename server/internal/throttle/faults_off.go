// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !mutants

package throttle

// No fault is planted in this build; package mutant says what each would be.
const (
	plantRefusalsExtend   = false
	plantWholeIPv6        = false
	plantOpenWithoutStore = false
	plantCheckThenAct     = false
)

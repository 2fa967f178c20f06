// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !purego || purego

package argon2

// kernels returns the kernels that this machine runs beside the generic one,
// the fastest first.
func kernels() []*kernel { return nil }

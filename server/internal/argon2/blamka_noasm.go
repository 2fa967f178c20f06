// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !amd64 || purego

package argon2

// kernels returns the kernels that this machine runs beside the generic one,
// the fastest first.
func kernels() []*kernel { return nil }

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !amd64

package fence

// Works says that Load does what it promises on this architecture.
const Works = false

// Load does nothing where the architecture's instruction is not known here.
func Load() {}

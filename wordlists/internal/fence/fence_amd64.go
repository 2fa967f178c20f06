// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package fence

// Works says that Load does what it promises on this architecture.
const Works = true

// Load returns when every load before it has finished (LFENCE).
//
//go:noescape
func Load()

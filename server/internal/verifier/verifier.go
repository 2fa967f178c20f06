// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package verifier holds the order of steps for each use: check, set, verify,
// change. It is the only caller of the stores.
package verifier

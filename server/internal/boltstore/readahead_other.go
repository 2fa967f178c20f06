// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !linux

package boltstore

import "os"

// readAhead does nothing: the system is left to find out by itself.
func readAhead(*os.File, int64, int64) {}

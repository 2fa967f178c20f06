// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build mutants

package main

// holdsFaults tells whether faults can be planted in this build.
const holdsFaults = true

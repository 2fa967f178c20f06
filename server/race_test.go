// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build race

package main

// raceDetector tells that this binary takes several times its usual memory.
const raceDetector = true

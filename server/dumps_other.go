// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !linux

package main

import "syscall"

// refuseDumps keeps the memory of this process, which holds passwords in
// passing, out of core files.
func refuseDumps() error { return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }

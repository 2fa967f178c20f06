// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !linux

package password

// yieldThread does nothing: a priority is the whole process's here.
func yieldThread() {}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !linux

package throttle

func hugePages[T any]([]T) {}

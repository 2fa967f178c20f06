// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix && !linux

package wordlists

func adviseHuge([]byte) {}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix && !linux

package wordlists

import "os"

func adviseHuge([]byte) {}

func populate(b []byte) { willNeed(b) }

func forget(*os.File) {}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !unix && !wasip1

package wordlists

import "os"

func lockFile(*os.File) error { return nil }

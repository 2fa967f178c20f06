// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import _ "embed" // for the table below

//go:embed common.bin
var commonData string

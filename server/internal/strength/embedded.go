// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package strength

import _ "embed"

//go:embed tables.bin
var embedded []byte

// Tables is the file of the built-in tables, which Parse reads. It is shared
// and not to be changed.
func Tables() []byte { return embedded }

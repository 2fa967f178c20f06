// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2

// AnonHuge is anonHuge.
var AnonHuge = anonHuge

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package wordlists tells whether a password is on a list of known passwords,
// and how often it was seen there.
package wordlists

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package fence lets a benchmark wait for a memory access to finish. Without
// it the processor begins the next look-up while the last one still waits, and
// what is measured is throughput, not latency.
package fence

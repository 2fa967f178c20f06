// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

// Failure turns an error of gRPC into one of this package.
var Failure = failure

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisstore

import "github.com/redis/go-redis/v9"

// WithClient returns a store on a client that Dial did not make.
func WithClient(c redis.UniversalClient) *Store { return &Store{client: c} }

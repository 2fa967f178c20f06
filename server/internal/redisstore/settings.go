// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisstore

import (
	"context"
	"time"
)

// Settings reads the settings of a Redis server that decide how safe it is, and
// its clock. A setting that the role may not read is left out.
func Settings(ctx context.Context, c Config) (settings map[string]string, clock time.Time, err error) {
	client, err := Dial(c)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer client.Close()
	if clock, err = client.Time(ctx).Result(); err != nil {
		return nil, time.Time{}, failed("asking for the time", err)
	}
	settings = make(map[string]string)
	for _, name := range []string{"maxmemory-policy", "appendonly", "bind", "protected-mode"} {
		if m, err := client.ConfigGet(ctx, name).Result(); err == nil && len(m) > 0 {
			settings[name] = m[name]
		}
	}
	return settings, clock, nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

// limiter opens the throttle's state in the data directory.
func (s *Server) limiter(c Config, dir dataDir, master []byte, now func() time.Time) (*throttle.Limiter, error) {
	rules, err := throttle.ProfileRules(c.Throttle.Profile)
	if err != nil {
		return nil, fmt.Errorf("configuration: throttle.profile: %w", err)
	}
	if n := c.Throttle.SubjectFree; n != nil {
		for i := range rules.Unknown {
			rules.Unknown[i].Free = *n
		}
	}
	if n := c.Throttle.PrefixBurst; n != nil {
		rules.Address.Burst = *n
	}
	if err := os.MkdirAll(dir.path(throttleDir), 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	l, err := throttle.New(throttle.Config{
		Rules: &rules, Log: s.log, Now: now,
		Keys:   throttle.Keys{Names: derive(master, "throttle names"), Tokens: [][]byte{derive(master, "throttle tokens")}},
		Memory: throttle.MemoryConfig{Dir: dir.path(throttleDir)},
	}, nil)
	if err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { return l.Close() })
	return l, nil
}

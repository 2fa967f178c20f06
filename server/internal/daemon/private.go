// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"fmt"

	"github.com/watchword-project/watchword/server/internal/rpc"
	lists "github.com/watchword-project/watchword/wordlists/private"
)

// openPrivate opens the private lists.
func openPrivate(c *Config) (*rpc.Private, error) {
	p := &rpc.Private{Lists: map[lists.Version]*lists.List{}, ChecksPerSecond: c.Private.ChecksPerSecond}
	for i, e := range c.Private.Lists {
		text, err := readSecret(fmt.Sprintf("private.lists[%d].key_file", i), e.KeyFile)
		if err != nil {
			return nil, err
		}
		key, err := lists.ParseKey([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("configuration: private.lists[%d].key_file: %w", i, err)
		}
		l, err := lists.Open(e.Path, key)
		if err != nil {
			return nil, fmt.Errorf("configuration: private.lists[%d]: %w", i, err)
		}
		p.Lists[l.Version()] = l
	}
	return p, nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package corpora

import (
	"strings"

	"github.com/watchword-project/watchword/server/internal/verifier"
	"github.com/watchword-project/watchword/wordlists"
)

// Join looks many keys up in all corpora of a kind, and gives the largest count
// of each. Keys in ascending order are met in one pass over each file. It
// returns ErrNoCorpus when there is no corpus of the kind; a corpus that fails
// is an error, since "not listed" would be a lie.
func (s *Shelf) Join(kind wordlists.Kind, keys []wordlists.Key) (counts []uint32, version string, err error) {
	counts = make([]uint32, len(keys))
	var one []uint32
	var versions []string
	for _, c := range s.corpora {
		now := c.serving.Load()
		if now == nil || now.info.Kind != kind {
			continue
		}
		into := counts
		if len(versions) > 0 {
			if one == nil {
				one = make([]uint32, len(keys))
			}
			into = one
		}
		if err := c.with(func(x *wordlists.Index) error { return x.CountBatch(into, keys) }); err != nil {
			return nil, "", err
		}
		if len(versions) > 0 {
			for i, n := range one {
				counts[i] = max(counts[i], n)
			}
		}
		versions = append(versions, c.Name+"@"+now.info.Version)
	}
	if len(versions) == 0 {
		return nil, "", verifier.ErrNoCorpus
	}
	return counts, strings.Join(versions, ","), nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle

// UseCallersClock makes the scripts take the time from the request, so that
// they can be compared with the in-process store.
func (s *Store) UseCallersClock() { s.replay = true }

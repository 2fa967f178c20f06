// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package redisthrottle

import "strings"

// UseCallersClock makes the scripts take the time from the request, so that
// they can be compared with the in-process store.
func (s *Store) UseCallersClock() { s.replay = true }

// PlantFault replaces a piece of the script. It reports whether that was there.
func (s *Store) PlantFault(piece, by string) bool {
	text := strings.ReplaceAll(s.whole.text, piece, by)
	found := text != s.whole.text
	s.whole = scriptOf(text)
	return found
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

// Context is what the caller knows about the user and the service.
type Context struct {
	Login                        string
	Emails, Names, Phones, Words []string
	BirthDate                    string // YYYY-MM-DD
	Previous                     []byte // the password before this one
}

// Hints is a Context made ready for matching.
type Hints struct{}

// NewHints prepares c.
func NewHints(c Context) *Hints { return nil }

type matches struct{}

func (x *matches) relax(a *arena, i int) {}

func (m *Model) contextGuesses(a *arena, h *Hints, e *Estimate, g mil) mil { return inf }

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package lookup finds what can be told of a password without asking
// anybody: whether it is on the list of common passwords, and how many guesses
// it withstands. The service and the engine in the browser both ask here, so
// that a policy judges alike in both.
package lookup

import (
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/strength"
	"github.com/watchword-project/watchword/wordlists"
)

// Listed tells where a list has a password, or a form of it.
func Listed(list *wordlists.CommonList, text password.Text) []policy.Listed {
	m, ok := list.Match(text.Reveal())
	if !ok {
		return nil
	}
	name := "common"
	if m.Default {
		name = policy.ListDefaults
	}
	return []policy.Listed{{List: name, Form: form(m.Form), Rank: m.Rank}}
}

// form names how a password was found on the list by the strongest of the
// changes that were undone.
func form(f wordlists.Form) string {
	switch {
	case f&wordlists.FormRepeated != 0:
		return "repeated"
	case f&wordlists.FormReversed != 0:
		return "reversed"
	case f&wordlists.FormAffix != 0:
		return "suffix"
	case f&wordlists.FormLeet != 0:
		return "l33t"
	case f&wordlists.FormWidth != 0:
		return "width"
	case f&wordlists.FormCase != 0:
		return "case"
	}
	return "exact"
}

// Estimate tells how many guesses a password withstands whose owner is known
// as far as the context goes. A nil model means the built-in tables.
func Estimate(m *strength.Model, text, previous password.Text, c policy.Context) *policy.Estimate {
	known := strength.Context{Login: c.Login, Emails: c.Emails, Names: c.Names, Phones: c.Phones, Words: c.Words,
		BirthDate: c.BirthDate, Previous: previous.Reveal()}
	var e strength.Estimate
	if m == nil {
		e = strength.Of(text.Reveal(), strength.NewHints(known))
	} else {
		e = m.Of(text.Reveal(), m.NewHints(known))
	}
	out := &policy.Estimate{GuessesLog10: e.GuessesLog10, Score: e.Score, Segments: make([]policy.Segment, e.Len())}
	for i := range out.Segments {
		s := e.Segment(i)
		out.Segments[i] = policy.Segment{Kind: s.Kind.String(), Start: s.Start, End: s.End}
	}
	return out
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"math"
	"strconv"
)

// Kind is what was found about one record. The values match FindingKind in the
// contract.
type Kind uint8

// The kinds of findings.
const (
	Weak              Kind = iota + 1 // the password was guessed from the list of common ones
	Breached                          // a configured corpus knows the password
	ContextDerived                    // made of what is known about the person
	DefaultCredential                 // a product's default, or a test account
	Shared                            // another account has the same password
	LegacyHash                        // a scheme that is not fit to keep
	BelowFloor                        // a fit scheme at too low a cost
	NoPepper                          // no secret outside the store protects the hash
	Stale                             // the password is old
	Dormant                           // nobody logs in
	Malformed                         // the record could not be used
	NeverChanged                      // an initial password was never changed
	kinds             = iota + 1
)

var kindNames = [kinds]string{
	"UNSPECIFIED", "WEAK", "BREACHED", "CONTEXT_DERIVED", "DEFAULT_CREDENTIAL", "SHARED", "LEGACY_HASH", "BELOW_FLOOR",
	"NO_PEPPER", "STALE", "DORMANT", "MALFORMED", "NEVER_CHANGED",
}

// Kinds lists all kinds in the order of the contract.
func Kinds() []Kind {
	var out []Kind
	for k := Weak; k < kinds; k++ {
		out = append(out, k)
	}
	return out
}

// String gives the name in UPPER_SNAKE, as the contract spells it.
func (k Kind) String() string { return kindNames[min(int(k), kinds-1)] }

// Severity says how much a finding matters. The values match the contract.
type Severity uint8

// The severities.
const (
	Info Severity = iota + 1
	Low
	Medium
	High
	Critical
)

// String gives the name in UPPER_SNAKE.
func (s Severity) String() string {
	return [...]string{"UNSPECIFIED", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"}[min(s, Critical)]
}

// Band is the power of ten within which a guesser comes to a password: 3 means
// among the first thousand guesses, 0 that it is not known.
type Band uint8

// String spells a band as the contract does, "1e3", and "" for none.
func (b Band) String() string {
	if b == 0 {
		return ""
	}
	return "1e" + strconv.Itoa(int(b))
}

// bandOf gives the band of a rank, counted from 1.
func bandOf(rank float64) Band {
	if rank <= 10 {
		return 1
	}
	return Band(min(math.Ceil(math.Log10(rank)-1e-9), 99))
}

// Finding is one thing found about one record. It never holds a password, nor
// anything that a password could be told from.
type Finding struct {
	Row      int    // place of the record, from 0
	ID       string // of the record
	Kind     Kind
	Severity Severity
	Band     Band
	// Class is what the finding rests on: the source of a guess, the scheme and
	// cost of a hash, how often a corpus has seen the password, or why a record
	// was not taken.
	Class string
	// Accounts is how many share the password, with Shared.
	Accounts int

	// tag tells equal passwords apart until the audit ends, see tagOf; 0 none.
	tag uint64
}

// guessedSeverity is how much a guessed password matters.
func guessedSeverity(b Band) Severity {
	switch {
	case b == 0:
		return High
	case b <= 2:
		return Critical
	case b <= 4:
		return High
	}
	return Medium
}

// weigh raises what concerns a privileged account, and lowers what concerns one
// that is disabled.
func (s Severity) weigh(f Flags) Severity {
	switch {
	case f&FlagDisabled != 0:
		return max(s-1, Info)
	case f&FlagPrivileged != 0:
		return min(s+1, Critical)
	}
	return s
}

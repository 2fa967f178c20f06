// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"strconv"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
)

// Use tells whether the password is the only factor of a login. The zero
// value is the stricter one.
type Use uint8

// The uses of SP 800-63B-4 §3.1.1.2.
const (
	SingleFactor Use = iota
	MultiFactor
)

// Purpose tells on which occasion a password is judged.
type Purpose uint8

// The occasions. At Login the password is already in use: rules about
// changing (REUSED, TOO_YOUNG, SIMILAR_TO_PREVIOUS) are silent, and only
// there can it be EXPIRED.
const (
	Signup Purpose = iota
	Change
	Reset
	Login
)

// Context is what the caller knows about the person, in plain text. It is
// used while judging and never kept. MaxContextWords and MaxWordRunes bound
// how much of it is looked at.
type Context struct {
	Login     string
	Emails    []string
	Names     []string
	Phones    []string
	Words     []string
	BirthDate string // YYYY-MM-DD; anything else is ignored
}

// ListDefaults names the list of passwords that products are delivered with.
const ListDefaults = "default-credentials"

// Listed is a hit in an embedded or configured blocklist.
type Listed struct {
	List string // "common", ListDefaults, …
	Form string // how the listed value was reached, as Forms names it
	Rank int    // place in the list from 1; 0 if the list has no order
}

// forms are the names Forms gives. All of them compare the whole password
// (SP 800-63B-4 §3.1.1.2).
var forms = []string{"exact", "case", "width", "l33t", "reversed", "suffix", "repeated"}

// BreachStatus tells whether the breach corpora could be asked.
type BreachStatus uint8

// The states of a breach lookup, named as in the contract.
const (
	Skipped   BreachStatus = iota // no corpus is configured
	Performed                     // every configured corpus answered
	Degraded                      // a configured corpus failed to answer
)

// Breach is what the breach corpora say.
type Breach struct {
	Status        BreachStatus
	Found         bool
	Count         uint64
	CorpusVersion string
	Similar       bool // a close variant is in the corpus, the password itself is not
}

// Segment is a stretch of the password, in code points from Start up to but
// not including End.
type Segment struct {
	Kind  string
	Start int
	End   int
}

// Estimate is the guess estimate.
type Estimate struct {
	GuessesLog10 float64
	Score        int // 0–4
	Segments     []Segment
}

// Evidence is everything Judge needs to know beyond the password itself.
// Needs tells which parts a policy looks at; the others may stay zero.
type Evidence struct {
	Listed     []Listed
	Breach     Breach
	Estimate   *Estimate // nil: not estimated, and the rule on guesses is silent
	Dictionary *Dictionary
	HistoryHit bool          // equals one of the last Needs.History passwords
	Previous   password.Text // zero: not known
	// LastChanged is when the password in use was set; zero: never or unknown,
	// and the rules on age are silent.
	LastChanged time.Time
	Now         time.Time
}

// Violation is one broken rule. Neither Params nor Segments hold any part of
// the password.
type Violation struct {
	Rule     string
	Clauses  []string
	Params   map[string]string
	Segments []Segment
}

// Advice is one hint on what to do.
type Advice struct {
	ID     string
	Params map[string]string
}

// Verdict is what a policy says about a password.
type Verdict struct {
	// Accept is false exactly if Violations is not empty.
	Accept     bool
	Violations []Violation
	// Shadow holds what would have been a violation were its rule, or the
	// whole policy, not in shadow mode.
	Shadow []Violation
	// Advice is never empty if Accept is false.
	Advice  []Advice
	Policy  string
	Version string
	// ContextIgnored counts the context words past MaxContextWords, which were
	// not looked at.
	ContextIgnored int
}

// Needs tells which evidence a policy looks at, so that no more is fetched.
type Needs struct {
	Blocklist  bool
	Breach     bool
	Similar    bool // Breach.Similar
	Estimate   bool
	Dictionary bool
	Context    bool
	Previous   bool
	Age        bool
	History    int // number of former passwords to compare with, the present one included
}

// With gives what either of two policies looks at.
func (n Needs) With(o Needs) Needs {
	return Needs{
		Blocklist: n.Blocklist || o.Blocklist, Breach: n.Breach || o.Breach, Similar: n.Similar || o.Similar,
		Estimate: n.Estimate || o.Estimate, Dictionary: n.Dictionary || o.Dictionary, Context: n.Context || o.Context,
		Previous: n.Previous || o.Previous, Age: n.Age || o.Age, History: max(n.History, o.History),
	}
}

func params(kv ...any) map[string]string {
	m := make(map[string]string, len(kv)/2)
	for i := 0; i < len(kv); i += 2 {
		switch v := kv[i+1].(type) {
		case string:
			m[kv[i].(string)] = v
		case int:
			m[kv[i].(string)] = strconv.Itoa(v)
		case uint64:
			m[kv[i].(string)] = strconv.FormatUint(v, 10)
		default:
			panic("policy: a parameter is neither text nor a whole number")
		}
	}
	return m
}

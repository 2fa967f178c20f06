// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-project/watchword/server/internal/password"
)

// document is a policy as written in YAML. Every key is listed in it; the
// comments are the manual of the format.
type document struct {
	// Name may repeat the name under which the policy is stored.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Version is a number of the author's, 0 to 1e9. A digest of the content
	// is added to it, so different rules have different versions even if the
	// number stays.
	Version int `yaml:"version" json:"version"`
	// Extends names the policy whose rules hold where this one says nothing.
	Extends string `yaml:"extends,omitempty" json:"extends,omitempty"`
	// Title is shown to people.
	Title Title `yaml:"title,omitempty" json:"title"`
	// Mode is "enforce" (the default) or "shadow": everything is judged and
	// reported, nothing is refused.
	Mode string `yaml:"mode,omitempty" json:"mode,omitempty"`
	// Locked names rules that a policy extending this one may not touch.
	Locked []string `yaml:"locked,omitempty" json:"locked,omitempty"`
	// Rules holds one section for each rule. A missing section is off.
	Rules rules `yaml:"rules" json:"rules"`
}

// Title is a name in the languages of the messages.
type Title struct {
	EN string `yaml:"en,omitempty" json:"en,omitempty"`
	ZH string `yaml:"zh-CN,omitempty" json:"zh-CN,omitempty"`
}

// rules are the sections of a policy, in the order in which they are judged.
type rules struct {
	Length      lengthRule      `yaml:"length,omitempty"`
	Size        sizeRule        `yaml:"size,omitempty"`
	Blocklist   blocklistRule   `yaml:"blocklist,omitempty"`
	Context     contextRule     `yaml:"context,omitempty"`
	Dictionary  dictionaryRule  `yaml:"dictionary,omitempty"`
	Breach      breachRule      `yaml:"breach,omitempty"`
	Guesses     guessesRule     `yaml:"guesses,omitempty"`
	Composition compositionRule `yaml:"composition,omitempty"`
	Contains    containsRule    `yaml:"contains,omitempty"`
	Fuzzy       fuzzyRule       `yaml:"fuzzy,omitempty"`
	Repeat      repeatRule      `yaml:"repeat,omitempty"`
	Sequence    sequenceRule    `yaml:"sequence,omitempty"`
	Patterns    patternsRule    `yaml:"patterns,omitempty"`
	History     historyRule     `yaml:"history,omitempty"`
	Similarity  similarityRule  `yaml:"similarity,omitempty"`
	MinAge      minAgeRule      `yaml:"min_age,omitempty"`
	MaxAge      maxAgeRule      `yaml:"max_age,omitempty"`
}

// The modes of a rule.
const (
	modeEnforce = "enforce" // a hit is a violation; the default of a section that is present
	modeShadow  = "shadow"  // a hit is only recorded
	modeAdvise  = "advise"  // a hit gives advice
	modeOff     = "off"     // nothing is looked at
)

// base is what every section has.
type base struct {
	// Mode is enforce, shadow, advise or off.
	Mode string `yaml:"mode,omitempty"`
	// Clauses are the clauses that ask for the rule. Those of a parent policy
	// are not inherited by a section that is changed: they might not ask for
	// what it then says.
	Clauses []string `yaml:"clauses,omitempty"`
	// Uses limits the rule to "single" or "multi" factor use.
	Uses []string `yaml:"uses,omitempty"`
}

// IsZero tells the YAML encoder to leave out a section that says nothing. A
// section that says anything has a mode once it is settled.
func (b base) IsZero() bool { return b.Mode == "" }

// lengthRule sets the least length in Unicode code points. LENGTH_MIN
type lengthRule struct {
	base `yaml:",inline"`
	// Min holds for a password that is the only factor, MinMFA (default: Min)
	// for one used with another factor. 1 to 256.
	Min    int `yaml:"min,omitempty"`
	MinMFA int `yaml:"min_mfa,omitempty"`
}

// sizeRule sets the most bytes after normalisation. LENGTH_MAX
type sizeRule struct {
	base `yaml:",inline"`
	// MaxBytes is between 64 and 4,096.
	MaxBytes int `yaml:"max_bytes,omitempty"`
}

// blocklistRule refuses listed values, compared as a whole. BLOCKLISTED
type blocklistRule struct {
	base `yaml:",inline"`
	// Forms are the ways of being listed that count; empty means all.
	Forms []string `yaml:"forms,omitempty"`
	// Lists are the lists that count; empty means all.
	Lists []string `yaml:"lists,omitempty"`
	// MaxRank limits the rule to that many first entries of ordered lists; 0
	// means all.
	MaxRank int `yaml:"max_rank,omitempty"`
}

// contextRule refuses whole passwords made of context words. CONTEXT_DERIVED
type contextRule struct {
	base `yaml:",inline"`
}

// dictionaryRule refuses whole passwords made of words of the tenant
// dictionary. DICTIONARY
type dictionaryRule struct {
	base `yaml:",inline"`
}

// breachRule refuses passwords found in breaches. BREACHED, BREACH_UNAVAILABLE
type breachRule struct {
	base `yaml:",inline"`
	// Threshold is the count from which a password is refused, 1 or more.
	Threshold uint64 `yaml:"threshold,omitempty"`
	// Similar also refuses close variants of breached passwords.
	Similar bool `yaml:"similar,omitempty"`
	// Required treats a server without any corpus like one whose corpus
	// failed.
	Required bool `yaml:"required,omitempty"`
	// Unavailable says what happens when a corpus cannot be asked: "reject",
	// or "embedded" to rely on the embedded blocklist.
	Unavailable failMode `yaml:"unavailable,omitempty"`
}

type failMode struct {
	Signup string `yaml:"signup,omitempty"`
	Change string `yaml:"change,omitempty"`
	Reset  string `yaml:"reset,omitempty"`
	Login  string `yaml:"login,omitempty"`
}

const (
	failReject   = "reject"
	failEmbedded = "embedded"
)

func (f failMode) of(p Purpose) string {
	switch p {
	case Change:
		return f.Change
	case Reset:
		return f.Reset
	case Login:
		return f.Login
	}
	return f.Signup
}

// guessesRule asks for an estimated number of guesses. TOO_GUESSABLE
type guessesRule struct {
	base `yaml:",inline"`
	// MinLog10 is the power of ten, MinLog10MFA (default: MinLog10) the same
	// for a password used with another factor. 0 to 40.
	MinLog10    float64 `yaml:"min_log10,omitempty"`
	MinLog10MFA float64 `yaml:"min_log10_mfa,omitempty"`
}

// compositionRule asks for kinds of characters. COMPOSITION
type compositionRule struct {
	base `yaml:",inline"`
	// The counts are numbers of code points, 0 to 32. Letters are of any case
	// and script; MinNonLetters counts digits and symbols together.
	MinLower      int `yaml:"min_lower,omitempty"`
	MinUpper      int `yaml:"min_upper,omitempty"`
	MinDigits     int `yaml:"min_digits,omitempty"`
	MinSymbols    int `yaml:"min_symbols,omitempty"`
	MinLetters    int `yaml:"min_letters,omitempty"`
	MinNonLetters int `yaml:"min_non_letters,omitempty"`
	// MinClasses is how many of lower, upper, digit, symbol and caseless
	// letter (hanzi) must occur, 0 to 4.
	MinClasses int `yaml:"min_classes,omitempty"`
}

// containsRule refuses words anywhere in the password. CONTAINS_WORD
type containsRule struct {
	base `yaml:",inline"`
	// MinLength is the shortest word looked for, 3 to 64 code points; default 4.
	MinLength int `yaml:"min_length,omitempty"`
	// Context and Dictionary add the context's and the tenant's words.
	Context    bool `yaml:"context,omitempty"`
	Dictionary bool `yaml:"dictionary,omitempty"`
	// Words are looked for besides.
	Words []string `yaml:"words,omitempty"`
}

// fuzzyRule scores the password in the way of Entra Password Protection: one
// point for each banned word, within edit distance one, and one for each
// other code point. FUZZY_SCORE
type fuzzyRule struct {
	base `yaml:",inline"`
	// Points is the score to reach, 1 to 64; Entra asks for 5.
	Points int `yaml:"points,omitempty"`
	// Words are banned besides the context and the tenant dictionary.
	Words []string `yaml:"words,omitempty"`
}

// repeatRule limits repetition. REPEATED
type repeatRule struct {
	base `yaml:",inline"`
	// Whole refuses a password that is one piece, shorter than the least
	// length, over and over.
	Whole bool `yaml:"whole,omitempty"`
	// MaxRun is the longest run of one character, 0 (off) or 2 to 64.
	MaxRun int `yaml:"max_run,omitempty"`
	// MinDistinct is the least number of different characters, 0 to 32.
	MinDistinct int `yaml:"min_distinct,omitempty"`
}

// sequenceRule limits sequences such as 12345, cba or qwerty. SEQUENCE
type sequenceRule struct {
	base `yaml:",inline"`
	// Whole refuses a password made of nothing but sequences and runs of at
	// least three characters.
	Whole bool `yaml:"whole,omitempty"`
	// Max is the longest sequence allowed anywhere, 0 (off) or 3 to 64.
	Max int `yaml:"max,omitempty"`
}

// patternsRule holds regular expressions. PATTERN
type patternsRule struct {
	base `yaml:",inline"`
	// List has at most eight entries.
	List []patternRule `yaml:"list,omitempty"`
}

// patternRule is one expression in RE2 syntax, at most 256 bytes and 500
// instructions. It sees the first 256 code points of the password, as if they
// were all, and the password as it is: neither folded nor unfolded.
type patternRule struct {
	// ID appears in the violation: a to z, 0 to 9 and "-", at most 32 bytes.
	ID string `yaml:"id"`
	// Forbid refuses what matches, Require what does not; one of the two.
	Forbid  string `yaml:"forbid,omitempty"`
	Require string `yaml:"require,omitempty"`
}

// historyRule refuses former passwords. REUSED
type historyRule struct {
	base `yaml:",inline"`
	// Depth counts former passwords, the present one included, 1 to 24.
	Depth int `yaml:"depth,omitempty"`
}

// similarityRule refuses a password close to the one before. SIMILAR_TO_PREVIOUS
type similarityRule struct {
	base `yaml:",inline"`
	// MinDistance is the least number of edits between the two, 1 to 16.
	// Whatever the distance, the same word with other digits and symbols
	// around it, and the old password reversed, are too close.
	MinDistance int `yaml:"min_distance,omitempty"`
}

// minAgeRule refuses a change too soon after the last. TOO_YOUNG
type minAgeRule struct {
	base `yaml:",inline"`
	// Hours is 1 to 8,760. A reset is never refused for it.
	Hours int `yaml:"hours,omitempty"`
}

// maxAgeRule lets passwords expire. EXPIRED
type maxAgeRule struct {
	base `yaml:",inline"`
	// Days is 1 to 3,650.
	Days int `yaml:"days,omitempty"`
}

// section is one rule as parse, lint and describe see it.
type section struct {
	name string
	*base
	set bool // says anything beyond its head
}

// sections lists every section of r in order. A name here is the YAML key.
func (r *rules) sections() []section {
	return []section{
		{"length", &r.Length.base, r.Length.Min != 0 || r.Length.MinMFA != 0},
		{"size", &r.Size.base, r.Size.MaxBytes != 0},
		{"blocklist", &r.Blocklist.base, r.Blocklist.Forms != nil || r.Blocklist.Lists != nil || r.Blocklist.MaxRank != 0},
		{"context", &r.Context.base, false},
		{"dictionary", &r.Dictionary.base, false},
		{"breach", &r.Breach.base, r.Breach.Threshold != 0 || r.Breach.Similar || r.Breach.Required || r.Breach.Unavailable != failMode{}},
		{"guesses", &r.Guesses.base, r.Guesses.MinLog10 != 0 || r.Guesses.MinLog10MFA != 0},
		{"composition", &r.Composition.base, r.Composition.asks()},
		{"contains", &r.Contains.base, r.Contains.MinLength != 0 || r.Contains.Context || r.Contains.Dictionary || r.Contains.Words != nil},
		{"fuzzy", &r.Fuzzy.base, r.Fuzzy.Points != 0 || r.Fuzzy.Words != nil},
		{"repeat", &r.Repeat.base, r.Repeat.Whole || r.Repeat.MaxRun != 0 || r.Repeat.MinDistinct != 0},
		{"sequence", &r.Sequence.base, r.Sequence.Whole || r.Sequence.Max != 0},
		{"patterns", &r.Patterns.base, r.Patterns.List != nil},
		{"history", &r.History.base, r.History.Depth != 0},
		{"similarity", &r.Similarity.base, r.Similarity.MinDistance != 0},
		{"min_age", &r.MinAge.base, r.MinAge.Hours != 0},
		{"max_age", &r.MaxAge.base, r.MaxAge.Days != 0},
	}
}

func (c compositionRule) asks() bool {
	return c.MinLower+c.MinUpper+c.MinDigits+c.MinSymbols+c.MinLetters+c.MinNonLetters+c.MinClasses > 0
}

// on tells whether a section is looked at for a use.
func (b *base) on(use Use) bool {
	if b.Mode == "" || b.Mode == modeOff {
		return false
	}
	return len(b.Uses) == 0 || slices.Contains(b.Uses, useName(use))
}

func useName(u Use) string {
	if u == MultiFactor {
		return "multi"
	}
	return "single"
}

// Bounds on what a policy may hold.
const (
	maxClauses     = 16
	maxClauseBytes = 128
	maxTitleBytes  = 256
	maxRuleWords   = 1000
	maxPatterns    = 8
	maxPattern     = 256
	maxProgram     = 500
	maxSubject     = 256
)

// settle fills in defaults and refuses what contradicts itself.
func (d *document) settle() error {
	if d.Version < 0 || d.Version > 1e9 {
		return errorAt("version", "must be between 0 and 1000000000")
	}
	if len(d.Title.EN) > maxTitleBytes || len(d.Title.ZH) > maxTitleBytes || !printable(d.Title.EN) || !printable(d.Title.ZH) {
		return errorAt("title", "must be printable and at most 256 bytes")
	}
	switch d.Mode {
	case "":
		d.Mode = modeEnforce
	case modeEnforce, modeShadow:
	default:
		return errorAt("mode", "must be enforce or shadow")
	}
	names := map[string]bool{}
	for _, s := range d.Rules.sections() {
		names[s.name] = true
		if s.Mode == "" && (s.set || s.Clauses != nil || s.Uses != nil) {
			s.Mode = modeEnforce
		}
		switch s.Mode {
		case "", modeEnforce, modeShadow, modeAdvise, modeOff:
		default:
			return errorAt("rules."+s.name+".mode", "must be enforce, shadow, advise or off")
		}
		if len(s.Clauses) > maxClauses {
			return errorAt("rules."+s.name+".clauses", "has more than 16 entries")
		}
		for _, c := range s.Clauses {
			if c == "" || len(c) > maxClauseBytes || !printable(c) {
				return errorAt("rules."+s.name+".clauses", "has an entry that is empty, unprintable or longer than 128 bytes")
			}
		}
		for _, u := range s.Uses {
			if u != "single" && u != "multi" {
				return errorAt("rules."+s.name+".uses", "must list single or multi")
			}
		}
	}
	for _, l := range d.Locked {
		if !names[l] {
			return errorAt("locked", "names something that is not a rule")
		}
	}
	return d.Rules.settle()
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func within(field string, v, low, high int) error {
	if v < low || v > high {
		return errorAt("rules."+field, fmt.Sprintf("must be between %d and %d", low, high))
	}
	return nil
}

// active tells whether a section is more than a note that it is off.
func (b *base) active() bool { return b.Mode != "" && b.Mode != modeOff }

func (r *rules) settle() error {
	var faults []error
	check := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	if r.Length.active() {
		if r.Length.MinMFA == 0 {
			r.Length.MinMFA = r.Length.Min
		}
		check(within("length.min", r.Length.Min, 1, 256))
		check(within("length.min_mfa", r.Length.MinMFA, 1, 256))
		if r.Length.MinMFA > r.Length.Min {
			check(errorAt("rules.length.min_mfa", "must not be above min: the single factor needs the longer password"))
		}
	}
	if r.Size.active() {
		check(within("size.max_bytes", r.Size.MaxBytes, 64, password.MaxBytes))
		if r.Length.active() && r.Size.MaxBytes < r.Length.Min {
			check(errorAt("rules.size.max_bytes", "is below length.min: no password could be accepted"))
		}
	}
	if r.Blocklist.active() {
		check(within("blocklist.max_rank", r.Blocklist.MaxRank, 0, math.MaxInt32))
		for _, f := range r.Blocklist.Forms {
			if !slices.Contains(forms, f) {
				check(errorAt("rules.blocklist.forms", "must be among "+strings.Join(forms, ", ")))
			}
		}
		for _, l := range r.Blocklist.Lists {
			if ValidName(l) != nil {
				check(errorAt("rules.blocklist.lists", "has an entry that is not a name"))
			}
		}
	}
	if b := &r.Breach; b.active() {
		if b.Threshold == 0 {
			b.Threshold = 1
		}
		for _, m := range []struct {
			to       *string
			fallback string
		}{
			{&b.Unavailable.Signup, failReject}, {&b.Unavailable.Change, failReject},
			{&b.Unavailable.Reset, failReject}, {&b.Unavailable.Login, failEmbedded},
		} {
			switch *m.to {
			case "":
				*m.to = m.fallback
			case failReject, failEmbedded:
			default:
				check(errorAt("rules.breach.unavailable", "must be reject or embedded"))
			}
		}
	}
	if g := &r.Guesses; g.active() {
		if g.MinLog10MFA == 0 {
			g.MinLog10MFA = g.MinLog10
		}
		if !(g.MinLog10 > 0 && g.MinLog10 <= 40) || !(g.MinLog10MFA > 0 && g.MinLog10MFA <= g.MinLog10) {
			check(errorAt("rules.guesses", "must have min_log10 in (0, 40] and min_log10_mfa not above it"))
		}
	}
	if c := r.Composition; c.active() {
		for name, v := range map[string]int{"min_lower": c.MinLower, "min_upper": c.MinUpper, "min_digits": c.MinDigits,
			"min_symbols": c.MinSymbols, "min_letters": c.MinLetters, "min_non_letters": c.MinNonLetters} {
			check(within("composition."+name, v, 0, 32))
		}
		check(within("composition.min_classes", c.MinClasses, 0, 4))
		if !c.asks() {
			check(errorAt("rules.composition", "asks for nothing"))
		}
		need := max(c.MinLetters, c.MinLower+c.MinUpper) + max(c.MinNonLetters, c.MinDigits+c.MinSymbols)
		if r.Size.active() && need > r.Size.MaxBytes {
			check(errorAt("rules.composition", "asks for more than size.max_bytes: no password could be accepted"))
		}
	}
	if c := &r.Contains; c.active() {
		if c.MinLength == 0 {
			c.MinLength = 4
		}
		check(within("contains.min_length", c.MinLength, 3, MaxWordRunes))
		check(wordsWithin("contains", c.Words))
		if !c.Context && !c.Dictionary && len(c.Words) == 0 {
			check(errorAt("rules.contains", "has no words to look for"))
		}
	}
	if f := r.Fuzzy; f.active() {
		check(within("fuzzy.points", f.Points, 1, 64))
		check(wordsWithin("fuzzy", f.Words))
	}
	if p := r.Repeat; p.active() {
		if p.MaxRun != 0 {
			check(within("repeat.max_run", p.MaxRun, 2, 64))
		}
		check(within("repeat.min_distinct", p.MinDistinct, 0, maxDistinct))
		if !p.Whole && p.MaxRun == 0 && p.MinDistinct == 0 {
			check(errorAt("rules.repeat", "limits nothing"))
		}
	}
	if s := r.Sequence; s.active() {
		if s.Max != 0 {
			check(within("sequence.max", s.Max, 3, 64))
		}
		if !s.Whole && s.Max == 0 {
			check(errorAt("rules.sequence", "limits nothing"))
		}
	}
	if p := r.Patterns; p.active() {
		check(within("patterns.list", len(p.List), 1, maxPatterns))
		for _, e := range p.List {
			check(e.settle())
		}
	}
	if r.History.active() {
		check(within("history.depth", r.History.Depth, 1, 24))
	}
	if r.Similarity.active() {
		check(within("similarity.min_distance", r.Similarity.MinDistance, 1, 16))
	}
	if r.MinAge.active() {
		check(within("min_age.hours", r.MinAge.Hours, 1, 8760))
	}
	if r.MaxAge.active() {
		check(within("max_age.days", r.MaxAge.Days, 1, 3650))
	}
	if r.MinAge.active() && r.MaxAge.active() && r.MinAge.Hours >= 24*r.MaxAge.Days {
		check(errorAt("rules.min_age.hours", "is not below max_age: an expired password could not be changed"))
	}
	if len(faults) > 0 {
		return faults[0]
	}
	return nil
}

func wordsWithin(section string, words []string) error {
	if len(words) > maxRuleWords {
		return errorAt("rules."+section+".words", "has more than 1000 entries")
	}
	for _, w := range words {
		if n := utf8.RuneCountInString(w); n < 2 || n > MaxWordRunes || !printable(w) {
			return errorAt("rules."+section+".words", "has an entry that is unprintable or not of 2 to 64 characters")
		}
	}
	return nil
}

func (e patternRule) settle() error {
	if !patternID.MatchString(e.ID) {
		return errorAt("rules.patterns.list", "has an id that is not of 1 to 32 of a-z, 0-9 and -")
	}
	if (e.Forbid == "") == (e.Require == "") {
		return errorAt("rules.patterns.list", "has an entry with not exactly one of forbid and require")
	}
	_, err := compilePattern(e.Forbid + e.Require)
	return err
}

var patternID = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// compilePattern compiles an expression within the bounds. RE2 matching takes
// time proportional to program × subject, and both are bounded.
func compilePattern(expr string) (*regexp.Regexp, error) {
	fault := func(why string) error { return errorAt("rules.patterns.list", "has an expression that "+why) }
	if len(expr) > maxPattern {
		return nil, fault("is longer than 256 bytes")
	}
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, fault("does not parse as RE2")
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(prog.Inst) > maxProgram {
		return nil, fault("compiles to more than 500 instructions")
	}
	return regexp.Compile(expr)
}

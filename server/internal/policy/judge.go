// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package policy decides whether a password may be used: rules and evidence
// in, a Verdict out that names each broken rule, the clause that asks for it
// and what to do about it. Nothing here waits, reads or keeps anything, and
// the time is an argument.
//
// A policy is a YAML document: testdata/example.yaml shows every key, Parse
// reads one, Builtin holds those that follow a published standard. The order of
// a check is Needs, then whatever evidence it asks for (Forms says what to look
// up in lists of common passwords), then Judge, then Message and AdviceText.
package policy

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
)

// The rules, as they appear in Violation.Rule. They never change their
// meaning.
const (
	LengthMin         = "LENGTH_MIN"
	LengthMax         = "LENGTH_MAX"
	Blocklisted       = "BLOCKLISTED"
	ContextDerived    = "CONTEXT_DERIVED"
	InDictionary      = "DICTIONARY"
	Breached          = "BREACHED"
	BreachUnavailable = "BREACH_UNAVAILABLE"
	TooGuessable      = "TOO_GUESSABLE"
	Composition       = "COMPOSITION"
	ContainsWord      = "CONTAINS_WORD"
	FuzzyScore        = "FUZZY_SCORE"
	Repeated          = "REPEATED"
	Sequence          = "SEQUENCE"
	Pattern           = "PATTERN"
	Reused            = "REUSED"
	SimilarToPrevious = "SIMILAR_TO_PREVIOUS"
	TooYoung          = "TOO_YOUNG"
	Expired           = "EXPIRED"
)

// Needs tells which evidence p looks at.
func (p *Policy) Needs() Needs {
	r := &p.doc.Rules
	n := Needs{
		Blocklist:  r.Blocklist.active(),
		Breach:     r.Breach.active(),
		Similar:    r.Breach.active() && r.Breach.Similar,
		Estimate:   r.Guesses.active(),
		Dictionary: r.Dictionary.active() || r.Contains.active() && r.Contains.Dictionary || r.Fuzzy.active(),
		Context:    r.Context.active() || r.Contains.active() && r.Contains.Context || r.Fuzzy.active(),
		Previous:   r.Similarity.active(),
		Age:        r.MinAge.active() || r.MaxAge.active(),
	}
	if r.History.active() {
		n.History = r.History.Depth
	}
	return n
}

// Alike tells whether p judges a new password alike on two occasions, but for
// the age of the one before: whether it fails alike when no corpus answers.
func (p *Policy) Alike(a, b Purpose) bool {
	u := &p.doc.Rules.Breach.Unavailable
	return u.of(a) == u.of(b)
}

// Judge applies every rule of p to a password and reports all that it
// breaks, not only the first. Its time is bounded whatever the input: repeats,
// sequences, words and composition see the first 1,024 code points, regular
// expressions 256, derivations passwords of up to 128, and MaxContextWords
// entries of the context are looked at. Length and size count the whole.
func (p *Policy) Judge(text password.Text, use Use, purpose Purpose, subject Context, ev Evidence) Verdict {
	j := judgement{
		p: p, r: &p.doc.Rules, use: use, purpose: purpose, ev: ev,
		v:       newView(text.Reveal()),
		verdict: Verdict{Policy: p.name, Version: p.version},
	}
	defer j.v.wipe()
	if p.Needs().Context {
		j.context, j.verdict.ContextIgnored = subject.words()
	}
	if ev.Dictionary != nil {
		j.dictionary = ev.Dictionary.words
	}
	j.length()
	j.blocklist()
	j.derived()
	j.breach()
	j.guesses()
	j.composition()
	j.contains()
	j.fuzzy()
	j.repeat()
	j.sequence()
	j.patterns()
	j.change()
	j.age()
	j.verdict.Accept = len(j.verdict.Violations) == 0
	if !j.verdict.Accept && len(j.verdict.Advice) == 0 {
		j.advise("CHOOSE_ANOTHER")
	}
	return j.verdict
}

// judgement is one Judge in progress.
type judgement struct {
	p          *Policy
	r          *rules
	use        Use
	purpose    Purpose
	ev         Evidence
	v          view
	context    matcher
	dictionary matcher
	verdict    Verdict
}

// hit records that a rule is broken, in the way its section's mode asks.
func (j *judgement) hit(b *base, name string, v Violation, advice string, kv ...any) {
	v.Clauses = slices.Clone(b.Clauses)
	if len(v.Clauses) == 0 {
		v.Clauses = []string{"policy:" + j.p.name + "/" + name}
	}
	if v.Params == nil {
		v.Params = map[string]string{}
	}
	switch {
	case b.Mode == modeAdvise:
		j.advise(advice, kv...)
	case b.Mode == modeShadow || j.p.doc.Mode == modeShadow:
		j.verdict.Shadow = append(j.verdict.Shadow, v)
	default:
		j.verdict.Violations = append(j.verdict.Violations, v)
		j.advise(advice, kv...)
	}
}

func (j *judgement) advise(id string, kv ...any) {
	for _, a := range j.verdict.Advice {
		if a.ID == id {
			return
		}
	}
	j.verdict.Advice = append(j.verdict.Advice, Advice{ID: id, Params: params(kv...)})
}

func (j *judgement) length() {
	if r := &j.r.Length; r.on(j.use) {
		if least := r.least(j.use); j.v.length < least {
			j.hit(&r.base, "length", Violation{Rule: LengthMin, Params: params("min", least, "length", j.v.length)},
				"ADD_CHARACTERS", "more", least-j.v.length)
		}
	}
	if r := &j.r.Size; r.on(j.use) && j.v.bytes > r.MaxBytes {
		j.hit(&r.base, "size", Violation{Rule: LengthMax, Params: params("max", r.MaxBytes)}, "SHORTEN", "max", r.MaxBytes)
	}
}

func (r lengthRule) least(use Use) int {
	if use == MultiFactor {
		return r.MinMFA
	}
	return r.Min
}

func (j *judgement) blocklist() {
	r := &j.r.Blocklist
	if !r.on(j.use) {
		return
	}
	for _, l := range j.ev.Listed {
		if len(r.Forms) > 0 && !slices.Contains(r.Forms, l.Form) ||
			len(r.Lists) > 0 && !slices.Contains(r.Lists, l.List) ||
			r.MaxRank > 0 && l.Rank > r.MaxRank {
			continue
		}
		kind := l.Form
		if !slices.Contains(forms, kind) {
			kind = "exact"
		}
		if l.List == ListDefaults {
			kind = "default"
		}
		j.hit(&r.base, "blocklist", Violation{
			Rule: Blocklisted, Params: params("list", l.List, "form", l.Form, "kind", kind), Segments: j.whole("listed"),
		}, "UNCOMMON")
		return
	}
}

func (j *judgement) whole(kind string) []Segment {
	return []Segment{{Kind: kind, Start: 0, End: j.v.length}}
}

// derived finds passwords made of what is known about the person or the
// organisation. Both kinds of words may be mixed in one password; the
// violation is the context's if any of its words is in it.
func (j *judgement) derived() {
	known := make([]matcher, 0, 2)
	if j.r.Context.on(j.use) {
		known = append(known, j.context)
	}
	if j.r.Dictionary.on(j.use) {
		known = append(known, j.dictionary)
	}
	segments := derive(j.v, known...)
	personal := slices.IndexFunc(segments, func(s Segment) bool {
		return s.Kind != "affix" && s.Kind != "decoration" && s.Kind != kindDictionary
	})
	switch {
	case segments == nil:
	case personal >= 0:
		j.hit(&j.r.Context.base, "context", Violation{
			Rule: ContextDerived, Params: params("kind", segments[personal].Kind), Segments: segments,
		}, "NOT_PERSONAL")
	default:
		j.hit(&j.r.Dictionary.base, "dictionary", Violation{Rule: InDictionary, Segments: segments}, "NOT_ORGANISATION")
	}
}

func (j *judgement) breach() {
	r := &j.r.Breach
	if !r.on(j.use) {
		return
	}
	b := j.ev.Breach
	if b.Found && b.Count >= r.Threshold {
		j.hit(&r.base, "breach", Violation{Rule: Breached, Params: params("count", b.Count, "kind", "found"), Segments: j.whole("breached")},
			"BREACHED_ANOTHER")
		return
	}
	if r.Similar && b.Similar {
		j.hit(&r.base, "breach", Violation{Rule: Breached, Params: params("kind", "similar"), Segments: j.whole("breached")},
			"BREACHED_ANOTHER")
		return
	}
	missing := b.Status == Degraded || b.Status == Skipped && r.Required
	if missing && r.Unavailable.of(j.purpose) == failReject {
		j.hit(&r.base, "breach", Violation{Rule: BreachUnavailable}, "TRY_AGAIN")
	}
}

func (j *judgement) guesses() {
	r := &j.r.Guesses
	if !r.on(j.use) || j.ev.Estimate == nil {
		return
	}
	least := r.MinLog10
	if j.use == MultiFactor {
		least = r.MinLog10MFA
	}
	e := j.ev.Estimate
	if e.GuessesLog10 >= least {
		return
	}
	j.hit(&r.base, "guesses", Violation{
		Rule:   TooGuessable,
		Params: params("log10", decimal(e.GuessesLog10), "min", decimal(least)), Segments: slices.Clone(e.Segments),
	}, "MORE_WORDS")
}

// decimal writes a power of ten with at most one digit after the point,
// rounded down, so that a value below a limit never reads as equal to it.
func decimal(f float64) string {
	return strconv.FormatFloat(math.Floor(f*10)/10, 'f', -1, 64)
}

func (j *judgement) composition() {
	r := &j.r.Composition
	if !r.on(j.use) {
		return
	}
	var n [classes]int
	for _, c := range j.v.runes {
		n[classOf(c)]++
	}
	kinds := 0
	for _, c := range n {
		if c > 0 {
			kinds++
		}
	}
	for _, c := range []struct {
		kind      string
		have, min int
	}{
		{"lower", n[lower], r.MinLower},
		{"upper", n[upper], r.MinUpper},
		{"digits", n[digit], r.MinDigits},
		{"symbols", n[symbol], r.MinSymbols},
		{"letters", n[lower] + n[upper] + n[caseless], r.MinLetters},
		{"non_letters", n[digit] + n[symbol], r.MinNonLetters},
		{"classes", kinds, r.MinClasses},
	} {
		if c.have < c.min {
			j.hit(&r.base, "composition", Violation{Rule: Composition, Params: params("kind", c.kind, "min", c.min, "have", c.have)},
				"ADD_KINDS")
		}
	}
}

func (j *judgement) contains() {
	r := &j.r.Contains
	if !r.on(j.use) {
		return
	}
	known := []matcher{j.p.contains}
	if r.Context {
		known = append(known, j.context)
	}
	if r.Dictionary {
		known = append(known, j.dictionary)
	}
	if s := contains(j.v, r.MinLength, known...); len(s) > 0 {
		j.hit(&r.base, "contains", Violation{Rule: ContainsWord, Params: params("words", len(s)), Segments: s}, "LEAVE_OUT_WORDS")
	}
}

func (j *judgement) fuzzy() {
	r := &j.r.Fuzzy
	if !r.on(j.use) {
		return
	}
	points, segments := fuzzyScore(j.v, j.p.fuzzy, j.context, j.dictionary)
	if points < r.Points {
		j.hit(&r.base, "fuzzy", Violation{Rule: FuzzyScore, Params: params("points", points, "min", r.Points), Segments: segments}, "LEAVE_OUT_WORDS")
	}
}

func (j *judgement) repeat() {
	r := &j.r.Repeat
	if !r.on(j.use) {
		return
	}
	f := j.v.folded
	if r.Whole {
		// A piece over and over is no longer than the piece.
		if n := period(f); n > 0 && n < max(j.r.Length.least(j.use), 8) && 2*n <= len(f) {
			j.hit(&r.base, "repeat", Violation{Rule: Repeated, Params: params("kind", "whole", "length", n), Segments: j.whole("repeat")}, "NO_REPEATS")
			return
		}
	}
	if start, end := longestRun(f); r.MaxRun > 0 && end-start > r.MaxRun {
		j.hit(&r.base, "repeat", Violation{
			Rule: Repeated, Params: params("kind", "run", "max", r.MaxRun, "length", end-start),
			Segments: []Segment{j.v.segment("repeat", start, end)},
		}, "NO_REPEATS")
		return
	}
	if r.MinDistinct > 0 {
		if n := distinct(f, r.MinDistinct); n < r.MinDistinct {
			j.hit(&r.base, "repeat", Violation{Rule: Repeated, Params: params("kind", "distinct", "min", r.MinDistinct, "have", n)}, "NO_REPEATS")
		}
	}
}

func (j *judgement) sequence() {
	r := &j.r.Sequence
	if !r.on(j.use) {
		return
	}
	runs := sequences(j.v.folded)
	if r.Whole && covers(runs, len(j.v.folded)) {
		j.hit(&r.base, "sequence", Violation{Rule: Sequence, Params: params("kind", "whole"), Segments: j.stretches(runs)}, "NO_SEQUENCES")
		return
	}
	if r.Max > 0 {
		long := slices.DeleteFunc(runs, func(s stretch) bool { return s.repeat || s.end-s.start <= r.Max })
		if len(long) > 0 {
			j.hit(&r.base, "sequence", Violation{
				Rule: Sequence, Params: params("kind", "run", "max", r.Max, "length", long[0].end-long[0].start),
				Segments: j.stretches(long),
			}, "NO_SEQUENCES")
		}
	}
}

func (j *judgement) stretches(all []stretch) []Segment {
	out := make([]Segment, 0, len(all))
	for _, s := range all {
		kind := "sequence"
		if s.repeat {
			kind = "repeat"
		}
		out = append(out, j.v.segment(kind, s.start, s.end))
	}
	return out
}

func (j *judgement) patterns() {
	r := &j.r.Patterns
	if !r.on(j.use) {
		return
	}
	for i, e := range r.List {
		if matched := j.p.patterns[i].MatchReader(&runeReader{j.v.runes[:min(len(j.v.runes), maxSubject)]}); matched == (e.Forbid != "") {
			kind := "require"
			if e.Forbid != "" {
				kind = "forbid"
			}
			j.hit(&r.base, "patterns", Violation{Rule: Pattern, Params: params("id", e.ID, "kind", kind)}, "CHOOSE_ANOTHER")
		}
	}
}

// change holds the rules that compare with former passwords.
func (j *judgement) change() {
	if j.purpose == Login {
		return
	}
	if r := &j.r.History; r.on(j.use) && j.ev.HistoryHit {
		j.hit(&r.base, "history", Violation{Rule: Reused, Params: params("depth", r.Depth)}, "NEVER_USED")
	}
	if r := &j.r.Similarity; r.on(j.use) && !j.ev.Previous.IsZero() {
		before := newView(j.ev.Previous.Reveal())
		defer before.wipe()
		if kind := similar(j.v.folded, before.folded, r.MinDistance); kind != "" {
			j.hit(&r.base, "similarity", Violation{Rule: SimilarToPrevious, Params: params("kind", kind)}, "NEW_FROM_SCRATCH")
		}
	}
}

func (j *judgement) age() {
	if j.ev.LastChanged.IsZero() || j.ev.Now.IsZero() {
		return
	}
	age := j.ev.Now.Sub(j.ev.LastChanged)
	if r := &j.r.MinAge; r.on(j.use) && j.purpose == Change {
		if wait := time.Duration(r.Hours)*time.Hour - age; wait > 0 {
			hours := min(int((wait+time.Hour-1)/time.Hour), r.Hours)
			j.hit(&r.base, "min_age", Violation{Rule: TooYoung, Params: params("min", r.Hours, "wait", hours)}, "WAIT", "wait", hours)
		}
	}
	if r := &j.r.MaxAge; r.on(j.use) && j.purpose == Login && age > time.Duration(r.Days)*24*time.Hour {
		j.hit(&r.base, "max_age", Violation{Rule: Expired, Params: params("max", r.Days)}, "CHANGE_NOW")
	}
}

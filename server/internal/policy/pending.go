// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

// Pending names the rules that could still refuse a password which p has
// accepted without some of the evidence: missing tells what nobody could look
// at. Rules that only advise, or are in shadow mode, change no verdict and are
// not among them. A former password is known to the service at a change alone.
func (p *Policy) Pending(use Use, purpose Purpose, missing Needs) []string {
	r := &p.doc.Rules
	out := []string{}
	for _, s := range []struct {
		b       *base
		missing bool
		rule    string
	}{
		{&r.Blocklist.base, missing.Blocklist, Blocklisted},
		{&r.Dictionary.base, missing.Dictionary, InDictionary},
		{&r.Breach.base, missing.Breach, Breached},
		{&r.Breach.base, missing.Breach && r.Breach.Unavailable.of(purpose) == failReject, BreachUnavailable},
		{&r.Guesses.base, missing.Estimate, TooGuessable},
		{&r.Contains.base, missing.Dictionary && r.Contains.Dictionary, ContainsWord},
		{&r.Fuzzy.base, missing.Dictionary, FuzzyScore},
		{&r.History.base, missing.History > 0 && purpose != Login, Reused},
		{&r.Similarity.base, missing.Previous && purpose == Change, SimilarToPrevious},
		{&r.MinAge.base, missing.Age && purpose == Change, TooYoung},
		{&r.MaxAge.base, missing.Age && purpose == Login, Expired},
	} {
		if s.missing && p.refuses(s.b, use) {
			out = append(out, s.rule)
		}
	}
	return out
}

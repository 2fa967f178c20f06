// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import "math"

// rounds are the numbers of guesses at which all records are taken up again:
// the first guesses for everybody come before the hundredth for anybody, since
// each guess finds less than the one before.
var rounds = []int{0, 10, 100, 1_000, 10_000, 100_000}

// roundsOf gives the bounds of the rounds within so many guesses: round i goes
// from bounds[i] to bounds[i+1].
func roundsOf(guesses int) []int {
	var out []int
	for _, r := range rounds {
		if r < guesses {
			out = append(out, r)
		}
	}
	return append(out, guesses)
}

// share tells how many of a person's first n guesses are made of what is known
// of the person, of whom there are own candidates; the others come from the
// list. Each gets half as long as there are enough of both, so that neither
// starves under a small budget.
func share(n, own int) (person, list int) {
	person = min(own, (n+1)/2)
	return person, n - person
}

// mass is the part of all accounts whose password is among the first n of the
// list: the frequencies of the largest Chinese list, 0.0231·rank^-0.877,
// summed.
func mass(n float64) float64 {
	if n < 1 {
		return 0
	}
	const c, s = 0.0231, 0.877
	return c * (1 + (math.Pow(n, 1-s)-1)/(1-s))
}

// expected is how many passwords guesses from lo to hi find among so many open
// records, by the list alone.
func expected(open int, lo, hi int) float64 {
	return float64(open) * max(0, mass(float64(hi)/2)-mass(float64(lo)/2))
}

// yieldLeft corrects what the list promises for the rest of the budget by what
// it has kept so far.
func yieldLeft(ahead, behind float64, hits int) float64 {
	return ahead * (float64(hits) + 1) / (behind + 1)
}

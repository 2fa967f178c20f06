// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"io"
	"slices"
	"unicode/utf8"
)

// runeReader feeds code points to a regular expression without a copy of
// the password as a string.
type runeReader struct{ rest []rune }

func (r *runeReader) ReadRune() (rune, int, error) {
	if len(r.rest) == 0 {
		return 0, 0, io.EOF
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c, utf8.RuneLen(c), nil
}

// period is the length of the shortest piece of which s is a repetition, the
// last one possibly cut off; len(s) if there is none shorter. It is the
// failure function of Knuth, Morris and Pratt.
func period(s []rune) int {
	if len(s) == 0 {
		return 0
	}
	var room [64]int32 // spares all but the longest an allocation
	border := room[:]
	if len(s) > len(room) {
		border = make([]int32, len(s))
	}
	for i, k := 1, int32(0); i < len(s); i++ {
		for k > 0 && s[i] != s[k] {
			k = border[k-1]
		}
		if s[i] == s[k] {
			k++
		}
		border[i] = k
	}
	return len(s) - int(border[len(s)-1])
}

// maxDistinct is the greatest number of different characters that any rule asks
// for.
const maxDistinct = 32

// distinct counts the different characters of s, as far as most, which is at
// most maxDistinct.
func distinct(s []rune, most int) int {
	var seen [maxDistinct]rune
	defer clear(seen[:])
	n := 0
	for i := 0; i < len(s) && n < most; i++ {
		if !slices.Contains(seen[:n], s[i]) {
			seen[n] = s[i]
			n++
		}
	}
	return n
}

// longestRun finds the first longest run of one character.
func longestRun(s []rune) (start, end int) {
	for i := 0; i < len(s); {
		k := i + 1
		for k < len(s) && s[k] == s[i] {
			k++
		}
		if k-i > end-start {
			start, end = i, k
		}
		i = k
	}
	return start, end
}

// stretch is a run of one character, or a sequence, of folded code points.
type stretch struct {
	start, end int
	repeat     bool
}

// walks are the orders besides that of the code points in which neighbours
// count as a sequence: keyboard rows, columns and the digits with 0 after 9.
// They are ASCII, and no character is twice in one.
var walks = []string{"qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "1234567890-=", "!@#$%^&*()_+",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/"}

// sequences finds the maximal sequences and runs of at least three code
// points, from left to right, not overlapping.
func sequences(s []rune) []stretch {
	var out []stretch
	for i := 0; i+2 < len(s); {
		if !goesOn(s[i], s[i+1]) { // most pairs, which begin nothing
			i++
			continue
		}
		best := stretch{start: i, end: i + 1}
		k := i + 1
		for k < len(s) && s[k] == s[i] {
			k++
		}
		if k > best.end {
			best.end, best.repeat = k, true
		}
		for _, step := range []rune{1, -1} {
			k := i + 1
			for k < len(s) && s[k] == s[k-1]+step && classOf(s[k]) != symbol {
				k++
			}
			if k > best.end {
				best.end, best.repeat = k, false
			}
		}
		for w := range places {
			if k := follow(s, i, &places[w]); k > best.end {
				best.end, best.repeat = k, false
			}
		}
		if best.end-best.start >= 3 {
			out = append(out, best)
			i = best.end
		} else {
			i++
		}
	}
	return out
}

// places holds, for each walk, where in it each ASCII character stands, from
// 1; 0 means nowhere.
var places = func() (out [][128]int8) {
	for _, w := range walks {
		var at [128]int8
		for i := range len(w) {
			at[w[i]] = int8(i + 1)
		}
		out = append(out, at)
	}
	return out
}()

// goesOn tells whether a sequence or a run may go from a to b.
func goesOn(a, b rune) bool {
	return a-b <= 1 && b-a <= 1 || a < 128 && b < 128 && beside[a][b>>6]>>(b&63)&1 != 0
}

// beside holds, for each ASCII character, those that stand beside it in a walk.
var beside = func() (out [128][2]uint64) {
	for _, w := range walks {
		for i := range len(w) - 1 {
			a, b := w[i], w[i+1]
			out[a][b>>6] |= 1 << (b & 63)
			out[b][a>>6] |= 1 << (a & 63)
		}
	}
	return out
}()

// follow gives the end of the longest stretch of s from i that goes along a
// walk in either direction.
func follow(s []rune, i int, walk *[128]int8) int {
	at := func(k int) int8 {
		if k < len(s) && s[k] < 128 {
			return walk[s[k]]
		}
		return 0
	}
	longest := i + 1
	first := at(i)
	if first == 0 {
		return longest
	}
	for _, step := range []int8{1, -1} {
		k := i + 1
		for want := first + step; want > 0 && at(k) == want; want += step {
			k++
		}
		longest = max(longest, k)
	}
	return longest
}

// covers tells whether the stretches leave nothing of n code points out.
func covers(all []stretch, n int) bool {
	at := 0
	for _, s := range all {
		if s.start != at {
			return false
		}
		at = s.end
	}
	return n > 0 && at == n
}

// maxCompared bounds the quadratic comparison of two passwords. Two longer
// ones are compared on their first code points.
const maxCompared = 256

// similar tells in which way a password is close to the one before it:
// "same", "edited" (fewer than minimum edits apart), "stem" (the same word
// with other digits and symbols around it), "reversed", or "" for not close.
func similar(now, before []rune, minimum int) string {
	if slices.Equal(now, before) {
		return "same"
	}
	if backwards(now, before) {
		return "reversed"
	}
	a, b := stem(now), stem(before)
	if len(a) >= 4 && sameLetters(a, b) {
		return "stem"
	}
	if abs(len(now)-len(before)) < minimum && distance(clip(now), clip(before)) < minimum {
		return "edited"
	}
	return ""
}

func clip(s []rune) []rune { return s[:min(len(s), maxCompared)] }

func abs(n int) int { return max(n, -n) }

func backwards(a, b []rune) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[len(b)-1-i] {
			return false
		}
	}
	return true
}

// stem takes the digits and symbols from both ends.
func stem(s []rune) []rune {
	return trim(s, func(r rune) bool { c := classOf(r); return c == digit || c == symbol })
}

// sameLetters compares two texts, taking a l33t character for its letter.
func sameLetters(a, b []rune) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !slices.Contains([]rune(unleet(a[i])), b[i]) && !slices.Contains([]rune(unleet(b[i])), a[i]) {
			return false
		}
	}
	return true
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b []rune) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for k := range last {
		last[k] = k
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for k := 1; k <= len(b); k++ {
			cost := 1
			if a[i-1] == b[k-1] {
				cost = 0
			}
			row[k] = min(last[k]+1, row[k-1]+1, last[k-1]+cost)
			if i > 1 && k > 1 && a[i-1] == b[k-2] && a[i-2] == b[k-1] {
				row[k] = min(row[k], before[k-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// entra applies the four substitutions of Entra Password Protection to a
// folded code point.
func entra(r rune) rune {
	switch r {
	case '0':
		return 'o'
	case '1':
		return 'l'
	case '$':
		return 's'
	case '@':
		return 'a'
	}
	return r
}

// maxFuzzy is how many code points the fuzzy score looks at, and minFuzzy the
// shortest word it bans; Entra uses four for names.
const (
	maxFuzzy = 64
	minFuzzy = 4
)

// fuzzyScore is the number of banned words, found within edit distance one and
// not overlapping, plus the number of code points outside of them. Where
// words overlap, the reading with the lowest score counts.
func fuzzyScore(v view, known ...matcher) (int, []Segment) {
	s := v.folded[:min(len(v.folded), maxFuzzy)]
	rest := len(v.folded) - len(s)
	type cell struct{ score, from int }
	best := make([]cell, len(s)+1)
	for i := range best {
		best[i] = cell{score: 1 << 20}
	}
	best[0].score = 0
	for i := range s {
		if c := best[i].score + 1; c < best[i+1].score {
			best[i+1] = cell{c, i}
		}
		for _, m := range known {
			for _, t := range m {
				w := t.text
				if t.slight || len(w) < minFuzzy || i+1 >= len(s) {
					continue
				}
				// One edit leaves the first or the second character in its place, or
				// takes the first away.
				if a, b, w1 := entra(s[i]), entra(s[i+1]), entra(w[1]); a != entra(w[0]) && a != w1 && b != w1 {
					continue
				}
				for n := len(w) - 1; n <= len(w)+1 && i+n <= len(s); n++ {
					if c := best[i].score + 1; c < best[i+n].score && fuzzy(s[i:i+n], w) {
						best[i+n] = cell{c, i}
					}
				}
			}
		}
	}
	var segments []Segment
	for i := len(s); i > 0; i = best[i].from {
		if i-best[i].from > 1 {
			segments = append(segments, v.segment("banned", best[i].from, i))
		}
	}
	slices.Reverse(segments)
	return best[len(s)].score + rest, segments
}

// fuzzy tells whether s is w within edit distance one. A character before or
// after the whole word is no edit of it: it earns a point of its own.
func fuzzy(s, w []rune) bool {
	if len(s) > len(w) && (entra(s[0]) != entra(w[0]) || entra(s[len(s)-1]) != entra(w[len(w)-1])) {
		return false
	}
	return withinOne(s, w)
}

// withinOne tells whether one edit at most turns a into b, both read with
// entra's substitutions.
func withinOne(a, b []rune) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && entra(a[i]) == entra(b[i]) {
		i++
	}
	if i == len(a) {
		return true
	}
	rest := a[i:]
	if len(a) == len(b) {
		rest = a[i+1:]
	}
	for k, r := range rest {
		if entra(r) != entra(b[i+1+k]) {
			return false
		}
	}
	return true
}

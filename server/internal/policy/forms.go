// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"bytes"
	"iter"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-project/watchword/server/internal/password"
)

// Bounds of the derivatives of listed values that Forms undoes.
const (
	maxListed   = 128 // code points of a password; longer ones are only looked up as they are
	minStem     = 4   // code points left when digits and symbols are taken off
	maxStripped = 8   // code points taken off
)

// Forms yields the texts to look up in lists of common passwords, each with
// the form it stands for in Listed: the password itself, and what is left of
// it when a customary change is undone. Each text is yielded once, under the
// plainest form, and there are at most twenty. The bytes are plaintext: they
// hold until the next step, and are overwritten at the end.
func Forms(text password.Text) iter.Seq2[string, []byte] {
	return func(yield func(form string, value []byte) bool) {
		plain := text.Reveal()
		if len(plain) == 0 || !yield("exact", plain) {
			return
		}
		v := newView(plain)
		defer v.wipe()
		if v.length > maxListed {
			return
		}
		// Room for all, so that no append leaves a copy behind.
		given := [][]byte{plain}
		room := make([]byte, 0, 20*utf8.UTFMax*max(len(v.folded), len(v.runes)))
		defer func() { clear(room[:cap(room)]) }()
		try := func(form string, s []rune, change func(rune) rune) bool {
			from := len(room)
			for _, r := range s {
				room = utf8.AppendRune(room, change(r))
			}
			value := room[from:len(room):len(room)]
			if len(s) == 0 || slices.ContainsFunc(given, func(g []byte) bool { return bytes.Equal(g, value) }) {
				room = room[:from]
				return true
			}
			given = append(given, value)
			return yield(form, value)
		}
		f := v.folded
		reversed := slices.Clone(f)
		slices.Reverse(reversed)
		defer clear(reversed)
		leet := func(form string, s []rune) bool {
			if !slices.ContainsFunc(s, unicode.IsLetter) {
				return true // digits alone are digits
			}
			return try(form, s, plainLetter(0)) && try(form, s, plainLetter(1))
		}
		_ = try("case", v.runes, unicode.ToLower) &&
			try("width", f, same) &&
			leet("l33t", f) &&
			try("reversed", reversed, same) &&
			leet("reversed", reversed) &&
			stems(f, func(stem []rune) bool { return try("suffix", stem, same) && leet("suffix", stem) }) &&
			repeated(f, func(piece []rune) bool { return try("repeated", piece, same) && leet("repeated", piece) })
	}
}

func same(r rune) rune { return r }

// plainLetter reads a l33t character as the n-th letter it can stand for, or
// the last it has.
func plainLetter(n int) func(rune) rune {
	return func(r rune) rune {
		if letters := unleet(r); letters != "" {
			return rune(letters[min(n, len(letters)-1)])
		}
		return r
	}
}

// stems yields s without the digits and symbols at its end, and at both ends.
func stems(s []rune, yield func([]rune) bool) bool {
	extra := func(r rune) bool { c := classOf(r); return c == digit || c == symbol }
	end := len(s)
	for end > 0 && extra(s[end-1]) {
		end--
	}
	start := 0
	for start < end && extra(s[start]) {
		start++
	}
	if end-start < minStem || start+len(s)-end > maxStripped {
		return true
	}
	return yield(s[:end]) && yield(s[start:]) && yield(s[start:end])
}

// repeated yields the piece of which s is at least two in a row.
func repeated(s []rune, yield func([]rune) bool) bool {
	if n := period(s); n > 0 && 2*n <= len(s) {
		return yield(s[:n])
	}
	return true
}

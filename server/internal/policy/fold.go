// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxAnalysed is how many code points of a password the rules look at. Length
// and byte size count the whole of it.
const maxAnalysed = 1024

// view is a password laid out for the rules: the code points as given, and
// folded (full width and compatibility forms to plain ones, upper case to
// lower), with the way back from a folded to a given position.
type view struct {
	bytes  int
	length int // all code points
	runes  []rune
	folded []rune
	origin []int32 // origin[i] is the index in runes that folded[i] came from
}

func newView(b []byte) view {
	v := view{bytes: len(b), length: utf8.RuneCount(b)}
	n := min(v.length, maxAnalysed)
	room := make([]int32, 3*n) // nearly all that is folded is as long as before
	v.runes, v.folded, v.origin = room[:0:n], room[n:n:2*n], room[2*n:2*n]
	for len(b) > 0 && len(v.runes) < n {
		r, size := utf8.DecodeRune(b)
		b = b[size:]
		at := int32(len(v.runes))
		v.runes = append(v.runes, r)
		v.folded = foldRune(v.folded, r)
		for len(v.origin) < len(v.folded) {
			v.origin = append(v.origin, at)
		}
	}
	return v
}

func (v view) wipe() { clear(v.runes); clear(v.folded) }

// segment translates a stretch of folded code points into one of given ones.
func (v view) segment(kind string, start, end int) Segment {
	if start >= end {
		return Segment{Kind: kind}
	}
	return Segment{Kind: kind, Start: int(v.origin[start]), End: int(v.origin[end-1]) + 1}
}

// foldRune appends the folded form of r, which is empty for a combining mark
// that stands alone and several code points long for a ligature.
func foldRune(to []rune, r rune) []rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return append(to, r)
	}
	var in [utf8.UTFMax]byte
	var out [64]byte
	for _, f := range string(norm.NFKC.Append(out[:0], in[:utf8.EncodeRune(in[:], r)]...)) {
		to = append(to, unicode.ToLower(f))
	}
	return to
}

// fold gives at most limit folded code points of s.
func fold(s string, limit int) []rune {
	out := make([]rune, 0, min(limit, len(s)))
	for _, r := range s {
		if len(out) >= limit {
			break
		}
		out = foldRune(out, r)
	}
	return out[:min(len(out), limit)]
}

// unleet lists the letters a character can stand for, beside itself.
func unleet(r rune) string {
	switch r {
	case '0':
		return "o"
	case '1':
		return "il"
	case '2':
		return "z"
	case '3':
		return "e"
	case '4', '@':
		return "a"
	case '5', '$':
		return "s"
	case '6':
		return "gb"
	case '7':
		return "tl"
	case '8':
		return "b"
	case '9':
		return "gq"
	case '!':
		return "il"
	case '|':
		return "li"
	case '+':
		return "t"
	case '(', '{', '[', '<':
		return "c"
	}
	return ""
}

// class is a kind of character in the sense of composition rules.
type class uint8

const (
	lower class = iota
	upper
	digit
	symbol
	caseless // letters without case, hanzi among them
	classes
)

func classOf(r rune) class {
	switch {
	case 'a' <= r && r <= 'z':
		return lower
	case 'A' <= r && r <= 'Z':
		return upper
	case '0' <= r && r <= '9':
		return digit
	case r < utf8.RuneSelf:
		return symbol
	case unicode.IsUpper(r) || unicode.IsTitle(r):
		return upper
	case unicode.IsLower(r):
		return lower
	case unicode.IsLetter(r) || unicode.IsMark(r):
		return caseless
	case unicode.IsDigit(r):
		return digit
	}
	return symbol
}

func isHan(r rune) bool { return r > 0x2e00 && unicode.Is(unicode.Han, r) }

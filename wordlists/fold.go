// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"unicode"
	"unicode/utf8"
)

// foldRune maps full-width ASCII and the ideographic space to ASCII and drops
// the difference of case. Every rune of a Unicode simple folding orbit has
// the same image, so "K" (KELVIN SIGN) and "ſ" fold to k and s.
func foldRune(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	case '！' <= r && r <= '～':
		return foldRune(r - '！' + '!')
	case r == '\u3000':
		return ' '
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// AppendFold appends to dst the form of s in which Match compares strings:
// case and width folded, everything else as it is. Folding a folded string
// changes nothing.
func AppendFold(dst, s []byte) []byte {
	dst, _ = appendFold(dst, s)
	return dst
}

// appendFold appends the folded form of s to dst and says which foldings
// changed something, FormCase or FormWidth or both. Bytes that are not UTF-8
// stay as they are.
func appendFold(dst, s []byte) ([]byte, Form) {
	var form Form
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
				form |= FormCase
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, c)
			i++
			continue
		}
		i += size
		f := foldRune(r)
		if f != r {
			if r == '\u3000' || '！' <= r && r <= '～' {
				form |= FormWidth
				if 'Ａ' <= r && r <= 'Ｚ' {
					form |= FormCase
				}
			} else {
				form |= FormCase
			}
		}
		dst = utf8.AppendRune(dst, f)
	}
	return dst, form
}

// leetMaps are the readings of digits and symbols as letters. One symbol has
// one reading in a map, and a string is read through each map once, so that
// the work does not grow with the number of symbols in it: signs only with
// digits left alone ("@bc123"), signs and digits with 1 as i, and with 1 as l.
var leetMaps = func() (maps [3][utf8.RuneSelf]byte) {
	for m, readings := range [3]string{
		"@a$s!i|i(c+t",
		"@a$s!i|i(c+t0o1i2z3e4a5s6g7t8b9g",
		"@a$s!l|l(c+t0o1l2z3e4a5s6b7t8b9g",
	} {
		for c := range maps[m] {
			maps[m][c] = byte(c)
		}
		for i := 0; i < len(readings); i += 2 {
			maps[m][readings[i]] = readings[i+1]
		}
	}
	return maps
}()

// appendReversed appends s with its runes in reverse order. Bytes that are
// not UTF-8 count as runes.
func appendReversed(dst, s []byte) []byte {
	for len(s) > 0 {
		_, size := utf8.DecodeLastRune(s)
		dst = append(dst, s[len(s)-size:]...)
		s = s[:len(s)-size]
	}
	return dst
}

// isAffix reports whether r is a digit, a sign, a symbol or a space: what
// people put before and after a word, never part of one. Malformed bytes
// (size 1) count as part of a word.
func isAffix(r rune, size int) bool {
	if r < utf8.RuneSelf {
		return r < 'a' || r > 'z' // the string is folded: no capitals
	}
	if r == utf8.RuneError && size == 1 {
		return false
	}
	return !unicode.IsLetter(r) && !unicode.IsMark(r)
}

// isSign is isAffix without digits.
func isSign(r rune) bool {
	return isAffix(r, utf8.UTFMax) && !unicode.IsDigit(r)
}

// shiftedDigits are the signs above the digits 0 to 9 on a US keyboard.
const shiftedDigits = ")!@#$%^&*("

// digitOf returns the digit of a key on the digit row, with or without
// shift, or -1.
func digitOf(c byte) int {
	if '0' <= c && c <= '9' {
		return int(c - '0')
	}
	for d := range len(shiftedDigits) {
		if shiftedDigits[d] == c {
			return d
		}
	}
	return -1
}

// follows reports whether the keys a, b are neighbours, in this order and
// with the given step, on the digit row taken as a ring.
func follows(a, b byte, step int) bool {
	da, db := digitOf(a), digitOf(b)
	return da >= 0 && db >= 0 && (da+step+10)%10 == db
}

// maxPeriod bounds the period of a regular affix.
const maxPeriod = 4

// regularTail returns the smallest i such that s[i:] is a run along the digit
// row in either direction ("4567", "!@#") or has a period of at most 4 bytes
// and at least two of them ("!!!", "20202020"). It works on bytes: only ASCII
// is regular along the row.
func regularTail(s []byte) int {
	n := len(s)
	best := n
	for _, step := range [2]int{1, -1} {
		i := n - 1
		for i > 0 && follows(s[i-1], s[i], step) {
			i--
		}
		best = min(best, max(i, 0))
	}
	for p := 1; p <= maxPeriod; p++ {
		i := n - p
		for i > 0 && s[i-1] == s[i-1+p] {
			i--
		}
		if i >= 0 && n-i >= 2*p {
			best = min(best, i)
		}
	}
	return best
}

// regularHead returns the largest i such that s[:i] is regular in the sense
// of regularTail.
func regularHead(s []byte) int {
	n := len(s)
	best := 0
	for _, step := range [2]int{1, -1} {
		i := 1
		for i < n && follows(s[i-1], s[i], step) {
			i++
		}
		best = max(best, min(i, n))
	}
	for p := 1; p <= maxPeriod && p <= n; p++ {
		i := p
		for i < n && s[i] == s[i-p] {
			i++
		}
		if i >= 2*p {
			best = max(best, i)
		}
	}
	return best
}

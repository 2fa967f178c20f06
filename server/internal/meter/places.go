// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package meter

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// places leads from code points of the NFC form back to UTF-16 units of the
// text as it was typed. Where normalisation joins or reorders characters, the
// smallest stretch that normalises by itself counts as one place.
type places struct {
	from []int // from[i] is where the stretch with code point i begins
	to   []int // to[i] is where the stretch with code point i-1 ends
}

func newPlaces(raw, nfc []byte) places {
	n := utf8.RuneCount(nfc)
	p := places{from: make([]int, 0, n+1), to: append(make([]int, 0, n+1), 0)}
	unit := 0
	stretch := func(runes, units int) {
		for range runes {
			p.from = append(p.from, unit)
			p.to = append(p.to, unit+units)
		}
		unit += units
	}
	if bytes.Equal(raw, nfc) {
		for _, r := range string(raw) {
			stretch(1, utf16.RuneLen(r))
		}
	} else {
		var it norm.Iter
		it.Init(norm.NFC, raw)
		for !it.Done() {
			before := it.Pos()
			made := utf8.RuneCount(it.Next())
			stretch(made, units(raw[before:it.Pos()]))
		}
	}
	p.from = append(p.from, unit)
	return p
}

func units(b []byte) (n int) {
	for _, r := range string(b) {
		n += utf16.RuneLen(r)
	}
	return n
}

func (p places) segments(list []policy.Segment) []Segment {
	out := make([]Segment, 0, len(list))
	for _, s := range list {
		out = append(out, Segment{Kind: kind(s.Kind), Start: s.Start, End: s.End,
			From: p.from[min(s.Start, len(p.from)-1)], To: p.to[min(s.End, len(p.to)-1)]})
	}
	return out
}

// kinds are the estimate's own words for parts of a password, as the contract
// spells them. A rule's word for something the caller gave (login, email,
// dictionary, …) is CONTEXT.
var kinds = map[string]bool{"BRUTEFORCE": true, "LISTED": true, "WORD": true, "NAME": true, "PINYIN": true, "HANZI": true, "DATE": true,
	"YEAR": true, "PHONE": true, "ID_NUMBER": true, "KEYBOARD": true, "SEQUENCE": true, "REPEAT": true, "CONTEXT": true, "LOVE_DIGITS": true}

func kind(s string) string {
	const prefix = "SEGMENT_KIND_"
	if s = strings.ToUpper(s); kinds[s] {
		return prefix + s
	}
	return prefix + "CONTEXT"
}

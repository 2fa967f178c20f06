// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Source is what Compile turns into tables. Costs and logarithms are in
// thousandths of a power of ten.
type Source struct {
	// Entries is the lexicon. A text may be a listed password, a token, or
	// both; no text occurs twice.
	Entries []Entry
	// Grams holds the character model: GramKey → cost (of the last symbol, or
	// of backing off). Unigrams has a cost for each symbol.
	Grams    map[uint64]int
	Unigrams []int
	// Markov and Calib are the knots of the two curves.
	Markov, Calib []Knot
	// Readings gives a character's commonest reading, in plain letters.
	Readings map[rune]string
	// Areas are the area codes of GB/T 2260.
	Areas []uint32
	// Logs holds log10 of 0 (taken as 0), 1, … MaxRunes.
	Logs []int
}

// Entry is one text of the lexicon.
type Entry struct {
	Text string
	// ListLog is the log10 of the rank of a listed password, or -1.
	ListLog int
	// Token says that the text may be a part of a password, of this kind and
	// cost. KindUnspecified is the kind of short tokens.
	Token bool
	Kind  Kind
	Cost  int
}

// Knot is a point of a curve.
type Knot struct{ X, Y int }

// tokenKinds numbers the kinds that a token code can carry. Bruteforce stands
// for a few digits or one sign, whose frequency is known.
var tokenKinds = [8]Kind{kindShort, KindWord, KindName, KindPinyin, KindHanzi, KindSequence, KindLoveDigits, KindListed}

// maxToken is the longest token that is found inside a password, in code
// points. Longer listed passwords are found as a whole only.
const maxToken = 24

// prefixDepths are the lengths at which the walk asks the filter whether
// any token begins so.
const prefixDepths uint32 = 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<12

// filterBits is the size of the filter: about one bit in five is set.
const filterBits = 1 << 22

// Compile lays out the tables. The same source gives the same bytes.
func Compile(s Source) ([]byte, error) {
	var sec [numSections][]byte
	filter := make([]byte, filterBits/8)
	lex := make([]csrEntry, 0, len(s.Entries))
	m := Model{filter: filter}
	for _, e := range s.Entries {
		var list, token byte
		if e.ListLog >= 0 {
			list = byte(1 + min(254, (e.ListLog+listStep/2)/listStep))
		}
		if e.Token {
			k := slices.Index(tokenKinds[:], e.Kind)
			if k < 0 {
				return nil, fmt.Errorf("kind %v cannot be a token", e.Kind)
			}
			token = byte(k<<5 | max(1, min(31, (e.Cost+tokenStep/2)/tokenStep)))
		}
		h, n := hashSeed, utf8.RuneCountInString(e.Text)
		for _, r := range e.Text {
			h = extend(h, r)
		}
		lex = append(lex, csrEntry{x: mix(h), payload: uint32(list) | uint32(token)<<8})
		if n > maxToken {
			continue
		}
		if e.Token {
			m.setBit(mix(h)>>20 ^ 0x80)
		}
		h, n = hashSeed, 0
		for _, r := range e.Text {
			h = extend(h, fold(r))
			n++
			if n < 32 && prefixDepths>>n&1 != 0 {
				m.setBit(mix(h) >> 20)
			}
		}
	}
	var err error
	if sec[secLexDir], sec[secLexEnt], err = layOut(lex, 3, 2); err != nil {
		return nil, err
	}
	sec[secFilter] = filter
	grams := make([]csrEntry, 0, len(s.Grams))
	for k, v := range s.Grams {
		grams = append(grams, csrEntry{x: mix(k * 0x9e3779b97f4a7c15), payload: uint32(costByte(v))})
	}
	if sec[secGramDir], sec[secGramEnt], err = layOut(grams, 2, 1); err != nil {
		return nil, err
	}
	for _, v := range s.Unigrams {
		sec[secUnigram] = append(sec[secUnigram], costByte(v))
	}
	sec[secMarkov] = knots(s.Markov)
	sec[secCalib] = knots(s.Calib)
	sec[secHan], sec[secSyllable] = readings(s.Readings)
	areas := slices.Clone(s.Areas)
	slices.Sort(areas)
	for _, a := range slices.Compact(areas) {
		sec[secArea] = append(sec[secArea], byte(a), byte(a>>8), byte(a>>16))
	}
	for _, v := range s.Logs {
		sec[secLog] = binary.LittleEndian.AppendUint16(sec[secLog], uint16(v))
	}
	out := binary.LittleEndian.AppendUint32([]byte(magic), version)
	for _, b := range sec {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(b)))
	}
	for _, b := range sec {
		out = append(out, b...)
	}
	_, err = Parse(out)
	return out, err
}

func (m *Model) setBit(i uint64) {
	i &= uint64(len(m.filter)*8 - 1)
	m.filter[i>>3] |= 1 << (i & 7)
}

func costByte(v int) byte { return byte(min(255, max(0, (v+gramStep/2)/gramStep))) }

func knots(ks []Knot) []byte {
	var b []byte
	for _, k := range ks {
		b = binary.LittleEndian.AppendUint32(b, uint32(k.X))
		b = binary.LittleEndian.AppendUint32(b, uint32(k.Y))
	}
	return b
}

func readings(m map[rune]string) (han, syllables []byte) {
	runes := make([]rune, 0, len(m))
	index := map[string]int{}
	for r, s := range m {
		runes = append(runes, r)
		index[s] = 0
	}
	slices.Sort(runes)
	names := make([]string, 0, len(index))
	for s := range index {
		names = append(names, s)
	}
	slices.Sort(names)
	for i, s := range names {
		index[s] = i
		var b [6]byte
		copy(b[:], s)
		syllables = append(syllables, b[:]...)
	}
	for _, r := range runes {
		i := index[m[r]]
		han = append(han, byte(r), byte(r>>8), byte(r>>16), byte(i), byte(i>>8))
	}
	return han, syllables
}

type csrEntry struct {
	x       uint64
	payload uint32
}

// layOut writes a map section pair with prints bytes of fingerprint and values
// bytes of payload an entry. Two keys with one hash are a text given twice,
// and an error; of two that share bucket and fingerprint the first stands for
// both.
func layOut(es []csrEntry, prints, values int) (dir, ent []byte, err error) {
	n := uint64(max(1, len(es)/bucketLoad))
	bucketOf := func(x uint64) uint64 { return (x >> 32) * n >> 32 }
	mask := uint64(1)<<(8*prints) - 1
	slices.SortFunc(es, func(a, b csrEntry) int {
		return cmp.Or(cmp.Compare(bucketOf(a.x), bucketOf(b.x)), cmp.Compare(a.x&mask, b.x&mask), cmp.Compare(a.x, b.x))
	})
	size := prints + values
	next := uint64(0)
	for i, e := range es {
		b := bucketOf(e.x)
		if i > 0 && bucketOf(es[i-1].x) == b && es[i-1].x&mask == e.x&mask {
			if es[i-1].x == e.x {
				return nil, nil, fmt.Errorf("entry %d of %d is there twice", i, len(es))
			}
			continue
		}
		for ; next <= b; next++ {
			dir = binary.LittleEndian.AppendUint32(dir, uint32(len(ent)/size))
		}
		for k := range prints {
			ent = append(ent, byte(e.x>>(8*k)))
		}
		for k := range values {
			ent = append(ent, byte(e.payload>>(8*k)))
		}
	}
	for ; next <= n; next++ {
		dir = binary.LittleEndian.AppendUint32(dir, uint32(len(ent)/size))
	}
	return dir, ent, nil
}

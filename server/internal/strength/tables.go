// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"
)

//go:generate go run ./mktables -out tables.bin

// builtin reads the embedded tables in place: nothing is decoded, only the
// frame is checked, at the first use.
var builtin = sync.OnceValue(func() *Model {
	m, err := Parse(embedded)
	if err != nil {
		panic(err) // the binary was built with a broken table
	}
	return m
})

// The file of tables:
//
//	"WWST" | version u32 | one u32 length per section | sections, in order
//
// Numbers are little-endian. A map section pair (dir, entries) is a hash
// table without gaps: the keys are sorted by their mixed hash, bucket b holds
// entries dir[b] to dir[b+1], and each entry repeats 24 bits of the hash that
// the bucket number does not determine. An absent key is taken for a present
// one with a probability of about bucketLoad / 2^24.
const (
	secLexDir   = iota // buckets of the lexicon
	secLexEnt          // 5 bytes: 24-bit fingerprint, list code, token code
	secFilter          // a bit for each token, and for its beginnings of prefixDepths
	secGramDir         // buckets of the n-gram table
	secGramEnt         // 3 bytes: 16-bit fingerprint, cost in steps of gramStep
	secUnigram         // one cost byte per symbol
	secMarkov          // knots: cost of the character model → log10 of guesses
	secCalib           // knots: mean of both views → log10 of a cracker's guesses
	secHan             // 5 bytes: code point u24, syllable number u16, ascending
	secSyllable        // syllables, 6 bytes each, padded with zeroes
	secArea            // u24 area codes of GB/T 2260, ascending
	secLog             // u16: thousandths of log10 of 0…MaxRunes
	numSections
)

const (
	magic      = "WWST"
	version    = 1
	bucketLoad = 8
	lexSize    = 5
	gramSize   = 3
	listStep   = 25  // list code: thousandths of log10(rank) per step
	tokenStep  = 225 // token code, low 5 bits: cost per step
	gramStep   = 25
)

// errTables is returned by Parse for bytes that are not tables.
var errTables = errors.New("strength tables are damaged")

// Model is a set of tables ready for use. It is immutable.
type Model struct {
	lex, gram csr
	filter    []byte
	unigram   []byte
	markov    curve
	calib     curve
	han       []byte
	syllables []byte
	area      []byte
	logs      []byte

	letters [128]byte // the token codes of single ASCII characters
}

// Parse reads the tables in b, which must not change afterwards. It checks the
// frame of the file, not each value: values index nothing.
func Parse(b []byte) (*Model, error) {
	const head = 8 + 4*numSections
	if len(b) < head || string(b[:4]) != magic || binary.LittleEndian.Uint32(b[4:]) != version {
		return nil, errTables
	}
	var sec [numSections][]byte
	rest := b[head:]
	for i := range sec {
		n := uint64(binary.LittleEndian.Uint32(b[8+4*i:]))
		if n > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: section %d is cut", errTables, i)
		}
		sec[i], rest = rest[:n:n], rest[n:]
	}
	m := &Model{
		lex:       csr{dir: sec[secLexDir], ent: sec[secLexEnt], size: lexSize},
		gram:      csr{dir: sec[secGramDir], ent: sec[secGramEnt], size: gramSize},
		filter:    sec[secFilter],
		unigram:   sec[secUnigram],
		markov:    curve{sec[secMarkov]},
		calib:     curve{sec[secCalib]},
		han:       sec[secHan],
		syllables: sec[secSyllable],
		area:      sec[secArea],
		logs:      sec[secLog],
	}
	switch {
	case len(rest) != 0, !m.lex.valid(), !m.gram.valid(),
		bits.OnesCount(uint(len(m.filter))) != 1,
		len(m.unigram) != numSymbols, len(m.logs) != 2*(MaxRunes+1),
		!m.markov.valid(), !m.calib.valid(),
		len(m.han)%5 != 0, len(m.syllables)%6 != 0, len(m.area)%3 != 0:
		return nil, errTables
	}
	for r := range m.letters {
		if x := mix(extend(hashSeed, rune(r))); m.mayBeToken(x) {
			_, m.letters[r] = m.word(x)
		}
	}
	return m, nil
}

// csr is a map section pair.
type csr struct {
	dir, ent []byte
	size     int
}

func (t csr) valid() bool {
	if len(t.dir) < 8 || len(t.dir)%4 != 0 {
		return false
	}
	last := uint32(0)
	for i := 0; i < len(t.dir); i += 4 {
		v := binary.LittleEndian.Uint32(t.dir[i:])
		if v < last {
			return false
		}
		last = v
	}
	return binary.LittleEndian.Uint32(t.dir) == 0 && uint64(last)*uint64(t.size) == uint64(len(t.ent))
}

// bucket returns the entries that may hold the key with mixed hash x.
func (t *csr) bucket(x uint64) []byte {
	n := uint64(len(t.dir)/4 - 1)
	b := (x >> 32) * n >> 32 * 4
	ends := t.dir[b : b+8]
	lo, hi := binary.LittleEndian.Uint32(ends), binary.LittleEndian.Uint32(ends[4:])
	return t.ent[int(lo)*t.size : int(hi)*t.size]
}

// mix turns a running hash into one whose bits all depend on the key.
func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// hashSeed and extend make the running hash of a text, code point by code
// point, so that all beginnings of a text are hashed on the way.
const hashSeed uint64 = 0x51f2cd9a37b1e604

func extend(h uint64, r rune) uint64 {
	return (bits.RotateLeft64(h, 5) ^ uint64(uint32(r))) * 0x9e3779b97f4a7c15
}

// word finds a text in the lexicon by its mixed hash.
func (m *Model) word(x uint64) (list, token byte) {
	fp := uint32(x) & 0xffffff
	b := m.lex.bucket(x)
	for i := lexSize; i <= len(b); i += lexSize {
		if v := binary.LittleEndian.Uint32(b[i-lexSize:]) & 0xffffff; v >= fp {
			if v == fp {
				return b[i-2], b[i-1]
			}
			break // they are in order
		}
	}
	return 0, 0
}

// hasPrefix asks the filter for a beginning by its mixed hash. It may say yes
// where no token begins so.
func (m *Model) hasPrefix(x uint64) bool { return m.bit(x >> 20) }

// mayBeToken asks the same cache line of the filter for a whole token, which
// spares most searches in the lexicon.
func (m *Model) mayBeToken(x uint64) bool { return m.bit(x>>20 ^ 0x80) }

func (m *Model) bit(i uint64) bool {
	i &= uint64(len(m.filter)*8 - 1)
	return m.filter[i>>3]>>(i&7)&1 != 0
}

// gramAt finds an n-gram by its packed symbols.
func (m *Model) gramAt(key uint64) (byte, bool) {
	x := mix(key * 0x9e3779b97f4a7c15)
	fp := uint16(x)
	b := m.gram.bucket(x)
	for i := gramSize; i <= len(b); i += gramSize {
		if v := binary.LittleEndian.Uint16(b[i-gramSize:]); v >= fp {
			return b[i-1], v == fp
		}
	}
	return 0, false
}

// listCost is the log10 of the rank behind a list code, which is not zero.
func listCost(code byte) mil { return mil(code-1) * listStep }

// log gives the thousandths of log10(n); n is cut at MaxRunes.
func (m *Model) log(n int) mil {
	n = min(max(n, 0), MaxRunes)
	return mil(binary.LittleEndian.Uint16(m.logs[2*n:]))
}

// curve is a monotone function given by knots (x u32, y u32), x ascending,
// linear in between. Before the first knot it is constant, after the last it
// rises by one for one.
type curve struct{ b []byte }

func (c curve) valid() bool {
	if len(c.b) == 0 || len(c.b)%8 != 0 {
		return false
	}
	for i := 8; i < len(c.b); i += 8 {
		x0, y0 := c.knot(i/8 - 1)
		x1, y1 := c.knot(i / 8)
		if x1 <= x0 || y1 < y0 {
			return false
		}
	}
	return true
}

func (c curve) knot(i int) (x, y int64) {
	return int64(binary.LittleEndian.Uint32(c.b[8*i:])), int64(binary.LittleEndian.Uint32(c.b[8*i+4:]))
}

func (c curve) at(v mil) mil {
	n := len(c.b) / 8
	lo, hi := 0, n // knots before lo are ≤ v, from hi on they are greater
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if x, _ := c.knot(mid); x <= int64(v) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	switch lo {
	case 0:
		_, y := c.knot(0)
		return mil(y)
	case n:
		x, y := c.knot(n - 1)
		return mil(y + int64(v) - x)
	}
	x0, y0 := c.knot(lo - 1)
	x1, y1 := c.knot(lo)
	return mil(y0 + (y1-y0)*(int64(v)-x0)/(x1-x0))
}

// syllable returns the commonest reading of a Chinese character in plain
// letters, or nil.
func (m *Model) syllable(r rune) []byte {
	lo, hi := 0, len(m.han)/5
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		b := m.han[5*mid:]
		c := rune(b[0]) | rune(b[1])<<8 | rune(b[2])<<16
		switch {
		case c == r:
			i := 6 * (int(b[3]) | int(b[4])<<8)
			if i+6 > len(m.syllables) {
				return nil
			}
			s := m.syllables[i : i+6]
			for len(s) > 0 && s[len(s)-1] == 0 {
				s = s[:len(s)-1]
			}
			return s
		case c < r:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return nil
}

// isArea says whether six digits are an area code of GB/T 2260.
func (m *Model) isArea(code uint32) bool {
	lo, hi := 0, len(m.area)/3
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		b := m.area[3*mid:]
		c := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		switch {
		case c == code:
			return true
		case c < code:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return false
}

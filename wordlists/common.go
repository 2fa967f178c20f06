// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"unicode/utf8"
)

//go:generate go run ./mklist -out .

// embedded views the embedded table when first asked for. Nothing is decoded
// or copied: the header is compared with the size, and that is all.
var embedded = sync.OnceValue(func() *CommonList {
	l, err := view(commonData)
	if err != nil {
		panic(err) // the program was built with a table of another format
	}
	return l
})

// The table of a CommonList, all integers little-endian:
//
//	offset  size     content
//	0       8        magic "WWCOMMN1"
//	8       4        n, keys in the table
//	12      4        B, buckets, a multiple of 32
//	16      4        listed, strings that Lookup knows
//	20      4        longest key in bytes
//	24      8        first bytes of the SHA-256 of everything else
//	32      4·64     listed strings of at least 0, 1, … 63 code points
//	288     4·(B/32+1)  for each 32 buckets, the position of their first key
//	…       B        for each bucket, how far behind that position it starts
//	…       4·n      fingerprints, bucket by bucket
//	…       n        one byte for each key: rank step, stepDefault, stepFolded
//
// A key's 64-bit hash names its bucket by the high bits and its fingerprint
// by the low 32. With n/B = 4.7 keys a bucket, a string that is no key is
// taken for one with probability 4.7·2⁻³² ≈ 1.1e-9 a probe, and a probe
// touches one line each of the two small directories and one or two of the
// fingerprints.
//
// Keys are the listed strings and, where a listed string has capital or
// full-width letters and its folded form is not listed itself, that folded
// form, marked stepFolded: Match asks for it, Lookup does not see it.
const (
	commonMagic    = "WWCOMMN1"
	commonHeader   = 32
	lengthCounts   = 64
	bucketGroup    = 32
	keysPerBucket  = 4.7
	stepMask       = 0x3f
	stepDefault    = 0x40
	stepFolded     = 0x80
	maxCommonKeys  = 1 << 24
	maxCommonBytes = 1 << 10
)

// CommonList tells whether a string is a common password. It is immutable and
// safe for concurrent use.
type CommonList struct {
	data    string
	keys    uint32 // n above
	buckets uint32 // B above
	listed  uint32
	longest uint32
	groups  int // offsets of the four regions
	starts  int
	prints  int
	steps   int
}

// CommonMatch says how a string was found on a CommonList.
type CommonMatch struct {
	// Form is how the string differs from the listed one.
	Form Form
	// Rank is the listed string's place in the order of popularity, 1 first,
	// rounded up to the end of a step of half an octave (at most 42 % too
	// high). Vendor defaults that are on no password list rank behind all
	// others.
	Rank int
	// Default is set when the listed string is a vendor's default password.
	Default bool
	// Kept counts the code points of the listed string in its folded form.
	Kept int
}

// Common returns the list that is built into the program: the heads of
// English, Chinese and worldwide password lists, the default passwords of
// products, and pairs of the commonest passwords, over 230,000 strings. The sources are named in NOTICE.
func Common() *CommonList { return embedded() }

// OpenCommon returns the list held in data, as BuildCommon made it. It copies
// data, checks all of it and returns an error if it is damaged.
func OpenCommon(data []byte) (*CommonList, error) {
	l, err := view(string(data))
	if err != nil {
		return nil, err
	}
	if sum := checksum(data); string(sum[:]) != l.data[24:32] {
		return nil, errors.New("wordlists: common list: checksum mismatch")
	}
	var at uint32
	for b := range l.buckets {
		start, end := l.bucket(b)
		if start != at || end < start || end > l.keys {
			return nil, fmt.Errorf("wordlists: common list: bucket %d out of order", b)
		}
		at = end
	}
	if at != l.keys {
		return nil, errors.New("wordlists: common list: keys outside every bucket")
	}
	return l, nil
}

// view lays a CommonList over data after checking the header against the size.
func view(data string) (*CommonList, error) {
	const least = commonHeader + 4*lengthCounts
	if len(data) < least || data[:len(commonMagic)] != commonMagic {
		return nil, errors.New("wordlists: common list: not a table of this format")
	}
	l := &CommonList{
		data:    data,
		keys:    le32(data, 8),
		buckets: le32(data, 12),
		listed:  le32(data, 16),
		longest: le32(data, 20),
	}
	if l.keys > maxCommonKeys || l.buckets == 0 || l.buckets > maxCommonKeys ||
		l.buckets%bucketGroup != 0 || l.listed > l.keys || l.longest > maxCommonBytes {
		return nil, errors.New("wordlists: common list: header out of range")
	}
	l.groups = least
	l.starts = l.groups + 4*(int(l.buckets)/bucketGroup+1)
	l.prints = l.starts + int(l.buckets)
	l.steps = l.prints + 4*int(l.keys)
	if len(data) != l.steps+int(l.keys) {
		return nil, fmt.Errorf("wordlists: common list: %d bytes, want %d", len(data), l.steps+int(l.keys))
	}
	return l, nil
}

// Len returns the number of strings that Lookup finds.
func (l *CommonList) Len() int { return int(l.listed) }

// Version identifies the content: equal versions are equal tables.
func (l *CommonList) Version() string { return hex.EncodeToString([]byte(l.data[24:32])) }

// Table is the table behind the list: OpenCommon makes the same list of it.
func (l *CommonList) Table() string { return l.data }

// CountFitting returns how many listed strings have at least minRunes code
// points, exactly, for the count that ASVS 5.0 6.2.4 asks for. For more than
// 63 code points it returns 0.
func (l *CommonList) CountFitting(minRunes int) int {
	if minRunes >= lengthCounts {
		return 0
	}
	return int(le32(l.data, commonHeader+4*max(minRunes, 0)))
}

// Lookup finds pw if it is on the list exactly as it stands, without any
// folding. It does not allocate.
func (l *CommonList) Lookup(pw []byte) (CommonMatch, bool) {
	step, ok := l.find(pw)
	if !ok || step&stepFolded != 0 {
		return CommonMatch{}, false
	}
	return CommonMatch{
		Rank:    stepRank(step & stepMask),
		Default: step&stepDefault != 0,
		Kept:    utf8.RuneCount(pw),
	}, true
}

// find returns the step byte of key.
func (l *CommonList) find(key []byte) (step byte, ok bool) {
	if uint(len(key)) > uint(l.longest) {
		return 0, false
	}
	bucket, print := l.locate(key)
	start, end := l.bucket(bucket)
	for i := start; i < end; i++ {
		if le32(l.data, l.prints+4*int(i)) == print {
			return l.data[l.steps+int(i)], true
		}
	}
	return 0, false
}

// locate returns the bucket and the fingerprint of key.
func (l *CommonList) locate(key []byte) (bucket, print uint32) {
	h := hash64(key)
	hi, _ := bits.Mul64(h, uint64(l.buckets))
	return uint32(hi), uint32(h)
}

// bucket returns the positions of the keys of bucket b.
func (l *CommonList) bucket(b uint32) (start, end uint32) {
	group := l.groups + 4*int(b/bucketGroup)
	start = le32(l.data, group) + uint32(l.data[l.starts+int(b)])
	if b%bucketGroup == bucketGroup-1 {
		return start, le32(l.data, group+4)
	}
	return start, le32(l.data, group) + uint32(l.data[l.starts+int(b)+1])
}

// stepRank returns the last rank of a step: ⌊2^(step/2)⌋.
func stepRank(step byte) int {
	r := 1 << (step / 2)
	if step%2 == 1 {
		r = int(math.Sqrt2 * float64(r))
	}
	return r
}

// rankStep returns the first step that reaches rank.
func rankStep(rank int) byte {
	step := byte(0)
	for step < stepMask && stepRank(step) < rank {
		step++
	}
	return step
}

// checksum is what a table holds at offset 24.
func checksum(data []byte) (sum [8]byte) {
	h := sha256.New()
	h.Write(data[:24])
	h.Write(data[commonHeader:])
	copy(sum[:], h.Sum(nil))
	return sum
}

// le32 reads four bytes of s at i.
func le32(s string, i int) uint32 {
	s = s[i : i+4]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// The multipliers of hash64 are the fractional parts of the square roots of
// 2, 3, 5 and 7, made odd.
const (
	hashA = 0x6a09e667f3bcc909
	hashB = 0xbb67ae8584caa73b
	hashC = 0x3c6ef372fe94f82b
	hashD = 0xa54ff53a5f1d36f1
)

// hash64 is the hash of the table, a fixed function of key on every machine.
// It folds 16 bytes at a time by a 64×64→128-bit product. It is not meant to
// withstand someone who looks for collisions: those only make the searcher's
// own password a listed one.
func hash64(key []byte) uint64 {
	h := uint64(hashA)
	p := key
	for len(p) > 16 {
		h = fold128(binary.LittleEndian.Uint64(p)^hashB, binary.LittleEndian.Uint64(p[8:])^h)
		p = p[16:]
	}
	var a, b uint64
	switch n := len(p); {
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[n-8:])
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(p)), uint64(binary.LittleEndian.Uint32(p[n-4:]))
	case n > 0:
		a = uint64(p[0]) | uint64(p[n/2])<<8 | uint64(p[n-1])<<16
	}
	h = fold128(a^hashB, b^h)
	return fold128(h^hashC, uint64(len(key))^hashD)
}

func fold128(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

// MaxProbes is the promised bound of MatchProbes.
const MaxProbes = maxProbes

// MatchProbes is Match and the number of table look-ups it made.
func (l *CommonList) MatchProbes(pw []byte) (CommonMatch, bool, int) {
	if m, ok := l.Lookup(pw); ok {
		return m, ok, 1
	}
	s, form := appendFold(nil, pw)
	m := matcher{list: l}
	ok := m.match(s, form)
	return m.hit, ok, m.probes + 1
}

// PrefixHits counts the keys in pw's bucket whose fingerprint agrees with
// pw's in the low n bits.
func (l *CommonList) PrefixHits(pw []byte, n int) (hits int) {
	bucket, print := l.locate(pw)
	start, end := l.bucket(bucket)
	for i := start; i < end; i++ {
		if (le32(l.data, l.prints+4*int(i))^print)<<(32-n) == 0 {
			hits++
		}
	}
	return hits
}

// Load is the mean number of keys in a bucket.
func (l *CommonList) Load() float64 { return float64(l.keys) / float64(l.buckets) }

// FoldRune is foldRune.
var FoldRune = foldRune

// EmbeddedSizes returns the sizes of the embedded tables in bytes.
func EmbeddedSizes() (common, defaults int) { return len(commonData), len(vendorDefaults) }

// EmbeddedCommon returns a copy of the embedded table.
func EmbeddedCommon() []byte { return []byte(commonData) }

// EmbeddedDefaults returns the embedded vendor credentials.
func EmbeddedDefaults() string { return vendorDefaults }

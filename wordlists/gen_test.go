// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/watchword-project/watchword/wordlists"
)

// entry is one line of a generated corpus.
type entry struct {
	key   wordlists.Key
	count uint32
}

// rng is splitmix64.
type rng uint64

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *rng) float() float64 { return float64(r.next()>>11) / (1 << 53) }

// count draws from the law of published counts: 43 % one, 14 % two, 13 %
// three, 5.5 % over 14, 0.4 % over 126.
func (r *rng) count() uint32 {
	u := r.float()
	switch {
	case u < 0.43:
		return 1
	case u < 0.57:
		return 2
	case u < 0.70:
		return 3
	}
	// A power law through the two given points of the rest.
	v := (u - 0.70) / 0.30
	c := 3.5 * math.Pow(1-v, -1/1.2)
	return uint32(min(max(c, 4), 40e6))
}

// poisson draws the number of entries of one prefix.
func (r *rng) poisson(mean float64) int {
	if mean > 200 {
		// Normal approximation, good enough at this size.
		u := math.Sqrt(-2*math.Log(1-r.float())) * math.Cos(2*math.Pi*r.float())
		return max(0, int(math.Round(mean+u*math.Sqrt(mean))))
	}
	limit, p := math.Exp(-mean), 1.0
	for n := 0; ; n++ {
		if p *= r.float(); p <= limit {
			return n
		}
	}
}

// rangeOf generates the entries of one prefix, sorted, from the seed alone.
func rangeOf(dst []entry, seed uint64, prefix uint32, mean float64, kind wordlists.Kind) []entry {
	r := rng(seed ^ uint64(prefix)*0xd1342543de82ef95)
	begin := len(dst)
	for range r.poisson(mean) {
		var e entry
		binary.BigEndian.PutUint64(e.key[0:], uint64(prefix)<<44|r.next()>>20)
		binary.BigEndian.PutUint64(e.key[8:], r.next())
		if kind == wordlists.SHA1 {
			binary.BigEndian.PutUint32(e.key[16:], uint32(r.next()))
		}
		e.count = r.count()
		dst = append(dst, e)
	}
	slices.SortFunc(dst[begin:], func(a, b entry) int { return slices.Compare(a.key[:], b.key[:]) })
	return dst
}

// generate makes a whole corpus of about n entries.
func generate(seed uint64, n int, kind wordlists.Kind) []entry {
	all := make([]entry, 0, n+n/8)
	for p := range uint32(1 << 20) {
		all = rangeOf(all, seed, p, float64(n)/(1<<20), kind)
	}
	return all
}

// generateIn makes entries in some segments only, as densely as a corpus that
// has them everywhere.
func generateIn(seed uint64, mean float64, kind wordlists.Kind, segments ...uint32) (all []entry) {
	for _, s := range segments {
		for p := range uint32(256) {
			all = rangeOf(all, seed, s*256+p, mean, kind)
		}
	}
	return all
}

const upperHex = "0123456789ABCDEF"

func appendHex(b []byte, key *wordlists.Key, from, to int) []byte {
	for i := from; i < to; i++ {
		b = append(b, upperHex[key[i/2]>>(4-4*(i%2))&15])
	}
	return b
}

func writeHashes(w io.Writer, all []entry, kind wordlists.Kind) error {
	bw := bufio.NewWriterSize(w, 1<<20)
	var line []byte
	for i := range all {
		line = appendHex(line[:0], &all[i].key, 0, 2*kind.Size())
		line = fmt.Appendf(line, ":%d\n", all[i].count)
		bw.Write(line)
	}
	return bw.Flush()
}

func hashesFile(t testing.TB, all []entry, kind wordlists.Kind) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hashes.txt")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeHashes(f, all, kind); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

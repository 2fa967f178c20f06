// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package private_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/watchword-project/watchword/wordlists"
	"github.com/watchword-project/watchword/wordlists/private"
)

// listed is how many passwords the benchmarks have in both forms.
const listed = wordlists.MaxRanked

// BenchmarkCheck measures the parts of a private check, and beside them a look-up
// in the range form of the same list: time, and bytes each way without framing.
// "new bucket" are the bytes down of a check whose bucket is not at hand.
func BenchmarkCheck(b *testing.B) {
	k := key(b)
	l := open(b, build(b, k, ranked(listed), 0), k)
	h := header(b, l)
	a := private.NewAsker(h)
	q, err := a.Ask([]byte("sunflower1"))
	if err != nil {
		b.Fatal(err)
	}
	elements, proof, err := l.Evaluate(q.Elements)
	if err != nil {
		b.Fatal(err)
	}
	at := bucket(b, l, h, q.Bucket)
	up, down := private.Elements*private.ElementSize, private.Elements*private.ElementSize+private.ProofSize

	b.Run("ask", func(b *testing.B) {
		for b.Loop() {
			if _, err := a.Ask([]byte("sunflower1")); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(up), "B-up")
	})
	b.Run("evaluate", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := l.Evaluate(q.Elements); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/private.Elements, "ns/element")
	})
	b.Run("finish", func(b *testing.B) {
		for b.Loop() {
			if _, err := q.Finish(elements, proof, at); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(down), "B-down")
		b.ReportMetric(float64(down+h.BucketSize()+32*h.Bits), "B-down-new-bucket")
	})
	b.Run("told", func(b *testing.B) {
		// How often the first guess is right of one who knows how popular each
		// password is (as the inverse of its rank), and nothing else, the bucket,
		// or the prefix of a range.
		var all, buckets, ranges float64
		first := map[uint32]bool{}
		prefixes := map[uint32]bool{}
		rank := 0.0
		for w := range ranked(listed) {
			rank++
			all += 1 / rank
			if id := a.Bucket(w); !first[id] {
				first[id] = true
				buckets += 1 / rank
			}
			sum := sha1.Sum(w)
			if prefix := binary.BigEndian.Uint32(sum[:]) >> 12; !prefixes[prefix] {
				prefixes[prefix] = true
				ranges += 1 / rank
			}
		}
		for b.Loop() {
		}
		b.ReportMetric(100/all, "%-nothing")
		b.ReportMetric(100*buckets/all, "%-bucket")
		b.ReportMetric(100*ranges/all, "%-range")
	})
	b.Run("range", func(b *testing.B) {
		x := index(b)
		sum := sha1.Sum([]byte("sunflower1"))
		prefix := binary.BigEndian.Uint32(sum[:]) >> 12
		var body []byte
		sent := 0
		for b.Loop() {
			if body, _, err = x.AppendRange(body[:0], prefix, wordlists.PadFull); err != nil {
				b.Fatal(err)
			}
			sent += len(body)
		}
		b.ReportMetric(5, "B-up")
		b.ReportMetric(float64(sent)/float64(b.N), "B-down")
	})
}

// index is the list in the form that answers ranges.
func index(b *testing.B) *wordlists.Index {
	b.Helper()
	var text bytes.Buffer
	for w := range ranked(listed) {
		text.Write(append(w, '\n'))
	}
	path := filepath.Join(b.TempDir(), "x.wwix")
	if _, err := wordlists.Build(b.Context(), wordlists.BuildOptions{Reader: &text, Out: path, Kind: wordlists.SHA1, From: wordlists.FromWords, Full: true, Name: "x"}); err != nil {
		b.Fatal(err)
	}
	x, err := wordlists.Open(path, wordlists.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.Close() })
	return x
}

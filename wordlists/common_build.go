// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// CommonEntry is one string for BuildCommon.
type CommonEntry struct {
	Text    string
	Rank    int // 1 is the most common
	Default bool
}

// BuildCommon makes the table that OpenCommon reads. Equal texts may occur
// more than once: the best rank and any Default mark win. The result depends
// on the set of entries only, not on their order. Texts must have between 1
// and 1,024 bytes, ranks must be positive.
func BuildCommon(entries []CommonEntry) ([]byte, error) {
	steps := make(map[string]byte, len(entries)+len(entries)/8)
	add := func(key string, step byte) {
		if old, ok := steps[key]; ok {
			step = min(step&stepMask, old&stepMask) | (step|old)&stepDefault | step&old&stepFolded
		}
		steps[key] = step
	}
	for i, e := range entries {
		if e.Text == "" || len(e.Text) > maxCommonBytes || e.Rank < 1 {
			return nil, fmt.Errorf("wordlists: entry %d: length or rank out of range", i)
		}
		step := rankStep(e.Rank)
		if e.Default {
			step |= stepDefault
		}
		add(e.Text, step)
		if folded, _ := appendFold(nil, []byte(e.Text)); string(folded) != e.Text && len(folded) <= maxCommonBytes {
			add(string(folded), step|stepFolded)
		}
	}
	return encodeCommon(steps)
}

// commonSlot is a key on its way into the table.
type commonSlot struct {
	bucket uint32
	print  uint32
	step   byte
}

// encodeCommon lays out the keys of steps.
func encodeCommon(steps map[string]byte) ([]byte, error) {
	if len(steps) > maxCommonKeys {
		return nil, errors.New("wordlists: too many entries")
	}
	groups := max(1, int(math.Ceil(float64(len(steps))/(keysPerBucket*bucketGroup))))
	buckets := groups * bucketGroup

	var listed, longest uint32
	var atLeast [lengthCounts]uint32
	slots := make([]commonSlot, 0, len(steps))
	for key, step := range steps {
		h := hash64([]byte(key))
		b, _ := bits.Mul64(h, uint64(buckets))
		slots = append(slots, commonSlot{uint32(b), uint32(h), step})
		longest = max(longest, uint32(len(key)))
		if step&stepFolded == 0 {
			listed++
			for n := range min(utf8.RuneCountInString(key), lengthCounts-1) + 1 {
				atLeast[n]++
			}
		}
	}
	slices.SortFunc(slots, func(a, b commonSlot) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.print, b.print))
	})

	le := binary.LittleEndian
	out := append([]byte(nil), commonMagic...)
	out = le.AppendUint32(out, uint32(len(slots)))
	out = le.AppendUint32(out, uint32(buckets))
	out = le.AppendUint32(out, listed)
	out = le.AppendUint32(out, longest)
	out = append(out, make([]byte, 8)...)
	for _, n := range atLeast {
		out = le.AppendUint32(out, n)
	}
	first := make([]int, buckets+1) // position of the first key of each bucket
	for b, i := 0, 0; b <= buckets; b++ {
		for i < len(slots) && int(slots[i].bucket) < b {
			i++
		}
		first[b] = i
	}
	for g := 0; g <= buckets; g += bucketGroup {
		out = le.AppendUint32(out, uint32(first[g]))
	}
	for b := range buckets {
		behind := first[b] - first[b-b%bucketGroup]
		if behind > math.MaxUint8 {
			return nil, fmt.Errorf("wordlists: bucket %d is too full", b)
		}
		out = append(out, byte(behind))
	}
	for i, s := range slots {
		if i > 0 && s.bucket == slots[i-1].bucket && s.print == slots[i-1].print {
			return nil, errors.New("wordlists: two entries have one fingerprint")
		}
		out = le.AppendUint32(out, s.print)
	}
	for _, s := range slots {
		out = append(out, s.step)
	}
	sum := checksum(out)
	copy(out[24:], sum[:])
	return out, nil
}

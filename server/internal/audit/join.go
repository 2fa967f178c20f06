// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/verifier"
	"github.com/watchword-project/watchword/wordlists"
)

// partRows is how many digests are sorted at a time: 48 bytes each. More rows
// are gone through several times, each time for one part of all digests.
const partRows = 2 << 20

// bareKey is a digest with the row it belongs to. Digests longer than 20 bytes
// are cut: the chance that two of ten million then agree is below 1e-34.
type bareKey struct {
	key wordlists.Key
	row uint32
}

// joined is what the join says of one row.
type joined struct {
	accounts uint32 // with the same digest; 0: the row has no bare digest
	rank     uint32 // in the list of common passwords, from 1
	seen     uint32 // count in a corpus
}

// corpusKinds are the bare digests that corpora are kept by.
var corpusKinds = map[password.Scheme]wordlists.Kind{password.NTLM: wordlists.NTLM, password.DigestSHA1: wordlists.SHA1}

// join meets all bare digests with each other, with the corpora and with the
// list of common passwords. All of it is done again after a crash; chunks that
// have their part of the outcome already are passed over.
func (r *runner) join(ctx context.Context) error {
	works, err := r.works(ctx, r.a)
	if err != nil {
		return err
	}
	total := 0
	for _, w := range works {
		total = max(total, w.First+w.Count)
	}
	out := make([]joined, total)
	version, err := r.joinAll(ctx, works, out)
	if err != nil {
		return err
	}
	return each(ctx, works, func(ctx context.Context, w *work) error {
		if w.Stage != stageJoin {
			return nil
		}
		var found []Finding
		rows, err := r.open(ctx, w)
		if err != nil {
			return err
		}
		for i := range rows {
			j := out[w.First+i]
			if j.accounts == 0 {
				continue
			}
			list := j.findings(rows[i].Flags)
			for n := range list {
				list[n].Row = w.First + i
			}
			if j.rank > 0 {
				w.Resolved.add(i)
				w.Hits++
			}
			found = append(found, list...)
		}
		w.Stage, w.Owner, w.Corpora = stageRounds, "", version
		return r.advance(ctx, r.a, w, found)
	})
}

func (j joined) findings(f Flags) []Finding {
	var out []Finding
	if j.rank > 0 {
		b := bandOf(float64(j.rank))
		out = append(out, Finding{Kind: Weak, Severity: guessedSeverity(b).weigh(f), Band: b, Class: "common"})
	}
	if j.seen > 0 {
		out = append(out, Finding{Kind: Breached, Severity: breachSeverity(uint64(j.seen)).weigh(f), Class: seen(uint64(j.seen))})
	}
	if j.accounts > 1 {
		out = append(out, Finding{Kind: Shared, Severity: sharedSeverity(int(j.accounts)).weigh(f), Class: "same-digest", Accounts: int(j.accounts)})
	}
	return out
}

func sharedSeverity(accounts int) Severity {
	if accounts > 10 {
		return High
	}
	return Medium
}

// joinAll fills out, and names the corpora.
func (r *runner) joinAll(ctx context.Context, works []*work, out []joined) (version string, err error) {
	parts := (len(out) + partRows - 1) / partRows
	var versions []string
	for part := range parts {
		keys := make(map[password.Scheme][]bareKey)
		for _, w := range works {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			if w.Cheap == 0 {
				continue
			}
			rows, err := r.open(ctx, w)
			if err != nil {
				return "", err
			}
			for i := range rows {
				scheme, tag, bare := password.Bare(rows[i].Hash)
				if !bare || rows[i].Fault != "" || int(tag[0])%parts != part {
					continue
				}
				k := bareKey{row: uint32(w.First + i)}
				copy(k.key[:], tag)
				keys[scheme] = append(keys[scheme], k)
			}
		}
		for scheme, list := range keys {
			v, err := r.joinScheme(scheme, list, out)
			if err != nil {
				return "", err
			}
			if v != "" && !slices.Contains(versions, v) {
				versions = append(versions, v)
			}
		}
	}
	slices.Sort(versions)
	return strings.Join(versions, ","), nil
}

// sorted puts digests in order. They are spread evenly, so that one pass over
// their first 16 bits leaves little to compare: several times as fast as
// comparing from the start.
func sorted(list []bareKey) []bareKey {
	var ends [1 << 16]int // first the sizes of the buckets, then their ends
	head := func(k *bareKey) int { return int(k.key[0])<<8 | int(k.key[1]) }
	for i := range list {
		ends[head(&list[i])]++
	}
	sum := 0
	for i, n := range ends {
		ends[i] = sum
		sum += n
	}
	out := make([]bareKey, len(list))
	for i := range list {
		at := &ends[head(&list[i])]
		out[*at] = list[i]
		*at++
	}
	begin := 0
	for _, end := range ends {
		slices.SortFunc(out[begin:end], func(a, b bareKey) int { return bytes.Compare(a.key[:], b.key[:]) })
		begin = end
	}
	return out
}

// joinScheme does it for the digests of one scheme.
func (r *runner) joinScheme(scheme password.Scheme, list []bareKey, out []joined) (version string, err error) {
	list = sorted(list)
	// Each digest once, with the place of its first row.
	var keys []wordlists.Key
	var first []int
	for i, k := range list {
		if i == 0 || k.key != list[i-1].key {
			keys, first = append(keys, k.key), append(first, i)
		}
	}
	first = append(first, len(list))
	counts := make([]uint32, len(keys))
	if kind, ok := corpusKinds[scheme]; ok && r.Corpora != nil {
		var c []uint32
		c, version, err = r.Corpora.Join(kind, keys)
		switch {
		case errors.Is(err, verifier.ErrNoCorpus):
		case err != nil:
			return "", err
		default:
			counts = c
		}
	}
	ranks := make([]uint32, len(keys))
	for i, text := range r.common(wordlists.MaxRanked) {
		var key wordlists.Key
		copy(key[:], password.BareTag(scheme, text))
		at, ok := slices.BinarySearchFunc(keys, key, func(a, b wordlists.Key) int { return bytes.Compare(a[:], b[:]) })
		if ok && ranks[at] == 0 {
			ranks[at] = uint32(i + 1)
		}
	}
	for n := range keys {
		for _, k := range list[first[n]:first[n+1]] {
			out[k.row] = joined{accounts: uint32(first[n+1] - first[n]), rank: ranks[n], seen: counts[n]}
		}
	}
	return version, nil
}

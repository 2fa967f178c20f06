// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	zxcvbn "github.com/ccojocar/zxcvbn-go"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// spearman is the weighted rank correlation with weighted mid-ranks (Golla
// and Dürmuth, CCS 2018).
func spearman(x, y, w []float64) float64 {
	rx, ry := midRanks(x, w), midRanks(y, w)
	var sw, mx, my float64
	for i := range w {
		sw += w[i]
		mx += w[i] * rx[i]
		my += w[i] * ry[i]
	}
	mx, my = mx/sw, my/sw
	var xy, xx, yy float64
	for i := range w {
		dx, dy := rx[i]-mx, ry[i]-my
		xy += w[i] * dx * dy
		xx += w[i] * dx * dx
		yy += w[i] * dy * dy
	}
	return xy / math.Sqrt(xx*yy)
}

func midRanks(x, w []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	out := make([]float64, len(x))
	below := 0.0
	for i := 0; i < len(order); {
		j, tied := i, 0.0
		for ; j < len(order) && x[order[j]] == x[order[i]]; j++ {
			tied += w[order[j]]
		}
		for _, k := range order[i:j] {
			out[k] = below + tied/2
		}
		below += tied
		i = j
	}
	return out
}

func guesses(m *strength.Model, t string) float64 {
	e := m.Of([]byte(t), nil)
	return e.GuessesLog10
}

// peer is another estimator for Go, on the same passwords.
func peer(t string) float64 { return zxcvbn.PasswordStrength(t, nil).Entropy }

// agreement correlates estimates with places in a list.
func agreement(m *strength.Model, cs []counted, weighted bool) float64 {
	return agreementOf(func(t string) float64 { return guesses(m, t) }, cs, weighted)
}

func agreementOf(estimate func(string) float64, cs []counted, weighted bool) float64 {
	var x, y, w []float64
	for _, c := range cs {
		x = append(x, estimate(c.text))
		y = append(y, -c.count)
		if weighted {
			w = append(w, c.count)
		} else {
			w = append(w, 1)
		}
	}
	return spearman(x, y, w)
}

func views(m *strength.Model, cs []counted, weighted bool) (s, c, mean float64) {
	var a, b, d, y, w []float64
	for _, p := range cs {
		v := m.Views([]byte(p.text))
		a, b, d = append(a, v.Structure), append(b, v.Chars), append(d, v.Mean)
		y = append(y, -p.count)
		if weighted {
			w = append(w, p.count)
		} else {
			w = append(w, 1)
		}
	}
	return spearman(a, y, w), spearman(b, y, w), spearman(d, y, w)
}

func pick(cs []counted, keep func(string) bool) []counted {
	var out []counted
	for _, c := range cs {
		if keep(c.text) {
			out = append(out, c)
		}
	}
	return out
}

// unknown gives the passwords that no list of m has.
func unknown(m *strength.Model, cs []counted) []counted {
	var out []counted
	for _, c := range cs {
		if e := m.Of([]byte(c.text), nil); !e.Listed {
			out = append(out, c)
		}
	}
	return out
}

// every gives about n of cs, evenly.
func every(cs []counted, n int) []counted {
	var out []counted
	for i := 0; i < len(cs); i += max(1, len(cs)/n) {
		out = append(out, cs[i])
	}
	return out
}

// separates holds an estimator against the passwords whose guesses are known:
// the correlation of ranks, and, with the threshold that refuses a twentieth of
// those from 10^12 guesses, how many per cent below 10^6 and 10^8 it accepts.
func separates(estimate func(string) float64, ks []known) (r float64, accepted [2]float64) {
	var x, y, w []float64
	estimated := make([]known, len(ks))
	for i, k := range ks {
		estimated[i] = known{k.text, k.guesses, estimate(k.text)}
		x, y, w = append(x, estimated[i].weight), append(y, k.guesses), append(w, 1)
	}
	return spearman(x, y, w), acceptedWeak(estimated)
}

// acceptedWeak takes weight for the estimate. With the threshold that refuses
// a twentieth of those from 10^12 guesses, it says how many per cent of those
// below 10^6 and 10^8 are accepted.
func acceptedWeak(ks []known) (accepted [2]float64) {
	threshold := twentieth(ks)
	for i, limit := range []float64{6, 8} {
		weak := 0.0
		for _, k := range ks {
			if k.guesses < limit {
				weak++
				if k.weight >= threshold {
					accepted[i]++
				}
			}
		}
		accepted[i] *= 100 / weak
	}
	return accepted
}

// twentieth is the threshold that refuses a twentieth of those from 10^12
// guesses, with weight for the estimate.
func twentieth(ks []known) float64 {
	var strong []float64
	for _, k := range ks {
		if k.guesses >= 12 {
			strong = append(strong, k.weight)
		}
	}
	slices.Sort(strong)
	return strong[len(strong)/20]
}

// list is a list of passwords with counts. Also is another that has much of it.
type list struct {
	name, also string
	cs         []counted
}

// countedLists reads the lists that have counts, or places that suggest them.
func countedLists(in inputs) ([]list, error) {
	global, err := in.counts("global-pwdb-top100k-count.txt.xz", "|")
	if err != nil {
		return nil, err
	}
	xato, err := in.counts("en-zxcvbn-passwords-47k-count.txt.xz", " ")
	if err != nil {
		return nil, err
	}
	cn, err := in.lines("cn-netease-top100k.txt.xz")
	if err != nil {
		return nil, err
	}
	return []list{{name: "global", cs: global}, {name: "xato", also: "common", cs: xato}, {name: "chinese", cs: byRank(cn, -0.877)}}, nil
}

// halfTables makes tables of half of the passwords, and the curve of the last
// step from them.
func halfTables(in inputs) (*strength.Model, []strength.Knot, error) {
	half, err := tables(in, firstHalf, identity)
	if err != nil {
		return nil, nil, err
	}
	calib, err := calibrate(in, half)
	if err != nil {
		return nil, nil, err
	}
	half, err = tables(in, firstHalf, calib)
	return half, calib, err
}

// evaluate reports how well passwords are judged that the tables have not seen:
// the other half of each list; parts left out of all lists; each list as a whole
// with tables made without it; and those that the curve of guesses was fitted
// to; the peer beside. Then
// comes what the full tables accept of the lists, and of passwords that are
// strong by construction. Accepted is given in per
// cent for 10^6, 10^8 and 10^10 guesses asked for. The correlation is that of
// ranks, weighted by counts where it says so.
func evaluate(in inputs, w io.Writer) error {
	lists, err := countedLists(in)
	if err != nil {
		return err
	}
	half, calib, err := halfTables(in)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "knots", calib)
	unseen := func(s string) bool { return secondHalf("", s) }
	for _, l := range lists {
		b := pick(l.cs, unseen)
		s, c, m := views(half, b, false)
		sw, cw, mw := views(half, b, true)
		fmt.Fprintf(w, "held-out half of %-8s unweighted: final %.3f structure %.3f chars %.3f mean %.3f; weighted: final %.3f structure %.3f chars %.3f mean %.3f\n",
			l.name, agreement(half, b, false), s, c, m, agreement(half, b, true), sw, cw, mw)
		ll, n := 0.0, 0
		for _, p := range b {
			if v := half.Views([]byte(p.text)); v.Known {
				ll += v.CharsCost
				n++
			}
		}
		fmt.Fprintf(w, "  mean chars cost %.4f\n", ll/float64(n))
		fmt.Fprintf(w, "  accepted at 1e6 / 1e8 / 1e10: %s\n", rates(half, b))
	}
	if err := leftOut(in, calib, partsToReport, w); err != nil {
		return err
	}
	type trial struct {
		list
		m   *strength.Model
		err error
	}
	var without []trial
	for _, l := range lists {
		without = append(without, trial{list: l})
	}
	var wg sync.WaitGroup
	for i := range without {
		l := &without[i]
		wg.Go(func() {
			l.m, l.err = tables(in, func(list, text string) bool { return list != l.name && list != l.also }, calib)
		})
	}
	wg.Wait()
	for _, l := range without {
		if l.err != nil {
			return l.err
		}
		head, unlisted := l.cs[:900], unknown(l.m, l.cs)
		sample := every(unlisted, 3000)
		fmt.Fprintf(w, "list %-8s left out: head of 900 %.3f (ccojocar %.3f), all %.3f, accepted %s\n",
			l.name, agreement(l.m, head, true), agreementOf(peer, head, true), agreement(l.m, l.cs, true), rates(l.m, l.cs))
		fmt.Fprintf(w, "  %d in no other list: unweighted %.3f, of %d %.3f (ccojocar %.3f), accepted %s\n",
			len(unlisted), agreement(l.m, unlisted, false), len(sample), agreement(l.m, sample, false), agreementOf(peer, sample, false), rates(l.m, unlisted))
	}
	pop, err := population(in)
	if err != nil {
		return err
	}
	var made []known
	for _, class := range slices.Sorted(maps.Keys(pop)) {
		made = append(made, pop[class][:min(4000, len(pop[class]))]...)
	}
	for _, e := range []struct {
		name string
		f    func(string) float64
	}{{"ours", func(t string) float64 { return guesses(half, t) }}, {"ccojocar", peer}} {
		r, accepted := separates(e.f, made)
		fmt.Fprintf(w, "%d with known guesses, %-8s: unweighted %.3f; where 5 %% of those from 10^12 are refused, %.2f %% below 10^6 and %.2f %% below 10^8 are accepted\n",
			len(made), e.name, r, accepted[0], accepted[1])
	}
	full, err := tables(in, all, calib)
	if err != nil {
		return err
	}
	for _, l := range lists {
		fmt.Fprintf(w, "full tables, %-8s accepted: as is %s; capital %s; digit behind %s; two digits %s; upper %s\n", l.name, rates(full, l.cs),
			rates(full, change(l.cs, func(i int, s string) string { return strings.ToUpper(s[:1]) + s[1:] })),
			rates(full, change(l.cs, func(i int, s string) string { return s + string(rune('0'+i%10)) })),
			rates(full, change(l.cs, func(i int, s string) string { return fmt.Sprintf("%s%02d", s, i%100) })),
			rates(full, change(l.cs, func(i int, s string) string { return strings.ToUpper(s) })))
	}
	sets, err := strong(in, 2000)
	if err != nil {
		return err
	}
	for _, s := range sets {
		for _, m := range []*strength.Model{half, full} {
			fmt.Fprintf(w, "strong %-26s accepted %s lowest %.1f\n", s.name, rates(m, s.cs), lowest(m, s.cs))
		}
	}
	return nil
}

func change(cs []counted, f func(int, string) string) []counted {
	out := make([]counted, len(cs))
	for i, c := range cs {
		out[i] = counted{f(i, c.text), c.count}
	}
	return out
}

func rates(m *strength.Model, cs []counted) string {
	var a, b, c int
	for _, p := range cs {
		g := guesses(m, p.text)
		if g >= 6 {
			a++
		}
		if g >= 8 {
			b++
		}
		if g >= 10 {
			c++
		}
	}
	n := float64(len(cs)) / 100
	return fmt.Sprintf("%.2f/%.2f/%.2f %%", float64(a)/n, float64(b)/n, float64(c)/n)
}

func lowest(m *strength.Model, cs []counted) float64 {
	low := math.Inf(1)
	for _, c := range cs {
		low = min(low, guesses(m, c.text))
	}
	return low
}

type set struct {
	name string
	bits float64 // log10 of the number of texts it is drawn from
	cs   []counted
}

// strong draws passwords that are strong by construction.
func strong(in inputs, n int) ([]set, error) {
	eff, err := in.lines("common-eff-diceware-7776.txt.xz")
	if err != nil {
		return nil, err
	}
	pinyinLines, err := in.lines("cn-zxcvbnts-common-words-pinyin.txt.xz")
	if err != nil {
		return nil, err
	}
	var pinyin []string
	for _, l := range pinyinLines {
		if p := plain(l); len(p) >= 2 {
			pinyin = append(pinyin, p)
		}
	}
	slices.Sort(pinyin)
	pinyin = slices.Compact(pinyin)
	han, err := in.lines("cn-jieba-dict-small-freq.txt.xz")
	if err != nil {
		return nil, err
	}
	var hanzi, syll []string
	for _, l := range han {
		f := strings.Fields(l)
		if k := len([]rune(f[0])); k == 2 && number(f[1]) >= 100 {
			hanzi = append(hanzi, f[0])
		}
	}
	rd, err := readings(in)
	if err != nil {
		return nil, err
	}
	for _, s := range rd {
		syll = append(syll, s)
	}
	slices.Sort(syll)
	syll = slices.Compact(syll)
	rng := rand.New(rand.NewPCG(4, 1))
	alnum := []rune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	random := func(abc []rune, k int) func() string {
		return func() string {
			b := make([]rune, k)
			for i := range b {
				b[i] = abc[rng.IntN(len(abc))]
			}
			return string(b)
		}
	}
	join := func(ws []string, k int, sep string) func() string {
		return func() string {
			var b []string
			for range k {
				b = append(b, ws[rng.IntN(len(ws))])
			}
			return strings.Join(b, sep)
		}
	}
	lg := func(n, k int) float64 { return float64(k) * log10(float64(n)) }
	kinds := []struct {
		name string
		bits float64
		f    func() string
	}{
		{"random 10 alnum", lg(62, 10), random(alnum, 10)},
		{"random 10 lower+digit", lg(36, 10), random(alnum[:36], 10)},
		{"random 12 alnum", lg(62, 12), random(alnum, 12)},
		{"random 16 alnum", lg(62, 16), random(alnum, 16)},
		{"random 12 lower", lg(26, 12), random(alnum[10:36], 12)},
		{"4 EFF words joined", lg(7776, 4), join(eff, 4, "")},
		{"4 EFF words spaced", lg(7776, 4), join(eff, 4, " ")},
		{"4 EFF words dashed", lg(7776, 4), join(eff, 4, "-")},
		{"5 pinyin words joined", lg(len(pinyin), 5), join(pinyin, 5, "")},
		{"5 pinyin words spaced", lg(len(pinyin), 5), join(pinyin, 5, " ")},
		{"5 pinyin syllables joined", lg(len(syll), 5), join(syll, 5, "")},
		{"5 pinyin syllables dashed", lg(len(syll), 5), join(syll, 5, "-")},
		{"4 hanzi words", lg(len(hanzi), 4), join(hanzi, 4, "")},
		{"4 hanzi words spaced", lg(len(hanzi), 4), join(hanzi, 4, " ")},
	}
	var out []set
	for _, k := range kinds {
		s := set{name: k.name, bits: k.bits}
		for range n {
			s.cs = append(s.cs, counted{k.f(), 1})
		}
		out = append(out, s)
	}
	return out, nil
}

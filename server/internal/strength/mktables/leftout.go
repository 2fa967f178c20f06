// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// Parts of all texts are left out of every list in turn, so that the tables
// know their passwords from nowhere: each part is a tenth. Three parts are for
// choosing settings, three others for reporting.
const parts = 10

var (
	partsToChoose = []int{0, 1, 2}
	partsToReport = []int{5, 6, 7}
)

// partOf gives the part of a text. All that differ in case only are together.
func partOf(t string) int {
	h := uint64(hashText(strings.ToLower(t))) * 0x9e3779b97f4a7c15
	return int(h >> 32 * parts >> 32)
}

// judged holds what was said about passwords that were left out.
type judged struct {
	text                 string
	count                float64
	ours, peer, attacked float64
}

// leftOut reports how passwords are judged that are on no list, as far as the
// tables know: the correlation of ranks with how often they are used, and with
// the guesses of an attacker who has not seen them either. The tail is made of
// texts that such an attacker comes to, and that no list has.
func leftOut(in inputs, calib []strength.Knot, which []int, w io.Writer) error {
	lists, err := countedLists(in)
	if err != nil {
		return err
	}
	english, err := in.counts("en-zxcvbn-wikipedia-count.txt.xz", " ")
	if err != nil {
		return err
	}
	var words []string
	for _, e := range english[:30000] {
		words = append(words, e.text)
	}
	whole, err := readCorpus(in, all)
	if err != nil {
		return err
	}
	onList := map[string]bool{}
	for _, p := range whole {
		onList[strings.ToLower(p.text)] = true
	}
	tail := newAttacker(whole, words).tail(9000, func(t string) bool { return onList[strings.ToLower(t)] })
	sets := map[string][]judged{}
	for i, part := range which {
		keep := func(_, text string) bool { return partOf(text) != part }
		c, err := readCorpus(in, keep)
		if err != nil {
			return err
		}
		a := newAttacker(c, words)
		m, err := tables(in, keep, calib)
		if err != nil {
			return err
		}
		judge := func(set, t string, count, attacked float64) {
			sets[set] = append(sets[set], judged{t, count, guesses(m, t), peer(t), attacked})
		}
		for _, l := range lists {
			for _, p := range l.cs {
				if partOf(p.text) == part && usable(p.text) {
					judge(l.name, p.text, p.count, a.guesses(p.text))
				}
			}
		}
		for k := i; k < len(tail); k += len(which) {
			judge("tail", tail[k].text, 1, tail[k].guesses)
		}
	}
	for _, l := range lists {
		mixed := slices.DeleteFunc(slices.Clone(sets[l.name]), func(j judged) bool {
			return !strings.ContainsAny(j.text, "0123456789") || !strings.ContainsAny(strings.ToLower(j.text), "abcdefghijklmnopqrstuvwxyz")
		})
		for i, js := range [][]judged{sets[l.name], mixed} {
			class := [...]string{"all", "letters and digits"}[i]
			fmt.Fprintf(w, "left out of all lists, %-7s %5d %-18s by count: weighted %s, unweighted %s; by the attacker's guesses: %s\n", l.name, len(js), class,
				bothAgree(js, func(j judged) (float64, float64) { return -j.count, j.count }),
				bothAgree(js, func(j judged) (float64, float64) { return -j.count, 1 }),
				bothAgree(js, func(j judged) (float64, float64) { return j.attacked, 1 }))
		}
	}
	fmt.Fprintf(w, "on no list, tail  %5d by the attacker's guesses: %s\n", len(sets["tail"]), bothAgree(sets["tail"], func(j judged) (float64, float64) { return j.attacked, 1 }))
	for _, e := range []struct {
		name string
		of   func(judged) float64
	}{{"ours", func(j judged) float64 { return j.ours }}, {"ccojocar", func(j judged) float64 { return j.peer }}} {
		var ks []known
		for _, set := range []string{"global", "xato", "tail"} {
			for _, j := range sets[set] {
				ks = append(ks, known{j.text, j.attacked, e.of(j)})
			}
		}
		accepted, threshold, chinese := acceptedWeak(ks), twentieth(ks), 0.0
		for _, j := range sets["chinese"] {
			if e.of(j) >= threshold {
				chinese += 100 / float64(len(sets["chinese"]))
			}
		}
		fmt.Fprintf(w, "global, xato and tail, %-8s: where 5 %% of those from 10^12 guesses of the attacker are refused, %.2f %% below 10^6 and %.2f %% below 10^8 are accepted, and %.1f %% of chinese\n",
			e.name, accepted[0], accepted[1], chinese)
	}
	return nil
}

// bothAgree correlates our estimates and the peer's with what of gives, and
// its weight.
func bothAgree(js []judged, of func(judged) (value, weight float64)) string {
	var ours, theirs, y, w []float64
	for _, j := range js {
		v, weight := of(j)
		ours, theirs, y, w = append(ours, j.ours), append(theirs, j.peer), append(y, v), append(w, weight)
	}
	return fmt.Sprintf("%.3f (ccojocar %.3f)", spearman(ours, y, w), spearman(theirs, y, w))
}

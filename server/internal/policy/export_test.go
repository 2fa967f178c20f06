// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

// Templates gives every sentence of the package by language, for the test
// that holds the languages against each other.
func Templates() map[string][2]string {
	out := map[string][2]string{}
	for prefix, all := range map[string]map[string]text{"message ": messages, "advice ": advices, "description ": descriptions} {
		for k, t := range all {
			out[prefix+k] = [2]string{t.en, t.zh}
		}
	}
	for _, l := range lints {
		out["lint "+l.code] = [2]string{l.text.en, l.text.zh}
	}
	return out
}

// Interval is the confidence interval of k out of n.
func Interval(k, n uint64) Share { return share(k, n) }

// WordTables gives the two word lists and a reading.
func WordTables() (eff, pinyin []string, reading func(rune) string) {
	return effWords(), pinyinWords(), pinyinOf
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/watchword-project/watchword/server/internal/meter"
	"github.com/watchword-project/watchword/wordlists"
)

// vector is one line of the file that is run in every engine: a call, and the
// bytes that it gives here.
type vector struct {
	Policies []meter.Answer `json:"policies"` // as they are loaded; the last one judges
	Password string         `json:"password"`
	Previous string         `json:"previous,omitempty"`
	Options  options        `json:"options"`
	Answer   string         `json:"answer"`
}

type options struct {
	Context *known `json:"context,omitempty"`
	Use     string `json:"use,omitempty"`
	Purpose string `json:"purpose,omitempty"`
	Locale  string `json:"locale,omitempty"`
}

type known struct {
	Login     string   `json:"login,omitempty"`
	Emails    []string `json:"emails,omitempty"`
	Names     []string `json:"names,omitempty"`
	Phones    []string `json:"phones,omitempty"`
	BirthDate string   `json:"birthDate,omitempty"`
	Words     []string `json:"words,omitempty"`
}

// own are policies as an operator writes them: every rule that a page can
// judge, parents, shadow mode, patterns.
var own = map[string]string{
	"house": "version: 3\nextends: nist-800-63b-4\nrules:\n  length: {min: 10, min_mfa: 6}\n" +
		"  contains: {context: true, words: [watchword, 密码, 'Straße']}\n  guesses: {min_log10: 9, min_log10_mfa: 7}\n",
	"house.shop": "version: 1\nextends: house\nlocked: [contains]\nrules:\n  fuzzy: {points: 6, words: [lantern, 灯笼]}\n" +
		"  repeat: {whole: true, max_run: 3, min_distinct: 5}\n  sequence: {whole: true, max: 4}\n",
	"patterns": "version: 1\ntitle: {en: Patterns, zh-CN: 格式}\nrules:\n  length: {min: 6}\n  composition: {min_classes: 3, min_non_letters: 1, uses: [single]}\n" +
		"  patterns: {list: [{id: no-year-at-end, forbid: '(19|20)[0-9]{2}$'}, {id: a-letter, require: '\\p{L}'}]}\n  similarity: {min_distance: 5}\n",
	"quiet": "version: 9\nmode: shadow\nrules:\n  length: {min: 40}\n",
}

func loaded(name string) []meter.Answer {
	switch name {
	case "house.shop":
		return []meter.Answer{{Policy: "house", YAML: own["house"]}, {Policy: name, YAML: own[name]}}
	case "house", "patterns", "quiet":
		return []meter.Answer{{Policy: name, YAML: own[name]}}
	}
	return []meter.Answer{{Policy: name}}
}

// people are contexts, among them ones that are larger than is looked at.
func people() []*known {
	many := &known{}
	for i := range 300 {
		many.Words = append(many.Words, fmt.Sprintf("word%d", i))
	}
	return []*known{
		nil,
		{Login: "alice.liddell", Emails: []string{"alice@wonderland.example"}, Names: []string{"Alice Liddell"}, BirthDate: "1992-05-04"},
		{Login: "zhangwei", Names: []string{"张伟"}, Phones: []string{"+86 138 0013 8000"}, BirthDate: "1985-12-31", Words: []string{"某某银行", "Moumou Bank"}},
		{Login: "ouyang_xx", Names: []string{"欧阳", "小雪"}, Emails: []string{"ouyang.xiaoxue@example.cn"}},
		{Login: "j.müller", Names: []string{"Jürgen", "Müller"}, Words: []string{"Straßenbahn", "<script>alert(1)</script>", "{{x}}"}},
		{Login: strings.Repeat("long", 200), Words: []string{"", " ", "a", "🦊"}},
		many,
	}
}

// passwords makes candidates of all kinds. Equal seeds make equal ones.
func passwords(rng *rand.Rand, n int) []string {
	var heads []string
	for w := range wordlists.Ranked() {
		heads = append(heads, w)
		if len(heads) == 20_000 {
			break
		}
	}
	pick := func(s []string) string { return s[rng.IntN(len(s))] }
	some := func(alphabet []rune, least, most int) string {
		out := make([]rune, least+rng.IntN(most-least+1))
		for i := range out {
			out[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(out)
	}
	words := strings.Fields("tangled lantern orbit walrus copper meadow violin anchor pepper glacier saddle ribbon thunder cactus wo ai ni zhang wei mima beijing kaixin pengyou")
	hanzi := []rune("春眠不觉晓处闻啼鸟夜来风雨声花落知多少张伟密码開車龍鳳")
	ascii := []rune(" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~")
	odd := []rune("éÉßıİſǅﬁ①Ⅳ㎏½ＡｂＣ１２３カﾞがЖжΩωאبहि한กำ🦊👩‍👩‍👧🇨🇳\u0301\u0323\u200b\u202e\ufeff\u2028\u00a0")
	leet := strings.NewReplacer("a", "@", "e", "3", "i", "1", "o", "0", "s", "$")
	reverse := func(s string) string { r := []rune(s); slices.Reverse(r); return string(r) }
	kinds := []func() string{
		func() string { return pick(heads) },
		func() string { return leet.Replace(pick(heads)) },
		func() string { return strings.ToUpper(pick(heads)) },
		func() string { return reverse(pick(heads)) },
		func() string { return pick(heads) + some([]rune("0123456789!?."), 1, 5) },
		func() string { return strings.Repeat(pick(heads), 2+rng.IntN(3)) },
		func() string { return pick(heads) + pick(heads) },
		func() string { return some(ascii, 1, 40) },
		func() string { return some([]rune("abcdefghijklmnopqrstuvwxyz0123456789"), 6, 20) },
		func() string { return some([]rune("0123456789"), 4, 18) },
		func() string { return some(odd, 1, 24) },
		func() string { return norm.NFD.String(some(odd, 1, 24) + "Ångström") },
		func() string { return some(hanzi, 2, 14) },
		func() string { return some(hanzi, 1, 4) + some([]rune("0123456789"), 2, 8) },
		func() string { return strings.Join([]string{pick(words), pick(words), pick(words), pick(words)}, " ") },
		func() string { return pick(words) + pick(words) + pick(words) + "7" },
		func() string {
			return fmt.Sprintf("%s%04d%02d%02d", pick(words), 1950+rng.IntN(80), 1+rng.IntN(12), 1+rng.IntN(28))
		},
		func() string { return "1" + some([]rune("3456789"), 1, 1) + some([]rune("0123456789"), 9, 9) },
		func() string {
			return pick([]string{"alice", "Liddell", "l1ddell", "ecila", "wonderland", "19920504", "zhangwei", "张伟", "zw1231", "ouyang", "欧阳小雪", "Muller", "müller", "strassenbahn", "13800138000", "moumou"}) +
				pick([]string{"", "1", "!!", "2024", "123", "@home", "张", "-x"})
		},
		func() string {
			return pick([]string{"qwerty", "asdfgh", "1qaz2wsx", "abcdef", "987654", "5201314", "woaini", "zxcvbn"}) + some(ascii, 0, 6)
		},
	}
	out := []string{
		"", " ", "a", "\x00", "tab\tinside", "line\nbreak", "\u0085", "\u200b", "\ufeff",
		strings.Repeat("a", 1024), strings.Repeat("a", 4096), strings.Repeat("a", 4097), strings.Repeat("a", 16384), strings.Repeat("é", 2049),
		strings.Repeat("e\u0301", 1300), strings.Repeat("\u1100\u1161\u11a8", 1365), strings.Repeat("\u1100\u1161\u11a8", 1366), strings.Repeat("🦊", 1024), strings.Repeat("密", 1365),
		strings.Repeat("4@8({[</369&#!1/", 64), strings.Repeat("password", 128), strings.Repeat("ab", 600), "a" + strings.Repeat("\u0301", 100),
		`<script>alert("x")</script>`, `"><img src=x onerror=alert(1)>`, `{"password":"x"}`, `\u0041\\"'`, "${7*7}{{7*7}}", "Robert'); DROP TABLE--", "\u2028\u2029 two lines",
		"correct horse battery staple", "Tr0ub4dor&3", "P@ssw0rd!!!", "woaini1314520", "11010519491231002X", "moc.elgoog123",
	}
	for len(out) < n {
		out = append(out, kinds[len(out)%len(kinds)]())
	}
	return out
}

// vectors makes n calls over all policies, and what they give here.
func vectors(n int) ([]vector, error) {
	rng := rand.New(rand.NewPCG(9, 87))
	names := append(meter.Names(), "house", "house.shop", "patterns", "quiet")
	who := people()
	uses := []string{"", "USE_SINGLE_FACTOR", "USE_MULTI_FACTOR"}
	purposes := []string{"", "PURPOSE_SIGNUP", "PURPOSE_CHANGE", "PURPOSE_RESET", "PURPOSE_LOGIN"}
	locales := []string{"", "en", "zh-CN"}
	e := meter.New(nil, wordlists.Common())
	handles := map[string]int{}
	all := passwords(rng, n)
	out := make([]vector, n)
	for i, pw := range all {
		name := names[(i+i/len(names))%len(names)]
		v := vector{Policies: loaded(name), Password: pw, Options: options{
			Context: who[rng.IntN(len(who))], Use: uses[rng.IntN(len(uses))], Purpose: purposes[rng.IntN(len(purposes))], Locale: locales[rng.IntN(len(locales))],
		}}
		switch rng.IntN(4) {
		case 0:
			v.Previous = pw + "1"
		case 1:
			v.Previous = all[rng.IntN(len(all))]
		}
		if handles[name] == 0 {
			l, err := e.Load(meter.JSON(v.Policies, nil))
			if err != nil {
				return nil, err
			}
			handles[name] = l.Handle
		}
		answer, err := e.Check(handles[name], []byte(pw), []byte(v.Previous), meter.JSON(v.Options, nil))
		v.Answer = string(meter.JSON(answer, err))
		out[i] = v
	}
	return out, nil
}

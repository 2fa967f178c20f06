// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// password is a listed password with its share of all logins: a mixture of
// the lists, each scaled to one.
type password struct {
	text  string
	share float64
}

// Weights of the lists in the mixture. A quarter is Chinese: one default for
// both languages.
const (
	weightGlobal  = 0.40
	weightXato    = 0.22
	weightCommon  = 0.10
	weightChinese = 0.25
	weightDefault = 0.0003 // vendors' defaults are known, not frequent
)

// corpus holds the listed passwords, most frequent first.
type corpus []password

// readCorpus merges the password lists. keep may leave texts out.
func readCorpus(in inputs, keep func(list, text string) bool) (corpus, error) {
	share := map[string]float64{}
	add := func(list string, weight float64, cs []counted) {
		total := 0.0
		for _, c := range cs {
			total += c.count
		}
		for _, c := range cs {
			t := norm.NFC.String(c.text)
			if utf8.ValidString(t) && usable(t) && keep(list, t) {
				share[t] = float64(share[t] + float64(weight*c.count)/total)
			}
		}
	}
	global, err := in.counts("global-pwdb-top100k-count.txt.xz", "|")
	if err != nil {
		return nil, err
	}
	add("global", weightGlobal, global)

	// The xato list has ranks, a part of it has counts; the rank law is the
	// usual one, with the exponent the counted part shows.
	xato, err := in.lines("en-xato-top100k.txt.xz")
	if err != nil {
		return nil, err
	}
	seen, err := in.counts("en-zxcvbn-passwords-47k-count.txt.xz", " ")
	if err != nil {
		return nil, err
	}
	counts := map[string]float64{}
	for _, c := range seen {
		counts[c.text] = c.count
	}
	var ranked []counted
	for i, t := range xato {
		c := float64(60000 * power(float64(i+1), -0.75))
		if n, ok := counts[t]; ok {
			c = n
		}
		delete(counts, t)
		ranked = append(ranked, counted{t, c})
	}
	for _, c := range seen {
		if _, ok := counts[c.text]; ok {
			ranked = append(ranked, c)
		}
	}
	add("xato", weightXato, ranked)

	common, err := in.lines("common-zxcvbnts-passwords.txt.xz")
	if err != nil {
		return nil, err
	}
	add("common", weightCommon, byRank(common, -0.75))

	chinese, err := in.lines("cn-netease-top100k.txt.xz")
	if err != nil {
		return nil, err
	}
	add("chinese", weightChinese, byRank(chinese, -0.877))

	defaults, err := in.lines("default-credentials.csv.xz")
	if err != nil {
		return nil, err
	}
	var def []string
	for _, l := range defaults[1:] {
		if t := l[strings.LastIndexByte(l, ',')+1:]; t != "" && !strings.ContainsAny(t, "<>\"") {
			def = append(def, t)
		}
	}
	slices.Sort(def)
	add("default", weightDefault, byRank(slices.Compact(def), 0))

	out := make(corpus, 0, len(share))
	for t, s := range share {
		out = append(out, password{t, s})
	}
	slices.SortFunc(out, func(a, b password) int {
		return cmp.Or(cmp.Compare(b.share, a.share), strings.Compare(a.text, b.text))
	})
	return out, nil
}

// byRank gives each line the count that its place suggests.
func byRank(ls []string, exponent float64) []counted {
	out := make([]counted, len(ls))
	for i, l := range ls {
		out[i] = counted{l, power(float64(i+1), exponent)}
	}
	return out
}

// usable leaves out what is no password: control characters, and the marks
// that a broken export leaves behind.
func usable(t string) bool {
	for _, r := range t {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return false
		}
	}
	return t != ""
}

// tokens collects the lexicon: for each text the cheapest token it can be.
type tokens map[string]entry

// entry keeps, next to the cost of a token, the one its list suggests.
type entry struct {
	strength.Entry
	Rank int
}

func (ts tokens) add(text string, kind strength.Kind, cost float64) {
	c := round(1000 * cost)
	e, ok := ts[text]
	if !ok {
		e = entry{Entry: strength.Entry{Text: text, ListLog: -1}}
	}
	if !e.Token || c < e.Cost {
		e.Token, e.Kind, e.Cost, e.Rank = true, kind, c, c
	}
	ts[text] = e
}

// love lists digits that are read as a phrase in Chinese (520: I love you;
// 1314: a whole life; 7758: kiss me, hold me; 584: I swear; 88: good-bye …).
var love = []string{
	"520", "521", "1314", "5201314", "5211314", "1314520", "1314521", "520520", "521521", "52013", "5201314520", "5209", "5120", "530", "5320", "5240",
	"5230", "1392010", "5420", "184", "594184", "584", "584520", "5845201314", "5841314", "584131421", "1573", "3344", "3344520", "3344521", "33445", "770",
	"775", "7758", "77582", "7758258", "7758521", "7758520", "77585210", "77582100", "147", "1414", "447735", "596", "9421", "9494", "99", "995", "918",
	"886", "88", "87", "829475", "825", "1711", "1920", "1798", "2013", "201314", "20131420", "14535", "1372", "1920184", "259695", "259758", "246437", "31707",
	"0451392", "04551", "0594184", "360", "456", "510", "517230", "53719", "53770", "53880", "53980", "5366", "5376", "543720", "54430", "54335", "570", "5871", "6785753",
	"687", "70345", "7086", "7319", "73748096", "74839", "756", "7878", "8013", "8074", "8834760", "898", "9089", "910", "940194", "9908875", "0748", "0837", "168", "518", "666", "888", "51020", "5203344",
}

// lexicon makes the entries for the listed passwords c and for the dictionaries.
// The costs are those of places in lists; learn improves them.
func lexicon(in inputs, c corpus) (tokens, error) {
	ts := tokens{}
	place := func(i int) float64 { return log10(float64(i + 1)) }
	for _, d := range []struct {
		name string
		top  int
		sep  string
	}{
		{"en-zxcvbn-wikipedia-count.txt.xz", 30000, " "},
		{"en-zxcvbn-tv-film-count.txt.xz", 15000, " "},
	} {
		ws, err := in.counts(d.name, d.sep)
		if err != nil {
			return nil, err
		}
		for i, w := range ws[:d.top] {
			if len(w.text) >= 3 || i < 300 && len(w.text) == 2 {
				ts.add(w.text, strength.KindWord, place(i))
			}
		}
	}
	for _, d := range []struct {
		name  string
		top   int
		kind  strength.Kind
		extra float64
		least int
	}{
		{"en-zxcvbn-male-names.txt.xz", 1 << 20, strength.KindName, 0.3, 3},
		{"en-zxcvbn-female-names.txt.xz", 1 << 20, strength.KindName, 0.3, 3},
		{"en-zxcvbn-surnames.txt.xz", 10000, strength.KindName, 0.4, 3},
		{"cn-zxcvbnts-lastnames-pinyin.txt.xz", 1 << 20, strength.KindPinyin, 0, 2},
		{"cn-zxcvbnts-firstname-syllables.txt.xz", 1 << 20, strength.KindPinyin, 0.2, 2},
		{"cn-zxcvbnts-common-words-pinyin.txt.xz", 1 << 20, strength.KindPinyin, 0.2, 2},
		{"cn-zxcvbnts-wikipedia-pinyin.txt.xz", 1 << 20, strength.KindPinyin, 0.2, 2},
	} {
		ls, err := in.lines(d.name)
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		for _, l := range ls[:min(d.top, len(ls))] {
			t := plain(l)
			if len(t) < d.least || seen[t] {
				continue
			}
			ts.add(t, d.kind, place(len(seen))+d.extra)
			seen[t] = true
		}
	}
	for _, name := range []string{"cn-zxcvbnts-word-sequences.json.xz", "en-zxcvbnts-word-sequences.json.xz"} {
		ws, err := in.groups(name, "cardinal", "ordinal", "days", "months")
		if err != nil {
			return nil, err
		}
		for _, w := range ws {
			if w = plain(w); len(w) >= 4 {
				ts.add(w, strength.KindSequence, 1.6)
			}
		}
	}
	for i, d := range love {
		if len(d) >= 3 {
			ts.add(d, strength.KindLoveDigits, 0.8+place(i)*0.7)
		}
	}
	han, err := in.lines("cn-jieba-dict-small-freq.txt.xz")
	if err != nil {
		return nil, err
	}
	total := 0.0
	var words []counted
	for _, l := range han {
		f := strings.Fields(l)
		if len(f) < 2 {
			continue
		}
		n := number(f[1])
		total += n
		if n >= 50 && utf8.RuneCountInString(f[0]) <= 8 {
			words = append(words, counted{f[0], n})
		}
	}
	for _, w := range words {
		ts.add(w.text, strength.KindHanzi, log10(total/w.count))
	}
	for i, p := range c {
		e, ok := ts[p.text]
		if !ok {
			e = entry{Entry: strength.Entry{Text: p.text}}
		}
		e.ListLog = round(1000 * place(i))
		ts[p.text] = e
		t := strings.ToLower(p.text)
		switch n := utf8.RuneCountInString(t); {
		case n < 3 || n > 24:
		case !ts[t].Token:
			ts.add(t, strength.KindListed, place(i))
		default:
			ts.add(t, ts[t].Kind, place(i))
		}
	}
	for r := ' '; r <= '~'; r++ {
		if r < 'A' || r > 'Z' {
			ts.add(string(r), short, 1.3)
		}
	}
	for n := range 1110 {
		t := strconv.Itoa(n)
		if n >= 10 && n < 110 {
			t = fmt.Sprintf("%02d", n-10)
		} else if n >= 110 {
			t = fmt.Sprintf("%03d", n-110)
		}
		if _, ok := ts[t]; !ok {
			ts.add(t, short, float64(len(t)))
		}
	}
	return ts, nil
}

// short is the kind of a few digits or one sign or letter as a token.
const short = strength.KindUnspecified

// learn sets the costs of tokens by how often they are parts of passwords.
// Each half of the passwords is taken apart with the tokens of the other, so
// that no password is explained by itself. A token's own frequency is mixed
// with what its place in its list suggests.
func learn(in inputs, ts tokens, c corpus) error {
	var parts [2]tokens
	for side := range parts {
		var train corpus
		for _, p := range c {
			if int(hashText(p.text)>>1&1) == side {
				train = append(train, p)
			}
		}
		var err error
		if parts[side], err = lexicon(in, train); err != nil {
			return err
		}
	}
	for range 2 { // the second time with what was learned the first time
		u, err := count(parts, ts, c)
		if err != nil {
			return err
		}
		u.cost(parts[0])
		u.cost(parts[1])
		u.cost(ts)
	}
	return nil
}

// usage counts the parts of passwords, by text and by kind.
type usage struct {
	tokens map[string]float64
	kinds  [16]float64
}

func count(parts [2]tokens, ts tokens, c corpus) (usage, error) {
	u := usage{tokens: map[string]float64{}}
	least := c[len(c)-1].share
	for side := range parts {
		m, err := bare(parts[side])
		if err != nil {
			return u, err
		}
		for _, p := range c {
			if int(hashText(p.text)>>1&1) == side {
				continue
			}
			w := power(p.share/least, chosen.exponent)
			e := m.Of([]byte(p.text), nil)
			low := []rune(strings.ToLower(p.text))
			if e.Listed || len(low) > strength.MaxRunes {
				continue
			}
			for i := range e.Len() {
				s := e.Segment(i)
				for _, t := range pieces(string(low[s.Start:s.End]), s.Kind) {
					x, ok := ts[t]
					if ok && x.Token && (s.Kind == x.Kind || s.Kind == strength.KindBruteforce && x.Kind == short) {
						u.tokens[t] = float64(u.tokens[t] + w)
						u.kinds[x.Kind] = float64(u.kinds[x.Kind] + w)
					}
				}
			}
		}
	}
	return u, nil
}

// cost sets the costs of tokens, given their kind.
func (u usage) cost(ts tokens) {
	var prior [16]float64
	texts := slices.Sorted(maps.Keys(ts))
	for _, t := range texts {
		if e := ts[t]; e.Token {
			prior[e.Kind] = float64(prior[e.Kind] + power(10, -float64(e.Rank)/1000))
		}
	}
	for _, t := range texts {
		e := ts[t]
		if !e.Token {
			continue
		}
		q := power(10, -float64(e.Rank)/1000) / prior[e.Kind]
		k := float64(smoothing*u.kinds[e.Kind]) + 1
		p := float64(u.tokens[t]+float64(k*q)) / float64(u.kinds[e.Kind]+k)
		e.Cost = round(-1000 * log10(p))
		ts[t] = e
	}
}

// smoothing is the weight of what the place in a list suggests, against what
// was counted.
const smoothing = 0.5

// pieces takes unrecognised text apart into runs of digits, of letters and
// of signs.
func pieces(s string, k strength.Kind) []string {
	if k != strength.KindBruteforce {
		return []string{s}
	}
	sort := func(b byte) int {
		switch {
		case '0' <= b && b <= '9':
			return 1
		case b < 128 && (b < 'a' || b > 'z'):
			return 2
		}
		return 0
	}
	var out []string
	for from, i := 0, 1; i <= len(s); i++ {
		if i == len(s) || sort(s[i]) != sort(s[from]) {
			out = append(out, s[from:i])
			from = i
		}
	}
	return out
}

// bare makes tables without a character model.
func bare(ts tokens) (*strength.Model, error) {
	src := strength.Source{Entries: ts.entries(), Unigrams: make([]int, strength.NumSymbols), Markov: identity, Calib: identity, Logs: logs()}
	b, err := strength.Compile(src)
	if err != nil {
		return nil, err
	}
	return strength.Parse(b)
}

func (ts tokens) entries() []strength.Entry {
	out := make([]strength.Entry, 0, len(ts))
	for _, e := range ts {
		out = append(out, e.Entry)
	}
	slices.SortFunc(out, func(a, b strength.Entry) int { return strings.Compare(a.Text, b.Text) })
	return out
}

// plain takes the tone marks and everything but letters off pinyin.
func plain(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(s)) {
		switch {
		case 'a' <= r && r <= 'z':
			b.WriteRune(r)
		case r == '\u0308': // the dots of ü, which is typed as v
			t := b.String()
			if strings.HasSuffix(t, "u") {
				b.Reset()
				b.WriteString(t[:len(t)-1] + "v")
			}
		}
	}
	return b.String()
}

// readings reads the commonest reading of each character.
func readings(in inputs) (map[rune]string, error) {
	ls, err := in.lines("cn-pinyin-kmandarin-8105.txt.xz")
	if err != nil {
		return nil, err
	}
	out := map[rune]string{}
	for _, l := range ls {
		l, char, ok := strings.Cut(l, "#")
		code, reading, ok2 := strings.Cut(l, ":")
		if !ok || !ok2 || !strings.HasPrefix(code, "U+") {
			continue
		}
		r, _ := utf8.DecodeRuneInString(strings.TrimSpace(char))
		reading, _, _ = strings.Cut(strings.TrimSpace(reading), ",")
		if p := plain(reading); r != utf8.RuneError && p != "" && len(p) <= 6 {
			out[r] = p
		}
	}
	return out, nil
}

// areas reads the area codes of resident identity numbers.
func areas(in inputs) ([]uint32, error) {
	ls, err := in.lines("cn-area-codes.csv.xz")
	if err != nil {
		return nil, err
	}
	var out []uint32
	for _, l := range ls[1:] {
		code, _, _ := strings.Cut(l, ",")
		out = append(out, uint32(number(code)))
	}
	return out, nil
}

func round(x float64) int { return int(math.Floor(x + 0.5)) }

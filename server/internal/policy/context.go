// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	// MaxContextWords is how many entries of a Context are looked at, in the
	// order login, e-mail addresses, names, phones, words. The birth date is
	// always looked at. Verdict.ContextIgnored counts the rest.
	MaxContextWords = 256
	// MaxWordRunes is how many code points of each entry, and of each
	// dictionary word, are looked at.
	MaxWordRunes = 64
	// maxParts bounds the pieces one entry is cut into, maxHanzi the hanzi whose
	// pinyin is spelled out, maxVariants the other readings of them tried.
	maxParts    = 8
	maxHanzi    = 16
	maxVariants = 4
	// maxTokens bounds what is made of a whole context or dictionary, before
	// each is read backwards too. Real ones make some fifty; a dictionary's
	// words come before their pinyin, so only pinyin is lost there.
	maxTokens = 1 << 14
)

// The kinds of context a password can be made of.
const (
	kindLogin      = "login"
	kindEmail      = "email"
	kindName       = "name"
	kindPhone      = "phone"
	kindBirthDate  = "birthDate"
	kindWord       = "word"
	kindDictionary = "dictionary"
)

// tokens collects folded words without the empty and the one-letter ones,
// which would match everywhere.
type tokens []token

func (t *tokens) add(kind string, text []rune) {
	for len(text) > 0 && unicode.IsSpace(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && unicode.IsSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	if len(*t) >= maxTokens || len(text) < 2 && (len(text) == 0 || !isHan(text[0])) {
		return
	}
	*t = append(*t, token{text: text, kind: kind, order: len(*t)})
}

func (t *tokens) addString(kind, s string) { t.add(kind, []rune(s)) }

func (t *tokens) addSlight(kind string, text []rune) {
	n := len(*t)
	if t.add(kind, text); len(*t) > n {
		(*t)[n].slight = true
	}
}

// words gives what to look for in a password, and how many entries of the
// context were past the cap.
func (c Context) words() (matcher, int) {
	t, ignored := c.tokens()
	return reversible(t), ignored
}

// tokens gives the tokens of a context, and how many entries were past the cap.
func (c Context) tokens() (t tokens, ignored int) {
	seen := 0
	each := func(kind string, entries ...string) {
		for _, e := range entries {
			if e == "" {
				continue
			}
			if seen == MaxContextWords {
				ignored++
				continue
			}
			seen++
			t.entry(kind, fold(e, MaxWordRunes))
		}
	}
	each(kindLogin, c.Login)
	each(kindEmail, c.Emails...)
	each(kindName, c.Names...)
	each(kindPhone, c.Phones...)
	each(kindWord, c.Words...)
	if c.BirthDate != "" {
		t.birthDate(c.BirthDate)
	}
	return t, ignored
}

// reversible adds each token read backwards.
func reversible(t tokens) matcher {
	n := 0
	for _, w := range t {
		n += len(w.text)
	}
	room := make([]rune, 0, n)
	for _, w := range t[:len(t):len(t)] {
		from := len(room)
		room = append(room, w.text...)
		r := room[from:len(room):len(room)]
		slices.Reverse(r)
		t = append(t, token{text: r, kind: w.kind, order: len(t), slight: w.slight})
	}
	return newMatcher(t)
}

// entry adds one folded entry of a context and what can be made of it.
func (t *tokens) entry(kind string, e []rune) {
	t.add(kind, e)
	if kind == kindPhone {
		t.phone(e)
		return
	}
	if local, domain, ok := cutRune(e, '@'); ok {
		t.entry(kind, local)
		t.parts(kind, domain)
		return
	}
	t.parts(kind, e)
}

func cutRune(s []rune, at rune) (before, after []rune, found bool) {
	if i := slices.Index(s, at); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, nil, false
}

// parts cuts an entry at everything that is neither letter nor digit and adds the parts, their initials and, of
// hanzi, their pinyin.
func (t *tokens) parts(kind string, e []rune) {
	var parts [][]rune
	flush := func(from, to int) {
		if to > from && len(parts) < maxParts {
			parts = append(parts, e[from:to])
		}
	}
	from := 0
	for i, r := range e {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) {
			flush(from, i)
			from = i + 1
		}
	}
	flush(from, len(e))

	var names [][]rune // the letters of each part
	for _, p := range parts {
		t.add(kind, p)
		if letters := trim(p, unicode.IsDigit); len(letters) > 0 {
			if len(letters) < len(p) {
				t.add(kind, letters)
			}
			names = append(names, letters)
		}
		if digits := trim(p, unicode.IsLetter); len(digits) >= 3 && len(digits) < len(p) {
			t.add(kind, digits)
		}
		t.hanzi(kind, p)
	}
	if len(names) < 2 {
		return
	}
	var whole, initials []rune
	for _, n := range names {
		whole = append(whole, n...)
		initials = append(initials, n[0])
	}
	first, last := names[0], names[len(names)-1]
	t.add(kind, whole)
	t.add(kind, initials)
	t.add(kind, slices.Concat(initials[len(initials)-1:], initials[:len(initials)-1]))
	t.add(kind, slices.Concat(first[:1], last))
	t.add(kind, slices.Concat(first, last[:1]))
	t.add(kind, slices.Concat(last, first[:1]))
	t.add(kind, slices.Concat(last[:1], first))
	if slices.ContainsFunc(whole, isHan) {
		t.hanzi(kind, whole)
	}
}

func trim(s []rune, cut func(rune) bool) []rune {
	for len(s) > 0 && cut(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && cut(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// hanzi adds the pinyin of a name or word: in full, each syllable, initials,
// and the customary mixtures of both ("zhangwei", "weizhang", "zw", "zhangw",
// "zwei"). The first character, or two of a compound surname, is taken as the
// surname. Characters with another common reading give it too, one at a time.
func (t *tokens) hanzi(kind string, e []rune) {
	if len(e) > maxHanzi {
		return
	}
	var syllables []string
	for _, r := range e {
		p := pinyinOf(r)
		if p == "" {
			return
		}
		syllables = append(syllables, p)
	}
	if len(syllables) == 0 {
		return
	}
	t.syllables(kind, syllables, 1)
	variants := 0
	for i, r := range e {
		if s, ok := otherReadings[r]; ok && s != syllables[i] && variants < maxVariants {
			variants++
			other := slices.Clone(syllables)
			other[i] = s
			t.syllables(kind, other, 1)
		}
	}
	if len(e) > 2 {
		if s, ok := compoundSurnames[string(e[:2])]; ok {
			t.syllables(kind, append(s[:], syllables[2:]...), 2)
		}
	}
}

func (t *tokens) syllables(kind string, s []string, surname int) {
	t.pinyin(kind, s, surname)
	if !slices.ContainsFunc(s, func(x string) bool { return strings.Contains(x, "v") }) {
		return
	}
	// ü is typed as v, and written u or yu on passports.
	for _, v := range []string{"u", "yu"} {
		r := make([]string, len(s))
		for i := range s {
			r[i] = strings.ReplaceAll(s[i], "v", v)
		}
		t.pinyin(kind, r, surname)
	}
}

func (t *tokens) pinyin(kind string, s []string, surname int) {
	if len(s) < 2 {
		t.addString(kind, s[0])
		return
	}
	for _, x := range s {
		t.addSlight(kind, []rune(x))
	}
	initials := func(s []string) string {
		var b strings.Builder
		for _, x := range s {
			b.WriteByte(x[0])
		}
		return b.String()
	}
	t.addString(kind, strings.Join(s, ""))
	t.addString(kind, initials(s))
	if len(s) > surname {
		family, given := s[:surname], s[surname:]
		f, g := strings.Join(family, ""), strings.Join(given, "")
		if len(family) > 1 {
			t.addString(kind, f)
		}
		if len(given) > 1 {
			t.addString(kind, g)
		}
		for _, x := range []string{g + f, f + initials(given), initials(given) + f,
			initials(family) + g, g + initials(family), initials(given) + initials(family)} {
			t.addString(kind, x)
		}
	}
}

// phone adds a number's digits, without country code, and its customary tails.
func (t *tokens) phone(e []rune) {
	var d []rune
	for _, r := range e {
		if unicode.IsDigit(r) {
			d = append(d, r)
		}
	}
	t.add(kindPhone, d)
	for _, n := range []int{11, 10, 8, 7, 6, 5, 4} {
		switch tail := d[max(0, len(d)-n):]; {
		case n >= len(d):
		case n >= 7:
			t.add(kindPhone, tail)
		default:
			t.addSlight(kindPhone, tail)
		}
	}
}

// birthDate adds a date in the forms people type.
func (t *tokens) birthDate(s string) {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return
	}
	for _, layout := range []string{
		"20060102", "060102", "0102", "02012006", "020106", "0201", "01022006", "010206", "2006", "200601", "012006",
		"2January2006", "2Jan2006", "January2", "Jan2", "2January", "2Jan",
	} {
		if f := fold(d.Format(layout), MaxWordRunes); len(f) >= 6 {
			t.add(kindBirthDate, f)
		} else {
			t.addSlight(kindBirthDate, f)
		}
	}
	y, m, day := d.Format("2006"), d.Format("1"), d.Format("2")
	for _, f := range []string{y + m + day, y[2:] + m + day, day + m + y, m + day + y, y + d.Format("0201"),
		y + "年" + m + "月" + day + "日", m + "月" + day + "日"} {
		t.addString(kindBirthDate, f)
	}
}

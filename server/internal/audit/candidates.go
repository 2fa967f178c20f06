// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/wordlists"
)

// Candidate is one guess for one person.
type Candidate struct {
	Text string
	// Class is where it comes from: "empty" for the empty password,
	// "vendor-default", "same-as-login", or the kind of the context word in it.
	Class string
}

// Person is what a guesser knows of the owner of a record.
type Person struct {
	Login   string
	Context policy.Context
	// Words are those of the organisation.
	Words []string
	// MayBeEmpty tells that the store does not keep empty passwords out.
	MayBeEmpty bool
}

// Bounds of what is made for one person.
const (
	maxCandidates = 4096
	maxStems      = 24
	maxOrgStems   = 16
	minCandidate  = 4 // code points; shorter ones no system takes
)

// Candidates gives the guesses for one person, the likeliest first, at most
// limit, each once: the empty password, what products are delivered with under this name, the name
// itself, then each word known of person and organisation with each of the
// customary endings, where a likelier ending goes before a likelier word. Dates
// of the person and the years around now are endings too.
func Candidates(p Person, now time.Time, limit int) []Candidate {
	c := candidates{limit: min(limit, maxCandidates), seen: make(map[string]bool)}
	if p.Context.Login == "" {
		p.Context.Login = p.Login
	}
	login := p.Context.Login
	if p.MayBeEmpty {
		c.force("", "empty")
	}
	for d := range wordlists.VendorPasswords([]byte(login)) {
		if login != "" && d != "" {
			c.force(d, "vendor-default")
		}
	}
	if utf8.RuneCountInString(login) >= 3 {
		c.force(login, "same-as-login")
		c.force(strings.ToLower(login), "same-as-login")
	}
	if c.full() {
		return c.out
	}
	stems, digits := split(p)
	if len(stems)+len(digits) == 0 {
		return c.out
	}
	for _, d := range digits {
		if len(d.text) >= 6 {
			c.add(d.text, d.class)
		}
	}
	ends := endings(p.Context.BirthDate, digits, now)
	for _, end := range ends {
		for _, s := range stems {
			if c.full() {
				return c.out
			}
			c.add(s.text+end.text, s.class)
			if title := capital(s.text); title != s.text {
				c.add(title+end.text, s.class)
			}
		}
	}
	for _, end := range ends {
		for _, s := range stems {
			if end.before {
				c.add(end.text+s.text, s.class)
			}
		}
	}
	for _, s := range stems {
		for _, before := range []string{"woaini", "aini", "love", "ilove", "iloveyou", "my", "a", "qq", "abc"} {
			c.add(before+s.text, s.class)
		}
		c.add(s.text+s.text, s.class)
		c.add(strings.ToUpper(s.text), s.class)
		c.add(backwards(s.text), s.class)
		c.add(strings.NewReplacer("a", "@", "o", "0", "i", "1", "e", "3", "s", "$").Replace(s.text), s.class)
		c.add(strings.NewReplacer("o", "0", "i", "1", "e", "3").Replace(s.text), s.class)
	}
	for _, a := range stems[:min(len(stems), 8)] {
		for _, b := range stems[:min(len(stems), 8)] {
			if a.text != b.text {
				c.add(a.text+b.text, a.class)
				c.add(a.text+"."+b.text, a.class)
				c.add(a.text+b.text+"123", a.class)
			}
		}
	}
	return c.out
}

// candidates collects guesses.
type candidates struct {
	limit int
	seen  map[string]bool
	out   []Candidate
}

func (c *candidates) full() bool { return len(c.out) >= c.limit }

func (c *candidates) add(text, class string) {
	if utf8.RuneCountInString(text) >= minCandidate {
		c.force(text, class)
	}
}

func (c *candidates) force(text, class string) {
	if !c.full() && !c.seen[text] {
		c.seen[text] = true
		c.out = append(c.out, Candidate{text, class})
	}
}

// stem is a word, or a number, with where it comes from.
type stem struct{ text, class string }

// split sorts what is known of a person into words and numbers: the person's
// own before the organisation's, and within each the weightier first.
func split(p Person) (words, digits []stem) {
	own := p.Context.Tokens()
	// Tokens come from the whole to its parts; single syllables go last.
	slices.SortStableFunc(own, func(a, b policy.Token) int {
		switch {
		case a.Slight == b.Slight:
			return 0
		case b.Slight:
			return -1
		}
		return 1
	})
	org := policy.Context{Words: p.Words}.Tokens()
	for _, t := range own {
		switch {
		case number(t.Text):
			if len(digits) < maxStems {
				digits = append(digits, stem{t.Text, t.Kind})
			}
		case t.Kind != "birthDate" && len(words) < maxStems && utf8.RuneCountInString(t.Text) >= 2:
			words = append(words, stem{t.Text, t.Kind})
		}
	}
	n := 0
	for _, t := range org {
		if n < maxOrgStems && !t.Slight && !number(t.Text) && utf8.RuneCountInString(t.Text) >= 2 {
			words, n = append(words, stem{t.Text, t.Kind}), n+1
		}
	}
	return words, digits
}

func number(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// ending is what people put behind a word; some put it before as well.
type ending struct {
	text   string
	before bool
}

// customary are endings in about the order in which they are met.
var customary = []ending{
	{"", false}, {"123", true}, {"1", true}, {"123456", true}, {"@123", false}, {"12", false}, {"1234", true}, {"12345", false},
	{"!", false}, {"888", true}, {"666", true}, {"520", true}, {"1314", true}, {"111", false}, {"123!", false}, {"01", false},
	{"@1234", false}, {"@123456", false}, {"#123", false}, {"_123", false}, {"000", false}, {"abc", true}, {"007", false},
	{"!@#", false}, {"321", false}, {"5201314", true}, {"88", false}, {"8888", false}, {"168", false}, {"!123", false},
	{"@1", false}, {"123@", false}, {"123.", false}, {".", false}, {"aaa", false}, {"qwe", false}, {"2", false}, {"7", false}, {"99", false},
}

// endings puts the birth date, the ends of phone numbers and the years around
// now among the customary ones.
func endings(birth string, digits []stem, now time.Time) []ending {
	out := slices.Clone(customary[:4])
	if d, err := time.Parse(time.DateOnly, birth); err == nil {
		for _, layout := range []string{"2006", "0102", "20060102", "060102", "06", "200601"} {
			out = append(out, ending{d.Format(layout), true})
		}
		out = append(out, ending{"@" + d.Format("2006"), false})
	}
	out = append(out, customary[4])
	year := now.Year()
	for back := range 3 {
		y := strconv.Itoa(year - back)
		out = append(out, ending{y, false}, ending{"@" + y, false})
	}
	for _, d := range digits {
		if n := len(d.text); d.class == "phone" && (n == 4 || n == 6) {
			out = append(out, ending{d.text, true})
		}
	}
	out = append(out, customary[5:]...)
	for back := range 3 {
		y := strconv.Itoa(year - back)
		out = append(out, ending{y + "!", false}, ending{"#" + y, false}, ending{"_" + y, false}, ending{y[2:], false}, ending{"@" + y + "!", false})
	}
	for back := 3; back < 6; back++ {
		y := strconv.Itoa(year - back)
		out = append(out, ending{y, false}, ending{"@" + y, false})
	}
	return append(out, ending{strconv.Itoa(year + 1), false})
}

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func backwards(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

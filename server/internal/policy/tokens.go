// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

// Token is a word that somebody's password may be made of, folded: what the
// context says of the person, cut, shortened and put into pinyin.
type Token struct {
	// Kind is the part of the context that it comes from: "login", "email",
	// "name", "phone", "birthDate" or "word".
	Kind string
	Text string
	// Slight marks what says little by itself: one syllable, a year, the end of
	// a phone number.
	Slight bool
}

// Tokens gives the words that Judge would look for, each once, in the order
// login, e-mail addresses, names, phones, words, birth date, and within an
// entry from the whole to its parts.
func (c Context) Tokens() []Token {
	t, _ := c.tokens()
	out := make([]Token, 0, len(t))
	seen := make(map[string]bool, len(t))
	for _, w := range t {
		if text := string(w.text); !seen[text] {
			seen[text] = true
			out = append(out, Token{Kind: w.kind, Text: text, Slight: w.slight})
		}
	}
	return out
}

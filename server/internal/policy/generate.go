// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"

	"github.com/watchword-project/watchword/server/internal/password"
)

// Kind is a way of making passwords.
type Kind uint8

// The kinds, named as in the contract.
const (
	Random           Kind = iota // letters and digits, with symbols where asked for
	PassphraseEN                 // words of the EFF long list: 12.9 bits each
	PassphrasePinyin             // Chinese words in pinyin without tones: 12 bits each
)

// MaxGenerated is how many passwords one Generate makes at most.
const MaxGenerated = 1000

// ErrUnsatisfiable is returned by Generate if it finds no password that the
// policy accepts, as with a pattern nothing of the kind can match.
var ErrUnsatisfiable = errors.New("no password of this kind satisfies the policy")

// Generated is a new password.
type Generated struct {
	Password string
	// EntropyBits is a lower bound of the randomness in it, before those that
	// the policy refuses are left out.
	EntropyBits float64
}

// Generation says what to make.
type Generation struct {
	Kind  Kind
	Count int // 1 to MaxGenerated
	// Dictionary is the tenant's; its words are kept out where the policy asks.
	Dictionary *Dictionary
	// Rand yields uniform random bytes: crypto/rand.Reader, but in tests.
	Rand io.Reader
}

// minBits is the least randomness of a generated password.
const minBits = 64

// maxAttempts bounds how often Generate tries again after the policy refused
// what it made, for a reason it does not build around.
const maxAttempts = 64

// Generate makes passwords that p accepts from anyone for either use. Length,
// size and composition hold by construction; what is made is judged once more
// and replaced if another rule refuses it.
func (p *Policy) Generate(g Generation) ([]Generated, error) {
	if g.Count < 1 || g.Count > MaxGenerated {
		return nil, fmt.Errorf("count must be between 1 and %d", MaxGenerated)
	}
	out := make([]Generated, 0, g.Count)
	for len(out) < g.Count {
		made, err := p.generate(g)
		if err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

func (p *Policy) generate(g Generation) (Generated, error) {
	for range maxAttempts {
		d := dice{from: g.Rand}
		var s string
		var entropy float64
		switch g.Kind {
		case Random:
			s, entropy = p.characters(&d)
		case PassphraseEN:
			s, entropy = p.phrase(&d, effWords())
		case PassphrasePinyin:
			s, entropy = p.phrase(&d, pinyinWords())
		default:
			return Generated{}, errors.New("unknown kind of password")
		}
		if d.err != nil {
			return Generated{}, fmt.Errorf("reading randomness: %w", d.err)
		}
		text, err := password.New(s)
		if err != nil {
			return Generated{}, ErrUnsatisfiable
		}
		ev := Evidence{Breach: Breach{Status: Performed}, Dictionary: g.Dictionary,
			Estimate: &Estimate{GuessesLog10: entropy * math.Log10(2)}}
		if p.Judge(text, SingleFactor, Signup, Context{}, ev).Accept && p.Judge(text, MultiFactor, Signup, Context{}, ev).Accept {
			return Generated{Password: s, EntropyBits: entropy}, nil
		}
	}
	return Generated{}, ErrUnsatisfiable
}

// alphabets are the ASCII characters of each class that generated passwords
// use: the symbols are those that survive shells, spreadsheets and URLs best.
var alphabets = [4]string{
	lower:  "abcdefghijklmnopqrstuvwxyz",
	upper:  "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	digit:  "0123456789",
	symbol: "-_.~!*+=",
}

// wanted is the least randomness: minBits, or surplus times what the policy's
// rule on guesses asks for.
func (p *Policy) wanted(surplus float64) float64 {
	if g := p.doc.Rules.Guesses; g.active() {
		return max(minBits, surplus*g.MinLog10*math.Log2(10)+1)
	}
	return minBits
}

// An estimator knows the words of a phrase, but not how the characters of a
// random password were drawn: it finds habits in some of them, and rates a text
// as low as seven tenths of its randomness.
const (
	surplusCharacters = 1.5
	surplusPhrase     = 1.0
)

func (p *Policy) leastLength() int {
	if l := p.doc.Rules.Length; l.active() {
		return l.Min
	}
	return 0
}

// kinds gives how many characters of each class a generated password needs
// for the composition rule, counts of joint classes included.
func (p *Policy) kinds() [4]int {
	c := p.doc.Rules.Composition
	if !c.active() {
		return [4]int{}
	}
	k := c.kinds()
	k[lower] += max(0, c.MinLetters-k[lower]-k[upper])
	k[digit] += max(0, c.MinNonLetters-k[digit]-k[symbol])
	return k
}

func (p *Policy) characters(d *dice) (string, float64) {
	need := p.kinds()
	alphabet := alphabets[lower] + alphabets[upper] + alphabets[digit]
	if need[symbol] > 0 {
		alphabet += alphabets[symbol]
	}
	var out []byte
	var entropy float64
	draw := func(from string) {
		out = append(out, from[d.roll(len(from))])
		entropy += math.Log2(float64(len(from)))
	}
	for c, n := range need {
		for range n {
			draw(alphabets[c])
		}
	}
	for len(out) < max(p.leastLength(), 16) || entropy < p.wanted(surplusCharacters) {
		draw(alphabet)
	}
	for i := len(out) - 1; i > 0; i-- {
		k := d.roll(i + 1)
		out[i], out[k] = out[k], out[i]
	}
	return string(out), entropy
}

// phrase joins words with hyphens, which are symbols for the composition
// rule; upper case goes to the beginnings of words and digits to the end.
func (p *Policy) phrase(d *dice, words []string) (string, float64) {
	need := p.kinds()
	var out []string
	var entropy float64
	length, small := -1, 0
	for entropy < p.wanted(surplusPhrase) || len(out) <= need[symbol] || len(out) < need[upper] || small < need[lower] ||
		length+need[digit] < p.leastLength() {
		w := words[d.roll(len(words))]
		entropy += math.Log2(float64(len(words)))
		small += len(w)
		if len(out) < need[upper] {
			small--
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		length += 1 + len(w)
		out = append(out, w)
	}
	s := strings.Join(out, "-")
	for range need[digit] {
		s += string(rune('0' + d.roll(10)))
		entropy += math.Log2(10)
	}
	return s, entropy
}

// dice draws uniform numbers. After an error of the source it gives zeros.
type dice struct {
	from io.Reader
	err  error
}

// roll draws from 0 to n-1. It throws away what would favour some numbers,
// which is half of the draws at most; a source from which 128 in a row are
// thrown away is not random.
func (d *dice) roll(n int) int {
	mask := uint32(1)<<bits.Len32(uint32(n-1)) - 1
	for range 128 {
		var b [4]byte
		if d.err != nil {
			return 0
		}
		if _, d.err = io.ReadFull(d.from, b[:]); d.err != nil {
			return 0
		}
		if v := binary.LittleEndian.Uint32(b[:]) & mask; v < uint32(n) {
			return int(v)
		}
	}
	d.err = errors.New("the source of randomness is not random")
	return 0
}

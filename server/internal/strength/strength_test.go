// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/watchword-project/watchword/server/internal/strength"
)

var update = flag.Bool("watchword.update", false, "write testdata/vectors.json anew")

// vector is one line of testdata/vectors.json, the file by which another
// engine with the same tables can be compared with this one.
type vector struct {
	Password string            `json:"password"`
	Context  *strength.Context `json:"context,omitempty"`
	Millis   int               `json:"guessesLog10Thousandths"`
	Score    int               `json:"score"`
	Rank     int               `json:"rank,omitempty"`
	Segments []string          `json:"segments"`
}

func describe(e *strength.Estimate) []string {
	out := []string{}
	for _, s := range e.Segments() {
		out = append(out, s.Kind.String()+" "+itoa(s.Start)+"-"+itoa(s.End))
	}
	return out
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestVectors(t *testing.T) {
	const file = "testdata/vectors.json"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []vector
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) < 100 {
		t.Fatalf("%s has %d vectors", file, len(want))
	}
	got := make([]vector, len(want))
	for i, v := range want {
		var h *strength.Hints
		if v.Context != nil {
			h = strength.NewHints(*v.Context)
		}
		e := strength.Of([]byte(v.Password), h)
		got[i] = vector{v.Password, v.Context, int(math.Round(e.GuessesLog10 * 1000)), e.Score, e.Rank, describe(&e)}
		if !*update {
			if d := cmp.Diff(v, got[i]); d != "" {
				t.Errorf("%q (-want +got):\n%s", v.Password, d)
			}
		}
	}
	if *update {
		var out bytes.Buffer
		out.WriteString("[\n")
		for i, v := range got {
			line, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(line)
			if i < len(got)-1 {
				out.WriteByte(',')
			}
			out.WriteByte('\n')
		}
		out.WriteString("]\n")
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// habits are ways to choose a password, common in China or everywhere, with
// the kinds that must be named and the band that must not be exceeded.
var habits = []struct {
	name, password string
	kinds          []strength.Kind
	below          float64
}{
	{"common password", "password", []strength.Kind{strength.KindListed}, 2},
	{"common password, full width", "ｐａｓｓｗｏｒｄ", []strength.Kind{strength.KindListed}, 2},
	{"love digits after pinyin", "woaini1314", []strength.Kind{strength.KindListed}, 4},
	{"love digits after a name", "liyang5201314", []strength.Kind{strength.KindPinyin, strength.KindLoveDigits}, 8},
	{"love digits before a word", "7758258kiss", []strength.Kind{strength.KindLoveDigits, strength.KindWord}, 8},
	{"full name in pinyin", "chenjianming", []strength.Kind{strength.KindPinyin}, 8},
	{"name and year", "wangxiaoli1987", []strength.Kind{strength.KindPinyin, strength.KindYear}, 8},
	{"initials and date", "wxl19870911", []strength.Kind{strength.KindDate}, 8},
	{"date YYYYMMDD", "20170823", nil, 7},
	{"date YYMMDD", "870911", nil, 6},
	{"date DDMMYYYY", "23081963", nil, 8},
	{"date with separators", "1987-9-11", []strength.Kind{strength.KindDate}, 8},
	{"date in characters", "1987年9月11日", []strength.Kind{strength.KindDate}, 8},
	{"mobile number", "13971558203", []strength.Kind{strength.KindPhone}, 8},
	{"mobile number with a sequence", "13812345678", []strength.Kind{strength.KindPhone}, 8},
	{"identity number", "11010519491231002X", []strength.Kind{strength.KindIDNumber}, 8},
	{"walk along a row and back", "qwertrewq", nil, 7},
	{"walk over columns", "3edc4rfv5tgb", []strength.Kind{strength.KindKeyboard}, 8},
	{"walk over the number block", "369852147852", []strength.Kind{strength.KindKeyboard}, 7},
	{"sequence of letters", "hijklmnopq", []strength.Kind{strength.KindSequence}, 7},
	{"sequence downwards", "zyxwvuts", nil, 6},
	{"weekday", "wednesday2019", []strength.Kind{strength.KindYear}, 8},
	{"counting in pinyin", "yiersansiwu", nil, 8},
	{"repeat of one letter", "kkkkkkkkkkkkkkkkkkkkkk", []strength.Kind{strength.KindRepeat}, 6},
	{"repeat of a word", "dragondragondragondragon", []strength.Kind{strength.KindRepeat}, 6},
	{"repeat of a long text", "hx7Q!pz&hx7Q!pz&hx7Q!pz&hx7Q!pz&", []strength.Kind{strength.KindRepeat}, 20},
	{"l33t word", "5unsh1n3", nil, 7},
	{"reversed word", "enihsnus", nil, 7},
	{"words in characters", "我爱你", []strength.Kind{strength.KindHanzi}, 8},
	{"English word", "elephant4", nil, 7},
	{"English name", "jennifer-rose", nil, 9},
}

func TestHabits(t *testing.T) {
	for _, h := range habits {
		e := strength.Of([]byte(h.password), nil)
		if e.GuessesLog10 >= h.below {
			t.Errorf("%s: Of(%q) = 10^%.2f guesses, want below 10^%.0f; %v", h.name, h.password, e.GuessesLog10, h.below, describe(&e))
		}
		for _, k := range h.kinds {
			if !slices.ContainsFunc(e.Segments(), func(s strength.Segment) bool { return s.Kind == k }) {
				t.Errorf("%s: Of(%q) names %v, want %v among them", h.name, h.password, describe(&e), k)
			}
		}
	}
}

// known is a person for the tests of context.
var known = strength.Context{
	Login: "xm_zhang88", Emails: []string{"john.smith@contoso.example"}, Names: []string{"张晓明", "John Smith"},
	Phones: []string{"+86 139-7155-8203"}, Words: []string{"Acme Rockets", "青松"}, BirthDate: "1987-09-11", Previous: []byte("Tr4vel&Light77"),
}

func TestContext(t *testing.T) {
	h := strength.NewHints(known)
	for _, c := range []struct{ name, password string }{
		{"login", "xm_zhang88"}, {"login, other case", "XM_Zhang88"}, {"login without sign", "xmzhang88"}, {"login reversed", "88gnahz_mx"},
		{"part of the address", "contoso99"}, {"name from the address", "johnsmith!1"}, {"first initial", "jsmith77"}, {"last name first", "smithjohn"},
		{"name in pinyin", "zhangxiaoming"}, {"given name first", "xiaomingzhang"}, {"family name and initials", "zhangxm"}, {"initials in pinyin", "zxm520"},
		{"given name", "xiaoming123"}, {"name in characters", "张晓明"}, {"word in characters", "qingsong2020"},
		{"organisation", "AcmeRockets!"}, {"organisation, l33t", "4cm3r0ck3ts"}, {"beginning of a word", "acmerock1"},
		{"misspelt once", "acmerokets"}, {"letters exchanged", "acmerockest"}, {"two errors", "acmmerokets"},
		{"phone", "13971558203"}, {"end of the phone number", "71558203"}, {"phone and letters", "zxm13971558203"},
		{"birth date", "19870911"}, {"short birth date", "870911"}, {"birth date, day first", "11091987"}, {"unpadded", "1987911"}, {"name and birth date", "zhang19870911"},
		{"old password", "Tr4vel&Light77"}, {"old password, next number", "Tr4vel&Light78"}, {"old password, longer", "Tr4vel&Light77!"}, {"old password without number", "tr4vel&light"},
	} {
		without, with := strength.Of([]byte(c.password), nil), strength.Of([]byte(c.password), h)
		if with.GuessesLog10 >= 6 {
			t.Errorf("%s: Of(%q) = 10^%.2f guesses with context, 10^%.2f without, want below 10^6; %v", c.name, c.password, with.GuessesLog10, without.GuessesLog10, describe(&with))
		}
		if !slices.ContainsFunc(with.Segments(), func(s strength.Segment) bool { return s.Kind == strength.KindContext }) {
			t.Errorf("%s: Of(%q) names %v, want CONTEXT among them", c.name, c.password, describe(&with))
		}
	}
	for _, p := range []string{"kV8#rT2pQz!w", "copper-lantern-mosaic-drift", "橘子湖泊钢琴月台"} {
		without, with := strength.Of([]byte(p), nil), strength.Of([]byte(p), h)
		if without.GuessesLog10 != with.GuessesLog10 {
			t.Errorf("Of(%q) = 10^%.2f guesses with foreign context, 10^%.2f without", p, with.GuessesLog10, without.GuessesLog10)
		}
	}
}

// TestContextBounds gives more context than is looked at.
func TestContextBounds(t *testing.T) {
	if h := strength.NewHints(strength.Context{}); h != nil {
		t.Errorf("NewHints of nothing = %v, want nil", h)
	}
	huge := strings.Repeat("longword", 1<<17)
	c := strength.Context{Login: huge, Previous: []byte(huge), BirthDate: huge}
	for i := range 10000 {
		w := strings.Repeat(string(rune('a'+i%26)), 3) + itoa(i)
		c.Emails, c.Names, c.Phones, c.Words = append(c.Emails, w+"@"+w), append(c.Names, w), append(c.Phones, w), append(c.Words, w)
	}
	allocs := testing.AllocsPerRun(3, func() { strength.NewHints(c) })
	if allocs > 5000 {
		t.Errorf("NewHints of 40,000 texts makes %.0f allocations", allocs)
	}
	h := strength.NewHints(c)
	if e := strength.Of([]byte("longwordlongword"), h); e.GuessesLog10 > 3 {
		t.Errorf("the login is not recognised: 10^%.2f", e.GuessesLog10)
	}
}

func TestEmptyAndLong(t *testing.T) {
	if e := strength.Of(nil, nil); e.GuessesLog10 != 0 || e.Score != 0 || e.Len() != 0 || e.Listed {
		t.Errorf("Of(nil) = %+v", e)
	}
	long := bytes.Repeat([]byte("密k7!"), 1000)
	cut := long[:0:0]
	for i, n := 0, 0; n < strength.MaxRunes; n++ {
		_, size := utf8.DecodeRune(long[i:])
		cut = append(cut, long[i:i+size]...)
		i += size
	}
	a, b := strength.Of(long, nil), strength.Of(cut, nil)
	if d := cmp.Diff(describe(&a), describe(&b)); d != "" || a.GuessesLog10 != b.GuessesLog10 {
		t.Errorf("what follows %d code points is looked at: 10^%f, 10^%f\n%s", strength.MaxRunes, a.GuessesLog10, b.GuessesLog10, d)
	}
	// More parts than an estimate can hold.
	words := strings.Repeat("table 19 Moon-x 77 zebra ", 40)
	e := strength.Of([]byte(words), nil)
	if e.Len() != strength.MaxSegments {
		t.Errorf("%d segments, want %d", e.Len(), strength.MaxSegments)
	}
	checkCover(t, []byte(words), &e)
}

func TestBands(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	seen := map[int]bool{}
	for range 3000 {
		e := strength.Of([]byte(randomText(rng, alnum, 1+rng.IntN(12))), nil)
		want := 0
		for _, b := range []float64{4, 6, 8, 10} {
			if e.GuessesLog10 >= b {
				want++
			}
		}
		if e.Score != want {
			t.Fatalf("score %d for 10^%.3f guesses, want %d", e.Score, e.GuessesLog10, want)
		}
		seen[want] = true
	}
	if len(seen) != 5 {
		t.Errorf("only the bands %v were seen", seen)
	}
}

const (
	lower = "abcdefghijklmnopqrstuvwxyz"
	alnum = "0123456789" + lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

func randomText(rng *rand.Rand, abc string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = abc[rng.IntN(len(abc))]
	}
	return string(b)
}

// TestRandomAccepted draws passwords that are strong by construction: at most
// one in two hundred may be taken for less than 10^10 guesses.
func TestRandomAccepted(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, s := range []struct {
		name, abc string
		n         int
	}{{"10 letters and digits", alnum, 10}, {"10 small letters and digits", alnum[:36], 10}, {"12 small letters", lower, 12}, {"16 letters and digits", alnum, 16}} {
		refused := 0
		const drawn = 4000
		for range drawn {
			if e := strength.Of([]byte(randomText(rng, s.abc, s.n)), nil); e.Score < 4 {
				refused++
			}
		}
		if refused > drawn/200 {
			t.Errorf("%s: %d of %d refused", s.name, refused, drawn)
		}
	}
}

func checkCover(t interface{ Fatalf(string, ...any) }, pw []byte, e *strength.Estimate) {
	n := min(utf8.RuneCount(pw), strength.MaxRunes)
	at := 0
	for _, s := range e.Segments() {
		if s.Start != at || s.End <= s.Start || s.Kind == strength.KindUnspecified || s.Kind > strength.KindBruteforce {
			t.Fatalf("segments %v of %d code points", describe(e), n)
		}
		at = s.End
	}
	if at != n {
		t.Fatalf("segments %v end before %d", describe(e), n)
	}
}

// texts makes passwords out of the stuff that rules look for.
func texts() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.SampledFrom(ordinary),
		rapid.SampledFrom([]string{"zhang", "xiaoming", "acme", "19870911", "1987-9-11", "qwerty", "abcdef", "aaaa", "p4ssw0rd", "我爱你", "１２３", "88", "!", "é", "😀"}),
		rapid.StringN(1, 8, -1),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return norm.NFC.String(strings.Join(rapid.SliceOfN(part, 1, 6).Draw(t, "parts"), ""))
	})
}

func TestProperties(t *testing.T) {
	h := strength.NewHints(known)
	rapid.Check(t, func(t *rapid.T) {
		s := texts().Draw(t, "password")
		pw := []byte(s)
		e, again := strength.Of(pw, nil), strength.Of(slices.Clone(pw), nil)
		if e != again {
			t.Fatalf("two estimates of one text differ")
		}
		if string(pw) != s {
			t.Fatalf("the input was changed")
		}
		checkCover(t, pw, &e)
		if e.GuessesLog10 < 0 || math.IsNaN(e.GuessesLog10) || e.Listed != (e.Rank > 0) {
			t.Fatalf("estimate %+v", e)
		}
		with := strength.Of(pw, h)
		checkCover(t, pw, &with)
		if with.GuessesLog10 > e.GuessesLog10 {
			t.Fatalf("context raises the estimate from %f to %f", e.GuessesLog10, with.GuessesLog10)
		}
		wide := strength.Of([]byte(strings.Map(func(r rune) rune {
			if '!' <= r && r <= '~' {
				return r + 0xfee0
			}
			return r
		}, s)), nil)
		if wide.GuessesLog10 != e.GuessesLog10 {
			t.Fatalf("full-width form has 10^%f guesses, plain form 10^%f", wide.GuessesLog10, e.GuessesLog10)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	h := strength.NewHints(known)
	for _, p := range []string{"sunshine88", "zhangxiaoming1987", strings.Repeat("p4ssw0rd!x", 150), "北京欢迎你", "Tr4vel&Light78"} {
		pw := []byte(p)
		if n := testing.AllocsPerRun(50, func() { strength.Of(pw, h) }); n != 0 {
			t.Errorf("Of a text of %d bytes makes %.0f allocations", len(pw), n)
		}
	}
}

// TestDistance compares the bit-parallel distance with the textbook's.
func TestDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		abc := rapid.SampledFrom([]rune("abcd"))
		word := rapid.StringOfN(abc, 5, 64, -1).Draw(t, "word")
		text := rapid.StringOfN(abc, 0, 70, -1).Draw(t, "text")
		suffix, whole, ok := strength.Distance(word, text)
		if !ok {
			t.Fatalf("%q is not matched with errors", word)
		}
		if want := distance(word, text, true); suffix != want {
			t.Fatalf("distance of %q to an end of %q is %d, want %d", word, text, suffix, want)
		}
		if want := distance(word, text, false); whole != want {
			t.Fatalf("distance of %q to %q is %d, want %d", word, text, whole, want)
		}
	})
}

// distance counts insertions, deletions, replacements and exchanges of
// neighbours, none of which touches a place twice.
func distance(word, text string, free bool) int {
	d := make([][]int, len(text)+1)
	for j := range d {
		d[j] = make([]int, len(word)+1)
		for i := range d[j] {
			switch {
			case j == 0:
				d[j][i] = i
				continue
			case i == 0:
				if !free {
					d[j][i] = j
				}
				continue
			}
			cost := 1
			if word[i-1] == text[j-1] {
				cost = 0
			}
			d[j][i] = min(d[j-1][i-1]+cost, d[j-1][i]+1, d[j][i-1]+1)
			if i > 1 && j > 1 && word[i-1] == text[j-2] && word[i-2] == text[j-1] {
				d[j][i] = min(d[j][i], d[j-2][i-2]+1)
			}
		}
	}
	return d[len(text)][len(word)]
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-project/watchword/wordlists"
)

func TestCommonLookup(t *testing.T) {
	list := wordlists.Common()
	for _, tt := range []struct {
		pw      string
		maxRank int // 0: not on the list
		isDef   bool
	}{
		{"123456", 1, true},
		{"password", 4, true},
		{"qwerty", 16, false},
		{"5201314", 64, false},
		{"woaini1314", 4096, false},
		{"iloveyou", 64, false},
		{"i love you", 300000, false},
		{"contraseña", 300000, false},
		{"7ujMko0admin", 300000, true},
		{"change_on_install", 300000, true},
		{"(see note)", 0, false},
		{"# mandarin", 0, false},
		{"7UJMKO0ADMIN", 0, false},
		{"pAsSwOrD", 0, false},
		{"", 0, false},
		{"correct horse battery staple", 0, false},
		{strings.Repeat("a", 5000), 0, false},
	} {
		m, ok := list.Lookup([]byte(tt.pw))
		if ok != (tt.maxRank > 0) || m.Rank > tt.maxRank || m.Default != tt.isDef {
			t.Errorf("Lookup(%q) = %+v, %v; want rank ≤ %d, default %v", tt.pw, m, ok, tt.maxRank, tt.isDef)
		}
		if ok && (m.Form != wordlists.FormExact || m.Kept != utf8.RuneCountInString(tt.pw)) {
			t.Errorf("Lookup(%q) = %+v: form or kept wrong", tt.pw, m)
		}
	}
}

func TestCommonSizes(t *testing.T) {
	list := wordlists.Common()
	if n := list.Len(); n < 199_000 {
		t.Errorf("Len() = %d, want 199,000 or more", n)
	}
	for _, least := range []int{8, 15} {
		if n := list.CountFitting(least); n < 3_000 {
			t.Errorf("CountFitting(%d) = %d, want 3,000 or more (ASVS 5.0 6.2.4)", least, n)
		}
	}
	for n := -1; n < 70; n++ {
		if list.CountFitting(n) < list.CountFitting(n+1) {
			t.Errorf("CountFitting(%d) < CountFitting(%d)", n, n+1)
		}
	}
	if list.CountFitting(0) != list.Len() || list.CountFitting(-5) != list.Len() || list.CountFitting(1000) != 0 {
		t.Error("CountFitting at the ends")
	}
	common, defaults := wordlists.EmbeddedSizes()
	if total := common + defaults; 10*total > 12<<20 {
		t.Errorf("embedded tables have %d bytes, want 1.2 MiB or less", total)
	}
	t.Logf("%d strings, %d/%d/%d with 8/12/15 code points or more, %d + %d bytes, version %s", list.Len(),
		list.CountFitting(8), list.CountFitting(12), list.CountFitting(15), common, defaults, list.Version())
}

// The embedded table passes every check that OpenCommon makes.
func TestCommonEmbeddedIsSound(t *testing.T) {
	opened, err := wordlists.OpenCommon(wordlists.EmbeddedCommon())
	if err != nil {
		t.Fatal(err)
	}
	if opened.Version() != wordlists.Common().Version() || opened.Len() != wordlists.Common().Len() {
		t.Error("opened table differs from the embedded one")
	}
}

func TestCommonMatch(t *testing.T) {
	const (
		c, w, l = wordlists.FormCase, wordlists.FormWidth, wordlists.FormLeet
		r, a, n = wordlists.FormReversed, wordlists.FormAffix, wordlists.FormRepeated
	)
	for _, tt := range []struct {
		pw   string
		form wordlists.Form
		kept int
	}{
		{"password", wordlists.FormExact, 8},
		{"pAsSwOrD", c, 8},
		{"iLOVEYOU", c, 8},
		{"7UJMKO0ADMIN", c, 12},
		{"7ujmko0admin", c, 12},
		{"ｐａｓｓｗｏｒｄ", w, 8},
		{"ＰＡＳＳＷＯＲＤ", c | w, 8},
		{"paſſword", c, 8}, // long s
		{"monKey", c, 6},   // KELVIN SIGN
		{"ch0c0l@t3", l, 9},
		{"CH0C0L@T3", c | l, 9},
		{"!l0v3y0u", l, 8},
		{"etalocohc", r, 9},
		{"3t@l0c0hc", l | r, 9},
		{"sunflower4821973", a, 9},
		{"password12345678", a, 15},
		{"iloveyou!!!", a, 9},
		{"123password321", a, 11},
		{"!!abc123!!", a, 6},
		{"password😀", a, 8},
		{"password。", a, 8},
		{"Dragon73920184!", c | a, 7},
		{"Dr@g0nfly2024!", c | l | a, 9},
		{"$ecret#2024", l | a, 6},
		{"pr1nc3$$!2019", l | a, 8},
		{"987ylfnogard", r | a, 9},
		{"etalocohc2024", r | a, 9},
		{"woaini13800138000", a, 9},
		{"abc123456789000000000000", a, 13},
		{"123456!!!", a, 8},
		{"5201314)!!", a, 7},
		{"1234567890123456789!", a, 16},
		{"iloveyouiloveyou", n, 8},
		{"ILoveYouILoveYou", c | n, 8},
		{"iloveyouiloveyouil", n, 8},
		{"abcabcabcabcabc", n, 3},
		{"password password", n, 8},
		{"Password, password, password", c | n, 8},
		{"dr@g0nflydr@g0nfly", l | n, 9},
		{"iloveyouiloveyou123", n | a, 8},
		{"Test1234Test1234!", c | n | a, 8},
		{"520131452013145201314", n, 7},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", n, 1},
	} {
		m, ok := wordlists.Common().Match([]byte(tt.pw))
		if !ok {
			t.Errorf("Match(%q): no hit, want %v", tt.pw, tt.form)
			continue
		}
		if m.Form != tt.form || m.Kept != tt.kept {
			t.Errorf("Match(%q) = %v of %d code points, want %v of %d", tt.pw, m.Form, m.Kept, tt.form, tt.kept)
		}
		if m.Rank < 1 {
			t.Errorf("Match(%q): rank %d", tt.pw, m.Rank)
		}
	}
}

// Strings that contain a listed one and are none themselves.
func TestCommonMatchLeavesPhrasesAlone(t *testing.T) {
	for _, pw := range []string{
		"correct horse battery staple password lamp",
		"correcthorsebatterystaplepasswordlamp",
		"password correct horse battery staple",
		"my password is a secret to everybody",
		"iloveyou more than the moon and stars",
		"liu yan qing fang zhong wai",
		"床前明月光疑是地上霜",
		"苹果 大海 自行车 月亮",
		"zhuozimogushuibeiheliu",
		"83920174650293847561",       // digits, some listed ones at either end
		"4829-1029-5563-2911",        // card-like groups
		"dragon83920174651029384756", // more affix than core
		"kJ8#vQ2!mZ5@xW9",
		"d41d8cd98f00b204e9800998ecf8427e",
		"f47ac10b-58cc-4372-a567-0e02b2c3d479",
		"Tiger-lamp-48291",
		"\xff\xfe\x80\x81\xff\xff",
	} {
		if m, ok := wordlists.Common().Match([]byte(pw)); ok {
			t.Errorf("Match(%q) = %+v, want no hit", pw, m)
		}
	}
}

func TestForm(t *testing.T) {
	for form, want := range map[wordlists.Form]string{
		wordlists.FormExact: "exact",
		wordlists.FormCase:  "case",
		wordlists.FormCase | wordlists.FormLeet | wordlists.FormAffix:         "case+leet+affix",
		wordlists.FormRepeated | wordlists.FormReversed | wordlists.FormWidth: "width+reversed+repeated",
	} {
		if got := form.String(); got != want {
			t.Errorf("Form(%d).String() = %q, want %q", form, got, want)
		}
	}
}

// Folding is idempotent and the same for a whole simple folding orbit.
func TestFoldRune(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		f := wordlists.FoldRune(r)
		if g := wordlists.FoldRune(f); g != f {
			t.Errorf("fold(%U) = %U, folded again %U", r, f, g)
		}
		if o := unicode.SimpleFold(r); wordlists.FoldRune(o) != f {
			t.Errorf("fold(%U) = %U, but fold(%U) = %U", r, f, o, wordlists.FoldRune(o))
		}
	}
}

// randomStrings yields n strings of length runes from each alphabet.
var alphabets = []struct{ name, chars string }{
	{"digits", "0123456789"},
	{"hex", "0123456789abcdef"},
	{"lower", "abcdefghijklmnopqrstuvwxyz"},
	{"lower+digits", "abcdefghijklmnopqrstuvwxyz0123456789"},
	{"alphanumeric", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"},
	{"digits+signs", "0123456789!@#$%^&*()-_=+"},
	{"printable", " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"},
}

// A million random strings of 15 to 24 characters, none of which may match.
// The alphabets are those that generators use; digits are the hard case,
// since every other string of digits begins with a listed one.
func TestCommonMatchRandomStrings(t *testing.T) {
	t.Parallel()
	perAlphabet := 30_000
	if *long {
		perAlphabet = 1_000_000
	}
	list := wordlists.Common()
	rng := rand.New(rand.NewChaCha8([32]byte{1}))
	probes, most := 0, 0
	for _, alpha := range alphabets {
		hits := 0
		var pw []byte
		for range perAlphabet {
			pw = randomString(pw[:0], rng, alpha.chars, 15+rng.IntN(10))
			m, ok, n := list.MatchProbes(pw)
			probes, most = probes+n, max(most, n)
			if ok {
				hits++
				t.Errorf("%s: Match(%q) = %+v", alpha.name, pw, m)
			}
		}
	}
	t.Logf("%.1f look-ups a string, %d at most", float64(probes)/float64(7*perAlphabet), most)
}

func randomString(dst []byte, rng *rand.Rand, chars string, n int) []byte {
	for range n {
		dst = append(dst, chars[rng.IntN(len(chars))])
	}
	return dst
}

// Rates for short random strings, which only policies with a second factor
// accept. They are what the rules of Match cost, and stay under the bounds.
func TestCommonMatchShortRandomStrings(t *testing.T) {
	t.Parallel()
	n := 30_000
	if *long {
		n = 1_000_000
	}
	list := wordlists.Common()
	rng := rand.New(rand.NewChaCha8([32]byte{2}))
	for _, length := range []int{8, 10, 12} {
		for _, alpha := range alphabets {
			hits := 0
			var pw []byte
			for range n {
				pw = randomString(pw[:0], rng, alpha.chars, length)
				if _, ok := list.Match(pw); ok {
					hits++
				}
			}
			bound := 3e-4
			if alpha.name == "digits" || alpha.name == "hex" {
				bound = 5e-3
			}
			rate := float64(hits) / float64(n)
			t.Logf("%2d %-13s %.1e", length, alpha.name, rate)
			if rate > bound {
				t.Errorf("%d random %s: %.1e match, want %.0e or less", length, alpha.name, rate, bound)
			}
		}
	}
}

// The stated rate of false fingerprints rests on the hash being uniform: with
// n bits of the fingerprint instead of 32, a random string finds a wrong key
// with probability load·2⁻ⁿ. Each further bit must halve the rate, for the
// kinds of strings that people and generators make.
func TestCommonFingerprintRate(t *testing.T) {
	t.Parallel()
	const tries = 300_000
	list := wordlists.Common()
	rng := rand.New(rand.NewChaCha8([32]byte{3}))
	kinds := map[string]func(dst []byte, i int) []byte{
		"random bytes": func(dst []byte, _ int) []byte {
			return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, rng.Uint64()), rng.Uint64())
		},
		"random letters": func(dst []byte, _ int) []byte { return randomString(dst, rng, alphabets[2].chars, 18) },
		"counting":       func(dst []byte, i int) []byte { return fmt.Appendf(dst, "zzqq-%d", i) },
		"counting, long": func(dst []byte, i int) []byte { return fmt.Appendf(dst, "%024d-zzqq-%024d", i, i) },
		"one bit": func(dst []byte, i int) []byte {
			return binary.BigEndian.AppendUint64(append(dst, "q~z"...), 1<<(i%64)^uint64(i/64)<<(i%32))
		},
	}
	for name, next := range kinds {
		for _, bits := range []int{8, 12, 16} {
			hits := 0
			var pw []byte
			for i := range tries / 3 {
				pw = next(pw[:0], i)
				hits += list.PrefixHits(pw, bits)
			}
			want := list.Load() * tries / 3 / float64(uint(1)<<bits)
			// Six standard deviations of a Poisson count; repeated keys of
			// the "one bit" kind widen it a little.
			if diff := float64(hits) - want; diff*diff > 8*8*want {
				t.Errorf("%s, %d bits: %d wrong keys, want %.0f", name, bits, hits, want)
			}
		}
	}
	t.Logf("%.2f keys a bucket: %.1e wrong hits a look-up, %.1e in the dearest Match",
		list.Load(), list.Load()/(1<<32), wordlists.MaxProbes*list.Load()/(1<<32))
	if rate := wordlists.MaxProbes * list.Load() / (1 << 32); rate >= 1e-6 {
		t.Errorf("a Match may go wrong with probability %.1e, want less than 1e-6", rate)
	}
}

// The number of look-ups stays under its bound for any length and shape.
func TestCommonMatchIsBounded(t *testing.T) {
	t.Parallel()
	list := wordlists.Common()
	shapes := []string{
		"1", "a", "a1", "1a", "!", "a!", "password", "4@8({[</369&#!1/", "pässwörd", "床前明月光", "1!", "aB1!", "\xff", "Ⱥ", "ab😀", "x-y ", "qz7",
	}
	most := 0
	for _, s := range shapes {
		for _, u := range shapes {
			for _, n := range []int{1, 2, 3, 7, 40, 41, 200, 4096} {
				for _, pw := range []string{
					strings.Repeat(s, n) + u,
					u + strings.Repeat(s, n),
					strings.Repeat(s, n) + u + strings.Repeat(s, n),
					strings.Repeat("9", n) + s + u + strings.Repeat("7!", n),
					strings.Repeat(strings.Repeat("5", min(n, 40))+s+u+strings.Repeat("3", min(n, 40)), 3),
				} {
					_, _, probes := list.MatchProbes([]byte(pw))
					most = max(most, probes)
				}
			}
		}
	}
	t.Logf("%d look-ups at most, bound %d", most, wordlists.MaxProbes)
	if most > wordlists.MaxProbes {
		t.Errorf("%d look-ups, want %d or fewer", most, wordlists.MaxProbes)
	}
}

func TestCommonDoesNotAllocate(t *testing.T) {
	list := wordlists.Common()
	for _, pw := range []string{"password", "P@ssw0rd2024!", "correct horse battery staple", "drowssap", strings.Repeat("4@8(", 60)} {
		b := []byte(pw)
		if n := testing.AllocsPerRun(20, func() { list.Lookup(b); list.Match(b) }); n != 0 {
			t.Errorf("Lookup and Match(%q): %v allocations", pw, n)
		}
	}
	long := bytes.Repeat([]byte("4@8({["), 700)
	if n := testing.AllocsPerRun(20, func() { list.Match(long) }); n > 2 {
		t.Errorf("Match of %d bytes: %v allocations, want 2 or fewer", len(long), n)
	}
}

func TestVendorDefaults(t *testing.T) {
	for _, tt := range []struct {
		user, password string
		want           bool
	}{
		{"admin", "admin", true},
		{"ADMIN", "admin", true},
		{"ａｄｍｉｎ", "admin", true},
		{"admin", "aDMIN", false},
		{"admin", "", true},
		{"root", "calvin", true},
		{"ubnt", "ubnt", true},
		{"scott", "tiger", true},
		{"sys", "change_on_install", true},
		{"", "", true},
		{"", "admin", true},
		{"alice", "admin", false},
		{"adm", "in\tadmin", false},
		{"admin\tadmin", "", false},
		{"admin", "(see note)", false},
		{"zzz", "zzz", false},
		{"\xff", "\xff", false},
		{strings.Repeat("x", 4096), "x", false},
	} {
		if got := wordlists.IsVendorDefault([]byte(tt.user), []byte(tt.password)); got != tt.want {
			t.Errorf("IsVendorDefault(%.20q, %q) = %v, want %v", tt.user, tt.password, got, tt.want)
		}
	}
}

// Every line of the table is found from its user name, in order, and its
// password is marked in the common list.
func TestVendorPasswords(t *testing.T) {
	want := make(map[string][]string)
	lines := strings.Split(strings.TrimSuffix(wordlists.EmbeddedDefaults(), "\n"), "\n")
	if !slices.IsSorted(lines) {
		t.Error("lines are not sorted")
	}
	for _, line := range lines {
		user, password, ok := strings.Cut(line, "\t")
		if !ok {
			t.Fatalf("no tab in %q", line)
		}
		want[user] = append(want[user], password)
		if m, ok := wordlists.Common().Lookup([]byte(password)); password != "" && (!ok || !m.Default) {
			t.Errorf("Lookup(%q) = %+v, %v: not marked as a default", password, m, ok)
		}
	}
	for user, passwords := range want {
		if got := slices.Collect(wordlists.VendorPasswords([]byte(strings.ToUpper(user)))); !slices.Equal(got, passwords) {
			t.Errorf("VendorPasswords(%q) = %q, want %q", user, got, passwords)
		}
		if len(passwords) > 1000 {
			t.Errorf("user %q has %d passwords", user, len(passwords))
		}
	}
	for range wordlists.VendorPasswords([]byte("admin")) {
		break // stopping early is allowed
	}
	t.Logf("%d pairs of %d names", len(lines), len(want))
}

func TestBuildCommon(t *testing.T) {
	entries := []wordlists.CommonEntry{
		{Text: "Sesame", Rank: 100}, {Text: "sesam öffne dich", Rank: 7}, {Text: "Sesame", Rank: 3, Default: true}, {Text: "ｘ", Rank: 9},
	}
	table, err := wordlists.BuildCommon(entries)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries)
	if again, err := wordlists.BuildCommon(entries); err != nil || !bytes.Equal(table, again) {
		t.Errorf("the order of entries changes the table (error %v)", err)
	}
	list, err := wordlists.OpenCommon(table)
	if err != nil {
		t.Fatal(err)
	}
	if list.Len() != 3 || list.CountFitting(16) != 1 || list.CountFitting(7) != 1 || list.CountFitting(6) != 2 {
		t.Errorf("Len() = %d, CountFitting = %d", list.Len(), list.CountFitting(6))
	}
	if m, ok := list.Lookup([]byte("Sesame")); !ok || !m.Default || m.Rank < 3 || m.Rank > 4 {
		t.Errorf("Lookup = %+v, %v", m, ok)
	}
	if _, ok := list.Lookup([]byte("sesame")); ok {
		t.Error("the folded form of an entry counts as listed")
	}
	if m, ok := list.Match([]byte("SESAME!")); !ok || m.Form != wordlists.FormCase|wordlists.FormAffix {
		t.Errorf("Match = %+v, %v", m, ok)
	}
	for _, bad := range []wordlists.CommonEntry{{Text: "", Rank: 1}, {Text: "a"}, {Text: strings.Repeat("a", 1025), Rank: 1}} {
		if _, err := wordlists.BuildCommon([]wordlists.CommonEntry{bad}); err == nil {
			t.Errorf("BuildCommon took an entry of %d bytes, rank %d", len(bad.Text), bad.Rank)
		}
	}
	empty, err := wordlists.BuildCommon(nil)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := wordlists.OpenCommon(empty); err != nil || list.Len() != 0 {
		t.Errorf("empty table: %v", err)
	} else if _, ok := list.Match([]byte("password")); ok {
		t.Error("empty table matches")
	}
}

// A table with any byte changed, or cut, or lengthened is refused.
func TestOpenCommonRefusesDamage(t *testing.T) {
	table, err := wordlists.BuildCommon([]wordlists.CommonEntry{{Text: "one", Rank: 1}, {Text: "Two", Rank: 2}, {Text: "three", Rank: 3}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range table {
		bad := bytes.Clone(table)
		bad[i] ^= 0x10
		if _, err := wordlists.OpenCommon(bad); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
		if _, err := wordlists.OpenCommon(table[:i]); err == nil {
			t.Errorf("cut to %d bytes: no error", i)
		}
	}
	if _, err := wordlists.OpenCommon(append(bytes.Clone(table), 0)); err == nil {
		t.Error("one byte more: no error")
	}
}

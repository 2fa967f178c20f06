// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// Bounds on the work for a text of n code points, in steps of some ten
// nanoseconds. The worst of the families takes 72 steps a code point, and 134
// with context.
func slow(n, steps int) bool        { return steps > 100*n+300 }
func slowContext(n, steps int) bool { return steps > 170*n+3000 }

func TestSteps(t *testing.T) {
	for _, c := range contexts {
		tooSlow := slowContext
		if c.name == "plain" {
			tooSlow = slow
		}
		for _, f := range families {
			h := c.make(f.make(64))
			var steps [3]int
			for i, n := range []int{64, 256, 1024} {
				if steps[i] = strength.Steps([]byte(f.make(n)), h); tooSlow(n, steps[i]) {
					t.Errorf("%s, %s: %d code points take %d steps", f.name, c.name, n, steps[i])
				}
			}
			if steps[2] > 5*steps[1] {
				t.Errorf("%s, %s: steps grow %v", f.name, c.name, steps)
			}
		}
	}
}

// TestHunt changes texts at random and keeps what takes more steps, so as to
// climb to the slowest there are. With WATCHWORD_LONG set it climbs far.
func TestHunt(t *testing.T) {
	t.Parallel()
	trials := 60
	if os.Getenv("WATCHWORD_LONG") != "" {
		trials = 30_000
	}
	const signs = "abcdefghijklmnopqrstuvwxyz0123456789!@$|+(4130"
	for _, c := range contexts {
		for seed := range uint64(3) {
			rng := rand.New(rand.NewPCG(seed, 1))
			piece := []byte(families[rng.IntN(len(families))].make(20 + rng.IntN(30)))
			if len(piece) > 50 { // not ASCII, which the changes below are for
				piece = []byte(randomText(rng, signs, 30))
			}
			const n = 256
			steps := func(piece []byte) int {
				text := cycle(string(piece))(n)
				return strength.Steps([]byte(text), c.make(string([]rune(text)[:64])))
			}
			most := 0
			for range trials {
				p := slices.Clone(piece)
				for range 1 + rng.IntN(3) {
					at := rng.IntN(len(p))
					part := []byte(randomText(rng, signs, 1))
					if rng.IntN(3) == 0 {
						part = []byte(ordinary[rng.IntN(len(ordinary))])
					}
					switch cut := min(at+len(part), len(p)); {
					case rng.IntN(2) == 0:
						p = slices.Replace(p, at, cut, part...)
					case rng.IntN(2) == 0 && len(p) < 150:
						p = slices.Insert(p, at, part...)
					case len(p) > 5+cut-at:
						p = slices.Delete(p, at, cut)
					}
				}
				if s := steps(p); s > most {
					most, piece = s, p
				}
			}
			t.Logf("%s: %.1f steps a code point: %q", c.name, float64(most)/n, piece)
			if c.name == "plain" && slow(n, most) || slowContext(n, most) {
				t.Errorf("%s: %d steps for %d code points of %q", c.name, most, n, piece)
			}
		}
	}
}

// TestStepsSeesSlowness gives the bounds two faulty ways to work: one that
// looks for repeats of every period, and one that lists all readings of l33t
// letters.
func TestStepsSeesSlowness(t *testing.T) {
	for _, n := range []int{256, 1024} {
		pw := []rune(cycle("4@8({[</369&#!1/|0$5+7%2")(n))
		quadratic := 0
		for i := range pw {
			for p := 1; p <= i; p++ {
				quadratic++
			}
		}
		if n == 1024 && !slow(n, quadratic) {
			t.Errorf("work that grows with the square of %d is not seen", n)
		}
		readings := 0
		for range pw {
			all := 1
			for d := 0; d < 24 && all < 1<<20; d++ {
				all *= 2
				readings += all
			}
		}
		if !slow(n, readings) || !slowContext(n, readings) {
			t.Errorf("listing all readings of %d code points is not seen", n)
		}
	}
}

// FuzzOf hunts for texts that take too many steps or break the promises of an
// estimate.
func FuzzOf(f *testing.F) {
	for _, s := range families {
		f.Add([]byte(s.make(40)), []byte("zhangwei"))
	}
	for _, p := range ordinary {
		f.Add([]byte(p), []byte(p[len(p)/2:]))
	}
	f.Fuzz(func(t *testing.T, pw, word []byte) {
		pw = norm.NFC.Bytes(bytes.ToValidUTF8(pw, nil))
		n := min(utf8.RuneCount(pw), strength.MaxRunes)
		e := strength.Of(pw, nil)
		checkCover(t, pw, &e)
		if steps := strength.Steps(pw, nil); slow(n, steps) {
			t.Errorf("%d code points take %d steps", n, steps)
		}
		w := string(bytes.ToValidUTF8(word, nil))
		h := strength.NewHints(strength.Context{Login: w, Emails: []string{w + "@" + w}, Names: []string{w}, Phones: []string{w}, Words: []string{w}, BirthDate: w, Previous: word})
		c := strength.Of(pw, h)
		checkCover(t, pw, &c)
		if c.GuessesLog10 > e.GuessesLog10 {
			t.Errorf("context raises the estimate from %f to %f", e.GuessesLog10, c.GuessesLog10)
		}
		if steps := strength.Steps(pw, h); slowContext(n, steps) {
			t.Errorf("%d code points and context take %d steps", n, steps)
		}
	})
}

// FuzzParse changes the tables: they are refused, or used without harm.
func FuzzParse(f *testing.F) {
	f.Add(uint32(0), uint32(0), "password1")
	f.Add(uint32(8), uint32(1<<31), "password1")
	f.Add(uint32(60), uint32(1<<30), "zhang19870911")
	f.Add(uint32(200000), uint32(0xffffffff), "我爱你")
	whole := strength.Embedded()
	f.Fuzz(func(t *testing.T, at, value uint32, pw string) {
		b := slices.Clone(whole)
		binary.LittleEndian.PutUint32(b[int(at)%(len(b)-4):], value)
		m, err := strength.Parse(b)
		if err != nil {
			return
		}
		pw = norm.NFC.String(string(bytes.ToValidUTF8([]byte(pw), nil)))
		h := m.NewHints(strength.Context{Login: pw, Names: []string{"张晓明"}})
		e := m.Of([]byte(pw), h)
		checkCover(t, []byte(pw), &e)
	})
}

func TestParseRefuses(t *testing.T) {
	whole := strength.Embedded()
	for _, n := range []int{0, 3, 4, 20, 56, 57, 1000, len(whole) - 1} {
		if _, err := strength.Parse(whole[:n]); err == nil {
			t.Errorf("Parse of the first %d bytes gives no error", n)
		}
	}
	if _, err := strength.Parse(append(slices.Clone(whole), 0)); err == nil {
		t.Error("Parse with a byte behind gives no error")
	}
	for _, at := range []int{0, 4, 8, 12} {
		b := slices.Clone(whole)
		b[at]++
		if _, err := strength.Parse(b); err == nil {
			t.Errorf("Parse with byte %d changed gives no error", at)
		}
	}
}

// TestSize holds the tables to what they may add to a binary.
func TestSize(t *testing.T) {
	whole := strength.Embedded()
	if raw, packed := len(whole), compressed(t, whole); raw > 6<<20 || packed > 3<<20 {
		t.Errorf("tables have %d bytes, %d compressed", raw, packed)
	}
}

func compressed(t testing.TB, b []byte) int {
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Len()
}

// BenchmarkStart is what the tables cost: at the first use, and in a binary.
func BenchmarkStart(b *testing.B) {
	whole := strength.Embedded()
	for b.Loop() {
		if _, err := strength.Parse(whole); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1e3/float64(b.N), "ms-start")
	b.ReportMetric(float64(len(whole))/(1<<20), "MiB-raw")
	b.ReportMetric(float64(compressed(b, whole))/(1<<20), "MiB-gzip")
}

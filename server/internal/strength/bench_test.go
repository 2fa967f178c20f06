// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	zxcvbn "github.com/ccojocar/zxcvbn-go"

	"github.com/watchword-project/watchword/server/internal/strength"
)

// ordinary are passwords as people in England and China choose them, none of
// them taken from a leak.
var ordinary = []string{
	"sunshine88", "qianduoduo99", "hxr1987!!", "P@55phrase", "wangjing0912", "blackcat77x", "19871103li", "kX9#mQ2vLp", "tomandjerry",
	"manutd2011", "woaibeijing", "1qazxsw2!", "zhouyu520", "Liverpool#8", "monday.2024", "lj13971558203", "correcthorse", "chenglong1981", "aini5211314",
	"summerof69!", "7758521wl", "MyD0gRex", "qwe123asd456", "xiaoyu0730", "j4m3sb0nd", "ilovemum2", "112233zxc", "Gr33nt3a", "beijing2008!", "g00gl3it",
}

// families are the texts that estimators of this kind are slow on; each makes n
// code points.
var families = []struct {
	name string
	make func(n int) string
}{
	{"leet signs", cycle("4@8({[</369&#!1/|0$5+7%2")},
	{"one letter", cycle("a")},
	{"one digit", cycle("1")},
	{"password", cycle("password")},
	{"p4$$w0rd", cycle("p4$$w0rd1!")},
	{"ambiguous", cycle("1!|176")},
	{"leet words", cycle("1l0v3y0u7h15i5l177l3")},
	{"base64", func(n int) string {
		rng := rand.New(rand.NewPCG(1, 2))
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return base64.StdEncoding.EncodeToString(b)[:n]
	}},
	{"digits", func(n int) string {
		rng := rand.New(rand.NewPCG(3, 4))
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + rng.IntN(10))
		}
		return string(b)
	}},
	{"pinyin", cycle("woainizhongguobeijingxiaomingwangjing")},
	{"hanzi", cycle("我爱你中国北京欢迎你密码")},
	{"walk", cycle("qwertyuiop[]asdfghjkl;'zxcvbnm,./")},
	{"date", cycle("19900307")},
	{"emoji", cycle("😀🔑")},
	// Found by TestHunt.
	{"hunted signs", cycle("!||!|l71!1!1i1!1||7l111l!|71|l1")},
	{"hunted letters", cycle("1l16|1!a||1!||l|11!||i!771")},
	{"hunted runs", cycle("aaaaa09aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")},
	{"hunted repeats", cycle("1aaaaaaaaaaaaaaaa111")},
	{"hunted words", cycle("111l1l1l1l1l111111qwertysaiaibaaaaaaaaaaaaaaaaaaaaaaa1")},
}

func cycle(s string) func(int) string {
	return func(n int) string {
		return string([]rune(strings.Repeat(s, n/len([]rune(s))+1))[:n])
	}
}

// contexts are what may be known besides a text: nothing, as much as may be
// known and made to match often, and the text itself from other beginnings, so
// that the walks over hints are long.
var contexts = []struct {
	name string
	make func(text string) *strength.Hints
}{
	{"plain", func(string) *strength.Hints { return nil }},
	{"crowded", func(string) *strength.Hints { return crowded() }},
	{"own", func(text string) *strength.Hints {
		var c strength.Context
		runes := []rune(text)
		for i := range strength.MaxHintWords {
			at := 2 * i % len(runes)
			c.Words = append(c.Words, string(slices.Concat(runes[at:], runes[:at])))
		}
		return strength.NewHints(c)
	}},
}

// crowded is a context as large as it may be, made to match often.
var crowded = sync.OnceValue(func() *strength.Hints {
	c := strength.Context{Login: strings.Repeat("1l", 32), Previous: []byte(cycle("p4$$w0rd1!")(64)), BirthDate: "1990-03-07", Names: []string{"张晓明", "王 小 京"}}
	for i := range 10000 {
		c.Words = append(c.Words, cycle([]string{"a", "password", "1i", "ilove", "woaini", "4@8({[<"}[i%6])(64-i%40))
	}
	return strength.NewHints(c)
})

// mixture makes n passwords out of the ordinary ones: as they are, joined with
// parts of each other, with a capital.
func mixture(n int) []string {
	out := make([]string, n)
	for i := range out {
		p, q := ordinary[i%len(ordinary)], ordinary[(7*i+i/len(ordinary))%len(ordinary)]
		switch i / len(ordinary) % 4 {
		case 1:
			p += q[:3]
		case 2:
			p = p[:len(p)/2] + q[len(q)/2:]
		case 3:
			p = strings.ToUpper(p[:1]) + p[1:] + q[len(q)-1:]
		}
		out[i] = p
	}
	return out
}

// median sorts ds.
func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// quiet is the least median of any stretch of ds: what a text takes while no
// other program has the processor.
func quiet(ds []time.Duration) time.Duration {
	best := time.Duration(math.MaxInt64)
	for part := range slices.Chunk(ds, 25) {
		best = min(best, median(part))
	}
	return best
}

// BenchmarkOf measures ordinary passwords, and in the same run another
// estimator for Go on every twentieth of them: the ratio of both, the rate of
// one thread and the 99th percentile are reported.
func BenchmarkOf(b *testing.B) {
	var pws [][]byte
	for _, p := range mixture(5000) {
		pws = append(pws, []byte(p))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		strength.Of(pws[i%len(pws)], nil)
		i++
	}
	b.StopTimer()

	const rounds, every = 9, 20
	var ours, theirs, all []time.Duration
	single := make([][]time.Duration, len(pws))
	for range rounds {
		begin := time.Now()
		for _, p := range pws {
			strength.Of(p, nil)
		}
		all = append(all, time.Since(begin))
		begin = time.Now()
		for i := 0; i < len(pws); i += every {
			zxcvbn.PasswordStrength(string(pws[i]), nil)
		}
		theirs = append(theirs, time.Since(begin))
		begin = time.Now()
		for i := 0; i < len(pws); i += every {
			strength.Of(pws[i], nil)
		}
		ours = append(ours, time.Since(begin))
		for i, p := range pws {
			begin = time.Now()
			strength.Of(p, nil)
			single[i] = append(single[i], time.Since(begin))
		}
	}
	each := make([]time.Duration, len(single))
	for i, s := range single { // one that was interrupted is not slow
		each[i] = median(s)
	}
	slices.Sort(each)
	// The quickest round is the one with the fewest neighbours.
	b.ReportMetric(float64(slices.Min(theirs))/float64(slices.Min(ours)), "x-ccojocar")
	b.ReportMetric(float64(len(pws))/slices.Min(all).Seconds(), "passwords/s")
	b.ReportMetric(float64(each[len(each)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(each[len(each)*99/100])/1e3, "p99-µs")
}

// BenchmarkFamilies measures hostile texts of 64, 256 and 1,024 code points in
// every context, and reports the growth of the last step. The last line holds
// the worst of all the lines before it.
func BenchmarkFamilies(b *testing.B) {
	units := [4]string{"µs/64", "µs/256", "µs/1024", "growth"}
	var worst [4]float64
	for _, c := range contexts {
		for _, f := range families {
			b.Run(fmt.Sprintf("%s/%s", strings.ReplaceAll(f.name, " ", "-"), c.name), func(b *testing.B) {
				texts := [3][]byte{[]byte(f.make(64)), []byte(f.make(256)), []byte(f.make(1024))}
				hints := c.make(string(texts[0]))
				var spent [3][]time.Duration
				for b.Loop() {
					for i, t := range texts {
						begin := time.Now()
						strength.Of(t, hints)
						spent[i] = append(spent[i], time.Since(begin))
					}
				}
				var got [4]float64
				for i := range spent {
					got[i] = float64(quiet(spent[i])) / 1e3
				}
				got[3] = got[2] / got[1]
				for i, unit := range units {
					b.ReportMetric(got[i], unit)
					worst[i] = max(worst[i], got[i])
				}
				b.ReportMetric(float64(strength.Steps(texts[2], hints))/1024, "steps/rune")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
	b.Run("worst", func(b *testing.B) {
		for b.Loop() {
		}
		for i, unit := range units {
			b.ReportMetric(worst[i], unit)
		}
		b.ReportMetric(0, "ns/op")
	})
}

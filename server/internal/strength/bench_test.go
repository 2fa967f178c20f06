// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
}

func cycle(s string) func(int) string {
	return func(n int) string {
		return string([]rune(strings.Repeat(s, n/len([]rune(s))+1))[:n])
	}
}

// crowded is a context as large as it may be, made to match often.
func crowded() *strength.Hints {
	c := strength.Context{Login: strings.Repeat("1l", 32), Previous: []byte(cycle("p4$$w0rd1!")(64)), BirthDate: "1990-03-07", Names: []string{"张晓明", "王 小 京"}}
	for i := range 10000 {
		c.Words = append(c.Words, cycle([]string{"a", "password", "1i", "ilove", "woaini", "4@8({[<"}[i%6])(64-i%40))
	}
	return strength.NewHints(c)
}

// BenchmarkOf measures ordinary passwords, and in the same run another
// estimator for Go: the ratio, the rate of one thread and the 99th percentile
// are reported.
func BenchmarkOf(b *testing.B) {
	pws := make([][]byte, len(ordinary))
	for i, p := range ordinary {
		pws[i] = []byte(p)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		strength.Of(pws[i%len(pws)], nil)
		i++
	}
	b.StopTimer()

	var ours, theirs, each []time.Duration
	single := make([][]time.Duration, len(pws))
	for range 9 {
		begin := time.Now()
		for range 20 {
			for _, p := range pws {
				strength.Of(p, nil)
			}
		}
		ours = append(ours, time.Since(begin)/20)
		begin = time.Now()
		for _, p := range ordinary {
			zxcvbn.PasswordStrength(p, nil)
		}
		theirs = append(theirs, time.Since(begin))
		for i, p := range pws {
			begin = time.Now()
			strength.Of(p, nil)
			single[i] = append(single[i], time.Since(begin))
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	for _, s := range single { // a password's own time is the median of its nine
		slices.Sort(s)
		each = append(each, s[4])
	}
	slices.Sort(each)
	b.ReportMetric(float64(theirs[4])/float64(ours[4]), "x-ccojocar")
	b.ReportMetric(float64(len(pws))/ours[4].Seconds(), "passwords/s")
	b.ReportMetric(float64(each[len(each)*99/100])/1e3, "p99-µs")
}

// BenchmarkFamilies measures hostile texts of 64, 256 and 1,024 code points,
// without and with a crowded context, and reports the growth of the last step.
func BenchmarkFamilies(b *testing.B) {
	for _, h := range []struct {
		name  string
		hints *strength.Hints
	}{{"plain", nil}, {"context", crowded()}} {
		for _, f := range families {
			b.Run(fmt.Sprintf("%s/%s", strings.ReplaceAll(f.name, " ", "-"), h.name), func(b *testing.B) {
				texts := [3][]byte{[]byte(f.make(64)), []byte(f.make(256)), []byte(f.make(1024))}
				var spent [3][]time.Duration
				for b.Loop() {
					for i, t := range texts {
						begin := time.Now()
						strength.Of(t, h.hints)
						spent[i] = append(spent[i], time.Since(begin))
					}
				}
				for i, name := range []string{"µs/64", "µs/256", "µs/1024"} {
					slices.Sort(spent[i])
					b.ReportMetric(float64(spent[i][len(spent[i])/2])/1e3, name)
				}
				b.ReportMetric(float64(spent[2][len(spent[2])/2])/float64(spent[1][len(spent[1])/2]), "growth")
				b.ReportMetric(float64(strength.Steps(texts[2], h.hints))/1024, "steps/rune")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build unix

package argon2_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sys/unix"

	ours "github.com/watchword-project/watchword/server/internal/argon2"
)

// costs are the parameter sets that the speed is stated for.
var costs = []ours.Params{
	{Type: ours.ID, Version: ours.Version13, Memory: 19 << 10, Time: 2, Parallelism: 1, KeyLen: 32},
	{Type: ours.ID, Version: ours.Version13, Memory: 46 << 10, Time: 1, Parallelism: 1, KeyLen: 32},
	{Type: ours.ID, Version: ours.Version13, Memory: 64 << 10, Time: 3, Parallelism: 1, KeyLen: 32},
	{Type: ours.ID, Version: ours.Version13, Memory: 64 << 10, Time: 3, Parallelism: 4, KeyLen: 32},
}

// BenchmarkVersusXCrypto states how many times less CPU a tag takes than with
// x/crypto. Both run in this process, by turns in slices of a tenth of a second
// so that a busy machine slows both; CPU time is user and system time of all
// threads; the figure is the median over the rounds, b.N of them, of the ratio
// within each. Run it with -benchtime 20x or more.
func BenchmarkVersusXCrypto(b *testing.B) {
	for _, name := range []string{ours.KernelAVX512, ours.KernelAVX2, ours.KernelGeneric} {
		core, err := ours.New(name)
		if err != nil {
			continue
		}
		for _, p := range costs {
			b.Run(fmt.Sprintf("%s/m=%dMiB,t=%d,p=%d", name, p.Memory>>10, p.Time, p.Parallelism), func(b *testing.B) {
				password, salt := []byte("correct horse battery staple"), []byte("0123456789abcdef")
				m := newMemory(b, core, p.Memory)
				var got, want []byte
				us := func() {
					got, err = m.Key(got[:0], password, salt, p)
					if err != nil {
						b.Fatal(err)
					}
				}
				them := func() {
					want = argon2.IDKey(password, salt, p.Time, p.Memory, uint8(p.Parallelism), p.KeyLen)
				}
				us()
				them()
				if !bytes.Equal(got, want) {
					b.Fatalf("tag %x, x/crypto has %x", got, want)
				}
				var ratios, mine, theirs []float64
				for b.Loop() {
					u, t := cpuPerCall(b, us), cpuPerCall(b, them)
					mine, theirs = append(mine, u), append(theirs, t)
					ratios = append(ratios, t/u)
				}
				b.ReportMetric(median(ratios), "x-xcrypto")
				b.ReportMetric(median(mine)*1e3, "cpu-ms")
				b.ReportMetric(median(theirs)*1e3, "xcrypto-cpu-ms")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// cpuPerCall returns the CPU seconds of one call of f, over as many as fill a
// tenth of a second.
func cpuPerCall(b *testing.B, f func()) float64 {
	start, began := cpuTime(b), time.Now()
	n := 0
	for ; n == 0 || time.Since(began) < 100*time.Millisecond; n++ {
		f()
	}
	return (cpuTime(b) - start).Seconds() / float64(n)
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkKey shows the allocations of one tag.
func BenchmarkKey(b *testing.B) {
	m := newMemory(b, ours.Default(), 1024)
	password, salt := []byte("correct horse battery staple"), []byte("0123456789abcdef")
	p := ours.Params{Type: ours.ID, Version: ours.Version13, Memory: 1024, Time: 2, Parallelism: 1, KeyLen: 32}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Key(nil, password, salt, p); err != nil {
			b.Fatal(err)
		}
	}
}

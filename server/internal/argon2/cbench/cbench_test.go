// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build cgo && libargon2

package cbench_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchword-project/watchword/server/internal/argon2"
	"github.com/watchword-project/watchword/server/internal/argon2/cbench"
)

func newMemory(t testing.TB, kernel string, kib uint32) *argon2.Memory {
	t.Helper()
	c, err := argon2.New(kernel)
	if err != nil {
		t.Skip(err)
	}
	m, err := c.NewMemory(kib)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func random(r *rand.Rand, least, most int) []byte {
	b := make([]byte, least+r.IntN(most-least+1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// FuzzAgainstLibrary compares every input of argon2, K, X, argon2d and version
// 0x10 among them, with libargon2.
func FuzzAgainstLibrary(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 9106))
	runs := 500
	if os.Getenv("WATCHWORD_LONG") != "" {
		runs = 50_000
	}
	for range runs {
		f.Add(random(r, 0, 300), random(r, 8, 80), random(r, 0, 40), random(r, 0, 40), uint8(r.Uint32()), r.IntN(2) == 0,
			uint8(r.Uint32()), uint16(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()))
	}
	const most = 1100 // KiB above the least
	var slots []*argon2.Memory
	for _, kernel := range []string{argon2.KernelAuto, argon2.KernelGeneric} {
		slots = append(slots, newMemory(f, kernel, 8*8+most))
	}
	f.Fuzz(func(t *testing.T, password, salt, secret, data []byte, typ uint8, old bool, passes uint8, memory uint16, lanes, keyLen uint8) {
		if len(salt) < 8 {
			t.Skip("the library refuses short salts")
		}
		p := argon2.Params{
			Type:        argon2.Type(typ % 3),
			Version:     argon2.Version13,
			Time:        1 + uint32(passes%4),
			Parallelism: 1 + uint32(lanes%8),
			KeyLen:      4 + uint32(keyLen),
			Secret:      secret,
			Data:        data,
		}
		if old {
			p.Version = argon2.Version10
		}
		p.Memory = 8*p.Parallelism + uint32(memory)%(most+1)
		want, err := cbench.Library{}.Key(password, salt, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range slots {
			got, err := m.Key(nil, password, salt, p)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %+v: Key = %x, %v, libargon2 has %x", m.Kernel(), p, got, err, want)
			}
		}
	})
}

// BenchmarkVersusLibrary states how many times less CPU a tag takes than with
// libargon2, measured as BenchmarkVersusXCrypto of package argon2 does: x-own
// against the library with its own memory, x-reuse against its best case.
func BenchmarkVersusLibrary(b *testing.B) {
	if err := cbench.Reserve(64 << 10); err != nil {
		b.Fatal(err)
	}
	if cbench.WipesAlways() {
		b.Log("this build of libargon2 wipes even where x-reuse asks it not to")
	}
	type cost struct{ mib, passes, lanes uint32 }
	versus := func(kernel string, cost cost) {
		b.Run(fmt.Sprintf("%s/m=%dMiB,t=%d,p=%d", kernel, cost.mib, cost.passes, cost.lanes), func(b *testing.B) {
			p := argon2.Params{
				Type: argon2.ID, Version: argon2.Version13,
				Memory: cost.mib << 10, Time: cost.passes, Parallelism: cost.lanes, KeyLen: 32,
			}
			m := newMemory(b, kernel, p.Memory)
			password, salt := []byte("correct horse battery staple"), []byte("0123456789abcdef")
			contenders := []func() ([]byte, error){
				func() ([]byte, error) { return m.Key(nil, password, salt, p) },
				func() ([]byte, error) { return cbench.Library{}.Key(password, salt, p) },
				func() ([]byte, error) { return cbench.Library{Reuse: true}.Key(password, salt, p) },
			}
			var first []byte
			for i, f := range contenders {
				tag, err := f()
				if err != nil {
					b.Fatal(err)
				}
				if i == 0 {
					first = tag
				}
				if !bytes.Equal(tag, first) {
					b.Fatalf("contender %d has tag %x, the first %x", i, tag, first)
				}
			}
			var cpu, ratio [3][]float64
			for b.Loop() {
				var round [3]float64
				for i, f := range contenders {
					round[i] = cpuPerCall(b, f)
					cpu[i] = append(cpu[i], round[i])
					ratio[i] = append(ratio[i], round[i]/round[0])
				}
			}
			b.ReportMetric(median(ratio[1]), "x-own")
			b.ReportMetric(median(ratio[2]), "x-reuse")
			b.ReportMetric(median(cpu[0])*1e3, "cpu-ms")
			b.ReportMetric(median(cpu[1])*1e3, "own-cpu-ms")
			b.ReportMetric(median(cpu[2])*1e3, "reuse-cpu-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
	for _, kernel := range []string{argon2.KernelAVX512, argon2.KernelAVX2} {
		for _, c := range []cost{{19, 2, 1}, {46, 1, 1}, {64, 3, 1}, {64, 3, 4}} {
			versus(kernel, c)
		}
	}
}

// cpuPerCall returns the CPU seconds of one call of f, over as many as fill a
// tenth of a second.
func cpuPerCall(b *testing.B, f func() ([]byte, error)) float64 {
	start, began := cpuTime(b), time.Now()
	n := 0
	for ; n == 0 || time.Since(began) < 100*time.Millisecond; n++ {
		if _, err := f(); err != nil {
			b.Fatal(err)
		}
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

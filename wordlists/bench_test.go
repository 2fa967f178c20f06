// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/FastFilter/xorfilter"
	"golang.org/x/sys/unix"

	"github.com/watchword-project/watchword/wordlists"
	"github.com/watchword-project/watchword/wordlists/internal/fence"
)

var (
	benchN    = flag.Int("wordlists.n", 1_000_000, "entries of the benchmarks' corpus")
	benchDir  = flag.String("wordlists.dir", "", "folder that keeps the benchmarks' corpora between runs")
	benchHuge = flag.Bool("wordlists.huge", false, "run the benchmarks on huge pages (PreloadMemory)")
	benchFull = flag.Bool("wordlists.full", false, "run the range benchmark on this many entries too")
)

const benchSeed = 42

// benchCorpus builds, or finds, the corpus of the benchmarks. Keys are made
// from the seed alone, so nothing but the index is kept.
func benchCorpus(b *testing.B, full bool) *wordlists.Index {
	b.Helper()
	dir := *benchDir
	if dir == "" {
		dir = b.TempDir()
	}
	path := filepath.Join(dir, fmt.Sprintf("bench-%d-%t.wwix", *benchN, full))
	if _, err := os.Stat(path); err != nil {
		mean := float64(*benchN) / (1 << 20)
		_, err := wordlists.BuildSegments(b.Context(), wordlists.BuildOptions{Out: path, Full: full, Partial: true, Workers: 2},
			func(id int, add func(wordlists.Key, uint32) error) error {
				var buf []entry
				for p := range uint32(256) {
					buf = rangeOf(buf[:0], benchSeed, uint32(id)*256+p, mean, wordlists.SHA1)
					for i := range buf {
						if err := add(buf[i].key, buf[i].count); err != nil {
							return err
						}
					}
				}
				return nil
			})
		if err != nil {
			b.Fatal(err)
		}
	}
	opts := wordlists.Options{Preload: wordlists.PreloadMapped}
	if *benchHuge {
		opts.Preload = wordlists.PreloadMemory
	}
	x := openIndex(b, path, opts)
	if err := x.Verify(b.Context()); err != nil { // reads every page in
		b.Fatal(err)
	}
	return x
}

// sampleKeys draws members of the corpus, and as many that are not, in random order.
func sampleKeys(n int) (hits, misses []wordlists.Key) {
	r := rng(99)
	mean := float64(*benchN) / (1 << 20)
	var buf []entry
	for len(hits) < n {
		buf = rangeOf(buf[:0], benchSeed, uint32(r.next()>>44), mean, wordlists.SHA1)
		for range min(4, len(buf)) {
			hits = append(hits, buf[r.next()%uint64(len(buf))].key)
			var k wordlists.Key
			for i := 0; i < 16; i += 8 {
				binary.BigEndian.PutUint64(k[i:], r.next())
			}
			misses = append(misses, k)
		}
	}
	for i := len(hits) - 1; i > 0; i-- {
		j := r.next() % uint64(i+1)
		hits[i], hits[j] = hits[j], hits[i]
	}
	return hits, misses
}

// threadTime is the processor time of this thread, which other programs on the
// machine cannot stretch by taking turns.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// contender is one way of looking keys up; it returns something that depends
// on all answers.
type contender struct {
	name string
	run  func(keys []wordlists.Key) uint64
}

// race runs slices of look-ups of each contender in turn and gives the median
// time a key of each, so that whatever disturbs the machine disturbs all alike.
func race(b *testing.B, keys []wordlists.Key, slice, rounds int, all []contender) map[string]float64 {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	times := map[string][]float64{}
	at := 0
	var sink uint64
	for range rounds {
		for _, c := range all {
			if at+slice > len(keys) {
				at = 0
			}
			part := keys[at : at+slice]
			at += slice
			begin := threadTime()
			sink += c.run(part)
			times[c.name] = append(times[c.name], float64(threadTime()-begin)/float64(slice))
		}
	}
	runtime.KeepAlive(sink)
	medians := map[string]float64{}
	for _, c := range all {
		list := slices.Clone(times[c.name])
		ratios := make([]float64, len(list))
		for i := range list {
			ratios[i] = list[i] / times[all[0].name][i]
		}
		slices.Sort(list)
		slices.Sort(ratios)
		medians[c.name] = list[len(list)/2]
		b.Logf("%-14s best %7.1f  median %7.1f ns a key  %.3f of %s", c.name, list[0], list[len(list)/2], ratios[len(ratios)/2], all[0].name)
	}
	return medians
}

func benchCount(b *testing.B, x *wordlists.Index, fenced bool) func([]wordlists.Key) uint64 {
	return func(keys []wordlists.Key) (sum uint64) {
		for i := range keys {
			n, _, err := x.Count(keys[i])
			if err != nil {
				b.Fatal(err)
			}
			sum += uint64(n)
			if fenced {
				fence.Load()
			}
		}
		return sum
	}
}

func benchFloor(f wordlists.Floor, fenced bool) func([]wordlists.Key) uint64 {
	return func(keys []wordlists.Key) (sum uint64) {
		for i := range keys {
			sum += uint64(f.Read(&keys[i]))
			if fenced {
				fence.Load()
			}
		}
		return sum
	}
}

const sliceKeys = 60_000

func rounds(b *testing.B) int { return max(7, min(b.N, 15)) }

// BenchmarkLatency measures one look-up at a time against one random memory
// line of the same file. Figures are ratios within one run.
func BenchmarkLatency(b *testing.B) {
	if !fence.Works {
		b.Skip("no fence on this architecture")
	}
	x := benchCorpus(b, false)
	f := wordlists.NewFloor(x)
	hits, misses := sampleKeys(1_500_000)
	for _, set := range []struct {
		name string
		keys []wordlists.Key
	}{{"hit", hits}, {"miss", misses}} {
		b.Run(set.name, func(b *testing.B) {
			m := race(b, set.keys, sliceKeys, rounds(b), []contender{
				{"floor", benchFloor(f, true)}, {"index", benchCount(b, x, true)},
				{"floor-loop", benchFloor(f, false)}, {"index-loop", benchCount(b, x, false)},
			})
			b.ReportMetric(m["index"]/m["floor"], "x-floor")
			b.ReportMetric(m["index-loop"]/m["floor-loop"], "x-floor-loop")
			b.ReportMetric(m["index"], "ns/key")
			b.ReportMetric(float64(x.HeadBytes())/float64(x.Info().Entries), "B/entry")
		})
	}
}

// BenchmarkPeers measures hits against FastFilter/xorfilter, a search in a
// sorted slice and a search in a mapped file of 24-byte records.
func BenchmarkPeers(b *testing.B) {
	if !fence.Works {
		b.Skip("no fence on this architecture")
	}
	x := benchCorpus(b, false)
	heads := make([]uint64, 0, *benchN)
	records := sortedFile(b, &heads)
	fuse, err := xorfilter.NewBinaryFuse[uint16](slices.Clone(heads))
	if err != nil {
		b.Fatal(err)
	}
	hits, _ := sampleKeys(1_500_000)
	m := race(b, hits, sliceKeys/2, rounds(b), []contender{
		{"floor", benchFloor(wordlists.NewFloor(x), true)},
		{"index", benchCount(b, x, true)},
		{"fuse16", func(keys []wordlists.Key) (sum uint64) {
			for i := range keys {
				if fuse.Contains(binary.BigEndian.Uint64(keys[i][:])) {
					sum++
				}
				fence.Load()
			}
			return sum
		}},
		{"sorted-slice", func(keys []wordlists.Key) (sum uint64) {
			for i := range keys {
				at, _ := slices.BinarySearch(heads, binary.BigEndian.Uint64(keys[i][:]))
				sum += uint64(at)
				fence.Load()
			}
			return sum
		}},
		{"sorted-file", func(keys []wordlists.Key) (sum uint64) {
			n := len(records) / 24
			for i := range keys {
				at := sort.Search(n, func(j int) bool { return slices.Compare(records[j*24:j*24+20], keys[i][:]) >= 0 })
				sum += uint64(binary.LittleEndian.Uint32(records[at*24+20:]))
				fence.Load()
			}
			return sum
		}},
	})
	b.ReportMetric(m["index"]/m["floor"], "x-floor")
	b.ReportMetric(m["index"]/m["fuse16"], "x-fuse16")
	b.ReportMetric(m["sorted-slice"]/m["index"], "slice/index")
	b.ReportMetric(m["sorted-file"]/m["index"], "file/index")
}

// sortedFile maps a file of sorted 24-byte records of the benchmarks' corpus
// and collects their heads.
func sortedFile(b *testing.B, heads *[]uint64) []byte {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "records"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var buf []entry
	var out []byte
	for p := range uint32(1 << 20) {
		buf = rangeOf(buf[:0], benchSeed, p, float64(*benchN)/(1<<20), wordlists.SHA1)
		for i := range buf {
			*heads = append(*heads, binary.BigEndian.Uint64(buf[i].key[:]))
			out = append(out, buf[i].key[:]...)
			out = binary.LittleEndian.AppendUint32(out, buf[i].count)
		}
		if len(out) > 1<<20 || p == 1<<20-1 {
			if _, err := f.Write(out); err != nil {
				b.Fatal(err)
			}
			out = out[:0]
		}
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, len(*heads)*24, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Munmap(mem) })
	return mem
}

// BenchmarkBatch measures CountBatch, in small and in large batches, against a
// plain loop of Count and against independent reads of random lines.
func BenchmarkBatch(b *testing.B) {
	x := benchCorpus(b, false)
	hits, _ := sampleKeys(4_000_000)
	dst := make([]uint32, len(hits))
	batch := func(size int) func([]wordlists.Key) uint64 {
		return func(keys []wordlists.Key) (sum uint64) {
			for at := 0; at < len(keys); at += size {
				part := keys[at:min(at+size, len(keys))]
				if err := x.CountBatch(dst, part); err != nil {
					b.Fatal(err)
				}
				sum += uint64(dst[0])
			}
			return sum
		}
	}
	m := race(b, hits, len(hits)/4, 7, []contender{
		{"loop", benchCount(b, x, false)},
		{"batch-1000", batch(1000)},
		{"batch-all", batch(len(hits))},
		{"floor-loop", benchFloor(wordlists.NewFloor(x), false)},
	})
	b.ReportMetric(m["loop"]/m["batch-1000"], "loop/batch")
	b.ReportMetric(m["loop"]/m["batch-all"], "loop/sorted")
	b.ReportMetric(m["batch-1000"]/m["floor-loop"], "batch/floor-loop")
}

// BenchmarkThreads measures two threads looking up at once against one.
func BenchmarkThreads(b *testing.B) {
	x := benchCorpus(b, false)
	hits, _ := sampleKeys(1_500_000)
	one := benchCount(b, x, false)
	wall := func(threads int) float64 {
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range threads {
			wg.Go(func() { one(hits[i*600_000:][:600_000]) })
		}
		wg.Wait()
		return float64(threads) * 600_000 / time.Since(begin).Seconds()
	}
	var ratios []float64
	for range 9 {
		ratios = append(ratios, 1/(wall(1)/wall(2)))
	}
	slices.SortFunc(ratios, cmp.Compare)
	b.ReportMetric(ratios[len(ratios)/2], "x-one-thread")
}

// BenchmarkRange measures range answers of a warm file.
func BenchmarkRange(b *testing.B) {
	n := *benchN
	if !*benchFull {
		*benchN = 20_000_000 / 16
		defer func() { *benchN = n }()
	}
	x := benchCorpus(b, true)
	r := rng(5)
	var body []byte
	lines := 0
	b.ReportAllocs()
	begin := threadTime()
	for b.Loop() {
		var err error
		if body, _, err = x.AppendRange(body[:0], uint32(r.next()>>44), wordlists.PadNone); err != nil {
			b.Fatal(err)
		}
		lines += len(body) / 38
	}
	b.ReportMetric(float64(threadTime()-begin)/float64(lines), "ns/line")
}

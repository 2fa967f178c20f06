// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package wordlists_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"strconv"
	"strings"
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
	benchHuge = flag.Bool("wordlists.huge", false, "run the benchmarks on pages of 2 MiB, where the file system has them (PreloadMapped)")
	benchMiss = flag.Int("wordlists.misses", 10_000_000, "random keys that BenchmarkMisses asks for")
)

// target reports a figure, and in the log whether it is what the format was
// designed for: at most the limit, or at least it when the limit is negative.
func target(b *testing.B, figure, limit float64, unit string) {
	b.Helper()
	b.ReportMetric(figure, unit)
	word, met := "at most", figure <= limit
	if limit < 0 {
		limit = -limit
		word, met = "at least", figure >= limit
	}
	b.Logf("%s: %.3g, target %s %.3g: %s", unit, figure, word, limit, map[bool]string{true: "met", false: "MISSED"}[met])
}

// pages gives the limit for the size of the pages that the benchmarks run on.
func pages(small, huge float64) float64 {
	if *benchHuge {
		return huge
	}
	return small
}

// bound is the least that a set of n heads with exact counts can take, in bytes
// an entry: the index keeps 36 bits and the number of the line of each key, and
// a count of the generated law has 3.06 bits of entropy.
func bound(n, lines float64) float64 { return (math.Log2(lines) + 36 - math.Log2(n) + 1.44 + 3.06) / 8 }

const benchSeed = 42

// benchFile builds, or finds, the corpus of the benchmarks. Keys are made from
// the seed alone, so nothing but the index is kept.
func benchFile(b *testing.B) string {
	b.Helper()
	dir := *benchDir
	if dir == "" {
		dir = b.TempDir()
	}
	path := filepath.Join(dir, fmt.Sprintf("bench-%d.wwix", *benchN))
	if _, err := os.Stat(path); err != nil {
		mean := float64(*benchN) / (1 << 20)
		_, err := wordlists.BuildSegments(b.Context(), wordlists.BuildOptions{Out: path, Partial: true, Workers: 2},
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
	return path
}

// benchCorpus opens the corpus and reads every page of it in.
func benchCorpus(b *testing.B) *wordlists.Index {
	b.Helper()
	path := benchFile(b)
	// Pages that are in memory stay as small, or as large, as they are.
	uncache(b, path)
	var opts wordlists.Options
	if *benchHuge {
		opts.Preload = wordlists.PreloadMapped
	}
	x := openIndex(b, path, opts)
	if err := x.Verify(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Logf("%.0f %% of the corpus is mapped by pages of 2 MiB", 100*hugeShare(b, path))
	return x
}

// uncache takes a file out of memory.
func uncache(b *testing.B, path string) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		b.Fatal(err)
	}
}

// hugeShare is the share of a mapped file that lies in pages of 2 MiB.
func hugeShare(b *testing.B, path string) float64 {
	b.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return math.NaN()
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	_, ours, _ := strings.Cut(string(maps), path)
	field := func(name string) float64 {
		_, rest, _ := strings.Cut(ours, name)
		kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, _ := strconv.ParseFloat(kib, 64)
		return n
	}
	return field("FilePmdMapped:") / field("Size:")
}

// sampleKeys draws members of the corpus, and as many that are not, in random
// order: many of each range it must generate, or one when they are few.
func sampleKeys(n int) (hits, misses []wordlists.Key) {
	perRange := min(32, 1+n/100_000)
	r := rng(99)
	mean := float64(*benchN) / (1 << 20)
	var buf []entry
	for len(hits) < n {
		buf = rangeOf(buf[:0], benchSeed, uint32(r.next()>>44), mean, wordlists.SHA1)
		for range min(perRange, len(buf)) {
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

// race runs slices of look-ups of each contender in turn, so that whatever
// disturbs the machine disturbs all alike. The function it returns gives how
// many times as long one contender takes as another one: the median of what
// they took in the same turn.
func race(b *testing.B, keys []wordlists.Key, slice, rounds int, all []contender) (ratio func(one, other string) float64) {
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
	ratio = func(one, other string) float64 {
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = times[one][i] / times[other][i]
		}
		slices.Sort(ratios)
		return ratios[rounds/2]
	}
	for _, c := range all {
		sorted := slices.Sorted(slices.Values(times[c.name]))
		b.Logf("%-14s best %7.1f  median %7.1f ns a key  %.3f of %s", c.name, sorted[0], sorted[rounds/2], ratio(c.name, all[0].name), all[0].name)
	}
	return ratio
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

const (
	sliceKeys = 60_000
	rounds    = 11
)

// BenchmarkLatency measures one look-up at a time against one random memory
// line of the same file. Figures are ratios within one run.
func BenchmarkLatency(b *testing.B) {
	if !fence.Works {
		b.Skip("no fence on this architecture")
	}
	x := benchCorpus(b)
	f := wordlists.NewFloor(x)
	hits, misses := sampleKeys(1_500_000)
	for _, set := range []struct {
		name string
		keys []wordlists.Key
	}{{"hit", hits}, {"miss", misses}} {
		b.Run(set.name, func(b *testing.B) {
			ratio := race(b, set.keys, sliceKeys, rounds, []contender{
				{"floor", benchFloor(f, true)}, {"index", benchCount(b, x, true)},
			})
			target(b, ratio("index", "floor"), pages(1.35, 1.30), "x-floor")
			size := float64(x.HeadBytes()) / float64(x.Info().Entries)
			b.ReportMetric(size, "B/entry")
			target(b, size/bound(float64(x.Info().Entries), float64(x.HomeLines())), 1.25, "x-bound")
		})
	}
}

// BenchmarkPeers measures hits against FastFilter/xorfilter, a search in a
// sorted slice and a search in a mapped file of 24-byte records.
func BenchmarkPeers(b *testing.B) {
	if !fence.Works {
		b.Skip("no fence on this architecture")
	}
	x := benchCorpus(b)
	heads := make([]uint64, 0, *benchN)
	records := sortedFile(b, &heads)
	fuse, err := xorfilter.NewBinaryFuse[uint16](slices.Clone(heads))
	if err != nil {
		b.Fatal(err)
	}
	// Every entry alike likely to be asked for: sampleKeys takes several from
	// one place, which a search that ends in one page would profit from.
	hits := make([]wordlists.Key, 1_500_000)
	r := rng(98)
	for i := range hits {
		copy(hits[i][:], records[r.next()%uint64(len(records)/24)*24:])
	}
	ratio := race(b, hits, sliceKeys/2, rounds, []contender{
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
		{"sorted-file", searchFile(records, func() {})},
		{"file-in-turn", searchFile(records, fence.Load)},
	})
	target(b, ratio("index", "floor"), pages(1.35, 1.30), "x-floor")
	target(b, ratio("index", "fuse16"), pages(1.9, 1.3), "x-fuse16")
	target(b, ratio("sorted-slice", "index"), -4, "slice/index")
	target(b, ratio("sorted-file", "index"), -9, "file/index")
	// The index cannot be further ahead of a search than one random line is. How
	// many of those a search takes is up to the processor: its caches hold the
	// records that every search begins with, and it guesses how a comparison
	// will end and reads on; in turn, it may not guess.
	b.ReportMetric(ratio("sorted-slice", "floor"), "slice/floor")
	b.ReportMetric(ratio("sorted-file", "floor"), "file/floor")
	b.ReportMetric(ratio("file-in-turn", "floor"), "in-turn/floor")
	b.ReportMetric(ratio("file-in-turn", "index"), "in-turn/index")
	b.Logf("a search of the file takes as long as %.1f random lines, %.1f when it may not read ahead: %.1f and %.1f times the index",
		ratio("sorted-file", "floor"), ratio("file-in-turn", "floor"), ratio("sorted-file", "index"), ratio("file-in-turn", "index"))
}

// searchFile looks keys up in sorted 24-byte records; between says what comes
// before each comparison.
func searchFile(records []byte, between func()) func([]wordlists.Key) uint64 {
	n := len(records) / 24
	return func(keys []wordlists.Key) (sum uint64) {
		for i := range keys {
			at := sort.Search(n, func(j int) bool {
				between()
				return slices.Compare(records[j*24:j*24+20], keys[i][:]) >= 0
			})
			sum += uint64(binary.LittleEndian.Uint32(records[at*24+20:]))
			fence.Load()
		}
		return sum
	}
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
	b.Logf("%.0f %% of the records are mapped by pages of 2 MiB", 100*hugeShare(b, f.Name()))
	return mem
}

// BenchmarkBatch measures CountBatch, in small and in large batches, against a
// plain loop of Count and against independent reads of random lines.
func BenchmarkBatch(b *testing.B) {
	x := benchCorpus(b)
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
	ratio := race(b, hits, len(hits), 5, []contender{
		{"loop", benchCount(b, x, false)},
		{"batch-1000", batch(1000)},
		{"batch-all", batch(len(hits))},
		{"floor-loop", benchFloor(wordlists.NewFloor(x), false)},
	})
	target(b, ratio("loop", "batch-1000"), -pages(2.2, 1.5), "loop/batch")
	target(b, ratio("loop", "batch-all"), -pages(5, 2.1), "loop/sorted")
	target(b, ratio("batch-1000", "floor-loop"), 1.6, "batch/floor-loop")
}

// BenchmarkThreads measures two threads looking up at once against one.
func BenchmarkThreads(b *testing.B) {
	x := benchCorpus(b)
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
	target(b, ratios[len(ratios)/2], -1.8, "x-one-thread")
}

// BenchmarkCold measures how many pages of a file that is not in memory one
// look-up reads.
func BenchmarkCold(b *testing.B) {
	path := benchFile(b)
	uncache(b, path)
	x := openIndex(b, path, wordlists.Options{})
	before := x.ResidentPages()
	if before > 10_000 {
		b.Skip("the file system does not let go of pages")
	}
	hits, _ := sampleKeys(400)
	for _, k := range hits[:400] {
		if found, err := x.Contains(k); !found || err != nil {
			b.Fatal(found, err)
		}
	}
	target(b, float64(x.ResidentPages()-before)/400, 1.2, "pages/look-up")
}

// BenchmarkMisses looks for random keys, of which none should be listed: once
// in about six billion look-ups one is taken for a member.
func BenchmarkMisses(b *testing.B) {
	x := benchCorpus(b)
	r := rng(2026)
	keys, counts := make([]wordlists.Key, 1<<18), make([]uint32, 1<<18)
	found, asked := 0, 0
	for ; asked < *benchMiss; asked += len(keys) {
		for i := range keys {
			for j := 0; j < 16; j += 8 {
				binary.BigEndian.PutUint64(keys[i][j:], r.next())
			}
		}
		if err := x.CountBatch(counts, keys); err != nil {
			b.Fatal(err)
		}
		for _, n := range counts {
			found += int(min(n, 1))
		}
	}
	b.ReportMetric(float64(asked), "asked")
	target(b, float64(found), 0, "found")
}

// BenchmarkRange measures range answers of a warm file, as dense as a corpus
// of two billion entries.
func BenchmarkRange(b *testing.B) {
	const mean, segments = 1950, 4
	path := filepath.Join(b.TempDir(), "dense.wwix")
	_, err := wordlists.BuildSegments(b.Context(), wordlists.BuildOptions{Out: path, Full: true, Partial: true},
		func(id int, add func(wordlists.Key, uint32) error) error {
			if id >= segments {
				return nil
			}
			for _, e := range generateIn(benchSeed, mean, wordlists.SHA1, uint32(id)) {
				if err := add(e.key, e.count); err != nil {
					return err
				}
			}
			return nil
		})
	if err != nil {
		b.Fatal(err)
	}
	x := openIndex(b, path, wordlists.Options{})
	for _, padding := range []struct {
		name string
		wordlists.Padding
	}{{"plain", wordlists.PadNone}, {"padded", wordlists.PadFull}} {
		b.Run(padding.name, func(b *testing.B) {
			r := rng(5)
			var body []byte
			var times []float64
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for range 4096 {
				prefix := uint32(r.next() % (segments * 256))
				begin := threadTime()
				var err error
				if body, _, err = x.AppendRange(body[:0], prefix, padding.Padding); err != nil {
					b.Fatal(err)
				}
				times = append(times, float64(threadTime()-begin)/float64(bytes.Count(body, []byte{'\n'})+1))
			}
			slices.Sort(times)
			target(b, times[len(times)/2], 25, "ns/line")
		})
	}
}

// BenchmarkOpen measures how long a file takes to open and answer once.
func BenchmarkOpen(b *testing.B) {
	path := benchFile(b)
	key := openIndex(b, path, wordlists.Options{}).Info().Canaries[0].Key
	var times []float64
	for b.Loop() {
		begin := time.Now()
		y, err := wordlists.Open(path, wordlists.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if found, err := y.Contains(key); !found || err != nil {
			b.Fatal(found, err)
		}
		times = append(times, float64(time.Since(begin))/1e6)
		y.Close()
	}
	target(b, slices.Max(times), 10, "ms-most")
}

// resetPeak forgets the most memory that the process had, and gives what it has
// now, in MiB.
func resetPeak(b *testing.B) float64 {
	b.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Skip(err)
	}
	return peak(b)
}

// peak gives the most memory that the process had, in MiB.
func peak(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// BenchmarkBuild measures the processor time of a build from text, by one
// worker.
func BenchmarkBuild(b *testing.B) {
	path := filepath.Join(b.TempDir(), "hashes.txt")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	var buf []entry
	var line []byte
	n := 0
	for p := range uint32(1 << 20) {
		buf = rangeOf(buf[:0], benchSeed, p, float64(*benchN)/(1<<20), wordlists.SHA1)
		for i := range buf {
			line = appendHex(line[:0], &buf[i].key, 0, 40)
			line = fmt.Appendf(line, ":%d\n", buf[i].count)
			w.Write(line)
			n++
		}
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		b.Fatal(err)
	}
	for _, full := range []bool{false, true} {
		b.Run(map[bool]string{false: "heads", true: "full"}[full], func(b *testing.B) {
			var before, after unix.Rusage
			resident := resetPeak(b)
			unix.Getrusage(unix.RUSAGE_SELF, &before)
			var size int64
			for b.Loop() {
				res, err := wordlists.Build(b.Context(), wordlists.BuildOptions{In: path, Out: path + ".wwix", Partial: true, Full: full, Workers: 1})
				if err != nil {
					b.Fatal(err)
				}
				size = res.Info.Size
			}
			unix.Getrusage(unix.RUSAGE_SELF, &after)
			cpu := after.Utime.Nano() - before.Utime.Nano() + after.Stime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(cpu)/float64(b.N)/float64(n), "cpu-ns/entry")
			b.ReportMetric(float64(size)/float64(n), "B/entry")
			target(b, peak(b)-resident, 64, "MiB-peak")
			if full {
				target(b, float64(size)/float64(n)/16.70, 1.13, "x-bound-160")
			}
		})
	}
}

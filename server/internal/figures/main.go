// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Command figures runs the benchmarks that hold watchword against other
// programs and against limits, and writes one table of them: as text, as a page
// with bars, and into the README. Most figures are ratios within one process, so
// that a slow or busy machine slows both sides.
//
//	go run ./server/internal/figures -o figures.html -readme README.md
//
// It needs what the benchmarks need (redis-server, PostgreSQL, a C compiler and
// libargon2); a row whose peer is missing says so and has no figure.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	out := flag.String("o", "", "page to write; none if empty")
	readme := flag.String("readme", "", "file with the table's marks, to write the table between them; none if empty")
	only := flag.String("run", "", "regular expression: only rows of packages or benchmarks that match")
	entries := flag.Int("entries", 50_000_000, "size of the corpus of the look-ups")
	count := flag.Int("count", 3, "runs of each benchmark; the median counts")
	flag.Parse()
	if *readme != "" && *only != "" {
		fmt.Fprintln(os.Stderr, "figures: -readme wants all rows, and -run leaves some out")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := report(ctx, *out, *readme, *only, *entries, *count); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func report(ctx context.Context, page, readme, only string, entries, count int) error {
	filter, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	corpora, err := os.MkdirTemp("", "figures-") // shared by those that need a large one
	if err != nil {
		return err
	}
	defer os.RemoveAll(corpora)
	t := table{Machine: machine(), Began: time.Now(), Load: load()}
	for _, run := range runs(filter) {
		begin := time.Now()
		got, err := run.measure(ctx, corpora, entries, count)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(os.Stderr, "%4.0f s  %s %s\n", time.Since(begin).Seconds(), run.pkg, run.pattern())
		for _, r := range run.rows {
			t.Rows = append(t.Rows, r.result(got, err))
		}
	}
	slices.SortStableFunc(t.Rows, func(a, b result) int { return a.order - b.order })
	t.Took, t.LoadAfter = time.Since(t.Began).Round(time.Second), load()
	if err := t.text(os.Stdout); err != nil {
		return err
	}
	if page != "" {
		var b bytes.Buffer
		if err := t.html(&b); err != nil {
			return err
		}
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if readme == "" {
		return nil
	}
	b, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	text, err := t.into(string(b))
	if err != nil {
		return fmt.Errorf("%s: %w", readme, err)
	}
	return os.WriteFile(readme, []byte(text), 0o644)
}

// run is one call of go test: the rows of one benchmark.
type run struct {
	pkg, tags, time string
	parts           [][]string // of the names, by level
	corpus          bool
	rows            []numbered
}

// pattern selects only the sub-benchmarks that rows ask for.
func (r *run) pattern() string {
	var all []string
	for _, names := range r.parts {
		all = append(all, "^("+strings.Join(names, "|")+")$")
	}
	return strings.Join(all, "/")
}

func (r *run) add(n numbered) {
	for level, name := range strings.Split(n.bench, "/") {
		if name == "*" {
			name = strings.Join(kernels, "|")
		} else {
			name = regexp.QuoteMeta(name)
		}
		if level == len(r.parts) {
			r.parts = append(r.parts, nil)
		}
		if !slices.Contains(r.parts[level], name) {
			r.parts[level] = append(r.parts[level], name)
		}
	}
	r.rows = append(r.rows, n)
}

type numbered struct {
	row
	order int
}

// runs groups the rows by the benchmark they come from.
func runs(filter *regexp.Regexp) []*run {
	var all []*run
	at := map[string]*run{}
	for i, r := range rows {
		top, _, _ := strings.Cut(r.bench, "/")
		key := r.pkg + " " + top
		if !filter.MatchString(key) {
			continue
		}
		if at[key] == nil {
			at[key] = &run{pkg: r.pkg, tags: r.tags, time: cmp.Or(r.time, "1s"), corpus: r.pkg == corporaPkg}
			all = append(all, at[key])
		}
		at[key].add(numbered{r, i})
	}
	return all
}

// measure gives the values by benchmark and unit.
func (r *run) measure(ctx context.Context, corpora string, entries, count int) (values, error) {
	args := []string{"test", "-v", "-run", "^$", "-bench", r.pattern(), "-benchtime", r.time, "-count", strconv.Itoa(count), "-timeout", "2h"}
	if r.tags != "" {
		args = append(args, "-tags", r.tags)
	}
	args = append(args, r.pkg)
	if r.corpus {
		args = append(args, "-wordlists.n", strconv.Itoa(entries), "-wordlists.dir", corpora)
	}
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	got := parse(string(out))
	switch {
	case err == nil && len(got) == 0:
		return nil, errors.New(skipped(string(out)))
	case err == nil:
		return got, nil
	case bytes.Contains(out, []byte("--- FAIL")) && len(got) > 0:
		// A target that was missed is a figure too.
		return got, nil
	}
	return nil, errors.New(last(string(out)))
}

var skip = regexp.MustCompile(`--- SKIP: .*\n\s+\S+\.go:\d+: (.*)`)

// skipped is why a benchmark did not run.
func skipped(out string) string {
	if why := skip.FindStringSubmatch(out); why != nil {
		return why[1]
	}
	return "the benchmark gave no figure"
}

func last(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.TrimSpace(lines[max(0, len(lines)-2)])
}

// values are those of all runs, by "Benchmark/sub unit".
type values map[string][]float64

var procs = regexp.MustCompile(`-\d+$`)

// parse reads what go test -bench prints (golang.org/design/14313-benchmark-format).
func parse(out string) values {
	v := values{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		if _, err := strconv.Atoi(f[1]); err != nil {
			continue
		}
		name := procs.ReplaceAllString(f[0], "")
		for i := 2; i+1 < len(f); i += 2 {
			if n, err := strconv.ParseFloat(f[i], 64); err == nil {
				key := name + " " + f[i+1]
				v[key] = append(v[key], n)
			}
		}
	}
	return v
}

// result is a row with its figure.
type result struct {
	row
	order int
	Value float64
	// Low and High are the least and the largest of the runs.
	Low, High float64
	Fault     string // instead of a figure
}

func (n numbered) result(got values, err error) result {
	r := result{row: n.row, order: n.order}
	if err != nil {
		r.Fault = err.Error()
		return r
	}
	var all []float64
	for _, k := range kernels {
		if all = slices.Clone(got[strings.ReplaceAll(n.bench, "*", k)+" "+n.unit]); len(all) > 0 {
			break
		}
	}
	if len(all) == 0 {
		r.Fault = "the benchmark gave no such figure"
		return r
	}
	slices.Sort(all)
	r.Value, r.Low, r.High = (all[(len(all)-1)/2]+all[len(all)/2])/2, all[0], all[len(all)-1]
	return r
}

// Target writes the target of a row.
func (r row) Target() string {
	switch {
	case r.atLeast != 0:
		return "≥ " + short(r.atLeast)
	case r.atMost != 0:
		return "≤ " + short(r.atMost)
	}
	return ""
}

// Met tells whether the target was met, when there is one and a figure.
func (r result) Met() string {
	switch {
	case r.Fault != "":
		return "no figure"
	case r.atLeast == 0 && r.atMost == 0:
		return ""
	case r.atLeast != 0 && r.Value < r.atLeast, r.atMost != 0 && r.Value > r.atMost:
		return "missed"
	}
	return "met"
}

// short writes three digits that count, and no power of ten.
func short(v float64) string {
	if v < 1000 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	digits := math.Pow10(int(math.Log10(v)) - 2)
	return strconv.FormatFloat(math.Round(v/digits)*digits, 'f', 0, 64)
}

// table is the whole report.
type table struct {
	Machine         []string
	Began           time.Time
	Took            time.Duration
	Load, LoadAfter string
	Rows            []result
}

func (t table) text(w *os.File) error {
	for _, m := range t.Machine {
		fmt.Fprintln(w, m)
	}
	fmt.Fprintf(w, "load %s before, %s after; took %s\n\n", t.Load, t.LoadAfter, t.Took)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "what\tbeside\tfigure\truns\ttarget\t")
	for _, r := range t.Rows {
		figure, spread := short(r.Value), short(r.Low)+" – "+short(r.High)
		if r.Fault != "" {
			figure, spread = "–", ""
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", r.What, r.Peer, figure, spread, r.Target(), r.Met())
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, r := range t.Rows {
		if r.Fault != "" {
			fmt.Fprintf(w, "no figure for %q: %s\n", r.What, r.Fault)
		}
	}
	return nil
}

// machine describes what the figures were measured on.
func machine() []string {
	m := []string{fmt.Sprintf("%s, %d processors, %s/%s", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if s := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(b); s != nil {
			m = append(m, string(s[1]))
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if s := regexp.MustCompile(`(?m)^MemTotal:\s*(\d+) kB$`).FindSubmatch(b); s != nil {
			kib, _ := strconv.Atoi(string(s[1]))
			m = append(m, fmt.Sprintf("%d GiB of memory", kib>>20))
		}
	}
	for _, of := range []struct {
		what string
		args []string
	}{{"kernel", []string{"uname", "-r"}}, {"revision", []string{"git", "rev-parse", "--short=12", "HEAD"}}} {
		if out, err := exec.Command(of.args[0], of.args[1:]...).Output(); err == nil {
			m = append(m, of.what+" "+strings.TrimSpace(string(out)))
		}
	}
	return m
}

// load is the number of processes that wanted to run in the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

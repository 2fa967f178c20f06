// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRows holds every row to a benchmark that reports its unit.
func TestRows(t *testing.T) {
	times := map[string]string{}
	for _, r := range rows {
		files, err := filepath.Glob(filepath.Join("../../..", r.pkg, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no tests there (%v)", r.pkg, err)
		}
		var all []byte
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		top, _, _ := strings.Cut(r.bench, "/")
		if !bytes.Contains(all, []byte("func "+top+"(b *testing.B)")) {
			t.Errorf("%q: there is no %s in %s", r.What, top, r.pkg)
		}
		reported := r.unit == "ns/op"
		for i := range len(r.unit) { // some are put together from a name and a literal
			for _, part := range []string{r.unit[i:], r.unit[:i]} {
				reported = reported || len(part) > 3 && bytes.Contains(all, []byte(`"`+part+`"`))
			}
		}
		if !reported {
			t.Errorf("%q: nothing in %s reports %s", r.What, r.pkg, r.unit)
		}
		if at, ok := times[r.pkg+top]; ok && at != r.time {
			t.Errorf("%q: -benchtime %q, and %q for another row of %s", r.What, r.time, at, top)
		}
		times[r.pkg+top] = r.time
		if r.atLeast != 0 && r.atMost != 0 {
			t.Errorf("%q has two targets", r.What)
		}
	}
}

const printed = `goos: linux
BenchmarkOf-4   	  203	   5012 ns/op	        56.1 x-ccojocar	    199597 passwords/s	      12.60 p99-µs	       0 B/op
BenchmarkOf-4   	  203	   5012 ns/op	        40.0 x-ccojocar	    150000 passwords/s	     120.00 p99-µs	       0 B/op
BenchmarkOf-4   	  203	   5012 ns/op	        60.0 x-ccojocar	    210000 passwords/s	     130.00 p99-µs	       0 B/op
BenchmarkPeers-4   	  1	   5012 ns/op	  8.5 file/index
    bench_test.go:77: file/index = 8.5, MISSED
--- FAIL: BenchmarkPeers
BenchmarkVersusXCrypto/avx2/m=19MiB,t=2,p=1-4 	 20	 2.9 x-xcrypto
BenchmarkVersusXCrypto/avx512/m=19MiB,t=2,p=1-4 	 20	 3.7 x-xcrypto
`

func TestResults(t *testing.T) {
	got := parse(printed)
	find := func(unit string) result {
		for i, r := range rows {
			if r.unit == unit {
				return numbered{r, i}.result(got, nil)
			}
		}
		t.Fatalf("no row has the unit %s", unit)
		return result{}
	}
	if r := find("x-ccojocar"); r.Value != 56.1 || r.Low != 40 || r.High != 60 || r.Met() != "met" {
		t.Errorf("%+v, %s", r, r.Met())
	}
	if r := find("p99-µs"); r.Value != 120 || r.Met() != "missed" {
		t.Errorf("%+v, %s", r, r.Met())
	}
	if r := find("file/index"); r.Value != 8.5 || r.Met() != "missed" {
		t.Errorf("%+v, %s", r, r.Met())
	}
	if r := find("x-xcrypto"); r.Value != 3.7 || r.Met() != "met" {
		t.Errorf("the fastest kernel: %+v, %s", r, r.Met())
	}
	if r := find("x-fuse16"); r.Fault == "" || r.Met() != "no figure" {
		t.Errorf("without a figure: %+v, %s", r, r.Met())
	}
}

// TestPage writes a page in which nothing of what was measured is markup.
func TestPage(t *testing.T) {
	tab := table{Machine: []string{"<script>alert(1)</script>"}, Load: "1"}
	for i, r := range rows {
		tab.Rows = append(tab.Rows, numbered{r, i}.result(parse(printed), nil))
	}
	tab.Rows = append(tab.Rows, numbered{row{What: "x"}, 0}.result(nil, errors.New("<img src=x>")))
	var b bytes.Buffer
	if err := tab.html(&b); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); strings.Contains(s, "<script") || strings.Contains(s, "<img") || strings.Contains(s, "ZgotmplZ") ||
		strings.Count(s, "<tr>") != len(tab.Rows)+1 || regexp.MustCompile(`(src|href)=`).MatchString(strings.ReplaceAll(s, "&lt;img src=x&gt;", "")) {
		t.Errorf("the page is not what it should be:\n%s", s)
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0.05714: "0.0571", 1.35: "1.35", 999: "999", 1000: "1000", 199_597: "200000", 112_956: "113000"} {
		if got := short(v); got != want {
			t.Errorf("short(%v) = %s, want %s", v, got, want)
		}
	}
}

// TestReadme holds the table of the README to the rows: each is there, in order,
// with its peer and its aim. The figures are those of whoever measured last.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want table
	for i, r := range rows {
		want.Rows = append(want.Rows, numbered{r, i}.result(nil, nil))
	}
	outline := func(text string) (out []string) {
		_, text, _ = strings.Cut(text, tableBegin)
		text, _, _ = strings.Cut(text, tableEnd)
		for line := range strings.Lines(text) {
			if c := strings.Split(line, "|"); len(c) == 7 {
				out = append(out, c[1]+"|"+c[2]+"|"+strings.TrimSuffix(strings.TrimSpace(c[5]), ", missed"))
			}
		}
		return out
	}
	written, err := want.into(string(b))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	if d := cmp.Diff(outline(written), outline(string(b))); d != "" {
		t.Errorf("README.md does not have the rows of rows.go; go run ./server/internal/figures -readme README.md writes them (-want +got):\n%s", d)
	}
	if _, err := want.into(strings.ReplaceAll(string(b), tableEnd, "")); err == nil {
		t.Error("a table was written into a text without its marks")
	}
}

// TestSkipped: a machine without a peer says so in the row.
func TestSkipped(t *testing.T) {
	if got := skipped("=== RUN\nBenchmarkDecision\n--- SKIP: BenchmarkDecision\n    servers_test.go:33: no redis-server in PATH\nPASS\n"); got != "no redis-server in PATH" {
		t.Errorf("%q", got)
	}
}

// TestPattern: only the sub-benchmarks of rows are run.
func TestPattern(t *testing.T) {
	all := runs(regexp.MustCompile("VersusXCrypto"))
	if len(all) != 1 || all[0].pattern() != "^(BenchmarkVersusXCrypto)$/^(avx512|avx2|generic)$/^(m=19MiB,t=2,p=1|m=64MiB,t=3,p=4)$" {
		t.Errorf("%+v", all)
	}
}

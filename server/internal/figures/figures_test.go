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
)

// TestRows holds every row to a benchmark that reports its unit.
func TestRows(t *testing.T) {
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
		_, unit, _ := strings.Cut(r.unit, "-ops") // some are put together from a name and this
		if !bytes.Contains(all, []byte(`"`+r.unit+`"`)) && !bytes.Contains(all, []byte(`"-ops`+unit+`"`)) {
			t.Errorf("%q: nothing in %s reports %s", r.What, r.pkg, r.unit)
		}
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

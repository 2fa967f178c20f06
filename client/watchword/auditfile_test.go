// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/client"
)

// readFile gives the records of a file with the line of each.
func readFile(t *testing.T, format, text string, from int) (out []client.AuditRecord, lines []int, err error) {
	t.Helper()
	r, err := newRecordReader(strings.NewReader(text), format, "")
	if err != nil {
		return nil, nil, err
	}
	for rec := range r.records(from) {
		out = append(out, rec)
	}
	for i := range out {
		lines = append(lines, r.line(from+i))
	}
	return out, lines, r.err
}

// FuzzRecordFile reads any text in each form. What must hold whatever it says:
// line numbers grow and are lines of the file; a file of lines has one record
// for each that is not blank, good or not, so that offsets stay; and whoever
// begins in the middle gets the same records as who begins at the start.
func FuzzRecordFile(f *testing.F) {
	f.Add("id,hash\na,b\n\nc,\"d\ne\"\nf\n", 1)
	f.Add("\uFEFFid,password,lastLogin,flags\r\nx,y,2026-01-31,test;service\r\n", 0)
	f.Add("{\"id\":\"a\"}\n\n{\"id\":5}\nnot json\n{\"id\":\"b\",\"context\":{\"names\":[\"张伟\"]}}", 2)
	f.Add("D\\u:500:aad3b435b51404eeaad3b435b51404ee:0123456789abcdef0123456789abcdef:::\nu:1:::\n", 1)
	f.Fuzz(func(t *testing.T, text string, from int) {
		for _, format := range []string{"csv", "jsonl", "pwdump"} {
			all, lines, err := readFile(t, format, text, 0)
			if err != nil {
				if format != "csv" {
					t.Fatalf("%s: %v", format, err)
				}
				continue
			}
			most := strings.Count(text, "\n") + strings.Count(text, "\r") + 1
			for i, n := range lines {
				if n < 1 || n > most || i > 0 && n <= lines[i-1] {
					t.Fatalf("%s: lines %v of %d", format, lines, most)
				}
			}
			if format != "csv" {
				n := 0
				for line := range strings.SplitSeq(text, "\n") {
					if strings.TrimSpace(strings.TrimPrefix(line, "\uFEFF")) != "" {
						n++
					}
				}
				if n != len(all) {
					t.Fatalf("%s: %d records of %d lines", format, len(all), n)
				}
			}
			if from < 0 || from > len(all) {
				continue
			}
			rest, at, err := readFile(t, format, text, from)
			if err != nil || !cmp.Equal(rest, all[from:]) && len(rest)+len(all[from:]) > 0 || len(at) != len(lines)-from {
				t.Fatalf("%s from %d: %v\n%s", format, from, err, cmp.Diff(all[from:], rest))
			}
			for i, n := range at {
				if n != lines[from+i] {
					t.Fatalf("%s from %d: line %d, want %d", format, from, n, lines[from+i])
				}
			}
		}
	})
}

// FuzzCSVCells writes cells as RFC 4180 says, and reads them: they come back as
// they were, whatever is in them.
func FuzzCSVCells(f *testing.F) {
	f.Add("a", "$NT$x", "张伟")
	f.Add("a,b", "\"c\"\n", " d ")
	f.Add("a", "\r\r\n", "d")
	f.Fuzz(func(t *testing.T, id, hash, login string) {
		for _, s := range []*string{&id, &hash, &login} {
			for strings.Contains(*s, "\r\n") { // which the reader takes for one line end
				*s = strings.ReplaceAll(*s, "\r\n", "\n")
			}
		}
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		if err := w.WriteAll([][]string{{"id", "hash", "login"}, {id, hash, login}}); err != nil {
			t.Fatal(err)
		}
		got, _, err := readFile(t, "csv", b.String(), 0)
		want := []client.AuditRecord{{ID: id, Hash: hash, Person: client.Person{Login: login}}}
		if err != nil || !cmp.Equal(got, want) {
			t.Fatalf("%v\n%s", err, cmp.Diff(want, got))
		}
	})
}

// An open quotation mark must not read the rest of the file into memory.
func TestOpenQuotationMark(t *testing.T) {
	text := "id,hash\na,b\n\"c,d\n" + strings.Repeat("x,y\n", 1<<20)
	all, _, err := readFile(t, "csv", text, 0)
	if err == nil || !strings.Contains(err.Error(), "quotation mark") || len(all) != 1 {
		t.Errorf("%d records, %v", len(all), err)
	}
}

// On a terminal the bar is one line that is written over; elsewhere a line goes
// out now and then.
func TestProgress(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, terminal := range []bool{true, false} {
		var b bytes.Buffer
		p := newProgress(&b, terminal)
		for i := range 5 {
			p.show(client.Audit{Done: 100 * i, Total: 400, ETA: time.Duration(4-i) * time.Second, Yield: 7, Findings: map[string]int32{"WEAK": int32(i)}}, begin.Add(time.Duration(i)*time.Second))
		}
		p.end()
		got := b.String()
		last := got[strings.LastIndexAny(strings.TrimSuffix(got, "\n"), "\r\n")+1:]
		if terminal {
			if strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "\r[------------------------]   0 %  0/400") ||
				!strings.HasPrefix(last, "[########################] 100 %  400/400  100/s  4 found") || !strings.Contains(got, " 50 %  200/400  100/s  2 found  at most 2s  about 7 to come") {
				t.Errorf("on a terminal: %q", got)
			}
		} else if got != "[------------------------]   0 %  0/400  0/s  0 found  at most 4s  about 7 to come\n" {
			t.Errorf("elsewhere: %q", got)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/audit"
	"github.com/watchword-project/watchword/server/internal/policy"
)

var exported = cmp.AllowUnexported(audit.Row{}, audit.Finding{})

// FuzzRows reads any bytes as rows: what is taken is written and read again as
// the same, and a row that was cut short is not taken.
func FuzzRows(f *testing.F) {
	day := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	row := audit.Row{ID: "张伟", Hash: "$NT$0123456789abcdef0123456789abcdef", LastLogin: day, LastChanged: time.Unix(-1, 0).UTC(), Flags: audit.FlagTest,
		Context: policy.Context{Login: "zw", Emails: []string{"a@b"}, Names: []string{"", "张 伟"}, Phones: []string{"1"}, Words: []string{"w"}, BirthDate: "1990-01-01"}}
	f.Add(audit.AppendRow(nil, &row))
	f.Add(audit.AppendRow(audit.AppendRow(nil, &row), &audit.Row{ID: "x", Fault: audit.FaultHash}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := audit.ParseRows(b)
		if err != nil {
			return
		}
		var again []byte
		ends := map[int]bool{0: true}
		for i := range rows {
			again = audit.AppendRow(again, &rows[i])
			ends[len(again)] = true
		}
		if got, err := audit.ParseRows(again); err != nil || !cmp.Equal(rows, got, exported) {
			t.Fatalf("written and read again: %v\n%s", err, cmp.Diff(rows, got, exported))
		}
		if n := len(again) - 1; n > 0 && !ends[n] {
			if _, err := audit.ParseRows(again[:n]); err == nil {
				t.Fatal("a row without its last byte was taken")
			}
		}
	})
}

// FuzzFindings does the same with findings, which must be known ones.
func FuzzFindings(f *testing.F) {
	list := []audit.Finding{{Row: 7, Kind: audit.Weak, Severity: audit.High, Band: 3, Class: "common", ID: "x"},
		{Row: 1 << 33, Kind: audit.Shared, Severity: audit.Critical, Accounts: 12}}
	for _, ids := range []bool{false, true} {
		f.Add(audit.AppendFindings(nil, list, ids), ids)
	}
	f.Add([]byte{0xff, 0xff, 0x03}, true)
	f.Fuzz(func(t *testing.T, b []byte, ids bool) {
		list, err := audit.ParseFindings(b, ids)
		if err != nil {
			return
		}
		for _, x := range list {
			if x.Kind.String() == "UNSPECIFIED" || x.Kind.Title("en") == "" || x.Severity > audit.Critical {
				t.Fatalf("a finding of no kind was taken: %+v", x)
			}
		}
		got, err := audit.ParseFindings(audit.AppendFindings(nil, list, ids), ids)
		if err != nil || !cmp.Equal(list, got, exported) {
			t.Fatalf("written and read again: %v\n%s", err, cmp.Diff(list, got, exported))
		}
	})
}

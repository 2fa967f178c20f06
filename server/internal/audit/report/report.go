// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package report renders what an audit found: HTML to look at and print, JSON,
// CSV and SARIF 2.1.0 to go on with. Ids are masked. A report holds nothing
// that differs between two audits of the same records on one day, and carries a
// signature that is checked from the file alone.
package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watchword-project/watchword/server/internal/audit"
)

// Format is a form of a report.
type Format uint8

// The formats. The values match the contract.
const (
	HTML Format = iota + 1
	JSON
	CSV
	SARIF
)

// Bounds of the findings that a report lists, the gravest first; the totals
// count all.
const (
	MaxListed = 5000
	maxHTML   = 300
)

// Data is what a report is made of.
type Data struct {
	Locale     string // "zh-CN", else English
	AsOf       time.Time
	Source     audit.Source
	Stop       string
	Budget     audit.Budget
	Limits     audit.Limits
	Result     audit.Result
	ListDigest string // version of the list of common passwords
	// Findings are the gravest, at most MaxListed, by severity and row.
	Findings []audit.Finding
}

// ErrFormat is returned for a format that is none of the above.
var ErrFormat = errors.New("no such report format")

// Render makes a report and signs it. The content type goes with it.
func Render(d Data, f Format, s *Signer) (contentType string, content []byte, err error) {
	switch f {
	case HTML:
		contentType, content = "text/html; charset=utf-8", d.html()
	case JSON:
		contentType = "application/json"
		content, err = d.json()
	case CSV:
		contentType = "text/csv; charset=utf-8"
		content, err = d.csv()
	case SARIF:
		contentType = "application/sarif+json"
		content, err = d.sarif()
	default:
		return "", nil, ErrFormat
	}
	if err != nil {
		return "", nil, err
	}
	content, err = s.sign(content)
	return contentType, content, err
}

// Mask hides the middle of an id: a reader who has the records knows whose it
// is by the row, and nobody else does.
func Mask(id string) string {
	n := utf8.RuneCountInString(id)
	r := []rune(id)
	switch {
	case n == 0:
		return ""
	case n <= 2:
		return "*"
	case n <= 5:
		return string(r[:1]) + "***"
	}
	return string(r[:2]) + "***" + string(r[n-1:])
}

func (d *Data) day() string { return d.AsOf.UTC().Format(time.DateOnly) }

// finding is one finding as JSON shows it.
type finding struct {
	Row      int      `json:"row"`
	Record   string   `json:"record"`
	Kind     string   `json:"kind"`
	Severity string   `json:"severity"`
	RankBand string   `json:"rankBand,omitempty"`
	Class    string   `json:"class,omitempty"`
	Accounts int      `json:"accounts,omitempty"`
	Clauses  []string `json:"clauses,omitempty"`
	Remedy   string   `json:"remedy"`
}

func (d *Data) finding(f *audit.Finding) finding {
	return finding{f.Row, Mask(f.ID), f.Kind.String(), f.Severity.String(), f.Band.String(), f.Class, f.Accounts, f.Kind.Clauses(), f.Kind.Remedy(d.Locale)}
}

// difference is the comparison with the audit before as JSON shows it.
type difference struct {
	New        int            `json:"new"`
	Gone       int            `json:"gone"`
	Unchanged  int            `json:"unchanged"`
	NewByKind  map[string]int `json:"newByKind,omitempty"`
	GoneByKind map[string]int `json:"goneByKind,omitempty"`
}

func (d *Data) json() ([]byte, error) {
	out := struct {
		Schema     string         `json:"schema"`
		AsOf       string         `json:"asOf"`
		Source     string         `json:"source"`
		Records    int            `json:"records"`
		Rejected   int            `json:"rejected"`
		Flagged    int            `json:"recordsFlagged"`
		Guessed    int            `json:"passwordsGuessed"`
		Guesses    int            `json:"guessesPerSubject"`
		Stopped    string         `json:"stopped,omitempty"`
		InputSHA   string         `json:"inputSha256"`
		List       string         `json:"commonList"`
		Corpora    string         `json:"corpora,omitempty"`
		StaleDays  int            `json:"staleAfterDays"`
		DormantDay int            `json:"dormantAfterDays"`
		ByKind     map[string]int `json:"findingsByKind"`
		BySeverity map[string]int `json:"findingsBySeverity"`
		BySchemes  map[string]int `json:"recordsByScheme"`
		ByBand     map[string]int `json:"guessedByRankBand"`
		Difference *difference    `json:"difference,omitempty"`
		Listed     int            `json:"findingsListed"`
		Findings   []finding      `json:"findings"`
		Signature  string         `json:"signature"`
	}{
		Schema: "watchword-audit-report/1", AsOf: d.day(), Source: d.source(), Records: d.Result.Records, Rejected: d.Result.Rejected,
		Flagged: d.Result.Flagged, Guessed: d.Result.Guessed, Guesses: d.Budget.Guesses, Stopped: d.Stop, InputSHA: d.Result.Digest,
		List: d.ListDigest, Corpora: d.Result.Corpora, StaleDays: days(d.Limits.StaleAfter), DormantDay: days(d.Limits.DormantAfter),
		ByKind: map[string]int{}, BySeverity: map[string]int{}, BySchemes: d.Result.Schemes, ByBand: map[string]int{},
		Listed: len(d.Findings), Findings: []finding{}, Signature: blank,
	}
	for _, k := range audit.Kinds() {
		if n := d.Result.Kinds[k]; n > 0 {
			out.ByKind[k.String()] = n
		}
	}
	for s := audit.Info; s <= audit.Critical; s++ {
		if n := d.Result.Severities[s]; n > 0 {
			out.BySeverity[s.String()] = n
		}
	}
	for b, n := range d.Result.Bands {
		out.ByBand[b.String()] = n
	}
	if diff := d.Result.Diff; diff != nil {
		out.Difference = &difference{New: diff.New, Gone: diff.Gone, Unchanged: diff.Same, NewByKind: map[string]int{}, GoneByKind: map[string]int{}}
		for _, k := range audit.Kinds() {
			if n := diff.NewByKind[k]; n > 0 {
				out.Difference.NewByKind[k.String()] = n
			}
			if n := diff.GoneByKind[k]; n > 0 {
				out.Difference.GoneByKind[k.String()] = n
			}
		}
	}
	for i := range d.Findings {
		out.Findings = append(out.Findings, d.finding(&d.Findings[i]))
	}
	return encode(out)
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(v)
	return b.Bytes(), err
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }

func (d *Data) source() string {
	if d.Source == audit.OwnStore {
		return "OWN_STORE"
	}
	return "UPLOAD"
}

// csv writes one line for each finding; the last line is the signature. It
// begins with a byte order mark, without which Excel takes Chinese text for
// something else.
func (d *Data) csv() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("\uFEFF")
	w := csv.NewWriter(&b)
	w.UseCRLF = true // RFC 4180
	rows := [][]string{{"row", "record", "kind", "severity", "rankBand", "class", "accounts", "clauses", "remedy"}}
	for i := range d.Findings {
		f := d.finding(&d.Findings[i])
		accounts := ""
		if f.Accounts > 0 {
			accounts = strconv.Itoa(f.Accounts)
		}
		rows = append(rows, []string{strconv.Itoa(f.Row), f.Record, f.Kind, f.Severity, f.RankBand, f.Class, accounts, strings.Join(f.Clauses, "; "), f.Remedy})
	}
	rows = append(rows, []string{"", "", "SIGNATURE", "", "", blank, "", "", ""})
	for _, row := range rows {
		for i := range row {
			row[i] = safe(row[i])
		}
		if err := w.Write(row); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// safe keeps a spreadsheet from taking a text for a formula (OWASP, CSV
// injection): an apostrophe goes before what begins with one of its signs, in
// full width too.
func safe(s string) string {
	if plantFormulas {
		return s
	}
	r, _ := utf8.DecodeRuneInString(s)
	if strings.ContainsRune("=+-@\t\r\n＝＋－＠|%", r) && s != "" {
		return "'" + s
	}
	return s
}

// sarif writes SARIF 2.1.0 (OASIS), one rule for each kind.
func (d *Data) sarif() ([]byte, error) {
	type text struct {
		Text string `json:"text"`
	}
	type rule struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Short text   `json:"shortDescription"`
		Help  text   `json:"help"`
		Props any    `json:"properties,omitempty"`
	}
	type location struct {
		Logical []map[string]string `json:"logicalLocations"`
	}
	type result struct {
		Rule      string         `json:"ruleId"`
		Index     int            `json:"ruleIndex"`
		Level     string         `json:"level"`
		Message   text           `json:"message"`
		Locations []location     `json:"locations"`
		Props     map[string]any `json:"properties"`
	}
	var rules []rule
	index := map[audit.Kind]int{}
	for _, k := range audit.Kinds() {
		index[k] = len(rules)
		rules = append(rules, rule{k.String(), k.String(), text{k.Title(d.Locale)}, text{k.Remedy(d.Locale)}, map[string]any{"clauses": append([]string{}, k.Clauses()...)}})
	}
	results := []result{}
	for i := range d.Findings {
		f := &d.Findings[i]
		props := map[string]any{"severity": f.Severity.String(), "row": f.Row}
		if f.Band > 0 {
			props["rankBand"] = f.Band.String()
		}
		if f.Class != "" {
			props["class"] = f.Class
		}
		results = append(results, result{f.Kind.String(), index[f.Kind], level(f.Severity), text{f.Kind.Title(d.Locale)},
			[]location{{[]map[string]string{{"fullyQualifiedName": fmt.Sprintf("row %d, %s", f.Row, Mask(f.ID)), "kind": "account"}}}}, props})
	}
	return encode(map[string]any{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []any{map[string]any{
			"tool":    map[string]any{"driver": map[string]any{"name": "watchword", "rules": rules}},
			"results": results,
			"properties": map[string]any{"asOf": d.day(), "inputSha256": d.Result.Digest, "records": d.Result.Records,
				"findings": total(d.Result), "signature": blank},
		}},
	})
}

func level(s audit.Severity) string {
	switch {
	case s >= audit.High:
		return "error"
	case s == audit.Medium:
		return "warning"
	}
	return "note"
}

func total(r audit.Result) int {
	n := 0
	for _, k := range r.Kinds {
		n += k
	}
	return n
}

// Top keeps the gravest findings of a walk in row order, at most MaxListed.
type Top struct {
	by [audit.Critical + 1][]audit.Finding
}

// Add looks at one finding.
func (t *Top) Add(f *audit.Finding) {
	if list := &t.by[f.Severity]; len(*list) < MaxListed {
		*list = append(*list, *f)
	}
}

// Findings gives them, the gravest first.
func (t *Top) Findings() []audit.Finding {
	var out []audit.Finding
	for _, list := range slices.Backward(t.by[:]) {
		out = append(out, list...)
	}
	return out[:min(len(out), MaxListed)]
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/audit"
	"github.com/watchword-project/watchword/server/internal/audit/report"
)

var formats = map[string]report.Format{"html": report.HTML, "json": report.JSON, "csv": report.CSV, "sarif": report.SARIF}

func signer(b byte) *report.Signer { return report.NewSigner(bytes.Repeat([]byte{b}, 32)) }

// hostile are ids that no report may take for anything else than text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `{{call .W "title"}}`, `=cmd|' /C calc'!A0`, `+1+1`, `-2+3`, `@SUM(A1)`,
	"＝1＋1", `%0A`, `|calc`, `a","b`, "a\r\nb,c,d", "\t=1", `watchword-signature:v1::`, `</svg></body>`, `张伟张伟张伟`, `x`, ``,
}

// data has findings of all kinds, about hostile ids.
func data(locale string) report.Data {
	d := report.Data{
		Locale: locale, AsOf: time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC), Source: audit.Uploaded, Stop: audit.StopBudget,
		Budget: audit.Budget{Guesses: 1000}, Limits: audit.Limits{StaleAfter: audit.DefaultStaleAfter, DormantAfter: audit.DefaultDormantAfter},
		ListDigest: "0123", Result: audit.Result{Records: 1234567, Rejected: 1, Guessed: 3, Flagged: 12, Digest: "abcd", Corpora: "pwned@<i>1</i>",
			Schemes: map[string]int{"argon2id": 3, "ntlm": 9, "malformed": 1}, Bands: map[audit.Band]int{1: 2, 4: 1, 20: 1},
			Diff: &audit.Difference{New: 1, Gone: 2, Same: 3}},
	}
	var top report.Top
	for i, k := range audit.Kinds() {
		for j, id := range hostile {
			f := audit.Finding{Row: i*100 + j, ID: id, Kind: k, Severity: audit.Severity(1 + (i+j)%5), Band: audit.Band(j % 3), Class: "common", Accounts: j % 4}
			d.Result.Kinds[k]++
			d.Result.Severities[f.Severity]++
			d.Result.Diff.NewByKind[k], d.Result.Diff.GoneByKind[k] = 1, 2
			top.Add(&f)
		}
	}
	d.Findings = top.Findings()
	return d
}

func render(t testing.TB, d report.Data, f report.Format) []byte {
	t.Helper()
	_, b, err := report.Render(d, f, signer(1))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A report is checked from its bytes alone, and any change of one shows: each
// byte is changed in turn, or every fifth and those of the signature where there
// are many, and the ends are cut and added to.
func TestEveryByteIsSigned(t *testing.T) {
	t.Parallel()
	d := data("zh-CN")
	d.Findings = d.Findings[:1]
	for name, f := range formats {
		b := render(t, d, f)
		mark := bytes.Index(b, []byte("watchword-signature"))
		key, err := client.VerifyReport(b)
		if err != nil || key != signer(1).Public() {
			t.Fatalf("%s: %q, %v", name, key, err)
		}
		for i := range b {
			if f != report.CSV && i%5 > 0 && (i < mark || i > mark+200) && os.Getenv("WATCHWORD_LONG") == "" {
				continue
			}
			b[i] ^= 1 << (i % 7)
			if _, err := client.VerifyReport(b); !errors.Is(err, client.ErrReport) {
				t.Errorf("%s: byte %d of %d was changed: %v", name, i, len(b), err)
			}
			b[i] ^= 1 << (i % 7)
		}
		for what, changed := range map[string][]byte{
			"cut": b[:len(b)-1], "shifted": b[1:], "longer": append(bytes.Clone(b), '\n'), "twice": append(bytes.Clone(b), b...),
			"of another key": bytes.ReplaceAll(b, []byte(signer(1).Public()), []byte(signer(2).Public())), "empty": nil,
		} {
			if _, err := client.VerifyReport(changed); !errors.Is(err, client.ErrReport) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

// The same data gives the same bytes, however maps are walked, and another key
// changes the signature alone.
func TestReportsAreReproducible(t *testing.T) {
	t.Parallel()
	sig := regexp.MustCompile(`watchword-signature:v1:[\w-]+:[\w-]+`)
	for name, f := range formats {
		first := render(t, data("en"), f)
		for range 20 {
			if !bytes.Equal(first, render(t, data("en"), f)) {
				t.Fatalf("%s: two renderings differ", name)
			}
		}
		_, other, err := report.Render(data("en"), f, signer(2))
		if err != nil || bytes.Equal(first, other) || !bytes.Equal(sig.ReplaceAll(first, nil), sig.ReplaceAll(other, nil)) {
			t.Errorf("%s: another key changes more than the signature, or nothing: %v", name, err)
		}
	}
}

// What could be taken for the place of the signature is refused.
func TestSecondPlaceOfASignature(t *testing.T) {
	t.Parallel()
	d := data("en")
	d.Result.Corpora = "watchword-signature:v1::"
	for name, f := range formats {
		if f == report.CSV || f == report.SARIF { // which do not name the corpora
			continue
		}
		if _, _, err := report.Render(d, f, signer(1)); err == nil {
			t.Errorf("%s: rendered with two places for the signature", name)
		}
	}
	if _, _, err := report.Render(d, 9, signer(1)); !errors.Is(err, report.ErrFormat) {
		t.Errorf("an unknown format: %v", err)
	}
}

// No id is there in full, in any format.
func TestIdsAreMasked(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"": "", "x": "*", "张伟": "*", "admin": "a***", "alice1": "al***1", "张伟张伟张伟": "张伟***伟"} {
		if got := report.Mask(id); got != want {
			t.Errorf("Mask(%q) = %q, want %q", id, got, want)
		}
	}
	d := data("en")
	d.Findings = nil
	for i := range 50 {
		d.Findings = append(d.Findings, audit.Finding{Row: i, ID: fmt.Sprintf("user%02d@contoso.example", i), Kind: audit.Weak, Severity: audit.High})
	}
	for name, f := range formats {
		if b := render(t, d, f); bytes.Contains(b, []byte("contoso")) || bytes.Contains(b, []byte("user0")) || !bytes.Contains(b, []byte("us***e")) {
			t.Errorf("%s: an id is not masked", name)
		}
	}
}

// The page is well-formed, asks for nothing from elsewhere, and takes no text
// for markup.
func TestHTML(t *testing.T) {
	t.Parallel()
	allowed := strings.Fields("html head meta title style body main h1 h2 p div b span svg text rect section table thead tbody tr th td code br")
	for _, locale := range []string{"en", "zh-CN"} {
		b := render(t, data(locale), report.HTML)
		d := xml.NewDecoder(bytes.NewReader(b))
		d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
		bars := 0
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", locale, err)
			}
			e, ok := tok.(xml.StartElement)
			if !ok {
				continue
			}
			if !slices.Contains(allowed, e.Name.Local) {
				t.Errorf("%s: element %s", locale, e.Name.Local)
			}
			if e.Name.Local == "rect" {
				bars++
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || a.Name.Local == "src" {
					t.Errorf("%s: attribute %s of %s", locale, a.Name.Local, e.Name.Local)
				}
			}
		}
		if want := len(audit.Kinds()) + 5 + 3 + 3; bars != want {
			t.Errorf("%s: %d bars, want %d", locale, bars, want)
		}
		for _, from := range []string{"url(", "@import", "<i>1</i>"} {
			if bytes.Contains(b, []byte(from)) {
				t.Errorf("%s: the page holds %s", locale, from)
			}
		}
	}
	empty := data("zh-CN")
	empty.Findings, empty.Result = nil, audit.Result{}
	if b := render(t, empty, report.HTML); !bytes.Contains(b, []byte("未发现问题。")) {
		t.Error("a report without findings does not say so")
	}
}

// No cell of the CSV is a formula, and every row has as many cells as the
// heading, whatever is in an id.
func TestCSV(t *testing.T) {
	t.Parallel()
	b, found := bytes.CutPrefix(render(t, data("zh-CN"), report.CSV), []byte("\uFEFF"))
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll() // which holds all rows to the length of the first
	if err != nil || !found || len(rows) != len(data("").Findings)+2 {
		t.Fatalf("%d rows, byte order mark %v, %v", len(rows), found, err)
	}
	guarded := 0
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@|%\t\r\n＝＋－＠", []rune(cell)[0]) {
				t.Errorf("a cell is a formula: %q", cell)
			}
			if strings.HasPrefix(cell, "'") {
				guarded++
			}
		}
	}
	if guarded == 0 {
		t.Error("no cell was guarded: the test shows nothing")
	}
}

// The JSON tells the totals of all findings, also of those it does not list.
func TestJSON(t *testing.T) {
	t.Parallel()
	var got struct {
		Schema, AsOf, Stopped   string
		Records, FindingsListed int
		FindingsByKind          map[string]int
		FindingsBySeverity      map[string]int
		GuessedByRankBand       map[string]int
		Difference              struct{ New, Gone, Unchanged int }
		Findings                []struct {
			Row                    int
			Kind, Severity, Remedy string
		}
	}
	if err := json.Unmarshal(render(t, data("en"), report.JSON), &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "watchword-audit-report/1" || got.AsOf != "2026-03-01" || got.Stopped != "CPU_BUDGET" || got.Records != 1234567 ||
		got.FindingsListed != len(got.Findings) || len(got.FindingsByKind) != len(audit.Kinds()) || len(got.FindingsBySeverity) != 5 ||
		got.GuessedByRankBand["1e4"] != 1 || got.Difference.Gone != 2 {
		t.Errorf("%+v", got)
	}
	rank := []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"}
	for i, f := range got.Findings {
		if f.Remedy == "" || f.Kind == "" || i > 0 && slices.Index(rank, f.Severity) < slices.Index(rank, got.Findings[i-1].Severity) {
			t.Fatalf("finding %d: %+v", i, f)
		}
	}
}

// The SARIF keeps the rules of its schema (OASIS SARIF 2.1.0): what is required
// is there, and what points somewhere points to what it names.
func TestSARIF(t *testing.T) {
	t.Parallel()
	var doc struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID                     string
						ShortDescription, Help struct{ Text string }
					}
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex *int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					LogicalLocations []struct{ FullyQualifiedName, Kind string }
				}
			}
		}
	}
	d := json.NewDecoder(bytes.NewReader(render(t, data("en"), report.SARIF)))
	if err := d.Decode(&doc); err != nil || d.More() {
		t.Fatal(err)
	}
	if doc.Version != "2.1.0" || !strings.Contains(doc.Schema, "sarif-2.1.0") || len(doc.Runs) != 1 || doc.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("%.200v", doc)
	}
	rules := doc.Runs[0].Tool.Driver.Rules
	ids := map[string]bool{}
	for _, r := range rules {
		if r.ID == "" || ids[r.ID] || r.ShortDescription.Text == "" || r.Help.Text == "" {
			t.Errorf("rule %+v", r)
		}
		ids[r.ID] = true
	}
	if len(doc.Runs[0].Results) != len(data("").Findings) {
		t.Errorf("%d results", len(doc.Runs[0].Results))
	}
	for _, r := range doc.Runs[0].Results {
		if r.RuleIndex == nil || *r.RuleIndex < 0 || *r.RuleIndex >= len(rules) || rules[*r.RuleIndex].ID != r.RuleID {
			t.Fatalf("the rule of %+v", r)
		}
		if !slices.Contains([]string{"none", "note", "warning", "error"}, r.Level) || r.Message.Text == "" || len(r.Locations) != 1 ||
			len(r.Locations[0].LogicalLocations) != 1 || r.Locations[0].LogicalLocations[0].FullyQualifiedName == "" {
			t.Fatalf("result %+v", r)
		}
	}
}

// Every text is there in both languages, and every text that is asked for is
// there.
func TestTextsAreComplete(t *testing.T) {
	t.Parallel()
	for _, m := range report.Texts {
		for key, w := range m {
			if w[0] == "" || w[1] == "" || w[0] == w[1] || strings.Count(w[0], "%") != strings.Count(w[1], "%") {
				t.Errorf("%s: %q", key, w)
			}
			if strings.IndexFunc(w[1], func(r rune) bool { return r >= 0x4e00 && r < 0xa000 }) < 0 {
				t.Errorf("%s in Chinese has no Chinese: %q", key, w[1])
			}
		}
	}
	b, err := os.ReadFile("html.go")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`(?:word\(|call \$?\.W )"(\w+)"`).FindAllSubmatch(b, -1)
	if len(asked) < 40 {
		t.Errorf("%d texts are asked for", len(asked))
	}
	for _, m := range asked {
		if _, ok := report.Texts[0][string(m[1])]; !ok {
			t.Errorf("%s is asked for and not there", m[1])
		}
	}
	for _, k := range audit.Kinds() {
		if k.Title("en") == "" || k.Title("zh-CN") == "" || k.Remedy("en") == "" || k.Remedy("zh-CN") == "" || k.Title("en") == k.Title("zh-CN") {
			t.Errorf("%s lacks a text", k)
		}
	}
	for _, s := range []audit.Severity{audit.Info, audit.Low, audit.Medium, audit.High, audit.Critical} {
		if _, ok := report.Texts[0][s.String()]; !ok {
			t.Errorf("%s has no word", s)
		}
	}
	for _, s := range []string{audit.StopBudget, audit.StopDeadline, audit.StopCancelled, audit.StopFault} {
		if _, ok := report.Texts[0][s]; !ok {
			t.Errorf("%s has no word", s)
		}
	}
}

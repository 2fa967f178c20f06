// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package report

import (
	"bytes"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/watchword-project/watchword/server/internal/audit"
	"github.com/watchword-project/watchword/server/internal/sheet"
)

// words are the texts of a page that are not in the catalogue of kinds.
var words = map[string][2]string{ // English, Chinese
	"title":      {"Credential audit report", "凭据审计报告"},
	"subtitle":   {"Weak, exposed and badly kept passwords", "弱口令、已泄露口令与口令存储情况自查"},
	"asOf":       {"As of", "基准日"},
	"records":    {"Records", "记录数"},
	"flagged":    {"Records of medium severity or above", "中危及以上记录"},
	"guessed":    {"Passwords guessed", "猜中口令"},
	"critical":   {"Critical findings", "严重问题"},
	"byKind":     {"Findings by kind", "按类型统计"},
	"bySeverity": {"Findings by severity", "按严重程度统计"},
	"byScheme":   {"Records by hash scheme", "按散列算法统计"},
	"byBand":     {"How early a guesser gets there", "猜中所需次数"},
	"bandText":   {"Passwords guessed, by number of guesses", "按猜测次数统计的猜中口令数"},
	"within":     {"within ", "不超过 "},
	"details":    {"Gravest findings", "最严重的问题"},
	"row":        {"Row", "行号"},
	"record":     {"Record", "记录"},
	"kind":       {"Finding", "问题"},
	"severity":   {"Severity", "严重程度"},
	"class":      {"Rests on", "依据"},
	"clauses":    {"Clauses", "条款"},
	"count":      {"Count", "数量"},
	"remedy":     {"Remedy", "整改建议"},
	"remedies":   {"What to do", "整改建议"},
	"masked":     {"Ids are masked. Passwords were not kept and are not shown: a guessed one is described by its source and by the number of guesses.", "账号已脱敏。口令不保存、不展示：猜中的口令仅以来源类别和猜测次数描述。"},
	"more":       {"%d of %d findings are shown; ask for CSV or JSON, or list the findings, for more.", "本页显示 %d 条，共 %d 条；更多内容请导出 CSV 或 JSON，或查询问题列表。"},
	"none":       {"Nothing was found.", "未发现问题。"},
	"method":     {"How this was made", "审计方法"},
	"source":     {"Source", "数据来源"},
	"UPLOAD":     {"uploaded records", "上传的记录"},
	"OWN_STORE":  {"watchword's own store", "watchword 自有存储"},
	"guesses":    {"Guesses for each record, at most", "每条记录猜测次数上限"},
	"list":       {"List of common passwords", "常见口令表版本"},
	"corpora":    {"Breach corpora", "泄露口令库"},
	"stale":      {"Old after (days)", "口令超期（天）"},
	"dormant":    {"Dormant after (days)", "未登录超期（天）"},
	"rejected":   {"Records that could not be used", "无法处理的记录"},
	"input":      {"SHA-256 of the records", "记录的 SHA-256"},
	"stopped":    {"Guessing ended early", "提前结束"},
	"CPU_BUDGET": {"the processor budget was used up", "处理器时间预算已用完"},
	"DEADLINE":   {"the deadline was reached", "已到截止时间"},
	"CANCELLED":  {"cancelled", "已取消"},
	"FAULT":      {"a fault", "故障"},
	"diff":       {"Since the audit before", "与上次审计相比"},
	"new":        {"New", "新增"},
	"gone":       {"Gone", "已消除"},
	"same":       {"Unchanged", "未变"},
	"signature":  {"Signature, for watchword audit verify", "签名（用 watchword audit verify 验证）"},
	"INFO":       {"Info", "提示"},
	"LOW":        {"Low", "低"},
	"MEDIUM":     {"Medium", "中"},
	"HIGH":       {"High", "高"},
	"CRITICAL":   {"Critical", "严重"},
	"accounts":   {"accounts", "个账户"},
	"no":         {"none", "无"},
}

func (d *Data) word(key string) string {
	w := words[key]
	if d.Locale == "zh-CN" {
		return w[1]
	}
	return w[0]
}

// bar is one bar of a chart.
type bar struct {
	Label string
	Tone  string // class of its colour
	N     int
}

const (
	chartWidth = 640
	labelWidth = 250
	barHeight  = 24
)

// chart draws horizontal bars as SVG: the number stands behind each bar, so
// that nothing depends on colour.
func chart(title string, bars []bar) template.HTML {
	if len(bars) == 0 {
		return ""
	}
	most := 1
	for _, b := range bars {
		most = max(most, b.N)
	}
	var s strings.Builder
	esc := template.HTMLEscapeString
	height := len(bars)*barHeight + 4
	fmt.Fprintf(&s, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s" xmlns="http://www.w3.org/2000/svg">`, chartWidth, height, esc(title))
	for i, b := range bars {
		y := i*barHeight + 2
		w := (chartWidth - labelWidth - 80) * b.N / most
		if b.N > 0 {
			w = max(w, 2)
		}
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+16, esc(b.Label))
		fmt.Fprintf(&s, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="2"/>`, b.Tone, labelWidth, y+3, w, barHeight-6)
		fmt.Fprintf(&s, `<text class="n" x="%d" y="%d">%s</text>`, labelWidth+w+6, y+16, thousands(b.N))
	}
	s.WriteString("</svg>")
	return template.HTML(s.String()) //nolint:gosec // every text in it is escaped above
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:] // narrow no-break space
	}
	return s
}

func (d *Data) kindBars() []bar {
	var out []bar
	for _, k := range audit.Kinds() {
		if n := d.Result.Kinds[k]; n > 0 {
			out = append(out, bar{k.Title(d.Locale), "tone", n})
		}
	}
	slices.SortStableFunc(out, func(a, b bar) int { return b.N - a.N })
	return out
}

func (d *Data) severityBars() []bar {
	var out []bar
	for s := audit.Critical; s >= audit.Info; s-- {
		out = append(out, bar{d.word(s.String()), strings.ToLower(s.String()), d.Result.Severities[s]})
	}
	return out
}

func (d *Data) schemeBars() []bar {
	var out []bar
	for _, name := range slices.Sorted(maps.Keys(d.Result.Schemes)) {
		out = append(out, bar{name, "tone", d.Result.Schemes[name]})
	}
	slices.SortStableFunc(out, func(a, b bar) int { return b.N - a.N })
	return out
}

func (d *Data) bandBars() []bar {
	var out []bar
	for _, b := range slices.Sorted(maps.Keys(d.Result.Bands)) {
		n := 1
		for range min(int(b), 15) {
			n *= 10
		}
		out = append(out, bar{d.word("within") + thousands(n), "tone", d.Result.Bands[b]})
	}
	return out
}

// kindRow is what a page says of one kind.
type kindRow struct {
	Title, Clauses, Remedy, N string
}

// detail is one line of the list of findings.
type detail struct {
	Row                                 int
	Record, Kind, Severity, Tone, Class string
}

func (d *Data) html() []byte {
	type fact struct{ Name, Value string }
	lang := "en"
	if d.Locale == "zh-CN" {
		lang = "zh-CN"
	}
	v := struct {
		Head                        template.HTML
		W                           func(string) string
		Day, Records, Flagged       string
		Guessed, Critical           string
		Kinds, Severities           template.HTML
		Schemes, Bands              template.HTML
		Remedies                    []kindRow
		Details                     []detail
		More, Signature             string
		Facts                       []fact
		Diff                        bool
		DiffNew, DiffGone, DiffSame string
	}{
		Head: sheet.Head(lang, d.word("title")+" · "+d.day()), W: d.word, Day: d.day(), Records: thousands(d.Result.Records), Flagged: thousands(d.Result.Flagged),
		Guessed: thousands(d.Result.Guessed), Critical: thousands(d.Result.Severities[audit.Critical]),
		Kinds: chart(d.word("byKind"), d.kindBars()), Severities: chart(d.word("bySeverity"), d.severityBars()),
		Schemes: chart(d.word("byScheme"), d.schemeBars()), Bands: chart(d.word("bandText"), d.bandBars()),
		Signature: blank,
	}
	for _, k := range audit.Kinds() {
		if n := d.Result.Kinds[k]; n > 0 {
			v.Remedies = append(v.Remedies, kindRow{k.Title(d.Locale), strings.Join(k.Clauses(), "; "), k.Remedy(d.Locale), thousands(n)})
		}
	}
	for i := range d.Findings[:min(len(d.Findings), maxHTML)] {
		f := &d.Findings[i]
		class := f.Class
		if f.Band > 0 {
			class += " · " + f.Band.String()
		}
		if f.Accounts > 0 {
			class += " · " + strconv.Itoa(f.Accounts) + " " + d.word("accounts")
		}
		v.Details = append(v.Details, detail{Row: f.Row, Record: Mask(f.ID), Kind: f.Kind.Title(d.Locale), Severity: d.word(f.Severity.String()),
			Tone: strings.ToLower(f.Severity.String()), Class: class})
	}
	if all := total(d.Result); all > len(v.Details) {
		v.More = fmt.Sprintf(d.word("more"), len(v.Details), all)
	}
	corpora := d.Result.Corpora
	if corpora == "" {
		corpora = d.word("no")
	}
	v.Facts = []fact{
		{d.word("source"), d.word(d.source())}, {d.word("rejected"), thousands(d.Result.Rejected)},
		{d.word("guesses"), thousands(d.Budget.Guesses)}, {d.word("stale"), strconv.Itoa(days(d.Limits.StaleAfter))},
		{d.word("dormant"), strconv.Itoa(days(d.Limits.DormantAfter))}, {d.word("list"), d.ListDigest}, {d.word("corpora"), corpora},
		{d.word("input"), d.Result.Digest},
	}
	if d.Stop != "" {
		v.Facts = append(v.Facts, fact{d.word("stopped"), d.word(d.Stop)})
	}
	if diff := d.Result.Diff; diff != nil {
		v.Diff, v.DiffNew, v.DiffGone, v.DiffSame = true, thousands(diff.New), thousands(diff.Gone), thousands(diff.Same)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil { // only for a fault of the template
		panic(err)
	}
	return b.Bytes()
}

var page = template.Must(template.New("report").Parse(`{{.Head}}<body><main>
<h1>{{call .W "title"}}</h1>
<p class="sub">{{call .W "subtitle"}} · {{call .W "asOf"}} {{.Day}}</p>
<div class="cards">
<div class="card"><b>{{.Records}}</b><span>{{call .W "records"}}</span></div>
<div class="card high"><b>{{.Flagged}}</b><span>{{call .W "flagged"}}</span></div>
<div class="card medium"><b>{{.Guessed}}</b><span>{{call .W "guessed"}}</span></div>
<div class="card critical"><b>{{.Critical}}</b><span>{{call .W "critical"}}</span></div>
</div>
{{if .Diff}}<h2>{{call .W "diff"}}</h2>
<div class="cards">
<div class="card high"><b>{{.DiffNew}}</b><span>{{call .W "new"}}</span></div>
<div class="card"><b>{{.DiffGone}}</b><span>{{call .W "gone"}}</span></div>
<div class="card medium"><b>{{.DiffSame}}</b><span>{{call .W "same"}}</span></div>
</div>{{end}}
<h2>{{call .W "bySeverity"}}</h2>{{.Severities}}
<h2>{{call .W "byKind"}}</h2>{{if .Kinds}}{{.Kinds}}{{else}}<p>{{call .W "none"}}</p>{{end}}
{{if .Bands}}<h2>{{call .W "byBand"}}</h2>{{.Bands}}{{end}}
{{if .Schemes}}<h2>{{call .W "byScheme"}}</h2>{{.Schemes}}{{end}}
{{if .Remedies}}<h2>{{call .W "remedies"}}</h2>
<div class="wide"><table><thead><tr><th>{{call $.W "kind"}}</th><th class="n">{{call .W "count"}}</th><th>{{call .W "clauses"}}</th><th>{{call .W "remedy"}}</th></tr></thead><tbody>
{{range .Remedies}}<tr><td>{{.Title}}</td><td class="n">{{.N}}</td><td>{{.Clauses}}</td><td>{{.Remedy}}</td></tr>
{{end}}</tbody></table></div>{{end}}
{{if .Details}}<h2>{{call .W "details"}}</h2>
<div class="wide"><table><thead><tr><th class="n">{{call .W "row"}}</th><th>{{call .W "record"}}</th><th>{{call .W "severity"}}</th><th>{{call .W "kind"}}</th><th>{{call .W "class"}}</th></tr></thead><tbody>
{{range .Details}}<tr><td class="n">{{.Row}}</td><td><code>{{.Record}}</code></td><td><span class="tag {{.Tone}}">{{.Severity}}</span></td><td>{{.Kind}}</td><td>{{.Class}}</td></tr>
{{end}}</tbody></table></div>{{if .More}}<p class="note">{{.More}}</p>{{end}}{{end}}
<h2>{{call .W "method"}}</h2>
<table><tbody>{{range .Facts}}<tr><th>{{.Name}}</th><td><code>{{.Value}}</code></td></tr>
{{end}}</tbody></table>
<p class="note">{{call .W "masked"}}</p>
<p class="note">{{call .W "signature"}}<br><code>{{.Signature}}</code></p>
</main></body>
</html>
`))

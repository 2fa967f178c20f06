// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package evidence

import (
	"bytes"
	"encoding/json"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/sheet"
)

// JSON renders the pack for programs.
func (p *Pack) JSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// words are the texts of a page.
var words = map[string]text{
	"title":                {"Evidence for an assessment", "合规证据材料"},
	"asOf":                 {"As of", "截至"},
	"clauses":              {"Clause by clause", "逐条对照"},
	"clause":               {"Clause", "条款"},
	"setting":              {"Setting in force", "生效设置"},
	"proof":                {"Tests of the source, and checks made just now", "源代码中的自动化测试与即时检查"},
	"result":               {"Result", "结论"},
	"none":                 {"no setting: it is so for every installation", "无相关设置：所有安装均如此"},
	"program":              {"Program", "程序版本"},
	"source":               {"Settings read from", "设置来源"},
	"silent":               {"doctor found nothing by", "doctor 未发现问题"},
	"howto":                {"A test is run in the source with", "测试可在源代码中运行"},
	"method":               {"How this was made", "生成方式"},
	string(Met):            {"Met", "符合"},
	string(Partly):         {"Partly met", "部分符合"},
	string(NotMet):         {"Not met", "不符合"},
	string(Organisational): {"For you to see to", "须由组织保证"},
	string(NotApplicable):  {"Not applicable", "不适用"},
}

// Title tells a result in a language.
func (r Result) Title(locale string) string { return words[string(r)].in(locale) }

// tones are the classes of the results' colours; each has its word beside it.
var tones = map[Result]string{Met: "good", Partly: "medium", NotMet: "critical", Organisational: "low", NotApplicable: "info"}

// HTML renders the pack to look at and print.
func (p *Pack) HTML() []byte {
	word := func(key string) string { return words[key].in(p.Locale) }
	type card struct {
		Tone, Name string
		N          int
	}
	type row struct {
		Row
		Tone, Verdict string
		// Silent are the checks of the examination that found nothing, told
		// together, and Told the others.
		Silent string
		Told   []Check
	}
	v := struct {
		*Pack
		Head  template.HTML
		W     func(string) string
		Day   string
		Cards []card
		All   []row
	}{Pack: p, Head: sheet.Head(p.Locale, word("title")+" · "+p.Title), W: word, Day: p.AsOf.Format(time.RFC3339)}
	for _, r := range Results {
		v.Cards = append(v.Cards, card{tones[r], r.Title(p.Locale), p.Results[r]})
	}
	for _, r := range p.Rows {
		x := row{Row: r, Tone: tones[r.Result], Verdict: r.Result.Title(p.Locale)}
		var names []string
		for _, c := range r.Checks {
			if name, ok := strings.CutPrefix(c.Name, doctor); ok && c.Held {
				names = append(names, name)
			} else {
				x.Told = append(x.Told, c)
			}
		}
		x.Silent = strings.Join(names, ", ")
		v.All = append(v.All, x)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil { // only for a fault of the template
		panic(err)
	}
	return b.Bytes()
}

// Tests lists every test that a clause names.
func Tests() (out []string) {
	for _, s := range standards {
		for _, c := range s.clauses {
			out = append(out, c.tests...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var page = template.Must(template.New("evidence").Parse(`{{.Head}}<body><main>
<h1>{{call .W "title"}}</h1>
<p class="sub">{{.Title}} · {{call .W "asOf"}} {{.Day}}</p>
<p><b>{{.Notice}}</b></p>
<div class="cards five">
{{range .Cards}}<div class="card {{.Tone}}"><b>{{.N}}</b><span>{{.Name}}</span></div>
{{end}}</div>
<h2>{{call .W "clauses"}}</h2>
<table class="stack"><thead><tr><th>{{call .W "clause"}}</th><th>{{call .W "setting"}}</th><th>{{call .W "proof"}}</th><th>{{call .W "result"}}</th></tr></thead><tbody>
{{range .All}}<tr><td data-of="{{call $.W "clause"}}"><p class="id">{{.Clause}}{{if .Unit}} · {{.Unit}}{{end}}</p>{{.Asks}}</td>
<td data-of="{{call $.W "setting"}}">{{range .Setting}}<p>{{.}}</p>{{else}}<p class="note">{{call $.W "none"}}</p>{{end}}</td>
<td data-of="{{call $.W "proof"}}">{{range .Tests}}<p><code>{{.}}</code></p>{{end}}{{range .Told}}<p>{{if .Held}}✓{{else}}✗{{end}} {{.Name}}: {{.Detail}}</p>{{end}}{{if .Silent}}<p>✓ {{call $.W "silent"}}: {{.Silent}}</p>{{end}}</td>
<td data-of="{{call $.W "result"}}"><p><span class="tag {{.Tone}}">{{.Verdict}}</span></p>{{range .Why}}<p>{{.}}</p>{{end}}</td></tr>
{{end}}</tbody></table>
<h2>{{call .W "method"}}</h2>
<table><tbody><tr><th>{{call .W "program"}}</th><td><code>{{.Program}}</code></td></tr>
<tr><th>{{call .W "source"}}</th><td>{{.Source}}</td></tr>
<tr><th>{{call .W "howto"}}</th><td><code>go test ./server/servertest -run '^TestEveryMethodRefusesWithoutAKey$'</code></td></tr></tbody></table>
</main></body>
</html>
`))

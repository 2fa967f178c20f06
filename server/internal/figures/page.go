// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"html/template"
	"io"
	"math"
)

// html writes the table as a page that needs nothing else. Each bar starts at
// the peer, which is 1, and goes as far as the figure on a logarithmic scale.
func (t table) html(w io.Writer) error { return page.Execute(w, t) }

const (
	barWidth = 240.0 // of the whole scale, in CSS pixels
	decades  = 2.0   // to each side of 1
)

// place is where a value lies on the scale.
func place(v float64) float64 {
	if v <= 0 {
		return 0
	}
	return barWidth / 2 * (1 + max(-1, min(1, math.Log10(v)/decades)))
}

// Ratio tells whether the row is a ratio to something, and so has a bar.
func (r result) Ratio() bool { return r.Peer != "" && r.Fault == "" }

// Bar gives start and width of the bar.
func (r result) Bar() [2]float64 {
	at, one := place(r.Value), barWidth/2
	return [2]float64{min(at, one), math.Abs(at - one)}
}

// Mark is where the target lies.
func (r result) Mark() float64 { return place(r.atLeast + r.atMost) }

var page = template.Must(template.New("page").Funcs(template.FuncMap{"short": short}).Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>watchword: figures</title>
<style>
:root { color-scheme: light dark; --met: #1a7f4b; --missed: #b3400e; --none: #8a8f98; --bar: #4a7fc1; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .25rem }
p { margin: .25rem 0 }
.wide { overflow-x: auto; margin-top: 1.5rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
caption { text-align: left; padding-bottom: .5rem }
th, td { text-align: left; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: middle }
td.n { text-align: right; white-space: nowrap }
.met { color: var(--met) } .missed { color: var(--missed); font-weight: 600 } .none { color: var(--none) }
svg { display: block } .bar { fill: var(--bar) } .one { stroke: currentColor; stroke-opacity: .5 } .mark { stroke: var(--missed); stroke-width: 2 }
@media print { body { margin: 0 } }
</style>
<h1>watchword: figures</h1>
{{range .Machine}}<p>{{.}}</p>
{{end}}<p>{{.Began.UTC.Format "2006-01-02 15:04"}} UTC, {{.Took}}; load {{.Load}} before, {{.LoadAfter}} after</p>
<div class="wide">
<table>
<caption>Each bar starts at the peer (the thin line) and ends at our figure; one half is a factor of 100. The thick line is the target.</caption>
<thead><tr><th scope="col">what<th scope="col">beside<th scope="col">bar<th scope="col">figure<th scope="col">least – most<th scope="col">target<th scope="col"></tr></thead>
<tbody>
{{range .Rows}}<tr><th scope="row">{{.What}}<td>{{.Peer}}<td>{{if .Ratio}}<svg width="240" height="14" role="img" aria-label="{{short .Value}}"><rect class="bar" x="{{index .Bar 0}}" y="3" width="{{index .Bar 1}}" height="8"/><line class="one" x1="120" x2="120" y1="0" y2="14"/>{{if .Target}}<line class="mark" x1="{{.Mark}}" x2="{{.Mark}}" y1="0" y2="14"/>{{end}}</svg>{{end}}<td class="n">{{if .Fault}}–{{else}}{{short .Value}}{{end}}<td class="n">{{if not .Fault}}{{short .Low}} – {{short .High}}{{end}}<td class="n">{{.Target}}<td class="{{if eq .Met "met"}}met{{else if eq .Met "missed"}}missed{{else}}none{{end}}">{{.Met}}{{if .Fault}}: {{.Fault}}{{end}}</tr>
{{end}}</tbody>
</table>
</div>
</html>
`))

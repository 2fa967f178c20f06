// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package sheet is the paper of reports: the head of an HTML page that asks for
// nothing from elsewhere, can be opened offline and printed, and runs nothing.
package sheet

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
)

// Head gives a page from its first byte to the end of its head. The only style
// that a browser accepts on it is the one below, by its digest; there is nothing
// else that it loads, sends or runs.
func Head(lang, title string) template.HTML {
	esc := template.HTMLEscapeString
	return template.HTML(`<!DOCTYPE html>
<html lang="` + esc(lang) + `">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="` + policy + `">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>` + esc(title) + `</title>
<style>` + style + `</style>
</head>
`) //nolint:gosec // the two texts are escaped above
}

var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}()

const style = `
:root { --ink:#1d2530; --soft:#5b6675; --line:#d9dee5; --paper:#fff; --tone:#3b6ea8;
  --critical:#9b1c31; --high:#c8501e; --medium:#b98600; --low:#3b6ea8; --info:#5f6b7a; --good:#1f7145; }
* { box-sizing:border-box; }
body { margin:0; background:#eef1f5; color:var(--ink); font:15px/1.5 "Noto Sans","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",system-ui,sans-serif; }
main { max-width:1000px; margin:24px auto; background:var(--paper); padding:40px 48px; box-shadow:0 1px 6px #0002; }
h1 { font-size:28px; margin:0; } h2 { font-size:18px; margin:36px 0 10px; padding-bottom:4px; border-bottom:2px solid var(--line); }
.sub { color:var(--soft); margin:2px 0 24px; }
.cards { display:grid; grid-template-columns:repeat(4,1fr); gap:14px; }
.card { border:1px solid var(--line); border-top:4px solid var(--tone); padding:12px 14px; }
.card b { display:block; font-size:28px; line-height:1.25; font-variant-numeric:tabular-nums; }
.card span { color:var(--soft); font-size:13px; }
.card.critical { border-top-color:var(--critical); } .card.high { border-top-color:var(--high); } .card.medium { border-top-color:var(--medium); }
svg { display:block; width:100%; max-width:760px; height:auto; } svg text { font-size:13px; fill:var(--ink); } svg .n { fill:var(--soft); }
rect.tone { fill:var(--tone); } rect.critical { fill:var(--critical); } rect.high { fill:var(--high); } rect.medium { fill:var(--medium); }
rect.low { fill:var(--low); } rect.info { fill:var(--info); }
table { border-collapse:collapse; width:100%; font-size:13px; } th { text-align:left; color:var(--soft); font-weight:600; white-space:nowrap; }
th,td { padding:6px 10px 6px 0; border-bottom:1px solid var(--line); vertical-align:top; } td.n { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap; }
th.n { text-align:right; }
code { font-family:ui-monospace,"Noto Sans Mono",monospace; font-size:12px; overflow-wrap:anywhere; }
.tag { display:inline-block; color:#fff; padding:0 7px; border-radius:3px; font-size:12px; white-space:nowrap; background:var(--info); }
.tag.critical { background:var(--critical); } .tag.high { background:var(--high); } .tag.medium { background:#8a6500; } .tag.low { background:var(--low); }
.tag.good { background:var(--good); } .card.good { border-top-color:var(--good); } .card.info { border-top-color:var(--info); }
td p { margin:0 0 3px; } td .id { font-weight:600; overflow-wrap:anywhere; } .five { grid-template-columns:repeat(5,1fr); }
.stack td { min-width:120px; } .stack td:first-child { width:24%; }
.note { color:var(--soft); font-size:13px; }
@media (max-width:700px) { main { padding:20px; margin:0; } .cards { grid-template-columns:1fr 1fr; } .wide { overflow-x:auto; }
  .stack, .stack tbody, .stack tr, .stack td { display:block; } .stack thead { display:none; }
  .stack tr { border-bottom:2px solid var(--line); padding:10px 0; } .stack td, .stack td:first-child { border:0; padding:3px 0; width:auto; }
  .stack td[data-of]::before { content:attr(data-of); display:block; color:var(--soft); font-size:12px; font-weight:600; } }
@media print { @page { size:A4; margin:14mm; } body { background:#fff; font-size:12px; } main { margin:0; padding:0; max-width:none; box-shadow:none; }
  h2 { break-after:avoid; } tr, .card, svg { break-inside:avoid; } thead { display:table-header-group; }
  * { -webkit-print-color-adjust:exact; print-color-adjust:exact; } }
`

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package attacksim

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// Text tells the result in lines, with a plot of what the attacker tried and
// what was admitted, on a logarithmic scale.
func (r *Result) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s under %s\n", r.Scenario, r.Profile)
	share := func(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	if r.Tries > 0 {
		fmt.Fprintf(&b, "  attacker  %d tries, %d reached the hash (%.2f %%), most at one account %d, accounts taken %d\n",
			r.Tries, r.Admitted, share(r.Admitted, r.Tries), r.MostAtOne, r.Taken)
	}
	fmt.Fprintf(&b, "  owners    %d logins, %.2f %% got in, %.2f %% delayed, %.2f %% challenged, %.2f %% denied\n",
		r.Logins, share(r.Succeeded, r.Logins), share(r.Delayed, r.Logins), share(r.Challenged, r.Logins), share(r.Denied, r.Logins))
	switch {
	case r.Tries == 0:
		fmt.Fprintf(&b, "  alarms    %d, all false\n", r.FalseAlarms)
	case r.FirstAlarm < 0:
		b.WriteString("  alarms    none\n")
	default:
		fmt.Fprintf(&b, "  alarms    %d, the first after %v\n", r.Alarms, r.FirstAlarm.Round(time.Second))
	}
	fmt.Fprintf(&b, "  closed    %d accounts for unknown devices\n", r.Closed)
	rows := []struct {
		name string
		of   func(Point) int
	}{
		{"tries", func(p Point) int { return p.Tries }}, {"admitted", func(p Point) int { return p.Admitted }},
		{"logins", func(p Point) int { return p.Logins }}, {"held", func(p Point) int { return p.Held }},
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "  %-9s %s\n", row.name, r.bars(row.of))
	}
	fmt.Fprintf(&b, "            one column is %v; # is about %d, and = - : . are ever smaller powers of it\n", 2*r.Step, r.most())
	return b.String()
}

func (r *Result) most() int {
	most := 0
	for i := 0; i+1 < len(r.Series); i += 2 {
		p, q := r.Series[i], r.Series[i+1]
		most = max(most, p.Tries+q.Tries, p.Logins+q.Logins)
	}
	return most
}

// bars draws two steps a column, from nothing over a dot up to a full block.
func (r *Result) bars(of func(Point) int) string {
	levels := []rune(" .:-=#")
	top := math.Log1p(float64(max(r.most(), 1)))
	var b strings.Builder
	for i := 0; i+1 < len(r.Series); i += 2 {
		n := of(r.Series[i]) + of(r.Series[i+1])
		level := 0
		if n > 0 {
			level = 1 + int(math.Log1p(float64(n))/top*float64(len(levels)-2)+0.5)
		}
		b.WriteRune(levels[min(level, len(levels)-1)])
	}
	return b.String()
}

// SVG draws the series as four lines on a logarithmic scale. It needs nothing
// but itself.
func (r *Result) SVG() string {
	const width, height, left, top, bottom = 760, 320, 60, 40, 40
	most := 1
	for _, p := range r.Series {
		most = max(most, p.Tries, p.Logins)
	}
	scale := math.Log1p(float64(most))
	x := func(i int) float64 { return left + float64(i)*(width-left-20)/float64(max(1, len(r.Series)-1)) }
	y := func(n int) float64 {
		return height - bottom - math.Log1p(float64(n))/scale*float64(height-top-bottom)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<title>%s under %s</title><rect width="100%%" height="100%%" fill="white"/>`+"\n",
		html.EscapeString(r.Scenario), html.EscapeString(r.Profile))
	for n := 1; n <= most; n *= 10 {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%d</text>`+"\n",
			left, y(n), width-20, left-6, y(n)+4, n)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d">0</text><text x="%d" y="%d" text-anchor="end">%v</text>`+"\n",
		left, height-16, width-20, height-16, r.Step*time.Duration(len(r.Series)))
	for i, line := range []struct {
		name, colour string
		of           func(Point) int
	}{
		{"attacker's tries", "#999999", func(p Point) int { return p.Tries }},
		{"reached the hash", "#c0392b", func(p Point) int { return p.Admitted }},
		{"owners' logins", "#2980b9", func(p Point) int { return p.Logins }},
		{"owners held", "#e67e22", func(p Point) int { return p.Held }},
	} {
		b.WriteString(`<path fill="none" stroke-width="1.5" stroke="` + line.colour + `" d="`)
		for j, p := range r.Series {
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(j, 1)], x(j), y(line.of(p)))
		}
		fmt.Fprintf(&b, `"/><text x="%d" y="20" fill="%s">%s</text>`+"\n", left+i*170, line.colour, html.EscapeString(line.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

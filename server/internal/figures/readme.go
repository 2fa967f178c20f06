// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"errors"
	"fmt"
	"strings"
)

// The marks between which the README has the table.
const (
	tableBegin = "<!-- figures -->\n"
	tableEnd   = "<!-- end of figures -->\n"
)

// into puts the table between the marks of a text.
func (t table) into(text string) (string, error) {
	before, rest, begun := strings.Cut(text, tableBegin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		return "", errors.New("there are no marks for the table")
	}
	return before + tableBegin + t.markdown() + tableEnd + after, nil
}

// markdown writes the table with what it was measured on.
func (t table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s, load %s before and %s after.\n\n", strings.Join(t.Machine, "; "), t.Began.UTC().Format("2006-01-02"), t.Load, t.LoadAfter)
	b.WriteString("| what | beside | figure | runs | aim |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range t.Rows {
		figure, runs, aim := short(r.Value), short(r.Low)+" – "+short(r.High), r.Target()
		if r.Fault != "" {
			figure, runs = "none", r.Fault
		}
		if r.Met() == "missed" {
			aim += ", missed"
		}
		cells := []string{r.What, r.Peer, figure, runs, aim}
		for i, c := range cells {
			cells[i] = strings.NewReplacer("|", "/", "<", "&lt;", "\n", " ").Replace(c)
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return b.String()
}

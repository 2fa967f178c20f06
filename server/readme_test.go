// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/watchword-project/watchword/server/internal/daemon"
)

// TestReadmeNamesAll holds the tables of the README against the code: each key
// of the configuration and each command has a row, and no row is left over.
func TestReadmeNamesAll(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var cmd cli
	parser, err := kong.New(&cmd, kong.Vars{"version": "test"})
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, n := range parser.Model.Leaves(true) {
		name := n.Name
		for p := n.Parent; p.Type == kong.CommandNode; p = p.Parent {
			name = p.Name + " " + name
		}
		commands = append(commands, name)
	}
	var metrics []string
	for _, f := range daemon.Metrics() {
		metrics = append(metrics, f.Name)
		labels := "|"
		for i, l := range f.Labels {
			labels += []string{" ", ", "}[min(i, 1)] + "`" + l + "`"
		}
		if row := "\n| `" + f.Name + "` " + labels + " |"; !strings.Contains(string(b), row) {
			t.Errorf("README.md has no row that begins with %s", row[1:])
		}
	}
	for _, c := range []struct {
		heading string
		want    []string
	}{
		{"Configuration", keys("", reflect.TypeFor[daemon.Config]())},
		{"Commands of the server", commands},
		{"Metrics", metrics},
	} {
		got := named(string(b), c.heading)
		if len(got) == 0 {
			t.Errorf("README.md has no table under %q", c.heading)
		}
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("README.md, %s: no row for %s", c.heading, w)
			}
		}
		for _, g := range got {
			if !slices.Contains(c.want, g) {
				t.Errorf("README.md, %s: there is no %s", c.heading, g)
			}
		}
	}
}

// keys lists the dotted keys of a configuration section. What a list holds
// belongs to the list's own row.
func keys(prefix string, section reflect.Type) (out []string) {
	for i := range section.NumField() {
		f := section.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "":
		case f.Type.Kind() == reflect.Struct:
			out = append(out, keys(prefix+name+".", f.Type)...)
		default:
			out = append(out, prefix+name)
		}
	}
	return out
}

var code = regexp.MustCompile("`([^`]+)`")

// named lists what the first column of the table under a heading names. A name
// that starts with a point goes on where the one before it branched off.
func named(readme, heading string) (out []string) {
	_, section, _ := strings.Cut(readme, "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		last := ""
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			name := m[1]
			if strings.HasPrefix(name, ".") {
				name = last[:strings.LastIndex(last, ".")] + name
			}
			out, last = append(out, name), name
		}
	}
	return out
}

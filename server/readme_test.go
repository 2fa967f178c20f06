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
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/daemon"
	"github.com/watchword-project/watchword/server/internal/identity"
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

// TestReadmeScopes holds the table of scopes against the contract: each has a
// row with the role it belongs to and the methods that ask for it.
func TestReadmeScopes(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string][]string{}
	protoregistry.GlobalFiles.RangeFilesByPackage("watchword.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			of := f.Services().Get(i).Methods()
			for j := range of.Len() {
				scope, _ := proto.GetExtension(of.Get(j).Options(), watchwordv1.E_Scope).(string)
				methods[scope] = append(methods[scope], string(of.Get(j).Name()))
			}
		}
		return true
	})
	for _, scope := range identity.Scopes {
		role := ""
		for _, name := range []string{"system-admin", "security-admin", "audit-admin"} {
			if of, ok := identity.Preset(name); !ok {
				t.Errorf("there is no role %s", name)
			} else if slices.Contains(of, scope) {
				role = "`" + name + "` "
			}
		}
		row := "\n| `" + scope + "` | " + role + "| " + strings.Join(methods[scope], ", ")
		_, after, found := strings.Cut(string(readme), row)
		if !found || len(methods[scope]) > 0 && !strings.HasPrefix(after, " |") && !strings.HasPrefix(after, "; ") {
			t.Errorf("README.md has no row %s |", row[1:])
		}
		delete(methods, scope)
	}
	if len(methods) > 0 {
		t.Errorf("methods with scopes that are none: %v", methods)
	}
}

var reason = regexp.MustCompile(`\b(?:info|malformed)\("([A-Z_]+)"`)

// TestReadmeReasons: the table of errors names every reason that the service
// gives.
func TestReadmeReasons(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n### Errors\n")
	section, _, _ = strings.Cut(section, "\n### ")
	source, err := os.ReadFile("internal/rpc/status.go")
	if err != nil {
		t.Fatal(err)
	}
	reasons := reason.FindAllSubmatch(source, -1)
	if len(reasons) < 10 {
		t.Fatalf("only %d reasons in status.go", len(reasons))
	}
	for _, m := range reasons {
		if !strings.Contains(section, "`"+string(m[1])+"`") {
			t.Errorf("README.md, Errors: no word of %s", m[1])
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

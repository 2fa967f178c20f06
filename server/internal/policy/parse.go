// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxDocument is the longest policy document taken, in bytes.
const MaxDocument = 64 << 10

// Budgets for a document, far above any real policy. Aliases, anchors and
// merge keys are refused outright, so a document is as large as it looks.
const (
	maxDepth   = 8
	maxNodes   = 8192
	maxExtends = 8
)

// ParseError is returned for a policy document that is malformed or
// contradicts itself. Its text names the place, never the content.
type ParseError struct {
	Line  int    // from 1; 0 if the fault belongs to no single line
	Field string // dotted key, or empty
	Why   string
}

func (e *ParseError) Error() string {
	var b strings.Builder
	b.WriteString("policy document")
	if e.Line > 0 {
		fmt.Fprintf(&b, ", line %d", e.Line)
	}
	if e.Field != "" {
		b.WriteString(": " + e.Field)
	}
	b.WriteString(": " + e.Why)
	return b.String()
}

func errorAt(field, why string) error { return &ParseError{Field: field, Why: why} }

// ErrName is returned for a policy name that is not of the form
// [a-z0-9][a-z0-9._-]{0,63}, or has two dots in a row.
var ErrName = errors.New("not a policy name")

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ValidName gives ErrName for a name no policy can have. A valid name is also
// a safe file name.
func ValidName(name string) error {
	if !nameForm.MatchString(name) || strings.Contains(name, "..") {
		return ErrName
	}
	return nil
}

// Policy is a complete set of rules with every inherited value in place. It
// does not change and may be used by many goroutines.
type Policy struct {
	name     string
	version  string
	doc      document
	patterns []*regexp.Regexp
	contains matcher
	fuzzy    matcher
}

// Name is the name the policy is known by.
func (p *Policy) Name() string { return p.name }

// Version is the author's number, a dot, and twelve hexadecimal digits of the
// SHA-256 of the effective rules: it changes whenever a verdict could.
func (p *Policy) Version() string { return p.version }

// Title is the policy's name for people, or its plain name if it has none.
func (p *Policy) Title(locale string) string {
	t := text{p.doc.Title.EN, p.doc.Title.ZH}
	for _, s := range []string{t.in(locale), t.en, t.zh} {
		if s != "" {
			return s
		}
	}
	return p.name
}

// Extends is the name of the parent policy, or empty.
func (p *Policy) Extends() string { return p.doc.Extends }

// Document gives the effective rules as a document on its own, in canonical
// form: parsing it gives a policy that judges alike.
func (p *Policy) Document() []byte {
	d := p.doc
	d.Extends = ""
	return marshal(d)
}

func marshal(d document) []byte {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(d), e.Close()); err != nil {
		panic("policy: a parsed document cannot be written: " + err.Error())
	}
	return b.Bytes()
}

// Parse reads a policy that may extend a built-in one.
func Parse(name string, doc []byte) (*Policy, error) { return Builtin().Parse(name, doc) }

// parse reads one document on top of parent, which may be nil.
func parse(name string, doc []byte, parent *Policy) (*Policy, error) {
	var d document
	given, err := decode(doc, &d)
	if err != nil {
		return nil, err
	}
	if d.Name != "" && d.Name != name {
		return nil, errorAt("name", "is not the name the policy is stored under")
	}
	if parent != nil {
		touched := given["rules"]
		for _, l := range parent.doc.Locked {
			if slices.Contains(touched, l) {
				return nil, errorAt("rules."+l, "is locked by the policy this one extends")
			}
		}
		inherited := document{}
		if _, err := decode(parent.Document(), &inherited); err != nil {
			panic("policy: a canonical document does not parse: " + err.Error())
		}
		for _, s := range inherited.Rules.sections() {
			if slices.Contains(touched, s.name) {
				s.Clauses = nil
			}
		}
		if len(parent.doc.Locked) > 0 && d.Mode == modeShadow && parent.doc.Mode != modeShadow {
			return nil, errorAt("mode", "cannot be shadow: the policy this one extends has locked rules")
		}
		locked := slices.Clone(parent.doc.Locked)
		inherited.Name, inherited.Version, inherited.Title, inherited.Locked = "", 0, Title{}, nil
		if _, err := decode(doc, &inherited); err != nil {
			return nil, err
		}
		d = inherited
		for _, l := range locked {
			if !slices.Contains(d.Locked, l) {
				d.Locked = append(d.Locked, l)
			}
		}
	}
	if err := d.settle(); err != nil {
		return nil, err
	}
	d.Name = name
	p := &Policy{name: name, doc: d}
	for _, e := range d.Rules.Patterns.List {
		re, err := compilePattern(e.Forbid + e.Require)
		if err != nil {
			return nil, err
		}
		p.patterns = append(p.patterns, re)
	}
	p.contains = ruleWords(d.Rules.Contains.Words)
	p.fuzzy = ruleWords(d.Rules.Fuzzy.Words)
	whole := p.Document()
	if len(whole) > MaxDocument {
		return nil, &ParseError{Why: "is longer than 64 KiB with what it inherits"}
	}
	sum := sha256.Sum256(whole)
	p.version = strconv.Itoa(d.Version) + "." + hex.EncodeToString(sum[:6])
	return p, nil
}

func ruleWords(words []string) matcher {
	var t tokens
	for _, w := range words {
		t.add(kindWord, fold(w, MaxWordRunes))
	}
	return newMatcher(t)
}

// decode reads exactly one YAML document into d, over what d already holds,
// and gives the keys written under each top-level mapping.
func decode(doc []byte, d *document) (map[string][]string, error) {
	if len(doc) > MaxDocument {
		return nil, &ParseError{Why: "is longer than 64 KiB"}
	}
	var root yaml.Node
	if err := yaml.Unmarshal(doc, &root); err != nil {
		return nil, yamlError(doc, err)
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, &ParseError{Why: "is not a mapping"}
	}
	nodes := 0
	if err := inspect(&root, 0, &nodes); err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	dec.KnownFields(true)
	if err := dec.Decode(d); err != nil {
		return nil, yamlError(doc, err)
	}
	if err := dec.Decode(new(yaml.Node)); err != io.EOF {
		return nil, &ParseError{Why: "is more than one document"}
	}
	given := map[string][]string{}
	top := root.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if v := top.Content[i+1]; v.Kind == yaml.MappingNode {
			for j := 0; j+1 < len(v.Content); j += 2 {
				given[top.Content[i].Value] = append(given[top.Content[i].Value], v.Content[j].Value)
			}
		}
	}
	return given, nil
}

// inspect walks the tree before anything is made of it.
func inspect(n *yaml.Node, depth int, nodes *int) error {
	at := func(why string) error { return &ParseError{Line: n.Line, Why: why} }
	*nodes++
	switch {
	case depth > maxDepth:
		return at("is nested too deeply")
	case *nodes > maxNodes:
		return at("has too many values")
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return at("has an anchor or an alias, which are not taken")
	case n.Tag == "!!merge":
		return at("has a merge key, which is not taken")
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return at("has a key without a value")
	}
	for _, c := range n.Content {
		if err := inspect(c, depth+1, nodes); err != nil {
			return err
		}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yamlError keeps the line and the kind of an error of the YAML package and
// drops its text, which repeats what was written.
func yamlError(doc []byte, err error) error {
	if line := TabIndents(doc, err); line > 0 {
		return &ParseError{Line: line, Why: tabsIndent}
	}
	text := err.Error()
	e := &ParseError{Why: "is not well-formed YAML"}
	var typed *yaml.TypeError
	if errors.As(err, &typed) && len(typed.Errors) > 0 {
		text = typed.Errors[0]
		switch {
		case strings.Contains(text, "not found in type"):
			e.Why = "has an unknown key"
		case strings.Contains(text, "already defined"), strings.Contains(text, "already set"):
			e.Why = "has a key twice"
		default:
			e.Why = "has a value of the wrong kind"
		}
	}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
	}
	return e
}

const tabsIndent = "has a tab where only spaces may indent"

// TabIndents gives the line of a YAML document at which reading ended with err,
// if a tab indents that line, and 0 otherwise. The library's own words for it
// name no tab, or no line where it is the first, or the line before.
func TabIndents(doc []byte, err error) int {
	text := err.Error()
	if !strings.Contains(text, "cannot start any token") && !strings.Contains(text, "found a tab character") {
		return 0
	}
	line := 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
	}
	lines := bytes.Split(doc, []byte("\n"))
	for n := line; n <= min(line+1, len(lines)); n++ {
		if bytes.HasPrefix(bytes.TrimLeft(lines[n-1], " "), []byte("\t")) {
			return n
		}
	}
	return 0
}

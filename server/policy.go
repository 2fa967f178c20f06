// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

type policyCmd struct {
	Lint     policyLintCmd     `cmd:"" help:"Hold a policy against the standards, and name what is dangerous in it."`
	Simulate policySimulateCmd `cmd:"" help:"Try a policy on samples, without a server."`
	Evidence policyEvidenceCmd `cmd:"" help:"Write what is in force against a standard, clause by clause, as HTML and JSON."`
}

// draft reads a policy: one by name, built in or from the policy.dir of the
// configuration, or else a file, which may extend those.
func draft(c *cli, what string) (*policy.Policy, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	set, err := policybook.Dir(config.Policy.Dir)
	if err != nil {
		return nil, err
	}
	if p, ok := set.Get(what); ok {
		return p, nil
	}
	f, err := os.Open(what)
	if err != nil {
		return nil, fmt.Errorf("neither the name of a policy (%s) nor a file that can be read: %w", strings.Join(set.Names(), ", "), err)
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, policy.MaxDocument+1))
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(what), ".yaml")
	if _, taken := set.Get(name); taken || policy.ValidName(name) != nil {
		name = "draft"
	}
	return set.Parse(name, doc)
}

type policyLintCmd struct {
	Policy   string `arg:"" help:"File of the policy, or its name."`
	Standard string `help:"Only this standard; a clause of it that is broken makes the command fail."`
	Locale   string `help:"Language of the texts: en or zh-CN." enum:"en,zh-CN" default:"en"`
}

// errLint makes the command fail after everything was printed.
var errLint = errors.New("the policy does not hold")

func (l *policyLintCmd) Run(c *cli) error {
	p, err := draft(c, l.Policy)
	if err != nil {
		return err
	}
	standards := policy.Standards(l.Locale)
	if l.Standard != "" {
		standards = slices.DeleteFunc(standards, func(s policy.Standard) bool { return s.ID != l.Standard })
		if len(standards) == 0 {
			return fmt.Errorf("not a standard that is known: %s", strings.Join(policy.Builtin().Names(), ", "))
		}
	}
	broken, err := lint(os.Stdout, p, standards, l.Locale)
	switch {
	case err != nil:
		return err
	case l.Standard != "" && broken > 0:
		return fmt.Errorf("%w: it breaks %d clauses of %s", errLint, broken, l.Standard)
	case slices.ContainsFunc(p.Lint(l.Locale), func(f policy.Finding) bool { return f.Severity == policy.SeverityError }):
		return fmt.Errorf("%w: it has a dangerous combination", errLint)
	}
	return nil
}

var words = map[string]map[policy.Status]string{
	"en":    {policy.Met: "met", policy.Broken: "BROKEN", policy.NotApplicable: "n/a"},
	"zh-CN": {policy.Met: "符合", policy.Broken: "不符合", policy.NotApplicable: "不适用"},
}

var headings = map[string][3]string{
	"en":    {"%d met, %d broken, %d not applicable", "Dangerous combinations", "Where the standards contradict each other"},
	"zh-CN": {"符合 %d 条，不符合 %d 条，不适用 %d 条", "危险组合", "标准之间的矛盾"},
}

// lint prints a policy held against standards, and gives the number of clauses
// that it breaks.
func lint(out io.Writer, p *policy.Policy, standards []policy.Standard, locale string) (broken int, err error) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := headings[locale]
	fmt.Fprintf(w, "%s %s  %s\n", p.Name(), p.Version(), p.Title(locale))
	for _, s := range standards {
		n := map[policy.Status]int{}
		clauses := p.Conformance(s.ID, locale)
		for _, c := range clauses {
			n[c.Status]++
		}
		broken += n[policy.Broken]
		fmt.Fprintf(w, "\n%s (%s): "+head[0]+"\n", s.Title, s.ID, n[policy.Met], n[policy.Broken], n[policy.NotApplicable])
		for _, c := range clauses {
			fmt.Fprintf(w, "  %s\t%s\t%s: %s\n", words[locale][c.Status], c.ID, c.Title, c.Why)
		}
	}
	if findings := p.Lint(locale); len(findings) > 0 {
		fmt.Fprintf(w, "\n%s\n", head[1])
		for _, f := range findings {
			fmt.Fprintf(w, "  %s\t%s\t%s\n", f.Severity, f.Code, f.Text)
		}
	}
	fmt.Fprintf(w, "\n%s\n", head[2])
	for _, c := range policy.Contradictions(locale) {
		fmt.Fprintf(w, "  %s × %s\t%s\n", c.Clauses[0], c.Clauses[1], c.Why)
	}
	return broken, w.Flush()
}

type policySimulateCmd struct {
	Policy   string `arg:"" help:"File of the policy, or its name."`
	Samples  string `help:"File of passwords, one a line; - for standard input." xor:"from" required:""`
	Generate int    `help:"Make this many samples after the habits of English and Chinese users." xor:"from" required:""`
	Use      string `help:"Whether the password is the only factor: single or multi." enum:"single,multi" default:"single"`
}

func (s *policySimulateCmd) Run(c *cli) error {
	p, err := draft(c, s.Policy)
	if err != nil {
		return err
	}
	if s.Samples == "" {
		if s.Generate < 1 {
			return errors.New("--generate wants 1 or more")
		}
		return simulate(os.Stdout, p, s.use(), policy.Habits(s.Generate, rand.Reader), nil)
	}
	f := os.Stdin
	if s.Samples != "-" {
		if f, err = os.Open(s.Samples); err != nil {
			return err
		}
		defer f.Close()
	}
	lines := &sampleLines{from: f}
	return simulate(os.Stdout, p, s.use(), lines.each, lines)
}

func (s *policySimulateCmd) use() policy.Use {
	if s.Use == "multi" {
		return policy.MultiFactor
	}
	return policy.SingleFactor
}

// sampleLines reads passwords, one a line.
type sampleLines struct {
	from    io.Reader
	refused int // lines that no password can be
	err     error
}

func (l *sampleLines) each(yield func(password.Text) bool) {
	lines := bufio.NewScanner(l.from)
	for lines.Scan() {
		t, err := password.New(lines.Text())
		if err != nil {
			l.refused++
			continue
		}
		if !yield(t) {
			return
		}
	}
	l.err = lines.Err()
}

// simulate prints what a policy would say to samples. No corpus is asked.
func simulate(out io.Writer, p *policy.Policy, use policy.Use, samples iter.Seq[password.Text], lines *sampleLines) error {
	r, err := verifier.SimulateAlone(context.Background(), p, use, samples)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s %s\n%d samples", r.Policy, r.Version, r.N)
	if lines != nil {
		if lines.err != nil {
			return fmt.Errorf("reading the samples: %w", lines.err)
		}
		if lines.refused > 0 {
			fmt.Fprintf(w, ", and %d lines that no password can be", lines.refused)
		}
	}
	fmt.Fprintf(w, "\naccepted\t%.2f %%\t(%.2f–%.2f %%)\n", 100*r.Accepted.Rate, 100*r.Accepted.Low, 100*r.Accepted.High)
	for _, x := range r.Reasons {
		fmt.Fprintf(w, "%s\t%.2f %%\t(%.2f–%.2f %%)\n", x.Rule, 100*x.Rate, 100*x.Low, 100*x.High)
	}
	if p.Needs().Breach {
		fmt.Fprintln(w, "No breach corpus was asked.")
	}
	return w.Flush()
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/watchword-project/watchword/client"
)

type auditCmd struct {
	Create    auditCreateCmd    `cmd:"" help:"Open an audit and print its id."`
	Upload    auditUploadCmd    `cmd:"" help:"Add records from a file, and start. Goes on where it broke off. Exits with 1 when a record was not taken."`
	List      auditListCmd      `cmd:"" help:"List audits."`
	Watch     auditWatchCmd     `cmd:"" help:"Show the progress of an audit until it ends."`
	Cancel    auditCancelCmd    `cmd:"" help:"Stop an audit, and its schedule."`
	Findings  auditFindingsCmd  `cmd:"" help:"List what was found."`
	Report    auditReportCmd    `cmd:"" help:"Get the signed report."`
	Verify    auditVerifyCmd    `cmd:"" help:"Check the signature of a report. Exits with 1 when it was changed."`
	Remediate auditRemediateCmd `cmd:"" help:"Mark what was found in the server's own store."`
}

type auditCreateCmd struct {
	Own      bool          `help:"Audit the server's own store, instead of an upload."`
	CPU      time.Duration `name:"cpu" help:"Hashing time to spend, such as 2h."`
	Guesses  int           `help:"Guesses for each record."`
	Within   time.Duration `help:"When to stop guessing, from now."`
	Words    []string      `help:"Words of the organisation, separated by commas."`
	Locale   string        `help:"Language of findings and reports: en or zh-CN." enum:"en,zh-CN" default:"en"`
	Every    time.Duration `help:"Audit the own store again and again, such as 168h."`
	Previous string        `help:"Id of an audit to compare with."`
	Stale    time.Duration `help:"From which age a password is old."`
	Dormant  time.Duration `help:"After how long without a login an account is dormant."`
}

func (k *auditCreateCmd) Run(ctx context.Context, c *cli) error {
	n := client.NewAudit{OwnStore: k.Own, CPU: k.CPU, Guesses: k.Guesses, Words: k.Words, Locale: k.Locale, Repeat: k.Every, Previous: k.Previous,
		StaleAfter: k.Stale, DormantAfter: k.Dormant}
	if k.Within > 0 {
		n.Deadline = time.Now().Add(k.Within)
	}
	return c.ask(func(s *client.Client) error {
		a, err := s.CreateAudit(ctx, n)
		if err != nil {
			return err
		}
		return c.print(a, func() { fmt.Println(a.ID) })
	})
}

type auditUploadCmd struct {
	ID     string `arg:"" help:"Id of the audit."`
	File   string `arg:"" help:"File of records."`
	Format string `help:"Form of the file: jsonl, csv (with a heading line: id, hash, lastLogin, lastChanged, flags, login, names, emails, phones, birthDate, words), pwdump (user:rid:lm:nt:::), or auto, by its name." enum:"auto,jsonl,csv,pwdump" default:"auto"`
	Hashes string `help:"What a hash of hexadecimal digits alone is: ntlm, md5, sha1, sha256, sha512 or sm3." enum:",ntlm,md5,sha1,sha256,sha512,sm3" default:""`
	Open   bool   `help:"Do not start the audit: more will follow."`
}

func (k *auditUploadCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		next, err := s.NextRecord(ctx, k.ID)
		if err != nil {
			return err
		}
		f, err := os.Open(k.File)
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		defer f.Close()
		if next > 0 {
			fmt.Fprintf(os.Stderr, "going on behind record %d\n", next)
		}
		r, err := newRecordReader(f, k.Format, k.File)
		if err != nil {
			return err
		}
		r.hex = k.Hashes
		up, err := s.Upload(ctx, k.ID, next, r.records(next), !k.Open)
		if err = errors.Join(r.err, err); err != nil {
			return err
		}
		for _, x := range up.Rejected {
			fmt.Fprintf(os.Stderr, "line %d: %s\n", r.line(x.Offset), x.Reason)
		}
		if more := up.Next - next - up.Accepted - len(up.Rejected); more > 0 {
			fmt.Fprintf(os.Stderr, "and %d more: see watchword audit findings --kind malformed\n", more)
		}
		if r.unsaid {
			fmt.Fprintln(os.Stderr, "some hashes are hexadecimal digits alone: say what they are with --hashes, such as --hashes ntlm, in another audit")
		}
		if err := c.print(map[string]any{"accepted": up.Accepted, "nextOffset": up.Next, "rejected": up.Rejected}, func() {
			fmt.Printf("%d taken, %d not taken\n", up.Accepted, up.Next-next-up.Accepted)
		}); err != nil {
			return err
		}
		if len(up.Rejected) > 0 {
			return &no{exitNo}
		}
		return nil
	})
}

type auditListCmd struct{}

func (k *auditListCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		list, err := s.Audits(ctx)
		if err != nil {
			return err
		}
		return c.print(list, func() {
			for _, a := range list {
				fmt.Printf("%s  %s  %-9s  %d records  %d findings\n", a.ID, moment(a.Created, "-"), strings.ToLower(a.State), a.Total, findings(a))
			}
		})
	})
}

func findings(a client.Audit) (n int) {
	for _, x := range a.Findings {
		n += int(x)
	}
	return n
}

type auditWatchCmd struct {
	ID string `arg:"" help:"Id of the audit."`
}

func (k *auditWatchCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		bar := newProgress(os.Stderr, term.IsTerminal(int(os.Stderr.Fd())) && c.Output != "json")
		var last client.Audit
		for a, err := range s.WatchAudit(ctx, k.ID) {
			if err != nil {
				bar.end()
				return err
			}
			last = a
			if c.Output == "json" {
				if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
					return err
				}
				continue
			}
			bar.show(a, time.Now())
		}
		bar.end()
		if c.Output != "json" {
			summary(os.Stdout, last)
		}
		return nil
	})
}

// summary tells how an audit ended.
func summary(w io.Writer, a client.Audit) {
	fmt.Fprintf(w, "%s: %d records, %d guesses in %s of hashing", strings.ToLower(a.State), a.Total, a.Guesses, a.CPU.Round(time.Second/10))
	if a.Stop != "" {
		fmt.Fprintf(w, ", stopped: %s, about %.0f more passwords were within reach", strings.ToLower(a.Stop), a.Yield)
	}
	fmt.Fprintln(w)
	var names []string
	for name := range a.Findings {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "  %-20s %d\n", name, a.Findings[name])
	}
	if a.Previous != "" {
		fmt.Fprintf(w, "  since %s: %d new, %d gone, %d unchanged\n", a.Previous, a.New, a.Gone, a.Unchanged)
	}
}

// progress shows a line that is written over on a terminal, and a line now and
// then elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	begun    time.Time
	first    int
	told     time.Time
	wide     int
}

func newProgress(w io.Writer, terminal bool) *progress { return &progress{w: w, terminal: terminal} }

// progressEvery is how often a line goes to what is no terminal.
const progressEvery = 10 * time.Second

func (p *progress) show(a client.Audit, now time.Time) {
	if p.begun.IsZero() {
		p.begun, p.first = now, a.Done
	}
	if !p.terminal && now.Sub(p.told) < progressEvery {
		return
	}
	p.told = now
	line := progressLine(a, float64(a.Done-p.first)/max(now.Sub(p.begun).Seconds(), 0.1))
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	pad := max(0, p.wide-len([]rune(line)))
	p.wide = len([]rune(line))
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", pad))
}

func (p *progress) end() {
	if p.terminal && !p.begun.IsZero() {
		fmt.Fprintln(p.w)
	}
}

// progressLine is a bar with percentage, rate, what was found and the rest of
// the time.
func progressLine(a client.Audit, rate float64) string {
	const width = 24
	part := 0.0
	if a.Total > 0 {
		part = float64(a.Done) / float64(a.Total)
	}
	full := int(part * width)
	line := fmt.Sprintf("[%s%s] %3.0f %%  %d/%d  %.0f/s  %d found", strings.Repeat("#", full), strings.Repeat("-", width-full), 100*part, a.Done, a.Total, rate, findings(a))
	if a.ETA > 0 {
		line += "  at most " + a.ETA.Round(time.Second).String() + fmt.Sprintf("  about %.0f to come", a.Yield)
	}
	return line
}

type auditCancelCmd struct {
	ID string `arg:"" help:"Id of the audit."`
}

func (k *auditCancelCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		a, err := s.CancelAudit(ctx, k.ID)
		if err != nil {
			return err
		}
		return c.print(a, func() { fmt.Println(strings.ToLower(a.State)) })
	})
}

type auditFindingsCmd struct {
	ID   string `arg:"" help:"Id of the audit."`
	Kind string `help:"One kind only, such as weak or context-derived."`
}

func (k *auditFindingsCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		for f, err := range s.Findings(ctx, k.ID, wireName(k.Kind)) {
			if err != nil {
				return err
			}
			if c.Output == "json" {
				if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
					return err
				}
				continue
			}
			fmt.Printf("%d\t%q\t%s\t%s\t%s\t%s\n", f.Offset, f.Record, f.Kind, f.Severity, f.RankBand, f.Class)
		}
		return nil
	})
}

type auditReportCmd struct {
	ID     string `arg:"" help:"Id of the audit."`
	Format string `help:"html, json, csv or sarif." enum:"html,json,csv,sarif" default:"html"`
	Locale string `help:"en or zh-CN; the audit's when empty." enum:",en,zh-CN" default:""`
	Out    string `help:"Write to this new file (0600) instead of printing." type:"path"`
}

func (k *auditReportCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		_, content, err := s.AuditReport(ctx, k.ID, k.Format, k.Locale)
		if err != nil {
			return err
		}
		if k.Out == "" {
			_, err = os.Stdout.Write(content)
			return err
		}
		f, err := os.OpenFile(k.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		_, err = f.Write(content)
		return errors.Join(err, f.Close())
	})
}

type auditVerifyCmd struct {
	File      string `arg:"" help:"File of the report."`
	ReportKey string `help:"The server's report key; without it the server is asked." placeholder:"BASE64"`
}

func (k *auditVerifyCmd) Run(ctx context.Context, c *cli) error {
	content, err := os.ReadFile(k.File)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	key, err := client.VerifyReport(content)
	if err != nil {
		fmt.Fprintf(os.Stderr, "watchword: %v\n", err)
		return &no{exitNo}
	}
	want := k.ReportKey
	if want == "" {
		if err := c.ask(func(s *client.Client) error {
			list, err := s.Audits(ctx)
			if err == nil && len(list) == 0 {
				err = errors.New("the server has no audits to know its key by: give it with --report-key")
			}
			if err == nil {
				want = list[0].ReportKey
			}
			return err
		}); err != nil {
			return err
		}
	}
	if key != want {
		fmt.Fprintln(os.Stderr, "watchword: signed, but with another key than this server's")
		return &no{exitNo}
	}
	return c.print(map[string]any{"valid": true, "key": key}, func() { fmt.Println("valid, signed by " + key) })
}

type auditRemediateCmd struct {
	ID      string   `arg:"" help:"Id of the audit."`
	Kinds   []string `help:"Kinds of findings, such as weak,breached." required:""`
	Disable bool     `help:"Disable the credentials instead of asking for a new password."`
}

func (k *auditRemediateCmd) Run(ctx context.Context, c *cli) error {
	var kinds []string
	for _, name := range k.Kinds {
		kinds = append(kinds, wireName(name))
	}
	return c.ask(func(s *client.Client) error {
		changed, unchanged, err := s.Remediate(ctx, k.ID, kinds, k.Disable)
		if err != nil {
			return err
		}
		return c.print(map[string]int{"changed": changed, "unchanged": unchanged}, func() {
			fmt.Printf("%d changed, %d as they were\n", changed, unchanged)
		})
	})
}

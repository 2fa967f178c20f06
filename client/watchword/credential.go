// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/watchword-project/watchword/client"
)

type getCmd struct {
	Subject string `arg:"" help:"Account id."`
}

func (k *getCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		cred, err := s.Get(ctx, k.Subject)
		if err != nil {
			return err
		}
		return c.print(cred, func() {
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "state\t%s\n", cred.State)
			fmt.Fprintf(w, "version\t%d\n", cred.Version)
			fmt.Fprintf(w, "hash\t%s %s\n", cred.Scheme, cred.Cost)
			fmt.Fprintf(w, "policy\t%s\n", cred.Policy)
			fmt.Fprintf(w, "created\t%s\n", moment(cred.Created, "-"))
			fmt.Fprintf(w, "changed\t%s\n", moment(cred.Changed, "-"))
			fmt.Fprintf(w, "last login\t%s\n", moment(cred.LastLogin, "never"))
			if cred.NeedsRehash {
				fmt.Fprintf(w, "rehash\twith the next login\n")
			}
			_ = w.Flush()
		})
	})
}

// moment spells a time, or its absence.
func moment(t time.Time, absent string) string {
	if t.IsZero() {
		return absent
	}
	return t.UTC().Format(time.RFC3339)
}

type stateCmd struct {
	Subject string `arg:"" help:"Account id."`
	State   string `arg:"" help:"active, must-change, compromised or disabled." enum:"active,must-change,compromised,disabled"`
}

func (k *stateCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error { return s.SetState(ctx, k.Subject, wireName(k.State)) })
}

// wireName turns the name of a choice into that of the contract.
func wireName(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }

type deleteCmd struct {
	Subject string `arg:"" help:"Account id."`
}

func (k *deleteCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error { return s.Delete(ctx, k.Subject) })
}

type importCmd struct {
	File string `arg:"" help:"File of rows, or - for standard input. Each row is a line such as {\"subject\": \"alice\", \"phc\": \"$2b$…\"}, with lastChanged (RFC 3339) and state if known."`
}

// maxRow is the longest line of an import in bytes, as the contract has it.
const maxRow = 64 << 10

// importRow is one line of an import.
type importRow struct {
	Subject     string    `json:"subject"`
	PHC         string    `json:"phc"`
	LastChanged time.Time `json:"lastChanged"`
	State       string    `json:"state"`
}

// importResult is what became of one line.
type importResult struct {
	Line    int    `json:"line"`
	Version uint32 `json:"version,omitempty"`
	Scheme  string `json:"scheme,omitempty"`
	Wrapped bool   `json:"wrapped,omitempty"`
	Fault   string `json:"fault,omitempty"`
}

func (k *importCmd) Run(ctx context.Context, c *cli) error {
	in := os.Stdin
	if k.File != "-" {
		f, err := os.Open(k.File)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		defer f.Close()
		in = f
	}
	return c.ask(func(s *client.Client) error { return importAll(ctx, c, s, in) })
}

// importAll imports the rows of a file and tells of every line that was not
// taken, by its number and never by its text.
func importAll(ctx context.Context, c *cli, s *client.Client, in io.Reader) error {
	r := newRowReader(in)
	taken, wrapped, refused := 0, 0, 0
	tell := func(res importResult) error {
		switch {
		case res.Fault != "":
			refused++
		case res.Wrapped:
			wrapped++
			fallthrough
		default:
			taken++
		}
		if c.Output == "json" {
			return json.NewEncoder(os.Stdout).Encode(res)
		}
		if res.Fault != "" {
			fmt.Fprintf(os.Stderr, "line %d: %s\n", res.Line, res.Fault)
		}
		return nil
	}
	for got, err := range s.Import(ctx, r.rows()) {
		if err != nil {
			return err
		}
		res := importResult{Line: r.next(), Version: got.Version, Scheme: got.Scheme, Wrapped: got.Wrapped}
		if got.Fault != nil {
			res = importResult{Line: res.Line, Fault: got.Fault.Error()}
		}
		if err := tell(res); err != nil {
			return err
		}
	}
	for _, line := range r.malformed {
		if err := tell(importResult{Line: line, Fault: "not a row: an object with subject and phc"}); err != nil {
			return err
		}
	}
	if r.err != nil {
		return fmt.Errorf("import: %w", r.err)
	}
	if c.Output != "json" {
		fmt.Printf("%d taken, %d of them wrapped, %d not taken\n", taken, wrapped, refused)
	}
	if refused > 0 {
		return &no{exitNo}
	}
	return nil
}

// rowReader reads the rows of an import.
type rowReader struct {
	in *bufio.Reader
	// sent are the line numbers of the rows that were sent and not yet answered.
	mu   sync.Mutex
	sent []int
	// malformed are the lines that are no rows, and err is why reading ended
	// early. Both are complete when the import has ended.
	malformed []int
	err       error
}

func newRowReader(in io.Reader) *rowReader {
	return &rowReader{in: bufio.NewReaderSize(in, maxRow)}
}

// next gives the line of the oldest row that is not answered.
func (r *rowReader) next() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := r.sent[0]
	r.sent = r.sent[1:]
	return line
}

func (r *rowReader) send(line int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, line)
}

func (r *rowReader) rows() iter.Seq[client.ImportRow] {
	return func(yield func(client.ImportRow) bool) {
		for line := 1; ; line++ {
			text, err := r.in.ReadSlice('\n')
			tooLong := errors.Is(err, bufio.ErrBufferFull)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.in.ReadSlice('\n')
			}
			if err != nil && !errors.Is(err, io.EOF) {
				r.err = err
				return
			}
			switch row, ok := parseRow(text); {
			case len(bytes.TrimSpace(text)) == 0 && !tooLong:
			case tooLong, !ok:
				r.malformed = append(r.malformed, line)
			default:
				r.send(line)
				if !yield(row) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

func parseRow(line []byte) (client.ImportRow, bool) {
	var row importRow
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if d.Decode(&row) != nil || d.More() || row.Subject == "" || row.PHC == "" {
		return client.ImportRow{}, false
	}
	return client.ImportRow{Subject: row.Subject, PHC: row.PHC, Changed: row.LastChanged,
		State: strings.TrimPrefix(row.State, "CREDENTIAL_STATE_")}, true
}

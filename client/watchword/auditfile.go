// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/watchword-project/watchword/client"
)

// recordReader reads the records of an audit. A line that is none becomes a
// record without an id, which the server refuses in its place: so each line
// keeps its offset, and an interrupted upload can go on.
type recordReader struct {
	next  func() (client.AuditRecord, int, error)
	jumps []lineJump // where line numbers and offsets part
	err   error
	// hex says what a hash of hexadecimal digits alone is; empty: not known, and
	// unsaid is set when there was one.
	hex    string
	unsaid bool
}

// hexHashes are the digests that files hold as bare hexadecimal digits, by their
// names, with their sizes in bytes.
var hexHashes = map[string]int{"ntlm": 16, "md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "sm3": 32}

// named gives a hash of hexadecimal digits alone its scheme.
func (r *recordReader) named(hash string) string {
	tag, err := hex.DecodeString(hash)
	if err != nil || len(tag) == 0 {
		return hash
	}
	switch {
	case r.hex == "":
		r.unsaid = r.unsaid || slices.Contains(slices.Collect(maps.Values(hexHashes)), len(tag))
	case len(tag) != hexHashes[r.hex]: // refused by the server, in its place
	case r.hex == "ntlm":
		return "$NT$" + hex.EncodeToString(tag)
	default:
		return "$ww-digest$h=" + r.hex + ",f=plain$$" + base64.RawStdEncoding.EncodeToString(tag)
	}
	return hash
}

// lineJump tells that from an offset on, line numbers are so much above it.
type lineJump struct{ offset, above int }

// newRecordReader takes a file in one of the forms of auditUploadCmd.Format.
func newRecordReader(in io.Reader, format, name string) (*recordReader, error) {
	if format == "auto" {
		switch strings.ToLower(filepath.Ext(name)) {
		case ".csv":
			format = "csv"
		case ".jsonl", ".ndjson", ".json":
			format = "jsonl"
		case ".pwdump", ".ntds", ".hashes":
			format = "pwdump"
		default:
			return nil, errors.New("audit: the form of the file does not show in its name: say it with --format")
		}
	}
	lines := &lineReader{in: bufio.NewReaderSize(in, maxRow)}
	switch format {
	case "csv":
		return newCSVReader(in)
	case "pwdump":
		return &recordReader{next: lines.each(parsePwdump)}, nil
	}
	return &recordReader{next: lines.each(parseRecord)}, nil
}

// records yields the records from an offset on.
func (r *recordReader) records(from int) iter.Seq[client.AuditRecord] {
	return func(yield func(client.AuditRecord) bool) {
		above := 0
		for offset := 0; ; offset++ {
			rec, line, err := r.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				r.err = fmt.Errorf("audit: %w", err)
				return
			}
			if line-offset != above {
				above = line - offset
				r.jumps = append(r.jumps, lineJump{offset, above})
			}
			rec.Hash = r.named(rec.Hash)
			if offset >= from && !yield(rec) {
				return
			}
		}
	}
}

// line gives the line number of the record at an offset.
func (r *recordReader) line(offset int) int {
	above := 0
	for _, j := range r.jumps {
		if j.offset <= offset {
			above = j.above
		}
	}
	return offset + above
}

// lineReader reads lines that are not blank, of at most maxRow bytes.
type lineReader struct {
	in   *bufio.Reader
	line int
	done bool
}

// each gives a reader of records by line; a line too long is none.
func (l *lineReader) each(parse func([]byte) (client.AuditRecord, bool)) func() (client.AuditRecord, int, error) {
	return func() (client.AuditRecord, int, error) {
		for !l.done {
			l.line++
			text, err := l.in.ReadSlice('\n')
			long := errors.Is(err, bufio.ErrBufferFull)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = l.in.ReadSlice('\n')
			}
			if l.done = errors.Is(err, io.EOF); err != nil && !l.done {
				return client.AuditRecord{}, 0, err
			}
			text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\uFEFF")))
			if len(text) == 0 && !long {
				continue
			}
			rec, ok := parse(text)
			if long || !ok {
				rec = client.AuditRecord{}
			}
			return rec, l.line, nil
		}
		return client.AuditRecord{}, 0, io.EOF
	}
}

// auditLine is one line of JSON, as the contract spells a record.
type auditLine struct {
	ID          string    `json:"id"`
	Hash        string    `json:"hash"`
	Password    string    `json:"password"`
	LastLogin   time.Time `json:"lastLogin"`
	LastChanged time.Time `json:"lastChanged"`
	Flags       []string  `json:"flags"`
	Context     struct {
		Login     string   `json:"login"`
		Emails    []string `json:"emails"`
		Names     []string `json:"names"`
		Phones    []string `json:"phones"`
		BirthDate string   `json:"birthDate"`
		Words     []string `json:"words"`
	} `json:"context"`
}

func parseRecord(text []byte) (client.AuditRecord, bool) {
	var l auditLine
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&l) != nil || d.More() {
		return client.AuditRecord{}, false
	}
	return client.AuditRecord{ID: l.ID, Hash: l.Hash, Password: l.Password, LastLogin: l.LastLogin, LastChanged: l.LastChanged, Flags: l.Flags,
		Person: client.Person{Login: l.Context.Login, Emails: l.Context.Emails, Names: l.Context.Names, Phones: l.Context.Phones,
			BirthDate: l.Context.BirthDate, Words: l.Context.Words}}, true
}

// noLM and noNT are the hashes of the empty password, which dumps hold where
// there is none.
const (
	noLM = "aad3b435b51404eeaad3b435b51404ee"
	noNT = "31d6cfe0d16ae931b73c59d7e0c089c0"
)

// parsePwdump reads "domain\user:rid:lm:nt:::", as dumps of a domain hold it,
// with a remark such as "(status=Disabled)" behind it.
func parsePwdump(text []byte) (client.AuditRecord, bool) {
	part := strings.Split(string(text), ":")
	if len(part) < 4 || len(part[3]) != len(noLM) {
		return client.AuditRecord{}, false
	}
	if strings.HasPrefix(part[3], "NO PASSWORD") {
		part[3] = noNT
	}
	user := part[0]
	if i := strings.LastIndexByte(user, '\\'); i >= 0 {
		user = user[i+1:]
	}
	r := client.AuditRecord{ID: part[0], Hash: "$NT$" + strings.ToLower(part[3]), Person: client.Person{Login: user}}
	if lm := strings.ToLower(part[2]); len(lm) == len(noLM) && lm != noLM && !strings.HasPrefix(lm, "no pass") {
		r.Flags = append(r.Flags, "lm-hash")
	}
	if rest := strings.ToLower(strings.Join(part[4:], ":")); strings.Contains(rest, "status=disabled") {
		r.Flags = append(r.Flags, "disabled")
	}
	if part[1] == "500" {
		r.Flags = append(r.Flags, "privileged")
	}
	return r, true
}

// csvFields are the columns that a CSV may have. Those of several entries are
// separated by semicolons.
var csvFields = map[string]func(*client.AuditRecord, string) bool{
	"id":          func(r *client.AuditRecord, s string) bool { r.ID = s; return true },
	"hash":        func(r *client.AuditRecord, s string) bool { r.Hash = s; return true },
	"password":    func(r *client.AuditRecord, s string) bool { r.Password = s; return true },
	"lastLogin":   func(r *client.AuditRecord, s string) bool { return readTime(&r.LastLogin, s) },
	"lastChanged": func(r *client.AuditRecord, s string) bool { return readTime(&r.LastChanged, s) },
	"flags":       func(r *client.AuditRecord, s string) bool { r.Flags = entries(s); return true },
	"login":       func(r *client.AuditRecord, s string) bool { r.Person.Login = s; return true },
	"names":       func(r *client.AuditRecord, s string) bool { r.Person.Names = entries(s); return true },
	"emails":      func(r *client.AuditRecord, s string) bool { r.Person.Emails = entries(s); return true },
	"phones":      func(r *client.AuditRecord, s string) bool { r.Person.Phones = entries(s); return true },
	"words":       func(r *client.AuditRecord, s string) bool { r.Person.Words = entries(s); return true },
	"birthDate":   func(r *client.AuditRecord, s string) bool { r.Person.BirthDate = s; return true },
}

func entries(s string) (out []string) {
	for e := range strings.SplitSeq(s, ";") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

func readTime(to *time.Time, s string) bool {
	if s == "" {
		return true
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			*to = t
			return true
		}
	}
	return false
}

// errLongRow is returned for a row of a CSV that would fill the memory: as a
// rule a quotation mark that is never closed.
var errLongRow = errors.New("a row has no end: is a quotation mark left open?")

// rowGuard bounds what is read for one row.
type rowGuard struct {
	in   io.Reader
	left int
}

func (g *rowGuard) Read(p []byte) (int, error) {
	if g.left <= 0 {
		return 0, errLongRow
	}
	n, err := g.in.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

func newCSVReader(in io.Reader) (*recordReader, error) {
	guard := &rowGuard{in, maxRow}
	b := bufio.NewReader(guard)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\uFEFF" {
		_, _ = b.Discard(3)
	}
	c := csv.NewReader(b)
	c.ReuseRecord, c.FieldsPerRecord = true, -1
	head, err := c.Read()
	if err != nil {
		return nil, errors.New("audit: the CSV has no heading line")
	}
	columns := make([]func(*client.AuditRecord, string) bool, len(head))
	for i, name := range head {
		if columns[i] = csvFields[strings.TrimSpace(name)]; columns[i] == nil {
			return nil, fmt.Errorf("audit: column %d has no known name; those known are %s", i+1, strings.Join(slices.Sorted(maps.Keys(csvFields)), ", "))
		}
	}
	return &recordReader{next: func() (client.AuditRecord, int, error) {
		guard.left = maxRow
		before := c.InputOffset()
		cells, err := c.Read()
		if errors.Is(err, errLongRow) {
			return client.AuditRecord{}, 0, fmt.Errorf("behind byte %d: %w", before, err)
		}
		var fault *csv.ParseError
		if errors.As(err, &fault) {
			return client.AuditRecord{}, fault.StartLine, nil
		}
		if err != nil {
			return client.AuditRecord{}, 0, err
		}
		line, _ := c.FieldPos(0)
		var r client.AuditRecord
		ok := len(cells) == len(columns)
		for i := 0; ok && i < len(cells); i++ {
			ok = columns[i](&r, cells[i])
		}
		if !ok {
			r = client.AuditRecord{}
		}
		return r, line, nil
	}}, nil
}

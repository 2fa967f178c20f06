// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// Flags are what the caller knows of an account.
type Flags uint16

// The flags, by the names that ParseFlag reads.
const (
	FlagDisabled      Flags = 1 << iota // "disabled"
	FlagPrivileged                      // "privileged"
	FlagTest                            // "test"
	FlagService                         // "service"
	FlagNeverChanged                    // "never-changed"
	FlagNeverLoggedIn                   // "never-logged-in"
	FlagPeppered                        // "peppered"
	FlagLM                              // "lm-hash": a LAN Manager hash is kept as well
)

var flagNames = map[string]Flags{
	"disabled": FlagDisabled, "privileged": FlagPrivileged, "test": FlagTest, "service": FlagService,
	"never-changed": FlagNeverChanged, "never-logged-in": FlagNeverLoggedIn, "peppered": FlagPeppered, "lm-hash": FlagLM,
}

// ParseFlag reads the name of a flag.
func ParseFlag(name string) (Flags, bool) {
	f, ok := flagNames[name]
	return f, ok
}

// Row is one record of an upload, or of the own store, where ID is the
// pseudonym and the hash is fetched anew whenever it is needed.
type Row struct {
	ID          string
	Hash        string // empty for a record that came in plaintext, or malformed
	LastLogin   time.Time
	LastChanged time.Time
	Flags       Flags
	Context     policy.Context
	// Fault is why the record cannot be used; empty for a good one.
	Fault string
	// found is what a plaintext gave on arrival, and tag stands for it.
	found []Finding
	tag   uint64
}

// errRows is returned for stored rows or findings that this package did not
// write.
var errRows = errors.New("stored rows are damaged")

// The byte form of rows: texts are a varint length and their bytes, lists a
// varint length and their entries, times seconds since 1970 as a signed varint,
// 0 for none.
func appendRow(b []byte, r *Row) []byte {
	b = appendText(b, r.ID)
	b = appendText(b, r.Hash)
	b = appendText(b, r.Fault)
	b = appendTime(b, r.LastLogin)
	b = appendTime(b, r.LastChanged)
	b = binary.AppendUvarint(b, uint64(r.Flags))
	b = binary.BigEndian.AppendUint64(b, r.tag)
	b = appendFindings(b, r.found, false)
	b = appendText(b, r.Context.Login)
	b = appendText(b, r.Context.BirthDate)
	for _, list := range [][]string{r.Context.Emails, r.Context.Names, r.Context.Phones, r.Context.Words} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, s := range list {
			b = appendText(b, s)
		}
	}
	return b
}

func (p *parser) row() Row {
	r := Row{ID: p.text(), Hash: p.text(), Fault: p.text(), LastLogin: p.time(), LastChanged: p.time(), Flags: Flags(p.number())}
	r.tag = p.fixed()
	r.found = p.findings(false)
	r.Context.Login, r.Context.BirthDate = p.text(), p.text()
	for _, list := range []*[]string{&r.Context.Emails, &r.Context.Names, &r.Context.Phones, &r.Context.Words} {
		n := p.length()
		for range n {
			*list = append(*list, p.text())
		}
	}
	return r
}

// parseRows reads rows one behind the other.
func parseRows(b []byte) ([]Row, error) {
	p := parser{rest: b}
	var out []Row
	for len(p.rest) > 0 && !p.bad {
		out = append(out, p.row())
	}
	if p.bad {
		return nil, errRows
	}
	return out, nil
}

// appendFindings writes findings, with the ids of their records if asked to.
func appendFindings(b []byte, list []Finding, ids bool) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		f := &list[i]
		b = binary.AppendUvarint(b, uint64(f.Row))
		b = append(b, byte(f.Kind), byte(f.Severity), byte(f.Band))
		b = appendText(b, f.Class)
		b = binary.AppendUvarint(b, uint64(f.Accounts))
		b = binary.BigEndian.AppendUint64(b, f.tag)
		if ids {
			b = appendText(b, f.ID)
		}
	}
	return b
}

func (p *parser) findings(ids bool) []Finding {
	n := p.length()
	if n == 0 {
		return nil
	}
	out := make([]Finding, 0, n)
	for range n {
		f := Finding{Row: int(p.number() & (1<<40 - 1)), Kind: Kind(p.byte()), Severity: Severity(p.byte()), Band: Band(p.byte()), Class: p.text(), Accounts: int(p.number() & (1<<40 - 1))}
		f.tag = p.fixed()
		if ids {
			f.ID = p.text()
		}
		if f.Kind == 0 || f.Kind >= kinds || f.Severity > Critical {
			p.bad = true
		}
		if p.bad {
			return nil
		}
		out = append(out, f)
	}
	return out
}

func parseFindings(b []byte, ids bool) ([]Finding, error) {
	p := parser{rest: b}
	out := p.findings(ids)
	if p.bad || len(p.rest) != 0 {
		return nil, errRows
	}
	return out, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(b, t.Unix())
}

// parser reads the byte form; bad is set by the first fault and stays.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) number() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 {
		p.bad, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

// length reads the length of a list, of whose entries each takes a byte.
func (p *parser) length() int {
	n := p.number()
	if n > uint64(len(p.rest)) {
		p.bad, p.rest = true, nil
		return 0
	}
	return int(n)
}

func (p *parser) text() string {
	n := p.length()
	s := string(p.rest[:n])
	p.rest = p.rest[n:]
	return s
}

func (p *parser) byte() byte {
	if len(p.rest) == 0 {
		p.bad = true
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

func (p *parser) fixed() uint64 {
	if len(p.rest) < 8 {
		p.bad, p.rest = true, nil
		return 0
	}
	v := binary.BigEndian.Uint64(p.rest)
	p.rest = p.rest[8:]
	return v
}

func (p *parser) time() time.Time {
	v, n := binary.Varint(p.rest)
	if n <= 0 {
		p.bad, p.rest = true, nil
		return time.Time{}
	}
	p.rest = p.rest[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(v, 0).UTC()
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// Bounds of a Record, in bytes and entries. Check enforces them.
const (
	maxTenant  = 128
	maxText    = 64 << 10
	maxHistory = 1 << 10
	maxRecord  = 1 << 20
)

// Check says whether r keeps to the bounds of its fields: tenant at most 128
// bytes, every other text at most 64 KiB, at most 1,024 earlier verifiers,
// 1 MiB in all, texts UTF-8 without NUL, version 1 or more, a known state.
// Every store calls it before it writes, so that all of them refuse the same
// records.
func (r Record) Check() error {
	if len(r.Tenant) > maxTenant || !plain(r.Tenant) {
		return errors.New("record tenant: want at most 128 bytes of UTF-8, no NUL")
	}
	if r.Version == 0 || r.Version > math.MaxInt64 {
		return errors.New("record version: want 1 or more")
	}
	if r.State < StateActive || r.State > StateDisabled {
		return errors.New("record state: not a state")
	}
	if len(r.History) > maxHistory {
		return errors.New("record history: more than 1,024 entries")
	}
	sum := 0
	for _, s := range append([]string{r.Hash, r.Norm, r.Policy, r.PolicyVersion}, r.History...) {
		if len(s) > maxText || !plain(s) {
			return errors.New("record text: want at most 64 KiB of UTF-8, no NUL")
		}
		sum += len(s)
	}
	if sum > maxRecord {
		return errors.New("record: more than 1 MiB")
	}
	for _, t := range []time.Time{r.Created, r.Changed, r.LastLogin} {
		if !t.IsZero() && (t.Year() < 1 || t.Year() > 9999) {
			return errors.New("record time: want years 1 to 9999")
		}
	}
	return nil
}

func plain(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// errRecord is returned by ParseRecord for every input that AppendRecord does
// not make. It says no more, since nobody can repair a record by hand.
var errRecord = errors.New("damaged record")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The byte form of a record, for stores that keep bytes. Numbers are unsigned
// varints, texts are a length and their bytes, times are signed varints of
// microseconds since 1970 and left out when zero:
//
//	┌────────┬───────┬───────┬─────────┬──────────┬────────┬──────┬───────────────────┬──────┬────────┬────────────────┬───────┬────────┐
//	│ form=1 │ flags │ state │ version │ revision │ use    │ hash │ number of history │ norm │ policy │ policy version │ times │ CRC32C │
//	│ 1      │ 1     │ 1     │ varint  │ varint   │ varint │ text │ varint, texts     │ text │ text   │ text           │ ≤ 3   │ 4 (LE) │
//	└────────┴───────┴───────┴─────────┴──────────┴────────┴──────┴───────────────────┴──────┴────────┴────────────────┴───────┴────────┘
//
// The checksum also covers tenant and subject, which stand in the key: a record
// found under another's key does not parse.
const (
	recordForm = 1

	flagTombstone = 1 << 0
	flagCreated   = 1 << 1
	flagChanged   = 1 << 2
	flagLastLogin = 1 << 3
	flagExhausted = 1 << 4
	flagsKnown    = 1<<5 - 1
)

// AppendRecord appends the byte form of r to b, without tenant and subject.
func AppendRecord(b []byte, r Record) []byte {
	start := len(b)
	var flags byte
	if r.Tombstone {
		flags |= flagTombstone
	}
	if r.Exhausted {
		flags |= flagExhausted
	}
	times := [...]time.Time{r.Created, r.Changed, r.LastLogin}
	for i, t := range times {
		if !t.IsZero() {
			flags |= flagCreated << i
		}
	}
	b = append(b, recordForm, flags, byte(r.State))
	b = binary.AppendUvarint(b, r.Version)
	b = binary.AppendUvarint(b, uint64(r.Revision))
	b = binary.AppendUvarint(b, uint64(r.Use))
	b = appendText(b, r.Hash)
	b = binary.AppendUvarint(b, uint64(len(r.History)))
	for _, h := range r.History {
		b = appendText(b, h)
	}
	b = appendText(b, r.Norm)
	b = appendText(b, r.Policy)
	b = appendText(b, r.PolicyVersion)
	for _, t := range times {
		if !t.IsZero() {
			b = binary.AppendVarint(b, t.UnixMicro())
		}
	}
	return binary.LittleEndian.AppendUint32(b, recordSum(r.Tenant, r.Subject, b[start:]))
}

// ParseRecord reads what AppendRecord wrote for the same tenant and subject.
// Any other input is an error; none makes it panic or allocate more than a
// small multiple of len(b).
func ParseRecord(tenant string, subject Pseudonym, b []byte) (Record, error) {
	if len(b) < 4+4 {
		return Record{}, errRecord
	}
	body := b[:len(b)-4]
	if recordSum(tenant, subject, body) != binary.LittleEndian.Uint32(b[len(body):]) {
		return Record{}, errRecord
	}
	flags := body[1]
	if body[0] != recordForm || flags&^flagsKnown != 0 {
		return Record{}, errRecord
	}
	p := parser{rest: body[3:]}
	r := Record{
		Tenant:    tenant,
		Subject:   subject,
		State:     State(body[2]),
		Tombstone: flags&flagTombstone != 0,
		Exhausted: flags&flagExhausted != 0,
	}
	r.Version = p.number()
	r.Revision = uint32(p.upTo(math.MaxUint32))
	r.Use = policy.Use(p.upTo(math.MaxUint8))
	r.Hash = p.text()
	n := p.number()
	if n > uint64(len(p.rest)) { // each entry takes a byte at least
		return Record{}, errRecord
	}
	if n > 0 {
		r.History = make([]string, n)
		for i := range r.History {
			r.History[i] = p.text()
		}
	}
	r.Norm = p.text()
	r.Policy = p.text()
	r.PolicyVersion = p.text()
	for i, t := range []*time.Time{&r.Created, &r.Changed, &r.LastLogin} {
		if flags&(flagCreated<<i) != 0 {
			*t = p.time()
		}
	}
	if p.bad || len(p.rest) != 0 || r.Check() != nil {
		return Record{}, errRecord
	}
	return r, nil
}

func recordSum(tenant string, subject Pseudonym, body []byte) uint32 {
	var key [2 + maxTenant + len(subject)]byte
	k := binary.AppendUvarint(key[:0], uint64(len(tenant)))
	k = append(k, tenant...)
	k = append(k, subject[:]...)
	return crc32.Update(crc32.Checksum(k, castagnoli), castagnoli, body)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// parser takes values from the front of rest. After the first failure it
// returns zero values and bad stays true.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) number() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || n > 1 && p.rest[n-1] == 0 { // the shortest form only
		p.fail()
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *parser) upTo(most uint64) uint64 {
	v := p.number()
	if v > most {
		p.fail()
		return 0
	}
	return v
}

func (p *parser) text() string {
	n := p.number()
	if n > uint64(len(p.rest)) {
		p.fail()
		return ""
	}
	s := string(p.rest[:n])
	p.rest = p.rest[n:]
	return s
}

func (p *parser) time() time.Time {
	v, n := binary.Varint(p.rest)
	if n <= 0 || n > 1 && p.rest[n-1] == 0 {
		p.fail()
		return time.Time{}
	}
	p.rest = p.rest[n:]
	t := time.UnixMicro(v).UTC()
	if t.IsZero() { // a zero time is told by its flag
		p.fail()
	}
	return t
}

func (p *parser) fail() { p.bad, p.rest = true, nil }

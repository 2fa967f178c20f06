// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

func drawRecord(t *rapid.T) verifier.Record {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("a$,=+/·密0")), 0, 60, -1)
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.UnixMicro(rapid.Int64Range(-62135596799999999, 253402300799999999).Draw(t, "µs")).UTC()
	})
	r := verifier.Record{
		Tenant:        rapid.StringOfN(rapid.RuneFrom([]rune("ab/{}:é")), 0, 20, -1).Draw(t, "tenant"),
		Version:       rapid.Uint64Range(1, 1<<63-1).Draw(t, "version"),
		Revision:      rapid.Uint32().Draw(t, "revision"),
		Use:           policy.Use(rapid.Byte().Draw(t, "use")),
		Exhausted:     rapid.Bool().Draw(t, "exhausted"),
		State:         verifier.State(rapid.IntRange(1, 4).Draw(t, "state")),
		Hash:          text.Draw(t, "hash"),
		Norm:          text.Draw(t, "norm"),
		Policy:        text.Draw(t, "policy"),
		PolicyVersion: text.Draw(t, "policyVersion"),
		Created:       moment.Draw(t, "created"),
		Changed:       moment.Draw(t, "changed"),
		LastLogin:     moment.Draw(t, "lastLogin"),
		Tombstone:     rapid.Bool().Draw(t, "tombstone"),
	}
	copy(r.Subject[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "subject"))
	if h := rapid.SliceOfN(text, 0, 24).Draw(t, "history"); len(h) > 0 {
		r.History = h
	}
	return r
}

func TestRecordBytesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRecord(t)
		b := verifier.AppendRecord([]byte("before"), want)
		got, err := verifier.ParseRecord(want.Tenant, want.Subject, b[len("before"):])
		if err != nil {
			t.Fatalf("ParseRecord: %v", err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("record changed on the way (-want +got):\n%s", d)
		}
	})
}

func TestRecordBytesDamaged(t *testing.T) {
	r := verifier.Record{
		Tenant: "t", Version: 3, State: verifier.StateActive,
		Hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$dGFn", History: []string{"a", "b"},
		Norm: "nfc-1", Policy: "p", PolicyVersion: "7", Changed: time.Unix(1e9, 0).UTC(),
	}
	b := verifier.AppendRecord(nil, r)
	for i := range len(b) * 8 {
		bad := bytes.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := verifier.ParseRecord(r.Tenant, r.Subject, bad); err == nil {
			t.Errorf("bit %d flipped: parsed", i)
		}
	}
	for i := range b {
		if _, err := verifier.ParseRecord(r.Tenant, r.Subject, b[:i]); err == nil {
			t.Errorf("cut to %d bytes: parsed", i)
		}
	}
	if _, err := verifier.ParseRecord("u", r.Subject, b); err == nil {
		t.Error("under another tenant: parsed")
	}
	if _, err := verifier.ParseRecord(r.Tenant, verifier.Pseudonym{1}, b); err == nil {
		t.Error("under another subject: parsed")
	}
}

func TestRecordCheck(t *testing.T) {
	good := verifier.Record{Version: 1, State: verifier.StateActive}
	if err := good.Check(); err != nil {
		t.Fatalf("Check of a minimal record: %v", err)
	}
	for name, change := range map[string]func(*verifier.Record){
		"version 0":       func(r *verifier.Record) { r.Version = 0 },
		"version too big": func(r *verifier.Record) { r.Version = 1 << 63 },
		"state 0":         func(r *verifier.Record) { r.State = 0 },
		"state 5":         func(r *verifier.Record) { r.State = 5 },
		"long tenant":     func(r *verifier.Record) { r.Tenant = strings.Repeat("t", 129) },
		"NUL":             func(r *verifier.Record) { r.Policy = "a\x00b" },
		"not UTF-8":       func(r *verifier.Record) { r.Norm = "\xff" },
		"long text":       func(r *verifier.Record) { r.Hash = strings.Repeat("h", 64<<10+1) },
		"long history":    func(r *verifier.Record) { r.History = make([]string, 1025) },
		"large in all": func(r *verifier.Record) {
			for range 17 {
				r.History = append(r.History, strings.Repeat("h", 64<<10))
			}
		},
		"year 10000": func(r *verifier.Record) { r.Changed = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		r := good
		change(&r)
		if r.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzParseRecord gives ParseRecord bodies with a true checksum, so that the
// fuzzer gets past it: no body panics, and each that parses is the one form of
// its record.
func FuzzParseRecord(f *testing.F) {
	r := verifier.Record{Tenant: "t", Version: 3, State: verifier.StateDisabled, Hash: "h", History: []string{"a", ""}, Changed: time.Unix(1e9, 5e3)}
	b := verifier.AppendRecord(nil, r)
	f.Add("t", b[:len(b)-4])
	f.Add("", []byte{1, 0, 1, 1, 0, 0, 0, 0, 0})
	f.Add("", []byte{1, 0, 1, 1, 0, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, tenant string, body []byte) {
		if len(tenant) > 128 {
			t.Skip()
		}
		key := binary.AppendUvarint(nil, uint64(len(tenant)))
		key = append(append(key, tenant...), make([]byte, 16)...)
		sum := crc32.Checksum(append(key, body...), crc32.MakeTable(crc32.Castagnoli))
		whole := binary.LittleEndian.AppendUint32(bytes.Clone(body), sum)
		r, err := verifier.ParseRecord(tenant, verifier.Pseudonym{}, whole)
		if err != nil {
			return
		}
		if got := verifier.AppendRecord(nil, r); !bytes.Equal(got, whole) {
			t.Fatalf("parsed and written again: %x, want %x", got, whole)
		}
	})
}

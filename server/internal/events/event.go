// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package events keeps the event log: one line of JSON per event, each line
// bound to the one before it under a key, with signed checkpoints in a second
// place. Whoever can write the files, but has not the key, can neither edit,
// drop, swap nor insert a line unseen; and whoever cannot reach the second
// place cannot cut the end off. A sink that fails is an error within two
// seconds, never a silence and never a hang.
package events

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Event is one line of the log. It holds no secret and no personal data:
// Subject is a pseudonym.
type Event struct {
	// Sequence counts the lines from 1. Append sets it.
	Sequence uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	// Type says what happened, such as key.create.
	Type   string `json:"type"`
	Tenant string `json:"tenant,omitempty"`
	// Actor is who did it: "key:<id>", "mtls:<name>", "local", "server".
	Actor string `json:"actor,omitempty"`
	// Peer is the socket address the call came from.
	Peer    string `json:"peer,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Outcome is BEGUN for a change about to be made, otherwise OK or the code
	// of the refusal.
	Outcome string `json:"outcome,omitempty"`
	// Request joins the lines of one call.
	Request string            `json:"request,omitempty"`
	Params  map[string]string `json:"params,omitempty"`
}

// Bounds of an event: a text that is longer is cut, parameters above the count
// are a programmer's mistake.
const (
	maxText   = 256
	maxParams = 32
	// maxLine is more than the longest line that bounded fields can make.
	maxLine = 128 << 10
)

// Types of events that the log writes about itself.
const (
	typeBegin  = "log.begin"  // the first line; params: log, the id of this log
	typeMended = "log.mended" // a line cut short by a crash was dropped
	typeBroken = "log.broken" // what was found at the start is not what was written
	typeTurn   = "log.turn"   // a file that had become old was closed
	typePurge  = "log.purge"  // params: first, the first sequence kept; mac, of the line before it
)

// check panics for an event that no program should make.
func (e Event) check() {
	if e.Type == "" || len(e.Params) > maxParams {
		panic("events: an event without a type, or with too many parameters")
	}
}

// mac binds a line to all before it.
type mac [sha256.Size]byte

func (m mac) String() string { return hex.EncodeToString(m[:]) }

// A line is the event's JSON with the chain value as its last member:
//
//	{"seq":7,"time":"…",…,"mac":"<64 hexadecimal digits>"}\n
//
// mac(n) = HMAC-SHA-256(key, mac(n-1) ‖ the line up to and without `,"mac"`).
// Only ASCII is written, so that no reader sees a line end where there is none.
const (
	macMember = `,"mac":"`
	macEnd    = `"}`
	macTail   = len(macMember) + 2*sha256.Size + len(macEnd)
)

func parseMac(text string) (m mac, ok bool) {
	if len(text) != hex.EncodedLen(len(m)) {
		return m, false
	}
	_, err := hex.Decode(m[:], []byte(text))
	return m, err == nil
}

func chain(key []byte, before mac, body []byte) mac {
	h := hmac.New(sha256.New, key)
	h.Write(before[:])
	h.Write(body)
	return mac(h.Sum(nil))
}

// genesis is what the first line is bound to.
func genesis(key []byte) mac { return chain(key, mac{}, []byte("watchword event log, form 1")) }

// appendLine appends the event's line, with its line end.
func appendLine(b []byte, key []byte, before mac, e Event) ([]byte, mac, error) {
	body, err := marshal(e)
	if err != nil {
		return b, mac{}, err
	}
	m := chain(key, before, body)
	b = append(b, body...)
	b = append(b, macMember...)
	b = hex.AppendEncode(b, m[:])
	return append(b, macEnd+"\n"...), m, nil
}

// marshal gives the event's JSON without its closing brace.
func marshal(e Event) ([]byte, error) {
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	for _, s := range []*string{&e.Type, &e.Tenant, &e.Actor, &e.Peer, &e.Subject, &e.Outcome, &e.Request} {
		*s = short(*s)
	}
	params := make(map[string]string, len(e.Params))
	for k, v := range e.Params {
		params[short(k)] = short(v)
	}
	e.Params = params
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	return ascii(b[:len(b)-1]), nil
}

// short cuts a text to its bound. What is no UTF-8 is replaced before, since
// JSON would do so after, and make the text longer.
func short(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// ascii writes every other character of a JSON text as \u escapes.
func ascii(b []byte) []byte {
	if plantRawLines || bytes.IndexFunc(b, func(r rune) bool { return r >= 0x7f }) < 0 {
		return b
	}
	out := make([]byte, 0, len(b)+16)
	for _, r := range string(b) {
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

var errLine = errors.New("not a line of the event log")

// parseLine splits a line, without its line end, into the event, the text that
// its chain value covers, and that value.
func parseLine(line []byte) (e Event, body []byte, m mac, err error) {
	at := len(line) - macTail
	if at < 2 || len(line) > maxLine || string(line[at:at+len(macMember)]) != macMember || string(line[len(line)-len(macEnd):]) != macEnd {
		return Event{}, nil, mac{}, errLine
	}
	digits := line[at+len(macMember) : len(line)-len(macEnd)]
	if _, err := hex.Decode(m[:], digits); err != nil || m.String() != string(digits) {
		return Event{}, nil, mac{}, errLine
	}
	body = line[:at]
	if err := json.Unmarshal(append(bytes.Clone(body), '}'), &e); err != nil {
		return Event{}, nil, mac{}, errLine
	}
	return e, body, m, nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/watchword-project/watchword/server/internal/mac"
	"github.com/watchword-project/watchword/server/internal/password"
)

// Errors of Proof.Verify.
var (
	// ErrProofMismatch is returned for a token that was made for another
	// password, context, use, purpose or tenant, or under another key, or by
	// nobody.
	ErrProofMismatch = errors.New("the proof is not for this request")
	// ErrProofStale is returned for a token that was good, but has expired or
	// belongs to a policy that has changed since.
	ErrProofStale = errors.New("the proof is stale")
)

// MaxProof bounds the life of a token.
const MaxProof = time.Hour

// Proof is what a token says: this password was accepted under this policy.
// A check hands it out and a later set asks for it, so that the two agree: if
// the policy or the words it judges by have changed meanwhile, the set learns
// that the proof is stale instead of refusing for a reason never shown.
type Proof struct {
	Tenant  string
	Policy  string
	Version string
	// State names everything else a verdict rests on that may change, such as
	// the versions of the tenant dictionary and of the corpora.
	State   string
	Use     Use
	Purpose Purpose
	Context Context
	Text    password.Text
}

// ProofKey is the secret under which proofs are signed.
type ProofKey struct{ key *mac.Key }

// NewProofKey makes a ProofKey of a secret, 32 bytes in use.
func NewProofKey(secret []byte) *ProofKey { return &ProofKey{mac.NewKey(secret)} }

// mac appends the MAC of m, and overwrites m.
func (k *ProofKey) mac(to []byte, m message) []byte {
	defer clear(m)
	sum := k.key.Sum(m)
	return append(to, sum[:]...)
}

// A token is, in base64url without padding:
//
//	byte 0       1, the form of the token
//	bytes 1–8    when it expires, in seconds since 1970, big-endian
//	bytes 9–24   MAC of the judging side: tenant, policy, version, state
//	bytes 25–56  MAC of everything: the above, use, purpose, context, password
//
// Both MACs are HMAC-SHA-256 under the caller's key, the first cut to 16
// bytes. Without the key a token confirms no guess of the password.
const (
	proofForm  = 1
	proofBytes = 1 + 8 + 16 + sha256.Size
)

// Sign makes a token that is good until expires.
func (p Proof) Sign(key *ProofKey, expires time.Time) string {
	b := make([]byte, 0, proofBytes)
	b = append(b, proofForm)
	b = binary.BigEndian.AppendUint64(b, uint64(expires.Unix()))
	b = p.side(b, key)
	var token [2 * proofBytes]byte
	return string(base64.RawURLEncoding.AppendEncode(token[:0], p.whole(b, key, b)))
}

// Verify tells whether token was made by Sign for the same proof and is
// still good at now: nil, ErrProofMismatch or ErrProofStale. That a token is
// stale shows only to one who holds a genuine token.
func (p Proof) Verify(key *ProofKey, token string, now time.Time) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != proofBytes || b[0] != proofForm {
		return ErrProofMismatch
	}
	head, mac := b[:proofBytes-sha256.Size], b[proofBytes-sha256.Size:]
	if !hmac.Equal(mac, p.whole(nil, key, head)) {
		return ErrProofMismatch
	}
	expires := binary.BigEndian.Uint64(head[1:9])
	if now.Unix() < 0 || uint64(now.Unix()) >= expires || !hmac.Equal(head[9:], p.side(nil, key)) {
		return ErrProofStale
	}
	return nil
}

// side appends the MAC of what the judging side contributed.
func (p Proof) side(to []byte, key *ProofKey) []byte {
	return key.mac(to, messageOf("watchword/proof/side/1", p.Tenant, p.Policy, p.Version, p.State))[:len(to)+16]
}

// whole appends the MAC over the head of the token and what the caller
// contributed. The judging side enters through the head.
func (p Proof) whole(to []byte, key *ProofKey, head []byte) []byte {
	const label = "watchword/proof/1"
	lists := [...][]string{p.Context.Emails, p.Context.Names, p.Context.Phones, p.Context.Words}
	plain := p.Text.Reveal()
	// Room for all, so that no append leaves a copy of the password behind.
	room := 7*lengthBytes + len(label) + len(head) + len(p.Tenant) + 2 + len(plain) + len(p.Context.Login) + len(p.Context.BirthDate)
	for _, list := range lists {
		room += 2 * lengthBytes
		for _, s := range list {
			room += lengthBytes + len(s)
		}
	}
	m := make(message, 0, room)
	m.text(label)
	m.bytes(head)
	m.text(p.Tenant)
	m.bytes([]byte{byte(p.Use), byte(p.Purpose)})
	m.bytes(plain)
	m.text(p.Context.Login)
	m.text(p.Context.BirthDate)
	for _, list := range lists {
		m.length(lengthBytes)
		m.length(len(list))
		for _, s := range list {
			m.text(s)
		}
	}
	return key.mac(to, m)
}

// message is what a MAC is over: fields, each with its length before it, so
// that no two lists of fields run together to the same bytes.
type message []byte

const lengthBytes = 8

func messageOf(fields ...string) message {
	room := lengthBytes * len(fields)
	for _, s := range fields {
		room += len(s)
	}
	m := make(message, 0, room)
	for _, s := range fields {
		m.text(s)
	}
	return m
}

func (m *message) length(n int)   { *m = binary.BigEndian.AppendUint64(*m, uint64(n)) }
func (m *message) text(s string)  { m.length(len(s)); *m = append(*m, s...) }
func (m *message) bytes(b []byte) { m.length(len(b)); *m = append(*m, b...) }

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
func (p Proof) Sign(key []byte, expires time.Time) string {
	b := make([]byte, 0, proofBytes)
	b = append(b, proofForm)
	b = binary.BigEndian.AppendUint64(b, uint64(expires.Unix()))
	b = append(b, p.side(key)...)
	return base64.RawURLEncoding.EncodeToString(append(b, p.whole(key, b)...))
}

// Verify tells whether token was made by Sign for the same proof and is
// still good at now: nil, ErrProofMismatch or ErrProofStale. That a token is
// stale shows only to one who holds a genuine token.
func (p Proof) Verify(key []byte, token string, now time.Time) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != proofBytes || b[0] != proofForm {
		return ErrProofMismatch
	}
	head, mac := b[:proofBytes-sha256.Size], b[proofBytes-sha256.Size:]
	if !hmac.Equal(mac, p.whole(key, head)) {
		return ErrProofMismatch
	}
	expires := binary.BigEndian.Uint64(head[1:9])
	if now.Unix() < 0 || uint64(now.Unix()) >= expires || !hmac.Equal(head[9:], p.side(key)) {
		return ErrProofStale
	}
	return nil
}

// side is the MAC of what the judging side contributed.
func (p Proof) side(key []byte) []byte {
	return mac(key, "watchword/proof/side/1", []byte(p.Tenant), []byte(p.Policy), []byte(p.Version), []byte(p.State))[:16]
}

// whole is the MAC over the head of the token and what the caller
// contributed. The judging side enters through the head.
func (p Proof) whole(key, head []byte) []byte {
	fields := [][]byte{head, []byte(p.Tenant), {byte(p.Use), byte(p.Purpose)}, p.Text.Reveal(), []byte(p.Context.Login), []byte(p.Context.BirthDate)}
	for _, list := range [][]string{p.Context.Emails, p.Context.Names, p.Context.Phones, p.Context.Words} {
		fields = append(fields, binary.BigEndian.AppendUint64(nil, uint64(len(list))))
		for _, s := range list {
			fields = append(fields, []byte(s))
		}
	}
	return mac(key, "watchword/proof/1", fields...)
}

// mac is HMAC-SHA-256 over fields, each with its length before it, so that no
// two lists of fields run together to the same bytes.
func mac(key []byte, label string, fields ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(label))))
	h.Write([]byte(label))
	for _, f := range fields {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(f))))
		h.Write(f)
	}
	return h.Sum(nil)
}

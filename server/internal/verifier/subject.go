// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
)

// maxSubject is the longest account id, in bytes, before and after it is made
// canonical.
const maxSubject = 512

// Canonical gives the one spelling under which an account id is counted and
// kept: trimmed, NFKC, and with fold also without regard to letter case
// (Unicode simple case folding). All spellings of a name share one credential
// and one attempt budget. It returns ErrBadSubject for what is empty, longer
// than 512 bytes, not UTF-8, or holds a control character.
func Canonical(subject string, fold bool) (string, error) {
	if len(subject) > maxSubject || !utf8.ValidString(subject) || strings.ContainsFunc(subject, unicode.IsControl) {
		return "", ErrBadSubject
	}
	if plantNamesApart {
		return subject, nil
	}
	// Folding can give a text that NFKC would compose further, and the other
	// way round; two rounds reach the fixed point for every assigned code point.
	s := subject
	for range 3 {
		before := s
		s = strings.TrimSpace(norm.NFKC.String(s))
		if fold {
			s = strings.Map(simpleFold, s)
		}
		if s == before {
			break
		}
	}
	if s == "" || len(s) > maxSubject {
		return "", ErrBadSubject
	}
	return s, nil
}

// simpleFold gives the least code point of r's case orbit.
func simpleFold(r rune) rune {
	if r < utf8.RuneSelf {
		return unicode.ToLower(r) // the upper case is the least of its orbit
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return unicode.ToLower(least)
}

// Keys are the secrets from which names and guesses get their pseudonyms, and
// under which proofs of checks are signed. Each is 32 bytes.
type Keys struct {
	Subject MAC // of account ids
	Guess   MAC // of guesses, before the throttle cuts them to 16 bits
	Proof   *policy.ProofKey
}

// MAC makes MACs under one secret.
type MAC interface {
	// Sum gives the MAC of the parts, one behind the other.
	Sum(parts ...[]byte) [sha256.Size]byte
}

// pseudonym is HMAC-SHA-256 of the tenant and the canonical subject, cut to
// 128 bits.
func (k Keys) pseudonym(tenant, canonical string) Pseudonym {
	sum := keyed(k.Subject, tenant, []byte(canonical))
	return Pseudonym(sum[:len(Pseudonym{})])
}

// guess is the tag by which the throttle knows a repeated guess. It does not
// depend on the subject: one password tried on many is what a spray looks
// like. The throttle keeps 16 bits of it, keyed by the subject too.
func (k Keys) guess(tenant string, text password.Text) []byte {
	sum := keyed(k.Guess, tenant, text.Reveal())
	return sum[:]
}

// keyed is the MAC of a tenant's name and a text, each behind its length.
func keyed(k MAC, tenant string, text []byte) [sha256.Size]byte {
	message := make([]byte, 0, 8+len(tenant)+8+len(text))
	defer clear(message[:cap(message)])
	message = append(binary.BigEndian.AppendUint64(message, uint64(len(tenant))), tenant...)
	message = append(binary.BigEndian.AppendUint64(message, uint64(len(text))), text...)
	return k.Sum(message)
}

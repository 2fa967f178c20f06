// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/watchword-project/watchword/server/internal/policy"
)

// proofLife is how long the proof of a check may be used: the time somebody
// takes to finish a form.
const proofLife = 15 * time.Minute

// prove makes the proof that a password was accepted: the second at which it
// ends, in eight bytes, and a MAC over that, the password and everything
// that a later Set could differ in.
func (v *Verifier) prove(q CheckRequest, d policy.Verdict) string {
	var end [8]byte
	binary.BigEndian.PutUint64(end[:], uint64(v.Now().Add(proofLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(end[:], v.proof(end[:], q, d)...))
}

func (v *Verifier) proof(end []byte, q CheckRequest, d policy.Verdict) []byte {
	return mac(v.Keys.Proof, end, []byte(q.Tenant), []byte(d.Policy), []byte(d.Version), []byte{byte(q.Use)}, q.Password.Reveal())
}

// proven tells whether a proof belongs to this password, this use and the very
// policy version that judges now, and has not ended.
func (v *Verifier) proven(q CheckRequest, proof string, d policy.Verdict) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(proof)
	if err != nil || len(b) <= 8 {
		return false
	}
	end := time.Unix(int64(binary.BigEndian.Uint64(b[:8])), 0)
	return v.Now().Before(end) && hmac.Equal(b[8:], v.proof(b[:8], q, d))
}

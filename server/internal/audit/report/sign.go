// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package report

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
)

// A report carries its signature as one word,
//
//	watchword-signature:v1:<public key>:<Ed25519 signature>
//
// both in unpadded URL base64. What is signed (RFC 8032) is the file with the
// two of them left out: the word is then "watchword-signature:v1::".
const (
	mark  = "watchword-signature:v1:"
	blank = mark + ":"
)

var b64 = base64.RawURLEncoding.Strict()

// Signer signs reports.
type Signer struct{ key ed25519.PrivateKey }

// NewSigner makes a Signer from a seed of 32 secret bytes.
func NewSigner(seed []byte) *Signer { return &Signer{ed25519.NewKeyFromSeed(seed)} }

// Public is the key that checks what the Signer signs, in unpadded URL base64.
func (s *Signer) Public() string { return b64.EncodeToString(s.key.Public().(ed25519.PublicKey)) }

var errMark = errors.New("report: the place of the signature is not there exactly once")

func (s *Signer) sign(content []byte) ([]byte, error) {
	if bytes.Count(content, []byte(mark)) != 1 || bytes.Count(content, []byte(blank)) != 1 {
		return nil, errMark
	}
	sig := ed25519.Sign(s.key, content)
	return bytes.Replace(content, []byte(blank), []byte(mark+s.Public()+":"+b64.EncodeToString(sig)), 1), nil
}

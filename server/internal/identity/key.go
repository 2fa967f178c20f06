// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The text of a key is ww_<id>_<secret>, both in lower-case base32 without
// padding: 80 bits of id, 256 bits of secret.
const (
	keyPrefix    = "ww_"
	idBytes      = 10
	secretBytes  = 32
	idLength     = 16
	secretLength = 52
)

const keyDigits = "abcdefghijklmnopqrstuvwxyz234567"

var keyText = base32.NewEncoding(keyDigits).WithPadding(base32.NoPadding)

// Key is an API key as it is stored. Of the secret only its SHA-256 is kept,
// which suffices for 256 random bits.
type Key struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Tenant   string     `json:"tenant"`
	Preset   string     `json:"preset,omitempty"`
	Scopes   []string   `json:"scopes"`
	Networks []string   `json:"networks,omitempty"`
	Digest   [32]byte   `json:"digest"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	Revoked  *time.Time `json:"revoked,omitempty"`
}

// NewKey makes a key with a fresh id and secret. The secret's text is returned
// beside the key and is nowhere in it.
func NewKey(now time.Time) (Key, string) {
	var b [idBytes + secretBytes]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	id := keyText.EncodeToString(b[:idBytes])
	secret := keyText.EncodeToString(b[idBytes:])
	return Key{ID: id, Created: now.UTC().Truncate(time.Second), Digest: sha256.Sum256([]byte(secret))},
		keyPrefix + id + "_" + secret
}

// LooksLikeKey tells a key from an access token, which never begins like one:
// it is base64 of a JSON object.
func LooksLikeKey(text string) bool { return strings.HasPrefix(text, keyPrefix) }

// ParseKey splits the text of a key into id and secret. It accepts one
// spelling only.
func ParseKey(text string) (id, secret string, err error) {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	if !ok || len(rest) != idLength+1+secretLength || rest[idLength] != '_' {
		return "", "", ErrDenied
	}
	id, secret = rest[:idLength], rest[idLength+1:]
	// The last digit of a secret holds one bit of it; the other four are zero.
	if strings.Trim(id, keyDigits) != "" || strings.Trim(secret, keyDigits) != "" || !strings.Contains("aq", secret[secretLength-1:]) {
		return "", "", ErrDenied
	}
	return id, secret, nil
}

// Matches compares a secret in constant time.
func (k *Key) Matches(secret string) bool {
	var text [secretLength]byte // kept off the heap: every call comes by here
	d := sha256.Sum256(append(text[:0], secret...))
	return subtle.ConstantTimeCompare(d[:], k.Digest[:]) == 1
}

// Live tells whether the key is neither expired nor revoked at a time.
func (k *Key) Live(now time.Time) bool {
	return k.Revoked == nil && (k.Expires == nil || now.Before(*k.Expires))
}

// caller is the key as the identity it stands for.
func (k *Key) caller() (*Caller, error) {
	c := &Caller{ID: "key:" + k.ID, Tenant: k.Tenant, Preset: k.Preset, Scopes: k.Scopes, Expires: k.Expires}
	nets, err := ParseNetworks(k.Networks)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.ID, err)
	}
	c.Networks = nets
	return c, nil
}

// Loopback is the network list of the owner's key.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"unicode/utf16"
	"unicode/utf8"

	//lint:ignore SA1019 NTLM is defined as MD4 (MS-NLMP 3.3.1); it names list members here and protects nothing.
	"golang.org/x/crypto/md4"
)

// Kind says which hash of a password an index is keyed by.
type Kind uint8

const (
	// SHA1 keys are the SHA-1 (FIPS 180-4) of the password's UTF-8 bytes.
	SHA1 Kind = 1
	// NTLM keys are the MD4 (RFC 1320) of the password in UTF-16LE, as in MS-NLMP 3.3.1.
	NTLM Kind = 2
)

// ErrKind is returned for a kind that is neither SHA1 nor NTLM, or for two
// indexes whose kinds differ where they must agree.
var ErrKind = errors.New("wordlists: wrong kind of hash")

// ParseKind reads "sha1" or "ntlm".
func ParseKind(name string) (Kind, error) {
	switch name {
	case "sha1":
		return SHA1, nil
	case "ntlm":
		return NTLM, nil
	}
	return 0, ErrKind
}

// String gives the name ParseKind reads, or "unknown".
func (k Kind) String() string {
	switch k {
	case SHA1:
		return "sha1"
	case NTLM:
		return "ntlm"
	}
	return "unknown"
}

// Size is the number of hash bytes: 20 for SHA1, 16 for NTLM, 0 otherwise.
func (k Kind) Size() int {
	switch k {
	case SHA1:
		return 20
	case NTLM:
		return 16
	}
	return 0
}

// Key is the hash of one password. An NTLM hash fills the first 16 bytes and
// leaves the rest zero.
type Key [20]byte

// head is the part of a key that addresses it inside the index.
func (k *Key) head() uint64 { return binary.BigEndian.Uint64(k[:8]) }

func putHead(k *Key, head uint64) { binary.BigEndian.PutUint64(k[:8], head) }

// Key hashes a password. For NTLM, bytes that are not UTF-8 count as U+FFFD,
// the way a Windows client would have replaced them before hashing.
// It panics on a kind that is neither SHA1 nor NTLM.
func (k Kind) Key(password []byte) Key {
	var key Key
	switch k {
	case SHA1:
		key = sha1.Sum(password)
	case NTLM:
		wide := make([]byte, 0, 2*len(password))
		for rest := password; len(rest) > 0; {
			r, size := utf8.DecodeRune(rest)
			rest = rest[size:]
			if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
				wide = binary.LittleEndian.AppendUint16(wide, uint16(hi))
				r = lo
			}
			wide = binary.LittleEndian.AppendUint16(wide, uint16(r))
		}
		h := md4.New()
		h.Write(wide)
		h.Sum(key[:0])
		clear(wide)
	default:
		panic("wordlists: Key of an unknown kind")
	}
	return key
}

// ParseKey reads a hash in hexadecimal, upper or lower case, of exactly the
// kind's length.
func (k Kind) ParseKey(text string) (Key, error) {
	var key Key
	if k.Size() == 0 {
		return key, ErrKind
	}
	if len(text) != 2*k.Size() {
		return key, errors.New("wordlists: hash has the wrong length")
	}
	if _, err := hex.Decode(key[:], []byte(text)); err != nil {
		return Key{}, errors.New("wordlists: hash is not hexadecimal")
	}
	return key, nil
}

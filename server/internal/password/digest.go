// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/emmansun/gmsm/sm3"
	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM is MD4 and nothing else
)

// hashName names a hash function used bare. The order is that of the tables
// below.
type hashName uint8

const (
	hashMD5 hashName = iota
	hashSHA1
	hashSHA256
	hashSHA512
	hashSM3
	hashes // their number
)

var (
	hashSchemes = [hashes]Scheme{DigestMD5, DigestSHA1, DigestSHA256, DigestSHA512, DigestSM3}
	hashSizes   = [hashes]int{md5.Size, sha1.Size, sha256.Size, sha512.Size, sm3.Size}
	hashLDAP    = [hashes]string{"MD5", "SHA", "SHA256", "SHA512", ""}
	hashNew     = [hashes]func() hash.Hash{md5.New, sha1.New, sha256.New, sha512.New, sm3.New}
)

// digestForm says what is hashed.
type digestForm uint8

const (
	digestPlain     digestForm = iota // H(password)
	digestSaltFirst                   // H(salt ‖ password)
	digestSaltLast                    // H(password ‖ salt)
	digestBoth                        // H(salt ‖ password ‖ salt)
	digestHMAC                        // HMAC(key salt, password)
)

var digestForms = map[string]digestForm{
	"plain": digestPlain, "salt-password": digestSaltFirst, "password-salt": digestSaltLast,
	"salt-password-salt": digestBoth, "hmac": digestHMAC,
}

// bareDigest is one run of a hash over the password.
type bareDigest struct {
	hash      hashName
	form      digestForm
	ldap      bool
	salt, tag []byte
}

// readLDAP reads, after "{SSHA}" or the like (RFC 2307 and its usual
// extensions), base64 of the digest, with the salt behind it if salted.
func readLDAP(n hashName, salted bool) reader {
	return func(rest string) (stored, error) {
		size := hashSizes[n]
		h := &bareDigest{hash: n, ldap: true, form: digestPlain}
		least, most := size, size
		if salted {
			h.form, least, most = digestSaltLast, size+1, size+64
		}
		b, err := decode(b64pad, rest, least, most, "digest")
		if err != nil {
			return nil, err
		}
		h.tag, h.salt = b[:size:size], b[size:]
		return h, nil
	}
}

// readDigest reads, after "$ww-digest$":
//
//	h=<md5|sha1|sha256|sha512|sm3>,f=<form>$<salt>$<tag>
//
// where form is "plain" (and the salt empty), "salt-password",
// "password-salt", "salt-password-salt", or "hmac" with the salt as key.
func readDigest(rest string) (stored, error) {
	part, err := fields(rest, '$', 3)
	if err != nil {
		return nil, err
	}
	name, form, ok := strings.Cut(part[0], ",f=")
	name, ok2 := strings.CutPrefix(name, "h=")
	if !ok || !ok2 {
		return nil, bad("parameters are not h, f")
	}
	h := &bareDigest{hash: hashes}
	for n, s := range hashSchemes {
		if string(s) == name {
			h.hash = hashName(n)
		}
	}
	f, known := digestForms[form]
	if h.hash == hashes || !known {
		return nil, bad("digest names no known hash or form")
	}
	h.form = f
	if f == digestPlain {
		if part[1] != "" {
			return nil, bad("a plain digest has no salt")
		}
	} else if h.salt, err = decode(b64, part[1], 1, 128, "salt"); err != nil {
		return nil, err
	}
	size := hashSizes[h.hash]
	if h.tag, err = decode(b64, part[2], size, size, "tag"); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *bareDigest) info() Info {
	return Info{Scheme: hashSchemes[h.hash], Rounds: 1, Salt: len(h.salt), Tag: len(h.tag)}
}

func (h *bareDigest) load(int64) (load, error)    { return load{units: 1}, nil }
func (h *bareDigest) match(w *slot) (bool, error) { return matchPlain(h, w.password) }
func (h *bareDigest) want() []byte                { return h.tag }
func (h *bareDigest) longest() int                { return MaxBytes }

func (h *bareDigest) derive(password []byte) ([]byte, error) {
	f := hashNew[h.hash]()
	if h.form == digestHMAC {
		f = hmac.New(hashNew[h.hash], h.salt)
	}
	if h.form == digestSaltFirst || h.form == digestBoth {
		f.Write(h.salt)
	}
	f.Write(password)
	if h.form == digestSaltLast || h.form == digestBoth {
		f.Write(h.salt)
	}
	return f.Sum(nil), nil
}

func (h *bareDigest) String() string {
	if h.ldap {
		name := hashLDAP[h.hash]
		if h.form == digestSaltLast {
			name = "S" + name
		}
		return "{" + name + "}" + b64pad.EncodeToString(append(h.tag[:len(h.tag):len(h.tag)], h.salt...))
	}
	for name, f := range digestForms {
		if f == h.form {
			return "$ww-digest$h=" + string(hashSchemes[h.hash]) + ",f=" + name + "$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.tag)
		}
	}
	panic("password: digest of a form that readDigest does not make")
}

// ntlmHash is MD4 over the password in UTF-16, little-endian.
type ntlmHash struct{ tag []byte }

func readNTLM(rest string) (stored, error) {
	tag, err := decodeHex(rest, md4.Size, md4.Size, "tag")
	if err != nil {
		return nil, err
	}
	return &ntlmHash{tag: tag}, nil
}

func (h *ntlmHash) info() Info                  { return Info{Scheme: NTLM, Rounds: 1, Tag: len(h.tag)} }
func (h *ntlmHash) load(int64) (load, error)    { return load{units: 1}, nil }
func (h *ntlmHash) match(w *slot) (bool, error) { return matchPlain(h, w.password) }
func (h *ntlmHash) want() []byte                { return h.tag }
func (h *ntlmHash) longest() int                { return MaxBytes }
func (h *ntlmHash) String() string              { return "$3$$" + hex.EncodeToString(h.tag) }

func (h *ntlmHash) derive(password []byte) ([]byte, error) {
	wide := make([]byte, 0, 2*len(password))
	defer func() { clear(wide[:cap(wide)]) }()
	for len(password) > 0 {
		r, n := utf8.DecodeRune(password)
		password = password[n:]
		if a, b := utf16.EncodeRune(r); a != utf8.RuneError {
			wide = binary.LittleEndian.AppendUint16(wide, uint16(a))
			r = b
		}
		wide = binary.LittleEndian.AppendUint16(wide, uint16(r))
	}
	f := md4.New()
	f.Write(wide)
	return f.Sum(nil), nil
}

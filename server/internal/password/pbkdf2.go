// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"strconv"
	"strings"

	"github.com/emmansun/gmsm/sm3"
)

// prf is the hash under PBKDF2's HMAC.
type prf uint8

const (
	prfSHA1 prf = iota
	prfSHA256
	prfSHA512
	prfSM3
)

func (p prf) scheme() Scheme {
	return [...]Scheme{PBKDF2SHA1, PBKDF2SHA256, PBKDF2SHA512, PBKDF2SM3}[p]
}

func (p prf) size() int {
	return [...]int{sha1.Size, sha256.Size, sha512.Size, sm3.Size}[p]
}

// name is the spelling in Django's and Werkzeug's strings.
func (p prf) name() string { return [...]string{"sha1", "sha256", "sha512", "sm3"}[p] }

// pbkdf2Form is the spelling of a PBKDF2 hash.
type pbkdf2Form uint8

const (
	pbkdf2PHC      pbkdf2Form = iota // $pbkdf2-sha256$i=600000,l=32$salt$tag
	pbkdf2Passlib                    // $pbkdf2-sha256$600000$salt$tag
	pbkdf2Django                     // pbkdf2_sha256$600000$salt$tag, salt as text
	pbkdf2Werkzeug                   // pbkdf2:sha256:600000$salt$tag, salt as text, tag in hexadecimal
	pbkdf2ASPNET2                    // base64 of 00 ‖ salt ‖ tag
	pbkdf2ASPNET3                    // base64 of 01 ‖ PRF ‖ rounds ‖ salt length ‖ salt ‖ tag
)

type pbkdf2Hash struct {
	form      pbkdf2Form
	prf       prf
	rounds    uint32
	salt, tag []byte
}

const maxPBKDF2Tag = 64

// readPBKDF2 reads, after "$pbkdf2-…$", the PHC form with
// "i=<rounds>,l=<bytes>" or passlib's with "<rounds>" alone.
func readPBKDF2(p prf) reader {
	return func(rest string) (stored, error) {
		part, err := fields(rest, '$', 3)
		if err != nil {
			return nil, err
		}
		h := &pbkdf2Hash{form: pbkdf2Passlib, prf: p}
		// passlib always writes the whole output of the hash.
		encoding, length := ab64, uint64(p.size())
		if strings.HasPrefix(part[0], "i=") {
			h.form, encoding = pbkdf2PHC, b64
			i, l, _ := strings.Cut(part[0], ",")
			if length, err = parameter(l, "l", maxPBKDF2Tag); err != nil {
				return nil, err
			}
			part[0] = i[len("i="):]
		}
		if err := h.setRounds(part[0]); err != nil {
			return nil, err
		}
		if h.salt, err = decode(encoding, part[1], 1, 64, "salt"); err != nil {
			return nil, err
		}
		if length < 16 {
			return nil, bad("tag is shorter than 16 bytes")
		}
		if h.tag, err = decode(encoding, part[2], int(length), int(length), "tag"); err != nil {
			return nil, err
		}
		return h, nil
	}
}

func readPBKDF2Django(p prf) reader { return readPBKDF2Text(pbkdf2Django, p) }

func readPBKDF2Werkzeug(p prf) reader { return readPBKDF2Text(pbkdf2Werkzeug, p) }

// readPBKDF2Text reads "<rounds>$<salt as text>$<tag>".
func readPBKDF2Text(form pbkdf2Form, p prf) reader {
	return func(rest string) (stored, error) {
		part, err := fields(rest, '$', 3)
		if err != nil {
			return nil, err
		}
		h := &pbkdf2Hash{form: form, prf: p}
		if err := h.setRounds(part[0]); err != nil {
			return nil, err
		}
		if h.salt, err = saltText(part[1]); err != nil {
			return nil, err
		}
		// Both programs always write the whole output of the hash.
		if form == pbkdf2Django {
			h.tag, err = decode(b64pad, part[2], p.size(), p.size(), "tag")
		} else {
			h.tag, err = decodeHex(part[2], p.size(), p.size(), "tag")
		}
		if err != nil {
			return nil, err
		}
		return h, nil
	}
}

func (h *pbkdf2Hash) setRounds(s string) error {
	n, err := positive(s, "number of rounds", math.MaxUint32)
	h.rounds = uint32(n)
	return err
}

// readASPNET reads the two layouts of ASP.NET Core Identity's PasswordHasher,
// all numbers big-endian:
//
//	v2: 00 │ salt 16 │ tag 32                                      SHA-1, 1,000 rounds
//	v3: 01 │ PRF u32 │ rounds u32 │ salt length u32 │ salt │ tag   PRF 0 SHA-1, 1 SHA-256, 2 SHA-512
func readASPNET(s string) (stored, error) {
	b, err := decode(b64pad, s, 1, 256, "ASP.NET hash")
	if err != nil {
		return nil, err
	}
	if b[0] == 0 {
		if len(b) != 1+16+32 {
			return nil, bad("ASP.NET v2 hash is not of 49 bytes")
		}
		return &pbkdf2Hash{form: pbkdf2ASPNET2, prf: prfSHA1, rounds: 1000, salt: b[1:17], tag: b[17:]}, nil
	}
	if b[0] != 1 || len(b) < 13 {
		return nil, bad("ASP.NET hash is of no known version")
	}
	which, rounds := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])
	salt, rest := binary.BigEndian.Uint32(b[9:]), b[13:]
	switch {
	case which > 2:
		return nil, bad("ASP.NET hash names no known PRF")
	case rounds == 0:
		return nil, bad("number of rounds is 0")
	case salt < 16 || uint64(salt)+16 > uint64(len(rest)):
		return nil, bad("ASP.NET salt or tag is shorter than 16 bytes")
	case uint64(salt)+maxPBKDF2Tag < uint64(len(rest)):
		return nil, bad("ASP.NET tag is longer than %d bytes", maxPBKDF2Tag)
	}
	return &pbkdf2Hash{
		form: pbkdf2ASPNET3, prf: [...]prf{prfSHA1, prfSHA256, prfSHA512}[which], rounds: rounds,
		salt: rest[:salt], tag: rest[salt:],
	}, nil
}

func (h *pbkdf2Hash) info() Info {
	return Info{Scheme: h.prf.scheme(), Rounds: uint64(h.rounds), Salt: len(h.salt), Tag: len(h.tag)}
}

// load counts the rounds once for each block of output (RFC 8018 §5.2).
func (h *pbkdf2Hash) load(int64) (load, error) {
	blocks := (len(h.tag) + h.prf.size() - 1) / h.prf.size()
	n := uint64(h.rounds) * uint64(blocks)
	return roundsLoad(h.prf.scheme(), n)
}

// roundsLoad is the load of n rounds that need no memory.
func roundsLoad(s Scheme, n uint64) (load, error) {
	if n > maxRounds {
		return load{}, &CostError{Scheme: s, Name: "rounds", Limit: maxRounds, Unit: "rounds"}
	}
	return load{units: float64(n)}, nil
}

func (h *pbkdf2Hash) match(w *slot) (bool, error) { return matchPlain(h, w.password) }
func (h *pbkdf2Hash) want() []byte                { return h.tag }
func (h *pbkdf2Hash) longest() int                { return MaxBytes }

func (h *pbkdf2Hash) derive(password []byte) ([]byte, error) {
	return h.key(password, len(h.tag))
}

func (h *pbkdf2Hash) key(password []byte, n int) ([]byte, error) {
	var f func() hash.Hash
	switch h.prf {
	case prfSHA1:
		f = sha1.New
	case prfSHA256:
		f = sha256.New
	case prfSHA512:
		f = sha512.New
	default:
		f = sm3.New
	}
	return pbkdf2.Key(f, string(password), h.salt, int(h.rounds), n)
}

func (h *pbkdf2Hash) String() string {
	rounds := strconv.FormatUint(uint64(h.rounds), 10)
	phc := func(middle string, e *base64.Encoding) string {
		name := string(h.prf.scheme())
		if h.form == pbkdf2Passlib && h.prf == prfSHA1 {
			name = "pbkdf2"
		}
		return "$" + name + "$" + middle + "$" + e.EncodeToString(h.salt) + "$" + e.EncodeToString(h.tag)
	}
	switch h.form {
	case pbkdf2PHC:
		return phc("i="+rounds+",l="+strconv.Itoa(len(h.tag)), b64)
	case pbkdf2Passlib:
		return phc(rounds, ab64)
	case pbkdf2Django:
		return "pbkdf2_" + h.prf.name() + "$" + rounds + "$" + string(h.salt) + "$" + b64pad.EncodeToString(h.tag)
	case pbkdf2Werkzeug:
		return "pbkdf2:" + h.prf.name() + ":" + rounds + "$" + string(h.salt) + "$" + hex.EncodeToString(h.tag)
	case pbkdf2ASPNET2:
		return b64pad.EncodeToString(append(append([]byte{0}, h.salt...), h.tag...))
	default:
		b := []byte{1}
		b = binary.BigEndian.AppendUint32(b, uint32(h.prf))
		b = binary.BigEndian.AppendUint32(b, h.rounds)
		b = binary.BigEndian.AppendUint32(b, uint32(len(h.salt)))
		return b64pad.EncodeToString(append(append(b, h.salt...), h.tag...))
	}
}

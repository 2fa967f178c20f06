// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/go-crypt/x/crypt"
	"golang.org/x/crypto/bcrypt"
)

const (
	// maxCryptPassword is the longest password of the crypt family: libxcrypt
	// takes no more (CRYPT_MAX_PASSPHRASE_SIZE, with its NUL), and SHA-crypt
	// hashes the whole password anew in each round.
	maxCryptPassword = 511
	// maxPHPassword is where Drupal 7 (SA-CORE-2014-006) stops, for the same
	// reason.
	maxPHPassword = 512
	// maxBcryptPassword is all that bcrypt looks at.
	maxBcryptPassword = 72
)

// bcryptHash is bcrypt, or with prehash Django's bcrypt over the hexadecimal
// SHA-256 of the password.
type bcryptHash struct {
	minor   byte
	prehash bool
	cost    uint8
	rest    string // 22 characters of salt and 31 of tag
}

// readBcrypt reads, after "$2b$", two digits of cost, "$", and the salt of 16
// and the tag of 23 bytes in bcrypt's base 64. The prefix $2x$, of a broken
// PHP release, is not known.
func readBcrypt(minor byte, prehash bool) reader {
	return func(rest string) (stored, error) {
		cost, rest, ok := strings.Cut(rest, "$")
		if !ok || len(cost) != 2 || len(rest) != 22+31 {
			return nil, bad("bcrypt hash is not of 60 characters")
		}
		n, ok := decimal(strings.TrimPrefix(cost, "0"), 31)
		if !ok || n < 4 {
			return nil, bad("bcrypt cost is not from 04 to 31")
		}
		if _, err := decode(bcrypt64, rest[:22], 16, 16, "salt"); err != nil {
			return nil, err
		}
		if _, err := decode(bcrypt64, rest[22:], 23, 23, "tag"); err != nil {
			return nil, err
		}
		return &bcryptHash{minor: minor, prehash: prehash, cost: uint8(n), rest: rest}, nil
	}
}

func (h *bcryptHash) info() Info {
	i := Info{Scheme: Bcrypt, Rounds: 1 << h.cost, Salt: 16, Tag: 23}
	if h.prehash {
		i.Scheme = BcryptSHA256
	}
	return i
}

func (h *bcryptHash) load(int64) (load, error) {
	if h.cost > maxBcryptCost {
		return load{}, &CostError{Scheme: h.info().Scheme, Name: "cost", Limit: maxBcryptCost, Unit: "(log2 of rounds)"}
	}
	return load{units: float64(uint64(1) << h.cost)}, nil
}

// match refuses a password over 72 bytes after the work for its first 72:
// bcrypt would take it for any other with the same beginning, and re-hashing
// it would change the password.
func (h *bcryptHash) match(w *slot) (bool, error) {
	password := w.password
	if h.prehash {
		sum := sha256.Sum256(password)
		password = hex.AppendEncode(nil, sum[:])
	}
	n := min(len(password), maxBcryptPassword)
	err := bcrypt.CompareHashAndPassword([]byte(h.bare()), password[:n])
	switch {
	case err == nil:
		return n == len(password) || plantBcryptCuts, nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	}
	return false, fmt.Errorf("comparing a bcrypt hash: %w", err)
}

func (h *bcryptHash) bare() string {
	return fmt.Sprintf("$2%c$%02d$%s", h.minor, h.cost, h.rest)
}

func (h *bcryptHash) String() string {
	if h.prehash {
		return "bcrypt_sha256$" + h.bare()
	}
	return h.bare()
}

// iterated is a salted hash repeated: SHA-crypt (Drepper 2008), md5crypt,
// phpass and Drupal 7.
type iterated struct {
	scheme Scheme
	minor  byte   // phpass: P or H
	rounds uint64 // with the costs spelt as log2: 2^cost
	spelt  bool   // SHA-crypt: "rounds=" is written
	salt   []byte
	tag    []byte
}

// defaultSHARounds is meant where SHA-crypt's string names none.
const defaultSHARounds = 5000

// readSHACrypt reads, after "$5$" or "$6$", "[rounds=<n>$]<salt>$<tag>".
func readSHACrypt(s Scheme) reader {
	return func(rest string) (stored, error) {
		h := &iterated{scheme: s, rounds: defaultSHARounds}
		if r, ok := strings.CutPrefix(rest, "rounds="); ok {
			var n string
			n, rest, _ = strings.Cut(r, "$")
			var ok bool
			// glibc moves other values to these bounds and writes what it used.
			if h.rounds, ok = decimal(n, 999_999_999); !ok || h.rounds < 1000 {
				return nil, bad("number of rounds is not from 1,000 to 999,999,999")
			}
			h.spelt = true
		}
		size := sha256.Size
		if s == SHA512Crypt {
			size = sha512.Size
		}
		return h.readSaltAndTag(rest, 16, size)
	}
}

// readMD5Crypt reads, after "$1$", "<salt>$<tag>".
func readMD5Crypt(rest string) (stored, error) {
	h := &iterated{scheme: MD5Crypt, rounds: 1000}
	return h.readSaltAndTag(rest, 8, md5.Size)
}

func (h *iterated) readSaltAndTag(rest string, salt, tag int) (stored, error) {
	part, err := fields(rest, '$', 2)
	if err != nil {
		return nil, err
	}
	if part[0] == "" || len(part[0]) > salt || strings.ContainsAny(part[0], ":\\") {
		return nil, bad("salt is not of 1 to %d characters", salt)
	}
	h.salt = []byte(part[0])
	if h.tag, err = decodeCrypt64(part[1], tag, "tag"); err != nil {
		return nil, err
	}
	return h, nil
}

// readPHPass reads, after "$P$" or "$H$": a digit of log2 rounds, 8
// characters of salt and the tag.
func readPHPass(minor byte) reader {
	return func(rest string) (stored, error) {
		h := &iterated{scheme: PHPass, minor: minor}
		if err := h.readSetting(rest, 22); err != nil {
			return nil, err
		}
		var err error
		h.tag, err = decodeCrypt64(rest[9:], md5.Size, "tag")
		if err != nil {
			return nil, err
		}
		return h, nil
	}
}

// drupalTag is how much Drupal 7 keeps of the 86 characters of a SHA-512 in
// crypt's base 64: what fits into a column of 55 with the rest.
const drupalTag = 43

// readDrupal reads, after "$S$", the same as readPHPass with a tag that is cut
// in the midst of a byte, and so is kept as text.
func readDrupal(rest string) (stored, error) {
	h := &iterated{scheme: Drupal7}
	if err := h.readSetting(rest, drupalTag); err != nil {
		return nil, err
	}
	for i := 9; i < len(rest); i++ {
		if _, ok := crypt64Digit(rest[i]); !ok {
			return nil, bad("tag has a character outside crypt's base 64")
		}
	}
	h.tag = []byte(rest[9:])
	return h, nil
}

func (h *iterated) readSetting(rest string, tag int) error {
	if len(rest) != 1+8+tag {
		return bad("%s hash is not of %d characters", h.scheme, 3+1+8+tag)
	}
	n, ok := crypt64Digit(rest[0])
	if !ok || n < 7 || n > 30 {
		return bad("%s rounds are not from 2^7 to 2^30", h.scheme)
	}
	h.rounds = 1 << n
	h.salt = []byte(rest[1:9])
	return nil
}

func (h *iterated) info() Info {
	return Info{Scheme: h.scheme, Rounds: h.rounds, Salt: len(h.salt), Tag: len(h.tag)}
}

func (h *iterated) load(int64) (load, error)    { return roundsLoad(h.scheme, h.rounds) }
func (h *iterated) match(w *slot) (bool, error) { return matchPlain(h, w.password) }
func (h *iterated) want() []byte                { return h.tag }

func (h *iterated) longest() int {
	switch h.scheme {
	case PHPass, Drupal7:
		return maxPHPassword
	}
	return maxCryptPassword
}

func (h *iterated) derive(password []byte) ([]byte, error) {
	switch h.scheme {
	case SHA256Crypt:
		return decodeCrypt64(string(crypt.KeySHACrypt(sha256.New, password, h.salt, int(h.rounds))), sha256.Size, "tag")
	case SHA512Crypt:
		return decodeCrypt64(string(crypt.KeySHACrypt(sha512.New, password, h.salt, int(h.rounds))), sha512.Size, "tag")
	case MD5Crypt:
		return decodeCrypt64(string(crypt.KeyMD5Crypt(password, h.salt)), md5.Size, "tag")
	case Drupal7:
		return []byte(encodeCrypt64(repeat(sha512.New(), h.salt, password, h.rounds))[:drupalTag]), nil
	}
	return repeat(md5.New(), h.salt, password, h.rounds), nil
}

// repeat is phpass: H(salt ‖ password), and then n times H(last ‖ password).
func repeat(f hash.Hash, salt, password []byte, n uint64) []byte {
	f.Write(salt)
	f.Write(password)
	sum := f.Sum(nil)
	for range n {
		f.Reset()
		f.Write(sum)
		f.Write(password)
		sum = f.Sum(sum[:0])
	}
	return sum
}

func (h *iterated) String() string {
	logN := func() string {
		n := 0
		for h.rounds>>n > 1 {
			n++
		}
		return crypt64[n : n+1]
	}
	switch h.scheme {
	case PHPass:
		return "$" + string(h.minor) + "$" + logN() + string(h.salt) + encodeCrypt64(h.tag)
	case Drupal7:
		return "$S$" + logN() + string(h.salt) + string(h.tag)
	case MD5Crypt:
		return "$1$" + string(h.salt) + "$" + encodeCrypt64(h.tag)
	}
	s := "$5$"
	if h.scheme == SHA512Crypt {
		s = "$6$"
	}
	if h.spelt {
		s += "rounds=" + strconv.FormatUint(h.rounds, 10) + "$"
	}
	return s + string(h.salt) + "$" + encodeCrypt64(h.tag)
}

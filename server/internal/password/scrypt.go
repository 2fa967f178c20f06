// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/scrypt"
)

// scryptForm is the spelling of a hash of the scrypt family.
type scryptForm uint8

const (
	scryptPHC      scryptForm = iota // $scrypt$ln=15,r=8,p=1$salt$tag
	scryptFirebase                   // $firescrypt$ln=14,r=8,p=1$salt$tag
	scrypt7                          // $7$Nrrrrrpppppsalt$tag in crypt's base 64, salt as text
	scryptWerkzeug                   // scrypt:32768:8:1$salt$tag, salt as text, tag in hexadecimal
	scryptDjango                     // scrypt$16384$salt$8$5$tag, salt as text
	scryptYescrypt                   // $y$jNr$salt$tag in crypt's base 64
)

// FirebaseKeys are what a Firebase project's export calls
// base64_signer_key and base64_salt_separator, decoded.
type FirebaseKeys struct {
	SignerKey     []byte
	SaltSeparator []byte
}

// firebaseKeyBytes is the length of a signer key, and so of a tag.
const firebaseKeyBytes = 64

// scryptHash is scrypt (RFC 7914), Firebase's variant of it, or yescrypt with
// the flags that libxcrypt writes.
type scryptHash struct {
	form      scryptForm
	logN      uint8
	r, p      uint32
	salt, tag []byte

	firebase *FirebaseKeys // set before match, for Firebase's form
}

func (h *scryptHash) scheme() Scheme {
	switch h.form {
	case scryptFirebase:
		return FirebaseScrypt
	case scryptYescrypt:
		return Yescrypt
	}
	return Scrypt
}

// check holds the costs against RFC 7914 §2: they must have a meaning before
// they can be too high.
func (h *scryptHash) check() (stored, error) {
	if h.logN == 0 || h.logN > 40 || h.r == 0 || h.p == 0 || uint64(h.r)*uint64(h.p) >= 1<<30 {
		return nil, bad("scrypt costs have no meaning")
	}
	return h, nil
}

// readScryptPHC reads, after "$scrypt$" or "$firescrypt$",
// "ln=<log2 N>,r=<r>,p=<p>$<salt>$<tag>".
func readScryptPHC(s Scheme) reader {
	return func(rest string) (stored, error) {
		part, err := fields(rest, '$', 3)
		if err != nil {
			return nil, err
		}
		cost, err := fields(part[0], ',', 3)
		if err != nil {
			return nil, err
		}
		h := &scryptHash{form: scryptPHC}
		least, most := 16, 64
		if s == FirebaseScrypt {
			h.form, least, most = scryptFirebase, firebaseKeyBytes, firebaseKeyBytes
		}
		var v [3]uint64
		for i, name := range [...]string{"ln", "r", "p"} {
			if v[i], err = parameter(cost[i], name, 1<<30); err != nil {
				return nil, err
			}
		}
		h.setCosts(v[0], v[1], v[2])
		if h.salt, err = decode(b64, part[1], 1, 64, "salt"); err != nil {
			return nil, err
		}
		if h.tag, err = decode(b64, part[2], least, most, "tag"); err != nil {
			return nil, err
		}
		return h.check()
	}
}

func (h *scryptHash) setCosts(logN, r, p uint64) {
	h.logN, h.r, h.p = uint8(min(logN, 255)), uint32(r), uint32(p)
}

// readScrypt7 reads, after "$7$": one digit of log2 N, five of r and five of
// p, then "<salt>$<tag>". The salt is used as it is written.
func readScrypt7(rest string) (stored, error) {
	part, err := fields(rest, '$', 2)
	if err != nil {
		return nil, err
	}
	if len(part[0]) < 12 {
		return nil, bad("scrypt costs are cut short")
	}
	var v [3]uint64
	at := 0
	for i, digits := range [...]int{1, 5, 5} {
		for k := range digits {
			d, ok := crypt64Digit(part[0][at])
			if !ok {
				return nil, bad("a scrypt cost has a character outside crypt's base 64")
			}
			v[i] |= uint64(d) << (6 * k)
			at++
		}
	}
	h := &scryptHash{form: scrypt7}
	h.setCosts(v[0], v[1], v[2])
	if h.salt, err = saltText(part[0][at:]); err != nil {
		return nil, err
	}
	if h.tag, err = decodeCrypt64(part[1], 32, "tag"); err != nil {
		return nil, err
	}
	return h.check()
}

// readScryptWerkzeug reads, after "scrypt:", "<N>:<r>:<p>$<salt>$<tag>".
func readScryptWerkzeug(rest string) (stored, error) {
	part, err := fields(rest, '$', 3)
	if err != nil {
		return nil, err
	}
	cost, err := fields(part[0], ':', 3)
	if err != nil {
		return nil, err
	}
	h := &scryptHash{form: scryptWerkzeug}
	if err := h.setTextCosts(cost[0], cost[1], cost[2]); err != nil {
		return nil, err
	}
	if h.salt, err = saltText(part[1]); err != nil {
		return nil, err
	}
	if h.tag, err = decodeHex(part[2], 64, 64, "tag"); err != nil {
		return nil, err
	}
	return h.check()
}

// readScryptDjango reads, after "scrypt$", "<N>$<salt>$<r>$<p>$<tag>".
func readScryptDjango(rest string) (stored, error) {
	part, err := fields(rest, '$', 5)
	if err != nil {
		return nil, err
	}
	h := &scryptHash{form: scryptDjango}
	if err := h.setTextCosts(part[0], part[2], part[3]); err != nil {
		return nil, err
	}
	if h.salt, err = saltText(part[1]); err != nil {
		return nil, err
	}
	if h.tag, err = decode(b64pad, part[4], 64, 64, "tag"); err != nil {
		return nil, err
	}
	return h.check()
}

func (h *scryptHash) setTextCosts(n, r, p string) error {
	var v [3]uint64
	for i, s := range [...]string{n, r, p} {
		var err error
		if v[i], err = positive(s, "scrypt "+"Nrp"[i:i+1], 1<<40); err != nil {
			return err
		}
	}
	if v[0]&(v[0]-1) != 0 {
		return bad("scrypt N is not a power of two")
	}
	if v[1] > 1<<30 || v[2] > 1<<30 {
		return bad("scrypt costs have no meaning")
	}
	logN := uint64(0)
	for v[0]>>logN > 1 {
		logN++
	}
	h.setCosts(logN, v[1], v[2])
	return nil
}

// readYescrypt reads, after "$y$", "j<log2 N − 1><r − 1>$<salt>$<tag>": the
// flags, one digit each for N and r, and p of 1, as libxcrypt writes them.
func readYescrypt(rest string) (stored, error) {
	part, err := fields(rest, '$', 3)
	if err != nil {
		return nil, err
	}
	if len(part[0]) != 3 || part[0][0] != 'j' {
		return nil, bad("yescrypt parameters are not those that libxcrypt writes")
	}
	n, ok1 := crypt64Digit(part[0][1])
	r, ok2 := crypt64Digit(part[0][2])
	// Above these bounds the digits begin a longer number.
	if !ok1 || !ok2 || n < 9 || n > 29 || r > 31 {
		return nil, bad("yescrypt parameters are not those that libxcrypt writes")
	}
	h := &scryptHash{form: scryptYescrypt, logN: uint8(n + 1), r: uint32(r + 1), p: 1}
	bytes := len(part[1]) * 6 / 8
	if bytes < 1 || bytes > 64 {
		return nil, bad("salt is not of 1 to 64 bytes")
	}
	if h.salt, err = decodeCrypt64(part[1], bytes, "salt"); err != nil {
		return nil, err
	}
	if h.tag, err = decodeCrypt64(part[2], 32, "tag"); err != nil {
		return nil, err
	}
	return h.check()
}

func (h *scryptHash) info() Info {
	return Info{Scheme: h.scheme(), LogN: h.logN, R: h.r, P: h.p, Salt: len(h.salt), Tag: len(h.tag)}
}

func (h *scryptHash) load(budget int64) (load, error) {
	if h.form == scryptFirebase && h.firebase == nil {
		return load{}, bad("a Firebase hash needs its project's signer key in the configuration")
	}
	// logN is at most 40 and r below 2^30: the shift cannot overflow after the
	// first test.
	if h.logN > 30 || int64(h.r)<<h.logN > budget>>7 {
		return load{}, &CostError{Scheme: h.scheme(), Name: "memory", Limit: budget >> 10, Unit: "KiB"}
	}
	bytes := 128 * int64(h.r) << h.logN
	if h.p > maxParallelism {
		return load{}, &CostError{Scheme: h.scheme(), Name: "p", Limit: maxParallelism, Unit: "lanes"}
	}
	if bytes>>10*int64(h.p) > maxMemoryTime {
		return load{}, &CostError{Scheme: h.scheme(), Name: "memory × p", Limit: maxMemoryTime, Unit: "KiB"}
	}
	return load{bytes: bytes, heap: true, units: float64(bytes) * float64(h.p)}, nil
}

func (h *scryptHash) match(w *slot) (bool, error) { return matchPlain(h, w.password) }
func (h *scryptHash) want() []byte                { return h.tag }

func (h *scryptHash) longest() int {
	if h.form == scrypt7 || h.form == scryptYescrypt {
		return maxCryptPassword
	}
	return MaxBytes
}

func (h *scryptHash) derive(password []byte) ([]byte, error) {
	switch h.form {
	case scryptYescrypt:
		return yescrypt.Key(password, h.salt, 1<<h.logN, int(h.r), int(h.p), len(h.tag))
	case scryptFirebase:
		return h.deriveFirebase(password)
	}
	return scrypt.Key(password, h.salt, 1<<h.logN, int(h.r), int(h.p), len(h.tag))
}

// deriveFirebase encrypts the project's signer key with AES-256-CTR under a
// zero counter and the scrypt output as the key (github.com/firebase/scrypt).
func (h *scryptHash) deriveFirebase(password []byte) ([]byte, error) {
	salt := append(append(make([]byte, 0, len(h.salt)+len(h.firebase.SaltSeparator)), h.salt...), h.firebase.SaltSeparator...)
	key, err := scrypt.Key(password, salt, 1<<h.logN, int(h.r), int(h.p), 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(h.firebase.SignerKey))
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(out, h.firebase.SignerKey)
	return out, nil
}

func (h *scryptHash) String() string {
	switch h.form {
	case scrypt7:
		b := append([]byte("$7$"), crypt64[h.logN])
		for _, v := range [...]uint32{h.r, h.p} {
			for k := range 5 {
				b = append(b, crypt64[v>>(6*k)&63])
			}
		}
		return string(b) + string(h.salt) + "$" + encodeCrypt64(h.tag)
	case scryptWerkzeug:
		return fmt.Sprintf("scrypt:%d:%d:%d$%s$%s", uint64(1)<<h.logN, h.r, h.p, h.salt, hex.EncodeToString(h.tag))
	case scryptDjango:
		return fmt.Sprintf("scrypt$%d$%s$%d$%d$%s", uint64(1)<<h.logN, h.salt, h.r, h.p, b64pad.EncodeToString(h.tag))
	case scryptYescrypt:
		return "$y$j" + crypt64[h.logN-1:h.logN] + crypt64[h.r-1:h.r] + "$" + encodeCrypt64(h.salt) + "$" + encodeCrypt64(h.tag)
	}
	name := "scrypt"
	if h.form == scryptFirebase {
		name = "firescrypt"
	}
	return strings.Join([]string{"", name, "ln=" + strconv.Itoa(int(h.logN)) + fmt.Sprintf(",r=%d,p=%d", h.r, h.p),
		b64.EncodeToString(h.salt), b64.EncodeToString(h.tag)}, "$")
}

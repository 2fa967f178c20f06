// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Scheme names a way to derive a tag from a password.
type Scheme string

// Schemes for new hashes: argon2id, and where a standard forbids it, PBKDF2
// (SP 800-132) over SHA-2 or SM3 (GB/T 32905).
const (
	Argon2id     Scheme = "argon2id"
	PBKDF2SHA256 Scheme = "pbkdf2-sha256"
	PBKDF2SHA512 Scheme = "pbkdf2-sha512"
	PBKDF2SM3    Scheme = "pbkdf2-sm3"
)

// Schemes that are verified and never made.
const (
	Argon2i         Scheme = "argon2i"
	Argon2d         Scheme = "argon2d"
	Bcrypt          Scheme = "bcrypt"
	BcryptSHA256    Scheme = "bcrypt-sha256"
	Scrypt          Scheme = "scrypt"
	FirebaseScrypt  Scheme = "firebase-scrypt"
	Yescrypt        Scheme = "yescrypt"
	PBKDF2SHA1      Scheme = "pbkdf2-sha1"
	SHA256Crypt     Scheme = "sha256-crypt"
	SHA512Crypt     Scheme = "sha512-crypt"
	MD5Crypt        Scheme = "md5-crypt"
	PHPass          Scheme = "phpass"
	Drupal7         Scheme = "drupal7"
	NTLM            Scheme = "ntlm"
	DigestMD5       Scheme = "md5"
	DigestSHA1      Scheme = "sha1"
	DigestSHA256    Scheme = "sha256"
	DigestSHA512    Scheme = "sha512"
	DigestSM3       Scheme = "sm3"
	WrappedArgon2id Scheme = "argon2id-wrap" // argon2id over one of the weak ones
)

// Ceilings for stored hashes, beside the memory budget.
const (
	maxTime        = 20        // argon2 passes
	maxParallelism = 16        // lanes of argon2, p of scrypt
	maxMemoryTime  = 2 << 20   // argon2, KiB·passes
	maxRounds      = 5_000_000 // PBKDF2 and the crypt family
	maxBcryptCost  = 15
)

const (
	// maxEncoded is the longest hash string looked at, in bytes.
	maxEncoded = 1024
	// maxSaltText bounds salts that are written as text.
	maxSaltText = 128
)

// ErrBadHash is returned for a string that is not a hash in a form this
// package knows, or not in that form's canonical spelling. The error that
// wraps it says which part is at fault, and never repeats it.
var ErrBadHash = errors.New("stored hash is malformed")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrBadHash}, args...)...)
}

// CostError is returned for a well-formed hash that would cost more than
// allowed to verify. It comes before any work and before any allocation that
// grows with the cost.
type CostError struct {
	Scheme Scheme
	Name   string // which cost, as "memory"
	Limit  int64
	Unit   string // of Limit, as "KiB"
}

func (e *CostError) Error() string {
	return fmt.Sprintf("stored %s hash is over the limit: %s above %d %s", e.Scheme, e.Name, e.Limit, e.Unit)
}

// Info is what a hash string says about itself, without its secret part.
type Info struct {
	Scheme Scheme
	// Wraps is the weak scheme inside a WrappedArgon2id, else empty.
	Wraps Scheme
	// Params and Version (0x10 or 0x13) are set for the argon2 family.
	Params  Params
	Version uint8
	// Rounds counts the iterations of PBKDF2, of the crypt family and of
	// bcrypt (2^cost); 1 for a plain digest.
	Rounds uint64
	// LogN, R and P are the costs of the scrypt family.
	LogN uint8
	R, P uint32
	// Salt and Tag are lengths in bytes.
	Salt, Tag int
}

// Cost spells the cost, as "m=19456,t=2,p=1", "ln=15,r=8,p=1" or
// "rounds=600000".
func (i Info) Cost() string {
	switch {
	case i.Params != Params{}:
		return i.Params.String()
	case i.LogN > 0:
		return fmt.Sprintf("ln=%d,r=%d,p=%d", i.LogN, i.R, i.P)
	default:
		return fmt.Sprintf("rounds=%d", i.Rounds)
	}
}

// Weak tells that a stolen hash of this kind gives its password away at the
// speed of a bare digest, so that it should be wrapped, not kept.
func (i Info) Weak() bool {
	switch i.Scheme {
	case NTLM, DigestMD5, DigestSHA1, DigestSHA256, DigestSHA512, DigestSM3, MD5Crypt, PHPass:
		return true
	}
	return false
}

// BelowFloor tells whether the hash is weaker than OWASP ASVS 5.0 11.4.2
// (appendix C) allows for keeping.
func (i Info) BelowFloor() bool {
	switch i.Scheme {
	case Argon2id:
		return i.Params.Memory < i.Params.floor()
	case Bcrypt, BcryptSHA256:
		return i.Rounds < 1<<10
	case Scrypt:
		return i.LogN < 17 || i.R < 8
	case PBKDF2SHA256, PBKDF2SM3:
		return i.Rounds < 600_000
	case PBKDF2SHA512:
		return i.Rounds < 210_000
	case WrappedArgon2id:
		return i.Params.Memory < i.Params.floor()
	default:
		return true // not on the list of approved schemes
	}
}

// stored is a parsed hash. Parsing allocates no more than the string's own
// length; only match does work.
type stored interface {
	info() Info
	// load checks the costs against the ceilings, and tells what match takes.
	load(budget int64) (load, error)
	// match tells whether w.password is the hashed one, comparing in constant
	// time, after exactly one run of the KDF.
	match(w *slot) (bool, error)
	// String is the canonical spelling.
	String() string
}

// load is what one run takes.
type load struct {
	bytes int64
	heap  bool    // the bytes are on the Go heap, not in the slot's memory
	units float64 // work, in a unit of the scheme's own
}

// A plain is a stored hash whose derivation needs the password and nothing
// else: every one that is not of the argon2 family.
type plain interface {
	stored
	derive(password []byte) ([]byte, error)
	want() []byte
	// longest is the longest password, in bytes, that the original program
	// takes or looks at; a longer one never matches.
	longest() int
}

// matchPlain refuses too long a password only after deriving from as much of
// it as counts, so that the refusal costs what a wrong password costs.
func matchPlain(p plain, password []byte) (bool, error) {
	n := min(len(password), p.longest())
	tag, err := p.derive(password[:n])
	if err != nil {
		return false, fmt.Errorf("deriving a %s tag: %w", p.info().Scheme, err)
	}
	same := equal(tag, p.want())
	clear(tag)
	return same && n == len(password), nil
}

// equal compares in constant time. Unlike subtle.ConstantTimeCompare it says
// no to two empty tags.
func equal(a, b []byte) bool {
	if plantInvertedCompare {
		return !bytes.Equal(a, b)
	}
	return len(b) > 0 && subtle.ConstantTimeCompare(a, b) == 1
}

// Parse reads a hash string and tells its scheme and cost, without judging
// whether the cost is acceptable. The errors wrap ErrBadHash.
func Parse(encoded string) (Info, error) {
	s, err := parse(encoded)
	if err != nil {
		return Info{}, err
	}
	return s.info(), nil
}

func parse(encoded string) (stored, error) {
	if len(encoded) > maxEncoded {
		return nil, bad("longer than %d bytes", maxEncoded)
	}
	for i := 0; i < len(encoded); i++ {
		if c := encoded[i]; c < 0x21 || c > 0x7e {
			return nil, bad("a byte is not printing ASCII")
		}
	}
	// A wrapped hash holds one of the others: it stays outside the table that
	// it reads.
	if rest, ok := strings.CutPrefix(encoded, wrapPrefix); ok {
		return readWrapped(rest)
	}
	return parseBare(encoded)
}

func parseBare(encoded string) (stored, error) {
	for _, f := range formats {
		if rest, ok := strings.CutPrefix(encoded, f.prefix); ok {
			return f.read(rest)
		}
	}
	// ASP.NET Core Identity writes bare base64, whose first byte is 0 in 49 or 1.
	if strings.HasPrefix(encoded, "AQAAAA") || (len(encoded) == 68 && encoded[0] == 'A') {
		return readASPNET(encoded)
	}
	return nil, bad("scheme is not known")
}

// A reader parses what follows the prefix that names its format.
type reader func(rest string) (stored, error)

// formats are tried in order. The comments name the programs that write them.
var formats = []struct {
	prefix string
	read   reader
}{
	{"$argon2id$", readArgon2(variantID)}, // PHC string format
	{"$argon2i$", readArgon2(variantI)},
	{"$argon2d$", readArgon2(variantD)},
	{"argon2$argon2id$", readArgon2(variantID)}, // Django
	{"argon2$argon2i$", readArgon2(variantI)},
	{"$2a$", readBcrypt('a', false)},        // crypt_blowfish, OpenBSD
	{"$2b$", readBcrypt('b', false)},        //
	{"$2y$", readBcrypt('y', false)},        // PHP
	{"bcrypt$$2b$", readBcrypt('b', false)}, // Django
	{"bcrypt_sha256$$2b$", readBcrypt('b', true)},
	{"$scrypt$", readScryptPHC(Scrypt)},             // passlib, PHC
	{"$firescrypt$", readScryptPHC(FirebaseScrypt)}, // Firebase Authentication export
	{"$7$", readScrypt7},                            // escrypt, libxcrypt, libsodium
	{"scrypt:", readScryptWerkzeug},                 //
	{"scrypt$", readScryptDjango},                   //
	{"$y$", readYescrypt},                           // libxcrypt
	{"$pbkdf2$", readPBKDF2(prfSHA1)},               // passlib
	{"$pbkdf2-sha1$", readPBKDF2(prfSHA1)},          // PHC
	{"$pbkdf2-sha256$", readPBKDF2(prfSHA256)},      // passlib, PHC, Hasher.Hash
	{"$pbkdf2-sha512$", readPBKDF2(prfSHA512)},
	{"$pbkdf2-sm3$", readPBKDF2(prfSM3)},
	{"pbkdf2_sha1$", readPBKDF2Django(prfSHA1)},
	{"pbkdf2_sha256$", readPBKDF2Django(prfSHA256)},
	{"pbkdf2:sha1:", readPBKDF2Werkzeug(prfSHA1)},
	{"pbkdf2:sha256:", readPBKDF2Werkzeug(prfSHA256)},
	{"pbkdf2:sha512:", readPBKDF2Werkzeug(prfSHA512)},
	{"$5$", readSHACrypt(SHA256Crypt)}, // glibc, libxcrypt
	{"$6$", readSHACrypt(SHA512Crypt)},
	{"$1$", readMD5Crypt},
	{"$P$", readPHPass('P')}, // phpass, WordPress
	{"$H$", readPHPass('H')}, // phpBB
	{"$S$", readDrupal},
	{"$3$$", readNTLM},                  // FreeBSD, libxcrypt
	{"$NT$", readNTLM},                  // John the Ripper
	{"{MD5}", readLDAP(hashMD5, false)}, // OpenLDAP, Dovecot
	{"{SMD5}", readLDAP(hashMD5, true)},
	{"{SHA}", readLDAP(hashSHA1, false)},
	{"{SSHA}", readLDAP(hashSHA1, true)},
	{"{SHA256}", readLDAP(hashSHA256, false)},
	{"{SSHA256}", readLDAP(hashSHA256, true)},
	{"{SHA512}", readLDAP(hashSHA512, false)},
	{"{SSHA512}", readLDAP(hashSHA512, true)},
	{"$ww-digest$", readDigest}, // our spelling for all other digests
}

// fields splits s at each separator into exactly n parts, 5 at most.
func fields(s string, sep byte, n int) (part [5]string, err error) {
	for i := range n {
		at := strings.IndexByte(s, sep)
		if (at < 0) != (i == n-1) {
			return part, bad("number of fields")
		}
		if at < 0 {
			at = len(s)
		}
		part[i] = s[:at]
		s = s[min(at+1, len(s)):]
	}
	return part, nil
}

// decimal reads a number without sign, leading zero or other spelling.
func decimal(s string, most uint64) (uint64, bool) {
	if s == "" || len(s) > 20 || (s[0] == '0' && len(s) > 1) {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= most
}

// positive reads a decimal from 1 to most, which name names.
func positive(s, name string, most uint64) (uint64, error) {
	n, ok := decimal(s, most)
	if !ok || n == 0 {
		return 0, bad("%s is not a canonical positive number", name)
	}
	return n, nil
}

// parameter reads "name=number".
func parameter(s, name string, most uint64) (uint64, error) {
	s, ok := strings.CutPrefix(s, name)
	if !ok || !strings.HasPrefix(s, "=") {
		return 0, bad("parameter %s is missing or not in its place", name)
	}
	return positive(s[1:], name, most)
}

// saltText checks a salt that is used as it is written.
func saltText(s string) ([]byte, error) {
	if s == "" || len(s) > maxSaltText {
		return nil, bad("salt is not of 1 to %d characters", maxSaltText)
	}
	return []byte(s), nil
}

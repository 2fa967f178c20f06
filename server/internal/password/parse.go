// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Scheme names a way to derive a tag from a password.
type Scheme string

// Schemes for new hashes.
const (
	Argon2id Scheme = "argon2id"
)

// Schemes that are verified but never made.
const (
	Argon2i Scheme = "argon2i"
	Argon2d Scheme = "argon2d"
)

// maxEncoded is the longest hash string looked at, in bytes.
const maxEncoded = 1024

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
	Name   string // which cost: "memory", "time", "parallelism", "memory × time", "rounds", "cost"
	Limit  int64
	Unit   string // "KiB", "passes", "lanes", "KiB·passes", "rounds", "log2"
}

func (e *CostError) Error() string {
	return fmt.Sprintf("stored %s hash is over the limit: %s above %d %s", e.Scheme, e.Name, e.Limit, e.Unit)
}

// Info is what a hash string says about itself, without its secret part.
type Info struct {
	Scheme Scheme
	// Params is set for the argon2 family, and for a wrapped digest.
	Params Params
	// Version is the argon2 version, 0x10 or 0x13.
	Version uint8
	// Salt and Tag are lengths in bytes.
	Salt, Tag int
}

// Cost spells the cost parameters, as "m=19456,t=2,p=1".
func (i Info) Cost() string {
	return i.Params.String()
}

// A digest is a parsed hash. Parsing allocates no more than the string's own
// length; match does the work.
type digest interface {
	info() Info
	// cost checks the parameters against the ceilings for stored hashes, and
	// gives the memory and the units of work that match takes.
	cost(budget int64) (bytes int64, units float64, err error)
	// match tells whether w.password is the hashed one, comparing in constant
	// time, after exactly one run of the KDF.
	match(w *work) bool
	// String is the canonical spelling.
	String() string
}

// Parse reads a hash string and tells its scheme and cost, without judging
// whether the cost is acceptable. The errors wrap ErrBadHash.
func Parse(encoded string) (Info, error) {
	d, err := parse(encoded)
	if err != nil {
		return Info{}, err
	}
	return d.info(), nil
}

func parse(encoded string) (digest, error) {
	if len(encoded) > maxEncoded {
		return nil, bad("longer than %d bytes", maxEncoded)
	}
	for i := 0; i < len(encoded); i++ {
		if c := encoded[i]; c < 0x21 || c > 0x7e {
			return nil, bad("a byte is not printing ASCII")
		}
	}
	for _, f := range formats {
		if rest, ok := strings.CutPrefix(encoded, f.prefix); ok {
			return f.parse(rest)
		}
	}
	return nil, bad("scheme is not known")
}

// formats are tried in order.
var formats = []struct {
	prefix string
	parse  func(rest string) (digest, error)
}{
	{"$argon2id$", func(r string) (digest, error) { return parseArgon2(variantID, r) }},
	{"$argon2i$", func(r string) (digest, error) { return parseArgon2(variantI, r) }},
}

// variant is the type number of RFC 9106 §3.2.
type variant uint8

const (
	variantD  variant = 0
	variantI  variant = 1
	variantID variant = 2
)

func (v variant) scheme() Scheme {
	return [...]Scheme{Argon2d, Argon2i, Argon2id}[v]
}

// Bounds of the PHC string format and ceilings for stored hashes.
const (
	minSalt, maxSalt = 8, 48
	minTag, maxTag   = 12, 64

	maxTime        = 20
	maxParallelism = 16
	maxMemoryTime  = 2 << 20 // KiB·passes
)

type argon2Hash struct {
	variant   variant
	version   uint8
	params    Params
	lanes     uint32 // as written: may be above what Params can hold
	salt, tag []byte
}

// parseArgon2 reads, after "$argon2…$":
//
//	[v=19$]m=<KiB>,t=<passes>,p=<lanes>$<salt>$<tag>
//
// as the PHC string format asks: decimals without leading zeros, parameters in
// this order, B64 without padding and with zero trailing bits, a salt of 8 to 48
// bytes and a tag of 12 to 64. A missing v means version 0x10.
func parseArgon2(v variant, rest string) (digest, error) {
	h := &argon2Hash{variant: v, version: 0x10}
	if r, ok := strings.CutPrefix(rest, "v="); ok {
		n, r, ok := strings.Cut(r, "$")
		switch {
		case ok && n == "19":
			h.version = 0x13
		case ok && n == "16":
			h.version = 0x10
		default:
			return nil, bad("argon2 version is neither 16 nor 19")
		}
		rest = r
	}
	if h.version != 0x13 {
		return nil, bad("argon2 version is not 19")
	}
	fields := strings.Split(rest, "$")
	if len(fields) != 3 {
		return nil, bad("number of fields")
	}
	var err error
	if h.params, h.lanes, err = parseParams(fields[0]); err != nil {
		return nil, err
	}
	if h.salt, err = decodeB64(fields[1], minSalt, maxSalt, "salt"); err != nil {
		return nil, err
	}
	if h.tag, err = decodeB64(fields[2], minTag, maxTag, "tag"); err != nil {
		return nil, err
	}
	return h, nil
}

// parseParams reads "m=<KiB>,t=<passes>,p=<lanes>".
func parseParams(s string) (Params, uint32, error) {
	var v [3]uint32
	parts := strings.Split(s, ",")
	if len(parts) != len(v) {
		return Params{}, 0, bad("parameters are not m, t, p")
	}
	for i, name := range [...]string{"m=", "t=", "p="} {
		s, ok := strings.CutPrefix(parts[i], name)
		if !ok {
			return Params{}, 0, bad("parameters are not m, t, p")
		}
		n, ok := decimal(s, math.MaxUint32)
		if !ok || n == 0 {
			return Params{}, 0, bad("parameter %s is not a canonical positive number", name[:1])
		}
		v[i] = uint32(n)
	}
	m, t, p := v[0], v[1], v[2]
	if p >= 1<<24 {
		return Params{}, 0, bad("parameter p is above 2^24-1")
	}
	if uint64(m) < 8*uint64(p) {
		return Params{}, 0, bad("memory is below 8 KiB for each lane")
	}
	return Params{Memory: m, Time: t, Parallelism: uint8(min(p, 255))}, p, nil
}

// checkArgon2 holds parameters against the ceilings for stored hashes.
func checkArgon2(s Scheme, p Params, lanes uint32, budget int64) error {
	over := func(name string, limit int64, unit string) error {
		return &CostError{Scheme: s, Name: name, Limit: limit, Unit: unit}
	}
	switch {
	case int64(p.Memory) > budget>>10:
		return over("memory", budget>>10, "KiB")
	case p.Time > maxTime:
		return over("time", maxTime, "passes")
	case lanes > maxParallelism:
		return over("parallelism", maxParallelism, "lanes")
	case uint64(p.Memory)*uint64(p.Time) > maxMemoryTime:
		return over("memory × time", maxMemoryTime, "KiB·passes")
	}
	return nil
}

func (h *argon2Hash) info() Info {
	return Info{Scheme: h.variant.scheme(), Params: h.params, Version: h.version, Salt: len(h.salt), Tag: len(h.tag)}
}

func (h *argon2Hash) cost(budget int64) (int64, float64, error) {
	if err := checkArgon2(h.variant.scheme(), h.params, h.lanes, budget); err != nil {
		return 0, 0, err
	}
	return h.params.bytes(), h.params.units(), nil
}

func (h *argon2Hash) match(w *work) bool {
	return equal(w.argon2(h.variant, uint32(h.version), h.params, h.salt, len(h.tag)), h.tag)
}

func (h *argon2Hash) String() string {
	b := make([]byte, 0, 128)
	b = append(b, '$')
	b = append(b, h.variant.scheme()...)
	b = append(b, "$v="...)
	b = strconv.AppendUint(b, uint64(h.version), 10)
	b = append(b, "$m="...)
	b = strconv.AppendUint(b, uint64(h.params.Memory), 10)
	b = append(b, ",t="...)
	b = strconv.AppendUint(b, uint64(h.params.Time), 10)
	b = append(b, ",p="...)
	b = strconv.AppendUint(b, uint64(h.lanes), 10)
	b = append(b, '$')
	b = b64.AppendEncode(b, h.salt)
	b = append(b, '$')
	b = b64.AppendEncode(b, h.tag)
	return string(b)
}

// b64 is the PHC string format's B64: standard alphabet, no padding, and
// trailing bits that must be zero.
var b64 = base64.RawStdEncoding.Strict()

func decodeB64(s string, least, most int, what string) ([]byte, error) {
	if n := b64.DecodedLen(len(s)); n < least || n > most {
		return nil, bad("%s is not of %d to %d bytes", what, least, most)
	}
	b, err := b64.DecodeString(s)
	if err != nil {
		return nil, bad("%s is not canonical base64", what)
	}
	return b, nil
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

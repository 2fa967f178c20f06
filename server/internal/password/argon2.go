// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/watchword-project/watchword/server/internal/argon2"
)

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

// Bounds of the PHC string format, in bytes.
const (
	minSalt, maxSalt = 8, 48
	minTag, maxTag   = 12, 64
)

type argon2Hash struct {
	variant   variant
	version   uint8
	params    Params
	lanes     uint32 // as written: may be above what Params can hold
	salt, tag []byte
	room      [maxSalt + maxTag]byte // for salt and tag, so that parsing allocates once
}

// readArgon2 reads, after "$argon2…$":
//
//	[v=19$]m=<KiB>,t=<passes>,p=<lanes>$<salt>$<tag>
//
// as the PHC string format asks: decimals without leading zeros, parameters in
// this order, B64 without padding and with zero trailing bits, a salt of 8 to 48
// bytes and a tag of 12 to 64. A missing v means version 0x10.
func readArgon2(v variant) reader {
	return func(rest string) (stored, error) { return parseArgon2(v, rest) }
}

func parseArgon2(v variant, rest string) (*argon2Hash, error) {
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
	part, err := fields(rest, '$', 3)
	if err != nil {
		return nil, err
	}
	if h.params, h.lanes, err = parseParams(part[0]); err != nil {
		return nil, err
	}
	if h.salt, err = appendDecode(h.room[:0:maxSalt], b64, part[1], minSalt, maxSalt, "salt"); err != nil {
		return nil, err
	}
	if h.tag, err = appendDecode(h.room[maxSalt:maxSalt], b64, part[2], minTag, maxTag, "tag"); err != nil {
		return nil, err
	}
	return h, nil
}

// parseParams reads "m=<KiB>,t=<passes>,p=<lanes>".
func parseParams(s string) (Params, uint32, error) {
	part, err := fields(s, ',', 3)
	if err != nil {
		return Params{}, 0, err
	}
	var v [3]uint32
	for i, name := range [...]string{"m", "t", "p"} {
		n, err := parameter(part[i], name, math.MaxUint32)
		if err != nil {
			return Params{}, 0, err
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

func (h *argon2Hash) load(budget int64) (load, error) {
	return argon2Load(h.params), checkArgon2(h.variant.scheme(), h.params, h.lanes, budget)
}

func argon2Load(p Params) load { return load{bytes: p.bytes(), units: p.units()} }

func (h *argon2Hash) match(w *slot) (bool, error) {
	tag, err := h.derive(w, w.password, len(h.tag))
	if err != nil {
		return false, err
	}
	return equal(tag, h.tag), nil
}

// derive computes a tag of n bytes from plain, the password or what stands
// for it. The tag lies in w, which is wiped after the run.
func (h *argon2Hash) derive(w *slot, plain []byte, n int) ([]byte, error) {
	tag, err := w.memory.Key(w.tag[:0], plain, h.salt, argon2.Params{
		Type:        argon2.Type(h.variant),
		Version:     uint32(h.version),
		Time:        h.params.Time,
		Memory:      h.params.Memory,
		Parallelism: h.lanes,
		KeyLen:      uint32(n),
	})
	if err != nil {
		return nil, fmt.Errorf("deriving an %s tag: %w", h.variant.scheme(), err)
	}
	return tag, nil
}

// setTag makes h the hash of w.password.
func (h *argon2Hash) setTag(w *slot) error {
	tag, err := h.derive(w, w.password, tagBytes)
	h.tag = append(h.tag, tag...)
	return err
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

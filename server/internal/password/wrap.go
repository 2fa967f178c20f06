// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
)

const wrapPrefix = "$argon2id-wrap$"

// wrappedHash is argon2id over the tag of a weak hash, so that a database of
// bare digests need not wait for its owners to log in:
//
//	$argon2id-wrap$v=19$m=<KiB>,t=<passes>,p=<lanes>$<frame>$<salt>$<tag>
//
// The frame is the weak hash with a tag of zeros, in base64: all that is
// needed to derive that tag from a password, and nothing to compare it with.
type wrappedHash struct {
	outer *argon2Hash
	inner plain // its tag is all zero
}

// wrap64 is the frame's base64, in the URL alphabet so that a frame is not
// taken for a salt.
var wrap64 = base64.RawURLEncoding.Strict()

func readWrapped(rest string) (stored, error) {
	part, err := fields(rest, '$', 5)
	if err != nil {
		return nil, err
	}
	if part[0] != "v=19" {
		return nil, bad("argon2 version is not 19")
	}
	outer, err := parseArgon2(variantID, strings.Join([]string{part[0], part[1], part[3], part[4]}, "$"))
	if err != nil {
		return nil, err
	}
	frame, err := decode(wrap64, part[2], 1, maxEncoded/2, "frame")
	if err != nil {
		return nil, err
	}
	for _, c := range frame {
		if c < 0x21 || c > 0x7e {
			return nil, bad("a byte of the frame is not printing ASCII")
		}
	}
	s, err := parseBare(string(frame))
	if err != nil {
		return nil, err
	}
	inner, ok := s.(plain)
	if !ok || !s.info().Weak() {
		return nil, bad("the wrapped hash is not of a weak scheme")
	}
	for _, c := range inner.want() {
		if c != 0 {
			return nil, bad("the wrapped hash has kept its tag")
		}
	}
	return &wrappedHash{outer: outer, inner: inner}, nil
}

func (h *wrappedHash) info() Info {
	i := h.outer.info()
	i.Scheme, i.Wraps, i.Rounds = WrappedArgon2id, h.inner.info().Scheme, h.inner.info().Rounds
	return i
}

func (h *wrappedHash) load(budget int64) (load, error) {
	if _, err := h.inner.load(budget); err != nil {
		return load{}, err
	}
	return h.outer.load(budget)
}

func (h *wrappedHash) match(w *slot) (bool, error) {
	n := min(len(w.password), h.inner.longest())
	tag, err := h.inner.derive(w.password[:n])
	if err != nil {
		return false, fmt.Errorf("deriving a %s tag: %w", h.inner.info().Scheme, err)
	}
	defer clear(tag)
	out, err := h.outer.derive(w, tag, len(h.outer.tag))
	if err != nil {
		return false, err
	}
	return equal(out, h.outer.tag) && n == len(w.password), nil
}

func (h *wrappedHash) String() string {
	outer := strings.TrimPrefix(h.outer.String(), "$argon2id$")
	part := strings.SplitN(outer, "$", 3) // version, parameters, salt and tag
	return wrapPrefix + part[0] + "$" + part[1] + "$" + wrap64.EncodeToString([]byte(h.inner.String())) + "$" + part[2]
}

// Wrap puts a weak hash (see Info.Weak) under argon2id at the live parameters,
// without its password. Any other hash that Verify would take comes back as it
// is. Verify understands the result, and Stale is true of it, so that the first
// match replaces it.
func (h *Hasher) Wrap(ctx context.Context, class Class, encoded string) (string, error) {
	s, _, err := h.read(encoded)
	if err != nil {
		return "", err
	}
	inner, ok := s.(plain)
	if !ok || !s.info().Weak() {
		return encoded, nil
	}
	tag := inner.want()
	legacy := bytes.Clone(tag)
	defer clear(legacy)
	out := &wrappedHash{outer: h.freshArgon2(), inner: inner}
	if err := h.run(ctx, class, Text{reveal: func() []byte { return legacy }}, Argon2id, argon2Load(h.config.Params), out.outer.setTag); err != nil {
		return "", err
	}
	clear(tag)
	return out.String(), nil
}

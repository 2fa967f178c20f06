// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// The encodings of tags and salts. Each is strict: for every value there is
// one spelling, so that trailing bits must be zero.
var (
	// b64 is the PHC string format's B64: standard alphabet, no padding.
	b64 = base64.RawStdEncoding.Strict()
	// b64pad is the same with padding (Django, LDAP, ASP.NET).
	b64pad = base64.StdEncoding.Strict()
	// ab64 is passlib's: "." for "+", no padding.
	ab64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").WithPadding(base64.NoPadding).Strict()
	// bcrypt64 is bcrypt's.
	bcrypt64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding).Strict()
)

// decode reads s with e into least to most bytes.
func decode(e *base64.Encoding, s string, least, most int, what string) ([]byte, error) {
	return appendDecode(nil, e, s, least, most, what)
}

// appendDecode does the same behind dst.
func appendDecode(dst []byte, e *base64.Encoding, s string, least, most int, what string) ([]byte, error) {
	if n := e.DecodedLen(len(s)); n < least || n > most+2 {
		return nil, bad("%s is not of %d to %d bytes", what, least, most)
	}
	b, err := e.AppendDecode(dst, []byte(s))
	// The decoder would skip line ends, which parse has refused before.
	if err != nil {
		return nil, bad("%s is not canonical base64", what)
	}
	if n := len(b) - len(dst); n < least || n > most {
		return nil, bad("%s is not of %d to %d bytes", what, least, most)
	}
	return b, nil
}

// decodeHex reads lower-case hexadecimal digits.
func decodeHex(s string, least, most int, what string) ([]byte, error) {
	if len(s) < 2*least || len(s) > 2*most {
		return nil, bad("%s is not of %d to %d bytes", what, least, most)
	}
	b, err := hex.DecodeString(s)
	if err != nil || strings.ToLower(s) != s {
		return nil, bad("%s is not in lower-case hexadecimal", what)
	}
	return b, nil
}

// crypt64 is the base 64 of crypt(3): least significant bits first, in groups
// of three bytes.
const crypt64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func encodeCrypt64(b []byte) string {
	out := make([]byte, 0, (len(b)*8+5)/6)
	for len(b) > 0 {
		n := min(3, len(b))
		var v uint32
		for i := range n {
			v |= uint32(b[i]) << (8 * i)
		}
		for range n + 1 {
			out = append(out, crypt64[v&63])
			v >>= 6
		}
		b = b[n:]
	}
	return string(out)
}

// decodeCrypt64 reads s into exactly n bytes.
func decodeCrypt64(s string, n int, what string) ([]byte, error) {
	if len(s) != (n*8+5)/6 {
		return nil, bad("%s is not of %d bytes", what, n)
	}
	out := make([]byte, 0, n)
	for len(s) > 0 {
		k := min(4, len(s))
		var v uint32
		for i := range k {
			c := strings.IndexByte(crypt64, s[i])
			if c < 0 {
				return nil, bad("%s has a character outside crypt's base 64", what)
			}
			v |= uint32(c) << (6 * i)
		}
		for range k - 1 {
			out = append(out, byte(v))
			v >>= 8
		}
		if v != 0 {
			return nil, bad("%s is not canonical", what)
		}
		s = s[k:]
	}
	return out, nil
}

// crypt64Digit gives the value of one character.
func crypt64Digit(c byte) (int, bool) {
	i := strings.IndexByte(crypt64, c)
	return i, i >= 0
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-project/watchword/server/internal/identity"
)

// Bounds of a token.
const (
	maxToken  = 8 << 10
	maxHeader = 2 << 10 // in base64
	maxKid    = 256
	maxDepth  = 8
	maxSub    = 255 // OpenID Connect Core 1.0 §2
	maxTime   = 1 << 40
)

// errBad is every fault of a token: which one it was is nobody's business.
var errBad = errors.New("not a token that is taken")

// parts are what is read of a token before its signature is verified.
type parts struct {
	alg jose.SignatureAlgorithm
	kid string
}

// types are the values of typ that an access token may have (RFC 9068 §4, RFC
// 8725 §3.11): logout tokens, proofs and the like are signed with the same keys.
var types = []string{"", "jwt", "at+jwt", "application/at+jwt"}

// parse reads the header of a token in compact form. There is one spelling:
// decoders that pass over line ends or padding would take others.
func parse(token string) (parts, error) {
	fields := strings.Split(token, ".")
	if len(token) > maxToken || len(fields) != 3 || len(fields[0]) > maxHeader {
		return parts{}, errBad
	}
	var header []byte
	for i, f := range fields {
		b, err := base64.RawURLEncoding.Strict().DecodeString(f)
		if err != nil || len(b) == 0 || strings.ContainsAny(f, "\r\n") {
			return parts{}, errBad
		}
		if i == 0 {
			header = b
		}
	}
	h, err := object(header)
	if err != nil {
		return parts{}, errBad
	}
	// An extension that must be understood is not (RFC 7515 §4.1.11), nor are
	// payloads that are compressed or not in base64.
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if _, ok := h[name]; ok {
			return parts{}, errBad
		}
	}
	alg, ok := h["alg"].(string)
	kid, named := h["kid"].(string)
	if !ok || !named || kid == "" || len(kid) > maxKid {
		return parts{}, errBad
	}
	typ := ""
	if t, ok := h["typ"]; ok {
		if typ, ok = t.(string); !ok {
			return parts{}, errBad
		}
	}
	if !slices.Contains(types, strings.ToLower(typ)) {
		return parts{}, errBad
	}
	return parts{alg: jose.SignatureAlgorithm(alg), kid: kid}, nil
}

// valid judges the claims of a token whose signature is good.
func (v *Verifier) valid(claims map[string]any) error {
	now := v.c.Now()
	exp, hasExp := instant(claims["exp"])
	iat, hasIat := instant(claims["iat"])
	nbf, hasNbf := instant(claims["nbf"])
	_, nbfThere := claims["nbf"]
	sub, _ := claims["sub"].(string)
	switch {
	case claims["iss"] != v.c.Issuer,
		!slices.Contains(texts(claims["aud"]), v.c.Audience),
		!hasExp, !hasIat, nbfThere && !hasNbf,
		!now.Before(exp.Add(v.c.Leeway)),
		iat.After(now.Add(v.c.Leeway)),
		hasNbf && nbf.After(now.Add(v.c.Leeway)),
		exp.Sub(iat) > v.c.MaxLifetime, exp.Before(iat),
		!printable(sub):
		return errBad
	}
	return nil
}

// printable tells whether a subject can stand in a log for what it is.
func printable(sub string) bool {
	if strings.TrimSpace(sub) == "" || len(sub) > maxSub {
		return false
	}
	for _, c := range []byte(sub) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

// instant reads a NumericDate (RFC 7519 §2).
func instant(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > maxTime {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// at gives a claim by its name, or by a JSON pointer.
func at(claims map[string]any, name string) any {
	if !strings.HasPrefix(name, "/") {
		return claims[name]
	}
	var v any = claims
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for _, step := range strings.Split(name[1:], "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[unescape.Replace(step)]
	}
	return v
}

// texts gives a text, or the texts of a list; nothing if it holds anything else.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil
			}
			out = append(out, s)
		}
		return out
	}
	return nil
}

// scopesIn gives the scopes of the contract in a claim (RFC 8693 §4.2 has them
// as text with spaces, others as a list).
func scopesIn(v any) []string {
	list := texts(v)
	if s, ok := v.(string); ok {
		list = strings.Fields(s)
	}
	return slices.DeleteFunc(list, func(s string) bool { return !slices.Contains(identity.Scopes, s) })
}

// object reads one JSON object, and refuses what two readers could read
// differently: names that stand twice, text that is no UTF-8, anything behind
// the end.
func object(b []byte) (map[string]any, error) {
	if !utf8.Valid(b) {
		return nil, errBad
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, errBad
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errBad
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errBad
	}
	return m, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == maxDepth {
		return nil, errBad
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := value(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	m := make(map[string]any)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if _, twice := m[name]; twice {
			return nil, errBad
		}
		if m[name], err = value(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return m, err
}

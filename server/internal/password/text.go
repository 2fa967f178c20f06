// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package password holds a password while it is in memory: plaintext enters
// once, normalised and counted in code points, and cannot be printed, encoded
// or compared by accident. Hashing lives beside it, so that plaintext is
// revealed only where it is consumed.
package password

import (
	"errors"
	"fmt"
	"log/slog"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxBytes is the longest password taken, in bytes after normalisation.
// SP 800-63B-4 §3.1.1.2 asks for at least 64 characters; the cap only keeps
// the cost of one call bounded, and nothing below it is ever cut.
const MaxBytes = 4096

// maxRawBytes bounds the input of the normaliser: NFC can shrink text (a
// decomposed Hangul syllable is three times as long as the composed one), so
// the cap of MaxBytes can be judged only afterwards.
const maxRawBytes = 4 * MaxBytes

// NormVersion names the transform that Text applies. It is stored with each
// hash: a later Unicode version could compose differently, and must not lock
// out those who enrolled under this one.
const NormVersion = "nfc/" + norm.Version

// Reasons why New refuses a text. None of them tells anything about the
// text but its kind of fault.
var (
	// ErrEmpty is returned for a text of zero bytes.
	ErrEmpty = errors.New("password is empty")
	// ErrEncoding is returned for bytes that are not valid UTF-8.
	ErrEncoding = errors.New("password is not valid UTF-8")
	// ErrControl is returned for a text with a control character (Unicode
	// category Cc, NUL among them): SP 800-63B-4 asks for printing characters
	// and space, and a NUL or line feed is where other programs cut a text.
	ErrControl = errors.New("password holds a control character")
	// ErrTooLarge is returned for a text over MaxBytes after normalisation.
	ErrTooLarge = fmt.Errorf("password is longer than %d bytes", MaxBytes)
)

// Text is a password. It wraps a closure so that no formatting verb, encoder
// or debugger-style printer reaches the characters, even from an unexported
// field of another struct, and so that == on it does not compile.
type Text struct{ reveal func() []byte }

// New takes a password from the wire. It normalises to NFC (SP 800-63B-4
// §3.1.1.2), which is the only transform ever applied, and refuses what the
// errors above name.
func New(s string) (Text, error) {
	switch {
	case s == "":
		return Text{}, ErrEmpty
	case len(s) > maxRawBytes:
		return Text{}, ErrTooLarge
	case !utf8.ValidString(s):
		return Text{}, ErrEncoding
	}
	ascii := true
	for _, r := range s {
		if unicode.IsControl(r) { // category Cc, all of which is Latin-1
			return Text{}, ErrControl
		}
		ascii = ascii && r < utf8.RuneSelf
	}
	b := make([]byte, 0, len(s))
	if ascii { // its own normal form
		b = append(b, s...)
	} else {
		b = norm.NFC.AppendString(b, s)
	}
	if plantNotNormalised {
		b = []byte(s)
	}
	if len(b) > MaxBytes {
		clear(b)
		return Text{}, ErrTooLarge
	}
	return Text{reveal: func() []byte { return b }}, nil
}

// Reveal gives the normalised bytes, shared and not to be changed or kept.
// Call it only where a password is hashed, looked up or estimated.
func (t Text) Reveal() []byte {
	if t.reveal == nil {
		return nil
	}
	return t.reveal()
}

// Empty is the password of no characters, which New refuses: a guess at what
// others have stored, and never one to keep.
func Empty() Text { return Text{reveal: func() []byte { return nil }} }

// IsZero tells whether t holds no password: the zero Text.
func (t Text) IsZero() bool { return t.reveal == nil }

// Runes is the length in Unicode code points, the unit in which
// SP 800-63B-4 §3.1.1.2 counts.
func (t Text) Runes() int { return utf8.RuneCount(t.Reveal()) }

// Wipe overwrites the characters. The Text must not be used afterwards. Go
// may have copied the input string before New saw it, so this shortens the
// life of the plaintext but does not promise that no copy is left.
func (t Text) Wipe() { clear(t.Reveal()) }

const mask = "[password]"

// Format prints a mask for every verb.
func (Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// String gives the mask.
func (Text) String() string { return mask }

// GoString gives the mask.
func (Text) GoString() string { return mask }

// MarshalText gives the mask, and through it encoding/json does too.
func (Text) MarshalText() ([]byte, error) { return []byte(mask), nil }

// LogValue gives the mask.
func (Text) LogValue() slog.Value { return slog.StringValue(mask) }

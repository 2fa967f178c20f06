// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/watchword-project/watchword/server/internal/password"
)

const canary = "canary-7Hq2-plaintext"

func text(t testing.TB, s string) password.Text {
	t.Helper()
	p, err := password.New(s)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return p
}

func TestTextIsNeverPrinted(t *testing.T) {
	type hidden struct {
		Name string
		p    password.Text
	}
	p := text(t, canary)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T", "%b", "%c", "%U", "%e", "%t"} {
		fmt.Fprintf(&out, verb, p)
		fmt.Fprintf(&out, verb, &p)
		fmt.Fprintf(&out, verb, hidden{"n", p})
		fmt.Fprintf(&out, verb, &hidden{"n", p})
		fmt.Fprintf(&out, verb, []any{p, map[string]any{"k": p}})
	}
	b, _ := json.Marshal(map[string]any{"a": p, "b": &p, "c": hidden{"n", p}})
	out.Write(b)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "p", p, "h", hidden{"n", p})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "p", p, "h", hidden{"n", p})
	_ = gob.NewEncoder(&out).Encode(p)
	fmt.Fprintln(&out, p, errors.New(fmt.Sprint(p)))
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("a printed form of the password leaked: %q", form)
		}
	}
	if !strings.Contains(out.String(), "[password]") {
		t.Error("nothing was printed at all: the test saw no mask")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"empty", "", password.ErrEmpty},
		{"bad UTF-8", "a\xff", password.ErrEncoding},
		{"encoded surrogate", "\xed\xa0\x80", password.ErrEncoding},
		{"NUL", "a\x00b", password.ErrControl},
		{"line feed", "a\nb", password.ErrControl},
		{"C1 control", "a\u0085b", password.ErrControl},
		{"over the cap", strings.Repeat("a", password.MaxBytes+1), password.ErrTooLarge},
		{"1 MiB", strings.Repeat("a", 1<<20), password.ErrTooLarge},
		{"grows over the cap", strings.Repeat("\u0958", 1000), password.ErrTooLarge},
	} {
		if _, err := password.New(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: New = %v, want %v", c.name, err, c.want)
		}
	}
}

func TestNormalisedAndCountedInCodePoints(t *testing.T) {
	for _, c := range []struct {
		in    string
		runes int
		bytes string
	}{
		{"密码啊", 3, "密码啊"},
		{"e\u0301", 1, "\u00e9"},
		{"ﬁ", 1, "ﬁ"}, // NFC keeps compatibility forms
		{"１２３", 3, "１２３"},
		{strings.Repeat("😀", 15), 15, strings.Repeat("😀", 15)},
		{strings.Repeat("a", password.MaxBytes), password.MaxBytes, strings.Repeat("a", password.MaxBytes)},
	} {
		p := text(t, c.in)
		if p.Runes() != c.runes || string(p.Reveal()) != c.bytes {
			t.Errorf("New: %d runes, want %d; equal bytes: %v", p.Runes(), c.runes, string(p.Reveal()) == c.bytes)
		}
	}
	var all strings.Builder
	for r := rune(0x20); r <= 0x7e; r++ {
		all.WriteRune(r)
	}
	if p := text(t, all.String()); string(p.Reveal()) != all.String() {
		t.Error("a printing ASCII character was changed")
	}
}

func FuzzNew(f *testing.F) {
	for _, s := range []string{"", "a", "e\u0301", "\ufdfa", "a\x00", "\xff", "1100\u1161\u11a8", "\u0958"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := password.New(s)
		if err != nil {
			if !p.IsZero() || (s != "" && len(s) > 3 && strings.Contains(err.Error(), s)) {
				t.Fatal("an error came with a password, or repeats it")
			}
			return
		}
		b := p.Reveal()
		if !utf8.Valid(b) || !norm.NFC.IsNormal(b) || len(b) > password.MaxBytes || len(b) == 0 {
			t.Fatal("accepted text is not bounded, valid NFC")
		}
		again, err := password.New(string(b))
		if err != nil || !bytes.Equal(again.Reveal(), b) {
			t.Fatal("normalising twice is not normalising once")
		}
	})
}

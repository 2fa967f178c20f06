// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/watchword-project/watchword/server/internal/password"
)

func texts(t testing.TB, n int, rest ...string) []password.Text {
	t.Helper()
	var out []password.Text
	add := func(s string) {
		x, err := password.New(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	for i := range n {
		add(fmt.Sprintf("wrong %d", i))
	}
	for _, s := range rest {
		add(s)
	}
	return out
}

// A guess is found at its place, in one turn or over many, and what lies
// behind it is not tried.
func TestGuess(t *testing.T) {
	h, err := password.NewHasher(password.Config{Params: password.Params{Memory: 64, Time: 1, Parallelism: 1}, MemoryBudget: 1 << 20, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	strong, err := h.Hash(context.Background(), password.Batch, texts(t, 0, "right")[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, hash := range map[string]string{
		"argon2id": strong,
		"ntlm":     "$3$$" + fmt.Sprintf("%x", password.BareTag(password.NTLM, texts(t, 0, "right")[0])),
	} {
		for _, before := range []int{0, 1, 500} {
			g, err := h.Guess(context.Background(), password.Batch, texts(t, before, "right", "behind"), hash)
			if err != nil || g.Hit != before || g.Tried != before+1 || g.Took <= 0 {
				t.Errorf("%s: Guess with %d before = %+v, %v", name, before, g, err)
			}
		}
		if g, err := h.Guess(context.Background(), password.Batch, texts(t, 300), hash); err != nil || g.Hit != -1 || g.Tried != 300 {
			t.Errorf("%s: Guess without the right one = %+v, %v", name, g, err)
		}
	}
	if _, err := h.Guess(context.Background(), password.Batch, texts(t, 1), "nonsense"); err == nil {
		t.Error("Guess of a malformed hash: no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if g, err := h.Guess(ctx, password.Batch, texts(t, 1), strong); err == nil || g.Tried != 0 {
		t.Errorf("Guess under an ended context = %+v, %v", g, err)
	}
}

// The tag of a bare digest is what BareTag gives; salted hashes have none.
func TestBare(t *testing.T) {
	text := texts(t, 0, "password")[0]
	for hash, want := range map[string]password.Scheme{
		"$3$$8846f7eaee8fb117ad06bdd830b7586c":                        password.NTLM,
		"$NT$8846f7eaee8fb117ad06bdd830b7586c":                        password.NTLM,
		"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=":                           password.DigestSHA1,
		"$ww-digest$h=sha1,f=plain$$W6ph5Mm5Pz8GgiULbPgzG37mj9g":      password.DigestSHA1,
		"$ww-digest$h=sha1,f=hmac$c2FsdA$W6ph5Mm5Pz8GgiULbPgzG37mj9g": "",
		"nonsense": "",
	} {
		s, tag, ok := password.Bare(hash)
		if s != want || ok != (want != "") {
			t.Errorf("Bare(%q) = %q, %v", hash, s, ok)
		}
		if ok && !bytes.Equal(tag, password.BareTag(s, text)) {
			t.Errorf("Bare(%q): the tag is not the digest's", hash)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package pepper

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
)

// SecretBytes is the length of a secret.
const SecretBytes = 32

// Secret is the material of a key that is kept in a file. It does not print.
type Secret struct{ b [SecretBytes]byte }

// Format prints a mask for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[pepper]") }

// MarshalText gives the mask.
func (Secret) MarshalText() ([]byte, error) { return []byte("[pepper]"), nil }

// NewSecret makes one from the system's random generator.
func NewSecret() Secret {
	var s Secret
	_, _ = rand.Read(s.b[:]) // never fails: crypto/rand ends the program instead
	return s
}

// sealer is an AEAD with a nonce of 96 random bits before each sealed text.
// After 2³² sealings under one key the chance that a nonce has come twice is
// 2⁻³³ (SP 800-38D §8.3 stops there); a key is to be rotated long before.
type sealer struct{ aead cipher.AEAD }

const nonceBytes = 12

// NewAES seals with AES-256-GCM. The key is derived from s, so that the same
// secret under another name or in another use is another key.
func NewAES(s Secret) Sealer {
	key, err := hkdf.Key(sha256.New, s.b[:], nil, "watchword pepper aes-256-gcm", 32)
	if err != nil {
		panic(err) // only for lengths that are constants here
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return sealer{aead}
}

// NewSM4 seals with SM4-GCM (GB/T 32907, GB/T 36624) where the law asks for
// it. The key is derived with HKDF over SM3.
func NewSM4(s Secret) Sealer {
	key, err := hkdf.Key(sm3.New, s.b[:], nil, "watchword pepper sm4-gcm", 16)
	if err != nil {
		panic(err)
	}
	block, err := sm4.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return sealer{randomNonce{aead}}
}

func (s sealer) Seal(_ context.Context, plain, data []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, plain, data), nil
}

func (s sealer) Open(_ context.Context, sealed, data []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, data)
	if err != nil {
		return nil, ErrTampered
	}
	return plain, nil
}

// randomNonce does for any AEAD what cipher.NewGCMWithRandomNonce does for
// AES.
type randomNonce struct{ cipher.AEAD }

func (r randomNonce) Seal(_, _, plain, data []byte) []byte {
	out := make([]byte, nonceBytes, nonceBytes+len(plain)+r.Overhead())
	_, _ = rand.Read(out)
	return r.AEAD.Seal(out, out, plain, data)
}

func (r randomNonce) Open(_, _, sealed, data []byte) ([]byte, error) {
	if len(sealed) < nonceBytes {
		return nil, ErrTampered
	}
	return r.AEAD.Open(nil, sealed[:nonceBytes], sealed[nonceBytes:], data)
}

// ReadFile reads a secret of 64 lower-case hexadecimal digits, as "openssl
// rand -hex 32" writes them. It refuses a file that anyone but its owner can
// read or write, and one that is not a regular file.
func ReadFile(path string) (Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return Secret{}, fmt.Errorf("pepper key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Secret{}, fmt.Errorf("pepper key file: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return Secret{}, fmt.Errorf("pepper key file %s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return Secret{}, fmt.Errorf("pepper key file %s is open to others (mode %#o): set it to 0600", path, info.Mode().Perm())
	}
	b := make([]byte, 2*SecretBytes+3)
	defer clear(b)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return Secret{}, fmt.Errorf("pepper key file: %w", err)
	}
	s, err := parseSecret(string(b[:n]))
	if err != nil {
		return Secret{}, fmt.Errorf("pepper key file %s %w", path, err)
	}
	return s, nil
}

// commandTime is how long a program may take to print a key.
const commandTime = 30 * time.Second

// RunCommand runs a program with its arguments and reads from its standard
// output what ReadFile reads from a file: for keys that a key management
// service or a security module gives out. What else it says is not shown, since
// it may be about the key.
func RunCommand(ctx context.Context, argv []string) (Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	var out head
	defer clear(out.b[:])
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Stdout = &out
	c.WaitDelay = time.Second // for what it may leave behind with its output open
	if err := c.Run(); err != nil {
		return Secret{}, fmt.Errorf("pepper key command %s: %w", argv[0], errors.Join(err, ctx.Err()))
	}
	s, err := parseSecret(string(out.b[:out.n]))
	if err != nil {
		return Secret{}, fmt.Errorf("pepper key command %s %w", argv[0], err)
	}
	return s, nil
}

// head keeps the beginning of what is written to it, enough to see that it is
// longer than a secret with its line end.
type head struct {
	b [2*SecretBytes + 3]byte
	n int
}

func (h *head) Write(p []byte) (int, error) {
	h.n += copy(h.b[h.n:], p)
	return len(p), nil
}

// parseSecret reads the digits of a secret. Its errors go on after the name of
// what held them.
func parseSecret(text string) (Secret, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	var s Secret
	if len(text) != 2*SecretBytes || strings.ToLower(text) != text {
		return Secret{}, fmt.Errorf("does not hold %d lower-case hexadecimal digits", 2*SecretBytes)
	}
	if _, err := hex.Decode(s.b[:], []byte(text)); err != nil {
		return Secret{}, fmt.Errorf("does not hold %d lower-case hexadecimal digits", 2*SecretBytes)
	}
	// 32 random bytes have at least 16 different ones but for a chance of
	// less than 2⁻⁵⁴: fewer are a placeholder.
	distinct := map[byte]bool{}
	for _, c := range s.b {
		distinct[c] = true
	}
	if len(distinct) < SecretBytes/2 {
		return Secret{}, fmt.Errorf("does not hold a random key: make one with openssl rand -hex %d", SecretBytes)
	}
	return s, nil
}

// CreateFile makes a new secret and writes it to path, with mode 0600 and
// durably. The file must not exist.
func CreateFile(path string) (s Secret, err error) {
	s = NewSecret()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Secret{}, fmt.Errorf("pepper key file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path) // the first error is the one to report
			s, err = Secret{}, fmt.Errorf("pepper key file: %w", err)
		}
	}()
	_, err = io.WriteString(f, hex.EncodeToString(s.b[:])+"\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return s, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return s, err
	}
	return s, errors.Join(dir.Sync(), dir.Close())
}

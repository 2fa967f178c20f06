// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/watchword-project/watchword/server/internal/objects"
)

// sealer keeps objects under AES-256-GCM (SP 800-38D) with random nonces, bound
// to their names.
type sealer struct {
	aead cipher.AEAD
	tags []byte // key of tagOf
}

func newSealer(key []byte) (sealer, error) {
	part := func(purpose string) []byte {
		k, err := hkdf.Key(sha256.New, key, nil, "audit "+purpose, 32)
		if err != nil { // only for absurd lengths
			panic(err)
		}
		return k
	}
	block, err := aes.NewCipher(part("seal"))
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCM(block)
	return sealer{aead, part("tag")}, err
}

// errSealed is returned for an object that does not open: it was changed, or
// belongs to another server's key.
var errSealed = errors.New("a stored part of the audit was changed, or is under another key")

func place(kind, tenant, name string) []byte { return []byte(kind + "\x00" + tenant + "\x00" + name) }

func (s sealer) close(plain []byte, kind, tenant, name string) []byte {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, plain, place(kind, tenant, name))
}

func (s sealer) open(sealed []byte, kind, tenant, name string) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errSealed
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], place(kind, tenant, name))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// tagOf stands for a guessed or uploaded password until the audit ends, to tell
// which accounts share one: 64 bits of an HMAC under a key that no store has.
func (s sealer) tagOf(id string, plain []byte) uint64 {
	h := hmac.New(sha256.New, s.tags)
	h.Write([]byte(id))
	h.Write([]byte{0})
	h.Write(plain)
	return binary.BigEndian.Uint64(h.Sum(nil)) | 1 // never 0, which means none
}

// The kinds of objects. An id is made of letters that a kind may have.
const kindAudit = "audit"

func kindRows(id string) string { return "audit-r-" + id }
func kindWork(id string) string { return "audit-w-" + id }
func kindPage(id string) string { return "audit-f-" + id }

// newName gives 16 random letters: 75 bits, so that nobody finds an audit by
// trying.
func newName() string {
	var b [16]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	return string(b[:])
}

// validID tells whether s may be an id, so that none reaches a store that is
// not.
func validID(s string) bool {
	return len(s) == 16 && !strings.ContainsFunc(s, func(r rune) bool { return r < 'a' || r > 'z' })
}

// create writes an object that must not exist; objects.ErrConflict if it does.
func (e *Engine) create(ctx context.Context, kind, tenant, name string, plain []byte) error {
	return e.save(ctx, kind, tenant, name, 1, plain)
}

func (e *Engine) save(ctx context.Context, kind, tenant, name string, version uint64, plain []byte) error {
	return e.Objects.Save(ctx, objects.Object{Kind: kind, Tenant: tenant, Name: name, Version: version, Data: e.seal.close(plain, kind, tenant, name)})
}

// put writes an object whether or not it exists.
func (e *Engine) put(ctx context.Context, kind, tenant, name string, plain []byte) error {
	for {
		o, err := e.Objects.Load(ctx, kind, tenant, name)
		if err != nil && !errors.Is(err, objects.ErrNotFound) {
			return err
		}
		if err = e.save(ctx, kind, tenant, name, o.Version+1, plain); !errors.Is(err, objects.ErrConflict) {
			return err
		}
	}
}

func (e *Engine) get(ctx context.Context, kind, tenant, name string) ([]byte, uint64, error) {
	o, err := e.Objects.Load(ctx, kind, tenant, name)
	if err != nil {
		return nil, 0, err
	}
	plain, err := e.seal.open(o.Data, kind, tenant, name)
	return plain, o.Version, err
}

// deleteAll removes the objects of a kind that keep does not want.
func (e *Engine) deleteAll(ctx context.Context, kind, tenant string, keep func(name string) bool) error {
	var names []objects.Object
	for o, err := range e.Objects.List(ctx, kind, tenant) {
		if err != nil {
			return err
		}
		if keep == nil || !keep(o.Name) {
			names = append(names, objects.Object{Name: o.Name, Version: o.Version})
		}
	}
	for _, o := range names {
		if err := e.Objects.Delete(ctx, kind, tenant, o.Name, o.Version); err != nil && !errors.Is(err, objects.ErrConflict) && !errors.Is(err, objects.ErrNotFound) {
			return err
		}
	}
	return nil
}

// load gives an audit of a tenant, or ErrUnknown.
func (e *Engine) load(ctx context.Context, tenant, id string) (*Audit, error) {
	if !validID(id) {
		return nil, ErrUnknown
	}
	plain, version, err := e.get(ctx, kindAudit, tenant, id)
	if errors.Is(err, objects.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	a, err := parseAudit(plain, version)
	if err == nil && a.Dropped {
		return nil, ErrUnknown
	}
	return a, err
}

func parseAudit(plain []byte, version uint64) (*Audit, error) {
	a := &Audit{version: version}
	if err := json.Unmarshal(plain, a); err != nil {
		return nil, fmt.Errorf("stored audit: %w", err)
	}
	return a, nil
}

// list yields the audits of a tenant, or of all. One that does not open is an
// error and no end: the others are none the worse for it.
func (e *Engine) list(ctx context.Context, tenant string) iter.Seq2[*Audit, error] {
	return func(yield func(*Audit, error) bool) {
		for o, err := range e.Objects.List(ctx, kindAudit, tenant) {
			if err != nil {
				yield(nil, err)
				return
			}
			var a *Audit
			plain, err := e.seal.open(o.Data, kindAudit, o.Tenant, o.Name)
			if err == nil {
				a, err = parseAudit(plain, o.Version)
			}
			if err != nil {
				err = fmt.Errorf("audit %q of tenant %q: %w", o.Name, o.Tenant, err)
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// change changes an audit by compare-and-swap, as often as somebody else gets
// in between. f returns false when there is nothing to do.
func (e *Engine) change(ctx context.Context, tenant, id string, f func(*Audit) (bool, error)) (*Audit, error) {
	for {
		a, err := e.load(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		do, err := f(a)
		if err != nil || !do {
			return a, err
		}
		plain, err := json.Marshal(a)
		if err != nil {
			return nil, err
		}
		a.version++
		if err = e.save(ctx, kindAudit, tenant, id, a.version, plain); !errors.Is(err, objects.ErrConflict) {
			return a, err
		}
	}
}

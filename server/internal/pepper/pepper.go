// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package pepper encrypts the tag of a finished password hash under a key that
// is kept apart from the hashes, so that whoever steals the store alone cannot
// test a single guess: the additional keyed step of SP 800-63B-4 §3.1.1.2.
//
// The step comes after the hash, and is encryption, so that a key is changed
// row by row without any password. A sealed hash is bound to its tenant, its
// subject, its parameters and its salt: moved to another row it does not open.
package pepper

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Sealer encrypts and authenticates under one key. It may be a cipher in
// this process (NewAES, NewSM4), or a key management service or security
// module that keeps the key to itself.
type Sealer interface {
	// Seal returns plain encrypted, with all that Open needs but the key and
	// data. Sealing twice gives two different results.
	Seal(ctx context.Context, plain, data []byte) ([]byte, error)
	// Open returns what was sealed with the same data. Its error wraps
	// ErrTampered if and only if sealed and data do not belong together under
	// this key; any other error means that it could not find out.
	Open(ctx context.Context, sealed, data []byte) ([]byte, error)
}

// State says what a key is used for.
type State uint8

const (
	// Active keys seal and open. A keyring has exactly one.
	Active State = iota + 1
	// DecryptOnly keys open what they sealed, until all of it is re-wrapped.
	DecryptOnly
	// Retired keys are known by name and not used: a hash still sealed under
	// one is an error that says so.
	Retired
)

// Key is one pepper.
type Key struct {
	// ID names the key in every hash sealed under it: 1 to 16 letters, digits,
	// "-" and "_".
	ID    string
	State State
	// Sealer may be nil for a retired key.
	Sealer Sealer
}

// Errors of a Keyring.
var (
	// ErrMalformed is returned for a string that is not a sealed hash.
	ErrMalformed = errors.New("not a sealed hash")
	// ErrTampered is returned for a sealed hash that was changed, or that
	// belongs to another subject, tenant or key.
	ErrTampered = errors.New("sealed hash does not belong here, or was changed")
)

// KeyError is returned when a key is missing, retired or not the one that its
// name stood for. It names the key.
type KeyError struct {
	ID      string
	Problem string
}

func (e *KeyError) Error() string { return fmt.Sprintf("pepper key %q %s", e.ID, e.Problem) }

// Binding says whose hash it is.
type Binding struct {
	Tenant  string
	Subject []byte // the pseudonym under which the hash is stored
}

// Keyring seals under its active key and opens under every key that is not
// retired. It does not change, and is safe for use by many goroutines.
type Keyring struct {
	keys   map[string]Key
	active Key
}

// NewKeyring takes keys with different IDs, of which one is active.
func NewKeyring(keys []Key) (*Keyring, error) {
	k := &Keyring{keys: make(map[string]Key, len(keys))}
	for i, key := range keys {
		switch _, twice := k.keys[key.ID]; {
		case !validID(key.ID):
			return nil, fmt.Errorf("pepper key %d: the id is not 1 to %d letters, digits, \"-\" and \"_\"", i+1, maxID)
		case twice:
			return nil, &KeyError{key.ID, "is listed twice"}
		case key.State < Active || key.State > Retired:
			return nil, &KeyError{key.ID, "has no state: make it active, decrypt-only or retired"}
		case key.Sealer == nil && key.State != Retired:
			return nil, &KeyError{key.ID, "has no key material"}
		case key.State == Active && k.active.ID != "":
			return nil, &KeyError{key.ID, "is a second active key: make all but one decrypt-only"}
		}
		if key.State == Active {
			k.active = key
		}
		k.keys[key.ID] = key
	}
	if k.active.ID == "" {
		return nil, errors.New("no pepper key is active: make one active")
	}
	return k, nil
}

const maxID = 16

func validID(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= maxID
}

// Active is the ID of the active key.
func (k *Keyring) Active() string { return k.active.ID }

// A sealed hash is
//
//	$pepper$v=1,k=<key id>$<sealed tag>$<head>
//
// where head is the hash up to and with the last "$" or "}", so that scheme,
// parameters and salt stay legible, and the sealed tag is the rest of it in
// base64. Its own name keeps a sealed hash from being taken for a hash.
const (
	prefix    = "$pepper$v=1,k="
	maxSealed = 4096 // bytes
	maxHash   = 2048 // bytes
)

var b64 = base64.RawStdEncoding.Strict()

// Sealed tells whether s has the form of a sealed hash.
func Sealed(s string) bool { return strings.HasPrefix(s, "$pepper$") }

// KeyID tells the key under which s was sealed. The error is ErrMalformed.
func KeyID(s string) (string, error) {
	id, _, _, err := parse(s)
	return id, err
}

func parse(s string) (id string, sealed []byte, head string, err error) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok || len(s) > maxSealed {
		return "", nil, "", ErrMalformed
	}
	part := strings.SplitN(rest, "$", 3)
	if len(part) != 3 || !validID(part[0]) || !validHead(part[2]) {
		return "", nil, "", ErrMalformed
	}
	sealed, err = b64.DecodeString(part[1])
	if err != nil || strings.ContainsAny(part[1], "\r\n") {
		return "", nil, "", ErrMalformed
	}
	return part[0], sealed, part[2], nil
}

func validHead(s string) bool {
	return s == "" || strings.HasSuffix(s, "$") || strings.HasSuffix(s, "}")
}

// Seal encrypts the tag of hash under the active key. It refuses what is
// sealed already.
func (k *Keyring) Seal(ctx context.Context, hash string, b Binding) (string, error) {
	if hash == "" || len(hash) > maxHash || Sealed(hash) {
		return "", fmt.Errorf("sealing: %w", ErrMalformed)
	}
	cut := strings.LastIndexAny(hash, "$}") + 1
	head, tag := hash[:cut], hash[cut:]
	if tag == "" {
		return "", fmt.Errorf("sealing: hash has no tag: %w", ErrMalformed)
	}
	sealed, err := k.active.Sealer.Seal(ctx, []byte(tag), data(k.active.ID, b, head))
	if err != nil {
		return "", fmt.Errorf("sealing under pepper key %q: %w", k.active.ID, err)
	}
	return prefix + k.active.ID + "$" + b64.EncodeToString(sealed) + "$" + head, nil
}

// Open gives back the hash that was sealed for b, and the ID of its key. The
// error is or wraps ErrMalformed, ErrTampered, *KeyError, or one of the
// Sealer's own.
func (k *Keyring) Open(ctx context.Context, sealed string, b Binding) (hash, keyID string, err error) {
	id, box, head, err := parse(sealed)
	if err != nil {
		return "", "", err
	}
	key, ok := k.keys[id]
	switch {
	case !ok:
		return "", id, &KeyError{id, "is missing: a stored hash is sealed under it"}
	case key.State == Retired:
		return "", id, &KeyError{id, "is retired, but a stored hash is still sealed under it: make it decrypt-only and re-wrap"}
	}
	tag, err := key.Sealer.Open(ctx, box, data(id, b, head))
	if err != nil {
		return "", id, fmt.Errorf("opening under pepper key %q: %w", id, err)
	}
	hash = head + string(tag)
	clear(tag)
	// A tag that holds a separator would have been cut elsewhere by Seal.
	if strings.ContainsAny(hash[len(head):], "$}") || len(hash) == len(head) {
		return "", id, ErrTampered
	}
	return hash, id, nil
}

// Rewrap moves a sealed hash to the active key. It returns sealed itself, and
// false, when it is there already. No password is needed.
func (k *Keyring) Rewrap(ctx context.Context, sealed string, b Binding) (string, bool, error) {
	hash, id, err := k.Open(ctx, sealed, b)
	if err != nil {
		return "", false, err
	}
	if id == k.active.ID {
		return sealed, false, nil
	}
	moved, err := k.Seal(ctx, hash, b)
	return moved, err == nil, err
}

// data is what a sealed tag is bound to. Every part has its length before it,
// so that no two different bindings are the same bytes.
func data(id string, b Binding, head string) []byte {
	out := []byte("watchword pepper v1")
	for _, part := range [...]string{id, b.Tenant, string(b.Subject), head} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

// check is what check values seal.
const check = "watchword pepper check value"

// Checks gives a check value for each key that is not retired, by ID, to be
// kept beside the hashes. It tells nothing about the key.
func (k *Keyring) Checks(ctx context.Context) (map[string]string, error) {
	out := make(map[string]string)
	for id, key := range k.keys {
		if key.State == Retired {
			continue
		}
		b, err := key.Sealer.Seal(ctx, []byte(check), checkData(id))
		if err != nil {
			return nil, fmt.Errorf("making the check value of pepper key %q: %w", id, err)
		}
		out[id] = b64.EncodeToString(b)
	}
	return out, nil
}

// Verify holds the keyring against the check values kept beside the hashes,
// so that a wrong key stops the start and does not make every password wrong.
// A check value without a key, or whose key is another than the one it was
// made under, gives *KeyError. A key without a check value is new.
func (k *Keyring) Verify(ctx context.Context, checks map[string]string) error {
	ids := make([]string, 0, len(checks))
	for id := range checks {
		ids = append(ids, id)
	}
	slices.Sort(ids) // the same error each time
	for _, id := range ids {
		key, ok := k.keys[id]
		if !ok {
			return &KeyError{id, "is missing: hashes were sealed under it. Give its key, or list it as retired once nothing is sealed under it"}
		}
		if key.State == Retired {
			continue
		}
		b, err := b64.DecodeString(checks[id])
		if err != nil {
			return &KeyError{id, "has a damaged check value"}
		}
		plain, err := key.Sealer.Open(ctx, b, checkData(id))
		switch {
		case errors.Is(err, ErrTampered), err == nil && string(plain) != check:
			return &KeyError{id, "is not the key that the stored hashes were sealed under: give the right key file"}
		case err != nil:
			return fmt.Errorf("checking pepper key %q: %w", id, err)
		}
	}
	return nil
}

func checkData(id string) []byte { return data(id, Binding{}, check) }

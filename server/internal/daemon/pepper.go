// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/pepper"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Objects that speak of peppers.
const (
	kindPepper = "pepper"
	checksName = "checks" // check values, by key id
	activeName = "active" // id of the active key, for keys of the data directory

	unusedPrefix = "unused-" // with a key id: that nothing is sealed under it
)

// localPepper is the id of the first key in the data directory; the next ones
// are local-2, local-3, in files of their own beside it.
const localPepper = "local"

// peppers holds the keyring in force, and exchanges it when a key is rotated.
type peppers struct {
	dir   dataDir
	keys  []PepperKey // of the configuration; empty for keys of the data directory
	store objects.Store
	ring  atomic.Pointer[pepper.Keyring]
	turn  sync.Mutex // one rotation at a time
}

// openPepper reads the pepper keys and holds them against the check values in
// the store: a wrong or missing key stops the start, and does not make every
// password wrong.
func openPepper(ctx context.Context, dir dataDir, keys []PepperKey, store objects.Store) (*peppers, error) {
	p := &peppers{dir: dir, keys: keys, store: store}
	list, err := p.configured(ctx)
	if len(keys) == 0 {
		list, err = p.local(ctx)
	}
	if err != nil {
		return nil, err
	}
	return p, p.install(ctx, list)
}

// Ring gives the keyring in force.
func (p *peppers) Ring() *pepper.Keyring { return p.ring.Load() }

// configured gives the keys that the configuration names.
func (p *peppers) configured(ctx context.Context) ([]pepper.Key, error) {
	states := map[string]pepper.State{"active": pepper.Active, "decrypt-only": pepper.DecryptOnly, "retired": pepper.Retired}
	var out []pepper.Key
	for i, k := range p.keys {
		state, ok := states[k.State]
		if !ok {
			return nil, fmt.Errorf("configuration: pepper.keys[%d].state must be active, decrypt-only or retired", i)
		}
		key := pepper.Key{ID: k.ID, State: state}
		if state != pepper.Retired {
			secret, err := k.secret(ctx)
			if err != nil {
				return nil, fmt.Errorf("configuration: pepper.keys[%d]: %w", i, err)
			}
			switch k.Cipher {
			case "", "aes-256-gcm":
				key.Sealer = pepper.NewAES(secret)
			case "sm4-gcm":
				key.Sealer = pepper.NewSM4(secret)
			default:
				return nil, fmt.Errorf("configuration: pepper.keys[%d].cipher must be aes-256-gcm or sm4-gcm", i)
			}
		}
		out = append(out, key)
	}
	return out, nil
}

// secret reads the key from where the configuration says.
func (k PepperKey) secret(ctx context.Context) (pepper.Secret, error) {
	switch {
	case k.File != "" && len(k.Command) > 0:
		return pepper.Secret{}, errors.New("file and command exclude each other")
	case len(k.Command) > 0:
		return pepper.RunCommand(ctx, k.Command)
	}
	return pepper.ReadFile(k.File)
}

// local gives the keys of the data directory.
func (p *peppers) local(ctx context.Context) ([]pepper.Key, error) {
	active := localPepper
	switch o, err := p.store.Load(ctx, kindPepper, "", activeName); {
	case err == nil:
		active = string(o.Data)
	case !errors.Is(err, objects.ErrNotFound):
		return nil, err
	}
	out, err := p.files()
	for i := range out {
		if out[i].ID == active {
			out[i].State = pepper.Active
		}
	}
	return out, err
}

// files reads the key files of the data directory, none of them active.
func (p *peppers) files() ([]pepper.Key, error) {
	files, err := filepath.Glob(p.dir.path("pepper*.key"))
	if err != nil {
		return nil, err
	}
	var out []pepper.Key
	for _, f := range files {
		secret, err := pepper.ReadFile(f)
		if err != nil {
			return nil, err
		}
		id := localPepper + strings.TrimPrefix(strings.TrimSuffix(filepath.Base(f), ".key"), "pepper")
		out = append(out, pepper.Key{ID: id, State: pepper.DecryptOnly, Sealer: pepper.NewAES(secret)})
	}
	return out, nil
}

// install puts keys in force after holding them against their check values,
// and keeps those of new keys.
func (p *peppers) install(ctx context.Context, keys []pepper.Key) error {
	ring, err := pepper.NewKeyring(keys)
	if err != nil {
		return err
	}
	known := make(map[string]string)
	o, err := p.store.Load(ctx, kindPepper, "", checksName)
	switch {
	case err == nil:
		if err := json.Unmarshal(o.Data, &known); err != nil {
			return fmt.Errorf("check values of the pepper: %w", err)
		}
	case !errors.Is(err, objects.ErrNotFound):
		return err
	}
	if err := ring.Verify(ctx, known); err != nil {
		return err
	}
	made, err := ring.Checks(ctx)
	if err != nil {
		return err
	}
	before := len(known)
	maps.Copy(made, known)
	if len(made) != before {
		o.Kind, o.Name, o.Version = kindPepper, checksName, o.Version+1
		if o.Data, err = json.Marshal(made); err != nil {
			return err
		}
		if err := p.store.Save(ctx, o); err != nil {
			return err
		}
	}
	p.ring.Store(ring)
	return nil
}

// settle makes sure that nothing is sealed under a retired key any more. Each
// key is looked for once: while it stays retired nothing can be sealed under it.
func (p *peppers) settle(ctx context.Context, credentials verifier.Store) error {
	var retired []string // not known to be unused
	for _, k := range p.keys {
		o, err := p.store.Load(ctx, kindPepper, "", unusedPrefix+k.ID)
		switch found := err == nil; {
		case !found && !errors.Is(err, objects.ErrNotFound):
			return err
		case found && k.State != "retired": // it is in use again
			if err := p.store.Delete(ctx, kindPepper, "", o.Name, o.Version); err != nil && !errors.Is(err, objects.ErrConflict) {
				return err
			}
		case !found && k.State == "retired":
			retired = append(retired, k.ID)
		}
	}
	if len(retired) == 0 {
		return nil
	}
	left := make(map[string]int)
	for r, err := range credentials.All(ctx) {
		if err != nil {
			return err
		}
		for _, sealed := range append(r.History, r.Hash) {
			if id, err := pepper.KeyID(sealed); err == nil {
				left[id]++
			}
		}
	}
	for _, id := range retired {
		if n := left[id]; n > 0 {
			return &pepper.KeyError{ID: id, Problem: fmt.Sprintf("is retired, but %d stored hashes are still sealed under it: make it decrypt-only, rotate the pepper until nothing remains, and then retire it", n)}
		}
		err := p.store.Save(ctx, objects.Object{Kind: kindPepper, Name: unusedPrefix + id, Version: 1})
		if err != nil && !errors.Is(err, objects.ErrConflict) {
			return err
		}
	}
	return nil
}

// rotate makes a key active, a new one in the data directory for an empty id,
// and gives its id. Keys of the configuration change state there: only the one
// that is active already can be named. It returns verifier.ErrUnknownPepper.
func (p *peppers) rotate(ctx context.Context, id string) (string, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	if len(p.keys) > 0 {
		if id != "" && id != p.Ring().Active() {
			return "", verifier.ErrUnknownPepper
		}
		return p.Ring().Active(), nil
	}
	if id == "" {
		var err error
		if id, err = p.create(); err != nil {
			return "", err
		}
	}
	keys, err := p.local(ctx)
	if err != nil {
		return "", err
	}
	found := false
	for i := range keys {
		keys[i].State = pepper.DecryptOnly
		if keys[i].ID == id {
			keys[i].State, found = pepper.Active, true
		}
	}
	if !found {
		return "", verifier.ErrUnknownPepper
	}
	// The choice is stored before anything is sealed under the key, so that the
	// next start makes the same.
	o, err := p.store.Load(ctx, kindPepper, "", activeName)
	if err != nil && !errors.Is(err, objects.ErrNotFound) {
		return "", err
	}
	o.Kind, o.Name, o.Version, o.Data = kindPepper, activeName, o.Version+1, []byte(id)
	if err := p.store.Save(ctx, o); err != nil {
		return "", err
	}
	return id, p.install(ctx, keys)
}

// create makes the next key file.
func (p *peppers) create() (string, error) {
	for n := 2; ; n++ {
		suffix := "-" + strconv.Itoa(n)
		_, err := pepper.CreateFile(p.dir.path("pepper" + suffix + ".key"))
		switch {
		case err == nil:
			return localPepper + suffix, nil
		case !errors.Is(err, fs.ErrExist) && !errors.Is(err, os.ErrExist):
			return "", err
		}
	}
}

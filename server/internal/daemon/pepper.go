// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/pepper"
)

const (
	// localPepper is the id of the key in the data directory.
	localPepper = "local"
	kindPepper  = "pepper"
	checksName  = "checks"
)

// openPepper reads the pepper keys and holds them against the check values in
// the store: a wrong or missing key stops the start, and does not make every
// password wrong.
func openPepper(ctx context.Context, dir dataDir, store objects.Store) (*pepper.Keyring, error) {
	secret, err := pepper.ReadFile(dir.path(pepperFile))
	if err != nil {
		return nil, err
	}
	ring, err := pepper.NewKeyring([]pepper.Key{{ID: localPepper, State: pepper.Active, Sealer: pepper.NewAES(secret)}})
	if err != nil {
		return nil, err
	}
	known := make(map[string]string)
	o, err := store.Load(ctx, kindPepper, "", checksName)
	switch {
	case err == nil:
		if err := json.Unmarshal(o.Data, &known); err != nil {
			return nil, fmt.Errorf("check values of the pepper: %w", err)
		}
	case !errors.Is(err, objects.ErrNotFound):
		return nil, err
	}
	if err := ring.Verify(ctx, known); err != nil {
		return nil, err
	}
	made, err := ring.Checks(ctx)
	if err != nil {
		return nil, err
	}
	before := len(known)
	maps.Copy(made, known)
	if len(made) == before {
		return ring, nil
	}
	o.Kind, o.Name, o.Version = kindPepper, checksName, o.Version+1
	if o.Data, err = json.Marshal(made); err != nil {
		return nil, err
	}
	return ring, store.Save(ctx, o)
}

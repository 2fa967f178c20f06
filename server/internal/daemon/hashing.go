// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
)

// newHasher opens the hashing slots. Costs under the floors are an error.
func (s *Server) newHasher(c Hashing, slots int) (*password.Hasher, error) {
	firebase, err := c.Firebase.keys()
	if err != nil {
		return nil, err
	}
	if c.Slots > 0 {
		slots = c.Slots
	}
	hasher, err := password.NewHasher(password.Config{
		Scheme: password.Scheme(c.Scheme), Rounds: uint32(c.Rounds), Params: c.Params(), MemoryBudget: int64(c.MemoryBudget),
		Slots: slots, QueueWait: c.QueueWait, Kernel: c.Kernel, Firebase: firebase, Insecure: c.InsecureTestCost, Measured: s.hashed(),
	})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	s.onClose(func(context.Context) error { hasher.Close(); return nil })
	if c.InsecureTestCost {
		s.log.Warn("INSECURE: hashing.insecure_test_cost is on: hashes may be far too cheap to guess")
	}
	kernel, fault := hasher.Kernel()
	if fault != nil {
		s.log.Error("an argon2 kernel failed its self-test; another took its place", "kernel", kernel, "error", fault)
	}
	s.log.Info("hashing", "scheme", c.Scheme, "kernel", kernel, "slots", hasher.Stats().Slots)
	return hasher, nil
}

// keys reads the key files; nil when none is named.
func (f Firebase) keys() (*password.FirebaseKeys, error) {
	if f == (Firebase{}) {
		return nil, nil
	}
	var out password.FirebaseKeys
	for _, part := range []struct {
		key, path string
		to        *[]byte
	}{
		{"hashing.firebase.signer_key_file", f.SignerKeyFile, &out.SignerKey},
		{"hashing.firebase.salt_separator_file", f.SaltSeparatorFile, &out.SaltSeparator},
	} {
		text, err := readSecret(part.key, part.path)
		if err != nil {
			return nil, err
		}
		if *part.to, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, fmt.Errorf("configuration: %s: not base64", part.key)
		}
	}
	return &out, nil
}

// Facts are what a self-examination wants to know of a running server.
type Facts struct {
	Params password.Params
	Scheme string
	Slots  int
	// Calibrated is the day on which the costs were measured for this machine;
	// empty if they never were.
	Calibrated string
	// Kernel is the argon2 in use, and KernelFault why it is not the one asked
	// for.
	Kernel      string
	KernelFault error
	// SlotBytes is the memory of all slots, and HugeBytes how much of it was on
	// huge pages at the start.
	SlotBytes, HugeBytes int
	// Insecure tells that costs under the floor are permitted.
	Insecure bool
	// Legacy are the tenants that hold imported hashes as they were made
	// elsewhere, with how long every "no match" of theirs takes at least.
	Legacy map[string]time.Duration
	// Durability are the settings of the store's server under which what was
	// acknowledged may be lost, as sentences; always empty for the embedded store.
	Durability []string
}

// Facts gives the facts of now.
func (s *Server) Facts(ctx context.Context) (Facts, error) {
	c := s.hasher.Config()
	f := Facts{Params: c.Params, Scheme: string(c.Scheme), Slots: s.hasher.Stats().Slots, Calibrated: s.config.Hashing.Calibrated,
		Insecure: c.Insecure, Legacy: s.legacy()}
	f.Kernel, f.KernelFault = s.hasher.Kernel()
	f.HugeBytes, f.SlotBytes = s.hasher.HugePages()
	if s.store.durability == nil {
		return f, nil
	}
	var err error
	f.Durability, err = s.store.durability(ctx)
	return f, err
}

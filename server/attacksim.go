// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/watchword-project/watchword/server/internal/throttle/attacksim"
)

// attackSimCmd tries the configured throttle on attacks, without a server.
type attackSimCmd struct {
	Scenario []string `arg:"" optional:"" help:"Scenarios to run (default: all)."`
	Seed     uint64   `default:"1" help:"Another seed gives another run of the same odds."`
	SVG      string   `help:"Folder that takes a plot of each scenario." type:"path"`
	JSON     bool     `help:"Print JSON."`
}

func (a *attackSimCmd) Run(c *cli) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	rules, err := config.Rules()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, s := range attacksim.Scenarios() {
		known[s.Name] = true
	}
	for _, name := range a.Scenario {
		if !known[name] {
			return fmt.Errorf("no such scenario; there are: %v", slices.Sorted(maps.Keys(known)))
		}
	}
	if a.SVG != "" {
		if err := os.MkdirAll(a.SVG, 0o700); err != nil {
			return err
		}
	}
	return interruptible(func(ctx context.Context) error {
		var all []attacksim.Result
		for _, s := range attacksim.Scenarios() {
			if len(a.Scenario) > 0 && !slices.Contains(a.Scenario, s.Name) {
				continue
			}
			r, err := attacksim.Run(ctx, config.Throttle.Profile, rules, s, a.Seed)
			if err != nil {
				return err
			}
			all = append(all, r)
			if !a.JSON {
				fmt.Println(r.Text())
			}
			if a.SVG != "" {
				if err := os.WriteFile(filepath.Join(a.SVG, s.Name+".svg"), []byte(r.SVG()), 0o600); err != nil {
					return err
				}
			}
		}
		if a.JSON {
			e := json.NewEncoder(os.Stdout)
			e.SetIndent("", "  ")
			return e.Encode(all)
		}
		return nil
	})
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/watchword-project/watchword/client"
)

type keysCmd struct {
	Create keysCreateCmd `cmd:"" help:"Create a key and print its secret, once."`
	List   keysListCmd   `cmd:"" help:"List keys."`
	Revoke keysRevokeCmd `cmd:"" help:"Revoke a key."`
}

type keysCreateCmd struct {
	Name     string        `arg:"" help:"What the key is for."`
	Tenant   string        `help:"Tenant whose data the key reaches."`
	Preset   string        `help:"Role, in place of scopes: system-admin, security-admin or audit-admin." xor:"scopes" required:""`
	Scopes   []string      `help:"Scopes, separated by commas, such as credential.verify,credential.write." xor:"scopes" required:""`
	Networks []string      `help:"Networks the key may be used from."`
	Expires  time.Duration `help:"How long the key lives, such as 2160h."`
	Out      string        `help:"Write the secret to this new file (0600) instead of printing it." type:"path"`
}

func (k *keysCreateCmd) Run(ctx context.Context, c *cli) error {
	n := client.NewKey{Name: k.Name, Tenant: k.Tenant, Preset: k.Preset, Scopes: k.Scopes, Networks: k.Networks}
	if k.Expires < 0 {
		return errors.New("--expires is not in the future")
	}
	if k.Expires > 0 {
		n.Expires = time.Now().Add(k.Expires)
	}
	var out *os.File
	if k.Out != "" {
		// Before the key is made: a secret that cannot be written is lost.
		f, err := os.OpenFile(k.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("key file: %w", err)
		}
		out = f
	}
	err := c.ask(func(s *client.Client) error {
		key, secret, err := s.CreateKey(ctx, n)
		if err != nil {
			return err
		}
		if out == nil {
			return c.print(map[string]any{"key": key, "secret": secret}, func() { fmt.Println(secret) })
		}
		if _, err := fmt.Fprintln(out, secret); err != nil {
			return fmt.Errorf("key file: %w", err)
		}
		return c.print(map[string]any{"key": key}, func() { fmt.Println(key.ID) })
	})
	if out != nil {
		err = errors.Join(err, out.Close())
		if err != nil {
			_ = os.Remove(k.Out)
		}
	}
	return err
}

type keysListCmd struct{}

func (keysListCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		keys, err := s.ListKeys(ctx)
		if err != nil {
			return err
		}
		return c.print(map[string]any{"keys": keys}, func() {
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tNAME\tTENANT\tROLE OR SCOPES\tSTATE")
			for _, k := range keys {
				role := k.Preset
				if role == "" {
					role = strings.Join(k.Scopes, ",")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Tenant, role, keyState(k, time.Now()))
			}
			_ = w.Flush()
		})
	})
}

func keyState(k client.Key, now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked"
	case !k.Expires.IsZero() && !now.Before(k.Expires):
		return "expired"
	}
	return "live"
}

type keysRevokeCmd struct {
	ID string `arg:"" help:"Id of the key."`
}

func (k *keysRevokeCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error { return s.RevokeKey(ctx, k.ID) })
}

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

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/daemon"
)

// callTimeout bounds what a command asks of the running server.
const callTimeout = 10 * time.Second

// ask calls the running server through the socket in its data directory.
func ask(c *cli, f func(ctx context.Context, s *daemon.Operator) error) error {
	return askWithin(c, callTimeout, f)
}

func askWithin(c *cli, limit time.Duration, f func(ctx context.Context, s *daemon.Operator) error) error {
	s, err := daemon.Operate(c.DataDir)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := f(ctx, s); err != nil {
		if st, ok := status.FromError(err); ok {
			return errors.New(st.Message())
		}
		return err
	}
	return nil
}

type healthCmd struct{}

func (healthCmd) Run(c *cli) error {
	return ask(c, func(ctx context.Context, s *daemon.Operator) error {
		r, err := s.Health.Check(ctx, &healthpb.HealthCheckRequest{})
		if err != nil {
			return err
		}
		if r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			return errors.New("not ready")
		}
		fmt.Println("ready")
		return nil
	})
}

type tenantCmd struct {
	Destroy tenantDestroyCmd `cmd:"" help:"Destroy a tenant with all that is held for it, for good."`
}

type tenantDestroyCmd struct {
	Name    string `arg:"" help:"Name of the tenant."`
	Confirm string `help:"The name again." required:"" placeholder:"NAME"`
}

// destroyTimeout bounds the destruction of a large tenant.
const destroyTimeout = time.Hour

func (d *tenantDestroyCmd) Run(c *cli) error {
	if d.Confirm != d.Name {
		return errors.New("--confirm is not the name of the tenant: nothing was destroyed")
	}
	return askWithin(c, destroyTimeout, func(ctx context.Context, s *daemon.Operator) error {
		n, err := s.DestroyTenant(ctx, d.Name)
		if err != nil {
			return err
		}
		fmt.Printf("destroyed, with %d credentials. Backups from before still hold it: drop them, or restore them only here, where it is destroyed again at the start\n", n)
		return nil
	})
}

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Create a key and print its secret, once."`
	List   keyListCmd   `cmd:"" help:"List keys."`
	Revoke keyRevokeCmd `cmd:"" help:"Revoke a key."`
}

type keyCreateCmd struct {
	Name     string        `arg:"" help:"What the key is for."`
	Tenant   string        `help:"Tenant whose data the key reaches."`
	Preset   string        `help:"Role, in place of scopes: system-admin, security-admin or audit-admin." xor:"scopes" required:""`
	Scopes   []string      `help:"Scopes, separated by commas, such as credential.verify,credential.write." xor:"scopes" required:""`
	Networks []string      `help:"Networks the key may be used from."`
	Expires  time.Duration `help:"How long the key lives, such as 2160h."`
}

func (k *keyCreateCmd) Run(c *cli) error {
	return ask(c, func(ctx context.Context, s *daemon.Operator) error {
		q := &watchwordv1.CreateKeyRequest{Name: k.Name, Tenant: k.Tenant, Preset: k.Preset, Scopes: k.Scopes, Networks: k.Networks}
		if k.Expires < 0 {
			return errors.New("--expires is not in the future")
		}
		if k.Expires > 0 {
			q.ExpireTime = timestamppb.New(time.Now().Add(k.Expires))
		}
		r, err := s.Admin.CreateKey(ctx, q)
		if err != nil {
			return err
		}
		fmt.Println(r.GetSecret())
		return nil
	})
}

type keyListCmd struct{}

func (keyListCmd) Run(c *cli) error {
	return ask(c, func(ctx context.Context, s *daemon.Operator) error {
		r, err := s.Admin.ListKeys(ctx, &watchwordv1.ListKeysRequest{})
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tTENANT\tROLE OR SCOPES\tSTATE")
		for _, k := range r.GetKeys() {
			role, state := k.GetPreset(), "live"
			if role == "" {
				role = strings.Join(k.GetScopes(), ",")
			}
			switch {
			case k.GetRevokeTime() != nil:
				state = "revoked"
			case k.GetExpireTime() != nil && k.GetExpireTime().AsTime().Before(time.Now()):
				state = "expired"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.GetId(), k.GetName(), k.GetTenant(), role, state)
		}
		return w.Flush()
	})
}

type keyRevokeCmd struct {
	ID string `arg:"" help:"Id of the key."`
}

func (k *keyRevokeCmd) Run(c *cli) error {
	return ask(c, func(ctx context.Context, s *daemon.Operator) error {
		_, err := s.Admin.RevokeKey(ctx, &watchwordv1.RevokeKeyRequest{Id: k.ID})
		return err
	})
}

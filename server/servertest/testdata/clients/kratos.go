// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Ory Kratos's own validator of passwords, as its sources have it, against our
// range service. It is built as a command of Kratos's module. Arguments: host
// with port, a listed password, the count up to which it is let through.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/ory/x/configx"
	"github.com/ory/x/contextx"
	"github.com/ory/x/logrusx"

	"github.com/ory/kratos/driver/config"
	"github.com/ory/kratos/selfservice/strategy/password"
)

type registry struct{ c *config.Config }

func (r registry) Config() *config.Config { return r.c }

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(host, listed, count string) error {
	ctx := context.Background()
	most, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		host, password string
		most           int
		fails          bool
	}{
		{host, listed, most, false},
		{host, listed, most - 1, true},
		{host, listed + " but not this", 0, false},
		{"127.0.0.1:1", listed, 0, true}, // an answer is needed
	} {
		p, err := configx.New(ctx, []byte("{}"), configx.SkipValidation(), configx.WithValues(map[string]any{
			config.ViperKeyPasswordHaveIBeenPwnedHost:    c.host,
			config.ViperKeyPasswordHaveIBeenPwnedEnabled: true,
			config.ViperKeyPasswordMaxBreaches:           c.most,
			config.ViperKeyPasswordMinLength:             6,
			config.ViperKeyIgnoreNetworkErrors:           false,
		}))
		if err != nil {
			return err
		}
		v, err := password.NewDefaultPasswordValidatorStrategy(registry{config.NewCustom(logrusx.New("", ""), p, io.Discard, &contextx.Default{})})
		if err != nil {
			return err
		}
		v.Client.RetryMax = 0
		if err := v.Validate(ctx, "", c.password); (err != nil) != c.fails {
			return fmt.Errorf("%s, at most %d: %v, want an error: %v", c.host, c.most, err, c.fails)
		}
	}
	return nil
}

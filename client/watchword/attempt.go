// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"fmt"

	"github.com/watchword-project/watchword/client"
)

type attemptCmd struct {
	Begin    attemptBeginCmd    `cmd:"" help:"Reserve an attempt and print its token. Exits with 3 when none is left."`
	Complete attemptCompleteCmd `cmd:"" help:"Say what came of an attempt."`
}

type attemptBeginCmd struct {
	Subject string `arg:"" help:"Account id."`
	sourceFlags
}

func (k *attemptBeginCmd) Run(ctx context.Context, c *cli) error {
	from, err := k.source()
	if err != nil {
		return err
	}
	return c.ask(func(s *client.Client) error {
		a, err := s.Begin(ctx, k.Subject, from, nil)
		if err != nil {
			return err
		}
		return c.print(map[string]string{"attemptToken": a.Token()}, func() { fmt.Println(a.Token()) })
	})
}

type attemptCompleteCmd struct {
	Token   string `arg:"" help:"Token of the attempt."`
	Outcome string `arg:"" help:"success, bad-secret, second-factor-failed or cancelled." enum:"success,bad-secret,second-factor-failed,cancelled"`
}

var outcomes = map[string]client.Outcome{
	"success": client.Success, "bad-secret": client.BadSecret,
	"second-factor-failed": client.SecondFactorFailed, "cancelled": client.Cancelled,
}

func (k *attemptCompleteCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		done, err := s.Resume(k.Token).Complete(ctx, outcomes[k.Outcome])
		if err != nil {
			return err
		}
		return c.print(done, func() { printNotify(done.Notify) })
	})
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"fmt"

	"github.com/watchword-project/watchword/client"
)

type privateCheckCmd struct {
	secretFlags
	List string `help:"Version of the private list, as its keeper gave it out." env:"WATCHWORD_PRIVATE_LIST" required:""`
}

func (k *privateCheckCmd) Run(ctx context.Context, c *cli) error {
	secrets, err := k.read("Password: ")
	if err != nil {
		return err
	}
	return c.askOf(k.List, func(s *client.Client) error {
		found, similar, err := s.PrivateCheck(ctx, secrets[0])
		if err != nil {
			return err
		}
		err = c.print(map[string]bool{"found": found, "similar": similar}, func() {
			switch {
			case found:
				fmt.Println("listed")
			case similar:
				fmt.Println("near to a listed one")
			default:
				fmt.Println("not listed")
			}
		})
		if err == nil && (found || similar) {
			return &no{exitNo}
		}
		return err
	})
}

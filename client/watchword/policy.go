// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/watchword-project/watchword/client"
)

type policyCmd struct {
	List     policyListCmd     `cmd:"" help:"List the policies."`
	Get      policyGetCmd      `cmd:"" help:"Print a policy as YAML."`
	Describe policyDescribeCmd `cmd:"" help:"Tell a policy in words."`
}

type policyListCmd struct{}

func (policyListCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		list, err := s.Policies(ctx)
		if err != nil {
			return err
		}
		return c.print(map[string]any{"policies": list}, func() {
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "POLICY\tVERSION\tDEFAULT\tTITLE")
			for _, p := range list {
				mark := ""
				if p.Default {
					mark = "yes"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, p.Version, mark, p.Title)
			}
			_ = w.Flush()
		})
	})
}

type policyGetCmd struct {
	Policy        string `arg:"" help:"Name of the policy."`
	PolicyVersion string `help:"Version; the current one unless given."`
}

func (k *policyGetCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		p, err := s.Policy(ctx, k.Policy, k.PolicyVersion)
		if err != nil {
			return err
		}
		return c.print(p, func() { fmt.Print(p.YAML) })
	})
}

type policyDescribeCmd struct {
	Policy      string `arg:"" optional:"" help:"Name of the policy; the default one unless given."`
	Locale      string `help:"Language: en or zh-CN." enum:"en,zh-CN" default:"en"`
	MultiFactor bool   `help:"A second factor stands beside the password."`
}

func (k *policyDescribeCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		d, err := s.DescribePolicy(ctx, k.Policy, client.CheckOptions{Locale: k.Locale, MultiFactor: k.MultiFactor})
		if err != nil {
			return err
		}
		return c.print(d, func() {
			for _, line := range d.Text {
				fmt.Println(line)
			}
		})
	})
}

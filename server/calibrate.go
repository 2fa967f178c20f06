// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/watchword-project/watchword/server/internal/daemon"
	"github.com/watchword-project/watchword/server/internal/password"
)

// calibrateCmd measures this machine with all hashing slots busy.
type calibrateCmd struct {
	P95       time.Duration `name:"p95" default:"150ms" help:"Longest that 95 of 100 hashes may take with all slots busy."`
	PerSecond float64       `default:"10" help:"Logins a second at the busiest time." name:"logins-per-second"`
	Headroom  float64       `default:"0.5" help:"Share of the machine that these may take, up to 1."`
	Memory    string        `help:"Memory of all hashes together, such as 256MiB (default: a quarter of the machine's, at most 1GiB)."`
	Quick     bool          `help:"Measure each candidate for a tenth of the time."`
	JSON      bool          `help:"Print JSON."`
	Check     bool          `help:"Measure only the parameters of the configuration; exit 3 when they are over the targets."`
	Write     string        `help:"Write the proposal to this new file as a configuration." type:"path"`
}

// exitError is an error with an exit status of its own.
type exitError struct {
	error
	code int
}

func (k *calibrateCmd) Run(c *cli) error {
	want := password.Calibration{P95: k.P95, PerSecond: k.PerSecond, Headroom: k.Headroom}
	if k.Memory != "" {
		b, err := daemon.ParseBytes(k.Memory)
		if err != nil {
			return err
		}
		want.MemoryBudget = int64(b)
	}
	if k.Quick {
		want.Turn = 200 * time.Millisecond
	}
	if k.Check {
		config, err := c.config()
		if err != nil {
			return err
		}
		want.Only = []password.Params{config.Hashing.Params()}
		want.MemoryBudget = int64(config.Hashing.MemoryBudget)
	}
	if k.Write != "" { // better to hear it before a minute of measuring
		if _, err := os.Lstat(k.Write); err == nil {
			return fmt.Errorf("%s exists, and may be the configuration in use: name a new file, or copy what is proposed from the output", k.Write)
		}
	}
	return interruptible(func(ctx context.Context) error {
		p, err := password.Calibrate(ctx, want, password.DetectMachine(os.DirFS("/")))
		if err != nil {
			return err
		}
		if k.JSON {
			e := json.NewEncoder(os.Stdout)
			e.SetIndent("", "  ")
			err = e.Encode(p)
		} else {
			err = tabulate(os.Stdout, p)
		}
		switch {
		case err != nil:
			return err
		case p.Choice == nil && k.Check:
			return exitError{errors.New("the configured parameters are over the targets: " + p.Missing), 3}
		case p.Choice == nil:
			return errors.New(p.Missing)
		case k.Write != "":
			return writeNew(k.Write, []byte(proposal(p)), 0o600)
		}
		return nil
	})
}

func tabulate(w io.Writer, p password.Proposal) error {
	fmt.Fprintf(w, "%d processors, %d MiB, huge pages %q, kernel %s\n\n", p.Machine.CPUs, p.Machine.Memory>>20, p.Machine.HugePages, p.Kernel)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "memory\tpasses\tslots\thashes/s\tp50\tp95\tall memory\t \t")
	for _, r := range p.Rows {
		fmt.Fprintf(t, "%d MiB\t%d\t%d\t%.1f\t%v\t%v\t%d MiB\t%s\t\n", r.Params.Memory>>10, r.Params.Time, r.Slots, r.PerSecond,
			r.P50.Round(time.Millisecond), r.P95.Round(time.Millisecond), r.Memory>>20, r.Problem)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if p.Choice == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nA guesser with a machine like this one tries %.0f passwords a second. In the configuration:\n\n%s", p.Choice.PerSecond, proposal(p))
	return err
}

// proposal is the chosen row as a piece of configuration.
func proposal(p password.Proposal) string {
	c := p.Choice
	return fmt.Sprintf("hashing:\n  memory: %dMiB\n  time: %d\n  parallelism: %d\n  memory_budget: %dMiB\n  calibrated: %s\n",
		c.Params.Memory>>10, c.Params.Time, c.Params.Parallelism, max(c.Memory>>20, 1), time.Now().Format(time.DateOnly))
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/daemon"
)

// exitFindings is doctor's exit code when it found anything.
const exitFindings = 3

// examineTimeout bounds an examination, neighbours and the event log included.
const examineTimeout = time.Minute

type doctorCmd struct {
	JSON   bool   `help:"Print JSON." name:"json"`
	Locale string `help:"Language of the texts: en or zh-CN." enum:"en,zh-CN" default:"en"`
}

// finding is one line of doctor's JSON.
type finding struct {
	Check    string   `json:"check"`
	Severity string   `json:"severity"`
	Message  string   `json:"message"`
	Clauses  []string `json:"clauses"`
	Fix      string   `json:"fix"`
}

func (d *doctorCmd) Run(c *cli) error {
	ctx, cancel := context.WithTimeout(context.Background(), examineTimeout)
	defer cancel()
	found, err := d.examine(ctx, c)
	if err != nil {
		return err
	}
	list := make([]finding, len(found))
	for i, f := range found {
		list[i] = finding{f.GetCheck(), strings.TrimPrefix(f.GetSeverity().String(), "SEVERITY_"), f.GetMessage(), f.GetClauses(), f.GetFix()}
	}
	if d.JSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(map[string]any{"findings": list}); err != nil {
			return err
		}
	} else {
		for _, f := range list {
			fmt.Printf("%-8s %s: %s\n         %s\n         %s\n", f.Severity, f.Check, f.Message, f.Fix, strings.Join(f.Clauses, "; "))
		}
	}
	if len(list) > 0 {
		return exitError{fmt.Errorf("%d findings", len(list)), exitFindings}
	}
	if !d.JSON {
		fmt.Println("no findings")
	}
	return nil
}

// examine asks the running server, which knows its state, or looks itself when
// none runs.
func (d *doctorCmd) examine(ctx context.Context, c *cli) ([]*watchwordv1.ExposureFinding, error) {
	s, err := daemon.Operate(c.DataDir)
	if err == nil {
		defer s.Close()
		r, err := s.Admin.GetExposure(ctx, &watchwordv1.GetExposureRequest{Locale: d.Locale})
		if err == nil {
			return r.GetFindings(), nil
		}
		if !unreachable(err) {
			return nil, told(err)
		}
	} else if !errors.Is(err, daemon.ErrNotRunning) {
		return nil, err
	}
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	return daemon.Examine(ctx, config, c.DataDir, d.Locale)
}

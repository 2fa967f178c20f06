// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/daemon"
)

type policyEvidenceCmd struct {
	Standard string `help:"Standard: mlps-l3, nist-800-63b-4, asvs-5 or pci-4.0.1." enum:"mlps-l3,nist-800-63b-4,asvs-5,pci-4.0.1" required:""`
	Locale   string `help:"Language: en or zh-CN." enum:"en,zh-CN" default:"en"`
	Out      string `help:"Directory to write to; made if it is not there." type:"path" default:"."`
}

func (e *policyEvidenceCmd) Run(c *cli) error {
	ctx, cancel := context.WithTimeout(context.Background(), examineTimeout)
	defer cancel()
	html, js, err := e.gather(ctx, c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(e.Out, 0o700); err != nil {
		return err
	}
	base := filepath.Join(e.Out, "evidence-"+e.Standard+"."+e.Locale)
	for suffix, content := range map[string][]byte{".html": html, ".json": js} {
		if err := writePrivate(base+suffix, content); err != nil {
			return err
		}
	}
	var pack struct {
		Source  string         `json:"source"`
		Results map[string]int `json:"results"`
	}
	if err := json.Unmarshal(js, &pack); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s.html\n%s.json\n%s\n", base, base, pack.Source)
	for _, r := range []string{"met", "partly", "not_met", "organisational", "not_applicable"} {
		fmt.Fprintf(w, "%s\t%d\n", r, pack.Results[r])
	}
	return w.Flush()
}

// gather asks the running server, which knows what it has in force, or looks
// itself when none runs.
func (e *policyEvidenceCmd) gather(ctx context.Context, c *cli) (html, js []byte, err error) {
	s, err := daemon.Operate(c.DataDir)
	if err == nil {
		defer s.Close()
		r, err := s.Admin.GetEvidence(ctx, &watchwordv1.GetEvidenceRequest{Standard: e.Standard, Locale: e.Locale})
		if err == nil {
			return []byte(r.GetHtml()), []byte(r.GetJson()), nil
		}
		if !unreachable(err) {
			return nil, nil, told(err)
		}
	} else if !errors.Is(err, daemon.ErrNotRunning) {
		return nil, nil, err
	}
	config, err := c.config()
	if err != nil {
		return nil, nil, err
	}
	html, js, found, err := daemon.Evidence(ctx, config, c.DataDir, build(), e.Standard, e.Locale)
	if err == nil && !found {
		err = errors.New("not a standard that is known")
	}
	return html, js, err
}

// writePrivate writes a file that only this user can read, whatever lay there.
func writePrivate(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".watchword-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

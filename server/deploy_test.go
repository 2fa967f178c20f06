// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/watchword-project/watchword/server/internal/daemon"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
)

// example gives the block of the README that follows a mark.
func example(t *testing.T, mark string) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(b), "<!-- "+mark+" -->\n```")
	_, after, _ = strings.Cut(after, "\n")
	text, _, closed := strings.Cut(after, "```\n")
	if !found || !closed {
		t.Fatalf("README.md has no example %s", mark)
	}
	return text
}

// TestReadmeUnit holds the unit of the README against systemd's own check, and
// its exposure under the 2.0 that systemd calls OK at the best.
func TestReadmeUnit(t *testing.T) {
	analyze := procs.Find(t, "systemd-analyze")
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.LookupId("1") // any user there is
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.NewReplacer("/usr/local/bin/watchword-server", self, "User=watchword", "User="+me.Username).Replace(example(t, "watchword.service"))
	path := filepath.Join(dir, "watchword.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", path}, {"security", "--offline=true", "--threshold=20", path}} {
		if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || args[0] == "verify" && len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("systemd-analyze %s: %v: %s", args[0], err, out)
		}
	}
	if !strings.Contains(unit, "ExecReload=/bin/kill -HUP") || !strings.Contains(unit, "TimeoutStopSec=40") || stopTimeout.Seconds() >= 40 {
		t.Error("the unit does not fit how the server reloads and stops")
	}
}

// TestReadmeKubernetes takes the example apart: its configuration is one that the
// server takes, its commands are the server's, and its pod is locked down.
func TestReadmeKubernetes(t *testing.T) {
	type container struct {
		Args            []string
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		} `yaml:"securityContext"`
		Ports []struct {
			ContainerPort int `yaml:"containerPort"`
		}
		ReadinessProbe struct{ Exec struct{ Command []string } } `yaml:"readinessProbe"`
	}
	var config string
	var pod struct {
		Grace           int `yaml:"terminationGracePeriodSeconds"`
		SecurityContext struct {
			RunAsNonRoot bool `yaml:"runAsNonRoot"`
		} `yaml:"securityContext"`
		InitContainers []container `yaml:"initContainers"`
		Containers     []container
	}
	for d := yaml.NewDecoder(strings.NewReader(example(t, "watchword.yaml"))); ; {
		var o struct {
			Kind string
			Data map[string]string
			Spec struct{ Template struct{ Spec yaml.Node } }
		}
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch o.Kind {
		case "ConfigMap":
			config = o.Data["watchword.yaml"]
		case "StatefulSet":
			if err := o.Spec.Template.Spec.Decode(&pod); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := daemon.Read(strings.NewReader(config))
	if err != nil || len(pod.Containers) != 1 || len(pod.InitContainers) != 1 {
		t.Fatalf("%v; %+v", err, pod)
	}
	for _, p := range pod.Containers[0].Ports {
		if want := ":" + map[int]string{9443: "9443", 8443: "8443", 9464: "9464"}[p.ContainerPort]; !slices.ContainsFunc(
			[]string{c.Listen.GRPC, c.Listen.HTTP, c.Telemetry.MetricsAddr}, func(a string) bool { return strings.HasSuffix(a, want) }) {
			t.Errorf("nobody listens on port %d", p.ContainerPort)
		}
	}
	for _, k := range append(pod.InitContainers, pod.Containers...) {
		if s := k.SecurityContext; !pod.SecurityContext.RunAsNonRoot || !s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
			t.Errorf("%v is not locked down", k.Args)
		}
	}
	if pod.Grace <= int(stopTimeout.Seconds()) {
		t.Error("the pod is killed before the server has stopped")
	}
	data := filepath.Join(t.TempDir(), "data")
	place := func(args []string) []string {
		args = slices.Clone(args)
		for i := range args {
			args[i] = strings.Replace(args[i], "/data/watchword", data, 1)
		}
		return args
	}
	for range 2 { // a pod that starts again finds the keys
		if out, err := exec.Command("watchword-server", place(pod.InitContainers[0].Args)...).CombinedOutput(); err != nil {
			t.Errorf("the first container: %v: %s", err, out)
		}
	}
	probe := pod.Containers[0].ReadinessProbe.Exec.Command
	out, err := exec.Command("watchword-server", place(probe)[1:]...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no server is running") {
		t.Errorf("the probe without a server: %v: %s", err, out)
	}
}

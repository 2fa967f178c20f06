// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
)

// TestOtherLanguages calls the server from Node and Python, and with the
// command-line tools of gRPC, all unmodified, by the descriptors it writes.
func TestOtherLanguages(t *testing.T) {
	dir := t.TempDir()
	var set bytes.Buffer
	if err := writeProtoset(&set); err != nil {
		t.Fatal(err)
	}
	protoset := filepath.Join(dir, "watchword.binpb")
	if err := os.WriteFile(protoset, set.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := servertest.New(t)
	script := func(t *testing.T, name string) string {
		b, err := os.ReadFile(filepath.Join("testdata", "clients", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name) // beside the packages it needs
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(t *testing.T, name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(t *testing.T, name string, args ...string) string {
		t.Helper()
		out, err := run(t, name, args...)
		if err != nil {
			t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
		}
		return out
	}

	t.Run("Node", func(t *testing.T) {
		node, npm := procs.Find(t, "node"), procs.Find(t, "npm")
		must(t, npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, "@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1")
		must(t, node, script(t, "calls.cjs"), s.GRPCAddr, s.Key, protoset)
	})
	t.Run("Python", func(t *testing.T) {
		const python = "/usr/bin/python3" // Debian's, whose packages these are
		if _, err := run(t, python, "-c", "import grpc, google.protobuf"); err != nil {
			procs.Missing(t, "no Python with grpcio and protobuf")
		}
		must(t, python, script(t, "calls.py"), s.GRPCAddr, s.Key, protoset)
	})

	t.Run("grpcurl", func(t *testing.T) {
		grpcurl := procs.GoTool(t, "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3")
		const check = "watchword.v1.PasswordService/CheckPassword"
		call := func(header string) (string, error) {
			return run(t, grpcurl, "-plaintext", "-protoset", protoset, "-H", header, "-d", `{"password":"password"}`, s.GRPCAddr, check)
		}
		if out, err := call("Authorization: Bearer " + s.Key); err != nil || !strings.Contains(out, "DECISION_REJECT") {
			t.Errorf("with the key: %v\n%s", err, out)
		}
		if out, err := call("X-Nothing: x"); err == nil || !strings.Contains(out, "Unauthenticated") {
			t.Errorf("without a key: %v\n%s", err, out)
		}
		// Reflection is for callers with system.read alone.
		if out := must(t, grpcurl, "-plaintext", "-H", "Authorization: Bearer "+s.Key, s.GRPCAddr, "describe", strings.ReplaceAll(check, "/", ".")); !strings.Contains(out, "rpc CheckPassword") {
			t.Errorf("reflection with the key: %s", out)
		}
		if out, err := run(t, grpcurl, "-plaintext", s.GRPCAddr, "list"); err == nil {
			t.Errorf("reflection without a key:\n%s", out)
		}
	})
	t.Run("grpc-health-probe", func(t *testing.T) {
		probe := procs.GoTool(t, "github.com/grpc-ecosystem/grpc-health-probe@v0.4.61")
		if out := must(t, probe, "-addr="+s.GRPCAddr); !strings.Contains(out, "SERVING") {
			t.Errorf("a server that serves: %s", out)
		}
		s.Stop()
		if out, err := run(t, probe, "-addr="+s.GRPCAddr, "-connect-timeout=2s"); err == nil {
			t.Errorf("a server that is gone: %s", out)
		}
	})
}

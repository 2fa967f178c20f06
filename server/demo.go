// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/daemon"
	"github.com/watchword-project/watchword/wordlists"
)

type demoCmd struct{}

func (demoCmd) Run() error {
	return interruptible(func(ctx context.Context) error {
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // the terminal was closed
		defer stop()
		return demo(ctx, os.Stdout)
	})
}

// demo runs a server on free ports of the loopback with something in it, says
// what to try, and removes everything when ctx ends.
func demo(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "watchword-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := demoConfig(ctx, dir)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	server, err := daemon.Start(ctx, daemon.Options{Config: c, DataDir: data,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	defer func() {
		late, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		err = errors.Join(err, server.Stop(late))
	}()
	key := filepath.Join(data, "admin.key")
	if err := fillDemo(ctx, server.GRPCAddr(), key); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	rest := "http://" + server.HTTPAddr().String()
	call := func(path, body string) string {
		return fmt.Sprintf(`curl -s %s/v1/%s -H "Authorization: Bearer $(cat %s)" -H 'Content-Type: application/json' -d '%s'`, rest, path, key, body)
	}
	fmt.Fprintf(out, `A server for trying out, for this machine only. It ends with Ctrl-C, and then
nothing of it is left.

What is wrong with a password, in words:

  %s

A login of somebody who has one (the sixth wrong guess has to wait):

  %s

What an audit of four accounts found:

  %s

The operator's page: http://%s/
  its key: cat %s
`, call("passwords:check", `{"password":"Zhangwei1990","policy":"demo","context":{"names":["张伟"]}}`),
		call("credentials:verify", `{"subject":"alice","password":"tangled lantern orbit 7 walrus"}`),
		call("audits:list", `{}`), server.AdapterAddr("listen.console"), key)
	select {
	case <-ctx.Done():
		return nil
	case err := <-server.Failed():
		return err
	}
}

// demoPolicy is a policy that an operator might write.
const demoPolicy = `version: 1
extends: nist-800-63b-4
rules:
  length: {min: 12, min_mfa: 8}
`

// demoConfig writes a policy and a small corpus, and configures both.
func demoConfig(ctx context.Context, dir string) (daemon.Config, error) {
	c := daemon.Default()
	c.Listen.GRPC, c.Listen.HTTP, c.Listen.Console = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Policy.Dir = filepath.Join(dir, "policies")
	corpus := filepath.Join(dir, "sample.wwix")
	c.Corpora = []daemon.Corpus{{Name: "sample", Path: corpus}}
	err := errors.Join(os.Mkdir(c.Policy.Dir, 0o700), os.WriteFile(filepath.Join(c.Policy.Dir, "demo.yaml"), []byte(demoPolicy), 0o600))
	if err != nil {
		return c, err
	}
	var words strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&words, "sample password %d\n", i)
	}
	_, err = wordlists.Build(ctx, wordlists.BuildOptions{Reader: strings.NewReader(words.String()), Out: corpus, From: wordlists.FromWords, Full: true, Name: "sample"})
	return c, err
}

// fillDemo keeps a password, spends a budget, and audits accounts as another
// system might have left them.
func fillDemo(ctx context.Context, addr netip.AddrPort, keyFile string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	c, err := client.New(client.Options{Addr: addr.String(), Key: strings.TrimSpace(string(key))})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Set(ctx, "alice", "tangled lantern orbit 7 walrus", client.SetOptions{}); err != nil {
		return err
	}
	for i := range 6 {
		_, err := c.Verify(ctx, "mallory's victim", fmt.Sprintf("guess %d", i), client.Source{IP: "192.0.2.7"})
		if denied := (*client.DeniedError)(nil); err != nil && !errors.As(err, &denied) {
			return err
		}
	}
	a, err := c.CreateAudit(ctx, client.NewAudit{Guesses: 20_000})
	if err != nil {
		return err
	}
	records := []client.AuditRecord{
		{ID: "1001", Hash: salted("Welcome1")},
		{ID: "1002", Hash: salted("zhangwei1990"), Person: client.Person{Names: []string{"张伟"}, BirthDate: "1990-03-14"}},
		{ID: "1003", Hash: salted("admin"), Person: client.Person{Login: "admin"}, Flags: []string{"privileged"}},
		{ID: "1004", Hash: salted("clamber-oval-tundra-9")},
	}
	_, err = c.Upload(ctx, a.ID, 0, func(yield func(client.AuditRecord) bool) {
		for _, r := range records {
			if !yield(r) {
				return
			}
		}
	}, true)
	if err != nil {
		return err
	}
	for one, err := range c.WatchAudit(ctx, a.ID) {
		if err != nil || one.State == "FAILED" {
			return errors.Join(err, errors.New("the audit did not end"))
		}
		if one.Over() {
			break
		}
	}
	return nil
}

// salted is a hash of the kind that directories have kept, {SSHA} (RFC 2307).
func salted(password string) string {
	salt := make([]byte, 8)
	rand.Read(salt)
	sum := sha1.Sum(append([]byte(password), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

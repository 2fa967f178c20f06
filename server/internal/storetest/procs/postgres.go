// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package procs

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// PG is a running PostgreSQL server.
type PG struct {
	*Process
	port int
}

// Postgres starts a PostgreSQL server with one superuser "watchword" who needs
// no password. Arguments are settings for its configuration file, as in
// "fsync=off", which makes tests quick and loses nothing that is written when
// only the server dies.
func Postgres(t testing.TB, settings ...string) *PG {
	t.Helper()
	const debian = "/usr/lib/postgresql/*/bin/"
	initdb, postgres := Find(t, "initdb", debian+"initdb"), Find(t, "postgres", debian+"postgres")
	attr, uid, gid := unprivileged(t, "postgres")
	// Not t.TempDir, whose parents only this user may enter.
	dir, err := os.MkdirTemp("", "watchword-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	c := exec.Command(initdb, "-D", data, "-U", "watchword", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	c.Dir, c.SysProcAttr = dir, &attr
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	pg := &PG{port: FreePort(t)}
	config, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(config, "\n%s\n", strings.Join(settings, "\n"))
	if err := config.Close(); err != nil {
		t.Fatal(err)
	}
	pg.Process = newProcess(t, dir, attr, postgres, "-D", data, "-p", fmt.Sprint(pg.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
	pg.Start(t)
	return pg
}

// DSN returns the connection string of a database, which need not exist yet.
func (pg *PG) DSN(database string) string {
	return fmt.Sprintf("postgres://watchword@127.0.0.1:%d/%s?sslmode=disable", pg.port, database)
}

// Start starts the server again after Kill, on the same port and data.
func (pg *PG) Start(t testing.TB) {
	t.Helper()
	if err := pg.start(pg.ready); err != nil {
		t.Fatal(err)
	}
}

// ready says whether the server takes connections: it answers a request for TLS
// with one byte as soon as it listens, and refuses a start-up packet with an
// error while it recovers.
func (pg *PG) ready(ctx context.Context) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", fmt.Sprint("127.0.0.1:", pg.port))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	start := "user\x00watchword\x00database\x00postgres\x00\x00"
	packet := append([]byte{0, 0, 0, byte(8 + len(start)), 0, 3, 0, 0}, start...) // protocol 3.0
	if _, err := c.Write(packet); err != nil {
		return err
	}
	answer := make([]byte, 1)
	if _, err := c.Read(answer); err != nil {
		return err
	}
	if answer[0] != 'R' { // AuthenticationOk
		return fmt.Errorf("the server answers %q", answer)
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-project/watchword/server/internal/pgstore"
	"github.com/watchword-project/watchword/server/internal/storetest"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

var databases atomic.Int32

// database makes an empty database and returns its connection string.
func database(t testing.TB, pg *procs.PG) string {
	t.Helper()
	name := fmt.Sprint("w", databases.Add(1))
	run(t, pg.DSN("postgres"), `CREATE DATABASE `+name)
	return pg.DSN(name)
}

// schema makes an empty schema in the database "postgres", which is much quicker,
// and returns the connection string.
func schema(t testing.TB, pg *procs.PG) string {
	t.Helper()
	name := fmt.Sprint("w", databases.Add(1))
	run(t, pg.DSN("postgres"), `CREATE SCHEMA `+name)
	return pg.DSN("postgres") + "&search_path=" + name
}

func run(t testing.TB, dsn, sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func openStore(t testing.TB, dsn string) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(t.Context(), pgstore.Config{DSN: dsn})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func instance(t testing.TB, pg *procs.PG, dsn string) storetest.Instance {
	t.Helper()
	s := openStore(t, dsn)
	return storetest.Instance{
		Credentials: s,
		Objects:     s,
		Reopen: func(t testing.TB) storetest.Instance {
			s.Close()
			return instance(t, pg, dsn)
		},
		Break: func(testing.TB) { s.Close() },
	}
}

// TestPostgres runs everything against one server, whose start takes longer than
// most tests.
func TestPostgres(t *testing.T) {
	pg := procs.Postgres(t, "fsync=off")
	t.Run("Conformance", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) storetest.Instance { return instance(t, pg, schema(t, pg)) })
	})
	for _, test := range []struct {
		name string
		run  func(*testing.T, *procs.PG)
	}{
		{"MigrateAtOnce", migrateAtOnce},
		{"CheckDurability", checkDurability},
		{"ServerHangs", serverHangs},
		{"ServerCrash", serverCrash},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, pg) })
	}
}

// serverCrash kills the server and all its processes in the middle of
// writing, over and over.
func serverCrash(t *testing.T, pg *procs.PG) {
	dsn := database(t, pg)
	openStore(t, dsn).Close()
	const writers = 8
	acked := make([]uint64, writers)
	for range 3 {
		s := openStore(t, dsn)
		var done sync.WaitGroup
		for w := range writers {
			done.Go(func() {
				for {
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
					err := s.Put(ctx, storetest.Sample("crash", storetest.Subject(w), acked[w]+1))
					cancel()
					if err != nil {
						if errors.Is(err, verifier.ErrConflict) {
							t.Errorf("Put: %v", err)
						}
						return
					}
					acked[w]++
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		pg.Kill()
		done.Wait()
		s.Close()
		pg.Start(t)
		s = openStore(t, dsn)
		for w := range writers {
			r, err := s.Get(t.Context(), "crash", storetest.Subject(w))
			if errors.Is(err, verifier.ErrUnknownSubject) {
				err = nil // version 0
			}
			if err != nil || r.Version < acked[w] || r.Version > acked[w]+1 {
				t.Fatalf("writer %d: version %d, %v, after %d were acknowledged", w, r.Version, err, acked[w])
			}
			acked[w] = r.Version
		}
		s.Close()
	}
}

// serverHangs stops the server's processes: a call ends with its context,
// and none gives an answer.
func serverHangs(t *testing.T, pg *procs.PG) {
	s := openStore(t, database(t, pg))
	if err := s.Put(t.Context(), storetest.Sample("a", storetest.Subject(1), 1)); err != nil {
		t.Fatal(err)
	}
	pg.Pause()
	defer pg.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := s.Get(ctx, "a", storetest.Subject(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get = %v, want context.DeadlineExceeded", err)
	}
	if waited := time.Since(start); waited > 5*time.Second {
		t.Errorf("Get ends after %v, with a context of 500 ms", waited)
	}
}

func migrateAtOnce(t *testing.T, pg *procs.PG) {
	dsn := database(t, pg)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := pgstore.Open(t.Context(), pgstore.Config{DSN: dsn, MaxConns: 2})
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
	// A role that may not create anything serves a schema that is up to date.
	run(t, dsn, `CREATE ROLE server LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON watchword_credentials, watchword_objects TO server; GRANT SELECT ON watchword_schema TO server`)
	s := openStore(t, strings.Replace(dsn, "watchword@", "server@", 1))
	if err := s.Put(t.Context(), storetest.Sample("a", storetest.Subject(1), 1)); err != nil {
		t.Errorf("Put in a role without DDL: %v", err)
	}
	run(t, dsn, `UPDATE watchword_schema SET version = 99`)
	if _, err := pgstore.Open(t.Context(), pgstore.Config{DSN: dsn}); err == nil || !strings.Contains(err.Error(), "use a newer one") {
		t.Errorf("a schema of a later version: %v", err)
	}
	run(t, pg.DSN("postgres"), `CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	if _, err := pgstore.Open(t.Context(), pgstore.Config{DSN: pg.DSN("latin")}); err == nil || !strings.Contains(err.Error(), "UTF8") {
		t.Errorf("a database in LATIN1: %v", err)
	}
}

func checkDurability(t *testing.T, pg *procs.PG) {
	s := openStore(t, database(t, pg))
	want := func(n int) {
		t.Helper()
		if got, err := s.CheckDurability(t.Context()); err != nil || len(got) != n {
			t.Errorf("CheckDurability = %q, %v, want %d findings", got, err, n)
		}
	}
	want(1)
	run(t, pg.DSN("postgres"), `ALTER SYSTEM SET fsync = on`)
	run(t, pg.DSN("postgres"), `SELECT pg_reload_conf()`)
	defer func() {
		run(t, pg.DSN("postgres"), `ALTER SYSTEM RESET fsync`)
		run(t, pg.DSN("postgres"), `SELECT pg_reload_conf()`)
	}()
	for range 100 { // the processes of the server notice by and by
		if got, _ := s.CheckDurability(t.Context()); len(got) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	want(0)
}

func TestBadDSNIsNotRepeated(t *testing.T) {
	const secret = "hunter2"
	_, err := pgstore.Open(t.Context(), pgstore.Config{DSN: "postgres://u:" + secret + "@host:port/db"})
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Open = %v, want an error that does not repeat the connection string", err)
	}
}

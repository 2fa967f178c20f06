// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
)

// auditServer is the server as it ships, in a process of its own that can be
// killed and started again.
type auditServer struct {
	t      *testing.T
	name   string
	args   []string
	dir    string
	server *process
	c      *client.Client
}

// newAuditServer prepares a server on a store, "" for the embedded one. keys are
// of another server on the same store.
func newAuditServer(t *testing.T, name, store string, keys *auditServer) *auditServer {
	t.Helper()
	dir := t.TempDir()
	s := &auditServer{t: t, name: name, dir: filepath.Join(dir, "data")}
	config := filepath.Join(dir, "config.yaml")
	err := os.WriteFile(config, fmt.Appendf(nil, "listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0}\nhashing: {memory: 64KiB, time: 1, parallelism: 1, slots: 2, insecure_test_cost: true}\n%s", store), 0o600)
	if err == nil && keys != nil {
		err = os.Mkdir(s.dir, 0o700)
		for _, name := range []string{"signing.key", "pepper.key", "admin.key"} {
			b, e := os.ReadFile(filepath.Join(keys.dir, name))
			if e == nil {
				e = os.WriteFile(filepath.Join(s.dir, name), b, 0o600)
			}
			if e != nil {
				t.Fatal(e)
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	s.args = []string{"--data-dir", s.dir, "--config", config}
	t.Cleanup(s.kill)
	s.start()
	return s
}

func (s *auditServer) start() {
	s.t.Helper()
	s.server = start(s.t, exec.Command(s.name, s.args...))
	var err error
	if s.c, err = client.New(client.Options{Addr: s.server.addr, KeyFile: filepath.Join(s.dir, "admin.key")}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *auditServer) kill() {
	if s.server == nil {
		return
	}
	s.server.kill()
	_ = s.c.Close()
	s.server = nil
}

// auditRows are rows of which every third has a password that is guessed, and
// every seventh cannot be used.
func auditRows(t *testing.T, c *client.Client, n int) []client.AuditRecord {
	t.Helper()
	var hash [2]string
	for i, text := range []string{"iloveyou", "no guess will ever be this one"} {
		var err error
		if hash[i], err = c.Hash(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	var out []client.AuditRecord
	for i := range n {
		r := client.AuditRecord{ID: fmt.Sprintf("x%05d", i), Hash: hash[min(i%3, 1)]}
		if i%7 == 3 {
			r.Hash = "not a hash"
		}
		out = append(out, r)
	}
	return out
}

func some(rows []client.AuditRecord, disturb func(i int)) iter.Seq[client.AuditRecord] {
	return func(yield func(client.AuditRecord) bool) {
		for i, r := range rows {
			if disturb != nil {
				disturb(i)
			}
			if !yield(r) {
				return
			}
		}
	}
}

// ended waits for an audit and gives what it found; each is called at every
// look.
func ended(t *testing.T, s *auditServer, id string, each func(client.Audit)) []client.AuditFinding {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		a, err := s.c.Audit(t.Context(), id)
		if err != nil || time.Now().After(end) {
			t.Fatalf("the audit does not end: %+v, %v", a, err)
		}
		if a.Over() {
			break
		}
		if each != nil {
			each(a)
		}
	}
	var out []client.AuditFinding
	for f, err := range s.c.Findings(t.Context(), id, "") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// Enough work for some kills.
const (
	auditGuesses    = 400
	auditRowsKilled = 450
	auditKills      = 2
)

// killed runs an audit on a server that is killed in the middle of the upload
// and then, again and again, in the middle of the guesses. It gives the findings
// of an audit in peace, and those of this one.
func killed(t *testing.T, name string, rows, kills int) (want, got []client.AuditFinding) {
	s := newAuditServer(t, name, "", nil)
	ctx := t.Context()
	list := auditRows(t, s.c, rows)
	for peace := range 2 {
		a, err := s.c.CreateAudit(ctx, client.NewAudit{Guesses: auditGuesses})
		if err != nil {
			t.Fatal(err)
		}
		if peace == 0 {
			if _, err := s.c.Upload(ctx, a.ID, 0, some(list, nil), true); err != nil {
				t.Fatal(err)
			}
			want = ended(t, s, a.ID, nil)
			continue
		}
		// Only what is flushed is certain to be there after the kill.
		if _, err := s.c.Upload(ctx, a.ID, 0, some(list[:rows/3], nil), false); err != nil {
			t.Fatal(err)
		}
		_, err = s.c.Upload(ctx, a.ID, rows/3, some(list[rows/3:], func(i int) {
			if i == rows/3 {
				s.kill()
			}
		}), true)
		if err == nil {
			t.Fatal("an upload to a dead server succeeds")
		}
		s.start()
		next, err := s.c.NextRecord(ctx, a.ID)
		if err != nil || next < rows/3 {
			t.Fatalf("the upload goes on at %d, %v, want at least %d", next, err, rows/3)
		}
		if _, err := s.c.Upload(ctx, a.ID, next, some(list[next:], nil), true); err != nil {
			t.Fatal(err)
		}
		died := 0
		got = ended(t, s, a.ID, func(a client.Audit) {
			if a.State != "RUNNING" || died == kills {
				return
			}
			time.Sleep(time.Duration(20+rand.IntN(150)) * time.Millisecond)
			s.kill()
			s.start()
			died++
		})
		if died < kills {
			t.Errorf("the audit was over after %d kills: too soon to tell", died)
		}
		awaitEvents(t, a.ID, s)
	}
	return want, got
}

// auditEvents counts the events of an audit that the servers themselves wrote.
func auditEvents(t *testing.T, id string, servers ...*auditServer) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, s := range servers {
		b, err := os.ReadFile(filepath.Join(s.dir, "events.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			var e struct {
				Type, Actor, Outcome string
				Params               map[string]string
			}
			if json.Unmarshal([]byte(line), &e) == nil && e.Params["audit"] == id && e.Actor == "server" {
				out[e.Type+" "+e.Outcome]++
			}
		}
	}
	return out
}

// awaitEvents waits until the event logs tell the end of an audit, which comes
// behind the settling.
func awaitEvents(t *testing.T, id string, servers ...*auditServer) map[string]int {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		by := auditEvents(t, id, servers...)
		if by["audit.start OK"] > 0 && by["audit.end DONE"] > 0 {
			return by
		}
		if time.Now().After(end) {
			t.Fatalf("the event logs hold %v", by)
		}
	}
}

// TestAuditSurvivesKill9 holds the findings of an audit whose server is killed
// all the time against those of one in peace: none is lost, none is doubled, and
// the event log tells of start and end.
func TestAuditSurvivesKill9(t *testing.T) {
	want, got := killed(t, program(t), auditRowsKilled, auditKills)
	if len(want) < auditRowsKilled {
		t.Fatalf("%d findings in peace", len(want))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("killed (-in peace +killed):\n%s", d)
	}
}

// TestKill9IsNoticed plants the fault that the test above is there for: a
// server that makes its progress durable a moment before its findings must be
// seen to lose some. It runs in CI, or with WATCHWORD_LONG=1.
func TestKill9IsNoticed(t *testing.T) {
	procs.Slow(t, "builds another server")
	const file = "internal/audit/work.go"
	const before = "\tname := \"p-\" + newName()\n\treturn name, e.create("
	const late = `	name := "p-" + newName()
	go func() {
		time.Sleep(200 * time.Millisecond)
		_ = e.create(context.Background(), kindPage(a.ID), a.Tenant, name, appendFindings(nil, list, false))
	}()
	return name, func(context.Context, string, string, string, []byte) error { return nil }(`
	// The page that is missing must not be what ends the audit.
	const read = "\t\tif err != nil {\n\t\t\treturn nil, err\n\t\t}\n\t\tlist, err := parseFindings(plain, false)"
	bin := faulty(t, file, before, late, read, strings.Replace(read, "return nil, err", "continue", 1))
	if want, got := killed(t, bin, auditRowsKilled, auditKills); cmp.Equal(want, got) {
		t.Error("a server that loses findings was not noticed")
	} else {
		t.Logf("%d findings of %d", len(got), len(want))
	}
}

// TestServersShareAnAuditAndOneIsKilled has three servers, on a database, guess
// at one audit, and kills one of them in the middle: the others wait for its
// lease to end, and take over. It runs in CI, or with WATCHWORD_LONG=1.
func TestServersShareAnAuditAndOneIsKilled(t *testing.T) {
	procs.Slow(t, "waits for the lease of a dead server")
	name := program(t)
	stores := map[string]func(*testing.T) string{
		"postgres": func(t *testing.T) string {
			dsn := filepath.Join(t.TempDir(), "dsn")
			if err := os.WriteFile(dsn, []byte(procs.Postgres(t).DSN("postgres")), 0o600); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("store: {kind: postgres}\npostgres: {dsn_file: %q}\n", dsn)
		},
		"redis": func(t *testing.T) string {
			return fmt.Sprintf("store: {kind: redis}\nredis: {addrs: [%q]}\n", procs.RedisServer(t).Addr)
		},
	}
	for kind, store := range stores {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			config := store(t)
			servers := []*auditServer{newAuditServer(t, name, config, nil)}
			for range 2 {
				servers = append(servers, newAuditServer(t, name, config, servers[0]))
			}
			ctx := context.Background()
			list := auditRows(t, servers[0].c, 3000)
			var found [2][]client.AuditFinding
			for disturbed := range found {
				a, err := servers[1].c.CreateAudit(ctx, client.NewAudit{Guesses: auditGuesses})
				if err != nil {
					t.Fatal(err)
				}
				// Many chunks, so that each server gets some.
				for at := 0; at < len(list); at += 60 {
					if _, err := servers[at/60%3].c.Upload(ctx, a.ID, at, some(list[at:at+60], nil), at+60 == len(list)); err != nil {
						t.Fatal(err)
					}
				}
				found[disturbed] = ended(t, servers[1], a.ID, func(a client.Audit) {
					if disturbed == 1 && a.Guesses > 20_000 {
						servers[0].kill()
					}
				})
				if disturbed == 1 && servers[0].server != nil {
					t.Error("the audit was over before a server was killed")
				}
				if by := awaitEvents(t, a.ID, servers...); by["audit.start OK"] != 1 || by["audit.end DONE"] != 1 {
					t.Errorf("the event logs hold %v", by)
				}
			}
			if d := cmp.Diff(found[0], found[1]); d != "" || len(found[0]) < len(list) {
				t.Errorf("%d findings in peace (-in peace +killed):\n%s", len(found[0]), d)
			}
		})
	}
}

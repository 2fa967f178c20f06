// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
)

// A sharedStore is a running database and the configuration that leads to it.
type sharedStore struct {
	config  string
	process interface {
		Kill()
		Pause()
		Resume()
		Start(testing.TB)
	}
}

// sharedStores starts one of each kind that several servers can use.
func sharedStores(t *testing.T, f func(t *testing.T, s sharedStore)) {
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		pg := procs.Postgres(t)
		f(t, sharedStore{fmt.Sprintf("store: {kind: postgres}\npostgres: {dsn_file: %q}\n", secretFile(t, pg.DSN("postgres"))), pg})
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		r := procs.RedisServer(t)
		f(t, sharedStore{fmt.Sprintf("store: {kind: redis}\nredis: {addrs: [%q]}\n", r.Addr), r})
	})
}

// sister gives a data directory with the keys of another, as for a second
// server on the same store.
func sister(t *testing.T, s *servertest.Server, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(s.DataDir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// eventually asks until the answer is nil, and gives how long that took.
func eventually(t *testing.T, what string, within time.Duration, ask func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		err := ask()
		took := time.Since(begin)
		if err == nil {
			return took
		}
		if took > within {
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestServersShareAStore runs two servers on one database: what one writes the
// other sees, races have one winner, and keys that do not belong are refused.
func TestServersShareAStore(t *testing.T) {
	t.Parallel()
	sharedStores(t, func(t *testing.T, store sharedStore) {
		ctx := t.Context()
		a := servertest.Start(t, servertest.Options{Config: store.config})
		b := servertest.Start(t, servertest.Options{Config: store.config, DataDir: sister(t, a, "signing.key", "pepper.key", "admin.key")})
		if keys, err := b.Client.ListKeys(ctx); err != nil || len(keys) != 1 {
			t.Errorf("%d keys after two starts, %v, want the owner's only", len(keys), err)
		}

		set(t, a, "alice", goodPassword)
		if login, err := b.Client.Verify(ctx, "Alice", goodPassword, client.Source{}); err != nil || !login.Match {
			t.Errorf("what one server stored is %+v, %v at the other", login, err)
		}
		// The day of a login is noted behind it.
		eventually(t, "the login in the record", 15*time.Second, func() error {
			c, err := a.Client.Get(ctx, "alice")
			if err == nil && c.LastLogin.IsZero() {
				err = errors.New("no login is noted")
			}
			return err
		})
		one := uint32(1)
		var won, lost int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				s := []*servertest.Server{a, b}[i%2]
				_, err := s.Client.Set(ctx, "alice", fmt.Sprintf("%s number %d", goodPassword, i), client.SetOptions{IfVersion: &one})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case errors.Is(err, client.ErrConflict):
					lost++
				default:
					t.Errorf("Set: %v", err)
				}
			})
		}
		wg.Wait()
		if won != 1 || lost != 15 {
			t.Errorf("of 16 writers of one version %d won and %d lost", won, lost)
		}
		if c, err := a.Client.Get(ctx, "alice"); err != nil || c.Version != 2 || c.LastLogin.IsZero() {
			t.Errorf("Get = %+v, %v", c, err)
		}

		// States and their reasons come back from the database as they went in.
		if err := b.Client.SetState(ctx, "alice", "MUST_CHANGE"); err != nil {
			t.Fatal(err)
		}
		if c, err := a.Client.Get(ctx, "alice"); err != nil || c.Version != 3 || c.State != "MUST_CHANGE" {
			t.Errorf("Get = %+v, %v", c, err)
		}

		// A key made on one server opens the other, and one revoked closes.
		key, secret, err := a.Client.CreateKey(ctx, client.NewKey{Name: "login", Scopes: []string{"credential.verify"}})
		if err != nil {
			t.Fatal(err)
		}
		there := b.ClientWith(secret)
		verify := func() error { _, err := there.Verify(ctx, "alice", "a guess", client.Source{}); return err }
		eventually(t, "a new key at the other server", 15*time.Second, verify)
		if err := a.Client.RevokeKey(ctx, key.ID); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a revoked key at the other server", 15*time.Second, func() error {
			if verify() == nil {
				return errors.New("it still opens")
			}
			return nil
		})

		// What has no sense here is refused in words.
		authorized := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+a.Key)
		_, err = watchwordv1.NewAdminServiceClient(dial(t, a)).RotatePepper(authorized, &watchwordv1.RotatePepperRequest{})
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "pepper.keys") {
			t.Errorf("RotatePepper of a key in one data directory: %v", err)
		}
		if err := a.Backup(ctx); err == nil || !strings.Contains(err.Error(), "its own tools") {
			t.Errorf("Backup: %v", err)
		}
		for _, c := range []struct {
			copied []string
			want   string
		}{
			{nil, "another signing.key"},
			{[]string{"pepper.key"}, "only one of"},
			{[]string{"signing.key", "pepper.key"}, ""},
		} {
			s, err := servertest.TryStart(t, servertest.Options{Config: store.config, DataDir: sister(t, a, append(c.copied, "admin.key")...)})
			if c.want == "" && err == nil {
				s.Stop()
			} else if err == nil || !strings.Contains(err.Error(), c.want) || c.want == "" {
				t.Errorf("start with %v of the first server: %v, want %q", c.copied, err, c.want)
			}
		}
		other := sister(t, a, "signing.key", "admin.key")
		fresh := servertest.New(t)
		if err := os.Rename(filepath.Join(sister(t, fresh, "pepper.key"), "pepper.key"), filepath.Join(other, "pepper.key")); err != nil {
			t.Fatal(err)
		}
		if _, err := servertest.TryStart(t, servertest.Options{Config: store.config, DataDir: other}); err == nil || !strings.Contains(err.Error(), `pepper key "local" is not the key`) {
			t.Errorf("start with another pepper: %v", err)
		}
		if _, err := servertest.TryStart(t, servertest.Options{Config: store.config, DataDir: a.DataDir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("a second server on one data directory: %v", err)
		}
	})
}

// TestALostStoreIsNotAnUnknownSubject stops the database in both ways, dead and
// silent, under a running server.
func TestALostStoreIsNotAnUnknownSubject(t *testing.T) {
	t.Parallel()
	const within = 2 * time.Second
	sharedStores(t, func(t *testing.T, store sharedStore) {
		ctx := t.Context()
		s := servertest.Start(t, servertest.Options{Config: store.config})
		set(t, s, "alice", goodPassword)
		health := healthpb.NewHealthClient(dial(t, s))
		serving := func(want bool) func() error {
			return func() error {
				h, err := health.Check(ctx, &healthpb.HealthCheckRequest{})
				if err != nil {
					return err
				}
				req, _ := http.NewRequest(http.MethodGet, s.URL+"/readyz", nil)
				code, _, _ := s.Do(req)
				if (h.GetStatus() == healthpb.HealthCheckResponse_SERVING) != want || (code == http.StatusOK) != want {
					return fmt.Errorf("health is %v and readyz %d, want serving: %v", h.GetStatus(), code, want)
				}
				return nil
			}
		}
		conn := dial(t, s)
		authorized := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.Key)
		credentials, admin := watchwordv1.NewCredentialServiceClient(conn), watchwordv1.NewAdminServiceClient(conn)
		calls := map[string]func(context.Context) error{
			"verify": func(ctx context.Context) error {
				_, err := credentials.VerifyPassword(ctx, &watchwordv1.VerifyPasswordRequest{Subject: "alice", Password: goodPassword})
				return err
			},
			"verify of nobody": func(ctx context.Context) error {
				_, err := credentials.VerifyPassword(ctx, &watchwordv1.VerifyPasswordRequest{Subject: "nobody", Password: goodPassword})
				return err
			},
			"set": func(ctx context.Context) error {
				_, err := credentials.SetPassword(ctx, &watchwordv1.SetPasswordRequest{Subject: "bob", Password: goodPassword})
				return err
			},
			"get": func(ctx context.Context) error {
				_, err := credentials.GetCredential(ctx, &watchwordv1.GetCredentialRequest{Subject: "nobody"})
				return err
			},
			"create key": func(ctx context.Context) error {
				_, err := admin.CreateKey(ctx, &watchwordv1.CreateKeyRequest{Name: "k", Scopes: []string{"password.check"}})
				return err
			},
		}
		for _, fault := range []struct {
			name       string
			break_, re func()
		}{
			{"killed", store.process.Kill, func() { store.process.Start(t) }},
			{"silent", store.process.Pause, store.process.Resume},
		} {
			eventually(t, "serving before", within, serving(true))
			hashes := s.Hashes()
			fault.break_()
			var wg sync.WaitGroup
			for name, do := range calls {
				for range 3 { // more than once: an attempt that could not be judged is not spent
					wg.Go(func() {
						begin := time.Now()
						err := do(authorized)
						took := time.Since(begin)
						if status.Code(err) != codes.Unavailable || !strings.Contains(fmt.Sprint(status.Convert(err).Details()), "STORE_UNAVAILABLE") || took > within+time.Second {
							t.Errorf("%s, %s: %v after %v, want UNAVAILABLE within %v", fault.name, name, err, took, within)
						}
					})
				}
			}
			eventually(t, "not serving", within+time.Second, serving(false))
			wg.Wait()
			if got := s.Hashes() - hashes; got > 3 { // the three of set
				t.Errorf("%s: %d hashes without a store", fault.name, got)
			}
			fault.re()
			eventually(t, "serving again", 5*time.Second, serving(true))
			for _, who := range []string{"alice", "nobody"} {
				if l := lane(t, s, who, "subject", "PASSWORD"); l.Failures != 0 {
					t.Errorf("%s: what the server could not judge counts as %d failures of %s", fault.name, l.Failures, who)
				}
			}
			eventually(t, "a login after "+fault.name, 5*time.Second, func() error {
				login, err := s.Client.Verify(ctx, "alice", goodPassword, client.Source{})
				if err == nil && !login.Match {
					t.Fatal("alice is unknown")
				}
				return err
			})
		}
	})
}

// TestPostgresFaults breaks the database in ways that leave it running: each call
// gets its right answer or UNAVAILABLE, in time, nothing that could not be judged
// counts as a guess, and afterwards all is well again. Death, silence and absence
// at the start are tested by TestALostStoreIsNotAnUnknownSubject and
// TestStartNeedsTheStore.
func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	const within = 3 * time.Second
	ctx := t.Context()
	pg := procs.Postgres(t, "fsync=off")
	admin, err := pgx.Connect(ctx, pg.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	sql := func(statements ...string) func() {
		return func() {
			t.Helper()
			for _, one := range statements {
				if _, err := admin.Exec(ctx, one); err != nil {
					t.Fatalf("%s: %v", one, err)
				}
			}
		}
	}
	const (
		reload = "SELECT pg_reload_conf()"
		others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
	)
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf("store: {kind: postgres}\npostgres: {dsn_file: %q}\n", secretFile(t, pg.DSN("postgres")))})
	set(t, s, "alice", goodPassword)
	conn := dial(t, s)
	authorized := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.Key)
	credentials := watchwordv1.NewCredentialServiceClient(conn)
	// Each gives nil for a right answer.
	calls := map[string]func(context.Context) error{
		"login": func(ctx context.Context) error {
			r, err := credentials.VerifyPassword(ctx, &watchwordv1.VerifyPasswordRequest{Subject: "alice", Password: goodPassword})
			if err == nil && r.GetResult() != watchwordv1.VerifyPasswordResponse_RESULT_MATCH {
				return errors.New("the right password does not match")
			}
			return err
		},
		"set": func(ctx context.Context) error {
			_, err := credentials.SetPassword(ctx, &watchwordv1.SetPasswordRequest{Subject: "bob", Password: goodPassword})
			return err
		},
		"get of nobody": func(ctx context.Context) error {
			_, err := credentials.GetCredential(ctx, &watchwordv1.GetCredentialRequest{Subject: "nobody"})
			if status.Code(err) == codes.NotFound {
				return nil
			}
			return cmp.Or(err, errors.New("nobody is somebody"))
		},
	}
	for _, fault := range []struct {
		name            string
		cause, go_, end func()
	}{
		{"read only", sql("ALTER SYSTEM SET default_transaction_read_only = on", reload), nil,
			sql("SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only", reload)},
		{"ending all connections", func() {}, sql(others), func() {}},
		{"refusing logins", sql("ALTER ROLE watchword NOLOGIN", others), nil, sql("ALTER ROLE watchword LOGIN")},
		{"holding locks", sql("BEGIN", "LOCK TABLE watchword_credentials, watchword_objects IN ACCESS EXCLUSIVE MODE"), nil, sql("ROLLBACK")},
		{"without its tables", sql("ALTER TABLE watchword_credentials RENAME TO away"), nil, sql("ALTER TABLE away RENAME TO watchword_credentials")},
	} {
		fault.cause()
		var wg sync.WaitGroup
		var unavailable atomic.Int64
		over := time.Now().Add(500 * time.Millisecond)
		for name, do := range calls {
			wg.Go(func() {
				for time.Now().Before(over) {
					begin := time.Now()
					err := do(authorized)
					switch took := time.Since(begin); {
					case took > within:
						t.Errorf("%s, %s: answered after %v", fault.name, name, took)
					case status.Code(err) == codes.Unavailable && strings.Contains(fmt.Sprint(status.Convert(err).Details()), "STORE_UNAVAILABLE"):
						unavailable.Add(1)
					case err != nil:
						t.Errorf("%s, %s: %v", fault.name, name, err)
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		for fault.go_ != nil && time.Now().Before(over) {
			fault.go_()
		}
		wg.Wait()
		fault.end()
		for name, do := range calls {
			eventually(t, name+" after "+fault.name, 5*time.Second, func() error { return do(authorized) })
		}
		if l := lane(t, s, "alice", "subject", "PASSWORD"); l.Failures != 0 {
			t.Errorf("%s: what the server could not judge counts as %d failures", fault.name, l.Failures)
		}
		t.Logf("%s: %d calls without an answer", fault.name, unavailable.Load())
		if unavailable.Load() == 0 {
			t.Errorf("%s: nobody noticed", fault.name)
		}
	}
}

// TestStartNeedsTheStore starts without the database, and with a
// configuration that does not lead to one.
func TestStartNeedsTheStore(t *testing.T) {
	t.Parallel()
	port := procs.FreePort(t)
	open := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(open, []byte("postgres://u:hunter2@127.0.0.1/db"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ config, want string }{
		"no redis":      {fmt.Sprintf("store: {kind: redis}\nredis: {addrs: ['127.0.0.1:%d']}", port), "store.kind redis: redis: connecting"},
		"no postgres":   {fmt.Sprintf("store: {kind: postgres}\npostgres: {dsn_file: %q}", secretFile(t, fmt.Sprintf("postgres://u:hunter2@127.0.0.1:%d/db", port))), "store.kind postgres: connecting to PostgreSQL"},
		"no file":       {"store: {kind: postgres}", "postgres.dsn_file is empty"},
		"others' file":  {fmt.Sprintf("store: {kind: postgres}\npostgres: {dsn_file: %q}", open), "mode is 0644"},
		"not a string":  {fmt.Sprintf("store: {kind: postgres}\npostgres: {dsn_file: %q}", secretFile(t, "hunter2 hunter2")), "connection string is malformed"},
		"unknown store": {"store: {kind: hunter2}", "must be one of embedded, postgres, redis"},
	} {
		_, err := servertest.TryStart(t, servertest.Options{Config: c.config})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q and no secret", name, err, c.want)
		}
	}
}

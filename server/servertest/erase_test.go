// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/daemon"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
)

// destroy destroys a tenant as the command does.
func destroy(t *testing.T, s *servertest.Server, tenant string) (uint64, error) {
	t.Helper()
	o, err := daemon.Operate(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	return o.DestroyTenant(t.Context(), tenant)
}

// backedUp gives a backup as it is written, and what is in it.
func backedUp(t *testing.T, s *servertest.Server) (sealed, plain []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := daemon.Backup(t.Context(), s.DataDir, nil, &b); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(s.DataDir, "backup.key"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.ParseX25519Identity(strings.TrimSpace(string(key)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(b.Bytes()), id)
	if err == nil {
		plain, err = io.ReadAll(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), plain
}

// holds tells which files below a directory have a text.
func holds(t *testing.T, dir string, text []byte) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, text) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestTenantIsDestroyed: afterwards nobody can call for the tenant, the store
// holds its name and nothing else, what the event log keeps leads to nobody, and
// a backup from before is destroyed again where it is restored.
func TestTenantIsDestroyed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := servertest.Start(t, servertest.Options{Config: "tenants: [{name: configured}]"})
	posted(t, s, "/v1/tenants:create", `{"name":"acme"}`)
	var keys []string
	for _, k := range []client.NewKey{{Scopes: []string{"credential.write", "credential.verify", "credential.read", "policy.write"}}, {Preset: "audit-admin"}, {Scopes: []string{"credential.read"}}} {
		k.Name, k.Tenant = "acme", "acme"
		_, secret, err := s.Client.CreateKey(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, secret)
	}
	post := func(key, route, body string) map[string]any {
		t.Helper()
		owner := s.Key
		s.Key = key
		defer func() { s.Key = owner }()
		return posted(t, s, route, body)
	}
	for _, subject := range []string{"alice", "bob", "carol"} {
		post(keys[0], "/v1/credentials:set", `{"subject":"`+subject+`","password":"`+plain+`"}`)
	}
	post(keys[0], "/v1/credentials:delete", `{"subject":"carol"}`)
	post(keys[0], "/v1/credentials:verify", `{"subject":"bob","password":"wrong","source":{"ip":"192.0.2.1"}}`)
	post(keys[0], "/v1/words:add", `{"words":["roadrunnerofacme"]}`)
	post(keys[0], "/v1/policies:put", `{"policy":"policy-of-acme","yaml":"version: 1\nextends: nist-800-63b-4\n"}`)
	id := post(keys[1], "/v1/audits:create", `{"source":"SOURCE_OWN_STORE","budget":{"cpuSeconds":"5","guessesPerSubject":10}}`)["audit"].(map[string]any)["id"].(string)
	eventually(t, "the audit", time.Minute, func() error {
		if got := post(keys[1], "/v1/audits:get", `{"id":"`+id+`"}`)["audit"].(map[string]any)["state"]; got != "STATE_DONE" {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
	post(keys[1], "/v1/audits:create", `{"source":"SOURCE_UPLOAD"}`)
	export := post(keys[2], "/v1/subjects:export", `{"subject":"alice"}`)["data"].(map[string]any)
	inStore, err := hex.DecodeString(export["pseudonym"].(string))
	if err != nil {
		t.Fatal(err)
	}
	inEvents := export["eventPseudonym"].(string)
	eventKey, err := os.ReadFile(filepath.Join(s.DataDir, "subject-keys", "acme.key"))
	if err != nil {
		t.Fatal(err)
	}
	eventKey = bytes.TrimSpace(eventKey)
	old, whole := backedUp(t, s)
	for _, mark := range []string{string(inStore), "roadrunnerofacme", "policy-of-acme", id} {
		if !bytes.Contains(whole, []byte(mark)) {
			t.Fatalf("a backup does not hold %q, so its absence proves nothing", mark)
		}
	}

	for tenant, want := range map[string]codes.Code{"default": codes.FailedPrecondition, "configured": codes.FailedPrecondition, "nobody": codes.NotFound, "../acme": codes.NotFound, "": codes.NotFound} {
		if _, err := destroy(t, s, tenant); status.Code(err) != want {
			t.Errorf("destroying %q: %v, want %v", tenant, err, want)
		}
	}
	if n, err := destroy(t, s, "acme"); err != nil || n != 3 {
		t.Fatalf("destroyed with %d credentials, %v, want alice, bob and carol's tombstone", n, err)
	}
	if n, err := destroy(t, s, "acme"); err != nil || n != 0 {
		t.Errorf("destroyed again: %d, %v", n, err)
	}

	gone := func(s *servertest.Server) {
		t.Helper()
		_, want := present(t, s, "")
		for _, key := range keys {
			if _, got := present(t, s, "Bearer "+key); got != want {
				t.Errorf("a key of the destroyed tenant:\n%s", got)
			}
		}
		for route, body := range map[string]string{"/v1/tenants:create": `{"name":"acme"}`, "/v1/keys:create": `{"name":"k","tenant":"acme","scopes":["system.read"]}`} {
			if code, text := s.Post(route, body); code != 409 {
				t.Errorf("%s for a destroyed tenant: %d %s, want 409", route, code, text)
			}
		}
		if _, text := s.Post("/v1/tenants:list", `{}`); strings.Contains(text, "acme") {
			t.Errorf("the tenants are %s", text)
		}
		_, left := backedUp(t, s)
		for _, mark := range []string{string(inStore), "roadrunnerofacme", "policy-of-acme", id, "audit-r-", "audit-f-", "audit-w-"} {
			if bytes.Contains(left, []byte(mark)) {
				t.Errorf("the store still holds %q", mark)
			}
		}
		if n := bytes.Count(left, []byte("acme")); n != 1 {
			t.Errorf("the store names the tenant %d times, want once, as destroyed", n)
		}
		if found := holds(t, s.DataDir, eventKey); found != nil {
			t.Errorf("the key of the tenant's pseudonyms is still in %v", found)
		}
		if v := posted(t, s, "/v1/events:verify", `{}`); v["intact"] != true {
			t.Errorf("the event log is not intact: %v", v)
		}
	}
	gone(s)
	if found := holds(t, s.DataDir, []byte(inEvents)); len(found) == 0 {
		t.Error("the event log has lost the tenant's lines")
	}
	recorded(t, s, "tenant.destroy BEGUN")
	recorded(t, s, "tenant.destroy OK")

	// The backup from before, where the destruction is known.
	s.Stop()
	if err := os.Remove(filepath.Join(s.DataDir, boltstore.FileName)); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Restore(ctx, s.DataDir, nil, "", bytes.NewReader(old)); err != nil {
		t.Fatal(err)
	}
	again := servertest.Start(t, servertest.Options{DataDir: s.DataDir})
	if _, want := present(t, again, ""); true {
		if _, got := present(t, again, "Bearer "+keys[0]); got != want {
			t.Errorf("a restored key of a destroyed tenant:\n%s", got)
		}
	}
	eventually(t, "the restored tenant is destroyed", 30*time.Second, func() error {
		if !strings.Contains(again.Log.String(), "was destroyed again") {
			return errors.New("the log does not say so")
		}
		return nil
	})
	gone(again)
}

// TestThreeServersShareWhoMayCall: a key that one server revokes, and a tenant
// that one destroys, are refused by all within five seconds.
func TestThreeServersShareWhoMayCall(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	config := fmt.Sprintf("store: {kind: redis}\nredis: {addrs: [%q]}\n", procs.RedisServer(t).Addr)
	a := servertest.Start(t, servertest.Options{Config: config})
	all := []*servertest.Server{a}
	for range 2 {
		all = append(all, servertest.Start(t, servertest.Options{Config: config, DataDir: sister(t, a, "signing.key", "pepper.key", "admin.key")}))
	}
	posted(t, a, "/v1/tenants:create", `{"name":"acme"}`)
	one, secret, err := a.Client.CreateKey(ctx, client.NewKey{Name: "one", Scopes: []string{"password.check"}})
	if err != nil {
		t.Fatal(err)
	}
	_, hers, err := a.Client.CreateKey(ctx, client.NewKey{Name: "hers", Tenant: "acme", Scopes: []string{"credential.write"}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(s *servertest.Server, method, key string) codes.Code {
		return call(context.WithoutCancel(ctx), dial(t, s), "/watchword.v1."+method, "Bearer "+key)
	}
	everywhere := func(what, method, key string, want codes.Code) {
		t.Helper()
		// Five seconds are the bound; a busy machine may need one more to ask.
		took := eventually(t, what, 6*time.Second, func() error {
			for i, s := range all {
				if got := ask(s, method, key); got != want {
					return fmt.Errorf("server %d says %v", i, got)
				}
			}
			return nil
		})
		t.Logf("%s: everywhere after %v", what, took)
	}
	everywhere("the new key", "PasswordService/CheckPassword", secret, welcome)
	everywhere("the tenant's key", "CredentialService/SetPassword", hers, welcome)
	for i, s := range all {
		if _, err := s.ClientWith(hers).Set(ctx, fmt.Sprint("user ", i), plain, noOptions); err != nil {
			t.Fatal(err)
		}
	}
	if err := all[1].Client.RevokeKey(ctx, one.ID); err != nil {
		t.Fatal(err)
	}
	if got := ask(all[1], "PasswordService/CheckPassword", secret); got != unknown {
		t.Errorf("a revoked key at the server that revoked it: %v", got)
	}
	everywhere("the revoked key", "PasswordService/CheckPassword", secret, unknown)
	n, err := destroy(t, all[2], "acme")
	if err != nil || n != 3 {
		t.Errorf("destroyed with %d credentials, %v", n, err)
	}
	everywhere("the destroyed tenant", "CredentialService/SetPassword", hers, unknown)
	for i, s := range all {
		eventually(t, "the key of its pseudonyms", 6*time.Second, func() error {
			if _, err := os.Stat(filepath.Join(s.DataDir, "subject-keys", "acme.key")); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("server %d: %w", i, err)
			}
			return nil
		})
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

// posted posts to a route and reads the answer.
func posted(t *testing.T, s *servertest.Server, route, body string) map[string]any {
	t.Helper()
	code, text := s.Post(route, body)
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil || code != 200 {
		t.Fatalf("POST %s: %d %s (%v)", route, code, text, err)
	}
	return out
}

// eventTypes counts the events that a server lists, by type and outcome.
func eventTypes(t *testing.T, s *servertest.Server) map[string]int {
	t.Helper()
	out := map[string]int{}
	token := ""
	for {
		page := posted(t, s, "/v1/events:list", `{"pageToken":"`+token+`"}`)
		list, _ := page["events"].([]any)
		for _, e := range list {
			m := e.(map[string]any)
			outcome, _ := m["outcome"].(string)
			out[m["type"].(string)+" "+outcome]++
		}
		token, _ = page["nextPageToken"].(string)
		if token == "" {
			return out
		}
	}
}

// recorded waits until the log has an event; those that nobody waits for come
// within a second.
func recorded(t *testing.T, s *servertest.Server, what string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if eventTypes(t, s)[what] > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no event %q among %v", what, eventTypes(t, s))
		}
	}
}

func TestChangesAndDenialsAreRecorded(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	ctx := t.Context()
	key, _, err := s.Client.CreateKey(ctx, client.NewKey{Name: "app", Scopes: []string{"password.check"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Client.RevokeKey(ctx, key.ID); err != nil {
		t.Fatal(err)
	}
	const subject = "alice-13800138000"
	if _, err := s.Client.Set(ctx, subject, "tangled lantern orbit 7 walrus", noOptions); err != nil {
		t.Fatal(err)
	}
	posted(t, s, "/v1/words:add", `{"words":["harmless"]}`)
	posted(t, s, "/v1/credentials:delete", `{"subject":"`+subject+`"}`)
	stranger := s.ClientWith("ww_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	if _, err := stranger.Set(ctx, subject, "tangled lantern orbit 7 walrus", noOptions); err == nil {
		t.Fatal("a stranger set a password")
	}
	for _, what := range []string{"key.create BEGUN", "key.create OK", "key.revoke BEGUN", "key.revoke OK", "credential.set BEGUN", "credential.set OK",
		"credential.delete OK", "words.add OK", "access.denied UNAUTHENTICATED", "server.start OK"} {
		recorded(t, s, what)
	}
	if v := posted(t, s, "/v1/events:verify", `{}`); v["intact"] != true {
		t.Errorf("the event log is not intact: %v", v)
	}
	export := posted(t, s, "/v1/subjects:export", `{"subject":"`+subject+`"}`)["data"].(map[string]any)
	if list, _ := export["events"].([]any); len(list) < 4 || export["tombstone"] == nil || export["credential"] != nil {
		t.Errorf("the export of a deleted subject is %v", export)
	}
	s.Stop()
	b, err := os.ReadFile(filepath.Join(s.DataDir, "events.jsonl"))
	if err != nil || strings.Contains(string(b), "alice") || strings.Contains(string(b), "13800138000") {
		t.Errorf("the event log names the account: %v", err)
	}
}

func TestNothingChangesWithoutTheEventLog(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	path := filepath.Join(s.DataDir, "events.jsonl")
	if err := os.Rename(path, path+"~"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	code, text := s.Post("/v1/words:add", `{"words":["harmless"]}`)
	if code != 503 || !strings.Contains(text, "STORE_UNAVAILABLE") {
		t.Errorf("a change without the event log: %d %s, want 503", code, text)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the refusal took %v", took)
	}
	if got := posted(t, s, "/v1/words:list", `{}`); len(got["words"].([]any)) > 0 {
		t.Errorf("the refused change was made: %v", got)
	}
	if code, _ := s.Post("/v1/passwords:check", `{"password":"tangled lantern orbit 7 walrus"}`); code != 200 {
		t.Errorf("a question without the event log: %d, want 200", code)
	}
	found := posted(t, s, "/v1/exposure:get", `{}`)
	if b, _ := json.Marshal(found); !strings.Contains(string(b), "events.failing") {
		t.Errorf("the exposure does not tell of the event log: %s", b)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
	posted(t, s, "/v1/words:add", `{"words":["harmless"]}`)
}

// eventsOf gives the events of a type.
func eventsOf(t *testing.T, s *servertest.Server, typ string) (out []map[string]any) {
	t.Helper()
	list, _ := posted(t, s, "/v1/events:list", `{"type":"`+typ+`"}`)["events"].([]any)
	for _, e := range list {
		out = append(out, e.(map[string]any))
	}
	return out
}

// TestAdaptersAreRecorded: what the doors for foreign protocols refuse and
// change stands in the event log like what our own refuse and change, under the
// same pseudonym of the account.
func TestAdaptersAreRecorded(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Config: "listen: {auth_policy: '127.0.0.1:0', auth_policy_secret_file: '" + secretFile(t, "Bearer "+doorSecret) +
		"', forward_auth: '127.0.0.1:0', forward_auth_secret_file: '" + secretFile(t, doorSecret) + "', envoy: true}"})
	export := posted(t, s, "/v1/subjects:export", `{"subject":"alice"}`)["data"].(map[string]any)
	forward := func(secret ...string) int {
		t.Helper()
		req, _ := http.NewRequest(http.MethodGet, s.ForwardAuthURL+"/forward-auth", nil)
		req.Header["X-Watchword-Secret"] = secret
		req.SetBasicAuth("alice", "wrong")
		code, _, _ := s.Do(req)
		return code
	}
	exhaust(t, s, "alice", client.Source{}, 5)
	if _, text := authPolicy(t, s, "allow", `{"login":"alice","pwhash":"0001"}`); !strings.Contains(text, `"status":-1`) {
		t.Fatalf("allow: %s", text)
	}
	if code := forward(doorSecret); code != http.StatusTooManyRequests {
		t.Fatalf("forward-auth: %d", code)
	}
	for _, secret := range [][]string{{"wrong"}, nil, {doorSecret, doorSecret}, {"wrong", doorSecret}} {
		if code := forward(secret...); code != http.StatusForbidden {
			t.Errorf("forward-auth with the secrets %q: %d, want 403", secret, code)
		}
	}
	req, _ := http.NewRequest(http.MethodPost, s.AuthPolicyURL+"/?command=allow", strings.NewReader(`{"login":"alice"}`))
	if code, _, _ := s.Do(req); code != http.StatusUnauthorized {
		t.Errorf("auth-policy without the secret: %d", code)
	}
	if r, err := shouldLimit(t, s.Client, limitOn("subject", "alice")); err != nil || r.GetOverallCode().String() != "OVER_LIMIT" {
		t.Fatalf("ShouldRateLimit: %v, %v", r, err)
	}
	if code, text := authPolicy(t, s, "reset", `{"login":"alice"}`); code != http.StatusOK {
		t.Fatalf("reset: %d %s", code, text)
	}
	for _, want := range []struct{ typ, actor, method, verdict, outcome string }{
		{"login.denied", "adapter:auth-policy", "auth-policy", "VERDICT_DELAY", "DENIED"},
		{"login.denied", "adapter:forward-auth", "forward-auth", "VERDICT_DELAY", "DENIED"},
		{"login.denied", "key:" + s.Key[3:19], "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", "OVER_LIMIT", "DENIED"},
		{"login.denied", "key:" + s.Key[3:19], "/watchword.v1.LoginThrottleService/BeginAttempt", "VERDICT_DELAY", "DENIED"},
		{"access.denied", "", "auth-policy", "", "UNAUTHENTICATED"},
		{"access.denied", "", "forward-auth", "", "PERMISSION_DENIED"},
		{"throttle.reset", "adapter:auth-policy", "", "", "BEGUN"},
		{"throttle.reset", "adapter:auth-policy", "", "", "OK"},
	} {
		eventually(t, want.typ+" of "+want.method, 10*time.Second, func() error {
			for _, e := range eventsOf(t, s, want.typ) {
				p, _ := e["params"].(map[string]any)
				get := func(m map[string]any, name string) string { v, _ := m[name].(string); return v }
				if get(e, "actor") == want.actor && get(p, "method") == want.method && get(p, "verdict") == want.verdict && get(e, "outcome") == want.outcome &&
					(want.typ == "access.denied" || get(e, "subject") == export["eventPseudonym"]) {
					return nil
				}
			}
			return fmt.Errorf("only %v", eventsOf(t, s, want.typ))
		})
	}

	// A change that cannot be recorded is not made.
	path := filepath.Join(s.DataDir, "events.jsonl")
	if err := os.Rename(path, path+"~"); err != nil {
		t.Fatal(err)
	}
	exhaust(t, s, "alice", client.Source{}, 5)
	if code, text := authPolicy(t, s, "reset", `{"login":"alice"}`); code != http.StatusServiceUnavailable {
		t.Errorf("a reset without the event log: %d %s", code, text)
	}
	if _, ok := begin(t, s.Client, "alice", client.Source{}, tagOf(99)); ok {
		t.Error("the refused reset was made")
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

// TestDisablingIsRecorded: the hundredth failure disables the credential, and
// the event log says so, once.
func TestDisablingIsRecorded(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	set(t, s, "alice", goodPassword)
	export := posted(t, s, "/v1/subjects:export", `{"subject":"alice"}`)["data"].(map[string]any)
	for i := range 103 {
		if _, err := s.Client.Report(t.Context(), "alice", client.Source{}, client.BadSecret, tagOf(i)); err != nil {
			t.Fatal(err)
		}
		if i == 98 && len(eventsOf(t, s, "credential.disabled")) > 0 {
			t.Error("disabled too early")
		}
	}
	recorded(t, s, "credential.disabled OK")
	got := eventsOf(t, s, "credential.disabled")
	if len(got) != 1 || got[0]["subject"] != export["eventPseudonym"] || got[0]["actor"] != "server" || got[0]["tenant"] != "default" {
		t.Errorf("the events are %v", got)
	}
}

func TestTenantsAreCreated(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	posted(t, s, "/v1/tenants:create", `{"name":"acme","case":"exact"}`)
	for body, want := range map[string]int{`{"name":"acme"}`: 409, `{"name":"default"}`: 409, `{"name":"../x"}`: 400, `{"name":"b","case":"odd"}`: 400,
		`{"name":"b","policy":"no-such-policy"}`: 404} {
		if code, text := s.Post("/v1/tenants:create", body); code != want {
			t.Errorf("create %s: %d %s, want %d", body, code, text, want)
		}
	}
	list, _ := json.Marshal(posted(t, s, "/v1/tenants:list", `{}`))
	if !strings.Contains(string(list), `"acme"`) || !strings.Contains(string(list), `"default"`) {
		t.Errorf("the tenants are %s", list)
	}
	_, secret, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "k", Tenant: "acme", Scopes: []string{"credential.write", "credential.read"}})
	if err != nil {
		t.Fatal(err)
	}
	acme := s.ClientWith(secret)
	if _, err := acme.Set(t.Context(), "Alice", "tangled lantern orbit 7 walrus", noOptions); err != nil {
		t.Fatal(err)
	}
	if _, err := acme.Get(t.Context(), "alice"); err == nil {
		t.Error("letter case does not count in a tenant where it should")
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// TestRetention makes data of each class, and looks at it 29 and 31 days later
// under a retention of 30 days.
func TestRetention(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	var clock auditClock
	start := func(config string) *servertest.Server {
		return servertest.Start(t, servertest.Options{DataDir: dir, Now: clock.now, Config: config})
	}
	s := start("")
	ctx := t.Context()
	ended, _, err := s.Client.CreateKey(ctx, client.NewKey{Name: "ended", Scopes: []string{"password.check"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Client.RevokeKey(ctx, ended.ID); err != nil {
		t.Fatal(err)
	}
	live, _, err := s.Client.CreateKey(ctx, client.NewKey{Name: "live", Scopes: []string{"password.check"}})
	if err != nil {
		t.Fatal(err)
	}
	row := func(id, password string) *watchwordv1.AuditRecord {
		return &watchwordv1.AuditRecord{Id: id, Hash: ntlm(password), Context: &watchwordv1.PasswordContext{Login: id, Names: []string{"张伟"}}}
	}
	done, open := createAudit(t, s, &watchwordv1.CreateAuditRequest{}), createAudit(t, s, &watchwordv1.CreateAuditRequest{})
	if _, err := upload(t, s, done, 0, true, row("zhangwei", "password")); err != nil {
		t.Fatal(err)
	}
	waitAudit(t, s, done)
	if _, err := upload(t, s, open, 0, false, row("zhangwei", "password")); err != nil {
		t.Fatal(err)
	}
	held := func(s *servertest.Server) (audits []string, keys []string, first float64) {
		r := posted(t, s, "/v1/audits:list", `{}`)
		list, _ := r["audits"].([]any)
		for _, a := range list {
			audits = append(audits, a.(map[string]any)["id"].(string)+" "+a.(map[string]any)["state"].(string))
		}
		all, err := s.Client.ListKeys(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			keys = append(keys, k.ID)
		}
		page := posted(t, s, "/v1/events:list", `{}`)
		sequence := page["events"].([]any)[0].(map[string]any)["sequence"].(string)
		if err := json.Unmarshal([]byte(sequence), &first); err != nil {
			t.Fatal(err)
		}
		return audits, keys, first
	}
	const retention = "retention: {events: 30d, keys: 30d, audits: 30d}"
	// until waits for what a purge, which runs beside, leaves.
	until := func(s *servertest.Server, what string, want func(audits, keys []string, first float64) bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			audits, keys, first := held(s)
			if want(audits, keys, first) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: audits %v, keys %v, events from %v", what, audits, keys, first)
			}
		}
	}
	whole := func(audits, keys []string, first float64) bool {
		return len(audits) == 2 && slices.Contains(keys, ended.ID) && slices.Contains(keys, live.ID) && first == 1
	}
	until(s, "at first", whole)
	s.Stop()

	clock.add(29 * 24 * time.Hour)
	s = start(retention)
	recorded(t, s, "server.start OK") // and the purge of the start has begun before
	time.Sleep(300 * time.Millisecond)
	if audits, keys, first := held(s); !whole(audits, keys, first) {
		t.Errorf("after 29 days: audits %v, keys %v, events from %v", audits, keys, first)
	}
	s.Stop()

	clock.add(2 * 24 * time.Hour)
	s = start(retention)
	until(s, "after 31 days", func(audits, keys []string, first float64) bool {
		return !slices.Contains(keys, ended.ID) && slices.Contains(keys, live.ID) && first > 1 &&
			len(audits) == 1 && strings.HasPrefix(audits[0], open+" ") && strings.HasSuffix(audits[0], "STATE_CANCELLED")
	})
	if v := posted(t, s, "/v1/events:verify", `{}`); v["intact"] != true {
		t.Errorf("the event log is not intact after a purge: %v", v)
	}
	recorded(t, s, "retention.purge OK")
	// The rows of the upload that nobody completed are gone.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		export := posted(t, s, "/v1/subjects:export", `{"subject":"zhangwei"}`)["data"].(map[string]any)
		b, _ := json.Marshal(export["audits"])
		if !strings.Contains(string(b), "张伟") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the export still has %s", b)
		}
	}
	s.Stop()

	clock.add(31 * 24 * time.Hour)
	s = start(retention)
	until(s, "after 62 days", func(audits, keys []string, first float64) bool { return len(audits) == 0 })
	for _, bad := range []string{"retention: {logs: 30d}", "retention: {events: 0d}", "retention: {audits: x}"} {
		if _, err := servertest.TryStart(t, servertest.Options{Config: bad}); err == nil {
			t.Errorf("%s starts", bad)
		}
	}
}

// TestExportHoldsEverything leaves traces of one subject in everything that
// keeps data, and looks for each in the export; a neighbour's are not in it.
func TestExportHoldsEverything(t *testing.T) {
	t.Parallel()
	var clock auditClock
	s := servertest.Start(t, servertest.Options{Now: clock.now})
	ctx := t.Context()
	const subject, password = "Alice-13800138000", "tangled lantern orbit 7 walrus"
	for _, who := range []string{subject, "bob"} {
		if _, err := s.Client.Set(ctx, who, password, noOptions); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Client.Verify(ctx, who, password, client.Source{IP: "203.0.113.7"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Client.Verify(ctx, who, "something else", client.Source{IP: "203.0.113.7"}); err != nil {
			t.Fatal(err)
		}
	}
	export := func(who string) map[string]any {
		return posted(t, s, "/v1/subjects:export", `{"subject":"`+who+`"}`)["data"].(map[string]any)
	}
	throttle, _ := export(subject)["throttle"].(map[string]any)
	if lanes, _ := throttle["lanes"].([]any); len(lanes) == 0 || throttle["knownDevices"] == float64(0) {
		t.Errorf("of the counters: %v", throttle)
	}
	clock.add(800 * 24 * time.Hour) // so that the audit finds them dormant
	own := createAudit(t, s, &watchwordv1.CreateAuditRequest{Source: watchwordv1.CreateAuditRequest_SOURCE_OWN_STORE})
	waitAudit(t, s, own)
	open := createAudit(t, s, &watchwordv1.CreateAuditRequest{})
	if _, err := upload(t, s, open, 0, false,
		&watchwordv1.AuditRecord{Id: "bob", Hash: ntlm("x"), Context: &watchwordv1.PasswordContext{Names: []string{"鲍勃"}}},
		&watchwordv1.AuditRecord{Id: subject, Hash: ntlm("password"), Context: &watchwordv1.PasswordContext{Names: []string{"爱丽丝"}, Emails: []string{"alice@example.com"}, BirthDate: "1990-05-12"}}); err != nil {
		t.Fatal(err)
	}
	recorded(t, s, "credential.set OK")
	got := export(subject)
	credential, _ := got["credential"].(map[string]any)
	if credential["scheme"] == "" || credential["lastLogin"] == nil || credential["created"] == nil {
		t.Errorf("of the credential: %v", credential)
	}
	if list, _ := got["events"].([]any); len(list) < 2 {
		t.Errorf("of the events: %v", list)
	}
	b, err := json.Marshal(got["audits"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{own, "DORMANT", open, "爱丽丝", "alice@example.com", "1990-05-12"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("of the audits there is no %s: %s", want, b)
		}
	}
	for _, never := range []string{"鲍勃", "$NT$", "$argon2", strings.TrimPrefix(ntlm("password"), "$NT$")} {
		if all, _ := json.Marshal(got); strings.Contains(string(all), never) {
			t.Errorf("the export holds %s", never)
		}
	}
	// Spelt otherwise it is the same subject; another tenant knows nobody.
	if again := export("  alice-13800138000 "); again["pseudonym"] != got["pseudonym"] || again["credential"] == nil {
		t.Errorf("spelt otherwise: %v", again)
	}
	_, secret, err := s.Client.CreateKey(ctx, client.NewKey{Name: "k", Tenant: "acme", Scopes: []string{"credential.read"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := watchwordv1.NewAdminServiceClient(s.ClientWith(secret).Conn()).ExportSubject(ctx, &watchwordv1.ExportSubjectRequest{Subject: subject})
	if err == nil {
		data := r.GetData().AsMap()
		if list, _ := data["audits"].([]any); data["credential"] != nil || len(list) > 0 {
			t.Errorf("another tenant exports %v", data)
		}
	}
	posted(t, s, "/v1/credentials:delete", `{"subject":"`+subject+`"}`)
	if after := export(subject); after["credential"] != nil || after["tombstone"] == nil {
		t.Errorf("after deletion: %v", after)
	}
}

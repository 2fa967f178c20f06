// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc/metadata"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

// TestImportedHashesLogIn takes hashes of other programs, good and bad rows
// mixed, and logs in with them.
func TestImportedHashesLogIn(t *testing.T) {
	s := servertest.New(t)
	b, err := bcrypt.GenerateFromPassword([]byte("imported lantern"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	rows := []string{
		fmt.Sprintf(`{"subject":"bcrypt","phc":%q}`, b),
		`{"subject":"sha1","phc":"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="}`, // "password", RFC 2307 form
		`{"subject":"","phc":"x"}`,
		`{"subject":"bomb","phc":"$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"subject":"junk","phc":"hunter2"}`,
		`not json`,
		fmt.Sprintf(`{"subject":"bcrypt","phc":%q}`, b),
		fmt.Sprintf(`{"subject":"last","phc":%q,"lastChanged":"2020-01-02T03:04:05Z","state":"CREDENTIAL_STATE_MUST_CHANGE"}`, b),
	}
	code, answer := s.Post("/v1/credentials:import", strings.Join(rows, "\n")+"\n")
	lines := strings.Split(strings.TrimSpace(answer), "\n")
	if code != 200 || len(lines) != len(rows) {
		t.Fatalf("%d answers for %d rows: %d %s", len(lines), len(rows), code, answer)
	}
	for i, want := range []string{`"scheme":"bcrypt"`, `"wrapped":true`, "MALFORMED_REQUEST", "HASH_COST_OUT_OF_BOUNDS", "BAD_HASH",
		"MALFORMED_REQUEST", "VERSION_CONFLICT", `"version":1`} {
		if !strings.Contains(strings.ReplaceAll(lines[i], " ", ""), want) || strings.Contains(lines[i], "hunter2") {
			t.Errorf("row %d: %s, want %s", i, lines[i], want)
		}
	}
	for subject, password := range map[string]string{"bcrypt": "imported lantern", "sha1": "password", "last": "imported lantern"} {
		if login, err := s.Client.Verify(t.Context(), subject, password+"!", client.Source{}); err != nil || login.Match {
			t.Errorf("%s with a wrong password: %v, %v", subject, login.Match, err)
		}
		login, err := s.Client.Verify(t.Context(), subject, password, client.Source{})
		if err != nil || !login.Match || login.MustChange != (subject == "last") {
			t.Errorf("%s: %+v, %v", subject, login, err)
		}
	}
	s.Stop() // waits for the upgrades behind the logins
	s = servertest.Start(t, servertest.Options{DataDir: s.DataDir})
	for _, subject := range []string{"bcrypt", "sha1", "last"} {
		c, err := s.Client.Get(t.Context(), subject)
		if err != nil || c.Scheme != "argon2id" || c.NeedsRehash || c.Version != 1 {
			t.Errorf("%s after its login: %+v, %v, want argon2id at version 1", subject, c, err)
		}
	}
}

// TestImportOfManyRows sends more rows than are stored at once through both
// doors, bad ones among them and subjects that came before: every row has its
// own answer, in its place, and the first row of a subject counts.
func TestImportOfManyRows(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	phc, err := s.Client.Hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	const n = 1500
	row := func(door string, i int) (subject, hash, want string) {
		switch subject, hash = fmt.Sprint(door, i), phc; {
		case i%100 == 17:
			return subject, "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "HASH_COST_OUT_OF_BOUNDS"
		case i%100 == 18:
			return subject, "hunter2", "BAD_HASH"
		case i%100 == 19:
			return fmt.Sprint(door, i-19), phc, "VERSION_CONFLICT"
		case i%500 == 499:
			return fmt.Sprint(door, 0), phc, "VERSION_CONFLICT" // windows ago
		}
		return subject, hash, ""
	}
	i := 0
	for r, err := range s.Client.Import(t.Context(), func(yield func(client.ImportRow) bool) {
		for i := range n {
			subject, hash, _ := row("grpc", i)
			if !yield(client.ImportRow{Subject: subject, PHC: hash}) {
				return
			}
		}
	}) {
		if err != nil {
			t.Fatal(err)
		}
		_, _, want := row("grpc", i)
		if (r.Fault != nil) != (want != "") {
			t.Fatalf("answer %d: %v, want %q", i, r.Fault, want)
		}
		i++
	}
	if i != n {
		t.Fatalf("%d answers for %d rows", i, n)
	}
	var body strings.Builder
	for i := range n {
		subject, hash, _ := row("rest", i)
		fmt.Fprintf(&body, "{\"subject\":%q,\"phc\":%q}\n", subject, hash)
	}
	code, answer := s.Post("/v1/credentials:import", body.String())
	lines := strings.Split(strings.TrimSpace(answer), "\n")
	if code != 200 || len(lines) != n {
		t.Fatalf("%d answers for %d rows: %d", len(lines), n, code)
	}
	for i, line := range lines {
		if _, _, want := row("rest", i); strings.Contains(line, `"reason"`) != (want != "") || !strings.Contains(line, want) {
			t.Fatalf("row %d: %s, want %q", i, line, want)
		}
	}
	for _, subject := range []string{"grpc0", "grpc1498", "rest0", "rest1498"} {
		if login, err := s.Client.Verify(t.Context(), subject, goodPassword, client.Source{}); err != nil || !login.Match {
			t.Errorf("%s: %v, %v", subject, login.Match, err)
		}
	}
}

// TestPepperRotatesUnderLogins makes a new pepper key current, twice, and
// restarts.
func TestPepperRotatesUnderLogins(t *testing.T) {
	s := servertest.New(t)
	for i := range 20 {
		set(t, s, fmt.Sprint("user", i), goodPassword)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.Key)
	admin := watchwordv1.NewAdminServiceClient(dial(t, s))
	for _, want := range []string{"local-2", "local-3"} {
		r, err := admin.RotatePepper(ctx, &watchwordv1.RotatePepperRequest{})
		if err != nil || r.GetKeyId() != want || r.GetSealed() != 20 || r.GetRemaining() != 0 {
			t.Fatalf("RotatePepper = %v, %v, want 20 records under %s", r, err, want)
		}
	}
	if _, err := admin.RotatePepper(ctx, &watchwordv1.RotatePepperRequest{KeyId: "nothing"}); err == nil {
		t.Error("an unknown key was made current")
	}
	s.Stop()
	s = servertest.Start(t, servertest.Options{DataDir: s.DataDir})
	for i := range 20 {
		login, err := s.Client.Verify(t.Context(), fmt.Sprint("user", i), goodPassword, client.Source{})
		if err != nil || !login.Match {
			t.Fatalf("user%d after two rotations and a restart: %v, %v", i, login.Match, err)
		}
	}
}

// TestConfiguredPeppers goes from a key for AES to one for SM4 and retires the
// first, and refuses every list of keys that would make passwords wrong.
func TestConfiguredPeppers(t *testing.T) {
	t.Parallel()
	key := func() string {
		b := make([]byte, 32)
		_, _ = rand.Read(b)
		return secretFile(t, hex.EncodeToString(b))
	}
	one, two := key(), key()
	list := func(keys ...string) string { return "pepper: {keys: [" + strings.Join(keys, ", ") + "]}" }
	entry := func(id, file, state, more string) string {
		return fmt.Sprintf("{id: %s, file: %q, state: %s%s}", id, file, state, more)
	}
	const sm4 = ", cipher: sm4-gcm"
	s := servertest.Start(t, servertest.Options{Config: list(entry("one", one, "active", ""))})
	dir := s.DataDir
	set(t, s, "alice", goodPassword)
	s.Stop()
	asked := fmt.Sprintf("{id: one, command: [cat, %q], state: active}", one)
	s = servertest.Start(t, servertest.Options{Config: list(asked), DataDir: dir})
	if login, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{}); err != nil || !login.Match {
		t.Errorf("under the key that a program prints: %v, %v", login.Match, err)
	}
	s.Stop()

	refused := func(why, config string) {
		t.Helper()
		if got, err := servertest.TryStart(t, servertest.Options{Config: config, DataDir: dir}); err == nil {
			t.Errorf("started although %s", why)
			got.Stop()
		} else if !strings.Contains(err.Error(), "pepper") {
			t.Errorf("%s: %v", why, err)
		}
	}
	refused("the key is missing", list(entry("two", two, "active", "")))
	refused("the key is another", list(entry("one", two, "active", "")))
	refused("the cipher is another", list(entry("one", one, "active", sm4)))
	refused("the cipher is unknown", list(entry("one", one, "active", ", cipher: rot13")))
	refused("no key is active", list(entry("one", one, "decrypt-only", "")))
	refused("two keys are active", list(entry("one", one, "active", ""), entry("two", two, "active", "")))
	refused("a hash is left under a retired key", list(entry("one", one, "retired", ""), entry("two", two, "active", sm4)))

	refused("the program prints another key", list(strings.Replace(asked, one, two, 1)))
	refused("the program fails", list("{id: one, command: ['false'], state: active}"))
	refused("there is both a file and a program", list(entry("one", one, "active", fmt.Sprintf(", command: [cat, %q]", one))))

	both := list(entry("one", one, "decrypt-only", ""), entry("two", two, "active", sm4))
	s = servertest.Start(t, servertest.Options{Config: both, DataDir: dir})
	login, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{})
	if err != nil || !login.Match {
		t.Errorf("under the key that only decrypts: %v, %v", login.Match, err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.Key)
	r, err := watchwordv1.NewAdminServiceClient(dial(t, s)).RotatePepper(ctx, &watchwordv1.RotatePepperRequest{})
	if err != nil || r.GetKeyId() != "two" || r.GetRemaining() != 0 {
		t.Errorf("RotatePepper = %v, %v, want nothing left under another key than two", r, err)
	}
	s.Stop()
	s = servertest.Start(t, servertest.Options{Config: list(entry("one", one, "retired", ""), entry("two", two, "active", sm4)), DataDir: dir})
	login, err = s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{})
	if err != nil || !login.Match {
		t.Errorf("under SM4: %v, %v", login.Match, err)
	}
}

// TestLegacyRowsDoNotShowInTime imports one slow hash and compares how long
// strangers wait for a "no match" of it and of nobody.
func TestLegacyRowsDoNotShowInTime(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: "throttle: {subject_free: 10}"})
	slow, err := bcrypt.GenerateFromPassword([]byte("imported lantern"), 8)
	if err != nil {
		t.Fatal(err)
	}
	if code, answer := s.Post("/v1/credentials:import", fmt.Sprintf(`{"subject":"slow","phc":%q}`, slow)); code != 200 || strings.Contains(answer, `"reason"`) {
		t.Fatalf("import: %d %s", code, answer)
	}
	ask := func(subject string, i int) time.Duration {
		begin := time.Now()
		if login, err := s.Client.Verify(t.Context(), subject, fmt.Sprint("guess ", i), client.Source{}); err != nil || login.Match {
			t.Fatalf("%s: %v, %v", subject, login.Match, err)
		}
		return time.Since(begin)
	}
	// The least of each: what the machine does beside makes the others longer.
	known, unknown := time.Hour, time.Hour
	for i := range 9 {
		known, unknown = min(known, ask("slow", i)), min(unknown, ask("nobody", i))
	}
	// One bcrypt of cost 8 takes ten milliseconds or more, one hash at the test's
	// cost less than one: without the wait the quotient is far below a half.
	if q := float64(unknown) / float64(known); q < 0.8 || q > 1.25 {
		t.Errorf("an answer took %v for a legacy row and %v for nobody", known, unknown)
	}
}

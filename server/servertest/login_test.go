// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

const goodPassword = "tangled lantern orbit 7 walrus"

func set(t *testing.T, s *servertest.Server, subject, password string) {
	t.Helper()
	if _, err := s.Client.Set(t.Context(), subject, password, noOptions); err != nil {
		t.Fatalf("Set: %v", err)
	}
}

// TestParallelGuessesHashAtMostTheBudget races a thousand wrong guesses for a
// budget of five.
func TestParallelGuessesHashAtMostTheBudget(t *testing.T) {
	const racers, budget = 1000, 5
	// Thrice as many hashes as the budget can run at a time, and each takes a
	// moment: whoever charges when the outcome is known is seen on any machine.
	s := servertest.Start(t, servertest.Options{ProductionCost: true, Config: "hashing: {slots: 15}"})
	set(t, s, "alice", goodPassword)
	for name, guess := range map[string]func(i int) error{
		"verify": func(i int) error {
			_, err := s.Client.Verify(t.Context(), "alice", fmt.Sprintf("wrong %d", i), client.Source{})
			return err
		},
		"change": func(i int) error {
			_, err := s.Client.Change(t.Context(), "alice", fmt.Sprintf("wrong again %d", i), goodPassword+"!", client.Source{}, noOptions)
			return err
		},
	} {
		if err := s.Client.ResetThrottle(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		before := s.Hashes()
		var denied, answered, other atomic.Int64
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				var d *client.DeniedError
				var b *client.BusyError
				switch err := guess(i); {
				case errors.As(err, &d):
					denied.Add(1)
				case err == nil:
					answered.Add(1)
				case errors.As(err, &b):
				default:
					other.Add(1)
				}
			})
		}
		wg.Wait()
		hashes := s.Hashes() - before
		if hashes > budget || answered.Load() > budget {
			t.Errorf("%s: %d hashes and %d answers for a budget of %d", name, hashes, answered.Load(), budget)
		}
		if hashes == 0 || denied.Load() < racers/2 || other.Load() > 0 {
			t.Errorf("%s: %d hashes, %d denied, %d other errors: the race did not happen", name, hashes, denied.Load(), other.Load())
		}
	}
}

// TestParallelRightLoginsAllPass is the other side of the race: many devices
// of one person, all with the right password.
func TestParallelRightLoginsAllPass(t *testing.T) {
	s := servertest.New(t)
	set(t, s, "alice", goodPassword)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			login, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{IP: fmt.Sprintf("192.0.2.%d", i)})
			if err != nil || !login.Match {
				t.Errorf("login %d: %v, %v", i, login.Match, err)
			}
		})
	}
	wg.Wait()
}

// TestSpellingsShareOneBudget tries the variants that other systems counted
// apart.
func TestSpellingsShareOneBudget(t *testing.T) {
	s := servertest.New(t)
	for i, subject := range []string{"José", "jose\u0301", " JOSÉ ", "ｊｏｓé", "JOSE\u0301"} {
		if _, err := s.Client.Verify(t.Context(), subject, fmt.Sprintf("guess %d", i), client.Source{}); err != nil {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	var denied *client.DeniedError
	if _, err := s.Client.Verify(t.Context(), "josé", "guess 5", client.Source{}); !errors.As(err, &denied) || denied.RetryAfter <= 0 {
		t.Errorf("the sixth guess: %v, want a denial with a time", err)
	}
}

// TestUnknownAndWrongAreOneAnswer compares every byte that could tell a
// stranger whether an account exists, and counts the work behind it.
func TestUnknownAndWrongAreOneAnswer(t *testing.T) {
	s := servertest.New(t)
	set(t, s, "alice", goodPassword)
	set(t, s, "disabled", goodPassword)
	if err := s.Client.SetState(t.Context(), "disabled", "DISABLED"); err != nil {
		t.Fatal(err)
	}
	set(t, s, "deleted", goodPassword)
	if err := s.Client.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`"X-Request-Id":\["[0-9a-f]+"\]|Date:\[[^]]*\]|X-Request-Id:\[[^]]*\]`)
	ask := func(subject, password string) (string, uint64) {
		before := s.Hashes()
		req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/credentials:verify",
			strings.NewReader(fmt.Sprintf(`{"subject":%q,"password":%q}`, subject, password)))
		req.Header.Set("Authorization", "Bearer "+s.Key)
		req.Header.Set("Content-Type", "application/json")
		code, h, body := s.Do(req)
		return variable.ReplaceAllString(fmt.Sprint(code, h, body), ""), s.Hashes() - before
	}
	for _, password := range []string{"w", "wrong", strings.Repeat("x", 4096), "ü"} {
		want, hashes := ask("nobody", password)
		if hashes != 1 {
			t.Errorf("an unknown subject costs %d hashes", hashes)
		}
		for _, subject := range []string{"alice", "disabled", "deleted"} {
			got, hashes := ask(subject, password)
			if got != want || hashes != 1 {
				t.Errorf("%s: %d hashes and\n%s, want one hash and\n%s", subject, hashes, got, want)
			}
		}
	}
	right, hashes := ask("disabled", goodPassword)
	if want, _ := ask("nobody-else", goodPassword); right != want || hashes != 1 {
		t.Errorf("the right password of a disabled credential: %d hashes and\n%s, want\n%s", hashes, right, want)
	}
}

// TestRefusalsTellNothing asks for logins while the only slot is busy: known,
// unknown, disabled and deleted subjects are refused with one answer, which says
// when to come back, and nothing is hashed for any of them.
func TestRefusalsTellNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Config: "hashing: {slots: 1, queue_wait: 1ms}"})
	for _, subject := range []string{"alice", "disabled", "deleted"} {
		set(t, s, subject, goodPassword)
	}
	if err := errors.Join(s.Client.SetState(t.Context(), "disabled", "DISABLED"), s.Client.Delete(t.Context(), "deleted")); err != nil {
		t.Fatal(err)
	}
	slow, err := bcrypt.GenerateFromPassword([]byte(goodPassword), 11)
	if err != nil {
		t.Fatal(err)
	}
	if code, answer := s.Post("/v1/credentials:import", fmt.Sprintf(`{"subject":"slow","phc":%q}`, slow)); code != 200 || strings.Contains(answer, `"reason"`) {
		t.Fatalf("import: %d %s", code, answer)
	}
	variable := regexp.MustCompile(`(X-Request-Id|Date|Retry-After|Content-Length):\[[^]]*\]|"requestId": ?"[0-9a-f]+"|"retryDelay": ?"[0-9.]+s"`)
	for range 20 { // until the slow login outlasts the questions
		before := s.Hashes()
		over := make(chan error, 1)
		go func() {
			_, err := s.Client.Verify(t.Context(), "slow", goodPassword, client.Source{})
			over <- err
		}()
		for s.Hashes() == before {
			time.Sleep(time.Millisecond)
		}
		answers := map[string]string{}
		for _, subject := range []string{"alice", "nobody", "disabled", "deleted", "slow"} {
			req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/credentials:verify",
				strings.NewReader(fmt.Sprintf(`{"subject":%q,"password":%q}`, subject, goodPassword)))
			req.Header.Set("Authorization", "Bearer "+s.Key)
			req.Header.Set("Content-Type", "application/json")
			code, h, body := s.Do(req)
			answers[subject] = fmt.Sprint(code, h, body)
		}
		hashes, running := s.Hashes()-before, len(over) == 0
		if err := <-over; err != nil {
			t.Fatalf("the login that held the slot: %v", err)
		}
		if !running {
			continue
		}
		want := variable.ReplaceAllString(answers["nobody"], "")
		for subject, got := range answers {
			if !strings.HasPrefix(got, "429") || !strings.Contains(got, "HASH_CAPACITY") || !strings.Contains(got, "Retry-After") {
				t.Errorf("%s was not refused and told when to come back: %s", subject, got)
			}
			if got = variable.ReplaceAllString(got, ""); got != want {
				t.Errorf("%s is refused with\n%s\nand nobody with\n%s", subject, got, want)
			}
		}
		if hashes != 1 {
			t.Errorf("%d hashes were begun, want only that of the login that held the slot", hashes)
		}
		return
	}
	t.Error("no login was slow enough to be asked beside")
}

// TestBadTextsTellNothing asks with texts that are no password: known,
// unknown, disabled and deleted subjects get one answer for each and cost the
// same number of hashes (keycloak/keycloak#51887, CVE-2025-22234,
// CVE-2016-6210).
func TestBadTextsTellNothing(t *testing.T) {
	s := servertest.New(t)
	for _, subject := range []string{"alice", "disabled", "deleted"} {
		set(t, s, subject, goodPassword)
	}
	if err := errors.Join(s.Client.SetState(t.Context(), "disabled", "DISABLED"), s.Client.Delete(t.Context(), "deleted")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": ``, "one character": `x`, "the cap": strings.Repeat("x", 4096), "over the cap": strings.Repeat("x", 4097), "1 MiB": strings.Repeat("x", 1<<20-100),
		"NUL": `tangled\u0000lantern`, "only NUL": `\u0000`, "lone surrogate": `\ud800`, "bad UTF-8": "\xff", "grows when normalised": strings.Repeat("\ufdfa", 1300),
		"direction marks": "\u202etangled", "spaces": "      ",
	} {
		want, cost := "", uint64(0)
		for i, subject := range []string{"nobody", "alice", "disabled", "deleted"} {
			before := s.Hashes()
			code, body := s.Post("/v1/credentials:verify", `{"password":"`+text+`","subject":"`+subject+`"}`)
			got, hashes := fmt.Sprint(code, body), s.Hashes()-before
			if i == 0 {
				want, cost = got, hashes
			}
			if got != want || hashes != cost || hashes > 1 {
				t.Errorf("%s for %s: %d hashes and %.200s, want %d and %.200s", name, subject, hashes, got, cost, want)
			}
			if err := s.Client.ResetThrottle(t.Context(), subject); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAWaitHoldsOnEveryPath spends the budget of a subject over one path; the
// right password then opens none of them (CVE-2025-64102, CVE-2026-9798).
// Nothing is configured: the throttle is there by default.
func TestAWaitHoldsOnEveryPath(t *testing.T) {
	s := policyServer(t, "")
	denied := func(err error) bool {
		var d *client.DeniedError
		return errors.As(err, &d)
	}
	ctx := t.Context()
	paths := map[string]func(password string) bool{
		"VerifyPassword": func(p string) bool {
			_, err := s.Client.Verify(ctx, "alice", p, client.Source{})
			return denied(err)
		},
		"VerifyPassword over REST": func(p string) bool {
			_, body := s.Post("/v1/credentials:verify", fmt.Sprintf(`{"subject":"alice","password":%q}`, p))
			return !strings.Contains(body, "RESULT_")
		},
		"ChangePassword": func(p string) bool {
			_, err := s.Client.Change(ctx, "alice", p, goodPassword+" too", client.Source{}, noOptions)
			return denied(err)
		},
		"BeginAttempt": func(p string) bool {
			a, err := s.Client.Begin(ctx, "alice", client.Source{}, []byte(p))
			if err != nil {
				return denied(err)
			}
			_, err = a.Complete(ctx, client.BadSecret)
			return err != nil
		},
		"ReportAttempt then VerifyPassword": func(p string) bool {
			_, _ = s.Client.Report(ctx, "alice", client.Source{}, client.BadSecret, []byte(p))
			_, err := s.Client.Verify(ctx, "alice", p, client.Source{})
			return denied(err)
		},
		"auth policy": func(p string) bool {
			about := fmt.Sprintf(`{"login":"alice","remote":"192.0.2.7","pwhash":"%04x","success":false}`, crc32.ChecksumIEEE([]byte(p))&0xfff)
			_, body := authPolicy(t, s, "allow", about)
			_, _ = authPolicy(t, s, "report", about)
			return !strings.Contains(body, `"status":0`)
		},
	}
	for spent := range paths {
		set(t, s, "alice", goodPassword)
		if err := s.Client.ResetThrottle(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			paths[spent](fmt.Sprintf("%s, guess %d", spent, i))
		}
		for name, refused := range paths {
			if !refused(goodPassword) {
				t.Errorf("after wrong guesses over %s, the right password is not refused over %s", spent, name)
			}
		}
	}
}

// TestStrangersDoNotLockTheOwnerOut exhausts the unknown devices and logs in
// from a known one.
func TestStrangersDoNotLockTheOwnerOut(t *testing.T) {
	s := servertest.New(t)
	set(t, s, "alice", goodPassword)
	login, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{IP: "192.0.2.1"})
	if err != nil || !login.Match || login.DeviceToken == "" {
		t.Fatalf("first login: %+v, %v", login, err)
	}
	for i := range 20 {
		_, _ = s.Client.Verify(t.Context(), "alice", fmt.Sprintf("guess %d", i), client.Source{IP: fmt.Sprintf("198.51.100.%d", i)})
	}
	var denied *client.DeniedError
	if _, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{IP: "192.0.2.1"}); !errors.As(err, &denied) {
		t.Errorf("without the token: %v, want a denial", err)
	}
	again, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{IP: "192.0.2.1", DeviceToken: login.DeviceToken})
	if err != nil || !again.Match {
		t.Errorf("with the token: %v, %v", again.Match, err)
	}
	if login, err := s.Client.Verify(t.Context(), "bob", "x", client.Source{DeviceToken: login.DeviceToken}); err != nil || login.Match {
		t.Errorf("the token for another subject: %v, %v", login, err)
	}
}

// TestHundredFailuresNeedRebinding walks the clock past every wait.
func TestHundredFailuresNeedRebinding(t *testing.T) {
	var offset atomic.Int64
	s := servertest.Start(t, servertest.Options{Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }})
	set(t, s, "alice", goodPassword)
	hashes := s.Hashes()
	for i, closed := 0, false; !closed; {
		_, err := s.Client.Verify(t.Context(), "alice", fmt.Sprintf("guess %d", i), client.Source{})
		var denied *client.DeniedError
		switch {
		case errors.As(err, &denied) && denied.Verdict == "DENY":
			closed = true
		case errors.As(err, &denied):
			offset.Add(int64(denied.RetryAfter) + int64(time.Second))
		case err != nil:
			t.Fatal(err)
		default:
			i++
		}
	}
	// Now and then a guess shares its tag of 16 bits with one just before it, and
	// passes for the same password again.
	if got := s.Hashes() - hashes; got < 100 || got > 102 {
		t.Errorf("%d hashes until the lane closed, want 100", got)
	}
	offset.Add(int64(365 * 24 * time.Hour))
	var denied *client.DeniedError
	if _, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{}); !errors.As(err, &denied) || denied.Verdict != "DENY" {
		t.Errorf("a year after 100 failures: %v, want DENY", err)
	}
	if c, err := s.Client.Get(t.Context(), "alice"); err != nil || c.State != "DISABLED" {
		t.Errorf("the credential is %v, %v, want DISABLED", c.State, err)
	}
	if _, err := s.Client.Set(t.Context(), "alice", goodPassword+" anew", client.SetOptions{Reset: true}); err != nil {
		t.Fatal(err)
	}
	login, err := s.Client.Verify(t.Context(), "alice", goodPassword+" anew", client.Source{})
	if err != nil || !login.Match {
		t.Errorf("after a reset: %v, %v", login.Match, err)
	}
}

// TestCredentialLife follows one credential from first set to deletion.
func TestCredentialLife(t *testing.T) {
	s := servertest.New(t)
	ctx := t.Context()
	none, one := uint32(0), uint32(1)
	if stored, err := s.Client.Set(ctx, "alice", goodPassword, client.SetOptions{IfVersion: &none}); err != nil || stored.Version != 1 {
		t.Fatalf("Set = %+v, %v", stored, err)
	}
	if _, err := s.Client.Set(ctx, "alice", goodPassword, client.SetOptions{IfVersion: &none}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("Set of one that must not exist: %v", err)
	}
	var rejected *client.RejectedError
	if _, err := s.Client.Set(ctx, "alice", "password1234567", noOptions); !errors.As(err, &rejected) ||
		len(rejected.Violations) == 0 || len(rejected.Advice) == 0 {
		t.Errorf("Set of a listed password: %v", err)
	}
	login, err := s.Client.Verify(ctx, "alice", goodPassword, fromSomewhere)
	if err != nil || !login.Match || login.MustChange {
		t.Fatalf("Verify = %+v, %v", login, err)
	}
	changed, err := s.Client.Change(ctx, "alice", "not it", goodPassword+" b", fromSomewhere, noOptions)
	if err != nil || changed.Match {
		t.Errorf("Change with a wrong password = %+v, %v", changed, err)
	}
	changed, err = s.Client.Change(ctx, "alice", goodPassword, "quite another 4 umbrella forest", fromSomewhere, noOptions)
	if err != nil || !changed.Match || changed.Version != 2 || changed.DeviceToken == "" {
		t.Fatalf("Change = %+v, %v", changed, err)
	}
	if login, err := s.Client.Verify(ctx, "alice", goodPassword, fromSomewhere); err != nil || login.Match {
		t.Errorf("the old password: %v, %v", login.Match, err)
	}
	if _, err := s.Client.Set(ctx, "alice", goodPassword, client.SetOptions{IfVersion: &one}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("Set at an old version: %v", err)
	}
	if err := s.Client.SetState(ctx, "alice", "COMPROMISED"); err != nil {
		t.Fatal(err)
	}
	if login, err := s.Client.Verify(ctx, "alice", "quite another 4 umbrella forest", fromSomewhere); err != nil || !login.MustChange {
		t.Errorf("a compromised credential: %+v, %v", login, err)
	}
	c, err := s.Client.Get(ctx, "alice")
	if err != nil || c.State != "COMPROMISED" || c.Version != 3 || c.Scheme != "argon2id" || c.LastLogin.IsZero() {
		t.Errorf("Get = %+v, %v", c, err)
	}
	if err := s.Client.Delete(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client.Get(ctx, "alice"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Get after Delete: %v", err)
	}
	if stored, err := s.Client.Set(ctx, "alice", goodPassword, client.SetOptions{IfVersion: &none}); err != nil || stored.Version <= 3 {
		t.Errorf("Set after Delete = %+v, %v, want a version that goes on", stored, err)
	}
}

// altered gives a token with another last character.
func altered(token string) string {
	last := "A"
	if strings.HasSuffix(token, last) {
		last = "B"
	}
	return token[:len(token)-1] + last
}

// TestProofMakesCheckAndSetAgree takes the proof of a check to a set.
func TestProofMakesCheckAndSetAgree(t *testing.T) {
	s := servertest.New(t)
	ctx := t.Context()
	j, err := s.Client.Check(ctx, goodPassword, client.CheckOptions{})
	if err != nil || !j.Accepted || j.Proof == "" {
		t.Fatalf("Check = %+v, %v", j, err)
	}
	for name, c := range map[string]struct {
		password, proof string
		want            error
	}{
		"its own":          {goodPassword, j.Proof, nil},
		"another password": {goodPassword + "!", j.Proof, client.ErrProofStale},
		"a forged one":     {goodPassword, altered(j.Proof), client.ErrProofStale},
	} {
		if _, err := s.Client.Set(ctx, "p", c.password, client.SetOptions{Proof: c.proof}); !errors.Is(err, c.want) {
			t.Errorf("Set with %s: %v, want %v", name, err, c.want)
		}
	}
	if j, err := s.Client.Check(ctx, "password1234567", client.CheckOptions{}); err != nil || j.Accepted || j.Proof != "" {
		t.Errorf("a rejected password came with a proof: %+v, %v", j, err)
	}
}

// TestRestartKeepsEverything stops the server and starts it on the same data.
func TestRestartKeepsEverything(t *testing.T) {
	s := servertest.New(t)
	set(t, s, "alice", goodPassword)
	for i := range 5 {
		if _, err := s.Client.Verify(t.Context(), "mallory", fmt.Sprintf("guess %d", i), client.Source{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := servertest.TryStart(t, servertest.Options{DataDir: s.DataDir}); err == nil {
		t.Error("a second server started on the same data directory")
	}
	key := s.Key
	s.Stop()
	s = servertest.Start(t, servertest.Options{DataDir: s.DataDir})
	if s.Key != key {
		t.Error("a second start made another admin key")
	}
	login, err := s.Client.Verify(t.Context(), "alice", goodPassword, fromSomewhere)
	if err != nil || !login.Match {
		t.Errorf("after a restart: %v, %v", login.Match, err)
	}
	var denied *client.DeniedError
	if _, err := s.Client.Verify(t.Context(), "mallory", "guess 6", client.Source{}); !errors.As(err, &denied) {
		t.Errorf("a restart forgot the failures: %v", err)
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"golang.org/x/crypto/bcrypt"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

// vectors reads the hashes of other programs, by the name of each row's
// subject.
func vectors(t *testing.T) map[string][2]string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash("../internal/password/testdata/vectors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][2]string)
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 3 {
			out[fmt.Sprintf("row-%d", len(out))] = [2]string{f[1], f[2]}
		}
	}
	return out
}

// otherCase turns the case of every letter.
func otherCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

// firebase configures the keys that firebase/scrypt's README gives with its
// vector, and a long queue.
func firebase(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("hashing: {queue_wait: 2m, firebase: {signer_key_file: %q, salt_separator_file: %q}}\n",
		secretFile(t, "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="), secretFile(t, "Bw=="))
}

// TestEverySchemeMovesIn imports a hash of every scheme there is, made by the
// program that the scheme is of, tries what is close to the password, logs in,
// and finds the row at the live scheme.
func TestEverySchemeMovesIn(t *testing.T) {
	t.Parallel()
	config := "throttle: {subject_free: 10}\n" + firebase(t)
	s := servertest.Start(t, servertest.Options{Config: config})
	rows := vectors(t)
	var body strings.Builder
	for subject, v := range rows {
		line, _ := json.Marshal(map[string]string{"subject": subject, "phc": v[1]})
		body.Write(append(line, '\n'))
	}
	code, answer := s.Post("/v1/credentials:import", body.String())
	if code != 200 || strings.Contains(answer, `"reason"`) {
		t.Fatalf("import: %d %s", code, answer)
	}
	weak := strings.Count(strings.ReplaceAll(answer, " ", ""), `"wrapped":true`)
	if weak < 20 || weak == len(rows) {
		t.Errorf("%d of %d rows were wrapped", weak, len(rows))
	}

	// The guesses look like a spray, which the throttle would stop.
	passed := client.Source{ChallengePassed: true}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for subject, v := range rows { // all at once: most of their time is the wait of a "no match"
		wg.Go(func() {
			right := v[0]
			near := map[string]string{"wrong": "entirely different " + subject, "prefix": right[:len(right)-1], "one more": right + "x", "case flip": otherCase(right)}
			for name, guess := range near {
				if guess == right || !strings.HasPrefix(right, strings.ToValidUTF8(guess, "")) && name == "prefix" {
					continue // it has no letters, or ends within a character
				}
				if name == "prefix" {
					guess = strings.ToValidUTF8(guess, "")
				}
				if login, err := s.Client.Verify(ctx, subject, guess, passed); err != nil || login.Match {
					t.Errorf("%s, %s: %v, %v, want no match", v[1], name, login.Match, err)
				}
			}
			for name, guess := range map[string]string{"empty": "", "NUL tail": right + "\x00"} {
				if _, err := s.Client.Verify(ctx, subject, guess, passed); err == nil {
					t.Errorf("%s, %s: it was looked at", v[1], name)
				}
			}
			if login, err := s.Client.Verify(ctx, subject, right, passed); err != nil || !login.Match {
				t.Errorf("%s: %v, %v, want a match", v[1], login.Match, err)
			}
		})
	}
	wg.Wait()
	s.Stop() // waits for the upgrades behind the logins
	s = servertest.Start(t, servertest.Options{Config: config, DataDir: s.DataDir})
	for subject, v := range rows {
		c, err := s.Client.Get(t.Context(), subject)
		if err != nil || c.Scheme != "argon2id" || c.NeedsRehash || c.Version != 1 {
			t.Errorf("%s after its login: %+v, %v, want argon2id at version 1", v[1], c, err)
		}
		if login, err := s.Client.Verify(t.Context(), subject, v[0], passed); err != nil || !login.Match {
			t.Errorf("%s once it moved: %v, %v, want a match", v[1], login.Match, err)
		}
	}
}

// TestDrawnRoundsMoveIn imports hashes each of which has a number of rounds of its
// own, as some libraries draw them: not each is measured.
func TestDrawnRoundsMoveIn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Config: "hashing: {queue_wait: 1m}"})
	const rows = 200
	var body strings.Builder
	for i := range rows {
		line, _ := json.Marshal(map[string]string{"subject": fmt.Sprint("row-", i),
			"phc": fmt.Sprintf("$6$rounds=%d$saltstring$%s", 1000+i%101, strings.Repeat(".", 86))})
		body.Write(append(line, '\n'))
	}
	before := s.Hashes()
	code, answer := s.Post("/v1/credentials:import", body.String())
	if code != 200 || strings.Contains(answer, `"reason"`) || strings.Count(answer, "sha512-crypt") != rows {
		t.Fatalf("import: %d %.300s", code, answer)
	}
	// A measurement is from 10 to 100 hashes; 101 numbers are within four steps.
	if n := s.Hashes() - before; n < 10 || n > 4*100 {
		t.Errorf("%d rows took %d hashes", rows, n)
	}
}

// TestBcryptOver72Bytes logs in to a bcrypt row with a password of which bcrypt
// would see the beginning only: that is no match, and nothing is re-hashed.
func TestBcryptOver72Bytes(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	whole := strings.Repeat("bcrypt-72", 8)
	phc, err := bcrypt.GenerateFromPassword([]byte(whole), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if code, answer := s.Post("/v1/credentials:import", fmt.Sprintf(`{"subject":"alice","phc":%q}`, phc)); code != 200 || strings.Contains(answer, `"reason"`) {
		t.Fatalf("import: %d %s", code, answer)
	}
	if bcrypt.CompareHashAndPassword(phc, []byte(whole+"x")) != nil {
		t.Fatal("bcrypt sees the 73rd byte: the test tests nothing")
	}
	hashes := s.Hashes()
	if login, err := s.Client.Verify(t.Context(), "alice", whole+"x", client.Source{}); err != nil || login.Match {
		t.Errorf("73 bytes: %v, %v, want no match", login.Match, err)
	}
	if n := s.Hashes() - hashes; n != 1 {
		t.Errorf("73 bytes: %d hashes, want 1", n)
	}
	if c, err := s.Client.Get(t.Context(), "alice"); err != nil || c.Scheme != "bcrypt" {
		t.Errorf("after 73 bytes the scheme is %s, %v, want bcrypt", c.Scheme, err)
	}
	if login, err := s.Client.Verify(t.Context(), "alice", whole, client.Source{}); err != nil || !login.Match {
		t.Errorf("72 bytes: %v, %v, want a match", login.Match, err)
	}
}

// TestApprovedSchemes makes new hashes with PBKDF2 where a configuration asks
// for it, moves rows over when it changes, and refuses rounds under the floor.
func TestApprovedSchemes(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"pbkdf2-sha256", "pbkdf2-sha512", "pbkdf2-sm3"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			before := servertest.New(t)
			set(t, before, "alice", goodPassword)
			before.Stop()
			s := servertest.Start(t, servertest.Options{DataDir: before.DataDir, Config: fmt.Sprintf("hashing: {scheme: %s, rounds: 1000}", scheme)})
			set(t, s, "bob", goodPassword)
			for _, subject := range []string{"alice", "bob"} {
				if login, err := s.Client.Verify(t.Context(), subject, goodPassword+"!", client.Source{}); err != nil || login.Match {
					t.Errorf("%s with a wrong password: %v, %v", subject, login.Match, err)
				}
				if login, err := s.Client.Verify(t.Context(), subject, goodPassword, client.Source{}); err != nil || !login.Match {
					t.Errorf("%s: %v, %v", subject, login.Match, err)
				}
			}
			s.Stop()
			s = servertest.Start(t, servertest.Options{DataDir: s.DataDir, Config: fmt.Sprintf("hashing: {scheme: %s, rounds: 1000}", scheme)})
			for _, subject := range []string{"alice", "bob"} {
				if c, err := s.Client.Get(t.Context(), subject); err != nil || c.Scheme != scheme || c.NeedsRehash {
					t.Errorf("%s: %+v, %v, want %s", subject, c, err, scheme)
				}
			}
			_, err := servertest.TryStart(t, servertest.Options{ProductionCost: true, Config: fmt.Sprintf("hashing: {scheme: %s, rounds: 1000}", scheme)})
			if err == nil || !strings.Contains(err.Error(), "floor") {
				t.Errorf("a start with 1,000 rounds: %v", err)
			}
		})
	}
}

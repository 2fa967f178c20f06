// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

// counters is where attempts are counted.
type counters struct{ throttle, redis string }

// config gives the configuration for it, with more settings of the throttle.
func (c counters) config(more string) string {
	return "throttle: {" + strings.Trim(c.throttle+", "+more, ", ") + "}\n" + c.redis
}

// eachStore runs a test with the counters in process, and in Redis.
func eachStore(t *testing.T, f func(t *testing.T, c counters)) {
	t.Run("memory", func(t *testing.T) { f(t, counters{}) })
	t.Run("redis", func(t *testing.T) { f(t, startRedis(t).counters()) })
}

// eachFleet runs a test with one server, and with three that share Redis and
// the same keys. Every account in the list has goodPassword.
func eachFleet(t *testing.T, accounts []string, f func(t *testing.T, all []*servertest.Server)) {
	prepare := func(t *testing.T) string {
		first := servertest.New(t)
		for _, a := range accounts {
			set(t, first, a, goodPassword)
		}
		first.Stop()
		return first.DataDir
	}
	t.Run("one server", func(t *testing.T) {
		f(t, []*servertest.Server{servertest.Start(t, servertest.Options{DataDir: prepare(t)})})
	})
	t.Run("three servers on Redis", func(t *testing.T) {
		c, data := startRedis(t).counters(), prepare(t)
		var all []*servertest.Server
		for range 3 {
			all = append(all, servertest.Start(t, servertest.Options{Config: c.config(""), DataDir: twin(t, data)}))
		}
		f(t, all)
	})
}

// twin copies a data directory: the same keys and accounts.
func twin(t *testing.T, data string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(data, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, e.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// race calls f that often at once and counts how often it says yes.
func race(n int, f func(i int) bool) int {
	var yes atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if f(i) {
				yes.Add(1)
			}
		})
	}
	wg.Wait()
	return int(yes.Load())
}

// begin reserves an attempt and tells whether it may happen. Any other failure
// than a refusal ends the test.
func begin(t testing.TB, c *client.Client, subject string, src client.Source, tag []byte) (*client.Attempt, bool) {
	a, err := c.Begin(t.Context(), subject, src, tag)
	var denied *client.DeniedError
	if err != nil && !errors.As(err, &denied) {
		t.Errorf("Begin: %v", err)
	}
	return a, err == nil
}

func tagOf(i int) []byte { return fmt.Appendf(nil, "guess %d", i) }

// fail reports n failures without tags: two tagged guesses of n are taken for
// one now and then, since only 16 bits of a tag are kept.
func fail(t *testing.T, s *servertest.Server, subject string, src client.Source, n int) {
	t.Helper()
	for range n {
		if _, err := s.Client.Report(t.Context(), subject, src, client.BadSecret, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// lostStore tells whether a server had to decide without its store, be it one
// attempt. Then each may give away its part of one more budget.
func lostStore(all []*servertest.Server) bool {
	for _, s := range all {
		if log := s.Log.String(); strings.Contains(log, "throttle store lost") || strings.Contains(log, "throttle store gave no answer") {
			return true
		}
	}
	return false
}

// TestRaceForOneBudget lets a thousand callers race for five guesses, on every
// way there is to have one.
func TestRaceForOneBudget(t *testing.T) {
	const racers, budget = 1000, 5
	eachFleet(t, []string{"verify", "change"}, func(t *testing.T, all []*servertest.Server) {
		hashes := func() (n uint64) {
			for _, s := range all {
				n += s.Hashes()
			}
			return n
		}
		for _, way := range []struct {
			name   string
			hashes bool
			try    func(s *servertest.Server, i int) bool
		}{
			{"begin", false, func(s *servertest.Server, i int) bool {
				_, ok := begin(t, s.Client, "begin", client.Source{}, tagOf(i))
				return ok
			}},
			{"begin without a tag", false, func(s *servertest.Server, i int) bool {
				_, ok := begin(t, s.Client, "untagged", client.Source{}, nil)
				return ok
			}},
			{"begin over REST", false, func(s *servertest.Server, i int) bool {
				code, body := s.Post("/v1/attempts:begin", fmt.Sprintf(`{"subject":"rest","guessTag":%q}`, base64.StdEncoding.EncodeToString(tagOf(i))))
				if code != 200 {
					t.Errorf("REST: %d %s", code, body)
				}
				return strings.Contains(body, `"VERDICT_ALLOW"`)
			}},
			{"verify", true, func(s *servertest.Server, i int) bool {
				_, err := s.Client.Verify(t.Context(), "verify", fmt.Sprint("wrong ", i), client.Source{})
				return err == nil
			}},
			{"verify over REST", true, func(s *servertest.Server, i int) bool {
				code, _ := s.Post("/v1/credentials:verify", fmt.Sprintf(`{"subject":"nobody","password":"wrong %d"}`, i))
				return code == 200
			}},
			{"change", true, func(s *servertest.Server, i int) bool {
				_, err := s.Client.Change(t.Context(), "change", fmt.Sprint("wrong ", i), goodPassword+"!", client.Source{}, noOptions)
				return err == nil
			}},
		} {
			before := hashes()
			admitted := race(racers, func(i int) bool { return way.try(all[i%len(all)], i) })
			limit := budget
			if lostStore(all) {
				limit *= 2
				t.Logf("%s: Redis did not answer in time under this load; twice the budget is allowed for", way.name)
			}
			ran := int(hashes() - before)
			if admitted < 1 || admitted > limit || ran > limit || way.hashes && ran < admitted {
				t.Errorf("%s: %d of %d admitted and %d hashes run, want 1 to %d", way.name, admitted, racers, ran, limit)
			}
		}
	})
}

// TestRaceSeesCheckThenAct is the same race for a caller who looks first and
// counts afterwards, as many systems do: it must be found out.
func TestRaceSeesCheckThenAct(t *testing.T) {
	s := servertest.New(t)
	admitted := race(1000, func(i int) bool {
		lanes, err := s.Client.Throttle(t.Context(), "alice")
		if err != nil {
			t.Error(err)
			return false
		}
		for _, l := range lanes {
			if l.Verdict != "ALLOW" {
				return false
			}
		}
		time.Sleep(time.Millisecond) // the hash
		if _, err := s.Client.Report(t.Context(), "alice", client.Source{}, client.BadSecret, tagOf(i)); err != nil {
			t.Error(err)
		}
		return true
	})
	if admitted <= 5 {
		t.Errorf("%d of 1000 admitted: the race would not see a check that comes before the act", admitted)
	}
}

// TestParallelRightAttemptsAllPass has 32 devices of one person log in at
// once, and nothing held against them after.
func TestParallelRightAttemptsAllPass(t *testing.T) {
	eachFleet(t, []string{"alice"}, func(t *testing.T, all []*servertest.Server) {
		if n := race(32, func(i int) bool {
			login, err := all[i%len(all)].Client.Verify(t.Context(), "alice", goodPassword, client.Source{IP: fmt.Sprintf("192.0.2.%d", i)})
			return err == nil && login.Match
		}); n != 32 {
			t.Errorf("%d of 32 right logins pass", n)
		}
		if n := race(32, func(i int) bool {
			a, ok := begin(t, all[i%len(all)].Client, "bob", client.Source{}, tagOf(1))
			if !ok {
				return false
			}
			// Any server of the fleet takes the outcome.
			_, err := all[(i+1)%len(all)].Client.Resume(a.Token()).Complete(t.Context(), client.Success)
			return err == nil
		}); n != 32 {
			t.Errorf("%d of 32 right attempts pass", n)
		}
		for _, who := range []string{"alice", "bob"} {
			if n := lane(t, all[0], who, "subject", "PASSWORD").Failures; n != 0 {
				t.Errorf("%d failures are held against %s", n, who)
			}
		}
	})
}

// lane gives one lane of a subject.
func lane(t testing.TB, s *servertest.Server, subject, name, channel string) client.Lane {
	t.Helper()
	lanes, err := s.Client.Throttle(t.Context(), subject)
	if err != nil {
		t.Fatalf("GetThrottleState: %v", err)
	}
	for _, l := range lanes {
		if l.Name == name && l.Channel == channel {
			return l
		}
	}
	t.Fatalf("no lane %s %s in %+v", name, channel, lanes)
	return client.Lane{}
}

// exhaust uses up the free guesses of a subject.
func exhaust(t testing.TB, s *servertest.Server, subject string, src client.Source, free int) {
	t.Helper()
	for i := range free {
		a, ok := begin(t, s.Client, subject, src, tagOf(i))
		if !ok {
			t.Fatalf("guess %d of %d is refused", i+1, free)
		}
		if _, err := a.Complete(t.Context(), client.BadSecret); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := begin(t, s.Client, subject, src, tagOf(free)); ok {
		t.Fatalf("guess %d is admitted", free+1)
	}
}

// TestStateShowsEveryLane reads budgets before and after failures.
func TestStateShowsEveryLane(t *testing.T) {
	eachStore(t, func(t *testing.T, c counters) {
		s := servertest.Start(t, servertest.Options{Config: c.config("")})
		set(t, s, "alice", goodPassword)
		lanes, err := s.Client.Throttle(t.Context(), "alice")
		want := []client.Lane{
			{Name: "subject", Channel: "PASSWORD", Verdict: "ALLOW", Budget: 5}, {Name: "subject", Channel: "OTP", Verdict: "ALLOW", Budget: 5},
			{Name: "subject", Channel: "RESET_CODE", Verdict: "ALLOW", Budget: 5},
		}
		if diff := cmp.Diff(want, lanes); diff != "" || err != nil {
			t.Errorf("a fresh account: %v\n%s", err, diff)
		}
		login, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{})
		if err != nil {
			t.Fatal(err)
		}
		exhaust(t, s, "alice", client.Source{IP: "2001:db8::1"}, 5)
		fail(t, s, "alice", client.Source{DeviceToken: login.DeviceToken}, 3)
		l := lane(t, s, "alice", "subject", "PASSWORD")
		if l.Failures != 5 || l.Budget != 5 || l.Verdict != "DELAY" || l.RetryAfter <= 0 || l.RetryAfter > 30*time.Second {
			t.Errorf("after five failures: %+v", l)
		}
		if l := lane(t, s, "alice", "device", "PASSWORD"); l.Failures != 3 || l.Budget != 10 || l.Verdict != "ALLOW" {
			t.Errorf("the device's lane: %+v", l)
		}
		got, err := s.Client.ThrottleAddress(t.Context(), "2001:db8::1")
		want = []client.Lane{{Name: "prefix-64", Verdict: "ALLOW", Failures: 5, Budget: 30}, {Name: "prefix-56", Verdict: "ALLOW", Failures: 5, Budget: 60},
			{Name: "prefix-48", Verdict: "ALLOW", Failures: 5, Budget: 120}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("the address: %v\n%s", err, diff)
		}
		fresh, err := s.Client.ThrottleAddress(t.Context(), "192.0.2.1")
		want = []client.Lane{{Name: "prefix-32", Verdict: "ALLOW", Budget: 30}, {Name: "prefix-24", Verdict: "ALLOW", Budget: 120}}
		if diff := cmp.Diff(want, fresh); diff != "" || err != nil {
			t.Errorf("a fresh address: %v\n%s", err, diff)
		}
		code, body := s.Post("/v1/throttle:get", `{"subject":"alice","channel":"CHANNEL_PASSWORD"}`)
		var state struct {
			Lanes []struct {
				Lane, Verdict    string
				Failures, Budget int
			}
		}
		if err := json.Unmarshal([]byte(body), &state); err != nil || code != 200 || len(state.Lanes) != 2 || state.Lanes[0].Budget != 5 || state.Lanes[0].Verdict != "VERDICT_DELAY" {
			t.Errorf("over REST: %d %s, %v", code, body, err)
		}
		if err := s.Client.ResetThrottle(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		if l := lane(t, s, "alice", "subject", "PASSWORD"); l.Failures != 0 || l.Verdict != "ALLOW" {
			t.Errorf("after a reset: %+v", l)
		}
		if err := s.Client.ResetAddress(t.Context(), "2001:db8::ffff"); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Client.ThrottleAddress(t.Context(), "2001:db8::1"); err != nil || got[0].Failures != 0 {
			t.Errorf("the address after a reset: %+v, %v", got, err)
		}
	})
}

// TestChannelsAreApart uses up one channel after the other.
func TestChannelsAreApart(t *testing.T) {
	eachStore(t, func(t *testing.T, c counters) {
		s := servertest.Start(t, servertest.Options{Config: c.config("")})
		for _, channel := range []string{"password", "otp", "reset-code"} {
			exhaust(t, s, "alice", client.Source{Channel: channel}, 5)
		}
		// A right password gives nothing back to the other channels.
		if _, err := s.Client.Report(t.Context(), "alice", client.Source{}, client.Success, nil); err != nil {
			t.Fatal(err)
		}
		if _, ok := begin(t, s.Client, "alice", client.Source{}, tagOf(9)); !ok {
			t.Error("the password lane is not open after a success")
		}
		for _, channel := range []string{"otp", "reset-code"} {
			if _, ok := begin(t, s.Client, "alice", client.Source{Channel: channel}, tagOf(9)); ok {
				t.Errorf("a right password opened %s", channel)
			}
		}
	})
}

// TestDeviceTokens presents tokens that are not the subject's own.
func TestDeviceTokens(t *testing.T) {
	eachStore(t, func(t *testing.T, c counters) {
		s := servertest.Start(t, servertest.Options{Config: c.config("")})
		ctx := t.Context()
		for _, who := range []string{"alice", "mallory"} {
			set(t, s, who, goodPassword)
		}
		token := func(who string) string {
			t.Helper()
			login, err := s.Client.Verify(ctx, who, goodPassword, client.Source{})
			if err != nil || login.DeviceToken == "" {
				t.Fatalf("%+v, %v", login, err)
			}
			return login.DeviceToken
		}
		own, foreign := token("alice"), token("mallory")
		flipped := []byte(own)
		flipped[8] ^= 1
		exhaust(t, s, "alice", client.Source{}, 5)
		for name, x := range map[string]string{
			"none": "", "foreign": foreign, "forged": string(flipped), "cut": own[:len(own)-1], "doubled": own + own,
			"padded": own + "=", "all zero": strings.Repeat("A", len(own)),
		} {
			if _, ok := begin(t, s.Client, "alice", client.Source{DeviceToken: x}, tagOf(7)); ok {
				t.Errorf("%s: the attempt is admitted", name)
			}
		}
		// The own token may be shown again and again, and has its own budget.
		exhaust(t, s, "alice", client.Source{DeviceToken: own}, 10)
		if err := s.Client.ResetThrottle(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		// A new password makes old devices unknown.
		if _, err := s.Client.Change(ctx, "alice", goodPassword, "quite another 4 umbrella forest", client.Source{DeviceToken: own}, noOptions); err != nil {
			t.Fatal(err)
		}
		exhaust(t, s, "alice", client.Source{}, 5)
		if _, ok := begin(t, s.Client, "alice", client.Source{DeviceToken: own}, tagOf(8)); ok {
			t.Error("a token from before the change is still known")
		}
	})
}

// TestOutcomes tells outcomes twice, otherwise, of another tenant, and of
// attempts that never were.
func TestOutcomes(t *testing.T) {
	eachStore(t, func(t *testing.T, c counters) {
		s := servertest.Start(t, servertest.Options{Config: c.config("") + "tenants: [{name: other}]\n"})
		ctx := t.Context()
		_, secret, err := s.Client.CreateKey(ctx, client.NewKey{Name: "other", Tenant: "other", Scopes: []string{"throttle.attempt"}})
		if err != nil {
			t.Fatal(err)
		}
		other := s.ClientWith(secret)
		a, _ := begin(t, s.Client, "alice", client.Source{}, tagOf(1))
		flipped := []byte(a.Token())
		flipped[20] ^= 1
		var invalid *client.InvalidError
		for name, try := range map[string]*client.Attempt{
			"another tenant's": other.Resume(a.Token()), "forged": s.Client.Resume(string(flipped)), "empty": s.Client.Resume(""),
			"cut": s.Client.Resume(a.Token()[:40]), "no token at all": s.Client.Resume("success"),
		} {
			if _, err := try.Complete(ctx, client.Success); !errors.As(err, &invalid) {
				t.Errorf("%s: %v, want an InvalidError", name, err)
			}
		}
		if _, err := a.Complete(ctx, client.BadSecret); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := a.Complete(ctx, client.BadSecret); err != nil {
				t.Errorf("the same again: %v", err)
			}
			if _, err := a.Complete(ctx, client.Success); !errors.As(err, &invalid) {
				t.Errorf("otherwise: %v, want an InvalidError", err)
			}
		}
		if n := lane(t, s, "alice", "subject", "PASSWORD").Failures; n != 1 {
			t.Errorf("%d failures, want 1", n)
		}
		b, _ := begin(t, s.Client, "bob", client.Source{}, tagOf(1))
		first, err := b.Complete(ctx, client.Success)
		if err != nil {
			t.Fatal(err)
		}
		again, err := b.Complete(ctx, client.Success)
		if err != nil || first.DeviceToken == "" || again.DeviceToken != first.DeviceToken {
			t.Errorf("a success told twice gives %v and %v, %v", first, again, err)
		}
		// A cancelled attempt costs nothing.
		for i := range 20 {
			x, ok := begin(t, s.Client, "carol", client.Source{}, tagOf(i))
			if !ok {
				t.Fatalf("attempt %d is refused", i)
			}
			if _, err := x.Complete(ctx, client.Cancelled); err != nil {
				t.Fatal(err)
			}
		}
		// The other tenant's account of the same name has its own budget.
		exhaust(t, s, "dave", client.Source{}, 5)
		if _, err := other.Begin(ctx, "dave", client.Source{}, nil); err != nil {
			t.Errorf("the other tenant's dave: %v", err)
		}
	})
}

// TestSameGuessIsNotNew repeats one wrong password.
func TestSameGuessIsNotNew(t *testing.T) {
	eachStore(t, func(t *testing.T, c counters) {
		s := servertest.Start(t, servertest.Options{Config: c.config("")})
		set(t, s, "alice", goodPassword)
		for i := range 12 {
			if _, err := s.Client.Verify(t.Context(), "alice", "the same typo", client.Source{}); err != nil {
				t.Fatalf("time %d: %v", i+1, err)
			}
		}
		if n := lane(t, s, "alice", "subject", "PASSWORD").Failures; n != 1 {
			t.Errorf("%d failures, want 1", n)
		}
	})
}

// TestNamesAndAddressesHaveOneSpelling counts spellings together.
func TestNamesAndAddressesHaveOneSpelling(t *testing.T) {
	eachStore(t, func(t *testing.T, c counters) {
		s := servertest.Start(t, servertest.Options{Config: c.config("prefix_burst: 4")})
		for i, subject := range []string{"José", "jose\u0301", " JOSÉ ", "ｊｏｓé", "JOSE\u0301"} {
			if _, ok := begin(t, s.Client, subject, client.Source{}, tagOf(i)); !ok {
				t.Errorf("guess %d is refused", i)
			}
		}
		if _, ok := begin(t, s.Client, "josé", client.Source{}, tagOf(9)); ok {
			t.Error("the sixth spelling has a budget of its own")
		}
		for i, ip := range []string{"192.0.2.1", "::ffff:192.0.2.1", "::FFFF:C000:0201", "0:0:0:0:0:ffff:192.0.2.1"} {
			if _, ok := begin(t, s.Client, fmt.Sprint("a", i), client.Source{IP: ip}, nil); !ok {
				t.Errorf("%s is refused", ip)
			}
		}
		if _, ok := begin(t, s.Client, "b", client.Source{IP: "192.0.2.1"}, nil); ok {
			t.Error("mapped spellings of an address do not count together")
		}
		for i, ip := range []string{"fe80::1%eth0", "fe80::1%eth1", "fe80::2", "FE80:0::3%25"} {
			if _, ok := begin(t, s.Client, fmt.Sprint("c", i), client.Source{IP: ip}, nil); !ok {
				t.Errorf("%s is refused", ip)
			}
		}
		if _, ok := begin(t, s.Client, "d", client.Source{IP: "fe80::1%x"}, nil); ok {
			t.Error("zones make addresses that count apart")
		}
		var invalid *client.InvalidError
		for _, ip := range []string{"192.0.2.1:80", "192.0.2.01", "localhost", "192.0.2.1/32", " 192.0.2.1", "1.2.3"} {
			if _, err := s.Client.Begin(t.Context(), "e", client.Source{IP: ip}, nil); !errors.As(err, &invalid) {
				t.Errorf("address %q: %v, want an InvalidError", ip, err)
			}
		}
	})
}

// TestManyAddressesOfOneNetwork walks through a /64, each address with an
// account of its own. All 65,536 of them with WATCHWORD_LONG=1.
func TestManyAddressesOfOneNetwork(t *testing.T) {
	n := 4096
	if os.Getenv("WATCHWORD_LONG") != "" {
		n = 65536
	}
	eachStore(t, func(t *testing.T, c counters) {
		s := servertest.Start(t, servertest.Options{Config: c.config("")})
		work := make(chan int)
		go func() {
			defer close(work)
			for i := range n {
				work <- i
			}
		}()
		start := time.Now()
		var yes atomic.Int64
		race(32, func(int) bool {
			for i := range work {
				ip := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
				if _, ok := begin(t, s.Client, fmt.Sprint("account ", i), client.Source{IP: ip.String()}, nil); ok {
					yes.Add(1)
				}
			}
			return false
		})
		admitted := int(yes.Load())
		// 30 at once, then one every 20 s.
		if most := 30 + 1 + int(time.Since(start)/(20*time.Second)); admitted < 1 || admitted > most {
			t.Errorf("%d of %d addresses of one /64 are admitted, want at most %d", admitted, n, most)
		}
		if _, ok := begin(t, s.Client, "neighbour", client.Source{IP: "2001:db8:0:1::1"}, nil); !ok {
			t.Error("the next /64 is refused")
		}
	})
}

// TestUnknownSubjectsCountAlike compares the lanes of an account and of none.
func TestUnknownSubjectsCountAlike(t *testing.T) {
	eachStore(t, func(t *testing.T, c counters) {
		s := servertest.Start(t, servertest.Options{Config: c.config("")})
		set(t, s, "alice", goodPassword)
		for i := range 7 {
			for _, who := range []string{"alice", "nobody"} {
				_, _ = s.Client.Verify(t.Context(), who, fmt.Sprint("wrong ", i), client.Source{})
			}
			a, b := lane(t, s, "alice", "subject", "PASSWORD"), lane(t, s, "nobody", "subject", "PASSWORD")
			a.RetryAfter, b.RetryAfter = a.RetryAfter.Round(5*time.Second), b.RetryAfter.Round(5*time.Second)
			if a != b {
				t.Errorf("after %d guesses: %+v and %+v", i+1, a, b)
			}
		}
	})
}

// throttleClock is a test's own time.
type throttleClock struct{ offset atomic.Int64 }

func (c *throttleClock) now() time.Time       { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *throttleClock) step(d time.Duration) { c.offset.Add(int64(d)) }

// TestDeniedAttemptsNeverExtendALock knocks all through a wait.
func TestDeniedAttemptsNeverExtendALock(t *testing.T) {
	var c throttleClock
	s := servertest.Start(t, servertest.Options{Now: c.now})
	exhaust(t, s, "alice", client.Source{}, 5)
	for range 28 {
		c.step(time.Second)
		for i := range 5 {
			if _, ok := begin(t, s.Client, "alice", client.Source{}, tagOf(100+i)); ok {
				t.Fatal("admitted during the wait")
			}
		}
	}
	c.step(3 * time.Second)
	if _, ok := begin(t, s.Client, "alice", client.Source{}, tagOf(200)); !ok {
		t.Error("the wait of 30 s has become longer")
	}
}

// TestClockSteps moves the throttleClock and back.
func TestClockSteps(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 365 * 24 * time.Hour, -365 * 24 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			var c throttleClock
			s := servertest.Start(t, servertest.Options{Now: c.now})
			exhaust(t, s, "alice", client.Source{IP: "192.0.2.1"}, 5)
			admitted := 0
			knock := func() (wait time.Duration) {
				t.Helper()
				for i := range 50 {
					_, err := s.Client.Begin(t.Context(), "alice", client.Source{IP: "192.0.2.1"}, tagOf(1000+admitted*50+i))
					var denied *client.DeniedError
					switch {
					case err == nil:
						admitted++
					case !errors.As(err, &denied):
						t.Fatal(err)
					case denied.Verdict != "CHALLENGE":
						wait = max(wait, denied.RetryAfter)
					}
				}
				return wait
			}
			c.step(step)
			wait := knock()
			c.step(-step)
			wait = max(wait, knock())
			if admitted > 5 {
				t.Errorf("%d guesses more than the budget", admitted)
			}
			if wait > time.Hour {
				t.Errorf("a wait of %v", wait)
			}
			// Neither does the lock stay for ever. A challenge may be asked for:
			// after a step back the budget of many days counts as used up.
			c.step(wait + time.Second)
			if _, ok := begin(t, s.Client, "alice", client.Source{IP: "192.0.2.1", ChallengePassed: true}, tagOf(99999)); !ok {
				t.Errorf("still refused after %v", wait)
			}
		})
	}
}

// TestLastLaneDisablesTheCredential closes it by each of the ways to report a
// failure, and opens it again.
func TestLastLaneDisablesTheCredential(t *testing.T) {
	state := func(t *testing.T, s *servertest.Server) string {
		t.Helper()
		got, err := s.Client.Get(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		return got.State
	}
	for name, last := range map[string]func(t *testing.T, s *servertest.Server) error{
		"complete": func(t *testing.T, s *servertest.Server) error {
			a, err := s.Client.Begin(t.Context(), "alice", client.Source{}, tagOf(1000))
			if err != nil {
				return err
			}
			done, err := a.Complete(t.Context(), client.BadSecret)
			if len(done.Notify) != 1 || done.Notify[0] != "LANE_CLOSED" {
				t.Errorf("notify = %v", done.Notify)
			}
			return err
		},
		"report": func(t *testing.T, s *servertest.Server) error {
			_, err := s.Client.Report(t.Context(), "alice", client.Source{}, client.BadSecret, nil)
			return err
		},
		"verify": func(t *testing.T, s *servertest.Server) error {
			_, err := s.Client.Verify(t.Context(), "alice", "wrong", client.Source{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var c throttleClock
			s := servertest.Start(t, servertest.Options{Now: c.now})
			set(t, s, "alice", goodPassword)
			fail(t, s, "alice", client.Source{}, 99)
			if got := state(t, s); got != "ACTIVE" {
				t.Fatalf("after 99 failures: %s", got)
			}
			c.step(2 * time.Hour)
			if err := last(t, s); err != nil {
				t.Fatalf("the hundredth: %v", err)
			}
			if got := state(t, s); got != "DISABLED" {
				t.Fatalf("after 100 failures: %s", got)
			}
			if l := lane(t, s, "alice", "subject", "PASSWORD"); l.Verdict != "DENY" {
				t.Errorf("the lane: %+v", l)
			}
			if err := s.Client.ResetThrottle(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			if got := state(t, s); got != "ACTIVE" {
				t.Errorf("after a reset: %s", got)
			}
			if login, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{}); err != nil || !login.Match {
				t.Errorf("a login after the reset: %+v, %v", login, err)
			}
			// What an administrator disabled stays so.
			if err := s.Client.SetState(t.Context(), "alice", "DISABLED"); err != nil {
				t.Fatal(err)
			}
			if err := s.Client.ResetThrottle(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			if got := state(t, s); got != "DISABLED" {
				t.Errorf("disabled by an administrator, then reset: %s", got)
			}
		})
	}
}

// TestTheLastFailureCostsNobodyLess closes the last lane of an account that
// exists, of one that is disabled and of those that do not exist: the store has
// as much to do for each, and for the attempts behind it.
func TestTheLastFailureCostsNobodyLess(t *testing.T) {
	var c throttleClock
	s := servertest.Start(t, servertest.Options{Now: c.now, Config: measured})
	set(t, s, "alice", goodPassword)
	set(t, s, "bob", goodPassword)
	if err := s.Client.SetState(t.Context(), "bob", "DISABLED"); err != nil {
		t.Fatal(err)
	}
	writes := map[string][]string{}
	for _, who := range []string{"alice", "bob", "nobody", "somebody else"} {
		fail(t, s, who, client.Source{}, 99)
		c.step(2 * time.Hour)
		for range 3 {
			before := seriesOf(scrape(t, s))
			_, _ = s.Client.Verify(t.Context(), who, "wrong", client.Source{})
			const puts = `watchword_store_seconds_count{operation="put",outcome="ok"}`
			from, _ := strconv.Atoi(before[puts])
			to, _ := strconv.Atoi(seriesOf(scrape(t, s))[puts])
			writes[who] = append(writes[who], strconv.Itoa(to-from))
		}
		if got := strings.Join(writes[who], " "); got != "1 0 0" {
			t.Errorf("%s: %s writes, want 1 0 0", who, got)
		}
		if l := lane(t, s, who, "subject", "PASSWORD"); l.Verdict != "DENY" {
			t.Errorf("%s: the lane: %+v", who, l)
		}
	}
}

// TestOpenedLanesForgiveNothing: a password that had to go before the attempts
// ran out has to go afterwards, and one that is set meanwhile is held to what was
// said with it.
func TestOpenedLanesForgiveNothing(t *testing.T) {
	const other = "violet umbrella 9 harbour tax"
	for name, c := range map[string]struct {
		before, password string // that will match
		meanwhile        func(t *testing.T, s *servertest.Server) error
		want             string
	}{
		"active":      {before: "ACTIVE", password: goodPassword, want: "ACTIVE"},
		"compromised": {before: "COMPROMISED", password: goodPassword, want: "COMPROMISED"},
		"temporary":   {before: "MUST_CHANGE", password: goodPassword, want: "MUST_CHANGE"},
		"a new password of a compromised one": {before: "COMPROMISED", password: other, want: "ACTIVE", meanwhile: func(t *testing.T, s *servertest.Server) error {
			_, err := s.Client.Set(t.Context(), "alice", other, client.SetOptions{})
			return err
		}},
		"a temporary one": {before: "ACTIVE", password: other, want: "MUST_CHANGE", meanwhile: func(t *testing.T, s *servertest.Server) error {
			_, err := s.Client.Set(t.Context(), "alice", other, client.SetOptions{MustChange: true})
			return err
		}},
		"disabled by somebody": {before: "ACTIVE", want: "DISABLED", meanwhile: func(t *testing.T, s *servertest.Server) error {
			return s.Client.SetState(t.Context(), "alice", "DISABLED")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.New(t)
			state := func(want string) {
				t.Helper()
				if got, err := s.Client.Get(t.Context(), "alice"); err != nil || got.State != want {
					t.Errorf("the credential is %s, %v, want %s", got.State, err, want)
				}
			}
			set(t, s, "alice", goodPassword)
			if err := s.Client.SetState(t.Context(), "alice", c.before); err != nil {
				t.Fatal(err)
			}
			fail(t, s, "alice", client.Source{}, 100)
			state("DISABLED")
			if c.meanwhile != nil {
				if err := c.meanwhile(t, s); err != nil {
					t.Fatal(err)
				}
				state("DISABLED")
			}
			if err := s.Client.ResetThrottle(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			state(c.want)
			if c.password == "" {
				return
			}
			login, err := s.Client.Verify(t.Context(), "alice", c.password, client.Source{})
			if err != nil || !login.Match || login.MustChange != (c.want != "ACTIVE") {
				t.Errorf("a login afterwards: %+v, %v", login, err)
			}
		})
	}
}

// TestKnownDeviceKeepsTheCredentialOpen closes the lane of the strangers while
// the owner has a device.
func TestKnownDeviceKeepsTheCredentialOpen(t *testing.T) {
	s := servertest.New(t)
	set(t, s, "alice", goodPassword)
	login, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{})
	if err != nil {
		t.Fatal(err)
	}
	fail(t, s, "alice", client.Source{}, 120)
	if l := lane(t, s, "alice", "subject", "PASSWORD"); l.Verdict != "DENY" {
		t.Errorf("the strangers' lane: %+v", l)
	}
	again, err := s.Client.Verify(t.Context(), "alice", goodPassword, client.Source{DeviceToken: login.DeviceToken})
	if err != nil || !again.Match {
		t.Errorf("from the known device: %+v, %v", again, err)
	}
	fail(t, s, "alice", client.Source{DeviceToken: login.DeviceToken}, 120)
	if got, err := s.Client.Get(t.Context(), "alice"); err != nil || got.State != "DISABLED" {
		t.Errorf("with no lane left: %+v, %v, want DISABLED", got, err)
	}
}

// TestRebinding closes the last lane of an account and binds it anew in each of
// the three ways there are; nothing else opens it, and right away it works.
func TestRebinding(t *testing.T) {
	eachStore(t, func(t *testing.T, c counters) {
		s := servertest.Start(t, servertest.Options{Config: c.config("")})
		ctx := t.Context()
		for name, rebind := range map[string]func(who string) (password string, err error){
			"reset of the password": func(who string) (string, error) {
				_, err := s.Client.Set(ctx, who, "quite another 4 umbrella forest", client.SetOptions{Reset: true})
				return "quite another 4 umbrella forest", err
			},
			"state": func(who string) (string, error) {
				return goodPassword + " again", s.Client.SetState(ctx, who, "ACTIVE")
			},
			"reset of the throttle": func(who string) (string, error) {
				return goodPassword + " again", s.Client.ResetThrottle(ctx, who)
			},
		} {
			who := name
			set(t, s, who, goodPassword)
			fail(t, s, who, client.Source{}, 100)
			// A store that was slow once hears of a failure a moment later, and the next
			// attempt then disables.
			until(t, healing, "100 failures disable the credential", func() bool {
				_, _ = begin(t, s.Client, who, client.Source{}, tagOf(101))
				got, err := s.Client.Get(ctx, who)
				return err == nil && got.State == "DISABLED" && lane(t, s, who, "subject", "PASSWORD").Verdict == "DENY"
			})
			var denied *client.DeniedError
			if _, err := s.Client.Verify(ctx, who, goodPassword, client.Source{ChallengePassed: true}); !errors.As(err, &denied) || denied.Verdict != "DENY" {
				t.Errorf("%s: the right password on a closed lane: %v, want DENY", name, err)
			}
			// A password that an administrator sets for another reason binds nothing anew.
			if _, err := s.Client.Set(ctx, who, goodPassword+" again", client.SetOptions{}); err != nil {
				t.Fatal(err)
			}
			if l := lane(t, s, who, "subject", "PASSWORD"); l.Verdict != "DENY" {
				t.Errorf("%s: a password set without a reset opens the lane: %+v", name, l)
			}
			password, err := rebind(who)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := s.Client.Get(ctx, who); err != nil || got.State != "ACTIVE" {
				t.Errorf("%s: %+v, %v, want ACTIVE", name, got, err)
			}
			if l := lane(t, s, who, "subject", "PASSWORD"); l.Failures != 0 || l.Verdict != "ALLOW" {
				t.Errorf("%s: the lane is %+v", name, l)
			}
			if login, err := s.Client.Verify(ctx, who, password, client.Source{}); err != nil || !login.Match {
				t.Errorf("%s: a right login after it: %+v, %v", name, login, err)
			}
		}
	})
}

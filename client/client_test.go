// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

const (
	good  = "tangled lantern orbit 7 walrus"
	other = "crooked meadow pencil 4 otter"
	weak  = "password1234567"
)

func set(t *testing.T, s *servertest.Server, subject string) {
	t.Helper()
	if _, err := s.Client.Set(t.Context(), subject, good, client.SetOptions{}); err != nil {
		t.Fatalf("Set: %v", err)
	}
}

// keyWith gives a client whose key has the scopes, and the key's id.
func keyWith(t *testing.T, s *servertest.Server, k client.NewKey) (*client.Client, string) {
	t.Helper()
	k.Name = "test"
	key, secret, err := s.Client.CreateKey(t.Context(), k)
	if err != nil {
		t.Fatalf("CreateKey: %v", err)
	}
	return s.ClientWith(secret), key.ID
}

// TestErrors calls a real server in every way that fails, and looks at what a
// caller can branch on.
func TestErrors(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: "limits: {per_key_rps: 0.001}"})
	main := servertest.New(t)
	set(t, main, "alice")
	set(t, main, "locked")
	for i := range 5 {
		if _, err := main.Client.Verify(t.Context(), "locked", fmt.Sprint("wrong ", i), client.Source{}); err != nil {
			t.Fatal(err)
		}
	}
	narrow, _ := keyWith(t, main, client.NewKey{Scopes: []string{"password.check"}})
	elsewhere, _ := keyWith(t, main, client.NewKey{Scopes: []string{"password.check"}, Networks: []string{"198.51.100.0/24"}})
	revoked, id := keyWith(t, main, client.NewKey{Scopes: []string{"password.check"}})
	if err := main.Client.RevokeKey(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	zero, seven := uint32(0), uint32(7)
	c := main.Client
	invalid := func(reason, field string) func(error) bool {
		return func(err error) bool {
			var e *client.InvalidError
			return errors.As(err, &e) && e.Reason == reason && e.Field == field && e.Fault != ""
		}
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	denied := func(err error) bool {
		var e *client.DeniedError
		return errors.As(err, &e) && e.Verdict == "DELAY" && e.RetryAfter > 0 && len(e.Reasons) > 0
	}
	rejected := func(err error) bool {
		var e *client.RejectedError
		return errors.As(err, &e) && len(e.Violations) > 0 && len(e.Advice) > 0 && e.Policy == "nist-800-63b-4" && e.Version != "" &&
			e.Breach.Status == "SKIPPED" && e.Strength.GuessesLog10 > 0 && !strings.Contains(e.Error(), weak)
	}
	for _, row := range []struct {
		name string
		call func(context.Context) error
		want func(error) bool
	}{
		{"no key", func(ctx context.Context) error { return checkWith(ctx, main.ClientWith("")) }, is(client.ErrUnauthenticated)},
		{"wrong key", func(ctx context.Context) error { return checkWith(ctx, main.ClientWith("ww_wrong")) }, is(client.ErrUnauthenticated)},
		{"revoked key", func(ctx context.Context) error { return checkWith(ctx, revoked) }, is(client.ErrUnauthenticated)},
		{"no scope", func(ctx context.Context) error { _, err := narrow.Get(ctx, "alice"); return err }, is(client.ErrForbidden)},
		{"another network", func(ctx context.Context) error { return checkWith(ctx, elsewhere) }, is(client.ErrForbidden)},
		{"unknown credential", func(ctx context.Context) error { _, err := c.Get(ctx, "nobody"); return err }, is(client.ErrNotFound)},
		{"unknown policy", func(ctx context.Context) error {
			_, err := c.Check(ctx, good, client.CheckOptions{Policy: "no-such-policy"})
			return err
		}, is(client.ErrNotFound)},
		{"unknown key", func(ctx context.Context) error { return c.RevokeKey(ctx, "nosuchkey") }, is(client.ErrNotFound)},
		{"must not exist", func(ctx context.Context) error {
			_, err := c.Set(ctx, "alice", good, client.SetOptions{IfVersion: &zero})
			return err
		}, is(client.ErrConflict)},
		{"another version", func(ctx context.Context) error {
			_, err := c.Set(ctx, "alice", good, client.SetOptions{IfVersion: &seven})
			return err
		}, is(client.ErrConflict)},
		{"stale proof", func(ctx context.Context) error {
			_, err := c.Set(ctx, "alice", good, client.SetOptions{Proof: "bm90IGEgcHJvb2Y"})
			return err
		}, is(client.ErrProofStale)},
		{"weak", func(ctx context.Context) error {
			_, err := c.Set(ctx, "alice", weak, client.SetOptions{})
			return err
		}, rejected},
		{"weak change", func(ctx context.Context) error {
			_, err := c.Change(ctx, "alice", good, weak, client.Source{}, client.SetOptions{})
			return err
		}, rejected},
		{"exhausted verify", func(ctx context.Context) error { _, err := c.Verify(ctx, "locked", good, client.Source{}); return err }, denied},
		{"exhausted change", func(ctx context.Context) error {
			_, err := c.Change(ctx, "locked", good, other, client.Source{}, client.SetOptions{})
			return err
		}, denied},
		{"exhausted begin", func(ctx context.Context) error { _, err := c.Begin(ctx, "locked", client.Source{}, nil); return err }, denied},
		{"empty password", func(ctx context.Context) error { _, err := c.Check(ctx, "", client.CheckOptions{}); return err },
			invalid("MALFORMED_REQUEST", "password")},
		{"huge password", func(ctx context.Context) error {
			_, err := c.Check(ctx, strings.Repeat("x", 4097), client.CheckOptions{})
			return err
		}, invalid("PASSWORD_TOO_LARGE", "password")},
		{"not UTF-8", func(ctx context.Context) error { _, err := c.Check(ctx, "caf\xe9", client.CheckOptions{}); return err },
			invalid("MALFORMED_REQUEST", "")},
		{"over a mebibyte", func(ctx context.Context) error {
			_, err := c.Check(ctx, strings.Repeat("x", 1<<20), client.CheckOptions{})
			return err
		}, invalid("MALFORMED_REQUEST", "")},
		{"bad hash", func(ctx context.Context) error { _, err := c.VerifyHash(ctx, good, "nonsense"); return err }, invalid("BAD_HASH", "phc")},
		{"dear hash", func(ctx context.Context) error {
			_, err := c.VerifyHash(ctx, good, "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
			return err
		}, invalid("HASH_COST_OUT_OF_BOUNDS", "phc")},
		{"bad address", func(ctx context.Context) error {
			_, err := c.Verify(ctx, "alice", good, client.Source{IP: "not an address"})
			return err
		}, invalid("MALFORMED_REQUEST", "source.ip")},
		{"bad channel", func(ctx context.Context) error {
			_, err := c.Verify(ctx, "alice", good, client.Source{Channel: "pigeon"})
			return err
		}, invalid("MALFORMED_REQUEST", "source.channel")},
		{"bad state", func(ctx context.Context) error { return c.SetState(ctx, "alice", "ASLEEP") }, invalid("MALFORMED_REQUEST", "state")},
		{"no state", func(ctx context.Context) error { return c.SetState(ctx, "alice", "") }, invalid("MALFORMED_REQUEST", "state")},
		{"bad token", func(ctx context.Context) error {
			_, err := c.Resume("nonsense").Complete(ctx, client.Success)
			return err
		}, invalid("MALFORMED_REQUEST", "attemptToken")},
		{"bad kind", func(ctx context.Context) error { _, err := c.Generate(ctx, "dice", 1, ""); return err }, invalid("MALFORMED_REQUEST", "kind")},
		{"quota", func(ctx context.Context) error {
			_ = checkWith(ctx, s.Client)
			return checkWith(ctx, s.Client)
		}, func(err error) bool {
			var e *client.BusyError
			return errors.As(err, &e) && e.Reason == "CALLER_QUOTA" && e.RetryAfter > 0
		}},
		{"cancelled", func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return checkWith(ctx, c)
		}, is(context.Canceled)},
		{"deadline", func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Nanosecond)
			defer cancel()
			return checkWith(ctx, c)
		}, is(context.DeadlineExceeded)},
	} {
		if err := row.call(t.Context()); err == nil || !row.want(err) {
			t.Errorf("%s: %#v (%v)", row.name, err, err)
		}
	}
}

func checkWith(ctx context.Context, c *client.Client) error {
	_, err := c.Check(ctx, good, client.CheckOptions{})
	return err
}

// TestAnswers walks one account through its life.
func TestAnswers(t *testing.T) {
	s := servertest.New(t)
	ctx, c := t.Context(), s.Client

	j, err := c.Check(ctx, good, client.CheckOptions{})
	if err != nil || !j.Accepted || j.Proof == "" || j.Policy != "nist-800-63b-4" || j.Strength.Score != 4 {
		t.Fatalf("Check(good) = %+v, %v", j, err)
	}
	if w, err := c.Check(ctx, weak, client.CheckOptions{Locale: "zh-CN"}); err != nil || w.Accepted || len(w.Violations) == 0 || w.Proof != "" {
		t.Errorf("Check(weak) = %+v, %v", w, err)
	}
	stored, err := c.Set(ctx, "alice", good, client.SetOptions{Proof: j.Proof, MustChange: true})
	if err != nil || stored.Version != 1 || len(stored.Pending) != 0 {
		t.Fatalf("Set = %+v, %v", stored, err)
	}
	login, err := c.Verify(ctx, "alice", good, client.Source{IP: "192.0.2.1", UserAgent: "test"})
	if err != nil || !login.Match || !login.MustChange {
		t.Errorf("Verify of a temporary password = %+v, %v", login, err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		cred, err := c.Get(ctx, "alice")
		if err != nil || cred.State != "MUST_CHANGE" {
			t.Fatalf("Get = %+v, %v", cred, err)
		}
		if !cred.LastLogin.IsZero() {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the login was not noted")
		}
	}
	changed, err := c.Change(ctx, "alice", good, other, client.Source{}, client.SetOptions{})
	if err != nil || !changed.Match || changed.Version <= stored.Version {
		t.Errorf("Change = %+v, %v", changed, err)
	}
	if miss, err := c.Change(ctx, "alice", good, good, client.Source{}, client.SetOptions{}); err != nil || miss.Match || miss.Version != 0 {
		t.Errorf("Change with the wrong password = %+v, %v", miss, err)
	}
	cred, err := c.Get(ctx, "ALICE ")
	if err != nil || cred.State != "ACTIVE" || cred.Scheme != "argon2id" || cred.LastLogin.IsZero() || cred.Changed.Before(cred.Created) {
		t.Errorf("Get = %+v, %v", cred, err)
	}
	if err := c.Delete(ctx, "alice"); err != nil {
		t.Error(err)
	}

	phc, err := c.Hash(ctx, good)
	if err != nil || !strings.HasPrefix(phc, "$argon2id$") {
		t.Fatalf("Hash = %q, %v", phc, err)
	}
	if cmp, err := c.VerifyHash(ctx, good, phc); err != nil || !cmp.Match || cmp.Stale {
		t.Errorf("VerifyHash = %+v, %v", cmp, err)
	}
	if cmp, err := c.VerifyHash(ctx, other, phc); err != nil || cmp.Match {
		t.Errorf("VerifyHash of another password = %+v, %v", cmp, err)
	}
}

// TestAttempts is a back end that looks at the password itself.
func TestAttempts(t *testing.T) {
	s := servertest.New(t)
	ctx, c := t.Context(), s.Client
	for i := range 5 {
		a, err := c.Begin(ctx, "bob", client.Source{IP: "192.0.2.1"}, []byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Resume(a.Token()).Complete(ctx, client.BadSecret); err != nil {
			t.Fatal(err)
		}
	}
	lanes, err := c.Throttle(ctx, "bob")
	i := slices.IndexFunc(lanes, func(l client.Lane) bool { return l.Name == "subject" && l.Channel == "PASSWORD" })
	if err != nil || i < 0 || lanes[i].Verdict != "DELAY" || lanes[i].RetryAfter <= 0 || lanes[i].Failures != 5 {
		t.Errorf("Throttle = %+v, %v", lanes, err)
	}
	byAddress, err := c.ThrottleAddress(ctx, "192.0.2.1")
	if err != nil || len(byAddress) == 0 || byAddress[0].Failures == 0 || byAddress[0].Channel != "" {
		t.Errorf("ThrottleAddress = %+v, %v", byAddress, err)
	}
	if err := errors.Join(c.ResetThrottle(ctx, "bob"), c.ResetAddress(ctx, "192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	a, err := c.Begin(ctx, "bob", client.Source{}, nil)
	if err != nil {
		t.Fatalf("after a reset: %v", err)
	}
	if _, err := a.Complete(ctx, client.Success); err != nil {
		t.Error(err)
	}
	for range 5 {
		if _, err := c.Report(ctx, "carol", client.Source{}, client.BadSecret, nil); err != nil {
			t.Fatal(err)
		}
	}
	var denied *client.DeniedError
	if _, err := c.Begin(ctx, "carol", client.Source{}, nil); !errors.As(err, &denied) {
		t.Errorf("after five reports: %v", err)
	}
}

// rows gives a sequence that counts how far it was asked.
func rows[T any](asked *int, list ...T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range list {
			*asked++
			if !yield(v) {
				return
			}
		}
	}
}

func TestBatchCheckKeepsTheOrder(t *testing.T) {
	s := servertest.New(t)
	var want, got []string
	var list []client.Candidate
	for i := range 500 {
		switch i % 3 {
		case 0:
			list, want = append(list, client.Candidate{Password: fmt.Sprint(good, i)}), append(want, "accepted")
		case 1:
			list, want = append(list, client.Candidate{Password: weak}), append(want, "rejected")
		default:
			list, want = append(list, client.Candidate{}), append(want, "password: MALFORMED_REQUEST")
		}
	}
	asked := 0
	for r, err := range s.Client.BatchCheck(t.Context(), rows(&asked, list...)) {
		var invalid *client.InvalidError
		switch {
		case err != nil:
			t.Fatal(err)
		case errors.As(r.Fault, &invalid):
			field, _, _ := strings.Cut(invalid.Fault, ":")
			got = append(got, field+": "+invalid.Reason)
		case r.Fault != nil:
			t.Fatal(r.Fault)
		case r.Accepted:
			got = append(got, "accepted")
		default:
			got = append(got, "rejected")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || asked != len(list) {
		t.Errorf("answers, want -, got + (asked for %d):\n%s", asked, diff)
	}
}

// TestBatchCheckEnds leaves a batch in every way there is, and must find
// nothing still running: the sequence is over when the loop is.
func TestBatchCheckEnds(t *testing.T) {
	s := servertest.New(t)
	running := false
	endless := func(yield func(client.Candidate) bool) {
		running = true
		defer func() { running = false }()
		for yield(client.Candidate{Password: good}) {
		}
	}
	n := 0
	for _, err := range s.Client.BatchCheck(t.Context(), endless) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	if running {
		t.Error("the candidates are still ranged over behind a loop that ended")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range s.Client.BatchCheck(ctx, endless) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) || running {
		t.Errorf("cancelled: %v, running %v", last, running)
	}
	for _, err := range s.ClientWith("ww_wrong").BatchCheck(t.Context(), endless) {
		last = err
	}
	if !errors.Is(last, client.ErrUnauthenticated) || running {
		t.Errorf("with a wrong key: %v, running %v", last, running)
	}
	n = 0
	for range s.Client.BatchCheck(t.Context(), func(func(client.Candidate) bool) {}) {
		n++
	}
	if n != 0 {
		t.Errorf("an empty batch has %d answers", n)
	}
}

// door is a gRPC server that counts its calls and answers each with the same.
type door struct {
	addr  string
	mu    sync.Mutex
	calls map[string]int
}

func openDoor(t *testing.T, addr string, answer error) *door {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{addr: l.Addr().String(), calls: make(map[string]int)}
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		d.mu.Lock()
		d.calls[method[strings.LastIndex(method, "/")+1:]]++
		d.mu.Unlock()
		if answer != nil {
			return answer
		}
		return stream.SendMsg(&emptypb.Empty{})
	}))
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return d
}

func newClient(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestOnlyReadingIsRetried calls everything at a door that is always
// unavailable, and counts.
func TestOnlyReadingIsRetried(t *testing.T) {
	d := openDoor(t, "127.0.0.1:0", status.Error(codes.Unavailable, "down"))
	c := newClient(t, client.Options{Addr: d.addr})
	calls := map[string]func(context.Context) error{
		"CheckPassword":    func(ctx context.Context) error { return checkWith(ctx, c) },
		"GeneratePassword": func(ctx context.Context) error { _, err := c.Generate(ctx, client.Random, 1, ""); return err },
		"HashPassword":     func(ctx context.Context) error { _, err := c.Hash(ctx, good); return err },
		"VerifyHash":       func(ctx context.Context) error { _, err := c.VerifyHash(ctx, good, "x"); return err },
		"GetCredential":    func(ctx context.Context) error { _, err := c.Get(ctx, "a"); return err },
		"GetThrottleState": func(ctx context.Context) error { _, err := c.Throttle(ctx, "a"); return err },
		"ListPolicies":     func(ctx context.Context) error { _, err := c.Policies(ctx); return err },
		"GetPolicy":        func(ctx context.Context) error { _, err := c.Policy(ctx, "p", ""); return err },
		"DescribePolicy": func(ctx context.Context) error {
			_, err := c.DescribePolicy(ctx, "p", client.CheckOptions{})
			return err
		},
		"ListKeys":       func(ctx context.Context) error { _, err := c.ListKeys(ctx); return err },
		"SetPassword":    func(ctx context.Context) error { _, err := c.Set(ctx, "a", good, client.SetOptions{}); return err },
		"VerifyPassword": func(ctx context.Context) error { _, err := c.Verify(ctx, "a", good, client.Source{}); return err },
		"ChangePassword": func(ctx context.Context) error {
			_, err := c.Change(ctx, "a", good, other, client.Source{}, client.SetOptions{})
			return err
		},
		"SetCredentialState": func(ctx context.Context) error { return c.SetState(ctx, "a", "ACTIVE") },
		"DeleteCredential":   func(ctx context.Context) error { return c.Delete(ctx, "a") },
		"BeginAttempt":       func(ctx context.Context) error { _, err := c.Begin(ctx, "a", client.Source{}, nil); return err },
		"CompleteAttempt":    func(ctx context.Context) error { _, err := c.Resume("t").Complete(ctx, client.Success); return err },
		"ReportAttempt": func(ctx context.Context) error {
			_, err := c.Report(ctx, "a", client.Source{}, client.Success, nil)
			return err
		},
		"ResetThrottle": func(ctx context.Context) error { return c.ResetThrottle(ctx, "a") },
		"CreateKey":     func(ctx context.Context) error { _, _, err := c.CreateKey(ctx, client.NewKey{Name: "n"}); return err },
		"RevokeKey":     func(ctx context.Context) error { return c.RevokeKey(ctx, "k") },
		"BatchCheckPasswords": func(ctx context.Context) (last error) {
			for _, last = range c.BatchCheck(ctx, func(yield func(client.Candidate) bool) { yield(client.Candidate{}) }) {
			}
			return last
		},
		"ImportCredentials": func(ctx context.Context) (last error) {
			for _, last = range c.Import(ctx, func(yield func(client.ImportRow) bool) { yield(client.ImportRow{}) }) {
			}
			return last
		},
	}
	reading := []string{"CheckPassword", "GeneratePassword", "HashPassword", "VerifyHash", "GetCredential", "GetThrottleState",
		"ListPolicies", "GetPolicy", "DescribePolicy", "ListKeys"}
	var wg sync.WaitGroup
	for name, call := range calls {
		wg.Go(func() {
			if err := call(t.Context()); !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
		})
	}
	wg.Wait()
	for name := range calls {
		want := 1
		if slices.Contains(reading, name) {
			want = 5
		}
		if got := d.calls[name]; got != want {
			t.Errorf("%s was called %d times, want %d", name, got, want)
		}
	}
}

// TestRefusedBeforeItWasSent: what grpc-go returns when the last try ends between
// its headers and its message, which the calls above meet now and then.
func TestRefusedBeforeItWasSent(t *testing.T) {
	err := client.Failure(fmt.Errorf("max retries exhausted: failed after 5 attempts: %w", io.EOF))
	if !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}

// TestALateServerIsFound starts the server after the call: reading waits for
// it, a login fails at once and is not sent behind the caller's back.
func TestALateServerIsFound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c := newClient(t, client.Options{Addr: addr, Key: "k"})
	if _, err := c.Verify(t.Context(), "alice", good, client.Source{}); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("Verify: %v, want ErrUnavailable", err)
	}
	checked := make(chan error, 1)
	go func() { checked <- checkWith(t.Context(), c) }()
	time.Sleep(300 * time.Millisecond) // the server is down for this long
	d := openDoor(t, addr, nil)
	if err := <-checked; err != nil {
		t.Errorf("Check: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if diff := cmp.Diff(map[string]int{"CheckPassword": 1}, d.calls); diff != "" {
		t.Errorf("calls, want -, got +:\n%s", diff)
	}
}

// TestDeadlines: a call without a deadline gets one, a call with one keeps it.
func TestDeadlines(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan time.Duration, 1)
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		end, _ := stream.Context().Deadline()
		seen <- time.Until(end)
		return stream.SendMsg(&emptypb.Empty{})
	}))
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	own, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, c := range []struct {
		timeout  time.Duration
		ctx      context.Context
		from, to time.Duration
	}{
		{0, t.Context(), client.DefaultTimeout / 2, client.DefaultTimeout},
		{time.Minute, t.Context(), 30 * time.Second, time.Minute},
		{time.Minute, own, 59 * time.Minute, time.Hour},
	} {
		if err := checkWith(c.ctx, newClient(t, client.Options{Addr: l.Addr().String(), Timeout: c.timeout})); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got < c.from || got > c.to {
			t.Errorf("timeout %v: the call had %v, want %v to %v", c.timeout, got, c.from, c.to)
		}
	}
}

// TestIncompleteStreamsAreErrors: a server that stops answering in the middle
// has not answered.
func TestIncompleteStreamsAreErrors(t *testing.T) {
	d := openDoor(t, "127.0.0.1:0", nil) // one answer, whatever was sent
	c := newClient(t, client.Options{Addr: d.addr})
	var got []error
	for _, err := range c.BatchCheck(t.Context(), func(yield func(client.Candidate) bool) {
		for range 3 {
			if !yield(client.Candidate{Password: good}) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}) {
		got = append(got, err)
	}
	if len(got) != 2 || got[0] != nil || !errors.Is(got[1], client.ErrIncomplete) {
		t.Errorf("answers: %v, want one, then ErrIncomplete", got)
	}
}

// TestAnOlderServerSaysWhatItLacks calls a door behind which there is no such
// method.
func TestAnOlderServerSaysWhatItLacks(t *testing.T) {
	d := openDoor(t, "127.0.0.1:0", status.Error(codes.Unimplemented, "no such method"))
	c := newClient(t, client.Options{Addr: d.addr})
	if _, err := c.Policies(t.Context()); !errors.Is(err, client.ErrUnimplemented) {
		t.Errorf("Policies: %v, want ErrUnimplemented", err)
	}
	n := 0
	for _, err := range c.Import(t.Context(), func(yield func(client.ImportRow) bool) { yield(client.ImportRow{}) }) {
		if n++; !errors.Is(err, client.ErrUnimplemented) {
			t.Errorf("Import: %v, want ErrUnimplemented", err)
		}
	}
	if n != 1 {
		t.Errorf("Import gave %d answers", n)
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const secret = "marker-of-a-secret"
	for name, o := range map[string]client.Options{
		"no port":        {Addr: "localhost"},
		"two words":      {Key: secret + " " + secret},
		"line feed":      {Key: secret + "\n"},
		"not ASCII":      {Key: secret + "é"},
		"absent file":    {KeyFile: filepath.Join(dir, "absent")},
		"directory":      {KeyFile: dir},
		"empty file":     {KeyFile: file("empty", " \n")},
		"two lines":      {KeyFile: file("lines", secret+"\n"+secret+"\n")},
		"huge file":      {KeyFile: file("huge", strings.Repeat(secret, 1000))},
		"no authority":   {CAFile: filepath.Join(dir, "absent")},
		"bad authority":  {CAFile: file("ca.pem", secret)},
		"no certificate": {CertFile: file("cert.pem", secret), KeyPairFile: file("key.pem", secret)},
	} {
		c, err := client.New(o)
		if err == nil {
			c.Close()
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error repeats the file: %v", name, err)
		}
	}
}

// TestPlaintextStaysOnTheLoopback: an address that is not this machine's gets
// TLS, which a plaintext listener does not understand, and never the key.
func TestPlaintextStaysOnTheLoopback(t *testing.T) {
	heard := make(chan metadata.MD, 10)
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		heard <- md
		return stream.SendMsg(&emptypb.Empty{})
	}))
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for host, want := range map[string]bool{"127.0.0.1": true, "localhost": true, "[::ffff:127.0.0.1]": true, "0.0.0.0": false} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := checkWith(ctx, newClient(t, client.Options{Addr: host + ":" + port, Key: "k"}))
		cancel()
		if (err == nil) != want || (len(heard) > 0) != want {
			t.Errorf("%s: %v, heard %d calls", host, err, len(heard))
		}
		for len(heard) > 0 {
			if md := <-heard; !cmp.Equal(md.Get("authorization"), []string{"Bearer k"}) {
				t.Errorf("%s: authorization %q", host, md.Get("authorization"))
			}
		}
	}
}

func TestImport(t *testing.T) {
	s := servertest.New(t)
	changed := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	phc, err := s.Client.Hash(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	var got []client.Imported
	for r, err := range s.Client.Import(t.Context(), rows(&asked,
		client.ImportRow{Subject: "alice", PHC: phc, Changed: changed},
		client.ImportRow{Subject: "bob", PHC: "nonsense"},
		client.ImportRow{Subject: "carol", PHC: phc, State: "DISABLED"},
		client.ImportRow{Subject: "dave", PHC: phc, State: "ASLEEP"},
		client.ImportRow{PHC: phc})) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if len(got) != 5 || asked != 5 {
		t.Fatalf("%d answers for %d of 5 rows", len(got), asked)
	}
	for i, taken := range []bool{true, false, true, false, false} {
		if (got[i].Fault == nil) != taken {
			t.Errorf("row %d: %+v", i, got[i])
		}
	}
	if cred, err := s.Client.Get(t.Context(), "alice"); err != nil || !cred.Changed.Equal(changed) {
		t.Errorf("Get = %+v, %v", cred, err)
	}
	for subject, want := range map[string]bool{"alice": true, "carol": false} {
		if login, err := s.Client.Verify(t.Context(), subject, good, client.Source{}); err != nil || login.Match != want {
			t.Errorf("Verify(%s) = %+v, %v", subject, login, err)
		}
	}
}

func TestGenerate(t *testing.T) {
	s := servertest.New(t)
	for _, kind := range []string{client.Random, client.PassphraseEN, client.PassphrasePinyin} {
		list, err := s.Client.Generate(t.Context(), kind, 3, "")
		if err != nil || len(list) != 3 {
			t.Fatalf("Generate(%s) gave %d, %v", kind, len(list), err)
		}
		for _, p := range list {
			if j, err := s.Client.Check(t.Context(), p, client.CheckOptions{}); err != nil || !j.Accepted {
				t.Errorf("a generated %s is not accepted: %v, %v", kind, j.Violations, err)
			}
		}
	}
}

func TestPolicies(t *testing.T) {
	s := servertest.New(t)
	list, err := s.Client.Policies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(p client.PolicySummary) bool { return p.Default })
	if i < 0 || list[i].Name != "nist-800-63b-4" {
		t.Fatalf("Policies = %+v", list)
	}
	p, err := s.Client.Policy(t.Context(), list[i].Name, "")
	if err != nil || p.Version != list[i].Version || p.YAML == "" {
		t.Errorf("Policy = %+v, %v", p, err)
	}
	d, err := s.Client.DescribePolicy(t.Context(), "", client.CheckOptions{Locale: "zh-CN"})
	if err != nil || d.Name != list[i].Name || len(d.Text) == 0 || d.PasswordRules == "" {
		t.Errorf("DescribePolicy = %+v, %v", d, err)
	}
	if _, err := s.Client.Policy(t.Context(), "no-such-policy", ""); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Policy of no such name: %v", err)
	}
}

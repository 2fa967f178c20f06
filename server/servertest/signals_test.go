// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// watch opens WatchSignals and returns once the server listens.
func watch(t testing.TB, ctx context.Context, c *client.Client) watchwordv1.LoginThrottleService_WatchSignalsClient {
	t.Helper()
	w, err := watchwordv1.NewLoginThrottleServiceClient(c.Conn()).WatchSignals(ctx, &watchwordv1.WatchSignalsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Header(); err != nil {
		t.Fatalf("WatchSignals: %v", err)
	}
	return w
}

// next takes signals until one of the kind comes.
func next(t testing.TB, w watchwordv1.LoginThrottleService_WatchSignalsClient, kind string) *watchwordv1.WatchSignalsResponse {
	t.Helper()
	for {
		sig, err := w.Recv()
		if err != nil {
			t.Fatalf("waiting for %s: %v", kind, err)
		}
		if sig.GetSignal() == kind {
			return sig
		}
	}
}

// afterFailures makes one SUCCESS_AFTER_FAILURES for a subject of its own.
func afterFailures(t testing.TB, c *client.Client, subject string) {
	t.Helper()
	for range 5 {
		if _, err := c.Report(context.Background(), subject, client.Source{}, client.BadSecret, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Report(context.Background(), subject, client.Source{}, client.Success, nil); err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestWatchSignals brings each signal about by logins, and watches as two
// tenants.
func TestWatchSignals(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: "tenants: [{name: other}]"})
	_, secret, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "other", Tenant: "other", Scopes: []string{"throttle.admin", "throttle.attempt"}})
	if err != nil {
		t.Fatal(err)
	}
	other := s.ClientWith(secret)
	ctx := within(t, 20*time.Second)
	mine, theirs := watch(t, ctx, s.Client), watch(t, ctx, other)

	// One password on many accounts, from everywhere.
	for i := range 45 {
		if _, err := s.Client.Verify(ctx, fmt.Sprint("account ", i), "Winter2026!", client.Source{IP: fmt.Sprintf("10.%d.0.1", i)}); err != nil {
			var denied *client.DeniedError
			if i < 25 || !errors.As(err, &denied) || denied.Verdict != "CHALLENGE" {
				t.Fatalf("login %d: %v", i, err)
			}
		}
	}
	spray := next(t, mine, "SPRAY")
	if spray.GetSeverity() != watchwordv1.Severity_SEVERITY_HIGH || spray.GetSubject() != "" || spray.GetTime().AsTime().IsZero() ||
		spray.GetParams()["channel"] != "CHANNEL_PASSWORD" {
		t.Errorf("SPRAY: %v", spray)
	}
	// Many accounts from one network, hardly a success.
	for i := range 28 {
		if _, err := s.Client.Verify(ctx, fmt.Sprint("name ", i), fmt.Sprint("their own ", i), client.Source{IP: fmt.Sprintf("198.51.100.%d", i)}); err != nil {
			var denied *client.DeniedError
			if i < 16 || !errors.As(err, &denied) {
				t.Fatalf("login %d: %v", i, err)
			}
		}
	}
	if stuffing := next(t, mine, "STUFFING"); stuffing.GetPrefix() != "198.51.100.0/24" {
		t.Errorf("STUFFING: %v", stuffing)
	}
	// The owner's login after a run of failures.
	set(t, s, "alice", goodPassword)
	login, err := s.Client.Verify(ctx, "alice", goodPassword, client.Source{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		_, _ = s.Client.Verify(ctx, "alice", fmt.Sprint("typo ", i), client.Source{DeviceToken: login.DeviceToken})
	}
	var denied *client.DeniedError
	if _, err := s.Client.Verify(ctx, "alice", goodPassword, client.Source{DeviceToken: login.DeviceToken}); !errors.As(err, &denied) {
		t.Fatalf("after ten wrong passwords on the device: %v", err)
	}
	if _, err := s.Client.Report(ctx, "alice", client.Source{DeviceToken: login.DeviceToken}, client.Success, nil); err != nil {
		t.Fatal(err)
	}
	after := next(t, mine, "SUCCESS_AFTER_FAILURES")
	if after.GetSeverity() != watchwordv1.Severity_SEVERITY_MEDIUM || after.GetParams()["failures"] != "10" ||
		after.GetSubject() == "" || strings.Contains(after.String(), "alice") {
		t.Errorf("SUCCESS_AFTER_FAILURES: %v", after)
	}
	// The other tenant has seen nothing of all this, and sees its own.
	afterFailures(t, other, "bob")
	if sig, err := theirs.Recv(); err != nil || sig.GetSignal() != "SUCCESS_AFTER_FAILURES" || sig.GetSubject() == after.GetSubject() {
		t.Errorf("the other tenant's first signal: %v, %v", sig, err)
	}
	if n := s.Signals(); n["SPRAY"] != 1 || n["STUFFING"] != 1 || n["SUCCESS_AFTER_FAILURES"] != 2 {
		t.Errorf("counted: %v", n)
	}
	// A stop ends the streams.
	go s.Stop()
	for {
		if _, err := mine.Recv(); err != nil {
			if c := status.Code(err); c != codes.Unavailable {
				t.Errorf("at the stop: %v, want UNAVAILABLE", err)
			}
			return
		}
	}
}

// TestWatchSignalsREST reads the same as lines over REST.
func TestWatchSignalsREST(t *testing.T) {
	s := servertest.New(t)
	req, err := http.NewRequestWithContext(within(t, 20*time.Second), http.MethodPost, s.URL+"/v1/throttle:watch", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Key)
	req.Header.Set("Content-Type", "application/json")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // the answer's headers come with its first line
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				afterFailures(t, s.Client, fmt.Sprint("account ", i))
			}
		}
	}()
	defer func() { close(stop); <-done }()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for n := 0; n < 3 && lines.Scan(); {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var line struct {
			Result struct{ Signal, Severity, Subject string }
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Result.Signal != "SUCCESS_AFTER_FAILURES" ||
			line.Result.Severity != "SEVERITY_MEDIUM" || line.Result.Subject == "" {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		n++
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
}

// TestSlowListenersHoldNobodyUp has a reader that never reads and a webhook
// that never answers.
func TestSlowListenersHoldNobodyUp(t *testing.T) {
	hang := make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer hook.Close()
	defer close(hang)
	s := servertest.Start(t, servertest.Options{Config: "webhook: {url: '" + hook.URL + "', secret_file: '" + secretFile(t, doorSecret) + "'}"})
	ctx := within(t, 60*time.Second)
	idle, leave := context.WithCancel(ctx)
	defer leave()
	watch(t, idle, s.Client) // never read
	quick := watch(t, ctx, s.Client)
	const signals = 1500 // more than the reader's window, its queue and the webhook's queue
	for i := range signals {
		afterFailures(t, s.Client, fmt.Sprint("account ", i))
		if sig, err := quick.Recv(); err != nil || sig.GetSignal() != "SUCCESS_AFTER_FAILURES" {
			t.Fatalf("signal %d: %v, %v", i, sig, err)
		}
	}
	n := s.Signals()
	if n["SUCCESS_AFTER_FAILURES"] != signals || n["DROPPED"] < signals-1024-2 || n["DELIVERED"] != 0 {
		t.Errorf("counted: %v", n)
	}
	leave() // gRPC's graceful stop waits for readers, as long as it is told to
	start := time.Now()
	s.Stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

// TestWebhook has a receiver that fails twice, then takes each signal.
func TestWebhook(t *testing.T) {
	type call struct {
		id, at, signature string
		body              []byte
	}
	var mu sync.Mutex
	var calls []call
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call{r.Header.Get("Watchword-Id"), r.Header.Get("Watchword-Time"), r.Header.Get("Watchword-Signature"), b})
		switch len(calls) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case 4:
			w.WriteHeader(http.StatusGone)
		}
	}))
	defer hook.Close()
	s := servertest.Start(t, servertest.Options{Config: "webhook: {url: '" + hook.URL + "/hook?token=xyzzy-plugh', secret_file: '" + secretFile(t, doorSecret) + "'}"})
	for i := range 3 {
		afterFailures(t, s.Client, fmt.Sprint("account ", i))
	}
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		n := s.Signals()
		if n["DELIVERED"] == 2 && n["FAILED"] == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("counted: %v", n)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	// The first signal three times, the second once since it is refused for good.
	if len(calls) != 5 || calls[0].id == "" || calls[0].id != calls[1].id || calls[1].id != calls[2].id || calls[2].id == calls[3].id || calls[3].id == calls[4].id {
		t.Fatalf("%d calls: %+v", len(calls), calls)
	}
	for _, c := range calls {
		mac := hmac.New(sha256.New, []byte(doorSecret))
		fmt.Fprintf(mac, "%s.%s", c.at, c.body)
		var body map[string]any
		if c.signature != hex.EncodeToString(mac.Sum(nil)) || json.Unmarshal(c.body, &body) != nil ||
			body["signal"] != "SUCCESS_AFTER_FAILURES" || body["tenant"] != "default" || body["failures"] != 5.0 || body["channel"] != "PASSWORD" {
			t.Errorf("call %+v with body %s", c, c.body)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
	if strings.Contains(s.Log.String(), "xyzzy") || strings.Contains(s.Log.String(), doorSecret) {
		t.Error("the log holds the webhook's secrets")
	}
}

// TestWebhookSettings lists what stops the start.
func TestWebhookSettings(t *testing.T) {
	good := secretFile(t, doorSecret)
	for name, config := range map[string]string{
		"no secret":            "{url: 'https://example.org/'}",
		"no URL":               "{secret_file: '" + good + "'}",
		"plaintext":            "{url: 'http://example.org/', secret_file: '" + good + "'}",
		"a password in it":     "{url: 'https://u:p@example.org/', secret_file: '" + good + "'}",
		"not a URL":            "{url: 'example', secret_file: '" + good + "'}",
		"a short secret":       "{url: 'https://example.org/', secret_file: '" + secretFile(t, "short") + "'}",
		"something else in it": "{url: 'file:///etc/passwd', secret_file: '" + good + "'}",
	} {
		if s, err := servertest.TryStart(t, servertest.Options{Config: "webhook: " + config}); err == nil {
			s.Stop()
			t.Errorf("%s: the server starts", name)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

// Bounds of the webhook.
const (
	webhookQueue   = 1024 // signals that wait; more are dropped and counted
	webhookTries   = 8    // attempts at one signal
	webhookFirst   = 500 * time.Millisecond
	webhookLongest = 30 * time.Second
	webhookTimeout = 10 * time.Second
)

// SignalCounts are totals since the start.
type SignalCounts struct {
	Spray, Stuffing, SuccessAfterFailures, SuccessInAttack uint64
	// Delivered, Failed and Dropped tell what became of signals at the webhook:
	// accepted there, given up after all tries, or never tried because too many
	// waited.
	Delivered, Failed, Dropped uint64
}

// signals counts what the limiter notices and hands it to the webhook. It
// listens at a bounded channel, so no login ever waits for it.
type signals struct {
	kinds                      [throttle.SignalSuccessInAttack + 1]atomic.Uint64
	delivered, failed, dropped atomic.Uint64
}

// SignalCounts counts what was noticed about logins.
func (s *Server) SignalCounts() SignalCounts {
	n := &s.signals
	return SignalCounts{
		Spray: n.kinds[throttle.SignalSpray].Load(), Stuffing: n.kinds[throttle.SignalStuffing].Load(),
		SuccessAfterFailures: n.kinds[throttle.SignalSuccessAfterFailures].Load(),
		SuccessInAttack:      n.kinds[throttle.SignalSuccessInAttack].Load(),
		Delivered:            n.delivered.Load(), Failed: n.failed.Load(), Dropped: n.dropped.Load(),
	}
}

// watchSignals counts until the channel ends, and feeds the webhook if there
// is one.
func (s *Server) watchSignals(ctx context.Context, from <-chan throttle.Signal, hook *webhook) {
	var queue chan throttle.Signal
	if hook != nil {
		queue = make(chan throttle.Signal, webhookQueue)
		s.spawn(func() { hook.run(ctx, queue, &s.signals) })
		defer close(queue)
	}
	for sig := range from {
		s.signals.kinds[sig.Kind].Add(1)
		if queue == nil {
			continue
		}
		select {
		case queue <- sig:
		default:
			s.signals.dropped.Add(1)
		}
	}
}

// webhook posts signals to one URL, one at a time and in order. Each request
// carries
//
//	Watchword-Id         the same in every try, so that the receiver can tell a repeat
//	Watchword-Time       seconds since 1970
//	Watchword-Signature  hex HMAC-SHA-256 under the secret, over time, a dot, and the body
//
// Any 2xx answer accepts it. 4xx other than 408 and 429 give it up; everything
// else is tried again, with waits that double and vary.
type webhook struct {
	url    string
	secret []byte
	client *http.Client
	log    *slog.Logger
	now    func() time.Time
	first  time.Duration
}

// openWebhook checks the settings; nil without a URL.
func (c Config) openWebhook(log *slog.Logger, now func() time.Time) (*webhook, error) {
	if c.Webhook == (Webhook{}) {
		return nil, nil
	}
	if c.Webhook.URL == "" || c.Webhook.SecretFile == "" {
		return nil, errors.New("configuration: webhook needs both url and secret_file")
	}
	u, err := url.Parse(c.Webhook.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !(u.Scheme == "http" && loopbackHost(u.Hostname())) {
		return nil, errors.New("configuration: webhook.url must be https, or http on a loopback address, without a password in it")
	}
	secret, err := doorSecret("webhook.secret_file", c.Webhook.SecretFile)
	if err != nil {
		return nil, err
	}
	return &webhook{url: c.Webhook.URL, secret: []byte(secret), log: log, now: now, first: webhookFirst,
		client: &http.Client{
			Timeout: webhookTimeout,
			// A redirect would take what is signed to somebody nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
				MaxIdleConns: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: webhookTimeout},
		}}, nil
}

func loopbackHost(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback() || host == "localhost"
}

// signalBody is what the webhook sends: the same as WatchSignals, and the
// tenant.
type signalBody struct {
	Signal    string    `json:"signal"`
	Time      time.Time `json:"time"`
	Tenant    string    `json:"tenant"`
	Channel   string    `json:"channel"`
	Subject   string    `json:"subject,omitempty"` // a pseudonym
	Prefix    string    `json:"prefix,omitempty"`
	Subjects  int       `json:"subjects,omitempty"`
	Failures  int       `json:"failures,omitempty"`
	Successes int       `json:"successes,omitempty"`
}

var channelNames = map[throttle.Channel]string{throttle.Password: "PASSWORD", throttle.OTP: "OTP", throttle.ResetCode: "RESET_CODE"}

func encodeSignal(s throttle.Signal) ([]byte, error) {
	b := signalBody{Signal: s.Kind.String(), Time: s.Time, Tenant: s.Tenant, Channel: channelNames[s.Channel],
		Subjects: s.Subjects, Failures: s.Failures, Successes: s.Successes}
	if s.Subject != ([16]byte{}) {
		b.Subject = base64.RawURLEncoding.EncodeToString(s.Subject[:])
	}
	if s.Prefix.IsValid() {
		b.Prefix = s.Prefix.String()
	}
	return json.Marshal(b)
}

func (h *webhook) run(ctx context.Context, queue <-chan throttle.Signal, n *signals) {
	for sig := range queue {
		if ctx.Err() != nil {
			return
		}
		if err := h.deliver(ctx, sig); err != nil {
			n.failed.Add(1)
			if ctx.Err() == nil {
				h.log.Error("a signal could not be delivered to the webhook", "error", err)
			}
			continue
		}
		n.delivered.Add(1)
	}
}

// errGone is returned by post for an answer that no repetition will change.
var errGone = errors.New("refused")

func (h *webhook) deliver(ctx context.Context, s throttle.Signal) error {
	body, err := encodeSignal(s)
	if err != nil {
		return err
	}
	id := rand.Text()
	wait := h.first
	for try := 1; ; try++ {
		if err = h.post(ctx, id, body); err == nil || errors.Is(err, errGone) || try == webhookTries {
			return err
		}
		var jitter [1]byte
		rand.Read(jitter[:])
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait + wait*time.Duration(jitter[0])/512):
		}
		wait = min(2*wait, webhookLongest)
	}
}

func (h *webhook) post(ctx context.Context, id string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return errGone
	}
	at := strconv.FormatInt(h.now().Unix(), 10)
	mac := hmac.New(sha256.New, h.secret)
	mac.Write([]byte(at + "."))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Watchword-Id", id)
	req.Header.Set("Watchword-Time", at)
	req.Header.Set("Watchword-Signature", hex.EncodeToString(mac.Sum(nil)))
	resp, err := h.client.Do(req)
	if err != nil {
		var u *url.Error // names the URL, which may hold a token
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("the receiver cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code/100 == 4 && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests:
		return fmt.Errorf("the receiver answers %d: %w", code, errGone)
	default:
		return fmt.Errorf("the receiver answers %d", code)
	}
}

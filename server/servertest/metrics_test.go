// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"google.golang.org/grpc/codes"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists"
)

const measured = "telemetry: {metrics_addr: \"127.0.0.1:0\"}\n"

// scrape asks for the metrics as a collector with the owner's key does.
func scrape(t testing.TB, s *servertest.Server) string {
	t.Helper()
	code, _, body := s.Do(scraping(s, http.MethodGet, s.Key))
	if code != http.StatusOK {
		t.Fatalf("scrape: %d %s", code, body)
	}
	return body
}

func scraping(s *servertest.Server, method, key string) *http.Request {
	req, _ := http.NewRequest(method, s.MetricsURL, nil)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return req
}

// seriesOf gives the value of each series.
func seriesOf(scraped string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(scraped) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			out[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return out
}

// TestMetricsAreClosed: the door for metrics asks for what the others ask for,
// and without the setting there is none.
func TestMetricsAreClosed(t *testing.T) {
	t.Parallel()
	if s := servertest.New(t); s.MetricsURL != "" {
		t.Fatal("metrics are on without a setting")
	} else {
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/vars"} {
			req, _ := http.NewRequest(http.MethodGet, s.URL+path, nil)
			req.Header.Set("Authorization", "Bearer "+s.Key)
			if code, _, _ := s.Do(req); code != http.StatusNotFound {
				t.Errorf("%s on the REST door: %d", path, code)
			}
		}
	}
	s := servertest.Start(t, servertest.Options{Config: measured + "tenants: [{name: other}]\n"})
	key := func(k client.NewKey) string {
		t.Helper()
		_, secret, err := s.Client.CreateKey(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	reader := key(client.NewKey{Name: "reader", Scopes: []string{"system.read"}})
	for name, c := range map[string]struct {
		req  *http.Request
		want int
	}{
		"a key with the scope": {scraping(s, http.MethodGet, reader), http.StatusOK},
		"no key":               {scraping(s, http.MethodGet, ""), http.StatusUnauthorized},
		"a wrong key":          {scraping(s, http.MethodGet, reader+"x"), http.StatusUnauthorized},
		"another scope":        {scraping(s, http.MethodGet, key(client.NewKey{Name: "checker", Scopes: []string{"password.check"}})), http.StatusForbidden},
		"another tenant":       {scraping(s, http.MethodGet, key(client.NewKey{Name: "theirs", Tenant: "other", Scopes: []string{"system.read"}})), http.StatusForbidden},
		"another method":       {scraping(s, http.MethodPost, reader), http.StatusMethodNotAllowed},
		"another path": {func() *http.Request {
			r := scraping(s, http.MethodGet, reader)
			r.URL.Path = "/debug/pprof/heap"
			return r
		}(), http.StatusNotFound},
		"a stranger's name for the loopback": {func() *http.Request {
			r := scraping(s, http.MethodGet, reader)
			r.Host = "rebound.example"
			return r
		}(), http.StatusForbidden},
		"a web page": {func() *http.Request {
			r := scraping(s, http.MethodGet, reader)
			r.Header.Set("Origin", "http://127.0.0.1")
			return r
		}(), http.StatusForbidden},
	} {
		code, _, body := s.Do(c.req)
		if code != c.want || (code == http.StatusOK) != strings.Contains(body, "watchword_build_info") {
			t.Errorf("%s: %d, want %d", name, code, c.want)
		}
	}
	if _, err := servertest.TryStart(t, servertest.Options{Config: `telemetry: {metrics_addr: "0.0.0.0:0"}`}); err == nil || !strings.Contains(err.Error(), "telemetry.metrics_addr") {
		t.Errorf("metrics for everybody: %v", err)
	}
}

// TestMetrics drives logins, checks and refusals, holds what the metrics say
// against them, and then shows that no flood of names adds a series.
func TestMetrics(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := t.TempDir()
	buildCorpus(t, filepath.Join(dir, "a.wwix"), wordlists.SHA1, "something else 7 entirely", "correct horse battery staple 9")
	s := servertest.Start(t, servertest.Options{Config: measured + fmt.Sprintf("corpora: [{name: leaked, path: %s/a.wwix}]", dir)})
	conn := dial(t, s)
	drive := func(name string) {
		t.Helper()
		for _, p := range []string{"correct horse battery staple 9", goodPassword, "password"} {
			if _, err := s.Client.Check(ctx, p, client.CheckOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Client.Set(ctx, name, goodPassword, noOptions); err != nil {
			t.Fatal(err)
		}
		for i := range 8 { // the sixth and later wait
			_, _ = s.Client.Verify(ctx, name, fmt.Sprint("wrong ", name, i), client.Source{IP: "203.0.113.99"})
		}
		_, _ = s.Client.Verify(ctx, name, goodPassword, client.Source{IP: "203.0.113.98", DeviceToken: name})
		for _, m := range []string{"/watchword.v1.PasswordService/No" + name, "/" + name + "/" + name} {
			if got := call(ctx, conn, m, "Bearer "+s.Key); got != codes.Unimplemented {
				t.Fatal(m, got)
			}
			_ = call(ctx, conn, m, "Bearer "+name)
		}
		s.Post("/v1/"+name, `{}`)
		s.Post("/v1/passwords:check", `{"password":"x","policy":"`+name+`"}`)
		s.Post("/v1/passwords:check", `{"`+name+`":1}`)
		if got := call(ctx, conn, "/grpc.health.v1.Health/Check", ""); got != codes.OK {
			t.Fatal(got)
		}
	}
	drive("canary-subject")
	first := scrape(t, s)
	problems, err := promlint.New(strings.NewReader(first)).Lint()
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := seriesOf(first)
	for series, want := range map[string]string{
		`watchword_ready`: "1", `watchword_store_up`: "1", `watchword_events_up`: "1", `watchword_throttle_degraded`: "0",
		`watchword_requests_total{code="OK",method="PasswordService/CheckPassword"}`:                   "3",
		`watchword_requests_total{code="OK",method="CredentialService/VerifyPassword"}`:                "5",
		`watchword_requests_total{code="ResourceExhausted",method="CredentialService/VerifyPassword"}`: "4",
		`watchword_request_seconds_count{method="CredentialService/VerifyPassword"}`:                   "9",
		`watchword_requests_total{code="Unimplemented",method="unknown"}`:                              "2",
		`watchword_requests_total{code="Unauthenticated",method="unknown"}`:                            "2",
		`watchword_requests_total{code="OK",method="grpc.health.v1.Health/Check"}`:                     "1",
		`watchword_defence_total{defence="guess",outcome="detected"}`:                                  "5",
		`watchword_defence_total{defence="guess",outcome="mitigated"}`:                                 "0",
		`watchword_defence_total{defence="throttle",outcome="mitigated"}`:                              "4",
		`watchword_defence_total{defence="access",outcome="mitigated"}`:                                "2",
		`watchword_defence_total{defence="policy",outcome="detected"}`:                                 "2",
		`watchword_defence_total{defence="breach",outcome="detected"}`:                                 "1",
		`watchword_throttle_verdicts_total{verdict="ALLOW"}`:                                           "5",
		`watchword_throttle_outcomes_total{outcome="BAD_SECRET"}`:                                      "5",
		`watchword_breach_lookups_total{status="PERFORMED"}`:                                           "4",
		`watchword_corpus_entries{corpus="leaked"}`:                                                    "2",
		`watchword_corpus_healthy{corpus="leaked"}`:                                                    "1",
		`watchword_hashing_queued`:                                                                     "0",
		`watchword_hashing_wait_seconds_count`:                                                         got[`watchword_hashing_run_seconds_count`],
	} {
		if got[series] != want {
			t.Errorf("%s = %q, want %s", series, got[series], want)
		}
	}
	if got[`watchword_throttle_reasons_total{lane="subject",reason="LANE_WAITS"}`] == "0" || got[`watchword_hashing_run_seconds_count`] == "0" {
		t.Error("no waits, or no hashes, are counted")
	}
	if strings.Contains(first, `lane=""`) {
		t.Error("a reason has no lane")
	}
	for i := range 20 {
		drive(fmt.Sprintf("flood-%d", i))
	}
	second := scrape(t, s)
	for series := range seriesOf(second) {
		if _, ok := got[series]; !ok && !strings.HasPrefix(series, "go_") && !strings.HasPrefix(series, "promhttp_") {
			t.Errorf("a flood of names added %s", series)
		}
	}
	for _, secret := range []string{"canary-subject", "flood-", "203.0.113", goodPassword, s.Key, "horse"} {
		if strings.Contains(second, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
	if len(seriesOf(second)) < 150 || !strings.Contains(second, "go_goroutines") || !strings.Contains(second, "process_open_fds") {
		t.Errorf("only %d series", len(seriesOf(second)))
	}
}

// BenchmarkCheckMeasured is one unary call with nothing measured, with metrics,
// and with metrics and traces, of one process. What it costs is the ratio.
func BenchmarkCheckMeasured(b *testing.B) {
	to := newCollector(b)
	for _, c := range []struct{ name, config string }{
		{"off", ""}, {"metrics", measured},
		{"traces", fmt.Sprintf("telemetry: {metrics_addr: \"127.0.0.1:0\", otlp_endpoint: %q}\n", to.url)},
	} {
		s := servertest.Start(b, servertest.Options{Config: c.config})
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Client.Check(b.Context(), goodPassword, client.CheckOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

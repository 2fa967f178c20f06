// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package telemetry_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/watchword-project/watchword/server/internal/telemetry"
)

// TestAScrapeEndsNothing: values that cannot be read, of whatever kind, cost
// themselves and are told; the rest is answered.
func TestAScrapeEndsNothing(t *testing.T) {
	good := &telemetry.Family{Name: "watchword_good", Help: "Good.", Gauge: true}
	for name, read := range map[string]func(telemetry.Emit){
		"a panic":             func(e telemetry.Emit) { e(good, 1); panic("hunter2") },
		"an unlisted family":  func(e telemetry.Emit) { e(good, 1); e(&telemetry.Family{Name: "watchword_other"}, 1) },
		"a label too many":    func(e telemetry.Emit) { e(good, 1); e(good, 2, "hunter2") },
		"the same series":     func(e telemetry.Emit) { e(good, 1); e(good, 2) },
		"nothing is the case": func(e telemetry.Emit) { e(good, 1) },
	} {
		var log bytes.Buffer
		m := telemetry.NewMetrics([]*telemetry.Family{good}, read)
		w := httptest.NewRecorder()
		m.Handler(slog.New(slog.NewTextHandler(&log, nil))).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "watchword_good 1") || !strings.Contains(w.Body.String(), "go_goroutines") {
			t.Errorf("%s: %d", name, w.Code)
		}
		if told := log.Len() > 0; told != (name != "nothing is the case") || strings.Contains(log.String(), "hunter2") {
			t.Errorf("%s: the log says %s", name, log.String())
		}
	}
}

// TestObserverIsBounded: codes and defences that nobody foresaw become one
// series, from many goroutines at once.
func TestObserverIsBounded(t *testing.T) {
	m := telemetry.NewMetrics(nil, func(telemetry.Emit) {})
	o := &telemetry.Observer{Metrics: m}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				o.End(context.Background(), "/watchword.v1.A/B", codes.Code(90+i+j), time.Millisecond)
				o.Defence(strings.Repeat("x", i+1), j%2 == 0)
			}
		})
	}
	wg.Wait()
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{`watchword_requests_total{code="Unknown",method="A/B"} 800`, `watchword_defence_total{defence="other",outcome="detected"} 800`,
		`watchword_defence_total{defence="other",outcome="mitigated"} 400`, `watchword_request_seconds_count{method="A/B"} 800`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(w.Body.String(), "watchword_requests_total{"); n != 1 {
		t.Errorf("%d series of requests, want 1", n)
	}
}

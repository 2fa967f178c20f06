// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// collector takes traces over OTLP, by HTTP or by gRPC.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer
	url  string
	fail func(w http.ResponseWriter) bool // nil, or true after it has answered

	mu       sync.Mutex
	requests []*collectorpb.ExportTraceServiceRequest
}

func (c *collector) take(q *collectorpb.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, q)
}

// Export implements the service.
func (c *collector) Export(_ context.Context, q *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	c.take(q)
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.fail != nil && c.fail(w) {
		return
	}
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, "gzip", http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	b, err := io.ReadAll(body)
	var q collectorpb.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(b, &q) != nil {
		http.Error(w, "not a request", http.StatusBadRequest)
		return
	}
	c.take(&q)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// spans are all that arrived.
func (c *collector) spans() (out []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.requests {
		for _, r := range q.GetResourceSpans() {
			for _, s := range r.GetScopeSpans() {
				out = append(out, s.GetSpans()...)
			}
		}
	}
	return out
}

// text is everything that arrived, for a search.
func (c *collector) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, q := range c.requests {
		text, _ := protojson.Marshal(q)
		wire, _ := proto.Marshal(q)
		b.Write(text)
		b.Write(wire)
	}
	return b.String()
}

func newCollector(t testing.TB) *collector {
	c := &collector{}
	h := httptest.NewServer(c)
	t.Cleanup(h.Close)
	c.url = h.URL
	return c
}

const (
	aTrace = "0af7651916cd43dd8448eb211c80319c"
	aSpan  = "b7ad6b7169203331"
)

// TestTraces: a call makes a span that carries on the caller's trace, with what
// the store and the hash took below it, over both doors and both protocols; and
// strangers make none.
func TestTraces(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
			to := newCollector(t)
			config := ""
			if protocol == "grpc" {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				g := grpc.NewServer()
				collectorpb.RegisterTraceServiceServer(g, to)
				go func() { _ = g.Serve(l) }()
				t.Cleanup(g.Stop)
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
			} else {
				config = fmt.Sprintf("telemetry: {otlp_endpoint: %q}", to.url)
			}
			s := servertest.Start(t, servertest.Options{Config: config})
			set(t, s, "alice", goodPassword)
			conn := dial(t, s)
			parent := "00-" + aTrace + "-" + aSpan + "-01"
			ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", parent)
			if _, err := watchwordv1.NewCredentialServiceClient(conn).VerifyPassword(ctx, &watchwordv1.VerifyPasswordRequest{}); err == nil {
				t.Fatal("a stranger was let in")
			}
			authorized := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.Key)
			if _, err := watchwordv1.NewCredentialServiceClient(conn).VerifyPassword(authorized, &watchwordv1.VerifyPasswordRequest{Subject: "alice", Password: goodPassword}); err != nil {
				t.Fatal(err)
			}
			req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/passwords:check", strings.NewReader(`{"password":"x"}`))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+s.Key)
			req.Header.Set("Traceparent", parent)
			if code, _, body := s.Do(req); code != http.StatusOK {
				t.Fatal(code, body)
			}
			if _, err := s.Client.Check(t.Context(), goodPassword, client.CheckOptions{}); err != nil {
				t.Fatal(err)
			}
			s.Stop() // sends what waits

			below := map[string][]string{} // names by parent
			ids := map[string]string{}
			for _, sp := range to.spans() {
				name, id, of := sp.GetName(), hex.EncodeToString(sp.GetSpanId()), hex.EncodeToString(sp.GetParentSpanId())
				below[of] = append(below[of], name)
				ids[name+" "+hex.EncodeToString(sp.GetTraceId())] = id
				if sp.GetEndTimeUnixNano() < sp.GetStartTimeUnixNano() {
					t.Errorf("%s ends before it begins", name)
				}
			}
			const verify, check = "watchword.v1.CredentialService/VerifyPassword", "watchword.v1.PasswordService/CheckPassword"
			if got := strings.Join(below[aSpan], " "); got != verify+" "+check && got != check+" "+verify {
				t.Errorf("below the caller's span: %s", got)
			}
			under := strings.Join(below[ids[verify+" "+aTrace]], ", ")
			for _, want := range []string{"store get", "hash wait", "hash"} {
				if !strings.Contains(under+",", want+",") {
					t.Errorf("a login has %s below it, no %q", under, want)
				}
			}
			if n := strings.Count(strings.Join(below[""], " "), check); n != 1 {
				t.Errorf("%d checks without a parent, want 1", n)
			}
			for _, name := range below[""] {
				if !strings.HasPrefix(name, "watchword.v1.") {
					t.Errorf("a trace of the server's own: %s", name)
				}
			}
			text := to.text()
			for _, want := range []string{"deployment.environment", "service.name", "watchword", "rpc.grpc.status_code"} {
				if !strings.Contains(text, want) {
					t.Errorf("no %s", want)
				}
			}
			for _, secret := range []string{"alice", goodPassword, s.Key, "127.0.0.1"} {
				if strings.Contains(text, secret) {
					t.Errorf("the traces hold %q", secret)
				}
			}
		})
	}
}

// TestTraceSettings: the standard variables hold, and what is not understood
// stops the start without being repeated.
func TestTraceSettings(t *testing.T) {
	to := newCollector(t)
	config := fmt.Sprintf("telemetry: {otlp_endpoint: %q}", to.url)
	for _, c := range []struct{ name, value string }{
		{"OTEL_SDK_DISABLED", "true"}, {"OTEL_TRACES_EXPORTER", "none"}, {"OTEL_TRACES_SAMPLER", "always_off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			s := servertest.Start(t, servertest.Options{Config: config})
			if _, err := s.Client.Check(t.Context(), goodPassword, client.CheckOptions{}); err != nil {
				t.Fatal(err)
			}
			s.Stop()
			if n := len(to.spans()); n != 0 {
				t.Errorf("%d spans", n)
			}
		})
	}
	t.Run("parentbased ratio", func(t *testing.T) {
		t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
		t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0")
		s := servertest.Start(t, servertest.Options{Config: config})
		conn := dial(t, s)
		for _, key := range []string{"", "Bearer " + s.Key} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+aTrace+"-"+aSpan+"-01")
			_ = call(ctx, conn, "/watchword.v1.PolicyService/ListPolicies", key)
			_ = call(t.Context(), conn, "/watchword.v1.PolicyService/ListPolicies", key)
		}
		s.Stop()
		if n := len(to.spans()); n != 1 {
			t.Errorf("%d spans, want the one that a caller with a key asked for", n)
		}
	})
	for name, c := range map[string]struct{ env, value, config, want string }{
		"exporter": {"OTEL_TRACES_EXPORTER", "hunter2", "", "OTEL_TRACES_EXPORTER: only otlp and none"},
		"protocol": {"OTEL_EXPORTER_OTLP_PROTOCOL", "hunter2", config, "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf and grpc"},
		"endpoint": {"OTEL_EXPORTER_OTLP_ENDPOINT", "hunter2", "", "OTEL_EXPORTER_OTLP_ENDPOINT: not a URL"},
		"key":      {"OTEL_SDK_DISABLED", "", "telemetry: {otlp_endpoint: \"http://a:hunter2@b\"}", "telemetry.otlp_endpoint: not a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(c.env, c.value)
			_, err := servertest.TryStart(t, servertest.Options{Config: c.config})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("start: %v", err)
			}
		})
	}
}

// TestACollectorThatHangs never answers: nobody who asks the server notices, and
// it stops all the same. When it is told that its traces are refused, it says so
// once.
func TestACollectorThatHangs(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
	to := newCollector(t)
	var hangs atomic.Bool
	hangs.Store(true)
	to.fail = func(w http.ResponseWriter) bool {
		for hangs.Load() {
			time.Sleep(10 * time.Millisecond)
		}
		http.Error(w, "gone", http.StatusBadRequest)
		return true
	}
	defer hangs.Store(false)
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf("telemetry: {otlp_endpoint: %q}", to.url)})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ask := func(n int) {
		t.Helper()
		for i := range n {
			if _, err := s.Client.Check(ctx, goodPassword, client.CheckOptions{}); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
	}
	ask(500) // thirty times what the queue holds
	hangs.Store(false)
	ask(50)
	wait(t, func() bool { return strings.Contains(s.Log.String(), "does not take traces") })
	hangs.Store(true)
	ask(50)
	s.Stop()
	if n := strings.Count(s.Log.String(), "does not take traces"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	if strings.Contains(s.Log.String(), to.url) {
		t.Error("the log holds the collector's URL")
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
)

// echo answers every attempt with the same words: what gRPC itself costs.
type echo struct {
	watchwordv1.UnimplementedLoginThrottleServiceServer
	answer *watchwordv1.BeginAttemptResponse
}

func (e echo) BeginAttempt(context.Context, *watchwordv1.BeginAttemptRequest) (*watchwordv1.BeginAttemptResponse, error) {
	return e.answer, nil
}

// racer is one server under attempts.
type racer struct {
	begin func(subject int) error
	took  []time.Duration // of each round
	cpu   []time.Duration // of this process, in which callers and servers run
	calls []time.Duration
}

func (r *racer) round(b *testing.B, callers, total int, next *atomic.Int64) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	cpu, from := processCPU(b), time.Now()
	for range callers {
		wg.Go(func() {
			calls := make([]time.Duration, 0, total/callers)
			for range total / callers {
				at := time.Now()
				if err := r.begin(int(next.Add(1))); err != nil {
					b.Error(err)
					return
				}
				calls = append(calls, time.Since(at))
			}
			mu.Lock()
			r.calls = append(r.calls, calls...)
			mu.Unlock()
		})
	}
	wg.Wait()
	r.took = append(r.took, time.Since(from))
	r.cpu = append(r.cpu, processCPU(b)-cpu)
}

// contest lets each run fifteen rounds in turns, after as many calls as it takes
// to have nearly every page of the tables of lanes: they come as lanes do, and
// the first touch of one costs more than an attempt does. A server in use has them.
func contest(b *testing.B, all []*racer, callers int, next *atomic.Int64) {
	b.Helper()
	for _, r := range all {
		r.round(b, callers, 64_000, next)
		*r = racer{begin: r.begin}
	}
	for range 15 {
		for _, r := range all {
			if r.round(b, callers, 3200, next); b.Failed() {
				b.FailNow()
			}
		}
	}
}

func (r *racer) medians() (took, cpu, p99 float64) {
	slices.Sort(r.took)
	slices.Sort(r.cpu)
	slices.Sort(r.calls)
	return float64(r.took[len(r.took)/2]), float64(r.cpu[len(r.cpu)/2]), float64(r.calls[len(r.calls)*99/100])
}

func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// echoOf gives every attempt the answer that ours gave to one.
func echoOf(b *testing.B, ours *servertest.Server) echo {
	c, ctx := attempting(b, ours.GRPCAddr, ours.Key)
	answer, err := c.BeginAttempt(ctx, attempt(0))
	if err != nil {
		b.Fatal(err)
	}
	return echo{answer: answer}
}

// bareServer is a gRPC server that only echoes; it returns its address.
func bareServer(b *testing.B, e echo) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := grpc.NewServer()
	watchwordv1.RegisterLoginThrottleServiceServer(s, e)
	go func() { _ = s.Serve(l) }()
	b.Cleanup(s.Stop)
	return l.Addr().String()
}

// bareWeb is an HTTP server with the limits of ours; it returns its URL.
func bareWeb(b *testing.B, h http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	go func() { _ = s.Serve(l) }()
	b.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

// attempting gives a client of the throttle at addr, and a context that shows key.
func attempting(b *testing.B, addr, key string) (watchwordv1.LoginThrottleServiceClient, context.Context) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return watchwordv1.NewLoginThrottleServiceClient(conn), metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+key)
}

func attempt(n int) *watchwordv1.BeginAttemptRequest {
	return &watchwordv1.BeginAttemptRequest{Subject: fmt.Sprint("user ", n), GuessTag: []byte("0123456789abcdef"),
		Source: &watchwordv1.AttemptSource{Ip: fmt.Sprintf("%d.%d.%d.7", 11+n%200, n/200%256, n/51200), ChallengePassed: true}}
}

// beginning begins attempts at one subject after the other, from as many networks.
func beginning(b *testing.B, addr, key string) func(int) error {
	c, ctx := attempting(b, addr, key)
	return func(n int) error {
		answer, err := c.BeginAttempt(ctx, attempt(n))
		if err == nil && answer.GetVerdict() != watchwordv1.Verdict_VERDICT_ALLOW {
			err = fmt.Errorf("%v %v", answer.GetVerdict(), answer.GetReasons())
		}
		return err
	}
}

// BenchmarkBeginAttempt compares BeginAttempt over gRPC, with the counters in
// process and in Redis, with a bare gRPC server that answers the same bytes to
// the same calls, with the key that it never looks at: rounds in turns, medians.
// ops/echo is the share of the echo's calls a second, p99/echo and cpu/echo how
// many times its latency and its processor time.
func BenchmarkBeginAttempt(b *testing.B) {
	memory := servertest.Start(b, servertest.Options{LogTo: io.Discard})
	inRedis := servertest.Start(b, servertest.Options{Config: startRedis(b).counters().config(""), LogTo: io.Discard})
	bare := bareServer(b, echoOf(b, memory))
	var next atomic.Int64 // no subject comes twice
	for _, callers := range []int{16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			all := []*racer{{begin: beginning(b, bare, memory.Key)}, {begin: beginning(b, memory.GRPCAddr, memory.Key)}, {begin: beginning(b, inRedis.GRPCAddr, inRedis.Key)}}
			contest(b, all, callers, &next)
			took, cpu, p99 := all[0].medians()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(3200/took*1e9, "echo/s")
			for i, name := range []string{"memory", "redis"} {
				t, c, p := all[i+1].medians()
				b.ReportMetric(took/t, name+"-ops/echo")
				b.ReportMetric(c/cpu, name+"-cpu/echo")
				b.ReportMetric(p/p99, name+"-p99/echo")
			}
		})
	}
}

// BenchmarkRatelimit compares BeginAttempt over gRPC, counted in Redis, with
// envoyproxy/ratelimit, which counts five descriptors in the same Redis, in fixed
// windows: rounds in turns, medians. ops/… is how many times as many calls a
// second.
func BenchmarkRatelimit(b *testing.B) {
	program := procs.GoTool(b, strings.Replace(clientCmd, "client_cmd", "service_cmd", 1))
	redis := startRedis(b)
	ours := servertest.Start(b, servertest.Options{Config: redis.counters().config(""), LogTo: io.Discard})
	limits := "domain: login\ndescriptors:\n"
	for i := range 5 {
		limits += fmt.Sprintf("- {key: limit%d, rate_limit: {unit: minute, requests_per_unit: 30}}\n", i)
	}
	dir := b.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "config"), 0o700),
		os.WriteFile(filepath.Join(dir, "config", "login.yaml"), []byte(limits), 0o600)); err != nil {
		b.Fatal(err)
	}
	for name, pipelining := range map[string][]string{
		"alone":     nil, // as it comes
		"pipelined": {"REDIS_PIPELINE_WINDOW=150us", "REDIS_PIPELINE_LIMIT=8"},
	} {
		b.Run(name, func(b *testing.B) {
			addr := fmt.Sprint("127.0.0.1:", freePort(b))
			service := exec.Command(program)
			service.Env = append(append(os.Environ(), pipelining...), "HOST=127.0.0.1", "GRPC_HOST=127.0.0.1", "DEBUG_HOST=127.0.0.1",
				fmt.Sprint("PORT=", freePort(b)), fmt.Sprint("DEBUG_PORT=", freePort(b)), "GRPC_PORT="+strings.TrimPrefix(addr, "127.0.0.1:"),
				"REDIS_SOCKET_TYPE=tcp", "REDIS_URL="+redis.addr(), "RUNTIME_ROOT="+dir, "RUNTIME_SUBDIRECTORY=", "RUNTIME_WATCH_ROOT=false",
				"USE_STATSD=false", "LOG_LEVEL=error")
			if _, err := procs.Start(service); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = service.Process.Kill() })
			conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = conn.Close() })
			theirs := ratelimitv3.NewRateLimitServiceClient(conn)
			ask := func(n int) error {
				r := &ratelimitv3.RateLimitRequest{Domain: "login", HitsAddend: 1}
				for i := range 5 {
					r.Descriptors = append(r.Descriptors, limitOn(fmt.Sprint("limit", i), fmt.Sprint("user ", n)))
				}
				answer, err := theirs.ShouldRateLimit(b.Context(), r)
				if err == nil && (answer.GetOverallCode() != ratelimitv3.RateLimitResponse_OK || answer.GetStatuses()[4].GetCurrentLimit() == nil) {
					err = fmt.Errorf("%v", answer)
				}
				return err
			}
			until(b, 10*time.Second, "envoyproxy/ratelimit answers", func() bool { return ask(0) == nil })
			all := []*racer{{begin: beginning(b, ours.GRPCAddr, ours.Key)}, {begin: ask}}
			var next atomic.Int64
			contest(b, all, 64, &next)
			took, _, p99 := all[0].medians()
			t, _, p := all[1].medians()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(3200/took*1e9, "begin/s")
			b.ReportMetric(t/took, "ops/ratelimit")
			b.ReportMetric(p99/p, "p99/ratelimit")
		})
	}
}

// BenchmarkBeginAttemptREST compares BeginAttempt over REST with gateways that
// answer the same bytes: one that calls its service in process, and one that
// dials it. ops/… is the share of their calls a second, p99/… how many times the
// latency.
func BenchmarkBeginAttemptREST(b *testing.B) {
	ours := servertest.Start(b, servertest.Options{LogTo: io.Discard})
	echo := echoOf(b, ours)
	inside, dialled := runtime.NewServeMux(), runtime.NewServeMux()
	err := errors.Join(
		watchwordv1.RegisterLoginThrottleServiceHandlerServer(b.Context(), inside, echo),
		watchwordv1.RegisterLoginThrottleServiceHandlerFromEndpoint(b.Context(), dialled, bareServer(b, echo),
			[]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}))
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	post := func(url string) func(int) error {
		return func(n int) error {
			body := fmt.Sprintf(`{"subject":"user %d","source":{"ip":"%d.%d.%d.7","challengePassed":true},"guessTag":"MDEyMzQ1Njc4OWFiY2RlZg=="}`, n, 11+n%200, n/200%256, n/51200)
			req, err := http.NewRequest(http.MethodPost, url+"/v1/attempts:begin", strings.NewReader(body))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+ours.Key)
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			answer, err := io.ReadAll(resp.Body)
			if err == nil && !bytes.Contains(answer, []byte("VERDICT_ALLOW")) {
				err = fmt.Errorf("%s: %s", resp.Status, answer)
			}
			return err
		}
	}
	all := []*racer{{begin: post(ours.URL)}, {begin: post(bareWeb(b, inside))}, {begin: post(bareWeb(b, dialled))}}
	var next atomic.Int64
	contest(b, all, 64, &next)
	took, _, p99 := all[0].medians()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(3200/took*1e9, "begin/s")
	for i, name := range []string{"inside", "dialled"} {
		t, _, p := all[i+1].medians()
		b.ReportMetric(t/took, "ops/"+name)
		b.ReportMetric(p99/p, "p99/"+name)
	}
}

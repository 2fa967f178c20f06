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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
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

// contest lets each run nine rounds in turns.
func contest(b *testing.B, all []*racer, callers int, next *atomic.Int64) {
	b.Helper()
	for _, r := range all { // memory comes as lanes do; a server in use has it
		r.round(b, callers, 16_000, next)
		*r = racer{begin: r.begin}
	}
	for range 9 {
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

// echoed is an answer as long as one of ours.
func echoed() echo {
	return echo{answer: &watchwordv1.BeginAttemptResponse{
		Verdict: watchwordv1.Verdict_VERDICT_ALLOW, AttemptToken: strings.Repeat("A", 210)}}
}

// bareServer is a gRPC server that only echoes; it returns its address.
func bareServer(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := grpc.NewServer()
	watchwordv1.RegisterLoginThrottleServiceServer(s, echoed())
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

// BenchmarkBeginAttempt compares BeginAttempt over gRPC, with the counters in
// process and in Redis, with a bare gRPC server that answers the same bytes:
// rounds in turns, medians. ops/echo is the share of the echo's calls a second,
// p99/echo and cpu/echo how many times its latency and its processor time.
func BenchmarkBeginAttempt(b *testing.B) {
	memory := servertest.Start(b, servertest.Options{LogTo: io.Discard})
	inRedis := servertest.Start(b, servertest.Options{Config: startRedis(b).counters().config(""), LogTo: io.Discard})
	stub := func(addr, key string) func(int) error {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		c := watchwordv1.NewLoginThrottleServiceClient(conn)
		ctx := b.Context()
		if key != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
		}
		return func(n int) error {
			answer, err := c.BeginAttempt(ctx, &watchwordv1.BeginAttemptRequest{Subject: fmt.Sprint("user ", n),
				Source: &watchwordv1.AttemptSource{Ip: fmt.Sprintf("%d.%d.%d.7", 11+n%200, n/200%256, n/51200), ChallengePassed: true}, GuessTag: []byte("0123456789abcdef")})
			if err == nil && answer.GetVerdict() != watchwordv1.Verdict_VERDICT_ALLOW {
				err = fmt.Errorf("%v %v", answer.GetVerdict(), answer.GetReasons())
			}
			return err
		}
	}
	bare := bareServer(b)
	for _, callers := range []int{16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			all := []*racer{{begin: stub(bare, "")}, {begin: stub(memory.GRPCAddr, memory.Key)}, {begin: stub(inRedis.GRPCAddr, inRedis.Key)}}
			var next atomic.Int64
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

// BenchmarkBeginAttemptREST compares BeginAttempt over REST with gateways that
// answer the same bytes: one that calls its service in process, and one that
// dials it. ops/… is the share of their calls a second, p99/… how many times the
// latency.
func BenchmarkBeginAttemptREST(b *testing.B) {
	ours := servertest.Start(b, servertest.Options{LogTo: io.Discard})
	inside, dialled := runtime.NewServeMux(), runtime.NewServeMux()
	err := errors.Join(
		watchwordv1.RegisterLoginThrottleServiceHandlerServer(b.Context(), inside, echoed()),
		watchwordv1.RegisterLoginThrottleServiceHandlerFromEndpoint(b.Context(), dialled, bareServer(b),
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

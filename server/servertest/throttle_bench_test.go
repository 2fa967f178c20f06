// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

// BenchmarkBeginAttempt compares BeginAttempt over gRPC, with the counters in
// process and in Redis, with a bare gRPC server that answers the same bytes:
// rounds in turns, medians. ops/echo is the share of the echo's calls a second,
// p99/echo and cpu/echo how many times its latency and its processor time.
func BenchmarkBeginAttempt(b *testing.B) {
	memory := servertest.New(b)
	inRedis := servertest.Start(b, servertest.Options{Config: startRedis(b).counters().config("")})
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	bare := grpc.NewServer()
	token := make([]byte, 210)
	for i := range token {
		token[i] = 'A'
	}
	watchwordv1.RegisterLoginThrottleServiceServer(bare, echo{answer: &watchwordv1.BeginAttemptResponse{
		Verdict: watchwordv1.Verdict_VERDICT_ALLOW, AttemptToken: string(token)}})
	go func() { _ = bare.Serve(l) }()
	b.Cleanup(bare.Stop)
	for _, callers := range []int{16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			all := []*racer{{begin: stub(l.Addr().String(), "")}, {begin: stub(memory.GRPCAddr, memory.Key)}, {begin: stub(inRedis.GRPCAddr, inRedis.Key)}}
			var next atomic.Int64
			for range 9 {
				for _, r := range all {
					if r.round(b, callers, 3200, &next); b.Failed() {
						return
					}
				}
			}
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

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

// checkEcho answers every check with the same words.
type checkEcho struct {
	watchwordv1.UnimplementedPasswordServiceServer
	answer *watchwordv1.CheckPasswordResponse
}

func (e checkEcho) CheckPassword(context.Context, *watchwordv1.CheckPasswordRequest) (*watchwordv1.CheckPasswordResponse, error) {
	return e.answer, nil
}

// BenchmarkCheckPassword compares checks over gRPC with a bare gRPC server, and
// checks over REST with a bare grpc-gateway in front of the same service in
// process, each of which answers the bytes of a real answer. batch-cpu is how
// many times less processor time, of caller and server together, a row of a
// stream takes than a call of its own.
func BenchmarkCheckPassword(b *testing.B) {
	const callers, total, rounds = 16, 3200, 9
	s := servertest.Start(b, servertest.Options{LogTo: io.Discard})
	passwords := manyWords(total)
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+s.Key)
	stub := func(addr string) watchwordv1.PasswordServiceClient {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		return watchwordv1.NewPasswordServiceClient(conn)
	}
	ours := stub(s.GRPCAddr)
	answer, err := ours.CheckPassword(ctx, &watchwordv1.CheckPasswordRequest{Password: passwords[0]})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	bare := grpc.NewServer()
	watchwordv1.RegisterPasswordServiceServer(bare, checkEcho{answer: answer})
	go func() { _ = bare.Serve(l) }()
	b.Cleanup(bare.Stop)
	theirs := stub(l.Addr().String())

	var channel inprocgrpc.Channel
	watchwordv1.RegisterPasswordServiceServer(&channel, checkEcho{answer: answer})
	mux := runtime.NewServeMux()
	if err := watchwordv1.RegisterPasswordServiceHandlerClient(b.Context(), mux, watchwordv1.NewPasswordServiceClient(&channel)); err != nil {
		b.Fatal(err)
	}

	overGRPC := func(c watchwordv1.PasswordServiceClient) func(int) error {
		return func(n int) error {
			_, err := c.CheckPassword(ctx, &watchwordv1.CheckPasswordRequest{Password: passwords[n%total]})
			return err
		}
	}
	pool := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	overREST := func(url string) func(int) error {
		return func(n int) error {
			req, err := http.NewRequest(http.MethodPost, url+"/v1/passwords:check", bytes.NewReader(fmt.Appendf(nil, `{"password":%q}`, passwords[n%total])))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+s.Key)
			resp, err := pool.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s, %v", resp.Status, err)
			}
			return nil
		}
	}
	candidates := func(yield func(client.Candidate) bool) {
		for range callers {
			for _, p := range passwords {
				if !yield(client.Candidate{Password: p}) {
					return
				}
			}
		}
	}

	grpcEcho, grpcOurs := &racer{begin: overGRPC(theirs)}, &racer{begin: overGRPC(ours)}
	restEcho, restOurs := &racer{begin: overREST(bareWeb(b, mux))}, &racer{begin: overREST(s.URL)}
	var next atomic.Int64
	var rows []float64
	for range rounds {
		for _, r := range []*racer{grpcEcho, grpcOurs, restEcho, restOurs} {
			if r.round(b, callers, total, &next); b.Failed() {
				return
			}
		}
		before, n := processCPU(b), 0
		for _, err := range s.Client.BatchCheck(b.Context(), candidates) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		rows = append(rows, float64(processCPU(b)-before)/float64(n))
	}
	b.ReportMetric(0, "ns/op")
	for _, c := range []struct {
		name       string
		echo, ours *racer
	}{{"grpc", grpcEcho, grpcOurs}, {"rest", restEcho, restOurs}} {
		took, cpu, p99 := c.echo.medians()
		t, u, p := c.ours.medians()
		b.ReportMetric(took/t, c.name+"-ops/echo")
		b.ReportMetric(u/cpu, c.name+"-cpu/echo")
		b.ReportMetric(p/p99, c.name+"-p99/echo")
	}
	_, unary, _ := grpcOurs.medians()
	slices.Sort(rows)
	b.ReportMetric(unary/total/rows[len(rows)/2], "batch-cpu")
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package main

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// cpu is the processor time that the process has had.
func (p *process) cpu(t testing.TB) time.Duration {
	t.Helper()
	var at unix.Timespec
	// The clock of another process, as clock_getcpuclockid(3) makes it.
	if err := unix.ClockGettime(int32(^p.Process.Pid)<<3|2, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}

// BenchmarkRows measures the processor time of the server alone, in a process
// of its own: how many times less of it a row of BatchCheckPasswords takes than
// a call of CheckPassword, and a hash among a thousand in a CheckHashes than one
// that is asked alone. The bare server answers the same bytes in the same ways:
// what gRPC asks for anyway.
func BenchmarkRows(b *testing.B) {
	const callers, calls, rows, hashes, rounds = 16, 3200, 16_000, 1000, 9
	path := program(b)
	dir := b.TempDir()
	words, config := filepath.Join(dir, "words.txt"), filepath.Join(dir, "config.yaml")
	for name, text := range map[string]string{
		words:  strings.Join(spoken(calls), "\n"),
		config: fmt.Sprintf("listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0}\ncorpora: [{name: words, path: %s/words.wwix}]\n", dir),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if out, err := exec.Command(path, "corpus", "build", "--from", "words", "--in", words, "--out", filepath.Join(dir, "words.wwix"), "--full").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	// The same words in other order are in no corpus.
	passwords := spoken(calls)
	for i, p := range passwords {
		passwords[i] = strings.Replace(p, "corpus word", "word corpus", 1)
	}
	sums := make([]string, hashes)
	for i := range sums {
		h := sha1.Sum([]byte(passwords[i]))
		sums[i] = hex.EncodeToString(h[:])
	}

	ours := start(b, exec.Command(path, "--data-dir", filepath.Join(dir, "data"), "--config", config))
	b.Cleanup(func() { ours.end(syscall.SIGTERM) })
	key, err := os.ReadFile(filepath.Join(dir, "data", "admin.key"))
	if err != nil {
		b.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+strings.TrimSpace(string(key)))
	conn := dialBare(b, ours.addr)
	service := watchwordv1.NewPasswordServiceClient(conn)
	breaches := watchwordv1.NewBreachServiceClient(conn)
	answer, err := service.CheckPassword(ctx, &watchwordv1.CheckPasswordRequest{Password: passwords[0]})
	if err != nil {
		b.Fatal(err)
	}
	wire, err := proto.Marshal(answer)
	if err != nil {
		b.Fatal(err)
	}
	theirs := start(b, exec.Command("bare-server", base64.StdEncoding.EncodeToString(wire)))
	echo := watchwordv1.NewPasswordServiceClient(dialBare(b, theirs.addr))

	alone := func(n int, call func(i int) error) func() int {
		return func() int {
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for i := c; i < n; i += callers {
						if err := call(i); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			return n
		}
	}
	check := func(c watchwordv1.PasswordServiceClient) func() int {
		return alone(calls, func(i int) error {
			_, err := c.CheckPassword(ctx, &watchwordv1.CheckPasswordRequest{Password: passwords[i]})
			return err
		})
	}
	stream := func(c watchwordv1.PasswordServiceClient) func() int {
		return func() int {
			s, err := c.BatchCheckPasswords(ctx)
			if err != nil {
				b.Fatal(err)
			}
			go func() {
				for i := range rows {
					if s.Send(&watchwordv1.BatchCheckPasswordsRequest{Password: passwords[i%calls]}) != nil {
						return // Recv has the reason
					}
				}
				_ = s.CloseSend()
			}()
			for n := 0; ; n++ {
				r, err := s.Recv()
				if errors.Is(err, io.EOF) && n == rows {
					return n
				}
				if err != nil || r.GetError() != nil {
					b.Fatal(n, r.GetError(), err)
				}
			}
		}
	}
	ask := func(list []string) error {
		_, err := breaches.CheckHashes(ctx, &watchwordv1.CheckHashesRequest{Kind: watchwordv1.HashKind_HASH_KIND_SHA1, Hashes: list})
		return err
	}
	runs := []struct {
		name string
		p    *process
		run  func() int
	}{
		{"echo", theirs, check(echo)},
		{"call", ours, check(service)},
		{"echo-row", theirs, stream(echo)},
		{"row", ours, stream(service)},
		{"hash-alone", ours, alone(calls, func(i int) error { return ask(sums[i%hashes : i%hashes+1]) })},
		{"hash-among", ours, func() int {
			for range 20 {
				if err := ask(sums); err != nil {
					b.Fatal(err)
				}
			}
			return 20 * hashes
		}},
	}
	spent := map[string][]float64{}
	for b.Loop() {
		for range rounds {
			for _, r := range runs {
				before := r.p.cpu(b)
				n := r.run()
				if b.Failed() {
					return
				}
				spent[r.name] = append(spent[r.name], float64(r.p.cpu(b)-before)/float64(n))
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	mid := map[string]float64{}
	for _, r := range runs {
		list := spent[r.name]
		slices.Sort(list)
		mid[r.name] = list[len(list)/2]
		b.ReportMetric(mid[r.name]/1e3, r.name+"-µs")
	}
	b.ReportMetric(mid["call"]/mid["row"], "call/row")
	b.ReportMetric(mid["echo"]/mid["echo-row"], "echo-call/row")
	b.ReportMetric(mid["hash-alone"]/mid["hash-among"], "hash-alone/among")
}

// spoken are texts of a usual length.
func spoken(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("corpus word %d of many", i)
	}
	return out
}

func dialBare(b *testing.B, addr string) *grpc.ClientConn {
	b.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

// bareChecks answers every check with the same bytes.
type bareChecks struct {
	watchwordv1.UnimplementedPasswordServiceServer
	call *watchwordv1.CheckPasswordResponse
	row  *watchwordv1.BatchCheckPasswordsResponse
}

func (c bareChecks) CheckPassword(context.Context, *watchwordv1.CheckPasswordRequest) (*watchwordv1.CheckPasswordResponse, error) {
	return c.call, nil
}

func (c bareChecks) BatchCheckPasswords(stream grpc.BidiStreamingServer[watchwordv1.BatchCheckPasswordsRequest, watchwordv1.BatchCheckPasswordsResponse]) error {
	for {
		switch _, err := stream.Recv(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := stream.Send(c.row); err != nil {
			return err
		}
	}
}

// newBareChecks takes the answer in base64. A row has the fields of a call
// under the same numbers.
func newBareChecks(answer string) (bareChecks, error) {
	c := bareChecks{call: &watchwordv1.CheckPasswordResponse{}, row: &watchwordv1.BatchCheckPasswordsResponse{}}
	wire, err := base64.StdEncoding.DecodeString(answer)
	if err != nil {
		return c, err
	}
	return c, errors.Join(proto.Unmarshal(wire, c.call), proto.Unmarshal(wire, c.row))
}

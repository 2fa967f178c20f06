// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// TestHealth follows a server from its start through a corpus that breaks and is
// mended to its end: every service, the whole, /readyz and the metrics agree,
// and /healthz tells of the process alone.
func TestHealth(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.wwix")
	buildCorpus(t, path, wordlists.SHA1, manyWords(2000)...)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := servertest.Start(t, servertest.Options{Config: measured + "corpora: [{name: a, path: " + path + "}]"})
	ask := healthpb.NewHealthClient(dial(t, s))
	services := map[string]bool{"": true}
	for m := range s.Methods() {
		if name, _, ok := strings.Cut(strings.TrimPrefix(m, "/"), "/"); ok && strings.HasPrefix(name, "watchword.v1.") {
			services[name] = true
		}
	}
	if len(services) < 7 {
		t.Fatalf("only %v", services)
	}
	get := func(path string) int {
		req, _ := http.NewRequest(http.MethodGet, s.URL+path, nil)
		code, _, _ := s.Do(req)
		return code
	}
	is := func(want bool) func() error {
		return func() error {
			for name := range services {
				r, err := ask.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
				if err != nil || (r.GetStatus() == healthpb.HealthCheckResponse_SERVING) != want {
					return fmt.Errorf("service %q: %v, %v", name, r.GetStatus(), err)
				}
			}
			if code := get("/readyz"); (code == http.StatusOK) != want {
				return fmt.Errorf("/readyz: %d", code)
			}
			if code := get("/healthz"); code != http.StatusOK {
				return fmt.Errorf("/healthz: %d", code)
			}
			if got := seriesOf(scrape(t, s)); (got["watchword_ready"] == "1") != want || (got[`watchword_corpus_healthy{corpus="a"}`] == "1") != want {
				return fmt.Errorf("the metrics say %q", got["watchword_ready"])
			}
			return nil
		}
	}
	eventually(t, "a server that has started serves", 20*time.Second, is(true))
	if _, err := ask.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "no.such.Service"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v", err)
	}
	watch, err := ask.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "watchword.v1.PasswordService"})
	if err != nil {
		t.Fatal(err)
	}
	told := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		r, err := watch.Recv()
		if err != nil || r.GetStatus() != want {
			t.Fatalf("the watcher is told %v, %v, want %v", r.GetStatus(), err, want)
		}
	}
	told(healthpb.HealthCheckResponse_SERVING)

	damaged := append([]byte(nil), whole...)
	for at := 8192; at < len(damaged)-4096; at += 61 {
		damaged[at] ^= 0x55
	}
	write := func(b []byte) { // into the file that is mapped
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt(b, 0)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(damaged)
	for i := range 60 {
		if _, err := s.Client.Check(t.Context(), fmt.Sprintf("corpus word %d of many", i), client.CheckOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a corpus that breaks shows", 20*time.Second, is(false))
	told(healthpb.HealthCheckResponse_NOT_SERVING)
	putInPlace(t, whole, path)
	eventually(t, "a corpus that is mended shows", 20*time.Second, is(true))
	told(healthpb.HealthCheckResponse_SERVING)
	stopped := make(chan struct{})
	go func() { s.Stop(); close(stopped) }()
	told(healthpb.HealthCheckResponse_NOT_SERVING)
	// Who watches does not hold up the stop.
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the watcher's end: %v", err)
	}
	<-stopped
}

// TestAStopThatIsOverdue: a stream whose caller never ends it is cut off when the
// time is up, and the server closes its books all the same.
func TestAStopThatIsOverdue(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	set(t, s, "alice", goodPassword)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.Key)
	stream, err := watchwordv1.NewPasswordServiceClient(dial(t, s)).BatchCheckPasswords(ctx)
	if err == nil {
		err = stream.Send(&watchwordv1.BatchCheckPasswordsRequest{Password: "x"})
	}
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.StopWithin(300 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "event log") || strings.Contains(err.Error(), "store") {
		t.Errorf("the stop: %v", err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("the stream goes on")
	}
	b, err := os.ReadFile(filepath.Join(s.DataDir, "events.jsonl"))
	if lines := strings.Split(strings.TrimSpace(string(b)), "\n"); err != nil || !strings.Contains(lines[len(lines)-1], "server.stop") {
		t.Errorf("the event log ends with %s: %v", lines[len(lines)-1], err)
	}
	again := servertest.Start(t, servertest.Options{DataDir: s.DataDir})
	if got, err := again.Client.Verify(t.Context(), "alice", goodPassword, client.Source{}); err != nil || !got.Match {
		t.Errorf("after it: %+v, %v", got, err)
	}
}

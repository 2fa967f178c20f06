// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
)

// load is the load on a server that is stopped and started again: logins and
// batches over gRPC, passwords set and batches over REST, and somebody who
// watches.
type load struct {
	t          testing.TB
	binary     string
	dir        string
	key        string
	grpc, http string
	conn       *grpc.ClientConn
	server     *process

	mu   sync.Mutex
	lost []string
	// What was answered.
	logins, batches, sets, lines, watches atomic.Int64
	stalled                               atomic.Int64 // passwords not set for want of a disk
}

// eventStall is the answer to a change whose event does not get to the disk in
// time. The event may get there later: then it has no end.
const eventStall = "event log cannot be written"

func (f *load) lose(format string, a ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lost) < 100 {
		f.lost = append(f.lost, fmt.Sprintf(format, a...))
	}
}

const loadPassword = "a lantern on the quay 8"

func (f *load) start() {
	f.t.Helper()
	f.server = start(f.t, exec.Command(f.binary, "--data-dir", filepath.Join(f.dir, "data"), "--config", filepath.Join(f.dir, "config.yaml")))
}

// newLoad starts a server, with further lines of configuration.
func newLoad(t testing.TB, binary, more string) *load {
	f := &load{t: t, binary: binary, dir: t.TempDir()}
	f.grpc, f.http = fmt.Sprint("127.0.0.1:", procs.FreePort(t)), fmt.Sprint("127.0.0.1:", procs.FreePort(t))
	config := fmt.Sprintf("listen: {grpc: %q, http: %q}\nhashing: {insecure_test_cost: true, memory: 1MiB, time: 1}\n%s", f.grpc, f.http, more)
	if err := os.WriteFile(filepath.Join(f.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	f.start()
	key, err := os.ReadFile(filepath.Join(f.dir, "data", "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	f.key = "Bearer " + strings.TrimSpace(string(key))
	// While no server is there a call waits for one. A call that a server has
	// begun is not tried again: it fails, and is lost.
	f.conn, err = grpc.NewClient(f.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: startLimit, Backoff: backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1, MaxDelay: 5 * time.Millisecond}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.conn.Close() })
	if err := f.set("alice"); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *load) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "authorization", f.key), time.Minute)
}

// answered tells whether a server gave an answer, of whatever kind.
func answered(err error) bool {
	switch status.Code(err) {
	case codes.OK, codes.ResourceExhausted:
		return true
	}
	return false
}

func (f *load) login() {
	ctx, cancel := f.context()
	defer cancel()
	_, err := watchwordv1.NewCredentialServiceClient(f.conn).VerifyPassword(ctx, &watchwordv1.VerifyPasswordRequest{Subject: "alice", Password: loadPassword})
	if !answered(err) {
		f.lose("login: %v", err)
		return
	}
	f.logins.Add(1)
}

const batchRows = 20

func (f *load) batch() {
	ctx, cancel := f.context()
	defer cancel()
	stream, err := watchwordv1.NewPasswordServiceClient(f.conn).BatchCheckPasswords(ctx)
	for i := 0; err == nil && i < batchRows; i++ {
		if err = stream.Send(&watchwordv1.BatchCheckPasswordsRequest{Password: fmt.Sprint("row ", i)}); err == nil {
			time.Sleep(time.Millisecond)
		}
	}
	if err == nil {
		err = stream.CloseSend()
	}
	rows := 0
	for err == nil || errors.Is(err, io.EOF) && rows == 0 {
		if _, err = stream.Recv(); err == nil {
			rows++
		}
	}
	if !errors.Is(err, io.EOF) || rows != batchRows {
		f.lose("batch: %d rows, %v", rows, err)
		return
	}
	f.batches.Add(1)
}

// watch watches until the server ends the stream, which it may do only by
// saying that it stops.
func (f *load) watch() {
	ctx, cancel := f.context()
	defer cancel()
	stream, err := watchwordv1.NewLoginThrottleServiceClient(f.conn).WatchSignals(ctx, &watchwordv1.WatchSignalsRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "the server stops" {
		f.lose("watch: %v", err)
		return
	}
	f.watches.Add(1)
}

func (f *load) post(path, kind string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+f.http+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", f.key)
	return http.DefaultClient.Do(req)
}

// set stores a password over REST. An error may mean that nobody was there; what
// became of it the event log knows.
func (f *load) set(subject string) error {
	body, err := json.Marshal(map[string]string{"subject": subject, "password": loadPassword})
	if err != nil {
		return err
	}
	resp, err := f.post("/v1/credentials:set", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		f.sets.Add(1)
	case bytes.Contains(answer, []byte(eventStall)):
		f.stalled.Add(1)
	}
	return nil
}

// stream sends a batch over REST, row by row. When the first answer has come,
// all must.
func (f *load) stream() {
	r, w := io.Pipe()
	go func() {
		for i := range batchRows {
			if _, err := fmt.Fprintf(w, "{\"password\":\"row %d\"}\n", i); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
		w.Close()
	}()
	defer r.Close()
	resp, err := f.post("/v1/passwords:batchCheck", "application/x-ndjson", r)
	if err != nil {
		time.Sleep(2 * time.Millisecond) // nobody is there
		return
	}
	defer resp.Body.Close()
	rows := 0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		rows++
	}
	if lines.Err() != nil || rows != batchRows {
		f.lose("REST stream: %d rows, %v", rows, lines.Err())
		return
	}
	f.lines.Add(1)
}

// run restarts the server again and again under load, and tells what was lost.
func (f *load) run(restarts int, stop syscall.Signal) []string {
	f.t.Helper()
	var over atomic.Bool
	var wg sync.WaitGroup
	keep := func(n int, do func(i int)) {
		for range n {
			wg.Go(func() {
				for i := 0; !over.Load(); i++ {
					do(i)
				}
			})
		}
	}
	var names atomic.Int64
	keep(4, func(int) { f.login() })
	keep(2, func(int) { f.batch() })
	keep(1, func(int) { f.watch() })
	keep(4, func(int) {
		if f.set(fmt.Sprint("user", names.Add(1))) != nil {
			time.Sleep(2 * time.Millisecond)
		}
	})
	keep(2, func(int) { f.stream() })
	for i := range restarts {
		// A different moment each time, with all kinds of calls under way.
		time.Sleep(time.Duration(60+i%7*11) * time.Millisecond)
		if !f.server.end(stop) {
			f.lose("the server ended with %v", f.server.ProcessState)
		}
		f.start()
	}
	over.Store(true)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	f.server.end(stop) // and the watch with it
	select {
	case <-done:
	case <-time.After(100 * time.Millisecond):
		f.start() // for calls that wait for a server
		<-done
	}
	f.audit()
	f.t.Logf("%d restarts: %d logins, %d batches, %d passwords set, %d REST streams, %d watches ended, lost %d", restarts,
		f.logins.Load(), f.batches.Load(), f.sets.Load(), f.lines.Load(), f.watches.Load(), len(f.lost))
	return f.lost
}

// audit holds what the event log says was begun and done against the answers
// that arrived.
func (f *load) audit() {
	files, err := filepath.Glob(filepath.Join(f.dir, "data", "events.jsonl*"))
	if err != nil {
		f.t.Fatal(err)
	}
	var b []byte
	for _, name := range files {
		part, err := os.ReadFile(name)
		if err != nil {
			f.t.Fatal(err)
		}
		b = append(b, part...)
	}
	var begun, done int64
	for line := range bytes.Lines(b) {
		var e struct{ Type, Outcome string }
		if err := json.Unmarshal(line, &e); err != nil {
			continue // of a server that was killed
		}
		switch {
		case e.Type != "credential.set":
		case e.Outcome == "BEGUN":
			begun++
		case e.Outcome == "OK":
			done++
		default:
			done++
			f.sets.Add(1) // refused, and answered so
		}
	}
	if got := f.sets.Load(); begun < done || begun > done+f.stalled.Load() || done != got {
		f.lose("passwords set: %d begun, %d done, %d answers", begun, done, got)
	}
}

// TestRestartsLoseNothing: a server that is told to stop answers what it has
// taken in. Ten restarts; a hundred with WATCHWORD_LONG=1.
func TestRestartsLoseNothing(t *testing.T) {
	restarts := 10
	if os.Getenv("WATCHWORD_LONG") != "" {
		restarts = 100
	}
	f := newLoad(t, "watchword-server", "")
	for _, lost := range f.run(restarts, syscall.SIGTERM) {
		t.Error(lost)
	}
	for name, n := range map[string]int64{"logins": f.logins.Load(), "batches": f.batches.Load(), "passwords set": f.sets.Load(),
		"REST streams": f.lines.Load(), "watches": f.watches.Load()} {
		if n < int64(restarts) {
			t.Errorf("only %d %s: the load was none", n, name)
		}
	}
}

// TestLostCallsAreSeen is the control: a server that is killed, and with
// WATCHWORD_LONG=1 servers that end one door without waiting, lose calls under
// the same load, and it is seen.
func TestLostCallsAreSeen(t *testing.T) {
	if lost := newLoad(t, "watchword-server", "").run(1, syscall.SIGKILL); len(lost) < 2 { // one is its exit code
		t.Errorf("a server that is killed lost only %q", lost)
	}
	if os.Getenv("WATCHWORD_LONG") == "" {
		return
	}
	for name, edit := range map[string][2]string{
		"gRPC": {"s.rpc.GRPC.GracefulStop()", "s.rpc.GRPC.Stop()"},
		"REST": {"s.http.Shutdown(ctx)", "s.http.Close()"},
	} {
		if lost := newLoad(t, faulty(t, "internal/daemon/daemon.go", edit[0], edit[1]), "").run(5, syscall.SIGTERM); len(lost) == 0 {
			t.Errorf("%s: a server that does not wait lost nothing", name)
		}
	}
}

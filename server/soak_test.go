// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/wordlists"
)

var soakFor = flag.Duration("soak", 2*time.Second, "how long TestSoak loads each server")

// soak is the load on a server that stays up, with further callers, rude ones
// among them, and an operator who changes all that can be changed meanwhile.
type soak struct {
	*load
	client  *client.Client
	assets  string // policies and corpora
	metrics string // address of that door
	lists   [2][]byte
	redis   *procs.Redis // nil when the throttle is in process

	began   time.Time
	rounds  int              // of the operator
	outages int              // of Redis
	stalls  int              // of the disk, that refused a change of the operator's
	looked  [20]atomic.Int64 // guesses at each victim that were looked at
	calls   atomic.Int64     // beside those that the load counts
	refused atomic.Int64
}

func newSoak(t *testing.T, binary string, redis *procs.Redis) *soak {
	s := &soak{assets: t.TempDir(), metrics: fmt.Sprint("127.0.0.1:", procs.FreePort(t)), redis: redis}
	for i := range s.lists {
		words := "password\nletmein\n" + strings.Repeat("only in the second\n", i)
		path := filepath.Join(s.assets, "leaked.wwix")
		_, err := wordlists.Build(t.Context(), wordlists.BuildOptions{Reader: strings.NewReader(words), Out: path, From: wordlists.FromWords, Full: true, Name: "leaked"})
		if err == nil {
			s.lists[i], err = os.ReadFile(path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(s.assets, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.place("policies/house.yaml", s.policy(0))
	config := fmt.Sprintf("telemetry: {metrics_addr: %q}\npolicy: {dir: %[2]s/policies}\ncorpora: [{name: leaked, path: %[2]s/leaked.wwix, unbounded: true}]\n", s.metrics, s.assets)
	if redis != nil {
		config += fmt.Sprintf("throttle: {store: redis}\nredis: {addrs: [%q]}\n", redis.Addr)
	}
	s.load = newLoad(t, binary, config)
	var err error
	if s.client, err = client.New(client.Options{Addr: s.grpc, Key: strings.TrimPrefix(s.key, "Bearer "), Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

func (s *soak) policy(i int) []byte {
	return fmt.Appendf(nil, "name: house\nversion: %d\nrules:\n  length: {min: %d, min_mfa: 8}\n  breach: {threshold: 1}\n", i+1, 15+i%2)
}

// place puts a file below the assets in another one's place in one step.
func (s *soak) place(name string, content []byte) {
	path := filepath.Join(s.assets, name)
	if err := errors.Join(os.WriteFile(path+".new", content, 0o600), os.Rename(path+".new", path)); err != nil {
		s.lose("%v", err)
	}
}

// went counts a call. Only refusals that tell when to come back may take the
// place of an answer.
func (s *soak) went(what string, err error) bool {
	s.calls.Add(1)
	var denied *client.DeniedError
	var busy *client.BusyError
	switch {
	case err == nil:
		return true
	case errors.As(err, &denied), errors.As(err, &busy), status.Code(err) == codes.ResourceExhausted:
		s.refused.Add(1)
	default:
		s.lose("%s: %v", what, err)
	}
	return false
}

// callers are what is done all the time, by one caller each.
func (s *soak) callers() map[string]func(ctx context.Context, i int) {
	return map[string]func(context.Context, int){
		"login":  func(context.Context, int) { s.login() },
		"batch":  func(context.Context, int) { s.batch() },
		"stream": func(context.Context, int) { s.stream() },
		"set": func(_ context.Context, i int) {
			if err := s.set(fmt.Sprint("user", i%200)); err != nil {
				s.lose("set: %v", err)
			}
		},
		"guess": func(ctx context.Context, i int) {
			victim := i % len(s.looked)
			login, err := s.client.Verify(ctx, fmt.Sprint("victim", victim), fmt.Sprint("guess ", rand.Uint64()), client.Source{})
			if s.went("guess", err) {
				s.looked[victim].Add(1)
				if login.Match {
					s.lose("a guess matches")
				}
			}
		},
		"check": func(ctx context.Context, _ int) {
			j, err := s.client.Check(ctx, "password", client.CheckOptions{Policy: "house"})
			if s.went("check", err) && (j.Accepted || j.Breach.Status != "PERFORMED" || !j.Breach.Found) {
				s.lose("check: %+v", j)
			}
		},
		"attempt": func(ctx context.Context, i int) {
			a, err := s.client.Begin(ctx, fmt.Sprint("visitor", i%200), client.Source{IP: fmt.Sprintf("203.0.113.%d", i%200)}, nil)
			if s.went("attempt", err) {
				_, err = a.Complete(ctx, client.Success)
				s.went("attempt completed", err)
			}
		},
		"watch": func(ctx context.Context, _ int) {
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", s.key), 20*time.Millisecond)
			defer cancel()
			stream, err := watchwordv1.NewLoginThrottleServiceClient(s.conn).WatchSignals(ctx, &watchwordv1.WatchSignalsRequest{})
			for err == nil {
				_, err = stream.Recv()
			}
			if status.Code(err) != codes.DeadlineExceeded {
				s.lose("watch: %v", err)
			}
			s.calls.Add(1)
		},
		// Who hangs up in the middle of anything, and who never was a client.
		"rude": func(ctx context.Context, i int) {
			ctx, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(2000))*time.Microsecond)
			defer cancel()
			_, _ = s.client.Verify(ctx, "alice", loadPassword, client.Source{})
			c, err := net.Dial("tcp", []string{s.grpc, s.http, s.metrics}[i%3])
			if err != nil {
				s.lose("connecting: %v", err)
				return
			}
			_, _ = c.Write([]byte([]string{"POST /v1/passwords:check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n{", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01"}[i/3%3]))
			_ = c.Close()
			s.calls.Add(1)
		},
	}
}

// round is what the operator does, one thing after another.
func (s *soak) round(ctx context.Context, i int) {
	step := func(what string, err error) bool {
		switch {
		case err == nil:
			return true
		case strings.Contains(err.Error(), eventStall):
			s.stalls++ // no change without its event: so it should be on a disk that hangs
		default:
			s.lose("round %d, %s: %v", i, what, err)
		}
		return false
	}
	// Half a file changes nothing; a whole one is taken.
	for torn := range 2 {
		list, policy := s.lists[i%2], s.policy(i)
		if torn == 0 {
			list, policy = list[:len(list)/2], policy[:len(policy)/2]
		}
		s.place("leaked.wwix", list)
		s.place("policies/house.yaml", policy)
		for range 2 { // a policy is taken at the second look
			step("SIGHUP", s.server.Process.Signal(syscall.SIGHUP))
			time.Sleep(50 * time.Millisecond)
		}
	}
	if step("policy", s.await(func() (bool, error) {
		p, err := s.client.Policy(ctx, "house", "")
		return p.YAML == string(s.policy(i)), err
	})) {
		want := i%2 == 1
		step("corpus", s.await(func() (bool, error) {
			j, err := s.client.Check(ctx, "only in the second", client.CheckOptions{})
			return j.Breach.Found == want, err
		}))
	}
	// A key works until it is revoked, and not much longer.
	if key, secret, err := s.client.CreateKey(ctx, client.NewKey{Name: "soak", Scopes: []string{"password.check"}}); step("key", err) {
		c, err := client.New(client.Options{Addr: s.grpc, Key: secret})
		if step("key", err) {
			_, err := c.Check(ctx, "password", client.CheckOptions{})
			step("new key", err)
			if step("revoking", s.client.RevokeKey(ctx, key.ID)) {
				step("revoked key", s.await(func() (bool, error) {
					_, err := c.Check(ctx, "password", client.CheckOptions{})
					return errors.Is(err, client.ErrUnauthenticated), nil
				}))
			}
			step("closing", c.Close())
		}
	}
	pepper, err := watchwordv1.NewAdminServiceClient(s.client.Conn()).RotatePepper(ctx, &watchwordv1.RotatePepperRequest{})
	if step("pepper", err) && pepper.GetRemaining() != 0 {
		s.lose("round %d: %d records are left under the old pepper", i, pepper.GetRemaining())
	}
	// An audit that ends by itself, and one that is cancelled.
	hash, err := s.client.Hash(ctx, "password")
	step("hash", err)
	rows := iter.Seq[client.AuditRecord](func(yield func(client.AuditRecord) bool) {
		for n := range 30 {
			if !yield(client.AuditRecord{ID: fmt.Sprint("row", n), Hash: hash}) {
				return
			}
		}
	})
	for cancelled := range 2 {
		a, err := s.client.CreateAudit(ctx, client.NewAudit{Guesses: 5})
		if !step("audit", err) {
			break
		}
		if cancelled == 1 {
			_, err = s.client.CancelAudit(ctx, a.ID)
			step("cancelling", err)
			continue
		}
		_, err = s.client.Upload(ctx, a.ID, 0, rows, true)
		if !step("upload", err) {
			continue
		}
		if step("end of the audit", s.await(func() (bool, error) {
			a, err = s.client.Audit(ctx, a.ID)
			return a.Over(), err
		})) && a.Findings["WEAK"]+a.Findings["BREACHED"] < 30 {
			s.lose("round %d: the audit found %v", i, a.Findings)
		}
		_, _, err = s.client.AuditReport(ctx, a.ID, "HTML", "en")
		step("report", err)
	}
	if s.redis != nil {
		s.outages++
		if i%2 == 0 {
			s.redis.Pause()
			time.Sleep(500 * time.Millisecond)
			s.redis.Resume()
		} else {
			s.redis.Kill()
			time.Sleep(500 * time.Millisecond)
			s.redis.Start(s.t)
		}
	}
	s.calls.Add(20)
}

// await waits until something is so; whoever asks may be refused meanwhile.
func (s *soak) await(so func() (bool, error)) error {
	for end := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		ok, err := so()
		if ok && err == nil {
			return nil
		}
		if time.Now().After(end) {
			return cmp.Or(err, errors.New("not within its time"))
		}
	}
}

// drive has all call, and the operator at work, for at least one round; a long
// soak has about a hundred. Between the calls of one caller is a pause, so that
// the log of an hour fits on a disk. It gives what was held meanwhile.
func (s *soak) drive(d time.Duration) (during []holdings) {
	ctx, cancel := context.WithCancel(context.Background())
	var callers, operator sync.WaitGroup
	for _, call := range s.callers() {
		callers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				one, done := context.WithTimeout(context.Background(), time.Minute)
				call(one, i)
				done()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	end := time.Now().Add(d)
	operator.Go(func() {
		for first := true; first || time.Now().Before(end); first = false {
			s.round(context.Background(), s.rounds)
			s.rounds++
			time.Sleep(d / 100)
		}
	})
	for time.Now().Before(end) {
		time.Sleep(d / 60)
		during = append(during, s.held())
	}
	operator.Wait()
	cancel()
	callers.Wait()
	return during
}

// holdings are what the server's process holds, as in bounds.
type holdings [5]float64

// bounds say what of that may have been added in the end, and between the second
// and the last third of a long soak: a few connections and timers that end by
// themselves, garbage that awaits its collection, and what the collector gives
// back late. What a collection leaves is told by the aim of the next one.
var bounds = [len(holdings{})]struct {
	what  string
	times float64
	plus  float64
}{
	{"goroutines", 1, 10},
	{"files", 1, 5},
	{"mappings of corpora", 1, 0},
	{"MiB at which the next collection begins", 1, 16},
	{"MiB resident", 1.1, 32},
}

// over tells what is more than it was before, beyond the bounds.
func (h holdings) over(before holdings) (out []string) {
	for i, b := range bounds {
		if most := before[i]*b.times + b.plus; h[i] > most {
			out = append(out, fmt.Sprintf("%.0f %s, want at most %.0f", h[i], b.what, most))
		}
	}
	return out
}

func (h holdings) String() string {
	out := ""
	for i, b := range bounds {
		out += fmt.Sprintf("%.0f %s, ", h[i], b.what)
	}
	return strings.TrimSuffix(out, ", ")
}

// median is that of each.
func median(of []holdings) (h holdings) {
	for i := range h {
		slices.SortFunc(of, func(a, b holdings) int { return cmp.Compare(a[i], b[i]) })
		h[i] = of[len(of)/2][i]
	}
	return h
}

// held asks the server, and the kernel.
func (s *soak) held() (h holdings) {
	text, err := s.scrape()
	if err != nil {
		s.lose("metrics: %v", err)
		return h
	}
	for i, name := range []string{"go_goroutines", "process_open_fds", "", "go_memstats_next_gc_bytes", "process_resident_memory_bytes"} {
		if name == "" {
			continue
		}
		_, after, _ := strings.Cut(text, "\n"+name+" ")
		value, _, _ := strings.Cut(after, "\n")
		if h[i], err = strconv.ParseFloat(value, 64); err != nil {
			s.lose("%s: %v", name, err)
		}
		if strings.HasSuffix(name, "_bytes") {
			h[i] /= 1 << 20
		}
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", s.server.Process.Pid))
	if err != nil {
		s.lose("%v", err)
	}
	h[2] = float64(bytes.Count(maps, []byte(".wwix")))
	return h
}

func (s *soak) scrape() (string, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+s.metrics+"/metrics", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", s.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// rest waits until no more goroutines end, or what is held is within bounds.
func (s *soak) rest(before *holdings) (h holdings) {
	http.DefaultClient.CloseIdleConnections()
	least, still := math.Inf(1), 0
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		h = s.held()
		if still++; h[0] < least {
			least, still = h[0], 0
		}
		if before == nil && still > 10 || before != nil && len(h.over(*before)) == 0 {
			break
		}
	}
	return h
}

// guesses is how many at one account may be looked at within a time: five, then
// one after each wait, of which the first is half a minute and each next one
// twice as long. While Redis is away a limiter of the server's own decides, and
// may spend as much again.
func (s *soak) guesses(within time.Duration) int64 {
	n, waited := 5, time.Duration(0)
	for wait := 30 * time.Second; waited+wait <= within; wait = min(2*wait, time.Hour) {
		waited += wait
		n++
	}
	return int64(n + 5*s.outages)
}

// run soaks the server, stops it, and gives what was wrong.
func (s *soak) run(d time.Duration) []string {
	s.began = time.Now()
	s.drive(d / 4) // what is made once is made
	before := s.rest(nil)
	during := s.drive(d)
	after := s.rest(&before)
	for _, much := range after.over(before) {
		s.lose("after the soak: %s", much)
	}
	if third := len(during) / 3; d >= 10*time.Minute {
		second, last := median(during[third:2*third]), median(during[2*third:])
		s.t.Logf("medians of the second third: %v", second)
		s.t.Logf("medians of the last third: %v", last)
		for _, much := range last.over(second) {
			s.lose("in the last third: %s", much)
		}
	}
	for victim := range s.looked {
		if n, most := s.looked[victim].Load(), s.guesses(time.Since(s.began)); n > most {
			s.lose("victim %d: %d guesses were looked at, want at most %d", victim, n, most)
		}
	}
	if !s.server.end(syscall.SIGTERM) {
		s.lose("the server ended with %v", s.server.ProcessState)
	}
	verify := exec.Command(s.binary, "--data-dir", filepath.Join(s.dir, "data"), "--config", filepath.Join(s.dir, "config.yaml"), "events", "verify")
	if out, err := verify.CombinedOutput(); err != nil {
		s.lose("events verify: %v: %s", err, out)
	}
	s.audit()
	s.t.Logf("%v, %d rounds: %d logins, %d batches, %d passwords set, %d REST streams, %d other calls, %d refused; %d outages of Redis, %d stalls of the disk",
		time.Since(s.began).Round(time.Second), s.rounds, s.logins.Load(), s.batches.Load(), s.sets.Load(), s.lines.Load(), s.calls.Load(), s.refused.Load(), s.outages, s.stalls)
	s.t.Logf("before: %v", before)
	s.t.Logf("after: %v", after)
	return s.lost
}

// TestSoak loads the server with callers of every kind, rude ones and an
// operator among them, once with its throttle in process and once in a Redis
// that goes away and comes back: no call fails, limits are kept, the event log
// verifies, and in the end the server holds what it held in the beginning.
//
//	go test -run TestSoak ./server -soak 60m -timeout 3h
func TestSoak(t *testing.T) {
	binary := program(t)
	soaked := func(t *testing.T, redis *procs.Redis) {
		s := newSoak(t, binary, redis)
		for _, lost := range s.run(*soakFor) {
			t.Error(lost)
		}
		guesses := int64(0)
		for i := range s.looked {
			guesses += s.looked[i].Load()
		}
		for what, n := range map[string]int64{"logins": s.logins.Load(), "batches": s.batches.Load(), "passwords set": s.sets.Load(),
			"REST streams": s.lines.Load(), "guesses": guesses, "other calls": s.calls.Load()} {
			if n < 5 {
				t.Errorf("only %d %s: the load was none", n, what)
			}
		}
	}
	t.Run("process", func(t *testing.T) {
		t.Parallel()
		soaked(t, nil)
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		soaked(t, procs.RedisServer(t))
	})
}

// TestLeaksAreSeen is the control: servers that keep the listeners, the corpora
// or memory of calls that are over are seen to. It runs in CI, or with
// WATCHWORD_LONG=1.
func TestLeaksAreSeen(t *testing.T) {
	if os.Getenv("CI") == "" && os.Getenv("WATCHWORD_LONG") == "" {
		t.Skip("builds other servers; set WATCHWORD_LONG=1")
	}
	for seen, fault := range map[string][3]string{
		"goroutines":          {"internal/rpc/intercept.go", "go g.attend(inside, c, dismiss)", "go g.attend(context.WithoutCancel(inside), c, dismiss)"},
		"mappings of corpora": {"../wordlists/handle.go", "return old.Close()", "return nil"},
		"MiB":                 {"internal/rpc/intercept.go", "return next(inside, req)", "kept := make([]byte, 256<<10)\n\ttime.AfterFunc(time.Hour, func() { kept[0]++ })\n\treturn next(inside, req)"},
	} {
		lost := newSoak(t, faulty(t, fault[0], fault[1], fault[2]), nil).run(time.Second)
		if !slices.ContainsFunc(lost, func(l string) bool { return strings.Contains(l, seen) }) {
			t.Errorf("no more %s were seen in %s with %q, but %q", seen, fault[0], fault[2], lost)
		}
	}
}

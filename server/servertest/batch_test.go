// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/strength"
	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists"
)

// answer is one line of a batch over REST.
type answer struct {
	Result struct {
		Decision   string
		Violations []struct {
			Rule   string
			Params map[string]string
		}
		Strength *struct {
			GuessesLog10 float64 `json:"guessesLog10"`
			Score        int
		}
		Error *struct {
			Code    int
			Reason  string
			Message string
		}
	}
	Error json.RawMessage
}

// lengthOf is the length that row i asks about; its answer tells it back.
func lengthOf(i int) int { return 1 + i%14 }

func candidate(i int) string { return "zq7-vbnwplkmtr"[:lengthOf(i)] }

// bad are rows that are no request, at every tenth place.
var bad = []string{`{"password":`, `not JSON`, `[]`, `{"pasword":"x"}`, `{"password":"x","use":7}`, `{"password":"a\ud800"}`, "{\"password\":\"\xff\"}",
	`{"password":""}`, `{"password":"x","locale":"xx"}`, `{"password":"` + strings.Repeat("x", 70_000) + `"}`,
	`{"password":"` + strings.Repeat("é", 3000) + `"}`, `{"password":"x","policy":"../../etc/passwd"}`, `{"password":"x","policy":"nowhere"}`}

func line(i int) string {
	if i%10 == 9 {
		return bad[i/10%len(bad)] + "\n"
	}
	return `{"password":"` + candidate(i) + `"}` + "\n"
}

// batch opens a stream over REST whose rows come from write.
func batch(ctx context.Context, t testing.TB, s *servertest.Server, write func(io.Writer) error) *http.Response {
	t.Helper()
	r, w := io.Pipe()
	go func() {
		buffered := bufio.NewWriterSize(w, 16<<10)
		err := write(buffered)
		w.CloseWithError(errors.Join(err, buffered.Flush()))
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/passwords:batchCheck", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+s.Key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("batchCheck: %d %s", resp.StatusCode, b)
	}
	return resp
}

// heap gives the bytes of live objects.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestBatchOfAHundredThousandOverREST(t *testing.T) {
	const rows = 100_000
	s := servertest.New(t)
	guesses := map[int]float64{}
	for i := range 14 {
		e := strength.Of([]byte(candidate(i)), nil)
		guesses[lengthOf(i)] = e.GuessesLog10
	}
	before := heap()
	var sent atomic.Int64
	begin := time.Now()
	resp := batch(t.Context(), t, s, func(w io.Writer) error {
		for i := range rows {
			if _, err := io.WriteString(w, line(i)); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	})
	defer resp.Body.Close()
	d := json.NewDecoder(bufio.NewReader(resp.Body))
	var ahead int64
	var grown uint64
	n := 0
	for ; ; n++ {
		var a answer
		err := d.Decode(&a)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || a.Error != nil {
			t.Fatalf("row %d: %v %s", n, err, a.Error)
		}
		if n%10_000 == 5000 {
			ahead = max(ahead, sent.Load()-int64(n))
			if h := heap(); h > before {
				grown = max(grown, h-before)
			}
		}
		switch {
		case n%10 == 9:
			if a.Result.Error == nil || a.Result.Error.Code == 0 || a.Result.Error.Message == "" || strings.Contains(a.Result.Error.Message, "etc") {
				t.Fatalf("row %d, %.40q: the answer is %+v", n, line(n), a.Result)
			}
		case a.Result.Error != nil || a.Result.Strength == nil || a.Result.Strength.GuessesLog10 != guesses[lengthOf(n)]:
			t.Fatalf("row %d: no judgement, or not the estimate 10^%g: %+v", n, guesses[lengthOf(n)], a.Result)
		case a.Result.Decision != "DECISION_REJECT" || a.Result.Violations[0].Params["length"] != fmt.Sprint(lengthOf(n)):
			t.Fatalf("row %d has the answer of another row: %+v", n, a.Result)
		}
	}
	if n != rows {
		t.Errorf("%d answers, want %d", n, rows)
	}
	if grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	t.Logf("%d rows in %v; at most %d rows and %d KiB were under way", rows, time.Since(begin).Round(time.Millisecond), ahead, grown>>10)
}

func TestBatchOverGRPC(t *testing.T) {
	const rows = 20_000
	s := servertest.New(t)
	n := 0
	for c, err := range s.Client.BatchCheck(t.Context(), candidates(rows)) {
		if err != nil {
			t.Fatal(err)
		}
		var invalid *client.InvalidError
		switch {
		case n%10 == 9:
			if !errors.As(c.Fault, &invalid) {
				t.Fatalf("row %d: %v, %v, want an *InvalidError", n, c, c.Fault)
			}
		case c.Fault != nil || c.Violations[0].Params["length"] != fmt.Sprint(lengthOf(n)):
			t.Fatalf("row %d: %v, %v", n, c, c.Fault)
		}
		n++
	}
	if n != rows {
		t.Errorf("%d answers, want %d", n, rows)
	}
}

func candidates(rows int) iter.Seq[client.Candidate] {
	return func(yield func(client.Candidate) bool) {
		for i := range rows {
			c := client.Candidate{Password: candidate(i)}
			if i%10 == 9 {
				c.Locale = "xx"
			}
			if !yield(c) {
				return
			}
		}
	}
}

// TestBatchAnswersWhileItReads: over HTTP/1.1 each row is answered before the
// next one is written.
func TestBatchAnswersWhileItReads(t *testing.T) {
	s := servertest.New(t)
	c := dialBatch(t, s)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	send := func(text string) { fmt.Fprintf(c, "%x\r\n%s\r\n", len(text), text) }
	send(line(0))
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(resp.Body)
	for i := range 50 {
		got, err := answers.ReadString('\n')
		if err != nil || strings.Contains(got, `"error":{`) != (i%10 == 9) {
			t.Fatalf("row %d: %.200s, %v", i, got, err)
		}
		send(line(i + 1))
	}
}

func TestBatchLines(t *testing.T) {
	s := servertest.New(t)
	row := func(n int) string { // a good request whose line has n bytes
		head := `{"password":"` + candidate(13) + `","context":{"words":["x"`
		var b strings.Builder
		b.WriteString(head)
		for b.Len() < n-4-1000 {
			b.WriteString(`,"` + strings.Repeat("w", 900) + `"`)
		}
		b.WriteString(`]}}`)
		return b.String() + strings.Repeat(" ", n-1-b.Len()) + "\n"
	}
	for _, c := range []struct {
		name, body string
		want       string // J for a judgement, E for an error, a letter a row
	}{
		{"no rows", "", ""},
		{"blank lines", "\n\n  \n" + line(0) + "\r\n\n" + line(1), "JJ"},
		{"no line feed at the end", strings.TrimSpace(line(0)), "J"},
		{"64 KiB", row(64<<10) + line(1), "JJ"},
		{"64 KiB and a byte", row(64<<10+2) + line(1), "EJ"},
		{"8 MiB", `{"password":"` + strings.Repeat("x", 8<<20) + `"}` + "\n" + line(1), "EJ"},
		{"cut within a row", line(0) + `{"password":"zq`, "JE"},
		{"two objects in a line", `{"password":"a"}{"password":"b"}` + "\n" + line(1), "EJ"},
	} {
		req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/passwords:batchCheck", strings.NewReader(c.body))
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Authorization", "Bearer "+s.Key)
		code, _, body := s.Do(req)
		got := ""
		for d := json.NewDecoder(strings.NewReader(body)); ; {
			var a answer
			if err := d.Decode(&a); err != nil {
				break
			}
			if a.Result.Error != nil {
				got += "E"
			} else {
				got += "J"
			}
		}
		if code != http.StatusOK || got != c.want {
			t.Errorf("%s: %d %q, want %q: %.300s", c.name, code, got, c.want, body)
		}
	}
}

// dialBatch opens a connection and begins a batch of rows without end.
func dialBatch(t *testing.T, s *servertest.Server) net.Conn {
	t.Helper()
	addr := strings.TrimPrefix(s.URL, "http://")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	fmt.Fprintf(c, "POST /v1/passwords:batchCheck HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n", addr, s.Key)
	return c
}

// pour writes rows until the other side takes no more for a second.
func pour(c net.Conn, most int) (rows int, err error) {
	l := line(13)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(l)*100, strings.Repeat(l, 100))
	for rows < most {
		if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			return rows, err
		}
		if _, err := io.WriteString(c, chunk); err != nil {
			return rows, err
		}
		rows += 100
	}
	return rows, nil
}

// TestBatchClientThatStopsReading: what is not read is not judged, and not
// kept.
func TestBatchClientThatStopsReading(t *testing.T) {
	s := servertest.New(t)
	before := heap()
	c := dialBatch(t, s)
	const most = 2_000_000
	rows, err := pour(c, most)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("the server took %d rows of which nobody read the answers: %v", rows, err)
	}
	if after := heap(); after > before+32<<20 {
		t.Errorf("the heap grew by %d MiB", (after-before)>>20)
	}
	t.Logf("the server took %d rows and waits", rows)
	if code, body := s.Post("/v1/passwords:check", `{"password":"tangled lantern orbit 7 walrus"}`); code != http.StatusOK {
		t.Errorf("meanwhile: %d %s", code, body)
	}
}

// TestBatchClientThatHangsUp: nothing is left of streams whose client is gone.
func TestBatchClientThatHangsUp(t *testing.T) {
	s := servertest.New(t)
	s.Post("/v1/passwords:check", `{"password":"x"}`)
	before := runtime.NumGoroutine()
	for i := range 40 {
		c := dialBatch(t, s)
		if i%2 == 0 {
			_, _ = pour(c, 200)
		}
		if i%4 == 0 {
			_, _ = io.ReadFull(c, make([]byte, 2000))
		}
		_ = c.Close()
	}
	for _, half := range []bool{false, true} { // and over gRPC
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		for range s.Client.BatchCheck(ctx, candidates(1_000_000)) {
			if n++; n == 500 {
				if half {
					break
				}
				cancel()
			}
		}
		cancel()
	}
	deadline := time.Now().Add(20 * time.Second)
	ended := func() int { return strings.Count(s.Log.String(), "/BatchCheckPasswords") }
	for runtime.NumGoroutine() > before+10 || ended() != 42 {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d of 42 streams are in the log; %d goroutines, %d before\n%s", ended(), runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, l := range strings.Split(s.Log.String(), "\n") {
		if strings.Contains(l, `"level":"ERROR"`) {
			t.Errorf("a client that hangs up is logged as an error of the server: %s", l)
		}
	}
}

// BenchmarkBatch compares a batch with what each row costs at the least: a
// look into the list, the estimate and the rules.
func BenchmarkBatch(b *testing.B) {
	s := servertest.New(b)
	pol, _ := policy.Builtin().Get(policy.Default)
	passwords := make([]string, 2000)
	i := 0
	for t := range policy.Habits(len(passwords), rand.NewChaCha8([32]byte{})) {
		passwords[i] = string(t.Reveal())
		i++
	}
	bare := func() {
		for _, p := range passwords {
			t, _ := password.New(p)
			ev := policy.Evidence{}
			if m, ok := wordlists.Common().Match(t.Reveal()); ok {
				ev.Listed = []policy.Listed{{List: "common", Rank: m.Rank}}
			}
			e := strength.Of(t.Reveal(), strength.NewHints(strength.Context{}))
			ev.Estimate = &policy.Estimate{GuessesLog10: e.GuessesLog10}
			pol.Judge(t, policy.SingleFactor, policy.Signup, policy.Context{}, ev)
		}
	}
	rest := func() {
		resp := batch(b.Context(), b, s, func(w io.Writer) error {
			e := json.NewEncoder(w)
			for _, p := range passwords {
				if err := e.Encode(map[string]string{"password": p}); err != nil {
					return err
				}
			}
			return nil
		})
		n, r := 0, bufio.NewReaderSize(resp.Body, 1<<16)
		for {
			if _, err := r.ReadSlice('\n'); err != nil {
				break
			}
			n++
		}
		_ = resp.Body.Close()
		if n != len(passwords) {
			b.Fatalf("%d answers", n)
		}
	}
	grpc := func() {
		rows := func(yield func(client.Candidate) bool) {
			for _, p := range passwords {
				if !yield(client.Candidate{Password: p}) {
					return
				}
			}
		}
		for _, err := range s.Client.BatchCheck(b.Context(), rows) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	var took [3][]time.Duration
	for b.Loop() {
		for i, f := range []func(){bare, rest, grpc} {
			begin := time.Now()
			f()
			took[i] = append(took[i], time.Since(begin))
		}
	}
	var mid [3]float64
	for i, name := range []string{"bare", "rest", "grpc"} {
		slices.Sort(took[i])
		mid[i] = took[i][len(took[i])/2].Seconds()
		b.ReportMetric(float64(len(passwords))/mid[i], name+"-rows/s")
	}
	b.ReportMetric(mid[1]/mid[0], "rest/bare")
	b.ReportMetric(mid[2]/mid[0], "grpc/bare")
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/servertest"
)

// rawHTTP2 is a connection on which the test writes every frame itself.
type rawHTTP2 struct {
	net.Conn
	*http2.Framer
	header bytes.Buffer
	pack   *hpack.Encoder
}

func dialRaw(t *testing.T, addr string) *rawHTTP2 {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c := &rawHTTP2{Conn: conn, Framer: http2.NewFramer(conn, conn)}
	c.pack = hpack.NewEncoder(&c.header)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// fields are the header of a call of a method.
func fields(path, key string) []hpack.HeaderField {
	return []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path}, {Name: ":authority", Value: "localhost"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"}, {Name: "authorization", Value: "Bearer " + key},
	}
}

func (c *rawHTTP2) open(stream uint32, h []hpack.HeaderField) error {
	c.header.Reset()
	for _, f := range h {
		if err := c.pack.WriteField(f); err != nil {
			return err
		}
	}
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.header.Bytes(), EndHeaders: true})
}

// message frames a request as gRPC does.
func message(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
}

// end reads until the stream is over, and gives what ended it: the gRPC status,
// the HTTP status, or the error that closed stream or connection.
func (c *rawHTTP2) end(stream uint32) string {
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = c.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID != stream || !f.StreamEnded() {
				continue
			}
			for _, h := range f.Fields {
				if h.Name == "grpc-status" {
					return "status " + h.Value
				}
			}
			return "HTTP " + f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return "reset"
			}
		case *http2.GoAwayFrame:
			return "closed"
		}
	}
}

// TestOddPathsReachNoHandler writes the path of a call as no library does.
// CVE-2026-33186: grpc-go routed a path without its leading slash to the
// handler, past rules that look at the path.
func TestOddPathsReachNoHandler(t *testing.T) {
	s := servertest.New(t)
	set(t, s, "alice", goodPassword)
	const verify = "watchword.v1.CredentialService/VerifyPassword"
	body := message(t, &watchwordv1.VerifyPasswordRequest{Subject: "alice", Password: goodPassword})
	call := func(h []hpack.HeaderField) (string, uint64) {
		before := s.Hashes()
		c := dialRaw(t, s.GRPCAddr)
		if err := c.open(1, h); err != nil {
			t.Fatal(err)
		}
		_ = c.WriteData(1, true, body)
		how := c.end(1)
		return how, s.Hashes() - before
	}
	if how, n := call(fields("/"+verify, s.Key)); how != "status 0" || n != 1 {
		t.Fatalf("the path as libraries write it: %s and %d hashes", how, n)
	}
	for _, path := range []string{
		verify, "//" + verify, "/" + verify + "/", "/" + strings.ToLower(verify), "/%77atchword.v1.CredentialService/VerifyPassword",
		"/watchword.v1.CredentialService//VerifyPassword", "/./" + verify, "/x/../" + verify, "/" + verify + "?x=1", "/" + verify + "#x",
		"\\" + verify, " /" + verify, "/" + verify + " ", "http://localhost/" + verify, "", "*", "/", "/watchword.v1.CredentialService/",
		"/" + strings.ReplaceAll(verify, "/", "%2f"), "/" + verify + "\x00", "/Kanarienvogel-7731/Kanarienvogel-7731",
	} {
		for _, key := range []string{"", s.Key} {
			if how, n := call(fields(path, key)); n != 0 || how == "status 0" {
				t.Errorf("path %q with key %t: %s and %d hashes", path, key != "", how, n)
			}
		}
	}
	if strings.Contains(s.Log.String(), "7731") {
		t.Error("the log repeats the name of a method that there is not")
	}
	// Two of what must be one, and names that only look like the right one.
	twice := fields("/"+verify, "x")
	for name, h := range map[string][]hpack.HeaderField{
		"wrong key, then the right one": append(twice, hpack.HeaderField{Name: "authorization", Value: "Bearer " + s.Key}),
		"right key, then a wrong one":   append(fields("/"+verify, s.Key), hpack.HeaderField{Name: "authorization", Value: "Bearer x"}),
		"two paths":                     append(fields("/grpc.health.v1.Health/Check", ""), hpack.HeaderField{Name: ":path", Value: "/" + verify}),
		"an upper-case name":            append(fields("/"+verify, "x"), hpack.HeaderField{Name: "Authorization", Value: "Bearer " + s.Key}),
		"the gateway's name":            append(fields("/"+verify, "x"), hpack.HeaderField{Name: "grpcgateway-authorization", Value: "Bearer " + s.Key}),
	} {
		if how, n := call(h); n != 0 || how == "status 0" {
			t.Errorf("%s: %s and %d hashes", name, how, n)
		}
	}
}

// probe makes calls beside an attack that lasts until it is told to stop, and
// gives the share that was answered.
func probe(t *testing.T, s *servertest.Server, attack func(stop <-chan struct{})) float64 {
	t.Helper()
	const calls = 20
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		attack(stop)
	}()
	answered, slowest := 0, time.Duration(0)
	for range calls {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		begin := time.Now()
		if _, err := s.Client.Throttle(ctx, "somebody"); err == nil {
			answered++
		} else {
			t.Logf("a call beside the attack: %v", err)
		}
		slowest = max(slowest, time.Since(begin))
		cancel()
	}
	close(stop)
	<-stopped
	t.Logf("%d of %d calls beside the attack were answered, the slowest after %v", answered, calls, slowest.Round(time.Millisecond))
	return float64(answered) / calls
}

// TestRapidReset opens streams and resets them at once, as CVE-2023-44487 does.
// Work that goes on is bounded, and other clients are served.
func TestRapidReset(t *testing.T) {
	s := servertest.New(t)
	body := message(t, &watchwordv1.VerifyPasswordRequest{Subject: "nobody", Password: goodPassword})
	before, most := runtime.NumGoroutine(), 0
	var resets atomic.Int64
	share := probe(t, s, func(stop <-chan struct{}) {
		var all sync.WaitGroup
		for range 4 {
			c := dialRaw(t, s.GRPCAddr)
			_ = c.SetDeadline(time.Time{})
			go func() { _, _ = io.Copy(io.Discard, c.Conn) }()
			all.Go(func() {
				defer c.Close()
				for i := uint32(1); ; i += 2 {
					select {
					case <-stop:
						return
					default:
					}
					if c.open(i, fields("/watchword.v1.CredentialService/VerifyPassword", s.Key)) != nil ||
						c.WriteData(i, true, body) != nil || c.WriteRSTStream(i, http2.ErrCodeCancel) != nil {
						return // the server may close such a connection
					}
					resets.Add(1)
				}
			})
		}
		for {
			select {
			case <-stop:
				all.Wait()
				return
			case <-time.After(time.Millisecond):
				most = max(most, runtime.NumGoroutine()-before)
			}
		}
	})
	// 4 connections × 100 streams, each with its handler and what that waits on;
	// without a limit of streams there are thousands more.
	if most > 4*100*3 {
		t.Errorf("%d goroutines at most", most)
	}
	if share < .99 {
		t.Errorf("%.1f %% of the other client's calls were answered", 100*share)
	}
	if resets.Load() < 1_000 {
		t.Fatalf("only %d streams were reset", resets.Load())
	}
	t.Logf("%d resets, %d goroutines at most", resets.Load(), most)
}

// TestContinuationFlood sends a header that never ends (GO-2024-2687): the
// connection is closed, and nothing grows.
func TestContinuationFlood(t *testing.T) {
	s := servertest.New(t)
	c := dialRaw(t, s.GRPCAddr)
	c.header.Reset()
	for _, f := range fields("/watchword.v1.CredentialService/VerifyPassword", s.Key) {
		_ = c.pack.WriteField(f)
	}
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.header.Bytes()}); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, c.Conn) }()
	var err error
	sent := 0
	for ; err == nil && sent < 256<<20; sent += 16 << 10 {
		c.header.Reset()
		for range 15 {
			_ = c.pack.WriteField(hpack.HeaderField{Name: "x-padding", Value: strings.Repeat("~", 1000), Sensitive: true})
		}
		err = c.WriteContinuation(1, false, c.header.Bytes())
	}
	if err == nil {
		t.Errorf("%d MiB of header were taken", sent>>20)
	}
	if _, err := s.Client.Throttle(t.Context(), "somebody"); err != nil {
		t.Errorf("another client: %v", err)
	}
	t.Logf("closed after %d KiB", sent>>10)
}

// TestCompressedBodies sends a small body that grows: it is refused at the
// limit of the grown size, over both doors.
func TestCompressedBodies(t *testing.T) {
	s := servertest.New(t)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write([]byte(`{"password":"`))
	for range 64 {
		_, _ = z.Write(bytes.Repeat([]byte("a"), 1<<20))
	}
	_ = z.Close()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.TotalAlloc
	for _, path := range []string{"/v1/passwords:check", "/v1/passwords:batchCheck", "/v1/credentials:import"} {
		for _, encoding := range []string{"gzip", "x-gzip", "GZIP", "deflate", "br", "zstd", "gzip, gzip"} {
			req, _ := http.NewRequest(http.MethodPost, s.URL+path, bytes.NewReader(bomb.Bytes()))
			req.Header.Set("Authorization", "Bearer "+s.Key)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Content-Encoding", encoding)
			if code, _, body := s.Do(req); code == http.StatusOK && !strings.Contains(body, "error") && !strings.Contains(body, "reason") || code >= 500 {
				t.Errorf("POST %s as %s: %d %.200s", path, encoding, code, body)
			}
		}
	}
	for _, encoding := range []string{"gzip", "deflate", "identity"} {
		c := dialRaw(t, s.GRPCAddr)
		h := append(fields("/watchword.v1.PasswordService/CheckPassword", s.Key), hpack.HeaderField{Name: "grpc-encoding", Value: encoding})
		if err := c.open(1, h); err != nil {
			t.Fatal(err)
		}
		framed := append(binary.BigEndian.AppendUint32([]byte{1}, uint32(bomb.Len())), bomb.Bytes()...)
		var err error
		for len(framed) > 0 && err == nil {
			n := min(len(framed), 16<<10)
			err = c.WriteData(1, n == len(framed), framed[:n])
			framed = framed[n:]
		}
		if how := c.end(1); how == "status 0" {
			t.Errorf("a compressed message as %s was taken", encoding)
		}
	}
	runtime.ReadMemStats(&m)
	if grown := (m.TotalAlloc - before) >> 20; grown > 48 {
		t.Errorf("%d MiB were allocated for bodies of 64 MiB", grown)
	}
}

// TestUsualPathsAreClosed asks for what scanners ask for, with and without a
// key: nothing but liveness answers.
func TestUsualPathsAreClosed(t *testing.T) {
	s := servertest.New(t)
	stems := strings.Fields(`.aws/credentials .env .git/HEAD .git/config .svn/entries .well-known/openid-configuration _all_dbs _cat/indices
		_cluster/health _config _nodes _search _status actuator actuator/env actuator/health actuator/heapdump admin api api/v1 api/v1/users api-docs
		app backup backup.sql backup.zip cgi-bin/test config config.json config.yaml console core dashboard data db debug debug/pprof
		debug/pprof/cmdline debug/pprof/goroutine debug/pprof/heap debug/pprof/profile debug/pprof/symbol debug/pprof/trace debug/requests debug/events
		debug/vars doc docs dump env error favicon.ico files graphql graphiql health healthcheck heapdump help info index.html index.php
		internal jmx jolokia keys livez log login logs manage management manager/html metrics minio/health/live monitor openapi openapi.json
		openapi.yaml phpinfo.php ping pprof private prometheus proxy query readiness register reload robots.txt root rpc secret secrets
		server-info server-status settings setup shutdown solr stats status static swagger swagger-ui swagger-ui.html swagger.json
		swagger/v1/swagger.json sys system test threads threaddump tmp token trace upload user users v1 v1/ v1/keys v1/secret v2 v3
		var/log/syslog vars version watchword watchword.v1.PasswordService/CheckPassword grpc.health.v1.Health/Check
		grpc.reflection.v1.ServerReflection/ServerReflectionInfo web wp-admin wp-login.php xmlrpc.php zipkin console/ admin.key watchword.yaml`)
	open := map[string]bool{"/healthz": true, "/readyz": true}
	asked := 0
	for _, stem := range stems {
		for _, path := range []string{"/" + stem, "//" + stem, "/healthz/../" + stem, "/healthz/" + stem, "/v1/../" + stem, "/%2e%2e/" + stem} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				req, err := http.NewRequest(method, s.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.URL.Opaque = "//" + req.URL.Host + path // as it stands, not cleaned
				asked++
				code, _, body := s.Do(req)
				if code != http.StatusUnauthorized && !open[path] {
					t.Errorf("%s %s without a key: %d %.80q, want 401", method, path, code, body)
				}
			}
		}
	}
	t.Logf("%d requests", asked)
	if asked < 1_500 {
		t.Errorf("only %d requests were made", asked)
	}
}

// TestIdleConnectionsHoldNobodyUp opens thousands of connections that say
// nothing; a client with something to say is served beside them.
func TestIdleConnectionsHoldNobodyUp(t *testing.T) {
	s := servertest.New(t)
	const count = 2_000
	share := probe(t, s, func(stop <-chan struct{}) {
		for i := range count {
			addr := s.GRPCAddr
			if i%2 == 0 {
				addr = strings.TrimPrefix(s.URL, "http://")
			}
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				break
			}
			defer conn.Close()
		}
		if code, body := s.Post("/v1/passwords:check", `{"password":"tangled lantern orbit 7 walrus"}`); code != http.StatusOK {
			t.Errorf("a check beside %d silent connections: %d %s", count, code, body)
		}
		<-stop
	})
	if share < .99 {
		t.Errorf("%.1f %% of the other client's calls were answered", 100*share)
	}
}

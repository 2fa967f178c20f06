// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/watchword-project/watchword/server/servertest"
)

// dialFrom connects to a door from an address of the loopback.
func dialFrom(t *testing.T, from, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 20 * time.Second}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// greeted tells whether the gRPC door took a connection: it speaks first.
func greeted(t *testing.T, conn net.Conn) bool {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	f, err := http2.NewFramer(nil, conn).ReadFrame()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the door neither takes nor closes a connection")
	}
	_, settings := f.(*http2.SettingsFrame)
	return err == nil && settings
}

// speaker is a connection over which a request can be made again and again.
type speaker struct {
	name string
	conn net.Conn
	ask  func() error // nil for an answer
}

// overREST speaks HTTP/1.1 with a key, or without one.
func overREST(t *testing.T, s *servertest.Server, name, path, key string, want int) speaker {
	conn := dialFrom(t, "127.0.0.1", strings.TrimPrefix(s.URL, "http://"))
	in := bufio.NewReader(conn)
	return speaker{name, conn, func() error {
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", path, key); err != nil {
			return err
		}
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		defer a.Body.Close()
		if _, err := io.Copy(io.Discard, a.Body); err != nil || a.StatusCode != want {
			return fmt.Errorf("%d, %w", a.StatusCode, err)
		}
		return nil
	}}
}

// overGRPC calls a method with an empty request.
func overGRPC(t *testing.T, s *servertest.Server, name, method, key, want string) speaker {
	c := dialRaw(t, s.GRPCAddr)
	stream := uint32(1)
	return speaker{name, c.Conn, func() error {
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		if err := c.open(stream, fields(method, key)); err != nil {
			return err
		}
		if err := c.WriteData(stream, true, make([]byte, 5)); err != nil {
			return err
		}
		defer func() { stream += 2 }()
		if how := c.end(stream); how != want {
			return errors.New(how)
		}
		return nil
	}}
}

// TestStrangersConnectionsEnd holds connections open on which nobody shows a key:
// they end soon, whatever was asked over them, but for a probe that goes on
// asking; those of callers stay.
func TestStrangersConnectionsEnd(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	const health, list = "/grpc.health.v1.Health/Check", "/watchword.v1.BreachService/ListCorpora"
	stay := []speaker{
		overREST(t, s, "REST with a key", "/openapi.json", s.Key, 200),
		overGRPC(t, s, "gRPC with a key", list, s.Key, "status 0"),
	}
	probes := []speaker{
		overREST(t, s, "REST, probing", "/healthz", "", 200),
		overGRPC(t, s, "gRPC, probing", health, "", "status 0"),
	}
	gone := []speaker{
		overREST(t, s, "REST, liveness once", "/readyz", "", 200),
		overREST(t, s, "REST, refused", "/openapi.json", "ww_wrong", 401),
		overGRPC(t, s, "gRPC, liveness once", health, "", "status 0"),
		overGRPC(t, s, "gRPC, refused", list, "ww_wrong", "status 16"),
		overGRPC(t, s, "gRPC, nothing but the handshake", "", "", ""),
	}
	ask := func(all []speaker, what string) {
		t.Helper()
		for _, c := range all {
			if err := c.ask(); err != nil {
				t.Fatalf("%s: %s: %v", c.name, what, err)
			}
		}
	}
	ask(stay, "at first")
	ask(gone[:4], "at first")
	ended := make(chan string, len(gone))
	for _, c := range gone {
		go func() {
			_ = c.conn.SetDeadline(time.Time{})
			_, _ = io.Copy(io.Discard, c.conn)
			ended <- c.name
		}()
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for left := len(gone); left > 0; {
		select {
		case <-ended:
			left--
		case <-tick.C:
			ask(probes, "while it goes on")
		case <-deadline:
			t.Fatalf("%d of %d connections are still open after a minute", left, len(gone))
		}
	}
	ask(probes, "after the others ended")
	ask(stay, "after the others ended")
}

// TestOneAddressDoesNotFillADoor opens as many connections as one address may
// hold, and one more, which is closed while other addresses are served.
func TestOneAddressDoesNotFillADoor(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: measured})
	const share = 2048 // as the manual says
	var held []net.Conn
	for try := 1; len(held) < share; try++ {
		begin := time.Now()
		for range share {
			held = append(held, dialFrom(t, "127.0.0.2", s.GRPCAddr))
		}
		if time.Since(begin) > 8*time.Second && try < 5 { // the first of them end after 15
			for _, conn := range held {
				_ = conn.Close()
			}
			held = nil
			time.Sleep(time.Second)
		}
	}
	for i, conn := range held {
		if !greeted(t, conn) {
			t.Fatalf("connection %d was closed", i+1)
		}
	}
	if greeted(t, dialFrom(t, "127.0.0.2", s.GRPCAddr)) {
		t.Error("one more than the share was taken")
	}
	if !greeted(t, dialFrom(t, "127.0.0.3", s.GRPCAddr)) {
		t.Error("another address was closed as well")
	}
	if log := s.Log.String(); strings.Count(log, "connection refused") != 1 || !strings.Contains(log, `"door":"listen.grpc","peer":"127.0.0.2"`) {
		t.Errorf("the log tells:\n%s", log)
	}
	if got := seriesOf(scrape(t, s))[`watchword_defence_total{defence="quota",outcome="mitigated"}`]; got != "1" {
		t.Errorf("the metrics tell of %q", got)
	}
	_ = held[0].Close()
	eventually(t, "what was left is free again", 20*time.Second, func() error {
		if !greeted(t, dialFrom(t, "127.0.0.2", s.GRPCAddr)) {
			return errors.New("closed")
		}
		return nil
	})
}

// TestStrangersAreClosedBeforeTheySpeak: doors that answer nobody from beyond
// listen.allow close such connections at once. The log tells why.
func TestStrangersAreClosedBeforeTheySpeak(t *testing.T) {
	secret := secretFile(t, doorSecret)
	s := servertest.Start(t, servertest.Options{Config: measured + "listen: {allow: [127.0.0.1/32], console: '127.0.0.1:0', forward_auth: '127.0.0.1:0', auth_policy: '127.0.0.1:0', auth_policy_secret_file: '" + secret + "'}"})
	for name, door := range map[string]string{"listen.forward_auth": s.ForwardAuthURL, "listen.auth_policy": s.AuthPolicyURL,
		"listen.console": s.ConsoleURL, "telemetry.metrics_addr": s.MetricsURL} {
		u, err := url.Parse(door)
		if err != nil {
			t.Fatal(err)
		}
		conn := dialFrom(t, "127.0.0.9", u.Host)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if want := `"msg":"connection refused","door":"` + name + `","peer":"127.0.0.9","error":"caller is not allowed to do this: the address is not in listen.allow"`; !strings.Contains(s.Log.String(), want) {
			t.Errorf("%s: not in the log: %s", name, want)
		}
	}
	if got := seriesOf(scrape(t, s))[`watchword_defence_total{defence="access",outcome="mitigated"}`]; got != "4" {
		t.Errorf("the metrics tell of %q, want 4", got)
	}
	eventually(t, "the event log tells of it", 20*time.Second, func() error {
		code, body := s.Post("/v1/events:list", `{"type":"access.denied"}`)
		if code != 200 || strings.Count(body, `"127.0.0.9"`) != 4 {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

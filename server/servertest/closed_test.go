// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/servertest"
)

// badKeys are texts that must open nothing, by what is wrong with them. The
// key that is revoked and the one that is of the wrong scope are real.
func badKeys(t *testing.T, s *servertest.Server) map[string]string {
	ctx := t.Context()
	gone, revoked, err := s.Client.CreateKey(ctx, client.NewKey{Name: "gone", Scopes: identity.Scopes[:1]})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Client.RevokeKey(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	_, elsewhere, err := s.Client.CreateKey(ctx, client.NewKey{Name: "elsewhere", Scopes: identity.Scopes[:1], Networks: []string{"198.51.100.0/24"}})
	if err != nil {
		t.Fatal(err)
	}
	last := s.Key[len(s.Key)-1:]
	other := "a"
	if last == other {
		other = "b"
	}
	return map[string]string{
		"none":            "",
		"no scheme":       s.Key,
		"basic":           "Basic " + s.Key,
		"empty":           "Bearer ",
		"random":          "Bearer hunter2",
		"upper case":      "Bearer " + strings.ToUpper(s.Key),
		"trailing space":  "Bearer " + s.Key + " x",
		"last char":       "Bearer " + s.Key[:len(s.Key)-1] + other,
		"cut":             "Bearer " + s.Key[:len(s.Key)-1],
		"id only":         "Bearer " + s.Key[:20],
		"revoked":         "Bearer " + revoked,
		"another network": "Bearer " + elsewhere,
		"NUL":             "Bearer " + s.Key[:10] + "%00" + s.Key[10:],
	}
}

func dial(t testing.TB, s *servertest.Server) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(s.GRPCAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// call calls a method of any kind with an empty request and gives the code.
func call(ctx context.Context, conn *grpc.ClientConn, method, authorization string) codes.Code {
	if authorization != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	st, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err == nil {
		err = st.SendMsg(&emptypb.Empty{})
	}
	if err == nil {
		_ = st.CloseSend()
		err = st.RecvMsg(&emptypb.Empty{})
	} else if st != nil {
		err = st.RecvMsg(&emptypb.Empty{})
	}
	return status.Code(err)
}

func TestEveryMethodRefusesWithoutAKey(t *testing.T) {
	s := servertest.New(t)
	conn := dial(t, s)
	bad := badKeys(t, s)
	methods := s.Methods()
	if len(methods) < 50 {
		t.Fatalf("only %d methods are registered", len(methods))
	}
	methods["/watchword.v1.PasswordService/NoSuchMethod"] = ""
	methods["/no.such.Service/Method"] = ""
	refused := 0
	for m := range methods {
		for why, key := range bad {
			got := call(t.Context(), conn, m, key)
			if got != codes.Unauthenticated && (why != "another network" || got != codes.PermissionDenied) {
				t.Errorf("%s with key %q: %v, want Unauthenticated", m, why, got)
			}
		}
		refused++
	}
	t.Logf("%d methods refuse without a key, each in %d ways", refused, len(bad))
}

func TestEveryMethodNeedsItsScope(t *testing.T) {
	s := servertest.New(t)
	conn := dial(t, s)
	for m, scope := range s.Methods() {
		var others []string
		for _, sc := range []string{"password.check", "breach.query"} {
			if sc != scope {
				others = append(others, sc)
			}
		}
		_, secret, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "other", Scopes: others})
		if err != nil {
			t.Fatal(err)
		}
		if got := call(t.Context(), conn, m, "Bearer "+secret); got != codes.PermissionDenied {
			t.Errorf("%s without scope %s: %v, want PermissionDenied", m, scope, got)
		}
		if got := call(t.Context(), conn, m, "Bearer "+s.Key); got == codes.PermissionDenied || got == codes.Unauthenticated {
			t.Errorf("%s with the owner's key: %v", m, got)
		}
	}
}

func TestEveryRouteRefusesWithoutAKey(t *testing.T) {
	s := servertest.New(t)
	bad := badKeys(t, s)
	routes := s.Routes()
	if len(routes) < 50 {
		t.Fatalf("only %d routes are registered", len(routes))
	}
	for _, path := range []string{"/", "/openapi.json", "/range/21BD1", "/metrics", "/debug/pprof/", "/debug/vars", "/v1/", "/v2/passwords:check",
		"/watchword.v1.PasswordService/CheckPassword", "/healthz/x", "/admin", "/.env", "/swagger", "/actuator", "/v1/passwords:check/"} {
		routes[path] = ""
	}
	for path := range routes {
		for why, key := range bad {
			for _, body := range []string{`{}`, `{"password": 12`, ``} {
				req, _ := http.NewRequest(http.MethodPost, s.URL+path, strings.NewReader(body))
				req.Header.Set("Content-Type", "application/json")
				if key != "" {
					req.Header.Set("Authorization", key)
				}
				// None of these may lend anything.
				req.Header.Set("Grpc-Metadata-Authorization", "Bearer "+s.Key)
				req.Header.Set("X-Forwarded-For", "127.0.0.1")
				req.Header.Set("X-Real-Ip", "127.0.0.1")
				req.Header.Set("Forwarded", "for=127.0.0.1")
				if code, _, _ := s.Do(req); code != http.StatusUnauthorized && (why != "another network" || code != http.StatusForbidden) {
					t.Errorf("POST %s with key %q and body %q: %d, want 401", path, why, body, code)
				}
			}
		}
	}
	t.Logf("%d routes refuse without a key, each in %d ways", len(s.Routes()), len(bad))
}

func TestWithAKeyUnknownPathsAreNotFound(t *testing.T) {
	s := servertest.New(t)
	for _, path := range []string{"/", "/v1/nothing:here", "/metrics", "/v1/passwords:check/"} {
		if code, body := s.Post(path, `{}`); code != http.StatusNotFound {
			t.Errorf("POST %s: %d %s, want 404", path, code, body)
		}
	}
	req, _ := http.NewRequest(http.MethodGet, s.URL+"/v1/passwords:check", nil)
	req.Header.Set("Authorization", "Bearer "+s.Key)
	if code, h, _ := s.Do(req); code != http.StatusMethodNotAllowed || h.Get("Allow") != "POST" {
		t.Errorf("GET of a route: %d, Allow %q", code, h.Get("Allow"))
	}
	// The contract is no method, and has a scope all the same.
	_, narrow, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "narrow", Scopes: []string{"password.check"}})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{s.Key: http.StatusOK, narrow: http.StatusForbidden} {
		req, _ := http.NewRequest(http.MethodGet, s.URL+"/openapi.json", nil)
		req.Header.Set("Authorization", "Bearer "+key)
		if code, _, body := s.Do(req); code != want || strings.Contains(body, "swagger") != (want == http.StatusOK) {
			t.Errorf("GET /openapi.json: %d, want %d", code, want)
		}
	}
}

func TestForeignHostsAndOriginsAreRefused(t *testing.T) {
	s := servertest.New(t)
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{"", "", 200}, {"localhost:8443", "", 200}, {"[::1]:1", "", 200}, {"127.0.0.1", "", 200},
		{"evil.example", "", 403}, {"127.0.0.1.nip.io", "", 403}, {"203.0.113.4", "", 403}, {"localhost.evil.example", "", 403},
		{"", "https://evil.example", 403}, {"", "null", 403}, {"", "http://localhost", 403},
	} {
		req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/passwords:check", strings.NewReader(`{"password":"tangled lantern orbit 7 walrus"}`))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+s.Key)
		if c.host != "" {
			req.Host = c.host
		}
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		code, h, body := s.Do(req)
		if code != c.want {
			t.Errorf("Host %q Origin %q: %d, want %d: %s", c.host, c.origin, code, c.want, body)
		}
		if h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("Host %q Origin %q: a CORS header was sent", c.host, c.origin)
		}
		if h.Get("Cache-Control") != "no-store" {
			t.Errorf("Cache-Control = %q, want no-store", h.Get("Cache-Control"))
		}
	}
}

// TestCORS lets a page of a configured origin call as browsers do, and no other.
func TestCORS(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: "listen: {cors_origins: ['https://forms.example']}"})
	ask := func(method, origin string) (int, http.Header) {
		req, _ := http.NewRequest(method, s.URL+"/v1/passwords:check", strings.NewReader(`{"password":"tangled lantern orbit 7 walrus"}`))
		req.Header.Set("Origin", origin)
		if method == http.MethodOptions {
			req.Header.Set("Access-Control-Request-Method", "POST")
			req.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		} else {
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+s.Key)
		}
		code, h, _ := s.Do(req)
		return code, h
	}
	for _, c := range []struct {
		method, origin string
		want           int
	}{
		{http.MethodOptions, "https://forms.example", 204}, {http.MethodPost, "https://forms.example", 200},
		{http.MethodOptions, "https://evil.example", 403}, {http.MethodPost, "https://evil.example", 403},
		{http.MethodOptions, "http://forms.example", 403}, {http.MethodOptions, "https://forms.example.evil.example", 403},
	} {
		code, h := ask(c.method, c.origin)
		allowed := ""
		if c.want < 300 {
			allowed = c.origin
		}
		if code != c.want || h.Get("Access-Control-Allow-Origin") != allowed || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s from %s: %d, allowed to %q", c.method, c.origin, code, h.Get("Access-Control-Allow-Origin"))
		}
		if code == 204 && (!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST")) {
			t.Errorf("the preflight allows %q with %q", h.Get("Access-Control-Allow-Methods"), h.Get("Access-Control-Allow-Headers"))
		}
	}
}

// TestSilentConnectionsEnd connects and then says nothing, or one byte of a
// header at a time: neither holds a connection for long.
func TestSilentConnectionsEnd(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	for _, c := range []struct{ name, addr, say, drip string }{
		{"REST, silent after a line", strings.TrimPrefix(s.URL, "http://"), "GET /healthz HTTP/1.1\r\n", ""},
		{"REST, dripping", strings.TrimPrefix(s.URL, "http://"), "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "a"},
		{"gRPC, silent", s.GRPCAddr, "", ""},
		{"gRPC, half a preface", s.GRPCAddr, "PRI * HTTP/2.0\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", c.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, c.say)
			ended := make(chan struct{})
			go func() { defer close(ended); _, _ = io.Copy(io.Discard, conn) }()
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for deadline := time.After(20 * time.Second); ; {
				select {
				case <-ended:
					return
				case <-deadline:
					t.Fatal("the connection is still open after 20 s")
				case <-tick.C:
					fmt.Fprint(conn, c.drip)
				}
			}
		})
	}
}

func TestLivenessNeedsNoKey(t *testing.T) {
	s := servertest.New(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		req, _ := http.NewRequest(http.MethodGet, s.URL+path, nil)
		if code, _, body := s.Do(req); code != 200 || body != `{"status":"SERVING"}` {
			t.Errorf("GET %s: %d %s", path, code, body)
		}
	}
	if got := call(t.Context(), dial(t, s), "/grpc.health.v1.Health/Check", ""); got != codes.OK {
		t.Errorf("grpc.health.v1: %v", got)
	}
}

func TestAllowListJudgesTheSocket(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: "listen: {allow: [198.51.100.0/24]}"})
	req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/passwords:check", strings.NewReader(`{}`))
	req.Header.Set("Authorization", "Bearer "+s.Key)
	req.Header.Set("X-Forwarded-For", "198.51.100.7")
	if code, _, body := s.Do(req); code != http.StatusForbidden {
		t.Errorf("from outside listen.allow: %d %s, want 403", code, body)
	}
	if got := call(t.Context(), dial(t, s), "/watchword.v1.PasswordService/CheckPassword", "Bearer "+s.Key); got != codes.PermissionDenied {
		t.Errorf("from outside listen.allow: %v, want PermissionDenied", got)
	}
}

// TestLogTellsWhyRefused: operators learn from the log what a refusal was for;
// who was refused learns nothing.
func TestLogTellsWhyRefused(t *testing.T) {
	s := servertest.New(t)
	_, narrow, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "narrow", Scopes: []string{"breach.query"}})
	if err != nil {
		t.Fatal(err)
	}
	_, away, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "away", Scopes: []string{"password.check"}, Networks: []string{"198.51.100.0/24"}})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := servertest.Start(t, servertest.Options{Config: "listen: {allow: [198.51.100.0/24]}"})
	for _, c := range []struct {
		at                *servertest.Server
		key, host, origin string
		why               string
	}{
		{s, s.Key, "passwords.example", "", "listen.hosts"},
		{s, s.Key, "", "https://forms.example", "listen.cors_origins"},
		{s, narrow, "", "", "scope"},
		{s, away, "", "", "networks of the key"},
		{elsewhere, elsewhere.Key, "", "", "listen.allow"},
	} {
		if strings.Contains(c.at.Log.String(), c.why) {
			t.Errorf("%s: in the log too early", c.why)
		}
		req, _ := http.NewRequest(http.MethodPost, c.at.URL+"/v1/passwords:check", strings.NewReader(`{"password":"x"}`))
		req.Header.Set("Authorization", "Bearer "+c.key)
		req.Header.Set("Content-Type", "application/json")
		if c.host != "" {
			req.Host = c.host
		}
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		code, _, body := c.at.Do(req)
		if code != http.StatusForbidden || strings.Contains(body, c.why) {
			t.Errorf("%s: %d %s, want 403 without the cause", c.why, code, body)
		}
		if log := c.at.Log.String(); !strings.Contains(log, c.why) || c.host != "" && strings.Contains(log, c.host) {
			t.Errorf("the log does not tell of %s, or tells more:\n%s", c.why, log)
		}
	}
}

// TestWhatNoMethodAnswersLeavesItsTraces: requests that get to no method of the
// contract are in the log and in the metrics as calls are, and take the
// caller's quota where calls do.
func TestWhatNoMethodAnswersLeavesItsTraces(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: measured})
	limited := servertest.Start(t, servertest.Options{Config: "limits: {per_key_rps: 0.001}"})
	ask := func(s *servertest.Server, method, url string) int {
		req, _ := http.NewRequest(method, url, nil)
		req.Header.Set("Authorization", "Bearer "+s.Key)
		code, _, _ := s.Do(req)
		return code
	}
	for _, c := range []struct {
		method, url string
		want        int
		name, code  string // in the log
	}{
		{http.MethodGet, s.URL + "/v1/passwords:check", 405, "/watchword.v1.PasswordService/CheckPassword", "Unimplemented"},
		{http.MethodPost, s.URL + "/openapi.json", 405, "REST", "Unimplemented"},
		{http.MethodPost, s.URL + "/readyz", 405, "REST", "Unimplemented"},
		{http.MethodDelete, s.URL + "/range/21BD1", 405, "REST", "Unimplemented"},
		{http.MethodPut, s.MetricsURL, 405, "REST", "Unimplemented"},
		{http.MethodGet, s.URL + "/openapi.json", 200, "REST", "OK"},
		{http.MethodGet, s.URL + "/range/no", 400, "/watchword.v1.BreachService/GetRange", "InvalidArgument"},
	} {
		before := len(s.Log.String())
		if got := ask(s, c.method, c.url); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.url, got, c.want)
		}
		log, code := s.Log.String()[before:], `"code":"`+c.code+`"`
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, `"method":"`+c.name+`"`) || !strings.Contains(log, code) {
			t.Errorf("%s %s: the log tells %q, want one line with %s and %s", c.method, c.url, log, c.name, code)
		}
	}
	got := seriesOf(scrape(t, s))
	for series, want := range map[string]string{
		`watchword_requests_total{code="Unimplemented",method="REST"}`:                          "4",
		`watchword_requests_total{code="OK",method="REST"}`:                                     "1",
		`watchword_requests_total{code="Unimplemented",method="PasswordService/CheckPassword"}`: "1",
		`watchword_requests_total{code="InvalidArgument",method="BreachService/GetRange"}`:      "1",
	} {
		if got[series] != want {
			t.Errorf("%s = %q, want %s", series, got[series], want)
		}
	}
	for i, want := range []int{200, 429} {
		if got := ask(limited, http.MethodGet, limited.URL+"/openapi.json"); got != want {
			t.Errorf("/openapi.json, call %d of a quota of one: %d, want %d", i+1, got, want)
		}
	}
	if got := ask(limited, http.MethodGet, limited.URL+"/range/no"); got != 429 {
		t.Errorf("a malformed range beyond the quota: %d, want 429", got)
	}
}

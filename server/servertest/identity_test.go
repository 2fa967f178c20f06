// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// TestKeysMintNoMoreThanTheyHold creates keys with keys.
func TestKeysMintNoMoreThanTheyHold(t *testing.T) {
	t.Parallel()
	s, clock := still(t, "tenants: [{name: acme}]")
	mint := func(key string, q *watchwordv1.CreateKeyRequest) (string, codes.Code) {
		t.Helper()
		if q.Name == "" {
			q.Name = "k"
		}
		r, err := watchwordv1.NewAdminServiceClient(dial(t, s)).CreateKey(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key), q)
		return r.GetSecret(), status.Code(err)
	}
	must := func(key string, q *watchwordv1.CreateKeyRequest) string {
		t.Helper()
		secret, code := mint(key, q)
		if code != codes.OK {
			t.Fatalf("CreateKey %v: %v", q, code)
		}
		return secret
	}
	admin := must(s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"key.admin", "password.check"}})
	system := must(s.Key, &watchwordv1.CreateKeyRequest{Preset: "system-admin"})
	hers := must(s.Key, &watchwordv1.CreateKeyRequest{Tenant: "acme", Preset: "system-admin"})
	security := must(s.Key, &watchwordv1.CreateKeyRequest{Preset: "security-admin"})
	tomorrow := timestamppb.New(clock.now().Add(24 * time.Hour))
	brief := must(s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"key.admin", "password.check"}, ExpireTime: tomorrow})
	near := must(s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"key.admin", "password.check"}, Networks: []string{"127.0.0.0/8", "2001:db8::/32"}})
	later := timestamppb.New(clock.now().Add(25 * time.Hour))
	for name, c := range map[string]struct {
		by   string
		q    *watchwordv1.CreateKeyRequest
		want codes.Code
	}{
		"an end after its own":          {brief, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, ExpireTime: later}, codes.PermissionDenied},
		"its own end":                   {brief, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, ExpireTime: tomorrow}, codes.OK},
		"a network within its own":      {near, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, Networks: []string{"127.0.0.1", "2001:db8:1::/48"}}, codes.OK},
		"its own networks":              {near, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, Networks: []string{"127.0.0.0/8", "2001:db8::/32"}}, codes.OK},
		"a wider network":               {near, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, Networks: []string{"2001::/16"}}, codes.PermissionDenied},
		"a wider one that begins alike": {near, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, Networks: []string{"2001:db8::/31"}}, codes.PermissionDenied},
		"another network":               {near, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, Networks: []string{"127.0.0.1", "10.0.0.0/8"}}, codes.PermissionDenied},
		"any network, by a key of some": {near, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, Networks: []string{"0.0.0.0/0"}}, codes.PermissionDenied},
		"its own scope":                 {admin, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}}, codes.OK},
		"a scope that it lacks":         {admin, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.hash"}}, codes.PermissionDenied},
		"one among its own":             {admin, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check", "password.hash"}}, codes.PermissionDenied},
		"a preset that it lacks":        {admin, &watchwordv1.CreateKeyRequest{Preset: "system-admin"}, codes.PermissionDenied},
		"another tenant's":              {admin, &watchwordv1.CreateKeyRequest{Tenant: "acme", Scopes: []string{"password.check"}}, codes.PermissionDenied},
		"its own role":                  {system, &watchwordv1.CreateKeyRequest{Preset: "system-admin"}, codes.OK},
		"a tenant's, by the system":     {system, &watchwordv1.CreateKeyRequest{Tenant: "acme", Preset: "system-admin"}, codes.OK},
		"the other role":                {system, &watchwordv1.CreateKeyRequest{Preset: "security-admin"}, codes.PermissionDenied},
		"the role that audits":          {system, &watchwordv1.CreateKeyRequest{Preset: "audit-admin"}, codes.PermissionDenied},
		"the system's, by a tenant":     {hers, &watchwordv1.CreateKeyRequest{Tenant: "default", Preset: "system-admin"}, codes.PermissionDenied},
		"a key, by security":            {security, &watchwordv1.CreateKeyRequest{Scopes: []string{"policy.read"}}, codes.PermissionDenied},
		"an owner":                      {s.Key, &watchwordv1.CreateKeyRequest{Preset: "owner"}, codes.InvalidArgument},
		"two roles in one":              {s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"audit.run", "system.read"}}, codes.InvalidArgument},
		"a role and a preset":           {s.Key, &watchwordv1.CreateKeyRequest{Preset: "audit-admin", Scopes: []string{"audit.run"}}, codes.InvalidArgument},
		"no scope":                      {s.Key, &watchwordv1.CreateKeyRequest{}, codes.InvalidArgument},
		"every scope":                   {s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"*"}}, codes.InvalidArgument},
		"a scope in another case":       {s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"Password.check"}}, codes.InvalidArgument},
		"a mapped network":              {s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, Networks: []string{"::ffff:10.0.0.0/104"}}, codes.InvalidArgument},
		"a network that is none":        {s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, Networks: []string{"10.0.0.0/33"}}, codes.InvalidArgument},
		"an end that has passed":        {s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, ExpireTime: timestamppb.New(clock.now().Add(-time.Second))}, codes.InvalidArgument},
		"an end that is no time":        {s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, ExpireTime: &timestamppb.Timestamp{Seconds: 1 << 60}}, codes.InvalidArgument},
		"a tenant that is a path":       {s.Key, &watchwordv1.CreateKeyRequest{Tenant: "../acme", Scopes: []string{"password.check"}}, codes.InvalidArgument},
		"a name of two lines":           {s.Key, &watchwordv1.CreateKeyRequest{Name: "a\nb", Scopes: []string{"password.check"}}, codes.InvalidArgument},
	} {
		if _, got := mint(c.by, c.q); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}

	// What a new key leaves open it takes from its maker.
	for _, by := range []string{brief, near} {
		r, err := watchwordv1.NewAdminServiceClient(dial(t, s)).CreateKey(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+by),
			&watchwordv1.CreateKeyRequest{Name: "k", Scopes: []string{"password.check"}})
		if err != nil || (by == brief) != r.GetKey().GetExpireTime().AsTime().Equal(tomorrow.AsTime().Truncate(time.Nanosecond)) || (by == near) != (len(r.GetKey().GetNetworks()) == 2) {
			t.Errorf("a key that leaves all open: %v, %v", r.GetKey(), err)
		}
	}

	// Who runs a tenant sees and revokes its keys and no others.
	boss := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+hers)
	keys := watchwordv1.NewAdminServiceClient(dial(t, s))
	one := must(hers, &watchwordv1.CreateKeyRequest{Scopes: []string{"system.read"}})
	if list, err := keys.ListKeys(boss, &watchwordv1.ListKeysRequest{}); err != nil || !slices.ContainsFunc(list.GetKeys(), func(k *watchwordv1.Key) bool { return k.GetId() == one[3:19] }) ||
		slices.ContainsFunc(list.GetKeys(), func(k *watchwordv1.Key) bool { return k.GetTenant() != "acme" }) {
		t.Errorf("the keys of a tenant: %v, %v", list.GetKeys(), err)
	}
	for _, c := range []struct {
		key  string
		want codes.Code
	}{{admin, codes.NotFound}, {one, codes.OK}} {
		if _, err := keys.RevokeKey(boss, &watchwordv1.RevokeKeyRequest{Id: c.key[3:19]}); status.Code(err) != c.want {
			t.Errorf("revoking as a tenant: %v, want %v", err, c.want)
		}
	}

	// A key ends by itself, by its hour, and by being revoked.
	ask := func(key string) codes.Code {
		return call(context.WithoutCancel(t.Context()), dial(t, s), "/watchword.v1.PasswordService/CheckPassword", "Bearer "+key)
	}
	short := must(s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, ExpireTime: tomorrow})
	elsewhere := must(s.Key, &watchwordv1.CreateKeyRequest{Scopes: []string{"password.check"}, Networks: []string{"198.51.100.0/24", "::1/128"}})
	if got := ask(short); got != welcome {
		t.Errorf("before the end: %v", got)
	}
	if got := ask(elsewhere); got != refused {
		t.Errorf("from another network: %v", got)
	}
	clock.advance(24*time.Hour - time.Second)
	if got := ask(short); got != welcome {
		t.Errorf("just before the end: %v", got)
	}
	clock.advance(2 * time.Second)
	if got := ask(short); got != unknown {
		t.Errorf("after the end: %v", got)
	}
	if got := ask(admin); got != welcome {
		t.Errorf("another key: %v", got)
	}
	if err := s.Client.RevokeKey(t.Context(), admin[3:19]); err != nil {
		t.Fatal(err)
	}
	if got := ask(admin); got != unknown {
		t.Errorf("a revoked key: %v", got)
	}
	list, err := s.Client.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	revoked := 0
	for _, k := range list {
		if !k.Revoked.IsZero() {
			revoked++
		}
		if strings.Contains(fmt.Sprintf("%+v", k), short[20:]) {
			t.Error("a list of keys holds a secret")
		}
	}
	if revoked != 2 {
		t.Errorf("%d keys are listed as revoked, want 2", revoked)
	}
}

// TestConcurrencyOfACaller: one caller's calls under way are bounded, and no other
// caller's with them.
func TestConcurrencyOfACaller(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Config: "limits: {per_key_concurrency: 2}"})
	_, other, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "other", Scopes: []string{"password.check"}})
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, s)
	check := func(key string) codes.Code {
		return call(t.Context(), conn, "/watchword.v1.PasswordService/CheckPassword", "Bearer "+key)
	}
	var end []context.CancelFunc
	for range 2 {
		ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(within(t, 30*time.Second), "authorization", "Bearer "+s.Key))
		end = append(end, cancel)
		watch, err := watchwordv1.NewLoginThrottleServiceClient(conn).WatchSignals(ctx, &watchwordv1.WatchSignalsRequest{})
		if err == nil {
			_, err = watch.Header()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := check(s.Key); got != codes.ResourceExhausted {
		t.Errorf("a third call: %v, want %v", got, codes.ResourceExhausted)
	}
	if got := check(other); got != welcome {
		t.Errorf("another caller: %v", got)
	}
	end[0]()
	eventually(t, "a call after one has ended", 10*time.Second, func() error {
		if got := check(s.Key); got != welcome {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	end[1]()
}

// TestMetadataLendsNothing: neither metadata nor headers make anybody of a
// caller who has no key, or put one elsewhere.
func TestMetadataLendsNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Config: "tenants: [{name: acme}]"})
	_, elsewhere, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "elsewhere", Scopes: []string{"policy.read"}, Networks: []string{"198.51.100.0/24"}})
	if err != nil {
		t.Fatal(err)
	}
	good := "Bearer " + s.Key
	wide := func(text string) string { // as full-width letters
		return strings.Map(func(r rune) rune {
			if r > 0x20 && r < 0x7f {
				return r + 0xfee0
			}
			return r
		}, text)
	}
	conn := dial(t, s)
	invoke := func(pairs ...string) codes.Code {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return status.Code(conn.Invoke(metadata.AppendToOutgoingContext(ctx, pairs...), "/watchword.v1.PolicyService/ListPolicies",
			&watchwordv1.ListPoliciesRequest{}, &watchwordv1.ListPoliciesResponse{}))
	}
	for name, c := range map[string]struct {
		pairs []string
		want  codes.Code
	}{
		"the key":                     {[]string{"authorization", good}, codes.OK},
		"another case of the name":    {[]string{"Authorization", good}, codes.OK},
		"twice the same":              {[]string{"authorization", good, "authorization", good}, unknown},
		"the good one first":          {[]string{"authorization", good, "authorization", "Bearer x"}, unknown},
		"the good one last":           {[]string{"authorization", "Bearer x", "Authorization", good}, unknown},
		"an empty one beside":         {[]string{"authorization", "", "authorization", good}, unknown},
		"in binary":                   {[]string{"authorization-bin", good}, unknown},
		"as the gateway passes it on": {[]string{"grpcgateway-authorization", good, "grpc-metadata-authorization", good, "grpcgateway-x-forwarded-for", "127.0.0.1"}, unknown},
		"as a proxy passes it on":     {[]string{"x-forwarded-authorization", good, "x-original-authorization", good, "proxy-authorization", good}, unknown},
		"as a cookie or API key":      {[]string{"cookie", "authorization=" + good, "x-api-key", s.Key, "key", s.Key}, unknown},
		"a name of a certificate":     {[]string{"x-forwarded-client-cert", "Subject=\"CN=owner\"", "x-ssl-client-verify", "SUCCESS", "ssl-client-subject-dn", "CN=owner"}, unknown},
		"the caller's own id":         {[]string{"x-watchword-caller", "local", "caller", "local", "x-user", "owner", "x-remote-user", "owner"}, unknown},
		"a small scheme":              {[]string{"authorization", "bearer " + s.Key}, unknown},
		"a long one":                  {[]string{"authorization", good + strings.Repeat("a", 12<<10)}, unknown},
		"many points":                 {[]string{"authorization", "Bearer " + strings.Repeat(".", 12<<10)}, unknown},
		"elsewhere":                   {[]string{"authorization", "Bearer " + elsewhere}, refused},
		"elsewhere, by a header": {[]string{"authorization", "Bearer " + elsewhere, "x-forwarded-for", "198.51.100.7", "forwarded", "for=198.51.100.7",
			"x-real-ip", "198.51.100.7", "true-client-ip", "198.51.100.7", "x-envoy-external-address", "198.51.100.7", "grpcgateway-x-forwarded-for", "198.51.100.7"}, refused},
	} {
		if got := invoke(c.pairs...); got != c.want {
			t.Errorf("gRPC, %s: %v, want %v", name, got, c.want)
		}
	}
	// More than the bound ends the call, and nothing else.
	if got := invoke("authorization", good, "pad", strings.Repeat("a", 64<<10)); got == codes.OK {
		t.Error("64 KiB of metadata were taken")
	}
	if got := invoke("authorization", good); got != codes.OK {
		t.Errorf("after too much metadata: %v", got)
	}

	// The same over REST, byte by byte.
	raw := func(request string) int {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%.80q: %v", request, err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	with := func(lines ...string) string {
		return "POST /v1/policies:list HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n{}"
	}
	for name, c := range map[string]struct {
		request string
		want    int
	}{
		"the key":                      {with("Authorization: " + good), 200},
		"another case of the name":     {with("aUTHORIZATION: " + good), 200},
		"spaces around":                {with("Authorization:   " + good + "  "), 200}, // RFC 9110 §5.5: not part of it
		"nothing":                      {with(), 401},
		"full-width letters":           {with("Authorization: Bearer " + wide(s.Key)), 401},
		"a full-width scheme":          {with("Authorization: " + wide("Bearer") + " " + s.Key), 401},
		"a zero-width joint":           {with("Authorization: " + good[:20] + "\u200d" + good[20:]), 401},
		"a Kelvin sign":                {with("Authorization: " + strings.Replace(good, "k", "\u212a", 1) + "\u212a"), 401},
		"no UTF-8":                     {with("Authorization: " + good[:20] + "\xff" + good[21:]), 401},
		"twice the same":               {with("Authorization: "+good, "Authorization: "+good), 401},
		"the good one first":           {with("Authorization: "+good, "authorization: Bearer x"), 401},
		"the good one last":            {with("Authorization: Bearer x", "authorization: "+good), 401},
		"in one line":                  {with("Authorization: Bearer x, " + good), 401},
		"an underline":                 {with("Authorization_: "+good, "Author_ization: "+good), 401},
		"a space before the colon":     {with("Authorization : " + good), 400},
		"folded":                       {with("Authorization: Bearer", " "+s.Key), 200}, // RFC 9112 §5.2: a space
		"a NUL":                        {with("Authorization: " + good + "\x00"), 400},
		"a bare return":                {with("X: y\rAuthorization: " + good), 400},
		"as the gateway reads it":      {with("Grpc-Metadata-Authorization: "+good, "Grpcgateway-Authorization: "+good, "Grpc-Timeout: 1S"), 401},
		"as proxies say it":            {with("X-Forwarded-Authorization: "+good, "Proxy-Authorization: "+good, "X-Original-URL: /healthz", "X-Rewrite-URL: /healthz", "X-HTTP-Method-Override: GET"), 401},
		"elsewhere":                    {with("Authorization: Bearer "+elsewhere, "X-Forwarded-For: 198.51.100.7", "X-Real-Ip: 198.51.100.7", "Forwarded: for=198.51.100.7", "Grpc-Metadata-X-Forwarded-For: 198.51.100.7"), 403},
		"a foreign host":               {strings.Replace(with("Authorization: "+good), "Host: localhost", "Host: evil.example", 1), 403},
		"a host with a user":           {strings.Replace(with("Authorization: "+good), "Host: localhost", "Host: localhost@evil.example", 1), 400},
		"two hosts":                    {strings.Replace(with("Authorization: "+good), "Host: localhost", "Host: localhost\r\nHost: evil.example", 1), 400},
		"a host in the request line":   {strings.Replace(with("Authorization: "+good), "POST /", "POST http://evil.example/", 1), 403},
		"a forwarded host":             {strings.Replace(with("Authorization: "+good, "X-Forwarded-Host: localhost"), "Host: localhost", "Host: evil.example", 1), 403},
		"a foreign origin":             {with("Authorization: "+good, "Origin: https://evil.example"), 403},
		"two lengths":                  {with("Authorization: "+good, "Content-Length: 3"), 400},
		"a key behind the body":        {"POST /v1/policies:list HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: " + good + "\r\n\r\n", 401},
		"a path with a dot":            {strings.Replace(with(), "/v1/", "/healthz/../v1/", 1), 401},
		"a path with two slashes":      {strings.Replace(with(), "/v1/", "//v1/", 1), 401},
		"an encoded path":              {strings.Replace(with(), "/v1/policies:list", "/healthz%2f..%2fv1%2fpolicies:list", 1), 401},
		"a key in the query":           {strings.Replace(with(), ":list", ":list?authorization=Bearer%20"+s.Key+"&access_token="+s.Key, 1), 401},
		"a key in the address":         {strings.Replace(with(), "POST /", "POST http://"+s.Key+"@localhost/", 1), 401},
		"a header beyond the bound":    {with("Authorization: "+good, "X: "+strings.Repeat("a", 32<<10)), 431},
		"a method that net/http knows": {strings.Replace(with("Authorization: "+good), "POST", "PRI", 1), 405},
	} {
		if got := raw(c.request); got != c.want {
			t.Errorf("REST, %s: %d, want %d", name, got, c.want)
		}
	}
	// Nothing of what was tried is in the log, and every caller is where it is.
	if log := s.Log.String(); strings.Contains(log, s.Key[20:]) || strings.Contains(log, "198.51.100.7") || strings.Contains(log, "evil.example") {
		t.Error("the log holds a key, or an address or host that somebody only said")
	}
}

// TestStreamsEndWithTheirKey: a stream that is open when its key is revoked, or
// its token ends, ends within five seconds and takes nothing more.
func TestStreamsEndWithTheirKey(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	var clock throttleClock
	s := servertest.Start(t, servertest.Options{Config: i.config(""), Now: clock.now})
	scopes := []string{"throttle.admin", "credential.write"}
	key, secret, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "k", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	health, err := healthpb.NewHealthClient(dial(t, s)).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	watched := make(chan error, 1)
	go func() {
		for {
			if _, err := health.Recv(); err != nil {
				watched <- err
				return
			}
		}
	}()
	token := i.claims(clock.now()).with("scope", strings.Join(scopes, " ")).token()
	for name, c := range map[string]struct {
		bearer string
		end    func()
	}{
		"a token": {token, func() { clock.step(11 * time.Minute) }},
		"a key": {secret, func() {
			if err := s.Client.RevokeKey(t.Context(), key.ID); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		ctx := metadata.AppendToOutgoingContext(within(t, 30*time.Second), "authorization", "Bearer "+c.bearer)
		signals, err := watchwordv1.NewLoginThrottleServiceClient(dial(t, s)).WatchSignals(ctx, &watchwordv1.WatchSignalsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signals.Header(); err != nil {
			t.Fatal(err)
		}
		rows, err := watchwordv1.NewCredentialServiceClient(dial(t, s)).ImportCredentials(ctx)
		if err != nil {
			t.Fatal(err)
		}
		row := func(subject string) error {
			err := rows.Send(&watchwordv1.ImportCredentialsRequest{Subject: subject, Phc: hashOf(t, s, plain)})
			if err != nil && !errors.Is(err, io.EOF) { // which says that the stream has ended; Recv says why
				return err
			}
			_, err = rows.Recv()
			return err
		}
		if err := row("before " + name); err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequestWithContext(within(t, 30*time.Second), http.MethodPost, s.URL+"/v1/throttle:watch", strings.NewReader("{}"))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+c.bearer)
		over := make(chan string, 1)
		go func() { // its head comes with the first signal, or with the end
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				over <- err.Error()
				return
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			over <- resp.Status + " " + string(b)
		}()
		begin := time.Now()
		c.end()
		if _, err := signals.Recv(); status.Code(err) != unknown {
			t.Errorf("%s: the watch ends with %v", name, err)
		}
		if got := <-over; !strings.Contains(got, "DENIED") {
			t.Errorf("%s: the watch over REST ends with %s", name, got)
		}
		took := time.Since(begin)
		eventually(t, name+": the import ends", 10*time.Second, func() error {
			if err := row("after " + name); status.Code(err) != unknown {
				return fmt.Errorf("it goes on: %w", err)
			}
			return nil
		})
		t.Logf("%s: streams ended after %v", name, took)
	}
	select {
	case err := <-watched:
		t.Errorf("a watch of the health, which needs no key, ended: %v", err)
	default:
	}
}

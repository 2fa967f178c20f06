// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/watchword-project/watchword/server/servertest"
)

// issuer is an identity provider: discovery and keys over HTTPS, with an
// authority of its own.
type issuer struct {
	*httptest.Server
	ca string

	mu     sync.Mutex
	keys   map[string]crypto.Signer
	broken func(w http.ResponseWriter) // answers instead, when set
	asked  int
}

// The key pairs of the tests, made once.
var pairs = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, err3 := ed25519.GenerateKey(rand.Reader)
	other, err4 := rsa.GenerateKey(rand.Reader, 2048)
	short, err5 := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it must be refused
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			panic(err)
		}
	}
	return map[string]crypto.Signer{"rsa": rsaKey, "ec": ecKey, "ed": edKey, "other": other, "short": short}
})

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{keys: map[string]crypto.Signer{}}
	for _, name := range []string{"rsa", "ec", "ed", "short"} {
		i.keys[name] = pairs()[name]
	}
	i.Server = httptest.NewTLSServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	i.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(i.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	switch {
	case i.broken != nil:
		i.broken(w)
	case r.URL.Path == "/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/jwks")
	case r.URL.Path == "/jwks":
		// A symmetric key and one for encryption stand beside the others, as
		// they do at real issuers.
		set := []any{map[string]string{"kty": "oct", "kid": "shared", "k": base64.RawURLEncoding.EncodeToString([]byte("sixteen bytes 16"))},
			jose.JSONWebKey{Key: pairs()["other"].Public(), KeyID: "enc", Use: "enc"}}
		for name, k := range i.keys {
			set = append(set, jose.JSONWebKey{Key: k.Public(), KeyID: name})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) change(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// config takes this issuer's tokens.
func (i *issuer) config(more string) string {
	return fmt.Sprintf(`auth: {oidc: {issuer: %q, audience: watchword, algorithms: [RS256, PS256, ES256, EdDSA], ca: %q, scope_claim: scope,
  grants: [{claim: groups, value: auditors, preset: audit-admin}, {claim: /realm/roles, value: security, preset: security-admin},
           {claim: org, value: acme, tenant: acme, scopes: [password.check]}]%s}}`, i.URL, i.ca, more)
}

type claims map[string]any

// claims are those of a good token that lets passwords be checked.
func (i *issuer) claims(now time.Time) claims {
	return claims{"iss": i.URL, "aud": "watchword", "sub": "svc-1", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "scope": "openid password.check"}
}

func (c claims) with(name string, v any) claims {
	out := maps.Clone(c)
	out[name] = v
	if v == nil {
		delete(out, name)
	}
	return out
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// mint signs a header and claims as they are, so that any of them can be wrong.
func mint(header, payload string, sign func(input []byte) []byte) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(sign([]byte(input)))
}

// by signs with a pair, by the algorithm that its kind is used with most.
func by(name string) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		switch k := pairs()[name].(type) {
		case *rsa.PrivateKey:
			s, _ := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
			return s
		case *ecdsa.PrivateKey:
			r, s, _ := ecdsa.Sign(rand.Reader, k, sum[:])
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		case ed25519.PrivateKey:
			return ed25519.Sign(k, input)
		}
		panic("no such pair")
	}
}

func pss(input []byte) []byte {
	sum := sha256.Sum256(input)
	s, _ := rsa.SignPSS(rand.Reader, pairs()["rsa"].(*rsa.PrivateKey), crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	return s
}

func hs256(secret []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(input)
		return h.Sum(nil)
	}
}

func (c claims) text() string {
	b, _ := json.Marshal(c)
	return string(b)
}

func (c claims) token() string { return mint(`{"alg":"RS256","kid":"rsa"}`, c.text(), by("rsa")) }

const checkBody = `{"password":"tangled lantern orbit 7 walrus"}`

// present asks for a method through both doors with an authorization, and gives
// the code and both answers whole, but for the request's own id.
func present(t *testing.T, s *servertest.Server, authorization string) (codes.Code, string) {
	t.Helper()
	ctx := t.Context()
	if authorization != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization)
	}
	var header metadata.MD
	err := dial(t, s).Invoke(ctx, "/watchword.v1.PolicyService/ListPolicies", &emptypb.Empty{}, &emptypb.Empty{}, grpc.Header(&header))
	st, merr := protojson.Marshal(status.Convert(err).Proto())
	if merr != nil {
		t.Fatal(merr)
	}
	req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/policies:list", strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	code, h, body := s.Do(req)
	h.Del("Date")
	h.Del("X-Request-Id")
	var compact any
	if json.Unmarshal([]byte(body), &compact) != nil {
		t.Fatalf("not JSON: %s", body)
	}
	rest, _ := json.Marshal(compact)
	return status.Code(err), fmt.Sprintf("%s %v | %d %v %s", spaces.ReplaceAll(st, nil), header, code, h, rest)
}

var spaces = regexp.MustCompile(`\s`)

// may asks for a check of a password through both doors.
func may(t *testing.T, s *servertest.Server, token string) codes.Code {
	t.Helper()
	got := call(t.Context(), dial(t, s), "/watchword.v1.PasswordService/CheckPassword", "Bearer "+token)
	req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/passwords:check", strings.NewReader(checkBody))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	code, _, body := s.Do(req)
	// The empty request that call sends is malformed, for those who may ask.
	if want := map[codes.Code]int{codes.InvalidArgument: 200, codes.PermissionDenied: 403, codes.Unauthenticated: 401}[got]; code != want {
		t.Errorf("gRPC says %v, REST %d %s", got, code, body)
	}
	return got
}

const (
	welcome = codes.InvalidArgument // of an empty request, by who may ask
	unknown = codes.Unauthenticated
	refused = codes.PermissionDenied
)

func TestTokensThroughBothDoors(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.Start(t, servertest.Options{Config: i.config("") + "\ntenants: [{name: acme}]"})
	now := time.Now()
	good := i.claims(now)
	for name, c := range map[string]struct {
		token string
		want  codes.Code
	}{
		"RS256":                 {good.token(), welcome},
		"PS256":                 {mint(`{"alg":"PS256","kid":"rsa"}`, good.text(), pss), welcome},
		"ES256":                 {mint(`{"alg":"ES256","kid":"ec","typ":"at+jwt"}`, good.text(), by("ec")), welcome},
		"EdDSA":                 {mint(`{"alg":"EdDSA","kid":"ed","typ":"JWT"}`, good.text(), by("ed")), welcome},
		"several audiences":     {good.with("aud", []string{"other", "watchword"}).token(), welcome},
		"scopes as a list":      {good.with("scope", []string{"password.check"}).token(), welcome},
		"scopes of others":      {good.with("scope", "openid profile").token(), refused},
		"another scope":         {good.with("scope", "breach.query").token(), refused},
		"no claim":              {good.with("scope", nil).token(), refused},
		"a scope in capitals":   {good.with("scope", "PASSWORD.CHECK").token(), refused},
		"scopes as an object":   {good.with("scope", map[string]string{"password.check": "password.check"}).token(), refused},
		"a list with a number":  {good.with("scope", []any{"password.check", 1}).token(), refused},
		"a grant":               {good.with("scope", nil).with("org", "acme").token(), welcome},
		"another's value":       {good.with("scope", nil).with("org", "acme2").token(), refused},
		"a value among words":   {good.with("scope", nil).with("org", "not acme").token(), refused},
		"issued just ahead":     {good.with("iat", now.Add(20*time.Second).Unix()).token(), welcome},
		"ended within leeway":   {good.with("iat", now.Add(-time.Minute).Unix()).with("exp", now.Add(-10*time.Second).Unix()).token(), welcome},
		"begins now":            {good.with("nbf", now.Unix()).token(), welcome},
		"times with a fraction": {mint(`{"alg":"RS256","kid":"rsa"}`, strings.Replace(good.text(), `"exp":`, `"nbf":1.5,"exp":`, 1), by("rsa")), welcome},
	} {
		if got := may(t, s, c.token); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}

	// A preset by a list, and by a pointer into the claims.
	auditor := good.with("scope", nil).with("groups", []string{"staff", "auditors"}).token()
	conn := dial(t, s)
	if got := call(t.Context(), conn, "/watchword.v1.AdminService/ListEvents", "Bearer "+auditor); got != codes.OK {
		t.Errorf("an auditor who lists events: %v", got)
	}
	if got := call(t.Context(), conn, "/watchword.v1.PolicyService/ListPolicies", "Bearer "+auditor); got != refused {
		t.Errorf("an auditor who lists policies: %v", got)
	}
	nested := good.with("scope", nil).with("realm", map[string]any{"roles": []string{"security"}})
	if got := call(t.Context(), conn, "/watchword.v1.PolicyService/ListPolicies", "Bearer "+nested.token()); got != codes.OK {
		t.Errorf("a security administrator who lists policies: %v", got)
	}
	// Roles do not come together, neither do tenants.
	for name, token := range map[string]string{
		"two roles":         nested.with("groups", "auditors").token(),
		"a role by a scope": good.with("scope", "system.admin").with("groups", "auditors").token(),
		"two tenants":       good.with("org", "acme").token(),
	} {
		if got := may(t, s, token); got != unknown {
			t.Errorf("%s: %v, want %v", name, got, unknown)
		}
	}

	// A tenant's words are its own.
	writer := good.with("scope", "policy.write policy.read").with("sub", "writer").token()
	req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/words:add", strings.NewReader(`{"words":["harmless"]}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+writer)
	if code, _, body := s.Do(req); code != http.StatusOK {
		t.Fatalf("words:add with a token: %d %s", code, body)
	}
	recorded(t, s, "oidc.keys OK")
	found := false
	for _, e := range posted(t, s, "/v1/events:list", `{"type":"words.add"}`)["events"].([]any) {
		found = found || e.(map[string]any)["actor"] == "oidc:writer"
	}
	if !found {
		t.Error("no event names the token's subject")
	}
	s.Stop()
	b, err := os.ReadFile(filepath.Join(s.DataDir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range append(strings.Split(writer, "."), strings.Split(auditor, ".")[1:]...) {
		if part != b64([]byte(`{"alg":"RS256","kid":"rsa"}`)) && (strings.Contains(s.Log.String(), part) || strings.Contains(string(b), part)) {
			t.Errorf("a part of a token is in a log: %s", part)
		}
	}
}

// TestReadmeTokens takes tokens by the README's example.
func TestReadmeTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	text := place(t, readmeExample(t, "tokens"), "https://login.example.org/realms/main", i.URL, "audience: watchword", "audience: watchword\n    ca: "+i.ca)
	s := servertest.Start(t, servertest.Options{Config: text})
	good := i.claims(time.Now())
	for name, c := range map[string]struct {
		token string
		want  codes.Code
	}{
		"a scope":     {good.token(), welcome},
		"a grant":     {good.with("scope", nil).with("realm_access", map[string]any{"roles": []string{"x", "acme-signup"}}).token(), welcome},
		"an auditor":  {good.with("scope", nil).with("groups", []string{"auditors"}).token(), refused},
		"two tenants": {good.with("realm_access", map[string]any{"roles": []string{"acme-signup"}}).token(), unknown},
	} {
		if got := may(t, s, c.token); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestHostileTokens: each is refused with the very answer that a caller without
// any key gets, at both doors.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.Start(t, servertest.Options{Config: i.config("")})
	now := time.Now()
	good := i.claims(now).with("scope", "policy.read")
	text := good.text()
	token := good.token()
	parts := strings.Split(token, ".")
	pub := pairs()["rsa"].Public().(*rsa.PublicKey)
	pkix, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	foreign, err := json.Marshal(jose.JSONWebKey{Key: pairs()["other"].Public(), KeyID: "rsa"})
	if err != nil {
		t.Fatal(err)
	}
	none := func([]byte) []byte { return nil }
	rs := func(header, payload string) string { return mint(header, payload, by("rsa")) }
	const head = `{"alg":"RS256","kid":"rsa"}`
	hostile := map[string]string{
		"none":                     mint(`{"alg":"none","kid":"rsa"}`, text, none),
		"none with a signature":    mint(`{"alg":"none","kid":"rsa"}`, text, by("rsa")),
		"None":                     mint(`{"alg":"None","kid":"rsa"}`, text, by("rsa")),
		"no algorithm":             rs(`{"kid":"rsa"}`, text),
		"HS256 with the PEM":       mint(`{"alg":"HS256","kid":"rsa"}`, text, hs256(asPEM)),
		"HS256 with the DER":       mint(`{"alg":"HS256","kid":"rsa"}`, text, hs256(pkix)),
		"HS256 with the modulus":   mint(`{"alg":"HS256","kid":"rsa"}`, text, hs256(pub.N.Bytes())),
		"HS256, shared key":        mint(`{"alg":"HS256","kid":"shared"}`, text, hs256([]byte("sixteen bytes 16"))),
		"RS512 is not pinned":      rs(`{"alg":"RS512","kid":"rsa"}`, text),
		"algorithm of another key": rs(`{"alg":"ES256","kid":"rsa"}`, text),
		"ES256 under the RSA name": mint(`{"alg":"ES256","kid":"rsa"}`, text, by("ec")),
		"RS256 called PS256":       rs(`{"alg":"PS256","kid":"rsa"}`, text),
		"lower-case algorithm":     rs(`{"alg":"rs256","kid":"rsa"}`, text),
		"algorithm twice":          rs(`{"alg":"none","alg":"RS256","kid":"rsa"}`, text),
		"ES256 of zeros":           mint(`{"alg":"ES256","kid":"ec"}`, text, func([]byte) []byte { return make([]byte, 64) }),
		"a key nobody knows":       mint(`{"alg":"RS256","kid":"other"}`, text, by("other")),
		"the wrong name":           mint(`{"alg":"RS256","kid":"ec"}`, text, by("rsa")),
		"no name of a key":         rs(`{"alg":"RS256"}`, text),
		"a name that is a number":  rs(`{"alg":"RS256","kid":0}`, text),
		"a path as name":           mint(`{"alg":"HS256","kid":"../../../../dev/null"}`, text, hs256(nil)),
		"the key for encryption":   mint(`{"alg":"RS256","kid":"enc"}`, text, by("other")),
		"a short key":              mint(`{"alg":"RS256","kid":"short"}`, text, by("short")),
		"own key inside":           mint(`{"alg":"RS256","kid":"rsa","jwk":`+string(foreign)+`}`, text, by("other")),
		"own key at a URL":         mint(`{"alg":"RS256","kid":"rsa","jku":"`+i.URL+`/jwks"}`, text, by("other")),
		"own certificate at a URL": mint(`{"alg":"RS256","kid":"rsa","x5u":"`+i.URL+`/jwks"}`, text, by("other")),
		"crit":                     rs(`{"alg":"RS256","kid":"rsa","crit":["exp"],"exp":1}`, text),
		"crit, empty":              rs(`{"alg":"RS256","kid":"rsa","crit":[]}`, text),
		"b64":                      rs(`{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}`, text),
		"zip":                      rs(`{"alg":"RS256","kid":"rsa","zip":"DEF"}`, text),
		"another kind of token":    rs(`{"alg":"RS256","kid":"rsa","typ":"logout+jwt"}`, text),
		"a kind that is a list":    rs(`{"alg":"RS256","kid":"rsa","typ":["JWT"]}`, text),
		"another issuer":           rs(head, good.with("iss", "https://evil.example").text()),
		"issuer with a slash":      rs(head, good.with("iss", i.URL+"/").text()),
		"issuer in a list":         rs(head, good.with("iss", []string{i.URL}).text()),
		"no issuer":                rs(head, good.with("iss", nil).text()),
		"another audience":         rs(head, good.with("aud", "watchword2").text()),
		"audience in capitals":     rs(head, good.with("aud", "Watchword").text()),
		"no audience":              rs(head, good.with("aud", nil).text()),
		"audience as an object":    rs(head, good.with("aud", map[string]bool{"watchword": true}).text()),
		"expired":                  rs(head, good.with("iat", now.Add(-time.Hour).Unix()).with("exp", now.Add(-time.Minute).Unix()).text()),
		"no end":                   rs(head, good.with("exp", nil).text()),
		"an end that is text":      rs(head, good.with("exp", "9999999999").text()),
		"an end beyond numbers":    rs(head, strings.Replace(text, `"exp":`, `"exp":1e400,"was":`, 1)),
		"a negative end":           rs(head, good.with("exp", -1).text()),
		"not yet":                  rs(head, good.with("nbf", now.Add(time.Minute).Unix()).text()),
		"a beginning as text":      rs(head, good.with("nbf", "0").text()),
		"issued tomorrow":          rs(head, good.with("iat", now.Add(24*time.Hour).Unix()).with("exp", now.Add(24*time.Hour+time.Minute).Unix()).text()),
		"not issued":               rs(head, good.with("iat", nil).text()),
		"good for a day":           rs(head, good.with("exp", now.Add(24*time.Hour).Unix()).text()),
		"no subject":               rs(head, good.with("sub", nil).text()),
		"subject with a line end":  rs(head, good.with("sub", "a\nb").text()),
		"subject turned round":     rs(head, good.with("sub", "a\u202eb").text()),
		"subject without end":      rs(head, good.with("sub", strings.Repeat("a", 256)).text()),
		"a claim twice":            rs(head, strings.Replace(text, `"aud":`, `"aud":"x","aud":`, 1)),
		"something behind":         rs(head, text+"{}"),
		"claims in a list":         rs(head, "["+text+"]"),
		"no UTF-8":                 rs(head, strings.Replace(text, "svc-1", "svc-\xff", 1)),
		"nested without end":       rs(head, strings.Repeat("[", 4000)),
		"no claims":                rs(head, ""),
		"changed claims":           parts[0] + "." + b64([]byte(good.with("scope", "system.admin").text())) + "." + parts[2],
		"without its signature":    parts[0] + "." + parts[1] + ".",
		"two parts":                parts[0] + "." + parts[1],
		"four parts":               token + "." + parts[2],
		"five parts":               token + ".a.b",
		"padding":                  token + "==",
		"a line end":               strings.Replace(token, ".", "%0A.", 1),
		"another last bit":         token[:len(token)-1] + otherBit(token[len(token)-1]),
		"base64 of the other kind": strings.NewReplacer("-", "+", "_", "/").Replace(token) + "/",
		"JSON form":                `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"a long header":            rs(`{"alg":"RS256","kid":"rsa","pad":"`+strings.Repeat("a", 3000)+`"}`, text),
		"too long":                 rs(head, good.with("pad", strings.Repeat("a", 8000)).text()),
		"a thousand points":        strings.Repeat(".", 1000),
		"like a key":               "ww_" + token,
	}
	if len(hostile) < 25 {
		t.Fatalf("only %d tokens", len(hostile))
	}
	code, want := present(t, s, "")
	if code != codes.Unauthenticated {
		t.Fatalf("without a key: %v", code)
	}
	for name, tok := range hostile {
		if _, got := present(t, s, "Bearer "+tok); got != want {
			t.Errorf("%s:\n%s, want\n%s", name, got, want)
		}
	}
	for name, authorization := range map[string]string{"Basic": "Basic " + token, "small scheme": "bearer " + token, "a space more": "Bearer  " + token,
		"a space behind": "Bearer " + token + " x", "two tokens": "Bearer " + token + ", Bearer " + token} {
		if _, got := present(t, s, authorization); got != want {
			t.Errorf("%s:\n%s, want\n%s", name, got, want)
		}
	}
	if code, answer := present(t, s, "Bearer "+token); code != codes.OK {
		t.Errorf("the good token: %s", answer)
	}
	t.Logf("%d hostile tokens are refused at both doors as a missing key is", len(hostile))
}

// otherBit gives a character of base64 that differs in the lowest bit, which a
// signature of 256 bytes leaves unused.
func otherBit(c byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(digits[strings.IndexByte(digits, c)^1])
}

// TestRotatedTokenKeys: a new key is good at its first token, and one that the
// issuer took away is not any more after the time that auth.oidc.refresh says.
func TestRotatedTokenKeys(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.Start(t, servertest.Options{Config: i.config(", refresh: 1s")})
	good := i.claims(time.Now())
	later := mint(`{"alg":"RS256","kid":"later"}`, good.text(), by("other"))
	if got := may(t, s, good.token()); got != welcome {
		t.Fatalf("before: %v", got)
	}
	i.change(func() { i.keys["later"] = pairs()["other"] })
	if got := may(t, s, later); got != welcome {
		t.Errorf("the first token of a new key: %v", got)
	}
	i.change(func() { delete(i.keys, "rsa") })
	// One second to the next look, and what two fetches may take.
	took := eventually(t, "the removed key stops", time.Second+10*time.Second, func() error {
		if got := call(t.Context(), dial(t, s), "/watchword.v1.PasswordService/CheckPassword", "Bearer "+good.token()); got != unknown {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
	t.Logf("a removed key stopped after %v", took)
	if got := may(t, s, later); got != welcome {
		t.Errorf("the other key: %v", got)
	}
	// The same name with another pair is another key.
	i.change(func() { i.keys["later"] = pairs()["rsa"] })
	eventually(t, "the replaced key stops", 11*time.Second, func() error {
		if got := call(t.Context(), dial(t, s), "/watchword.v1.PasswordService/CheckPassword", "Bearer "+later); got != unknown {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
	// An issuer without keys is an issuer whose tokens are not taken.
	i.change(func() { clear(i.keys) })
	ec := mint(`{"alg":"ES256","kid":"ec"}`, good.text(), by("ec"))
	eventually(t, "no key at all", 11*time.Second, func() error {
		if got := call(t.Context(), dial(t, s), "/watchword.v1.PasswordService/CheckPassword", "Bearer "+ec); got != unknown {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// TestFailingIssuer: tokens of keys that were good stay good for the stated time
// and no longer, and nothing opens. API keys do not care.
func TestFailingIssuer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	clock := &throttleClock{}
	s := servertest.Start(t, servertest.Options{Config: i.config(", refresh: 1s, keep: 30m"), Now: clock.now})
	fresh := func() claims { return i.claims(clock.now()) }
	i.change(func() { i.broken = func(w http.ResponseWriter) { w.WriteHeader(500) } })
	recorded(t, s, "oidc.keys FAILED")
	if b, _ := json.Marshal(posted(t, s, "/v1/exposure:get", `{}`)); !strings.Contains(string(b), "oidc.unreachable") {
		t.Errorf("the exposure does not tell of the issuer: %s", b)
	}
	if got := may(t, s, fresh().token()); got != welcome {
		t.Errorf("a token of a known key: %v", got)
	}
	if got := may(t, s, mint(`{"alg":"RS256","kid":"evil"}`, fresh().text(), by("other"))); got != unknown {
		t.Errorf("a token of an unknown key: %v", got)
	}
	clock.step(31 * time.Minute)
	if got := may(t, s, fresh().token()); got != unknown {
		t.Errorf("a token after the keys were kept for their time: %v", got)
	}
	if code, body := s.Post("/v1/passwords:check", checkBody); code != http.StatusOK {
		t.Errorf("an API key beside a failing issuer: %d %s", code, body)
	}
	i.change(func() { i.broken = nil })
	eventually(t, "the issuer is back", 20*time.Second, func() error {
		if got := call(t.Context(), dial(t, s), "/watchword.v1.PasswordService/CheckPassword", "Bearer "+fresh().token()); got != welcome {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// TestStartBesideAFailingIssuer: the server starts closed to tokens, and opens
// to them when the issuer answers.
func TestStartBesideAFailingIssuer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.broken = func(w http.ResponseWriter) { w.WriteHeader(503) }
	s := servertest.Start(t, servertest.Options{Config: i.config("")})
	good := i.claims(time.Now())
	if got := may(t, s, good.token()); got != unknown {
		t.Errorf("a token without keys: %v", got)
	}
	i.change(func() { i.broken = nil })
	eventually(t, "the issuer is read", 20*time.Second, func() error {
		if got := call(t.Context(), dial(t, s), "/watchword.v1.PasswordService/CheckPassword", "Bearer "+good.token()); got != welcome {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})

	// Keys in a file need no issuer; a file that is not there is a mistake.
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: pairs()["ed"].Public(), KeyID: "ed", Algorithm: "EdDSA"}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	config := fmt.Sprintf("auth: {oidc: {issuer: offline, audience: watchword, algorithms: [EdDSA], scope_claim: scope, jwks_file: %q}}", path)
	if _, err := servertest.TryStart(t, servertest.Options{Config: config}); err == nil || !strings.Contains(err.Error(), "auth.oidc.jwks_file") {
		t.Errorf("a start without the file: %v", err)
	}
	if err := os.WriteFile(path, set, 0o600); err != nil {
		t.Fatal(err)
	}
	s = servertest.Start(t, servertest.Options{Config: config})
	offline := mint(`{"alg":"EdDSA","kid":"ed"}`, good.with("iss", "offline").text(), by("ed"))
	if got := may(t, s, offline); got != welcome {
		t.Errorf("a token of a key in a file: %v", got)
	}
	if err := os.WriteFile(path, []byte(`{"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the emptied file", 11*time.Second, func() error {
		if got := call(t.Context(), dial(t, s), "/watchword.v1.PasswordService/CheckPassword", "Bearer "+offline); got != unknown {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/servertest"
)

// good are requests that succeed, or fail for a reason that is not their
// form. The tests below spoil one field at a time.
var good = map[string]string{
	"PasswordService/CheckPassword": `{"password":"tangled lantern orbit 7 walrus","policy":"nist-800-63b-4","previousPassword":"p","locale":"en",
		"context":{"login":"l","emails":["a@example.org"],"names":["n"],"phones":["1"],"birthDate":"1990-01-02","words":["w"]}}`,
	"PasswordService/HashPassword": `{"password":"p"}`,
	"PasswordService/VerifyHash":   `{"password":"p","phc":"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
	"CredentialService/SetPassword": `{"subject":"bad-input","password":"tangled lantern orbit 7 walrus","locale":"en","policy":"nist-800-63b-4",
		"context":{"login":"l","emails":["e"],"names":["n"],"phones":["1"],"birthDate":"1990-01-02","words":["w"]}}`,
	"CredentialService/VerifyPassword": `{"subject":"s","password":"p","locale":"en","source":{"ip":"192.0.2.1","deviceToken":"d","userAgent":"u"}}`,
	"CredentialService/ChangePassword": `{"subject":"s2","currentPassword":"p","newPassword":"q","locale":"en","policy":"nist-800-63b-4",
		"source":{"ip":"192.0.2.1","deviceToken":"d","userAgent":"u"},
		"context":{"login":"l","emails":["e"],"names":["n"],"phones":["1"],"birthDate":"1990-01-02","words":["w"]}}`,
	"CredentialService/GetCredential":       `{"subject":"s"}`,
	"CredentialService/SetCredentialState":  `{"subject":"s","state":"CREDENTIAL_STATE_ACTIVE"}`,
	"CredentialService/DeleteCredential":    `{"subject":"s"}`,
	"LoginThrottleService/BeginAttempt":     `{"subject":"s3","source":{"ip":"192.0.2.1","deviceToken":"d","userAgent":"u"}}`,
	"LoginThrottleService/ReportAttempt":    `{"subject":"s4","outcome":"OUTCOME_CANCELLED","source":{"ip":"192.0.2.1","deviceToken":"d","userAgent":"u"}}`,
	"LoginThrottleService/CompleteAttempt":  `{"attemptToken":"t","outcome":"OUTCOME_SUCCESS"}`,
	"LoginThrottleService/GetThrottleState": `{"subject":"s"}`,
	"LoginThrottleService/ResetThrottle":    `{"subject":"s"}`,
	"AdminService/CreateKey":                `{"name":"n","tenant":"t","scopes":["password.check"],"networks":["192.0.2.0/24"]}`,
	"AdminService/RevokeKey":                `{"id":"i"}`,
	"AuditService/CreateAudit":              `{"source":"SOURCE_UPLOAD","locale":"en","context":{"words":["w"]}}`,
	"AuditService/GetAudit":                 `{"id":"i"}`,
	"AuditService/CancelAudit":              `{"id":"i"}`,
	"AuditService/ListFindings":             `{"id":"i","pageToken":"1.2"}`,
	"AuditService/GetReport":                `{"id":"i","format":"FORMAT_JSON","locale":"en"}`,
	"AuditService/ApplyRemediation":         `{"id":"i","kinds":["FINDING_KIND_WEAK"],"action":"ACTION_DISABLE"}`,
}

const marker = "QzXmarkerQzX"

// spoils are values that no text field takes. Each holds the marker, which
// must not come back.
var spoils = map[string]string{
	"NUL":          marker + "\x00",
	"line feed":    marker + "\n",
	"escape":       marker + "\x1b[31m",
	"C1 control":   marker + "\u0085",
	"invalid UTF8": marker + "\xff\xfe",
	"surrogate":    marker + "\xed\xa0\x80",
	"1 MiB":        marker + strings.Repeat("x", 1<<20),
	"over a cap":   marker + strings.Repeat("x", 20_000),
}

// textFields gives the paths of all text fields that a request sets.
func textFields(m protoreflect.Message, prefix []protoreflect.FieldDescriptor) [][]protoreflect.FieldDescriptor {
	var out [][]protoreflect.FieldDescriptor
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		path := append(slices.Clone(prefix), fd)
		switch {
		case fd.Kind() == protoreflect.StringKind:
			out = append(out, path)
		case fd.Kind() == protoreflect.MessageKind && !fd.IsList():
			out = append(out, textFields(v.Message(), path)...)
		}
		return true
	})
	return out
}

func pathName(path []protoreflect.FieldDescriptor) string {
	var names []string
	for _, fd := range path {
		names = append(names, fd.JSONName())
	}
	return strings.Join(names, ".")
}

// with sets one field of a copy of a request.
func with(t testing.TB, method, body string, path []protoreflect.FieldDescriptor, value string) *dynamicpb.Message {
	m := request(t, method, body)
	var at protoreflect.Message = m
	for _, fd := range path[:len(path)-1] {
		at = at.Mutable(fd).Message()
	}
	fd := path[len(path)-1]
	if fd.IsList() {
		at.Mutable(fd).List().Append(protoreflect.ValueOfString(value))
	} else {
		at.Set(fd, protoreflect.ValueOfString(value))
	}
	return m
}

func descriptor(t testing.TB, method string) protoreflect.MethodDescriptor {
	t.Helper()
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("watchword.v1." + strings.ReplaceAll(method, "/", ".")))
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.MethodDescriptor)
}

func request(t testing.TB, method, body string) *dynamicpb.Message {
	t.Helper()
	m := dynamicpb.NewMessage(descriptor(t, method).Input())
	if err := protojson.Unmarshal([]byte(body), m); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return m
}

func routeOf(t testing.TB, s *servertest.Server, method string) string {
	t.Helper()
	for path, m := range s.Routes() {
		if m == "/watchword.v1."+method {
			return path
		}
	}
	t.Fatalf("%s has no route", method)
	return ""
}

// encode writes a message without the encoder's own check of UTF-8.
func encode(m protoreflect.Message) []byte {
	var b []byte
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		one := func(v protoreflect.Value) {
			switch fd.Kind() {
			case protoreflect.StringKind:
				b = protowire.AppendString(protowire.AppendTag(b, fd.Number(), protowire.BytesType), v.String())
			case protoreflect.MessageKind:
				b = protowire.AppendBytes(protowire.AppendTag(b, fd.Number(), protowire.BytesType), encode(v.Message()))
			case protoreflect.EnumKind:
				b = protowire.AppendVarint(protowire.AppendTag(b, fd.Number(), protowire.VarintType), uint64(v.Enum()))
			default:
				panic("a field kind that the requests above do not use: " + fd.Kind().String())
			}
		}
		if fd.IsList() {
			for i := range v.List().Len() {
				one(v.List().Get(i))
			}
		} else {
			one(v)
		}
		return true
	})
	return b
}

type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return v.([]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                       { return "proto" }

func TestBadTextIsRefusedInEveryField(t *testing.T) {
	s := servertest.New(t)
	conn := dial(t, s)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.Key)
	fields := 0
	for method, body := range good {
		route := routeOf(t, s, method)
		if code, answer := s.Post(route, body); code >= 500 || code == 401 || code == 403 {
			t.Fatalf("%s: the good request gives %d %s", method, code, answer)
		}
		for _, path := range textFields(request(t, method, body), nil) {
			fields++
			for why, value := range spoils {
				name := fmt.Sprintf("%s %s with %s", method, pathName(path), why)
				m := with(t, method, body, path, value)
				var reply []byte
				err := conn.Invoke(ctx, "/watchword.v1."+method, encode(m), &reply, rawCodec)
				if status.Code(err) != codes.InvalidArgument || strings.Contains(err.Error(), "QzXm") {
					t.Errorf("gRPC %s: %v", name, short(err))
				}
				if slices.Contains([]string{"invalid UTF8", "surrogate"}, why) {
					continue // JSON cannot carry it; the raw bodies below try
				}
				j, jerr := protojson.Marshal(m)
				if jerr != nil {
					t.Fatal(jerr)
				}
				code, answer := s.Post(route, string(j))
				if code != http.StatusBadRequest || strings.Contains(answer, "QzXm") || !strings.Contains(answer, "INVALID_ARGUMENT") && !strings.Contains(answer, `"code":3`) {
					t.Errorf("REST %s: %d %.200s", name, code, answer)
				}
			}
		}
	}
	t.Logf("%d text fields, each with %d bad values over two transports", fields, len(spoils))
	if strings.Contains(s.Log.String(), "QzXm") {
		t.Error("a bad value is in the log")
	}
}

func short(err error) string {
	return fmt.Sprintf("%.200v", err)
}

// TestRequiredTextMustNotBeEmpty leaves out what a request cannot do without.
func TestRequiredTextMustNotBeEmpty(t *testing.T) {
	s := servertest.New(t)
	for method, fields := range map[string][]string{
		"PasswordService/CheckPassword":         {"password"},
		"PasswordService/HashPassword":          {"password"},
		"PasswordService/VerifyHash":            {"password", "phc"},
		"CredentialService/SetPassword":         {"subject", "password"},
		"CredentialService/VerifyPassword":      {"subject", "password"},
		"CredentialService/ChangePassword":      {"subject", "currentPassword", "newPassword"},
		"CredentialService/GetCredential":       {"subject"},
		"CredentialService/SetCredentialState":  {"subject", "state"},
		"CredentialService/DeleteCredential":    {"subject"},
		"LoginThrottleService/BeginAttempt":     {"subject"},
		"LoginThrottleService/CompleteAttempt":  {"attemptToken", "outcome"},
		"LoginThrottleService/ReportAttempt":    {"subject", "outcome"},
		"LoginThrottleService/GetThrottleState": {"subject"},
		"LoginThrottleService/ResetThrottle":    {"subject"},
		"AdminService/CreateKey":                {"name", "scopes"},
		"AdminService/RevokeKey":                {"id"},
		"AuditService/CreateAudit":              {"source"},
		"AuditService/GetAudit":                 {"id"},
		"AuditService/CancelAudit":              {"id"},
		"AuditService/ListFindings":             {"id"},
		"AuditService/GetReport":                {"id", "format"},
		"AuditService/ApplyRemediation":         {"id", "kinds", "action"},
	} {
		for _, f := range fields {
			var m map[string]any
			if err := json.Unmarshal([]byte(good[method]), &m); err != nil {
				t.Fatal(err)
			}
			delete(m, f)
			b, _ := json.Marshal(m)
			if code, answer := s.Post(routeOf(t, s, method), string(b)); code != http.StatusBadRequest {
				t.Errorf("%s without %s: %d %s", method, f, code, answer)
			}
		}
	}
}

func TestMalformedBodies(t *testing.T) {
	s := servertest.New(t)
	canary := `"Kanarienvogel-7731"`
	cases := map[string]string{
		"empty":                  "",
		"blank":                  "  \n",
		"null":                   "null",
		"array":                  `[` + canary + `]`,
		"string":                 canary,
		"number":                 "12",
		"cut":                    `{"password":` + canary,
		"unquoted":               `{"password": Kanarienvogel-7731}`,
		"wrong type number":      `{"password": 77317731}`,
		"wrong type object":      `{"password": {"x":` + canary + `}}`,
		"wrong type list":        `{"password": [` + canary + `]}`,
		"bool":                   `{"password": true}`,
		"unknown field":          `{"password":` + canary + `,"Kanarienvogel-7731":1}`,
		"misspelt field":         `{"pasword":` + canary + `}`,
		"upper-case field":       `{"PASSWORD":` + canary + `}`,
		"long s in field":        `{"pa` + "\u017f\u017f" + `word":` + canary + `}`,
		"duplicate field":        `{"password":` + canary + `,"password":` + canary + `}`,
		"duplicate in another":   `{"password":"x","previousPassword":` + canary + `,"previous_password":` + canary + `}`,
		"trailing object":        `{"password":` + canary + `}{"password":` + canary + `}`,
		"trailing text":          `{"password":` + canary + `} Kanarienvogel-7731`,
		"lone surrogate":         `{"password":"Kanarienvogel-7731\ud800"}`,
		"bad UTF-8":              "{\"password\":\"Kanarienvogel-7731\xff\"}",
		"bad escape":             `{"password":"Kanarienvogel-7731\q"}`,
		"comment":                `{/* Kanarienvogel-7731 */"password":` + canary + `}`,
		"unknown enum":           `{"password":` + canary + `,"use":"Kanarienvogel-7731"}`,
		"enum number":            `{"password":` + canary + `,"use":7731}`,
		"deep nesting":           strings.Repeat(`{"context":`, 20_000) + canary + strings.Repeat("}", 20_000),
		"deep unknown nesting":   `{"password":` + canary + `,"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}",
		"over the cap":           `{"password":"` + strings.Repeat("Kanarienvogel-7731", 1<<16) + `"}`,
		"bad birth date":         `{"password":` + canary + `,"context":{"birthDate":"Kanarienvogel-7731"}}`,
		"too many context words": `{"password":` + canary + `,"context":{"words":[` + strings.TrimSuffix(strings.Repeat(`"Kanarienvogel-7731",`, 10_001), ",") + `]}}`,
	}
	for name, body := range cases {
		for _, route := range []string{"/v1/passwords:check", "/v1/credentials:verify", "/v1/credentials:set"} {
			code, answer := s.Post(route, body)
			if code != http.StatusBadRequest || !strings.Contains(answer, `MALFORMED_REQUEST`) && !strings.Contains(answer, "PASSWORD_TOO_LARGE") {
				t.Errorf("%s with %s: %d %.300s", route, name, code, answer)
			}
			if strings.Contains(answer, "Kanarien") || strings.Contains(answer, "7731") {
				t.Errorf("%s with %s: the answer repeats what was sent: %.300s", route, name, answer)
			}
		}
	}
	for body, want := range map[string]string{
		`{"pasword":"x"}`:       "line 1, column 2 of the body: this request has no such field",
		"{\n \"password\": 12}": "line 2, column 14 of the body: not what belongs there",
		`{"password":"x","context":{"names":["a"],"n":1}}`: "line 1, column 42 of the body: this request has no such field",
		`{"password":"x"`: "the body is not JSON",
	} {
		if _, answer := s.Post("/v1/passwords:check", body); !strings.Contains(answer, `"`+want+`"`) {
			t.Errorf("%s: %s, want %s", body, answer, want)
		}
	}
	if log := s.Log.String(); strings.Contains(log, "Kanarien") || strings.Contains(log, "77317731") {
		t.Error("the log repeats what was sent")
	}
	if code, answer := s.Post("/v1/passwords:check", `{"password":"tangled lantern orbit 7 walrus"}`); code != http.StatusOK {
		t.Errorf("after all that: %d %s", code, answer)
	}
}

// TestMalformedRequestsAreCalls: what cannot be read counts as a call of the
// key that sent it, at both doors.
func TestMalformedRequestsAreCalls(t *testing.T) {
	for door, send := range map[string]func(t *testing.T, s *servertest.Server) codes.Code{
		"gRPC": func(t *testing.T, s *servertest.Server) codes.Code {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.Key)
			return status.Code(dial(t, s).Invoke(ctx, "/watchword.v1.PasswordService/CheckPassword", []byte("\xff"), new([]byte), rawCodec))
		},
		"REST": func(t *testing.T, s *servertest.Server) codes.Code {
			var answer struct{ Code codes.Code }
			if _, body := s.Post("/v1/passwords:check", "{"); json.Unmarshal([]byte(body), &answer) != nil {
				t.Errorf("REST answers %s", body)
			}
			return answer.Code
		},
	} {
		s := servertest.Start(t, servertest.Options{Config: "limits: {per_key_rps: 0.001}"})
		for _, want := range []codes.Code{codes.InvalidArgument, codes.ResourceExhausted} {
			if got := send(t, s); got != want {
				t.Errorf("%s: %v, want %v", door, got, want)
			}
		}
		if n := strings.Count(s.Log.String(), `"method":"/watchword.v1.PasswordService/CheckPassword"`); n != 2 {
			t.Errorf("%s: %d lines in the log, want 2", door, n)
		}
	}
}

func TestWrongContentTypes(t *testing.T) {
	s := servertest.New(t)
	for _, c := range []struct {
		path, content, encoding string
		want                    int
	}{
		{"/v1/passwords:check", "application/json", "", 200},
		{"/v1/passwords:check", "application/json; charset=UTF-8", "", 200},
		{"/v1/passwords:check", "", "", 400},
		{"/v1/passwords:check", "text/plain", "", 400},
		{"/v1/passwords:check", "application/x-www-form-urlencoded", "", 400},
		{"/v1/passwords:check", "application/x-ndjson", "", 400},
		{"/v1/passwords:check", "application/json; charset=utf-16", "", 400},
		{"/v1/passwords:check", "application/json", "gzip", 400},
		{"/v1/passwords:batchCheck", "application/x-ndjson", "", 200},
		{"/v1/passwords:batchCheck", "application/json", "", 200},
		{"/v1/passwords:batchCheck", "text/plain", "", 400},
	} {
		req, _ := http.NewRequest(http.MethodPost, s.URL+c.path, strings.NewReader(`{"password":"tangled lantern orbit 7 walrus"}`))
		req.Header.Set("Authorization", "Bearer "+s.Key)
		if c.content != "" {
			req.Header.Set("Content-Type", c.content)
		}
		if c.encoding != "" {
			req.Header.Set("Content-Encoding", c.encoding)
		}
		if code, _, body := s.Do(req); code != c.want {
			t.Errorf("%s as %q %q: %d, want %d: %s", c.path, c.content, c.encoding, code, c.want, body)
		}
	}
}

// TestDecomposedTextIsOneText: what looks alike is taken for the same, and is
// no fault.
func TestDecomposedTextIsOneText(t *testing.T) {
	s := servertest.New(t)
	ctx := t.Context()
	if _, err := s.Client.Set(ctx, "Rene\u0301", "caf\u0065\u0301 lantern orbit 7 walrus", noOptions); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"Ren\u00e9", "rene\u0301", " REN\u00c9 ", "\uff52\uff45\uff4e\u00e9"} {
		login, err := s.Client.Verify(ctx, subject, "caf\u00e9 lantern orbit 7 walrus", fromSomewhere)
		if err != nil || !login.Match {
			t.Errorf("Verify(%q) = %v, %v, want a match", subject, login.Match, err)
		}
	}
}

// BenchmarkBadText states how long the answer to a bad value takes, in the worst
// field of the worst method over REST: worst-ms is the median over the rounds,
// beside the same for a health check, ready-ms.
func BenchmarkBadText(b *testing.B) {
	s := servertest.New(b)
	type call struct{ route, body string }
	var calls []call
	for method, body := range good {
		for _, path := range textFields(request(b, method, body), nil) {
			for why, value := range spoils {
				if j, err := protojson.Marshal(with(b, method, body, path, value)); err == nil && why != "invalid UTF8" && why != "surrogate" {
					calls = append(calls, call{routeOf(b, s, method), string(j)})
				}
			}
		}
	}
	var worst, ready []float64
	for b.Loop() {
		var slowest time.Duration
		for _, c := range calls {
			begin := time.Now()
			if code, _ := s.Post(c.route, c.body); code != http.StatusBadRequest {
				b.Fatalf("%s: %d", c.route, code)
			}
			slowest = max(slowest, time.Since(begin))
		}
		worst = append(worst, slowest.Seconds()*1e3)
		begin := time.Now()
		req, _ := http.NewRequest(http.MethodGet, s.URL+"/readyz", nil)
		s.Do(req)
		ready = append(ready, time.Since(begin).Seconds()*1e3)
	}
	slices.Sort(worst)
	slices.Sort(ready)
	b.ReportMetric(worst[len(worst)/2], "worst-ms")
	b.ReportMetric(ready[len(ready)/2], "ready-ms")
	b.ReportMetric(float64(len(calls)), "requests")
	b.ReportMetric(0, "ns/op")
}

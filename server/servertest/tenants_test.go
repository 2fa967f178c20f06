// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// tenantUnderTest is a tenant and a key of its own for each scope.
type tenantUnderTest struct {
	s    *servertest.Server
	conn *grpc.ClientConn
	keys map[string]string // by scope
	ids  []string          // of the keys
}

func newTenantUnderTest(t *testing.T, s *servertest.Server, name string) *tenantUnderTest {
	t.Helper()
	x := &tenantUnderTest{s: s, conn: dial(t, s), keys: map[string]string{}}
	for _, scope := range s.Methods() {
		if x.keys[scope] != "" {
			continue
		}
		k, secret, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: name + " " + scope, Tenant: name, Scopes: []string{scope}})
		if err != nil {
			t.Fatal(err)
		}
		x.keys[scope], x.ids = secret, append(x.ids, k.ID)
	}
	return x
}

// volatile are the fields that differ from answer to answer by their nature.
var volatile = []string{"attemptToken", "deviceToken", "secret", "id", "createTime", "proof", "phc", "pseudonym", "eventPseudonym", "retryAfter", "eta",
	"passwords", "built", "time", "policyVersion", "value", "events", "passwordAge"}

// ask sends one message to a method of any kind, and gives everything that
// comes back as text: the messages within a moment, then the status.
func (x *tenantUnderTest) ask(t *testing.T, method, body string) (text, stable string) {
	t.Helper()
	service, name, _ := strings.Cut(method[1:], "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		t.Fatal(err)
	}
	m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name))
	q := dynamicpb.NewMessage(m.Input())
	if err := protojson.Unmarshal([]byte(body), q); err != nil {
		t.Fatalf("%s %s: %v", method, body, err)
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+x.keys[x.s.Methods()[method]]), 10*time.Second)
	defer cancel()
	if m.IsStreamingServer() && !m.IsStreamingClient() { // what lasts may last a moment
		ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
	}
	st, err := x.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	_ = st.SendMsg(q)
	_ = st.CloseSend()
	var all, kept []string
	for {
		r := dynamicpb.NewMessage(m.Output())
		if err := st.RecvMsg(r); err != nil {
			end := "OK"
			if !errors.Is(err, io.EOF) {
				b, _ := protojson.Marshal(status.Convert(err).Proto())
				end = string(spaces.ReplaceAll(b, nil))
			}
			return strings.Join(append(all, end), "\n"), strings.Join(append(kept, end), "\n")
		}
		b, err := protojson.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		whole, _ := json.Marshal(v)
		mask(v)
		masked, _ := json.Marshal(v)
		all, kept = append(all, string(whole)), append(kept, string(masked))
	}
}

func mask(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			_, text := v[name].(string)
			if slices.Contains(volatile, name) || name == "version" && text { // of a policy, by its content and name
				v[name] = ""
			}
			mask(v[name])
		}
	case []any:
		for _, e := range v {
			mask(e)
		}
	}
}

// The marks of one tenant's things, which no answer to another may bear.
const (
	herSubject = "alice-of-acme"
	herPolicy  = "policy-of-acme"
	herWord    = "roadrunnerofacme"
	herAddress = "203.0.113.77"
	plain      = "tangled lantern orbit 7 walrus"
)

// pair is two requests that must get one answer: about what another tenant has,
// and about what nobody has.
type pairOfAsks struct{ theirs, nothing string }

// TestEveryMethodKeepsTenantsApart walks the methods of the registry with keys
// of one tenant while another has an object of every sort. What belongs to the
// other is neither read nor changed, and is answered as if it did not exist. A
// method that nobody thought of here fails.
func TestEveryMethodKeepsTenantsApart(t *testing.T) {
	t.Parallel()
	// The clock stands, so that nothing changes by itself.
	s, _ := still(t, "listen: {envoy: true}\ntenants: [{name: acme}, {name: mallory}]")
	hers, his := newTenantUnderTest(t, s, "acme"), newTenantUnderTest(t, s, "mallory")
	on := func(service, method string) string { return "/watchword.v1." + service + "/" + method }
	do := func(x *tenantUnderTest, method, body string) string {
		t.Helper()
		text, _ := x.ask(t, method, body)
		if !strings.HasSuffix(text, "OK") {
			t.Fatalf("%s %s: %s", method, body, text)
		}
		return text
	}
	field := func(text, name string) string {
		t.Helper()
		first, _, _ := strings.Cut(text, "\n")
		var find func(v any) string
		find = func(v any) string {
			m, _ := v.(map[string]any)
			if s, ok := m[name].(string); ok {
				return s
			}
			for _, e := range m {
				if s := find(e); s != "" {
					return s
				}
			}
			return ""
		}
		var v any
		if err := json.Unmarshal([]byte(first), &v); err != nil || find(v) == "" {
			t.Fatalf("no %s in %s", name, text)
		}
		return find(v)
	}

	// One subject of hers for each method, with failures on its counter.
	subjects := map[string]string{}
	for method := range s.Methods() {
		subjects[method] = herSubject + "-" + strings.ToLower(method[strings.LastIndexByte(method, '/')+1:])
	}
	for _, subject := range append(slices.Sorted(maps.Values(subjects)), herSubject) {
		do(hers, on("CredentialService", "SetPassword"), fmt.Sprintf(`{"subject":%q,"password":%q}`, subject, plain))
		for i := range 3 {
			do(hers, on("LoginThrottleService", "ReportAttempt"), fmt.Sprintf(`{"subject":%q,"source":{"ip":%q},"outcome":"OUTCOME_BAD_SECRET","guessTag":"AAA%d"}`, subject, herAddress, i))
		}
	}
	do(hers, on("PolicyService", "AddWords"), `{"words":["`+herWord+`"]}`)
	putPolicy := `{"policy":"` + herPolicy + `","yaml":"version: %d\nextends: nist-800-63b-4\nrules:\n  length: {min: %d, min_mfa: 10}\n"}`
	do(hers, on("PolicyService", "PutPolicy"), fmt.Sprintf(putPolicy, 1, 18))
	do(hers, on("PolicyService", "PutPolicy"), fmt.Sprintf(putPolicy, 2, 19))
	done := field(do(hers, on("AuditService", "CreateAudit"), `{"source":"SOURCE_OWN_STORE","budget":{"cpuSeconds":5,"guessesPerSubject":10},"context":{"words":["`+herWord+`"]}}`), "id")
	open := field(do(hers, on("AuditService", "CreateAudit"), `{"source":"SOURCE_UPLOAD"}`), "id")
	eventually(t, "her audit", time.Minute, func() error {
		if got := do(hers, on("AuditService", "GetAudit"), `{"id":"`+done+`"}`); !strings.Contains(got, "STATE_DONE") {
			return errors.New(got)
		}
		return nil
	})
	token := field(do(hers, on("LoginThrottleService", "BeginAttempt"), fmt.Sprintf(`{"subject":%q}`, herSubject+"-token")), "attemptToken")
	device := field(do(hers, on("CredentialService", "VerifyPassword"), fmt.Sprintf(`{"subject":%q,"password":%q,"source":{}}`, herSubject, plain)), "deviceToken")
	proof := field(do(hers, on("PasswordService", "CheckPassword"), fmt.Sprintf(`{"password":%q}`, plain)), "proof")
	marks := append([]string{herSubject, herPolicy, herWord, herAddress, done, open, token, device, "acme"}, hers.ids...)

	// state is all that she has, as she sees it.
	state := func() string {
		var b strings.Builder
		see := func(method, body string) {
			_, stable := hers.ask(t, method, body)
			fmt.Fprintf(&b, "%s %s\n%s\n", method, body, stable)
		}
		for _, subject := range append(slices.Sorted(maps.Values(subjects)), herSubject, herSubject+"-token") {
			see(on("CredentialService", "GetCredential"), fmt.Sprintf(`{"subject":%q}`, subject))
			see(on("LoginThrottleService", "GetThrottleState"), fmt.Sprintf(`{"subject":%q}`, subject))
		}
		see(on("LoginThrottleService", "GetThrottleState"), `{"ip":"`+herAddress+`"}`)
		see(on("PolicyService", "ListPolicies"), `{}`)
		see(on("PolicyService", "GetPolicy"), `{"policy":"`+herPolicy+`"}`)
		see(on("PolicyService", "ListWords"), `{}`)
		see(on("AdminService", "ListKeys"), `{}`)
		see(on("AdminService", "ListTenants"), `{}`)
		see(on("AuditService", "ListAudits"), `{}`)
		for _, id := range []string{done, open} {
			see(on("AuditService", "GetAudit"), `{"id":"`+id+`"}`)
			see(on("AuditService", "ListFindings"), `{"id":"`+id+`"}`)
		}
		return b.String()
	}

	nobody := "nobody-at-all"
	about := func(form string) func(string) []pairOfAsks { // %[1]q is the subject
		return func(method string) []pairOfAsks {
			return []pairOfAsks{{fmt.Sprintf(form, subjects[method]), fmt.Sprintf(form, nobody+method)}}
		}
	}
	named := func(form, theirs, nothing string) func(string) []pairOfAsks {
		return func(string) []pairOfAsks {
			return []pairOfAsks{{fmt.Sprintf(form, theirs), fmt.Sprintf(form, nothing)}}
		}
	}
	// A question that names nothing: what comes back is searched for her marks.
	whole := func(body string) func(string) []pairOfAsks {
		return func(string) []pairOfAsks { return []pairOfAsks{{body, body}} }
	}
	both := func(fs ...func(string) []pairOfAsks) func(string) []pairOfAsks {
		return func(m string) (out []pairOfAsks) {
			for _, f := range fs {
				out = append(out, f(m)...)
			}
			return out
		}
	}
	const noID = "zzzzzzzzzzzzzzzz"
	audits := func(form string) func(string) []pairOfAsks {
		return both(named(form, done, noID), named(form, open, noID))
	}
	judged := func(form string) func(string) []pairOfAsks { // %[1]s goes behind the password
		return both(named(form, `,"policy":"`+herPolicy+`"`, `,"policy":"no-such-policy"`), named(form, `,"context":{"words":["`+herWord+`"]}`, `,"context":{"words":["other"]}`))
	}
	crossings := map[string]func(method string) []pairOfAsks{
		"AdminService/CreateKey":     named(`{"name":"k","tenant":%q,"scopes":["key.admin"]}`, "acme", "nobody"),
		"AdminService/ListKeys":      whole(`{}`),
		"AdminService/RevokeKey":     named(`{"id":%q}`, hers.ids[0], "aaaaaaaaaaaaaaaa"),
		"AdminService/RotatePepper":  whole(`{}`),
		"AdminService/CreateTenant":  named(`{"name":%q}`, "acme", "nobody"),
		"AdminService/ListTenants":   whole(`{}`),
		"AdminService/ListEvents":    both(whole(`{}`), whole(`{"type":"credential.set"}`), whole(`{"pageToken":"1"}`)),
		"AdminService/VerifyEvents":  whole(`{}`),
		"AdminService/GetExposure":   whole(`{}`),
		"AdminService/GetEvidence":   whole(`{"standard":"mlps-l3"}`),
		"AdminService/ExportSubject": about(`{"subject":%q}`),

		"AuditService/CreateAudit":      named(`{"source":"SOURCE_UPLOAD","previousId":%q}`, done, noID),
		"AuditService/UploadRecords":    audits(`{"auditId":%q,"complete":true}`),
		"AuditService/GetAudit":         audits(`{"id":%q}`),
		"AuditService/ListAudits":       whole(`{}`),
		"AuditService/WatchAudit":       audits(`{"id":%q}`),
		"AuditService/CancelAudit":      audits(`{"id":%q}`),
		"AuditService/ListFindings":     audits(`{"id":%q}`),
		"AuditService/GetReport":        audits(`{"id":%q,"format":"FORMAT_JSON"}`),
		"AuditService/ApplyRemediation": audits(`{"id":%q,"kinds":["FINDING_KIND_WEAK","FINDING_KIND_NO_PEPPER"],"action":"ACTION_DISABLE"}`),

		// Corpora are the installation's; nobody's data is in them.
		"BreachService/GetRange":    whole(`{"prefix":"21BD1","kind":"HASH_KIND_SHA1"}`),
		"BreachService/CheckHashes": whole(`{"kind":"HASH_KIND_SHA1","hashes":["21BD12DC183F740EE76F27B78EB39C8AD972A757"]}`),
		"BreachService/ListCorpora": whole(`{}`),
		// Private lists too.
		"BreachService/GetPrivateList":   whole(`{"version":"abababababababababababababababababababababababababababababababab"}`),
		"BreachService/GetPrivateBucket": whole(`{"version":"abababababababababababababababababababababababababababababababab","bucket":0}`),
		"BreachService/PrivateCheck":     whole(`{"version":"abababababababababababababababababababababababababababababababab","elements":[]}`),

		"CredentialService/SetPassword": both(about(`{"subject":%q,"password":"`+plain+`","ifVersion":0}`),
			named(`{"subject":"proven","password":"`+plain+`","proof":%q}`, proof, "no proof"),
			named(`{"subject":"judged","password":"`+plain+`","policy":%q}`, herPolicy, "no-such-policy")),
		"CredentialService/VerifyPassword": both(about(`{"subject":%q,"password":"`+plain+`","source":{"ip":"198.51.100.1"}}`),
			named(`{"subject":"dev","password":"`+plain+`","source":{"deviceToken":%q}}`, device, "no device")),
		"CredentialService/ChangePassword":     about(`{"subject":%q,"currentPassword":"` + plain + `","newPassword":"another ` + plain + `","source":{}}`),
		"CredentialService/ImportCredentials":  about(`{"subject":%q,"phc":"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","state":"CREDENTIAL_STATE_DISABLED"}`),
		"CredentialService/GetCredential":      about(`{"subject":%q}`),
		"CredentialService/SetCredentialState": about(`{"subject":%q,"state":"CREDENTIAL_STATE_DISABLED"}`),
		"CredentialService/DeleteCredential":   about(`{"subject":%q}`),

		"LoginThrottleService/BeginAttempt":    about(`{"subject":%q,"source":{"ip":"198.51.100.1"}}`),
		"LoginThrottleService/CompleteAttempt": named(`{"attemptToken":%q,"outcome":"OUTCOME_SUCCESS"}`, token, "no token"),
		"LoginThrottleService/ReportAttempt":   about(`{"subject":%q,"outcome":"OUTCOME_BAD_SECRET"}`),
		"LoginThrottleService/GetThrottleState": both(about(`{"subject":%q}`),
			named(`{"ip":%q}`, herAddress, "192.0.2.77")),
		"LoginThrottleService/ResetThrottle": both(about(`{"subject":%q}`), named(`{"ip":%q}`, herAddress, "192.0.2.77")),
		"LoginThrottleService/WatchSignals":  whole(`{}`), // and below

		"PasswordService/CheckPassword":       judged(`{"password":"` + plain + `"%s}`),
		"PasswordService/BatchCheckPasswords": judged(`{"password":"` + plain + `"%s}`),
		"PasswordService/GeneratePassword":    named(`{"kind":"KIND_RANDOM","count":1,"policy":%q}`, herPolicy, "no-such-policy"),
		"PasswordService/HashPassword":        whole(`{"password":"` + plain + `"}`),
		"PasswordService/VerifyHash":          whole(`{"password":"` + plain + `","phc":"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`),

		"PolicyService/ListPolicies":   whole(`{}`),
		"PolicyService/GetPolicy":      named(`{"policy":%q}`, herPolicy, "no-such-policy"),
		"PolicyService/DescribePolicy": named(`{"policy":%q}`, herPolicy, "no-such-policy"),
		"PolicyService/SimulatePolicy": both(named(`{"policy":%q,"passwords":["a"]}`, herPolicy, "no-such-policy"),
			named(`{"yaml":"version: 1\nextends: %s\n","passwords":["a"]}`, herPolicy, "no-such-policy")),
		"PolicyService/GetConformance": named(`{"policy":%q,"standard":"nist-800-63b-4"}`, herPolicy, "no-such-policy"),
		"PolicyService/PutPolicy": both(named(`{"policy":%q,"yaml":"version: 1\nextends: nist-800-63b-4\n"}`, herPolicy, "no-such-policy"),
			named(`{"policy":"mine","yaml":"version: 1\nextends: %s\n"}`, herPolicy+"x", "no-such-policyx")),
		"PolicyService/SetRollout":     named(`{"policy":%q,"percent":100}`, herPolicy+"y", "no-such-policyy"), // both names he has by now
		"PolicyService/RollbackPolicy": named(`{"policy":%q}`, herPolicy+"y", "no-such-policyy"),
		"PolicyService/ListWords":      whole(`{}`),
		"PolicyService/AddWords":       whole(`{"words":["harmless"]}`),
		"PolicyService/RemoveWords":    named(`{"words":[%q]}`, herWord, "nosuchword"),
		"PolicyService/ClearWords":     whole(`{}`),
	}
	// What is no method of the contract knows no tenants, except Envoy's.
	foreign := []string{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
		"/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"}

	signals, err := watchwordv1.NewLoginThrottleServiceClient(his.conn).WatchSignals(
		metadata.AppendToOutgoingContext(within(t, 60*time.Second), "authorization", "Bearer "+his.keys["throttle.admin"]), &watchwordv1.WatchSignalsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signals.Header(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "her login in the record", 15*time.Second, func() error { // it is noted behind the login
		if got := do(hers, on("CredentialService", "GetCredential"), fmt.Sprintf(`{"subject":%q}`, herSubject)); !strings.Contains(got, "lastLoginTime") {
			return errors.New(got)
		}
		return nil
	})
	before := state()
	asked := 0
	// Reads of policies come before he makes one of her name.
	methods := slices.SortedFunc(maps.Keys(s.Methods()), func(a, b string) int {
		late := func(m string) int {
			if strings.HasSuffix(m, "/PutPolicy") {
				return 1
			}
			return 0
		}
		if d := late(a) - late(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, method := range methods {
		short, own := strings.CutPrefix(method, "/watchword.v1.")
		f := crossings[short]
		if !own && slices.Contains(foreign, method) {
			continue
		}
		if f == nil {
			t.Errorf("nobody thought of what %s could do to another tenant", method)
			continue
		}
		delete(crossings, short)
		for _, p := range f(method) {
			text, theirs := his.ask(t, method, p.theirs)
			for _, m := range marks {
				// His own key of a tenant's name, and his own words in an echo, are his.
				if strings.Contains(text, m) && !strings.Contains(p.theirs, m) {
					t.Errorf("%s %s shows %q:\n%s", method, p.theirs, m, text)
				}
			}
			_, nothing := his.ask(t, method, p.nothing)
			same := strings.NewReplacer(nobody, "…", noID, "…", herSubject, "…", herPolicy, "…", "no-such-policy", "…")
			if a, b := same.Replace(theirs), same.Replace(nothing); p.theirs != p.nothing && a != b {
				t.Errorf("%s tells what she has from what nobody has: to\n%s\nit says\n%s\nto\n%s\n%s", method, p.theirs, a, p.nothing, b)
			}
			asked++
		}
	}
	for short := range crossings {
		t.Errorf("there is no method %s", short)
	}
	envoy := func(x *tenantUnderTest) string {
		text, _ := x.ask(t, foreign[2], `{"domain":"d","descriptors":[{"entries":[{"key":"remote_address","value":"`+herAddress+`"}]}]}`)
		return text
	}
	if got := envoy(his); strings.Contains(got, "OVER_LIMIT") {
		t.Errorf("Envoy's service counts her failures as his: %s", got)
	}
	if after := state(); after != before {
		t.Errorf("what is hers was changed:\n%s\nwas\n%s", diffLines(after, before), diffLines(before, after))
	}

	// An audit of his own store walks his records alone.
	id := field(do(his, on("AuditService", "CreateAudit"), `{"source":"SOURCE_OWN_STORE","budget":{"cpuSeconds":5,"guessesPerSubject":10}}`), "id")
	eventually(t, "his audit", time.Minute, func() error {
		if got := do(his, on("AuditService", "GetAudit"), `{"id":"`+id+`"}`); !strings.Contains(got, "STATE_DONE") {
			return errors.New(got)
		}
		return nil
	})
	var got struct {
		Audit struct{ RecordsTotal int }
	}
	first, _, _ := strings.Cut(do(his, on("AuditService", "GetAudit"), `{"id":"`+id+`"}`), "\n")
	if err := json.Unmarshal([]byte(first), &got); err != nil || got.Audit.RecordsTotal < 1 || got.Audit.RecordsTotal >= len(subjects) {
		t.Errorf("his audit walks %d records (%v); she alone has %d", got.Audit.RecordsTotal, err, len(subjects))
	}
	// Her signals are not his: the first that he sees is his own.
	report := func(x *tenantUnderTest, subject string) {
		for i := range 6 {
			outcome := "OUTCOME_BAD_SECRET"
			if i == 5 {
				outcome = "OUTCOME_SUCCESS"
			}
			do(x, on("LoginThrottleService", "ReportAttempt"), fmt.Sprintf(`{"subject":%q,"outcome":%q}`, subject, outcome))
		}
	}
	report(hers, "signal-of-acme")
	do(his, on("LoginThrottleService", "ReportAttempt"), `{"subject":"his-own","outcome":"OUTCOME_BAD_SECRET"}`)
	report(his, "his-own")
	if sig, err := signals.Recv(); err != nil || sig.GetParams()["failures"] != "6" {
		t.Errorf("the first signal that he sees: %v, %v, want his own after 6 failures", sig, err)
	}
	t.Logf("%d methods keep tenants apart, in %d questions", len(methods), asked)
}

// diffLines gives the lines of a that b has not.
func diffLines(a, b string) string {
	have := strings.Split(b, "\n")
	return strings.Join(slices.DeleteFunc(strings.Split(a, "\n"), func(l string) bool { return slices.Contains(have, l) }), "\n")
}

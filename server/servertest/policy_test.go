// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists"
)

// clock is a time that tests move.
type clock struct{ ahead atomic.Int64 }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (c *clock) now() time.Time          { return start.Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// still starts a server whose clock stands, so that both doors say the same.
func still(t testing.TB, config string) (*servertest.Server, *clock) {
	c := &clock{}
	return servertest.Start(t, servertest.Options{Config: config, Now: c.now}), c
}

// ask calls a method that changes nothing through both doors, and wants one
// answer. Its error is a gRPC status.
func ask[R any, P interface {
	*R
	proto.Message
}](t testing.TB, s *servertest.Server, method string, q proto.Message) (P, error) {
	t.Helper()
	grpc := P(new(R))
	err := s.Client.Conn().Invoke(t.Context(), "/watchword.v1."+method, q, grpc)
	body, merr := protojson.Marshal(q)
	if merr != nil {
		t.Fatal(merr)
	}
	route := ""
	for path, m := range s.Routes() {
		if m == "/watchword.v1."+method {
			route = path
		}
	}
	code, text := s.Post(route, string(body))
	if err != nil {
		var st spb.Status
		if uerr := protojson.Unmarshal([]byte(text), &st); uerr != nil || code == http.StatusOK || !proto.Equal(&st, status.Convert(err).Proto()) {
			t.Errorf("%s: gRPC says %v, REST %d %s", method, err, code, text)
		}
		return nil, err
	}
	rest := P(new(R))
	if uerr := protojson.Unmarshal([]byte(text), rest); uerr != nil || code != http.StatusOK || !proto.Equal(rest, grpc) {
		t.Errorf("%s: gRPC says %v, REST %d %s", method, grpc, code, text)
	}
	return grpc, nil
}

func reasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			return i.GetReason()
		}
	}
	return ""
}

func check(t testing.TB, s *servertest.Server, q *watchwordv1.CheckPasswordRequest) *watchwordv1.CheckPasswordResponse {
	t.Helper()
	r, err := ask[watchwordv1.CheckPasswordResponse](t, s, "PasswordService/CheckPassword", q)
	if err != nil {
		t.Fatalf("CheckPassword by %s: %v", q.GetPolicy(), err)
	}
	return r
}

func call2[R any, P interface {
	*R
	proto.Message
}](t testing.TB, s *servertest.Server, method string, q proto.Message) P {
	t.Helper()
	r := P(new(R))
	if err := s.Client.Conn().Invoke(t.Context(), "/watchword.v1."+method, q, r); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return r
}

func rulesOf(list []*watchwordv1.Violation) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.GetRule())
	}
	return out
}

// vector is a golden vector of the rules.
type vector struct {
	Name, Password, Use, Purpose, Previous string
	Context                                struct {
		Login                        string
		Emails, Names, Phones, Words []string
		BirthDate                    string `yaml:"birthDate"`
	}
	Breach     uint64
	Dictionary []string
	Want       []string
}

func golden(t testing.TB) map[string][]vector {
	t.Helper()
	b, err := os.ReadFile("../internal/policy/golden.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]vector
	if err := yaml.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// corpus builds a breach corpus of passwords with counts, and the
// configuration that names it.
func corpus(t testing.TB, counts map[string]uint64) (path, config string) {
	t.Helper()
	var lines []string
	for p, n := range counts {
		lines = append(lines, fmt.Sprintf("%X:%d", sha1.Sum([]byte(p)), n))
	}
	slices.Sort(lines)
	path = filepath.Join(t.TempDir(), "breach.wwix")
	_, err := wordlists.Build(t.Context(), wordlists.BuildOptions{Reader: strings.NewReader(strings.Join(lines, "\n") + "\n"),
		Out: path, From: wordlists.FromHashes, Partial: true, Name: "breach"})
	if err != nil {
		t.Fatal(err)
	}
	return path, "corpora: [{name: breach, path: " + path + "}]\n"
}

func text(t testing.TB, s string) password.Text {
	t.Helper()
	p, err := password.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEveryRuleThroughBothDoors sends the golden vectors of the rules through
// the service and holds each answer against the rules themselves, given the
// evidence that the answer shows. Evidence that vectors only claim (a hit in a
// list, an estimate) is left to the service, so passwords are added that have
// it.
func TestEveryRuleThroughBothDoors(t *testing.T) {
	t.Parallel()
	listed := []string{"password12345678", "Password1234!", "Dragon99", "dragon99", "P@ssw0rd2024!!", "iloveyouiloveyou",
		"Summer2024", "Qwe123!@#", "Aa123456!", "Hello2024!"}
	counts := map[string]uint64{"some-breached-thing": 3}
	var words []string
	for _, vectors := range golden(t) {
		for _, v := range vectors {
			words = append(words, v.Dictionary...)
			if v.Breach > 0 {
				counts[v.Password] = v.Breach
			}
		}
	}
	path, config := corpus(t, counts)
	plain, _ := still(t, "")
	asked, _ := still(t, config)
	broken, _ := still(t, config)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]*servertest.Server{"SKIPPED": plain, "PERFORMED": asked, "DEGRADED": broken}
	for _, s := range servers {
		call2[watchwordv1.AddWordsResponse](t, s, "PolicyService/AddWords", &watchwordv1.AddWordsRequest{Words: words})
	}
	dictionary, err := (*policy.Dictionary)(nil).Add(words...)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]map[string]bool{}
	walk := func(name string, s *servertest.Server, v vector) {
		p, _ := policy.Builtin().Get(v.Name)
		q := &watchwordv1.CheckPasswordRequest{Password: v.Password, Policy: v.Name, PreviousPassword: v.Previous, Context: &watchwordv1.PasswordContext{
			Login: v.Context.Login, Emails: v.Context.Emails, Names: v.Context.Names, Phones: v.Context.Phones, Words: v.Context.Words, BirthDate: v.Context.BirthDate}}
		sample := policy.Sample{Context: policy.Context(v.Context), Text: text(t, v.Password)}
		if v.Use == "multi" {
			q.Use, sample.Use = watchwordv1.Use_USE_MULTI_FACTOR, policy.MultiFactor
		}
		switch v.Purpose {
		case "change":
			q.Purpose, sample.Purpose = watchwordv1.Purpose_PURPOSE_CHANGE, policy.Change
		case "reset":
			q.Purpose, sample.Purpose = watchwordv1.Purpose_PURPOSE_RESET, policy.Reset
		case "login":
			q.Purpose, sample.Purpose = watchwordv1.Purpose_PURPOSE_LOGIN, policy.Login
		}
		r := check(t, s, q)
		ev := policy.Evidence{Dictionary: dictionary, Now: start, Estimate: &policy.Estimate{GuessesLog10: r.GetStrength().GetGuessesLog10()}}
		if v.Previous != "" {
			ev.Previous = text(t, v.Previous)
		}
		if m, ok := wordlists.Common().Match(text(t, v.Password).Reveal()); ok {
			ev.Listed = []policy.Listed{{List: "common", Form: "exact", Rank: m.Rank}}
		}
		status := "SKIPPED"
		if p.Needs().Breach {
			status = name
		}
		if status == "DEGRADED" && r.GetBreach().GetStatus() == watchwordv1.BreachStatus_BREACH_STATUS_PERFORMED {
			status = "PERFORMED" // for the answer, nothing damaged had to be read
		}
		switch {
		case status == "PERFORMED" && (name == "PERFORMED" || p.Needs().Breach):
			n := counts[string(text(t, v.Password).Reveal())]
			ev.Breach = policy.Breach{Status: policy.Performed, Found: n > 0, Count: n, CorpusVersion: r.GetBreach().GetCorpusVersion()}
			if ev.Breach.CorpusVersion == "" {
				t.Errorf("%s: no corpus version", v.Name)
			}
		case status == "DEGRADED":
			ev.Breach.Status = policy.Degraded
		}
		if got := strings.TrimPrefix(r.GetBreach().GetStatus().String(), "BREACH_STATUS_"); got != status || r.GetBreach().GetFound() != ev.Breach.Found || uint64(r.GetBreach().GetCount()) != ev.Breach.Count {
			t.Errorf("%s by %s: breach %v, want %s %d", name, v.Name, r.GetBreach(), status, ev.Breach.Count)
		}
		want := p.Judge(sample.Text, sample.Use, sample.Purpose, sample.Context, ev)
		var wantRules []string
		for _, x := range want.Violations {
			wantRules = append(wantRules, x.Rule)
		}
		if d := cmp.Diff(wantRules, rulesOf(r.GetViolations())); d != "" || (r.GetDecision() == watchwordv1.Decision_DECISION_ACCEPT) != want.Accept {
			t.Errorf("%s %q by %s: %v (-want +got):\n%s", name, v.Password, v.Name, r.GetDecision(), d)
		}
		if r.GetPolicy() != p.Name() || r.GetPolicyVersion() != p.Version() || (r.GetProof() != "") != (want.Accept && v.Purpose != "login") {
			t.Errorf("%s by %s: policy %s %s, proof %q", name, v.Name, r.GetPolicy(), r.GetPolicyVersion(), r.GetProof())
		}
		checkExplained(t, v.Password, r)
		chinese := proto.CloneOf(q)
		chinese.Locale = "zh-CN"
		z := check(t, s, chinese)
		if !slices.Equal(rulesOf(z.GetViolations()), wantRules) || len(z.GetAdvice()) != len(r.GetAdvice()) {
			t.Errorf("%s by %s: in Chinese %v", name, v.Name, rulesOf(z.GetViolations()))
		}
		for _, m := range append(z.GetAdvice(), messages(z)...) {
			if !strings.ContainsFunc(m, func(r rune) bool { return unicode.Is(unicode.Han, r) }) || strings.ContainsAny(m, "{}|") {
				t.Errorf("%s by %s: not a Chinese sentence: %q", name, v.Name, m)
			}
		}
		if seen[v.Name] == nil {
			seen[v.Name] = map[string]bool{}
		}
		for _, x := range r.GetViolations() {
			seen[v.Name][x.GetRule()] = true
		}
	}
	run := func(name string, s *servertest.Server) {
		for profile, vectors := range golden(t) {
			for _, v := range vectors {
				v.Name = profile
				walk(name, s, v)
			}
			for _, p := range listed {
				walk(name, s, vector{Name: profile, Password: p})
			}
		}
	}
	run("SKIPPED", plain)
	run("PERFORMED", asked)
	// From here on the file under the third server's feet is damaged.
	for i := len(b) / 8; i < len(b); i++ {
		b[i] ^= 0x5a
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	run("DEGRADED", broken)
	for profile, vectors := range golden(t) {
		for _, v := range vectors {
			for _, r := range v.Want {
				// These need a stored password; the tests below have one.
				if r != policy.Reused && r != policy.Expired && r != policy.TooYoung && !seen[profile][r] {
					t.Errorf("%s: no answer has %s", profile, r)
				}
			}
		}
		t.Logf("%s: %v", profile, slices.Sorted(maps.Keys(seen[profile])))
	}
}

func messages(r *watchwordv1.CheckPasswordResponse) []string {
	var out []string
	for _, v := range r.GetViolations() {
		out = append(out, v.GetMessage())
	}
	return out
}

// checkExplained holds an answer against what every answer promises.
func checkExplained(t testing.TB, plain string, r *watchwordv1.CheckPasswordResponse) {
	t.Helper()
	reject := r.GetDecision() == watchwordv1.Decision_DECISION_REJECT
	if reject != (len(r.GetViolations()) > 0) || reject && len(r.GetAdvice()) == 0 {
		t.Errorf("%v with %d violations and %d hints", r.GetDecision(), len(r.GetViolations()), len(r.GetAdvice()))
	}
	length := int32(len([]rune(string(text(t, plain).Reveal()))))
	within := func(list []*watchwordv1.Segment) {
		for _, g := range list {
			if g.GetKind() == 0 || g.GetStart() < 0 || g.GetStart() >= g.GetEnd() || g.GetEnd() > length {
				t.Errorf("a segment %v of %d code points", g, length)
			}
		}
	}
	within(r.GetStrength().GetSegments())
	if len(r.GetStrength().GetSegments()) == 0 || r.GetStrength().GetGuessesLog10() < 0 {
		t.Errorf("strength %v", r.GetStrength())
	}
	for _, v := range r.GetViolations() {
		within(v.GetSegments())
		if v.GetRule() == "" || len(v.GetClauses()) == 0 || v.GetMessage() == "" || strings.ContainsAny(v.GetMessage(), "{}|") {
			t.Errorf("a violation that explains nothing: %v", v)
		}
	}
}

func rejected(err error) []string {
	var r *client.RejectedError
	if !errors.As(err, &r) {
		if err == nil {
			return nil
		}
		return []string{err.Error()}
	}
	var out []string
	for _, v := range r.Violations {
		out = append(out, v.Rule)
	}
	return out
}

func TestHistoryThroughChanges(t *testing.T) {
	s, c := still(t, "policy: {default: pci-4.0.1}")
	passwords := []string{"tangled7lantern orbit", "Kv9wqzrtmm2plx", "9 walrus umbrella pine", "mbQ4xxo0jdkeW1", "zebra stove 31 lamp", "hollow98kettle-moss"}
	if _, err := s.Client.Set(t.Context(), "u", passwords[0], client.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	change := func(from, to int, want ...string) {
		t.Helper()
		c.advance(time.Minute)
		r, err := s.Client.Change(t.Context(), "u", passwords[from], passwords[to], client.Source{}, client.SetOptions{})
		if d := cmp.Diff(want, rejected(err)); d != "" || r.Match != (len(want) == 0) {
			t.Errorf("from %d to %d: %v (-want +got):\n%s", from, to, r, d)
		}
	}
	change(0, 1)
	change(1, 2)
	change(2, 3)
	for _, old := range []int{0, 1, 2} { // with the present one, the last four
		change(3, old, policy.Reused)
	}
	change(3, 3, policy.Reused, policy.SimilarToPrevious)
	change(3, 4)
	change(4, 1, policy.Reused)
	change(4, 0) // the fifth last
	if _, err := s.Client.Set(t.Context(), "u", passwords[4], client.SetOptions{Reset: true}); !slices.Equal(rejected(err), []string{policy.Reused}) {
		t.Errorf("a reset to a former password: %v", err)
	}
	// A proof does not know the passwords before.
	j, err := s.Client.Check(t.Context(), passwords[4], client.CheckOptions{})
	if err != nil || j.Proof == "" {
		t.Fatalf("Check: %v, %v", j, err)
	}
	if _, err := s.Client.Set(t.Context(), "u", passwords[4], client.SetOptions{Proof: j.Proof}); !slices.Equal(rejected(err), []string{policy.Reused}) {
		t.Errorf("a set to a former password, with a proof: %v", err)
	}
}

func TestAgesAndSimilarity(t *testing.T) {
	ctx := t.Context()
	s, c := still(t, "policy: {default: cis}")
	const first, second, third = "tangled7 lantern orbit", "9 walrus umbrella pine", "mossy kettle 44 drum"
	if _, err := s.Client.Set(ctx, "u", first, client.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	c.advance(23 * time.Hour)
	_, err := s.Client.Change(ctx, "u", first, second, client.Source{}, client.SetOptions{})
	var r *client.RejectedError
	if !errors.As(err, &r) || r.Violations[0].Rule != policy.TooYoung || r.Violations[0].Params["wait"] != "1" {
		t.Errorf("a change after 23 hours: %v", err)
	}
	// A proof does not know how old the password before is.
	j, err := s.Client.Check(ctx, second, client.CheckOptions{})
	if err != nil || j.Proof == "" {
		t.Fatalf("Check: %v, %v", j, err)
	}
	if _, err := s.Client.Change(ctx, "u", first, second, client.Source{}, client.SetOptions{Proof: j.Proof}); !slices.Equal(rejected(err), []string{policy.TooYoung}) {
		t.Errorf("a change after 23 hours, with a proof: %v", err)
	}
	c.advance(2 * time.Hour)
	if _, err := s.Client.Change(ctx, "u", first, "tangled8 lantern orbit", client.Source{}, client.SetOptions{}); !slices.Equal(rejected(err), []string{policy.SimilarToPrevious}) {
		t.Errorf("a change of one digit: %v", err)
	}
	// A proof that was given without knowledge of the password before does not
	// stand for the comparison with it.
	j, err = s.Client.Check(ctx, "tangled8 lantern orbit", client.CheckOptions{})
	if err != nil || j.Proof == "" {
		t.Fatalf("Check: %v, %v", j, err)
	}
	if _, err := s.Client.Change(ctx, "u", first, "tangled8 lantern orbit", client.Source{}, client.SetOptions{Proof: j.Proof}); !slices.Equal(rejected(err), []string{policy.SimilarToPrevious}) {
		t.Errorf("a change of one digit, with a proof: %v", err)
	}
	if _, err := s.Client.Change(ctx, "u", first, second, client.Source{}, client.SetOptions{}); err != nil {
		t.Errorf("a change after 25 hours: %v", err)
	}
	if _, err := s.Client.Set(ctx, "u", third, client.SetOptions{Reset: true}); err != nil {
		t.Errorf("a reset right after: %v", err)
	}
	c.advance(365 * 24 * time.Hour)
	l, err := s.Client.Verify(ctx, "u", third, client.Source{})
	if err != nil || !l.Match || l.MustChange {
		t.Errorf("a login after 365 days: %+v, %v", l, err)
	}
	c.advance(time.Hour)
	l, err = s.Client.Verify(ctx, "u", third, client.Source{})
	if err != nil || !l.Match || !l.MustChange || len(l.Findings) != 1 || l.Findings[0].Rule != policy.Expired || len(l.Findings[0].Clauses) == 0 {
		t.Errorf("a login after more: %+v, %v", l, err)
	}
	if _, err := s.Client.Change(ctx, "u", third, "hollow 98 kettle moss", client.Source{}, client.SetOptions{}); err != nil {
		t.Errorf("changing the expired password: %v", err)
	}
	if l, err = s.Client.Verify(ctx, "u", "hollow 98 kettle moss", client.Source{}); err != nil || l.MustChange {
		t.Errorf("a login after the change: %+v, %v", l, err)
	}
}

// TestAgeOfImportedPasswords: nobody knows how old a password is that came
// without its time, and it expires as if it had been chosen on that day.
func TestAgeOfImportedPasswords(t *testing.T) {
	ctx := t.Context()
	s, c := still(t, "policy: {default: cis}")
	const one = "tangled7 lantern orbit"
	phc, err := s.Client.Hash(ctx, one)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Client.Import(ctx, slices.Values([]client.ImportRow{{Subject: "u", PHC: phc}})) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if code, body := s.Post("/v1/credentials:get", `{"subject":"u"}`); code != http.StatusOK || strings.Contains(body, "922337") {
		t.Errorf("the credential: %d %s", code, body)
	}
	if got, err := s.Client.Get(ctx, "u"); err != nil || !got.Changed.IsZero() {
		t.Errorf("the credential was changed at %v, %v", got.Changed, err)
	}
	c.advance(365 * 24 * time.Hour)
	if l, err := s.Client.Verify(ctx, "u", one, client.Source{}); err != nil || !l.Match || l.MustChange {
		t.Errorf("a login after 365 days: %+v, %v", l, err)
	}
	c.advance(time.Hour)
	if l, err := s.Client.Verify(ctx, "u", one, client.Source{}); err != nil || !l.Match || !l.MustChange {
		t.Errorf("a login after more: %+v, %v", l, err)
	}
	if _, err := s.Client.Change(ctx, "u", one, "9 walrus umbrella pine", client.Source{}, client.SetOptions{}); err != nil {
		t.Errorf("changing it: %v", err)
	}
}

func TestTenants(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	for name, doc := range map[string]string{
		"acme.yaml":         "version: 1\nextends: nist-800-63b-4\nlocked: [blocklist]\nrules:\n  length: {min: 18, min_mfa: 10}\n",
		"acme.shop.yaml":    "version: 1\nextends: acme\nrules:\n  length: {min: 20, min_mfa: 10}\n",
		"acme.shop.ed.yaml": "version: 1\nextends: acme.shop\nrules:\n  size: {max_bytes: 64}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := still(t, "policy: {dir: "+dir+"}\ntenants: [{name: acme, policy: acme.shop.ed}, {name: beta}]\n")
	of := map[string]*client.Client{}
	for _, tenant := range []string{"acme", "beta"} {
		_, secret, err := s.Client.CreateKey(ctx, client.NewKey{Name: tenant, Tenant: tenant,
			Scopes: []string{"password.check", "policy.read", "policy.write", "credential.write"}})
		if err != nil {
			t.Fatal(err)
		}
		of[tenant] = s.ClientWith(secret)
	}
	words := func(tenant string, w ...string) *watchwordv1.AddWordsResponse {
		t.Helper()
		r := &watchwordv1.AddWordsResponse{}
		if err := of[tenant].Conn().Invoke(ctx, "/watchword.v1.PolicyService/AddWords", &watchwordv1.AddWordsRequest{Words: w}, r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := words("acme", "Roadrunner", "ＡＮＶＩＬ", "roadrunner"); r.GetVersion() != 1 || r.GetTotal() != 2 {
		t.Errorf("AddWords = %v, want version 1 of two words", r)
	}
	for _, c := range []struct {
		tenant, password string
		policy           string
		want             []string
	}{
		{"acme", "Roadrunner-Anvil-2024", "", []string{policy.InDictionary}},
		{"beta", "Roadrunner-Anvil-2024", "", nil},
		{"acme", "tangled lantern 7w", "", []string{policy.LengthMin}}, // 18, of the shop 20
		{"acme", "tangled lantern 7w", "acme", nil},
		{"acme", "tangled lantern 7w", policy.Default, nil},
		{"acme", strings.Repeat("tangled lantern orbit ", 3), "", []string{policy.LengthMax}},
		{"acme", strings.Repeat("tangled lantern orbit ", 3), "acme.shop", nil},
		{"beta", "tangled lantern", "", nil},
		{"acme", "password123456789012345", "", []string{policy.Blocklisted}}, // inherited over three steps
	} {
		j, err := of[c.tenant].Check(ctx, c.password, client.CheckOptions{Policy: c.policy})
		var got []string
		for _, v := range j.Violations {
			got = append(got, v.Rule)
		}
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s %q by %q: %v (-want +got):\n%s", c.tenant, c.password, c.policy, err, d)
		}
		_, err = of[c.tenant].Set(ctx, "u", c.password, client.SetOptions{CheckOptions: client.CheckOptions{Policy: c.policy}})
		if d := cmp.Diff(c.want, rejected(err)); d != "" {
			t.Errorf("%s: Set and Check disagree on %q: %s", c.tenant, c.password, d)
		}
	}
	put := func(tenant, name, yaml string) error {
		return of[tenant].Conn().Invoke(ctx, "/watchword.v1.PolicyService/PutPolicy", &watchwordv1.PutPolicyRequest{Policy: name, Yaml: yaml}, &watchwordv1.PutPolicyResponse{})
	}
	if err := put("acme", "own", "version: 1\nextends: acme.shop\nrules:\n  blocklist: {mode: off}\n"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a locked rule was loosened: %v", err)
	}
	if err := put("acme", "own", "version: 1\nextends: acme.shop\nrules:\n  length: {min: 25}\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := of["beta"].Check(ctx, "x", client.CheckOptions{Policy: "own"}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("beta judges by acme's policy: %v", err)
	}
	if _, err := of["acme"].Check(ctx, "x", client.CheckOptions{Policy: "own"}); err != nil {
		t.Errorf("acme does not find its own policy: %v", err)
	}
	// What one tenant had checked proves nothing to another.
	o := client.CheckOptions{Policy: policy.Default}
	j, err := of["acme"].Check(ctx, "tangled lantern orbit", o)
	if err != nil || j.Proof == "" {
		t.Fatalf("Check: %+v, %v", j, err)
	}
	for tenant, want := range map[string]error{"acme": nil, "beta": client.ErrProofStale} {
		if _, err := of[tenant].Set(ctx, "v", "tangled lantern orbit", client.SetOptions{CheckOptions: o, Proof: j.Proof}); !errors.Is(err, want) {
			t.Errorf("%s sets with the proof of acme: %v, want %v", tenant, err, want)
		}
	}
}

func TestVersionsThroughTheDoors(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := still(t, measured)
	// shadow tells what the metrics count in shadow while f runs: refusals, and
	// passwords that are too short.
	shadow := func(f func()) string {
		t.Helper()
		before := seriesOf(scrape(t, s))
		f()
		after, grown := seriesOf(scrape(t, s)), []string{}
		for _, m := range []string{"watchword_policy_shadow_refusals_total", `watchword_policy_shadow_violations_total{rule="LENGTH_MIN"}`} {
			from, _ := strconv.Atoi(before[m])
			to, _ := strconv.Atoi(after[m])
			grown = append(grown, strconv.Itoa(to-from))
		}
		return strings.Join(grown, " ")
	}
	putOf := func(length int, ifVersion string) (*watchwordv1.PutPolicyResponse, error) {
		r := &watchwordv1.PutPolicyResponse{}
		err := s.Client.Conn().Invoke(ctx, "/watchword.v1.PolicyService/PutPolicy", &watchwordv1.PutPolicyRequest{Policy: "own",
			Yaml: fmt.Sprintf("version: %d\nextends: nist-800-63b-4\nrules:\n  length: {min: %d, min_mfa: 8}\n", length, length), IfVersion: ifVersion}, r)
		return r, err
	}
	const pw = "tangled lantern orbit" // 21
	by := func() *watchwordv1.CheckPasswordResponse {
		return check(t, s, &watchwordv1.CheckPasswordRequest{Password: pw, Policy: "own"})
	}
	set := func(subject, proof string) error {
		_, err := s.Client.Set(ctx, subject, pw, client.SetOptions{CheckOptions: client.CheckOptions{Policy: "own"}, Proof: proof})
		return err
	}
	roll := func(percent int32) *watchwordv1.PolicyRollout {
		return call2[watchwordv1.SetRolloutResponse](t, s, "PolicyService/SetRollout", &watchwordv1.SetRolloutRequest{Policy: "own", Percent: percent, Shadow: true}).GetRollout()
	}
	one, err := putOf(16, "")
	if err != nil {
		t.Fatal(err)
	}
	first := by()
	if first.GetPolicyVersion() != one.GetVersion() || first.GetProof() == "" {
		t.Fatalf("the first version: %v", first)
	}
	two, err := putOf(40, one.GetVersion())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := putOf(41, one.GetVersion()); status.Code(err) != codes.Aborted || reasonOf(err) != "VERSION_CONFLICT" {
		t.Errorf("a put over an older version: %v", err)
	}
	// In shadow the candidate changes no decision and no proof.
	if got := shadow(func() {
		if r := by(); !proto.Equal(r, first) {
			t.Errorf("with a candidate in shadow: %v", r)
		}
	}); got != "2 2" { // once at each door
		t.Errorf("a candidate in shadow refuses: %s in the metrics", got)
	}
	if err := set("a", first.GetProof()); err != nil {
		t.Errorf("a set with the proof, a candidate in shadow: %v", err)
	}
	g, err := ask[watchwordv1.GetPolicyResponse](t, s, "PolicyService/GetPolicy", &watchwordv1.GetPolicyRequest{Policy: "own"})
	if err != nil || g.GetVersion() != one.GetVersion() || g.GetRollout().GetCandidateVersion() != two.GetVersion() || !g.GetRollout().GetShadow() || len(g.GetVersions()) != 2 {
		t.Errorf("GetPolicy = %v, %v", g, err)
	}
	// Under a share some subjects are judged by the candidate, which refuses.
	roll(50)
	refused := map[string]bool{}
	for i := range 60 {
		subject := fmt.Sprintf("subject %d", i)
		switch err := set(subject, ""); {
		case slices.Equal(rejected(err), []string{policy.LengthMin}):
			refused[subject] = true
		case err != nil:
			t.Fatal(err)
		}
	}
	if len(refused) < 15 || len(refused) > 45 {
		t.Errorf("at 50 %% the candidate judged %d of 60", len(refused))
	}
	for subject := range refused {
		if err := set(subject, ""); err == nil {
			t.Errorf("%s is judged by one version today and by another tomorrow", subject)
		}
		if err := set(subject, by().GetProof()); err != nil {
			t.Errorf("what was checked cannot be set: %v", err)
		}
	}
	roll(100)
	if r := by(); r.GetPolicyVersion() != two.GetVersion() || !slices.Equal(rulesOf(r.GetViolations()), []string{policy.LengthMin}) {
		t.Errorf("at 100 %%: %v", r)
	}
	if err := set("b", first.GetProof()); !errors.Is(err, client.ErrProofStale) {
		t.Errorf("a set with the proof of a version that is no longer current: %v", err)
	}
	back := call2[watchwordv1.RollbackPolicyResponse](t, s, "PolicyService/RollbackPolicy", &watchwordv1.RollbackPolicyRequest{Policy: "own"})
	if back.GetRollout().GetCurrentVersion() != one.GetVersion() || !proto.Equal(by(), first) {
		t.Errorf("after the rollback: %v", back)
	}
	if err := set("b", first.GetProof()); err != nil {
		t.Errorf("a set with a proof of the version that is back: %v", err)
	}
	// A policy in shadow mode as a whole accepts what it would refuse.
	call2[watchwordv1.PutPolicyResponse](t, s, "PolicyService/PutPolicy", &watchwordv1.PutPolicyRequest{Policy: "trial", Yaml: "version: 1\nextends: nist-800-63b-4\nmode: shadow\n"})
	if got := shadow(func() {
		if r := check(t, s, &watchwordv1.CheckPasswordRequest{Password: "password", Policy: "trial"}); r.GetDecision() != watchwordv1.Decision_DECISION_ACCEPT || len(r.GetViolations()) > 0 {
			t.Errorf("a policy on trial refuses: %v", r)
		}
		by()
	}); got != "2 2" { // once at each door
		t.Errorf("a policy on trial refuses, and nothing refuses what is good: %s in the metrics", got)
	}
}

func TestProofs(t *testing.T) {
	ctx := t.Context()
	s, c := still(t, "")
	person := client.Person{Login: "alice", Emails: []string{"alice@example.org"}, Names: []string{"Alice Smith", "张伟"}, Phones: []string{"13812345678"},
		BirthDate: "1990-05-12", Words: []string{"acme"}}
	const pw = "tangled lantern orbit 7 walrus"
	o := client.CheckOptions{Person: person}
	proof := func() string {
		t.Helper()
		j, err := s.Client.Check(ctx, pw, o)
		if err != nil || j.Proof == "" {
			t.Fatalf("Check: %+v, %v", j, err)
		}
		return j.Proof
	}
	stale := func(why, password string, o client.CheckOptions, proof string) {
		t.Helper()
		if _, err := s.Client.Set(ctx, why, password, client.SetOptions{CheckOptions: o, Proof: proof}); !errors.Is(err, client.ErrProofStale) {
			t.Errorf("%s: Set = %v, want a stale proof", why, err)
		}
	}
	p := proof()
	for _, reset := range []bool{false, true} {
		if _, err := s.Client.Set(ctx, "u", pw, client.SetOptions{CheckOptions: o, Proof: p, Reset: reset}); err != nil {
			t.Errorf("Set with its proof: %v", err)
		}
	}
	stale("another password", pw+"!", o, p)
	stale("nonsense", pw, o, "nonsense")
	for why, change := range map[string]func(*client.CheckOptions){
		"another login":      func(o *client.CheckOptions) { o.Person.Login = "bob" },
		"no context":         func(o *client.CheckOptions) { o.Person = client.Person{} },
		"a word more":        func(o *client.CheckOptions) { o.Person.Words = []string{"acme", "anvil"} },
		"words run together": func(o *client.CheckOptions) { o.Person.Names = []string{"Alice Smith张伟"} },
		"another birth date": func(o *client.CheckOptions) { o.Person.BirthDate = "1990-05-13" },
		"another factor":     func(o *client.CheckOptions) { o.MultiFactor = true },
		"another policy":     func(o *client.CheckOptions) { o.Policy = "asvs-5-l1" },
	} {
		other := o
		change(&other)
		stale(why, pw, other, p)
	}
	call2[watchwordv1.AddWordsResponse](t, s, "PolicyService/AddWords", &watchwordv1.AddWordsRequest{Words: []string{"anvil"}})
	stale("a dictionary that changed", pw, o, p)
	p = proof()
	c.advance(14 * time.Minute)
	if _, err := s.Client.Set(ctx, "v", pw, client.SetOptions{CheckOptions: o, Proof: p}); err != nil {
		t.Errorf("after 14 minutes: %v", err)
	}
	c.advance(2 * time.Minute)
	stale("16 minutes", pw, o, p)
}

// TestFailingByPurpose: while no corpus answers, a policy may refuse on one
// occasion and not on another, and a proof does not carry over.
func TestFailingByPurpose(t *testing.T) {
	path, config := corpus(t, map[string]uint64{"some-breached-thing": 2})
	s, _ := still(t, config)
	call2[watchwordv1.PutPolicyResponse](t, s, "PolicyService/PutPolicy", &watchwordv1.PutPolicyRequest{Policy: "own", Yaml: `version: 1
rules:
  length: {min: 8}
  breach: {threshold: 3, unavailable: {signup: embedded, change: reject, reset: embedded, login: reject}}
`})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 8; i < len(b); i++ {
		b[i] ^= 0x5a
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	const pw = "some-breached-thing" // not often enough
	var proof string
	for _, c := range []struct {
		purpose watchwordv1.Purpose
		want    []string
	}{
		{watchwordv1.Purpose_PURPOSE_SIGNUP, nil}, {watchwordv1.Purpose_PURPOSE_CHANGE, []string{policy.BreachUnavailable}},
		{watchwordv1.Purpose_PURPOSE_RESET, nil}, {watchwordv1.Purpose_PURPOSE_LOGIN, []string{policy.BreachUnavailable}},
	} {
		r := check(t, s, &watchwordv1.CheckPasswordRequest{Password: pw, Policy: "own", Purpose: c.purpose})
		if r.GetBreach().GetStatus() != watchwordv1.BreachStatus_BREACH_STATUS_DEGRADED || !slices.Equal(rulesOf(r.GetViolations()), c.want) {
			t.Errorf("%v: %v", c.purpose, r)
		}
		if c.purpose == watchwordv1.Purpose_PURPOSE_SIGNUP {
			proof = r.GetProof()
		}
	}
	set := func(purpose watchwordv1.Purpose, proof string) string {
		err := s.Client.Conn().Invoke(t.Context(), "/watchword.v1.CredentialService/SetPassword", &watchwordv1.SetPasswordRequest{
			Subject: "u", Password: pw, Policy: "own", Purpose: purpose, Proof: proof}, &watchwordv1.SetPasswordResponse{})
		return reasonOf(err)
	}
	if r := set(watchwordv1.Purpose_PURPOSE_CHANGE, ""); r != "CORPUS_NOT_READY" {
		t.Errorf("a change: %q", r)
	}
	if r := set(watchwordv1.Purpose_PURPOSE_CHANGE, proof); r != "PROOF_STALE" {
		t.Errorf("a change with a proof from a signup: %q", r)
	}
	if r := set(watchwordv1.Purpose_PURPOSE_LOGIN, ""); r != "MALFORMED_REQUEST" {
		t.Errorf("a set that calls itself a login: %q", r)
	}
	if r := set(watchwordv1.Purpose_PURPOSE_RESET, proof); r != "" {
		t.Errorf("a reset, which fails as a signup does, with its proof: %q", r)
	}
}

func TestDictionaryThroughBothDoors(t *testing.T) {
	s, _ := still(t, "")
	var words []string
	for i := range 2500 {
		words = append(words, fmt.Sprintf("word%04d", i))
	}
	call2[watchwordv1.AddWordsResponse](t, s, "PolicyService/AddWords", &watchwordv1.AddWordsRequest{Words: words})
	var got []string
	token := ""
	for pages := 0; pages < 5; pages++ {
		r, err := ask[watchwordv1.ListWordsResponse](t, s, "PolicyService/ListWords", &watchwordv1.ListWordsRequest{PageToken: token})
		if err != nil || r.GetVersion() != 1 {
			t.Fatal(r, err)
		}
		got = append(got, r.GetWords()...)
		if token = r.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(got, words) {
		t.Errorf("paging gives %d words, want %d", len(got), len(words))
	}
	rm := call2[watchwordv1.RemoveWordsResponse](t, s, "PolicyService/RemoveWords", &watchwordv1.RemoveWordsRequest{Words: []string{"WORD0001", "unknown"}})
	if rm.GetVersion() != 2 || rm.GetTotal() != 2499 {
		t.Errorf("RemoveWords = %v", rm)
	}
	if r := call2[watchwordv1.ClearWordsResponse](t, s, "PolicyService/ClearWords", &watchwordv1.ClearWordsRequest{}); r.GetVersion() != 3 {
		t.Errorf("ClearWords = %v", r)
	}
	for why, w := range map[string][]string{"none": nil, "empty": {""}, "one letter": {"a"}, "long": {strings.Repeat("a", 65)}, "control": {"ab\x00"},
		"10,001": strings.Split(strings.Repeat("ab ", 10_001), " ")} {
		if _, err := ask[watchwordv1.AddWordsResponse](t, s, "PolicyService/AddWords", &watchwordv1.AddWordsRequest{Words: w}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func TestDescribeEveryPolicyInBothLanguages(t *testing.T) {
	s, _ := still(t, "")
	l, err := ask[watchwordv1.ListPoliciesResponse](t, s, "PolicyService/ListPolicies", &watchwordv1.ListPoliciesRequest{})
	if err != nil || len(l.GetPolicies()) != 8 {
		t.Fatal(l, err)
	}
	for _, p := range l.GetPolicies() {
		if p.GetDefault() != (p.GetPolicy() == policy.Default) || !p.GetBuiltin() || p.GetTitle() == "" {
			t.Errorf("ListPolicies has %v", p)
		}
		pure, _ := policy.Builtin().Get(p.GetPolicy())
		for _, locale := range []string{"en", "zh-CN"} {
			for use, name := range map[policy.Use]watchwordv1.Use{policy.SingleFactor: watchwordv1.Use_USE_SINGLE_FACTOR, policy.MultiFactor: watchwordv1.Use_USE_MULTI_FACTOR} {
				d, err := ask[watchwordv1.DescribePolicyResponse](t, s, "PolicyService/DescribePolicy", &watchwordv1.DescribePolicyRequest{Policy: p.GetPolicy(), Locale: locale, Use: name})
				if err != nil || strings.Join(d.GetText(), "\n") != pure.Describe(locale) || d.GetPasswordRules() != pure.PasswordRules(use) || len(d.GetForm().GetFields()) < 3 {
					t.Errorf("%s in %s: %v, %v", p.GetPolicy(), locale, d, err)
				}
			}
			for _, st := range policy.Standards(locale) {
				c, err := ask[watchwordv1.GetConformanceResponse](t, s, "PolicyService/GetConformance", &watchwordv1.GetConformanceRequest{Policy: p.GetPolicy(), Standard: st.ID, Locale: locale})
				if err != nil || len(c.GetStandards()) != 1 || len(c.GetConflicts()) == 0 {
					t.Fatalf("%s against %s: %v, %v", p.GetPolicy(), st.ID, c, err)
				}
				one := c.GetStandards()[0]
				if int(one.GetMet()+one.GetBroken()+one.GetNotApplicable()) != len(one.GetClauses()) || len(one.GetClauses()) == 0 {
					t.Errorf("%s against %s: %v", p.GetPolicy(), st.ID, one)
				}
				if st.ID == p.GetPolicy() && one.GetBroken() != 0 {
					t.Errorf("%s breaks the standard it is named after: %v", st.ID, one)
				}
				for _, x := range one.GetClauses() {
					if x.GetWhy() == "" || x.GetTitle() == "" || x.GetStatus() == 0 {
						t.Errorf("%s against %s: %v", p.GetPolicy(), st.ID, x)
					}
				}
			}
		}
	}
	// What one standard asks for and another forbids.
	for _, x := range []struct{ policy, standard string }{{"mlps-l3", policy.Default}, {"pci-4.0.1", policy.Default}, {policy.Default, "mlps-l3"}, {policy.Default, "pci-4.0.1"}} {
		c, err := ask[watchwordv1.GetConformanceResponse](t, s, "PolicyService/GetConformance", &watchwordv1.GetConformanceRequest{Policy: x.policy, Standard: x.standard})
		if err != nil || c.GetStandards()[0].GetBroken() == 0 {
			t.Errorf("%s breaks nothing of %s: %v", x.policy, x.standard, err)
		}
	}
	for _, q := range []*watchwordv1.GetConformanceRequest{{Standard: "iso-1"}, {Locale: "fr"}, {Policy: "../x"}} {
		if _, err := ask[watchwordv1.GetConformanceResponse](t, s, "PolicyService/GetConformance", q); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", q, err)
		}
	}
}

func TestSimulateThroughBothDoors(t *testing.T) {
	t.Parallel()
	s, _ := still(t, "")
	simulate := func(q *watchwordv1.SimulatePolicyRequest) *watchwordv1.SimulatePolicyResponse {
		t.Helper()
		r, err := ask[watchwordv1.SimulatePolicyResponse](t, s, "PolicyService/SimulatePolicy", q)
		if err != nil {
			t.Fatal(err)
		}
		if r.GetAcceptRateLow() > r.GetAcceptRate() || r.GetAcceptRate() > r.GetAcceptRateHigh() || r.GetAcceptRateLow() < 0 || r.GetAcceptRateHigh() > 1 {
			t.Errorf("no interval around the rate: %v", r)
		}
		return r
	}
	// Supplied: three of four are refused, for reasons that are known.
	passwords := []string{"tangled lantern orbit", "short", "password12345678", "password1"}
	r := simulate(&watchwordv1.SimulatePolicyRequest{Passwords: passwords})
	if r.GetSamples() != 4 || r.GetAcceptRate() != 0.25 || r.GetReasons()[0].GetRule() == "" {
		t.Errorf("supplied: %v", r)
	}
	shares := map[string]int64{}
	for _, x := range r.GetReasons() {
		shares[x.GetRule()] = x.GetSamples()
		if math.Abs(x.GetShare()-float64(x.GetSamples())/4) > 1e-9 {
			t.Errorf("share %v", x)
		}
	}
	if shares[policy.LengthMin] != 2 || shares[policy.Blocklisted] != 2 && shares[policy.Blocklisted] != 3 {
		t.Errorf("supplied: %v", r.GetReasons())
	}
	// A draft that extends another, and is in shadow mode, is tried as enforced.
	draft := "version: 1\nextends: nist-800-63b-4\nmode: shadow\nrules:\n  length: {min: 30, min_mfa: 8}\n"
	if r = simulate(&watchwordv1.SimulatePolicyRequest{Yaml: draft, Passwords: passwords}); r.GetAcceptRate() != 0 {
		t.Errorf("a stricter draft: %v", r)
	}
	if r = simulate(&watchwordv1.SimulatePolicyRequest{Yaml: draft, Passwords: passwords, Use: watchwordv1.Use_USE_MULTI_FACTOR}); r.GetAcceptRate() != 0.25 {
		t.Errorf("with another factor: %v", r)
	}
	// Recorded: none yet, since a simulation records nothing; then those of checks.
	if r = simulate(&watchwordv1.SimulatePolicyRequest{Recorded: true}); r.GetSamples() != 0 || r.GetAcceptRateHigh() != 1 {
		t.Errorf("recorded before any check: %v", r)
	}
	for _, p := range passwords {
		for range 5 {
			check(t, s, &watchwordv1.CheckPasswordRequest{Password: p})
		}
	}
	if r = simulate(&watchwordv1.SimulatePolicyRequest{Recorded: true}); r.GetSamples() != 40 || r.GetAcceptRate() != 0.25 {
		t.Errorf("recorded: %v", r)
	}
	if r = simulate(&watchwordv1.SimulatePolicyRequest{Recorded: true, Yaml: draft + "  contains: {words: [lantern]}\n"}); r.GetAcceptRate() != 0 || !slices.Equal(r.GetUndecided(), []string{policy.ContainsWord}) {
		t.Errorf("recorded, by a draft: %v", r)
	}
	// Generated: of stated size, and strictly fewer pass the stricter policy.
	rate := map[string]float64{}
	for _, p := range []string{"asvs-5-l1", policy.Default} {
		g := call2[watchwordv1.SimulatePolicyResponse](t, s, "PolicyService/SimulatePolicy", &watchwordv1.SimulatePolicyRequest{Policy: p, Generate: 2000})
		if g.GetSamples() != 2000 {
			t.Errorf("generated: %v", g)
		}
		rate[p] = g.GetAcceptRate()
	}
	if rate["asvs-5-l1"] <= rate[policy.Default] || rate[policy.Default] == 0 {
		t.Errorf("generated samples pass at %v", rate)
	}
	for why, q := range map[string]*watchwordv1.SimulatePolicyRequest{
		"no source": {}, "two sources": {Generate: 1, Recorded: true}, "too many": {Generate: 100_001}, "fewer than none": {Generate: -1},
		"no such standard": {Yaml: "version: 1\nextends: none\n", Recorded: true}, "a bad sample": {Passwords: []string{"a\x00"}},
	} {
		if _, err := ask[watchwordv1.SimulatePolicyResponse](t, s, "PolicyService/SimulatePolicy", q); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// TestGeneratedPasswordsAreAccepted makes passwords of each kind for each
// profile and has every one judged for both uses: with WATCHWORD_LONG set a
// thousand, else fewer.
func TestGeneratedPasswordsAreAccepted(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	ctx := t.Context()
	const most = 100
	each := most
	if os.Getenv("WATCHWORD_LONG") != "" {
		each = 10 * most
	}
	distinct := map[string]bool{}
	total := 0
	for _, profile := range policy.Builtin().Names() {
		var rows []client.Candidate
		for _, kind := range []string{client.Random, client.PassphraseEN, client.PassphrasePinyin} {
			for range each / most {
				made, err := s.Client.Generate(ctx, kind, most, profile)
				if err != nil || len(made) != most {
					t.Fatalf("%s %s: %d, %v", profile, kind, len(made), err)
				}
				for _, p := range made {
					distinct[p] = true
					rows = append(rows, client.Candidate{Password: p, CheckOptions: client.CheckOptions{Policy: profile}},
						client.Candidate{Password: p, CheckOptions: client.CheckOptions{Policy: profile, MultiFactor: true}})
				}
			}
		}
		n := 0
		for c, err := range s.Client.BatchCheck(ctx, slices.Values(rows)) {
			if err != nil || c.Fault != nil || !c.Accepted {
				t.Fatalf("%s refuses %q: %v %v %v", profile, rows[n].Password, c.Violations, c.Fault, err)
			}
			n++
		}
		total += n / 2
	}
	if len(distinct) != total || total != 24*each {
		t.Errorf("%d different passwords of %d", len(distinct), total)
	}
}

// TestGeneratedPasswordsSatisfyOwnPolicies does the same for policies that
// tenants write, the hardest of their rules among them.
func TestGeneratedPasswordsSatisfyOwnPolicies(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	ctx := t.Context()
	call2[watchwordv1.AddWordsResponse](t, s, "PolicyService/AddWords", &watchwordv1.AddWordsRequest{Words: []string{"abacus", "women", "contoso"}})
	for name, rules := range map[string]string{
		"composed":  "length: {min: 24}\n  composition: {min_lower: 4, min_upper: 4, min_digits: 4, min_symbols: 4, min_classes: 4}",
		"long":      "length: {min: 120}\n  size: {max_bytes: 256}",
		"guesses12": "guesses: {min_log10: 12}", "guesses20": "guesses: {min_log10: 20}", "guesses30": "guesses: {min_log10: 30}", "guesses40": "guesses: {min_log10: 40}",
		"words":    "contains: {dictionary: true, context: true, min_length: 3}\n  fuzzy: {points: 8}\n  dictionary: {mode: enforce}\n  blocklist: {mode: enforce}",
		"patterns": "patterns: {list: [{id: no-aa, forbid: 'aa'}, {id: letter, require: '[a-z]'}]}\n  repeat: {max_run: 2, min_distinct: 10}\n  sequence: {max: 3, whole: true}",
	} {
		call2[watchwordv1.PutPolicyResponse](t, s, "PolicyService/PutPolicy", &watchwordv1.PutPolicyRequest{Policy: name, Yaml: "version: 1\nrules:\n  " + rules + "\n"})
		for _, kind := range []string{client.Random, client.PassphraseEN, client.PassphrasePinyin} {
			made, err := s.Client.Generate(ctx, kind, 30, name)
			if err != nil || len(made) != 30 {
				t.Errorf("%s %s: %d, %v", name, kind, len(made), err)
				continue
			}
			for _, p := range made {
				for _, multi := range []bool{false, true} {
					if j, err := s.Client.Check(ctx, p, client.CheckOptions{Policy: name, MultiFactor: multi}); err != nil || !j.Accepted {
						t.Fatalf("%s refuses %q: %v %v", name, p, j.Violations, err)
					}
				}
			}
		}
	}
}

// TestHostilePolicies: what no policy is, is refused with a reason that does
// not repeat it, in little time, and the policy before stays in force.
func TestHostilePolicies(t *testing.T) {
	t.Parallel()
	s, _ := still(t, "")
	call2[watchwordv1.PutPolicyResponse](t, s, "PolicyService/PutPolicy", &watchwordv1.PutPolicyRequest{Policy: "own", Yaml: "version: 1\nrules:\n  length: {min: 9}\n"})
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [QzX, QzX]\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1, i-1)
	}
	rules := func(s string) string { return "version: 1\nrules:\n  length: {min: 9}\n  " + s + "\n" }
	pattern := func(p string) string { return rules("patterns: {list: [{id: x, forbid: '" + p + "'}]}") }
	for why, doc := range map[string]string{
		"unknown key":          "version: 1\nQzXm: 1\n",
		"unknown rule":         rules("QzXm: {min: 1}"),
		"unknown value":        rules("breach: {unavailable: {signup: QzXm}}"),
		"duplicate key":        "version: 1\nversion: 2\n",
		"wrong type":           "version: QzXm\n",
		"not YAML":             "\t{{{QzXm",
		"two documents":        "version: 1\n---\nversion: 2\n",
		"a list":               "[QzXm]",
		"a binary":             "\x01\x02QzXm",
		"another's name":       "name: QzXm\nversion: 1\n",
		"alias bomb":           bomb.String(),
		"merge key":            "version: 1\n<<: {x: 1}\n",
		"deep":                 strings.Repeat("{a: ", 5000) + strings.Repeat("}", 5000),
		"wide":                 rules("contains: {words: [" + strings.Repeat("ab, ", 15_000) + "ab]}"),
		"65 KiB":               "# " + strings.Repeat("x", 65<<10) + "\nversion: 1\n",
		"longer than it may":   rules("size: {max_bytes: 64}") + "  composition: {min_digits: 32, min_symbols: 32, min_letters: 32}\n",
		"min over max":         "version: 1\nrules:\n  length: {min: 200}\n  size: {max_bytes: 100}\n",
		"multi over single":    "version: 1\nrules:\n  length: {min: 8, min_mfa: 15}\n",
		"expires before young": rules("min_age: {hours: 48}") + "  max_age: {days: 1}\n",
		"extends itself":       "version: 1\nextends: own\n",
		"extends a path":       "version: 1\nextends: ../../etc/QzXm\n",
		"list of a path":       rules("blocklist: {lists: [../../etc/QzXm]}"),
		"nested repetition":    pattern("((((a{1,30}){1,30}){1,30}){1,30}){1,30}"),
		"large repetition":     pattern("(a{500}){2}"),
		"look-ahead":           pattern("(?=QzXm)a"),
		"back-reference":       pattern(`(a)\1`),
		"unclosed":             pattern("(QzXm"),
		"long":                 pattern(strings.Repeat("a", 300)),
	} {
		for _, method := range []string{"PutPolicy", "SimulatePolicy"} {
			begin := time.Now()
			var err error
			if method == "PutPolicy" {
				_, err = ask[watchwordv1.PutPolicyResponse](t, s, "PolicyService/PutPolicy", &watchwordv1.PutPolicyRequest{Policy: "own", Yaml: doc})
			} else {
				_, err = ask[watchwordv1.SimulatePolicyResponse](t, s, "PolicyService/SimulatePolicy", &watchwordv1.SimulatePolicyRequest{Policy: "own", Yaml: doc, Generate: 1})
			}
			if status.Code(err) != codes.InvalidArgument || reasonOf(err) != "MALFORMED_REQUEST" || strings.Contains(err.Error(), "QzX") {
				t.Errorf("%s with %s: %v", method, why, err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("%s with %s took %v", method, why, took)
			}
		}
	}
	for _, name := range []string{"..", "../own", "a..b", "/etc/passwd", "Own", "own\n", strings.Repeat("a", 65), ".own"} {
		for method, q := range map[string]proto.Message{
			"PutPolicy": &watchwordv1.PutPolicyRequest{Policy: name, Yaml: "version: 1\n"}, "GetPolicy": &watchwordv1.GetPolicyRequest{Policy: name},
			"SetRollout": &watchwordv1.SetRolloutRequest{Policy: name}, "RollbackPolicy": &watchwordv1.RollbackPolicyRequest{Policy: name},
			"DescribePolicy": &watchwordv1.DescribePolicyRequest{Policy: name},
		} {
			err := s.Client.Conn().Invoke(t.Context(), "/watchword.v1.PolicyService/"+method, q, &watchwordv1.ClearWordsResponse{})
			if status.Code(err) != codes.InvalidArgument || strings.Contains(err.Error(), name+":") {
				t.Errorf("%s of %q: %v", method, name, err)
			}
		}
	}
	r := check(t, s, &watchwordv1.CheckPasswordRequest{Password: "12345678", Policy: "own"})
	if r.GetViolations()[0].GetParams()["min"] != "9" {
		t.Errorf("after all that: %v", r)
	}
}

// TestHostileCandidates: large and odd input has a documented cap or a clear
// error, and takes little time.
func TestHostileCandidates(t *testing.T) {
	t.Parallel()
	s, _ := still(t, "")
	call2[watchwordv1.PutPolicyResponse](t, s, "PolicyService/PutPolicy", &watchwordv1.PutPolicyRequest{Policy: "own", Yaml: `version: 1
rules:
  length: {min: 1}
  patterns:
    list:
      - {id: a, forbid: '(x+x+)+y'}
      - {id: b, forbid: '(.*)*(.*)*(.*)*z$'}
      - {id: c, forbid: '(a|aa|aaa|aaaa){1,30}b'}
  similarity: {min_distance: 16}
  fuzzy: {points: 1, words: [aaaa, aaab, aaba]}
  contains: {context: true, dictionary: true, words: [zzzz]}
`})
	many := func(n int, word string) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("%s%d", word, i))
		}
		return out
	}
	long := strings.Repeat("a", 4096)
	for _, c := range []struct {
		name   string
		q      *watchwordv1.CheckPasswordRequest
		reason string // of the refusal; empty for a judgement
	}{
		{"4,096 bytes", &watchwordv1.CheckPasswordRequest{Password: long, Policy: "own", PreviousPassword: long[1:] + "b"}, ""},
		{"4,097 bytes", &watchwordv1.CheckPasswordRequest{Password: long + "a"}, "PASSWORD_TOO_LARGE"},
		{"a previous one of 4,097 bytes", &watchwordv1.CheckPasswordRequest{Password: "a", PreviousPassword: long + "a"}, "PASSWORD_TOO_LARGE"},
		{"1 MiB", &watchwordv1.CheckPasswordRequest{Password: strings.Repeat("a", 1<<20-100)}, "PASSWORD_TOO_LARGE"},
		// U+0958 is three bytes long, and six in NFC; U+FB2C grows too.
		{"grows to 4,096", &watchwordv1.CheckPasswordRequest{Password: strings.Repeat("\u0958", 682)}, ""},
		{"grows over 4,096", &watchwordv1.CheckPasswordRequest{Password: strings.Repeat("\u0958", 684)}, "PASSWORD_TOO_LARGE"},
		{"shrinks under 4,096", &watchwordv1.CheckPasswordRequest{Password: strings.Repeat("e\u0301", 2000)}, ""},
		{"marks on one letter", &watchwordv1.CheckPasswordRequest{Password: "a" + strings.Repeat("\u0301\u0327", 900)}, ""},
		{"grows by joiners between marks", &watchwordv1.CheckPasswordRequest{Password: "a" + strings.Repeat("\u0301\u0327", 1000)}, "PASSWORD_TOO_LARGE"},
		{"expands in folding", &watchwordv1.CheckPasswordRequest{Password: strings.Repeat("\ufdfa", 1300), Policy: "mlps-l3"}, ""},
		{"10,000 context words", &watchwordv1.CheckPasswordRequest{Password: "word77-word78-word79", Policy: "mlps-l3",
			Context: &watchwordv1.PasswordContext{Words: many(10_000, "word"), Names: many(1000, "张伟明")}}, ""},
		{"10,001 context words", &watchwordv1.CheckPasswordRequest{Password: "a", Context: &watchwordv1.PasswordContext{Words: many(10_001, "w")}}, "MALFORMED_REQUEST"},
		{"words of the password", &watchwordv1.CheckPasswordRequest{Password: strings.Repeat("ab", 512), Policy: "own",
			Context: &watchwordv1.PasswordContext{Words: append(many(250, "abab"), "ab", "ba", "aba", "bab", "abab", "baba")}}, ""},
		{"hostile for the expressions", &watchwordv1.CheckPasswordRequest{Password: strings.Repeat("x", 2000) + strings.Repeat("a", 2000), Policy: "own"}, ""},
	} {
		begin := time.Now()
		r, err := ask[watchwordv1.CheckPasswordResponse](t, s, "PasswordService/CheckPassword", c.q)
		took := time.Since(begin)
		if reasonOf(err) != c.reason || (err == nil) != (c.reason == "") || took > 5*time.Second {
			t.Errorf("%s: %v in %v, want %q", c.name, err, took, c.reason)
		}
		if err == nil && r.GetDecision() == 0 {
			t.Errorf("%s: %v", c.name, r)
		}
	}
	// A context that is cut at its cap is cut in order: the first entries count.
	first := append([]string{"roadrunner"}, many(5000, "word")...)
	for _, c := range []struct {
		words []string
		want  bool
	}{{first, true}, {append(many(5000, "word"), "roadrunner"), false}} {
		r := check(t, s, &watchwordv1.CheckPasswordRequest{Password: "roadrunner-2024-1-1", Context: &watchwordv1.PasswordContext{Words: c.words}})
		if slices.Contains(rulesOf(r.GetViolations()), policy.ContextDerived) != c.want {
			t.Errorf("the word at %d: %v", slices.Index(c.words, "roadrunner"), rulesOf(r.GetViolations()))
		}
	}
}

// TestPolicyDirectoryIsReadAgain changes a file under a running server, breaks
// it, and mends it.
func TestPolicyDirectoryIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "house.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("version: 1\nrules:\n  length: {min: 9}\n")
	s := servertest.Start(t, servertest.Options{Config: "policy: {dir: " + dir + ", default: house}"})
	wait := func(version string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			j, err := s.Client.Check(t.Context(), "x", client.CheckOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(j.Version, version+".") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("version %s judges, want %s", j.Version, version)
			}
		}
	}
	write("version: 2\nrules:\n  length: {min: 10}\n")
	wait("2")
	write("version: 3\nrules:\n  lenght: {min: 10}\n")
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(s.Log.String(), "those before stay in force"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a broken file is not reported")
		}
	}
	wait("2")
	write("version: 4\nrules:\n  length: {min: 10}\n")
	wait("4")
	if n := strings.Count(s.Log.String(), "those before stay in force"); n != 1 {
		t.Errorf("a broken file was reported %d times", n)
	}
}

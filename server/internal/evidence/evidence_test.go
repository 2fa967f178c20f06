// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package evidence_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/watchword-project/watchword/api"
	_ "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/evidence"
	"github.com/watchword-project/watchword/server/internal/exposure"
	"github.com/watchword-project/watchword/server/internal/policy"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func builtin(t testing.TB, name string) *policy.Policy {
	t.Helper()
	p, ok := policy.Builtin().Get(name)
	if !ok {
		t.Fatalf("no policy %s", name)
	}
	return p
}

// sound are the facts of an installation that keeps what an installation can
// keep, under the policy of a standard.
func sound(t testing.TB, name string) *evidence.Facts {
	t.Helper()
	expires := now.Add(200 * day)
	return &evidence.Facts{
		Facts: exposure.Facts{
			Now:   now,
			Doors: []exposure.Door{{Setting: "listen.grpc", Addr: netip.MustParseAddrPort("10.0.0.5:9443"), TLS: true, ClientAuth: true, Secret: true}},
			Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, AllowWritten: true, Authenticated: true, Limited: true,
			Keys:     []exposure.Key{{ID: "k1", Name: "login", Scopes: []string{"credential.verify"}, Created: now.Add(-day), Expires: &expires}},
			Hashing:  exposure.Hashing{Scheme: "argon2id", Memory: 19 << 20, Time: 2, Parallelism: 1, Calibrated: now.Add(-day)},
			Throttle: exposure.Throttle{Profile: "pci", Shared: true, Free: 10, First: 30 * time.Minute, Longest: 30 * time.Minute, Close: 100},
			Corpora:  []exposure.Corpus{{Name: "hibp", Version: "v1", Entries: 9, Built: now.Add(-day)}},
			Events:   exposure.Events{Known: true, Intact: true, Count: 3},
		},
		Running: true, Version: "watchword-server test", Embedded: 230_000, Store: "postgres", Webhook: true,
		Policies: []evidence.InForce{{Tenant: "default", Policy: builtin(t, name), Fitting: 3000}}, Pepper: evidence.Pepper{Keys: 1},
	}
}

// profile is the policy that follows a standard.
var profile = map[string]string{"mlps-l3": "mlps-l3", "nist-800-63b-4": "nist-800-63b-4", "asvs-5": "asvs-5-l2", "pci-4.0.1": "pci-4.0.1"}

func gather(t testing.TB, f *evidence.Facts, standard, locale string) *evidence.Pack {
	t.Helper()
	p, ok := evidence.Gather(f, standard, locale)
	if !ok {
		t.Fatalf("no standard %s", standard)
	}
	return p
}

func rowOf(t testing.TB, p *evidence.Pack, clause string) evidence.Row {
	t.Helper()
	i := slices.IndexFunc(p.Rows, func(r evidence.Row) bool { return r.Clause == clause })
	if i < 0 {
		t.Fatalf("%s has no clause %s", p.Standard, clause)
	}
	return p.Rows[i]
}

// TestEveryTestNamedExists holds the names of tests to those in the tree.
func TestEveryTestNamedExists(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	tests := evidence.Tests()
	if len(tests) < 50 {
		t.Fatalf("only %d tests are named", len(tests))
	}
	for _, name := range tests {
		dot := strings.LastIndexByte(name, '.')
		files, err := filepath.Glob(filepath.Join("../../..", name[:dot], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(files, func(file string) bool {
			b, err := os.ReadFile(file)
			return err == nil && slices.ContainsFunc(declared.FindAllStringSubmatch(string(b), -1), func(m []string) bool { return m[1] == name[dot+1:] })
		})
		if !found {
			t.Errorf("there is no test %s", name)
		}
	}
}

// clauses are those that concern passwords and a service like this, by standard.
var clauses = map[string]string{
	"nist-800-63b-4": "(N1) (N2) (N3) (N4) (N5) (N6) (N7) (N8) (N9) (N10) (N11) (N12) (N13) (N14) (N15) (N16) (N17) (N18) (N19)",
	"asvs-5": "2.4.1 4.1.3 6.1.1 6.1.2 6.2.1 6.2.3 6.2.4 6.2.5 6.2.8 6.2.9 6.2.10 6.2.11 6.2.12 6.3.1 6.3.2 6.3.5 6.3.8 6.4.1 6.4.6 8.2.1 8.2.2 8.2.3 8.4.1 " +
		"11.2.1 11.2.2 11.2.4 11.4.2 11.5.1 12.3.1 12.3.5 13.2.1 13.2.3 13.4.2 13.4.5 14.2.1 14.3.2 15.1.3 15.2.2 15.3.4 15.4.2 16.2 16.3 16.4 16.5.3",
	"pci-4.0.1": "8.3.2 8.3.3 8.3.4 8.3.5 8.3.6 8.3.7 8.3.9 8.3.10.1 10.2.1.4 10.5.1",
	"mlps-l3": "L3-CES1-01 L3-CES1-02 L3-CES1-03 L3-CES1-04 L3-CES1-06 L3-CES1-07 L3-CES1-08 L3-CES1-09 L3-CES1-10 L3-CES1-12 L3-CES1-13 L3-CES1-14 L3-CES1-15 " +
		"L3-CES1-17 L3-CES1-18 L3-CES1-19 L3-CES1-20 L3-CES1-21 L3-CES1-22 L3-CES1-25 L3-CES1-26 L3-CES1-27 L3-CES1-28 L3-CES1-29 L3-CES1-30 L3-CES1-31 " +
		"L3-CES1-32 L3-CES1-33 L3-CES1-34 L3-CES1-35 21 39786-2021",
}

func TestEveryClauseIsThere(t *testing.T) {
	if got := evidence.Standards(); len(got) != len(clauses) {
		t.Errorf("the standards are %v", got)
	}
	for standard, list := range clauses {
		for _, locale := range []string{"en", "zh-CN"} {
			p := gather(t, sound(t, profile[standard]), standard, locale)
			seen := map[string]bool{}
			total := 0
			for _, r := range p.Rows {
				seen[r.Unit] = true
				for _, name := range []string{r.Clause, strings.TrimPrefix(r.Clause, "GB/T ")} {
					seen[name[strings.LastIndexByte(name, ' ')+1:]] = true
				}
				if r.Asks == "" || len(r.Why) == 0 || r.Result == "" {
					t.Errorf("%s %s in %s is not whole: %+v", standard, r.Clause, locale, r)
				}
				if r.Result != evidence.Organisational && r.Result != evidence.NotMet && len(r.Tests) == 0 {
					t.Errorf("%s %s has no test", standard, r.Clause)
				}
			}
			for _, n := range p.Results {
				total += n
			}
			if total != len(p.Rows) {
				t.Errorf("%s counts %d of %d", standard, total, len(p.Rows))
			}
			for _, id := range strings.Fields(list) {
				if !seen[id] {
					t.Errorf("%s says nothing of %s", standard, id)
				}
			}
		}
	}
}

// TestChecksExist holds the checks that clauses name to those there are.
func TestChecksExist(t *testing.T) {
	for _, standard := range evidence.Standards() {
		for _, r := range gather(t, sound(t, "nist-800-63b-4"), standard, "en").Rows {
			for _, c := range r.Checks {
				if name, ok := strings.CutPrefix(c.Name, "doctor "); ok && !slices.Contains(exposure.Checks(), name) {
					t.Errorf("%s names a check %s", r.Clause, name)
				}
			}
		}
	}
}

// TestOwnProfileKeepsItsStandard: what a policy decides is met by the profile of
// the standard.
func TestOwnProfileKeepsItsStandard(t *testing.T) {
	want := map[string][]string{
		"nist-800-63b-4": {"NIST SP 800-63B-4 3.1.1.2 (N1)", "NIST SP 800-63B-4 3.1.1.2 (N10)", "NIST SP 800-63B-4 3.1.1.2 (N12)", "NIST SP 800-63B-4 3.1.1.2 (N14)", "NIST SP 800-63B-4 3.1.1.2 (N15)", "NIST SP 800-63B-4 3.2.2 (N17)"},
		"asvs-5":         {"ASVS 5.0.0 6.2.1", "ASVS 5.0.0 6.2.12", "ASVS 5.0.0 12.3.1", "ASVS 5.0.0 11.4.2", "ASVS 5.0.0 15.2.2"},
		"pci-4.0.1":      {"PCI DSS 4.0.1 8.3.2", "PCI DSS 4.0.1 8.3.4", "PCI DSS 4.0.1 8.3.6", "PCI DSS 4.0.1 8.3.7", "PCI DSS 4.0.1 8.3.9", "PCI DSS 4.0.1 10.5.1"},
		"mlps-l3":        {"GB/T 22239-2019 8.1.4.1 a) complexity", "GB/T 22239-2019 8.1.4.1 a) regular change", "GB/T 22239-2019 8.1.4.1 c)", "GB/T 22239-2019 8.1.4.4 f)", "CSL art. 21"},
	}
	for standard, list := range want {
		p := gather(t, sound(t, profile[standard]), standard, "en")
		for _, clause := range list {
			if r := rowOf(t, p, clause); r.Result != evidence.Met {
				t.Errorf("%s is %s: %v %v", clause, r.Result, r.Why, r.Checks)
			}
		}
	}
}

// changes are settings, each with a clause that it breaks.
var changes = []struct {
	standard, clause string
	want             evidence.Result
	do               func(f *evidence.Facts)
}{
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.1.1.2 (N10)", evidence.Partly, func(f *evidence.Facts) { f.Corpora = nil }},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.1.1.2 (N10)", evidence.NotMet, func(f *evidence.Facts) { f.Corpora[0].Fault = "damaged" }},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.1.1.2 (N12)", evidence.NotMet, func(f *evidence.Facts) { f.Policies[0].Fitting = 2999 }},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.1.1.2 (N14)", evidence.NotMet, func(f *evidence.Facts) { f.Doors[0].TLS = false }},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.1.1.2 (N14)", evidence.Partly, func(f *evidence.Facts) { f.Doors[0].Addr = netip.MustParseAddrPort("127.0.0.1:1") }},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.1.1.2 (N14)", evidence.NotMet, func(f *evidence.Facts) {
		f.Certificates = []exposure.Certificate{{Setting: "listen.tls.cert", NotAfter: now}}
	}},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.1.1.2 (N14)", evidence.Partly, func(f *evidence.Facts) {
		f.Certificates = []exposure.Certificate{{Setting: "listen.tls.cert", NotAfter: now.Add(day)}}
	}},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.1.1.2 (N15)", evidence.NotMet, func(f *evidence.Facts) { f.Hashing.InsecureTestCost = true }},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.1.1.2 (N15)", evidence.Partly, func(f *evidence.Facts) { f.Hashing.Calibrated = time.Time{} }},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.2.2 (N17)", evidence.NotMet, func(f *evidence.Facts) { f.Throttle.Close = 101 }},
	{"nist-800-63b-4", "NIST SP 800-63B-4 3.2.2 (N17)", evidence.NotMet, func(f *evidence.Facts) { f.Throttle.InProcess = true }},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.2 d)", evidence.Partly, func(f *evidence.Facts) { f.Root = true }},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.3 c)", evidence.NotMet, func(f *evidence.Facts) { f.Events.Intact = false }},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.3 c)", evidence.Partly, func(f *evidence.Facts) { f.Events.Beside = true }},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.3 a)", evidence.NotMet, func(f *evidence.Facts) { f.Events.Known = false }},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.4 b)", evidence.NotMet, func(f *evidence.Facts) {
		f.Neighbours = []exposure.Neighbour{{Name: "redis://db", Kind: "Redis", Open: true}}
	}},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.4 c)", evidence.NotMet, func(f *evidence.Facts) { f.AllowWritten = false }},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.4 f)", evidence.Partly, func(f *evidence.Facts) { f.Webhook = false }},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.7 a)", evidence.NotMet, func(f *evidence.Facts) { f.Postgres = &exposure.Postgres{Password: true} }},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.8 b)", evidence.NotMet, func(f *evidence.Facts) { f.Hashing.BelowFloor = "hashing.memory" }},
	{"mlps-l3", "GB/T 22239-2019 8.1.4.9 c)", evidence.NotMet, func(f *evidence.Facts) { f.Store = "embedded" }},
	{"mlps-l3", "CSL art. 21", evidence.NotMet, func(f *evidence.Facts) { f.Retention = map[string]time.Duration{"events": 179 * day} }},
	{"asvs-5", "ASVS 5.0.0 2.4.1", evidence.Partly, func(f *evidence.Facts) { f.Limited = false }},
	{"asvs-5", "ASVS 5.0.0 13.2.1", evidence.Partly, func(f *evidence.Facts) { f.Keys[0].Expires = nil }},
	{"asvs-5", "ASVS 5.0.0 4.1.3", evidence.NotMet, func(f *evidence.Facts) { f.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }},
	{"asvs-5", "ASVS 5.0.0 12.3.1", evidence.NotMet, func(f *evidence.Facts) {
		f.Outgoing = []exposure.Outgoing{{Setting: "webhook.url", Plain: true, Secret: true}}
	}},
	{"pci-4.0.1", "PCI DSS 4.0.1 8.3.4", evidence.NotMet, func(f *evidence.Facts) { f.Throttle.First = 29 * time.Minute }},
	{"pci-4.0.1", "PCI DSS 4.0.1 8.3.4", evidence.NotMet, func(f *evidence.Facts) { f.Throttle.Free = 11 }},
	{"pci-4.0.1", "PCI DSS 4.0.1 8.3.4", evidence.Partly, func(f *evidence.Facts) { f.Throttle.Devices = true }},
	{"pci-4.0.1", "PCI DSS 4.0.1 10.5.1", evidence.NotMet, func(f *evidence.Facts) { f.Retention = map[string]time.Duration{"events": 364 * day} }},
}

// TestSettingsDecide changes one setting after the other, and looks for the
// clause that it breaks.
func TestSettingsDecide(t *testing.T) {
	for _, c := range changes {
		before := rowOf(t, gather(t, sound(t, profile[c.standard]), c.standard, "en"), c.clause)
		f := sound(t, profile[c.standard])
		c.do(f)
		after := rowOf(t, gather(t, f, c.standard, "en"), c.clause)
		if after.Result != c.want || before.Result == after.Result && c.clause != "GB/T 22239-2019 8.1.4.9 c)" {
			t.Errorf("%s goes from %s to %s, want %s: %v", c.clause, before.Result, after.Result, c.want, after.Why)
		}
		if len(after.Why) == 0 || after.Why[0] == "" {
			t.Errorf("%s does not say why it is %s", c.clause, after.Result)
		}
	}
}

// TestPoliciesDecide puts policies in force that break a clause each, in one
// tenant of two.
func TestPoliciesDecide(t *testing.T) {
	for _, c := range []struct {
		standard, rules, clause string
		want                    evidence.Result
	}{
		{"nist-800-63b-4", "length: {min: 14, min_mfa: 8}", "NIST SP 800-63B-4 3.1.1.2 (N1)", evidence.NotMet},
		{"nist-800-63b-4", "composition: {mode: enforce, min_digits: 1}", "NIST SP 800-63B-4 3.1.1.2 (N6)", evidence.NotMet},
		{"nist-800-63b-4", "breach: {mode: shadow}", "NIST SP 800-63B-4 3.1.1.2 (N10)", evidence.NotMet},
		{"asvs-5", "dictionary: {mode: shadow}", "ASVS 5.0.0 6.2.11", evidence.NotMet},
		{"asvs-5", "breach: {unavailable: {signup: embedded}}", "ASVS 5.0.0 16.5.3", evidence.Partly},
		{"pci-4.0.1", "history: {depth: 3}", "PCI DSS 4.0.1 8.3.7", evidence.NotMet},
		{"pci-4.0.1", "max_age: {mode: shadow}", "PCI DSS 4.0.1 8.3.9", evidence.NotMet},
		{"mlps-l3", "composition: {mode: shadow}", "GB/T 22239-2019 8.1.4.1 a) complexity", evidence.NotMet},
		{"mlps-l3", "max_age: {mode: shadow}", "GB/T 22239-2019 8.1.4.1 a) regular change", evidence.NotMet},
	} {
		p, err := policy.Parse("own", []byte("version: 1\nextends: "+profile[c.standard]+"\nrules:\n  "+c.rules+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		f := sound(t, profile[c.standard])
		f.Policies = append(f.Policies, evidence.InForce{Tenant: "acme", Policy: p, Fitting: 3000})
		r := rowOf(t, gather(t, f, c.standard, "en"), c.clause)
		if r.Result != c.want || !strings.Contains(strings.Join(r.Why, " "), "policy own") {
			t.Errorf("%s is %s with %s: %v", c.clause, r.Result, c.rules, r.Why)
		}
	}
}

// TestThePageIsHarmless gives names that would be markup, and looks at what a
// browser would see.
func TestThePageIsHarmless(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror=y>` + "\u202e"
	f := sound(t, "nist-800-63b-4")
	f.Policies[0].Tenant, f.Version, f.Keys[0].ID, f.Corpora[0].Name, f.Corpora[0].Version, f.Throttle.Profile = hostile, hostile, hostile, hostile, hostile, hostile
	f.Keys[0].Expires, f.Corpora[0].Fault, f.Doors[0].Setting = nil, hostile, hostile
	for _, standard := range evidence.Standards() {
		for _, locale := range []string{"en", "zh-CN"} {
			p := gather(t, f, standard, locale)
			html := string(p.HTML())
			for _, bad := range []string{"<script", "<img", "onerror=y>", " style=", "javascript:", "http://", "https://", "%!"} {
				if strings.Contains(html, bad) {
					t.Errorf("%s in %s holds %q", standard, locale, bad)
				}
			}
			style := html[strings.Index(html, "<style>")+len("<style>") : strings.Index(html, "</style>")]
			sum := sha256.Sum256([]byte(style))
			if want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(html, want) {
				t.Errorf("%s does not allow its own style and nothing else", standard)
			}
			if !strings.Contains(html, `<html lang="`+locale+`">`) || strings.Count(html, "<tr><td") != len(p.Rows) {
				t.Errorf("%s in %s lacks its language or rows", standard, locale)
			}
			for _, r := range p.Rows {
				if !strings.Contains(html, r.Result.Title(locale)) {
					t.Errorf("%s in %s does not show %s", standard, locale, r.Result)
				}
			}
			js, err := p.JSON()
			var back evidence.Pack
			if err != nil || json.Unmarshal(js, &back) != nil || len(back.Rows) != len(p.Rows) || strings.Contains(string(js), "null") {
				t.Errorf("%s: the JSON does not read back: %v", standard, err)
			}
		}
	}
}

// TestNothingIsCertified: a pack never claims what only an assessor may.
func TestNothingIsCertified(t *testing.T) {
	claims := regexp.MustCompile(`(?i)certified|compliant|accredited|guarantee|已通过认证|已认证|合规认证|通过测评|保证合规`)
	allowed := strings.NewReplacer("with certified products", "", "short-lived or certified", "")
	for _, standard := range evidence.Standards() {
		for locale, notice := range map[string]string{"en": "This is no certificate", "zh-CN": "本材料不是认证"} {
			html := string(gather(t, sound(t, profile[standard]), standard, locale).HTML())
			if !strings.Contains(html, notice) {
				t.Errorf("%s in %s does not say what it is not", standard, locale)
			}
			if m := claims.FindString(allowed.Replace(html)); m != "" {
				t.Errorf("%s in %s says %q", standard, locale, m)
			}
		}
	}
}

// TestTheContractHasNoHints looks through every field of the contract.
func TestTheContractHasNoHints(t *testing.T) {
	fields := 0
	var look func(protoreflect.MessageDescriptors)
	look = func(ms protoreflect.MessageDescriptors) {
		for i := range ms.Len() {
			for j := range ms.Get(i).Fields().Len() {
				fields++
				name := string(ms.Get(i).Fields().Get(j).Name())
				if strings.Contains(name, "hint") || strings.Contains(name, "question") {
					t.Errorf("%s has a field %s", ms.Get(i).FullName(), name)
				}
			}
			look(ms.Get(i).Messages())
		}
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("watchword.v1", func(f protoreflect.FileDescriptor) bool {
		look(f.Messages())
		return true
	})
	if fields < 100 {
		t.Errorf("only %d fields were looked at", fields)
	}
}

// TestNoSecretIsInAPath: no route of the contract has a variable in its path,
// and none takes a query.
func TestNoSecretIsInAPath(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name string `json:"name"`
				In   string `json:"in"`
			} `json:"parameters"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(api.OpenAPI, &doc); err != nil || len(doc.Paths) < 40 {
		t.Fatalf("%d paths: %v", len(doc.Paths), err)
	}
	for path, methods := range doc.Paths {
		for _, m := range methods {
			for _, p := range m.Parameters {
				if p.In != "body" && !strings.HasPrefix(path, "/range/") {
					t.Errorf("%s takes %s in its %s", path, p.Name, p.In)
				}
			}
		}
	}
}

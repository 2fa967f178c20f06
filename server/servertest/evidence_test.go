// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

type evidenceRow struct {
	Clause, Result string
	Setting, Why   []string
}

// evidenceOf asks a running server for evidence, and gives its rows by clause.
func evidenceOf(t *testing.T, s *servertest.Server, standard, locale string) map[string]evidenceRow {
	t.Helper()
	r := posted(t, s, "/v1/evidence:get", `{"standard":"`+standard+`","locale":"`+locale+`"}`)
	var pack struct {
		Source string
		Rows   []evidenceRow
	}
	if err := json.Unmarshal([]byte(r["json"].(string)), &pack); err != nil {
		t.Fatal(err)
	}
	if html := r["html"].(string); !strings.HasPrefix(html, "<!DOCTYPE html>") || !strings.Contains(html, `lang="`+locale+`"`) {
		t.Errorf("the page of %s begins %.40q", standard, html)
	}
	out := map[string]evidenceRow{}
	for _, row := range pack.Rows {
		out[row.Clause] = row
	}
	return out
}

// TestEvidenceIsOfWhatRuns changes what a server has in force while it runs, and
// asks for the evidence again.
func TestEvidenceIsOfWhatRuns(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Config: "tenants: [{name: default, policy: own}]\nthrottle: {profile: pci}", DataDir: withOwnPolicy(t)})
	length, history, tries := "NIST SP 800-63B-4 3.1.1.2 (N1)", "PCI DSS 4.0.1 8.3.7", "PCI DSS 4.0.1 8.3.4"
	hashing := "NIST SP 800-63B-4 3.1.1.2 (N15)"
	nist, pci := evidenceOf(t, s, "nist-800-63b-4", "en"), evidenceOf(t, s, "pci-4.0.1", "zh-CN")
	if nist[length].Result != "met" || pci[history].Result != "not_met" || pci[tries].Result != "met" {
		t.Errorf("at first: %v %v %v", nist[length], pci[history], pci[tries])
	}
	// This server hashes at the cost of tests, and says so.
	if nist[hashing].Result != "not_met" || !strings.Contains(strings.Join(nist[hashing].Setting, " "), "64 KiB, 1 passes") {
		t.Errorf("of the hashing in force: %v", nist[hashing])
	}
	put := func(rules string) string {
		doc, _ := json.Marshal("version: 1\nextends: nist-800-63b-4\nrules:\n  " + rules + "\n")
		return posted(t, s, "/v1/policies:put", `{"policy":"own","yaml":`+string(doc)+`}`)["version"].(string)
	}
	version := put("length: {min: 8, min_mfa: 8}\n  history: {mode: enforce, depth: 4}")
	if r := evidenceOf(t, s, "nist-800-63b-4", "en")[length]; r.Result != "met" {
		t.Errorf("with a candidate that judges nobody: %v", r)
	}
	posted(t, s, "/v1/policies:rollout", `{"policy":"own","version":"`+version+`","percent":10}`)
	if r := evidenceOf(t, s, "nist-800-63b-4", "en")[length]; r.Result != "not_met" || !strings.Contains(strings.Join(r.Setting, " "), version) {
		t.Errorf("with a candidate that judges a tenth: %v", r)
	}
	if r := evidenceOf(t, s, "pci-4.0.1", "en")[history]; r.Result != "not_met" {
		t.Errorf("with a history for a tenth: %v", r)
	}
	posted(t, s, "/v1/policies:rollout", `{"policy":"own","version":"`+version+`","percent":100}`)
	if r := evidenceOf(t, s, "pci-4.0.1", "en")[history]; r.Result != "met" {
		t.Errorf("with a history for all: %v", r)
	}
	for body, want := range map[string]int{`{"standard":"iso"}`: 400, `{}`: 400, `{"standard":"mlps-l3","locale":"fr"}`: 400, `{"standard":"../x"}`: 400} {
		if code, text := s.Post("/v1/evidence:get", body); code != want || strings.Contains(text, "../x") {
			t.Errorf("evidence for %s: %d %s", body, code, text)
		}
	}
	// It tells of the whole installation, so another tenant does not get it.
	_, secret, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "k", Tenant: "acme", Scopes: []string{"system.read"}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, s.URL+"/v1/evidence:get", strings.NewReader(`{"standard":"mlps-l3"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+secret)
	if code, _, text := s.Do(req); code != 403 {
		t.Errorf("another tenant gets %d %.80s", code, text)
	}
}

// withOwnPolicy makes a data directory whose store has a policy "own" like the
// default.
func withOwnPolicy(t *testing.T) string {
	t.Helper()
	s := servertest.New(t)
	doc, _ := json.Marshal("version: 1\nextends: nist-800-63b-4\n")
	posted(t, s, "/v1/policies:put", `{"policy":"own","yaml":`+string(doc)+`}`)
	s.Stop()
	return s.DataDir
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

package servertest_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists"
)

// holdings are what a process holds that a reload may forget to give back.
type holdings struct{ goroutines, files, mappings int }

func held(t testing.TB) holdings {
	t.Helper()
	runtime.GC()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return holdings{runtime.NumGoroutine(), len(fds), bytes.Count(maps, []byte(".wwix"))}
}

// seen is what one answer showed of what judged it.
type seen struct{ policy, corpus, decision, found string }

// TestReloadsUnderLoad reloads policy, corpus and certificate again and again
// while passwords are judged, every fifth time from files that are half written.
// Every answer belongs to one whole version, half a file changes nothing and is
// told, and in the end the process holds what it held. 60 reloads; a thousand
// with WATCHWORD_LONG=1.
func TestReloadsUnderLoad(t *testing.T) {
	rounds := 60
	if os.Getenv("WATCHWORD_LONG") != "" {
		rounds = 1000
	}
	dir := t.TempDir()
	policies, path := filepath.Join(dir, "policies"), filepath.Join(dir, "a.wwix")
	if err := os.Mkdir(policies, 0o700); err != nil {
		t.Fatal(err)
	}
	// Two of each: under the second policy and corpus the password is too short,
	// and leaked.
	const candidate = "twenty-one characters"
	policyOf := func(i int) []byte {
		return fmt.Appendf(nil, "name: swapped\nversion: %d\nrules:\n  length: {min: %d, min_mfa: 8}\n  breach: {threshold: 1}\n", i+1, []int{15, 30}[i%2])
	}
	var lists [2][]byte
	for i, words := range [][]string{manyWords(40), append(manyWords(40), candidate)} {
		buildCorpus(t, path, wordlists.SHA1, words...)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lists[i] = b
	}
	put := func(i int) {
		putInPlace(t, policyOf(i), filepath.Join(policies, "swapped.yaml"))
		putInPlace(t, lists[i%2], path)
		certify(t, dir, int64(i+1))
	}
	half := func(i int) {
		putInPlace(t, policyOf(i)[:45], filepath.Join(policies, "swapped.yaml"))
		putInPlace(t, lists[i%2][:len(lists[0])/2], path)
		if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("-----BEGIN CERTIFICATE-----\nMIIB"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf(
		"policy: {dir: %[1]s/policies}\ncorpora: [{name: a, path: %[1]s/a.wwix, unbounded: true}]\nlisten: {tls: {cert: %[1]s/cert.pem, key: %[1]s/cert.key}}", dir)})
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 8}, Timeout: 20 * time.Second}
	defer web.CloseIdleConnections()
	body, err := json.Marshal(map[string]string{"password": candidate, "policy": "swapped"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (x seen, err error) {
		req, err := http.NewRequest(http.MethodPost, s.URL+"/v1/passwords:check", bytes.NewReader(body))
		if err != nil {
			return x, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+s.Key)
		resp, err := web.Do(req)
		if err != nil {
			return x, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return x, fmt.Errorf("%d %s: %w", resp.StatusCode, b, err)
		}
		var a struct {
			Decision, PolicyVersion string
			Violations              []struct{ Rule string }
			Breach                  struct {
				Found                 bool
				Status, CorpusVersion string
			}
		}
		if err := json.Unmarshal(b, &a); err != nil || a.Breach.Status != "BREACH_STATUS_PERFORMED" {
			return x, fmt.Errorf("%s: %w", b, err)
		}
		short := "long enough"
		for _, v := range a.Violations {
			if strings.Contains(v.Rule, "SHORT") || strings.Contains(v.Rule, "LENGTH") {
				short = "too short"
			}
		}
		return seen{a.PolicyVersion, a.Breach.CorpusVersion, short, fmt.Sprint(a.Breach.Found)}, nil
	}
	serial := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", s.GRPCAddr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}

	var over atomic.Bool
	var wg sync.WaitGroup
	var mu sync.Mutex
	decisions, founds := map[string]string{}, map[string]string{}
	answers := 0
	note := func(x seen) {
		mu.Lock()
		defer mu.Unlock()
		answers++
		for _, of := range []struct {
			m         map[string]string
			key, said string
		}{{decisions, "policy " + x.policy, x.decision}, {founds, "corpus " + x.corpus, x.found}} {
			if before, ok := of.m[of.key]; ok && before != of.said {
				t.Errorf("%s says %s, and %s", of.key, before, of.said)
			}
			of.m[of.key] = of.said
		}
	}
	load := func() {
		for range 3 {
			wg.Go(func() {
				for !over.Load() {
					x, err := ask()
					if err != nil {
						t.Errorf("during a reload: %v", err)
						return
					}
					note(x)
				}
			})
		}
	}
	reload := func(i int) {
		t.Helper()
		torn := i%5 == 4
		if torn {
			half(i)
		} else {
			put(i)
		}
		// A policy is taken when two looks in a row find the same; its fault is the
		// error, those of the others are in the log.
		_ = s.Reload(t.Context())
		if err := s.Reload(t.Context()); (err != nil) != torn {
			t.Fatalf("reload %d: %v", i, err)
		}
		last := i
		if torn {
			last--
		}
		x, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		want := []seen{{decision: "long enough", found: "false"}, {decision: "too short", found: "true"}}[last%2]
		if x.decision != want.decision || x.found != want.found {
			t.Fatalf("after reload %d: %+v, want %+v", i, x, want)
		}
		if got := serial(); got != int64(last+1) {
			t.Fatalf("after reload %d the certificate is number %d, want %d", i, got, last+1)
		}
	}
	for i := 1; i < 10; i++ { // what is made once is made
		reload(i)
	}
	web.CloseIdleConnections()
	before := held(t)
	load()
	for i := 10; i < 10+rounds; i++ {
		reload(i)
	}
	over.Store(true)
	wg.Wait()
	web.CloseIdleConnections()
	var after holdings
	wait(t, func() bool { // connections that were closed end within moments
		after = held(t)
		return after.goroutines <= before.goroutines+5 && after.files <= before.files+5 && after.mappings == before.mappings
	})
	log := s.Log.String()
	for _, said := range []string{"a changed certificate was not taken", "a changed corpus was not taken"} {
		if n := strings.Count(log, said); n < rounds/5 {
			t.Errorf("%q was said %d times, want %d", said, n, rounds/5)
		}
	}
	if len(founds) != 2 || len(decisions) < rounds/2 || answers < rounds/2 {
		t.Errorf("%d answers of %d corpora and %d policies: the load was none", answers, len(founds), len(decisions))
	}
	t.Logf("%d reloads, %d answers: held %+v before and %+v after", rounds, answers, before, after)
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/daemon"
	"github.com/watchword-project/watchword/server/internal/exposure"
)

// seed is one misconfiguration: a line of configuration, a change to the files,
// and the check that must find it.
type seed struct {
	check  string
	config string // {dir} stands for a directory with files
	do     func(t *testing.T, dir, data string)
}

func chmod(name string, mode os.FileMode) func(*testing.T, string, string) {
	return func(t *testing.T, dir, data string) {
		t.Helper()
		path := filepath.Join(data, name)
		if name == "" {
			path = data
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func put(name, text string, mode os.FileMode) func(*testing.T, string, string) {
	return func(t *testing.T, dir, data string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// pair writes a certificate that is valid between two times from now.
func pair(from, to time.Duration, bits int) func(*testing.T, string, string) {
	return func(t *testing.T, dir, data string) {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "w"}, DNSNames: []string{"localhost"},
			NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)}
		var public, private any
		if bits > 0 {
			k, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				t.Fatal(err)
			}
			public, private = k.Public(), k
		} else {
			k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			public, private = k.Public(), k
		}
		cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "cert.key": {Type: "PRIVATE KEY", Bytes: der}} {
			if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const (
	day     = 24 * time.Hour
	withTLS = "tls: {cert: {dir}/cert.pem, key: {dir}/cert.key}"
)

// seeds are the misconfigurations that doctor is known to find.
var seeds = []seed{
	{"door.plaintext", "listen: {grpc: 0.0.0.0:0}", nil},
	{"door.every-address", "listen: {http: '0.0.0.0:0'}", nil},
	{"door.no-allow-list", "listen: {grpc: 192.0.2.1:9443}", nil},
	{"door.no-authentication", "listen: {grpc: 192.0.2.1:9443}", nil},
	{"door.no-quota", "listen: {grpc: 192.0.2.1:9443}", nil},
	{"events.one-place", "listen: {grpc: 192.0.2.1:9443}", nil},
	{"door.allow-everyone", "listen: {allow: [0.0.0.0/0]}", nil},
	{"door.allow-everyone", "listen: {allow: ['::/0']}", nil},
	{"proxy.everyone", "listen: {trusted_proxies: [0.0.0.0/0]}", nil},
	{"range.everyone", "range: {anonymous_from: ['::/0']}", nil},
	{"cors.everyone", "listen: {cors_origins: ['*']}", nil},
	{"cors.plaintext", "listen: {cors_origins: ['http://app.example']}", nil},
	{"door.no-secret", "listen: {forward_auth: 127.0.0.1:0}", nil},
	{"tls.expired", "listen: {" + withTLS + "}", pair(-10*day, -day, 0)},
	{"tls.not-yet", "listen: {" + withTLS + "}", pair(10*day, 400*day, 0)},
	{"tls.expires-soon", "listen: {" + withTLS + "}", pair(-day, 5*day, 0)},
	{"tls.weak-key", "listen: {" + withTLS + "}", pair(-day, 90*day, 1024)},
	{"tls.unusable", "listen: {" + withTLS + "}", put("cert.pem", "no certificate", 0o600)},
	{"file.readable", "", chmod("signing.key", 0o644)},
	{"file.readable", "", chmod("pepper.key", 0o640)},
	{"file.readable", "", chmod("admin.key", 0o604)},
	{"file.dir-open", "", chmod("", 0o755)},
	{"file.readable", "webhook: {url: 'https://hooks.example', secret_file: {dir}/hook}", put("hook", "a secret that is long enough", 0o644)},
	{"file.writable", "policy: {dir: {dir}}", func(t *testing.T, dir, data string) {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}},
	{"file.missing", "pepper: {keys: [{id: a, file: {dir}/gone.key, state: active}]}", nil},
	{"file.writable", "", chmod("events.jsonl", 0o666)},
	{"outgoing.plaintext", "webhook: {url: 'http://hooks.example/x'}", nil},
	{"outgoing.unsigned", "webhook: {url: 'https://hooks.example/x'}", nil},
	{"hashing.test-cost", "hashing: {insecure_test_cost: true, memory: 64KiB, time: 1}", nil},
	{"hashing.below-floor", "hashing: {insecure_test_cost: true, memory: 64KiB, time: 1}", nil},
	{"throttle.loose", "throttle: {subject_free: 50}", nil},
	{"retention.short", "retention: {events: 30d}", nil},
	{"corpus.unusable", "corpora: [{name: c, path: {dir}/none.wwix}]", nil},
	{"key.wide", "auth: {mtls: [{name: app, scopes: [password.check, password.hash, credential.read, credential.write, credential.verify, throttle.attempt, throttle.admin, breach.query, policy.read]}]}", nil},
	{"key.test", "auth: {mtls: [{name: test-app, scopes: [password.check]}]}", nil},
	{"oidc.long-lived", "auth: {oidc: {issuer: 'https://login.example', max_lifetime: 12h}}", nil},
	{"redis.unreachable", "{throttle: {store: redis}, redis: {addrs: ['127.0.0.1:1']}}", nil},
	{"redis.no-password", "{throttle: {store: redis}, redis: {addrs: ['127.0.0.1:1']}}", nil},
	{"redis.plaintext", "{throttle: {store: redis}, redis: {addrs: ['192.0.2.1:6379']}}", nil},
	{"events.broken", "", func(t *testing.T, dir, data string) {
		path := filepath.Join(data, "events.jsonl")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(b), "server.start", "server.begin", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}},
	{"events.broken", "", func(t *testing.T, dir, data string) {
		if err := os.Remove(filepath.Join(data, "events.jsonl")); err != nil {
			t.Fatal(err)
		}
	}},
}

// installed makes a data directory by a start and a stop.
func installed(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	c := daemon.Default()
	c.Listen.GRPC, c.Listen.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	s, err := daemon.Start(t.Context(), daemon.Options{Config: c, DataDir: data, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	return data
}

// examine gives the names of the checks that found something.
func examine(t *testing.T, config, dir, data string) map[string]string {
	t.Helper()
	file := filepath.Join(dir, "watchword.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(config, "{dir}", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := daemon.Load(file)
	if err != nil {
		t.Fatalf("configuration: %v", err)
	}
	out := map[string]string{}
	for _, locale := range []string{"en", "zh-CN"} {
		found, err := daemon.Examine(t.Context(), c, data, locale)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			out[f.GetCheck()] = f.GetMessage()
			if f.GetMessage() == "" || f.GetFix() == "" || len(f.GetClauses()) == 0 || f.GetSeverity() == 0 || strings.Contains(f.GetMessage(), "%!") {
				t.Errorf("%s in %s is not whole: %v", f.GetCheck(), locale, f)
			}
			if strings.Contains(f.GetMessage(), data) {
				t.Errorf("%s tells where the data is", f.GetCheck())
			}
		}
	}
	return out
}

func TestDoctorFindsWhatWasPlanted(t *testing.T) {
	t.Parallel()
	clean := installed(t)
	if found := examine(t, "", t.TempDir(), clean); len(found) > 0 {
		t.Errorf("a clean installation has findings: %v", found)
	}
	n := 0
	for i, s := range seeds {
		t.Run(fmt.Sprintf("%d %s", i, s.check), func(t *testing.T) {
			dir, data := t.TempDir(), filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(data, os.DirFS(clean)); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"", "signing.key", "pepper.key", "admin.key", "watchword.db", "events.jsonl", "events.checkpoint"} {
				mode := os.FileMode(0o600)
				if name == "" {
					mode = 0o700
				}
				if err := os.Chmod(filepath.Join(data, name), mode); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			if s.do != nil {
				s.do(t, dir, data)
			}
			found := examine(t, s.config, dir, data)
			if _, ok := found[s.check]; !ok {
				t.Errorf("not found among %v", found)
				return
			}
			n++
		})
	}
	t.Logf("%d of %d planted faults found", n, len(seeds))
}

// TestNeighbours asks services that answer strangers, and some that do not.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
			t.Errorf("a neighbour was asked with %s and %q", r.Method, r.Header)
		}
		fmt.Fprint(w, `{"cluster_name":"c","tagline":"You Know, for Search"}`)
	}))
	defer open.Close()
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer closed.Close()
	line := func(reply string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				b := make([]byte, 512)
				_, _ = c.Read(b)
				_, _ = io.WriteString(c, reply)
				c.Close()
			}
		}()
		return l.Addr().String()
	}
	for address, want := range map[string]bool{
		open.URL: true, closed.URL: false,
		"elasticsearch://" + strings.TrimPrefix(open.URL, "http://"): true,
		"redis://" + line("+PONG\r\n"):                               true,
		"redis://" + line("-NOAUTH Authentication required.\r\n"):    false,
		"postgres://" + line("R\x00\x00\x00\x08\x00\x00\x00\x00"):    true,
		"postgres://" + line("R\x00\x00\x00\x08\x00\x00\x00\x0a"):    false,
		"memcached://" + line("STAT pid 1\r\n"):                      true,
		"redis://127.0.0.1:1":                                        false,
	} {
		if n := exposure.Ask(t.Context(), address); n.Open != want {
			t.Errorf("%s is open: %v, want %v", address, n.Open, want)
		}
	}
	for _, address := range []string{"redis://user:secret@127.0.0.1", "ftp://x", "x", "http://"} {
		if exposure.CheckNeighbour(address) == nil {
			t.Errorf("%s is taken for a neighbour", address)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/daemon"
	"github.com/watchword-project/watchword/server/internal/exposure"
	"github.com/watchword-project/watchword/server/internal/storetest/procs"
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
	asking  = "listen: {tls: {cert: {dir}/cert.pem, key: {dir}/cert.key, client_ca: {dir}/cert.pem}}\n"
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
	{"key.wide", asking + "auth: {mtls: [{name: app, scopes: [password.check, password.hash, credential.read, credential.write, credential.verify, throttle.attempt, throttle.admin, breach.query, policy.read]}]}", pair(-day, 90*day, 0)},
	{"key.test", asking + "auth: {mtls: [{name: test-app, scopes: [password.check]}]}", pair(-day, 90*day, 0)},
	{"oidc.long-lived", "auth: {oidc: {issuer: 'https://login.example', max_lifetime: 12h}}", nil},
	{"redis.unreachable", "{throttle: {store: redis}, redis: {addrs: ['127.0.0.1:1']}}", nil},
	{"redis.no-password", "{throttle: {store: redis}, redis: {addrs: ['127.0.0.1:1']}}", nil},
	{"hashing.uncalibrated", "listen: {grpc: 192.0.2.1:9443}", nil},
	{"hashing.old-calibration", "hashing: {calibrated: 2020-01-31}", nil},
	{"corpus.none", "listen: {grpc: 192.0.2.1:9443}", nil},
	{"oidc.plaintext", "auth: {oidc: {issuer: 'http://login.example'}}", nil},
	{"oidc.plaintext", "auth: {oidc: {issuer: 'https://login.example', jwks_url: 'http://login.example/keys'}}", nil},
	{"tls.expired", "auth: {oidc: {issuer: 'https://login.example', ca: {dir}/cert.pem}}", pair(-9*day, -day, 0)},
	{"pepper.old", "", func(t *testing.T, _, data string) {
		long := time.Now().Add(-1200 * day)
		if err := os.Chtimes(filepath.Join(data, "pepper.key"), long, long); err != nil {
			t.Fatal(err)
		}
	}},
	{"file.link", "", func(t *testing.T, dir, data string) {
		key, aside := filepath.Join(data, "admin.key"), filepath.Join(dir, "aside")
		if err := os.Rename(key, aside); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(aside, key); err != nil {
			t.Fatal(err)
		}
	}},
	{"file.foreign", "", func(t *testing.T, _, data string) {
		if err := os.Chown(filepath.Join(data, "admin.key"), 65532, -1); err != nil {
			t.Skip("only root can give a file away")
		}
	}},
	{"neighbour.open", "doctor: {neighbours: ['redis://{pong}']}", nil},
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
	config = strings.ReplaceAll(config, "{dir}", dir)
	if strings.Contains(config, "{pong}") {
		config = strings.ReplaceAll(config, "{pong}", answering(t, "+PONG\r\n"))
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
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

// copied copies a data directory, with its modes.
func copied(t *testing.T, clean string) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
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
	return data
}

func TestDoctorFindsWhatWasPlanted(t *testing.T) {
	t.Parallel()
	clean := installed(t)
	t.Run("keys of a token issuer that nobody is asked for", func(t *testing.T) {
		t.Parallel()
		dir, data := t.TempDir(), copied(t, clean)
		put("jwks.json", "{}", 0o600)(t, dir, data)
		check(t, examine(t, "auth: {oidc: {issuer: 'http://login.example', jwks_file: {dir}/jwks.json}}", dir, data), nil, []string{"oidc.plaintext"})
	})
	if found := examine(t, "", t.TempDir(), clean); len(found) > 0 {
		t.Errorf("a clean installation has findings: %v", found)
	}
	n := 0
	for i, s := range seeds {
		t.Run(fmt.Sprintf("%d %s", i, s.check), func(t *testing.T) {
			dir, data := t.TempDir(), copied(t, clean)
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

// answering listens and answers whatever is asked with one reply.
func answering(t *testing.T, reply string) string {
	t.Helper()
	return listening(t, func(c net.Conn) {
		b := make([]byte, 512)
		_, _ = c.Read(b)
		_, _ = io.WriteString(c, reply)
	})
}

// listening serves connections one after the other until the test ends.
func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
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
			serve(c)
			c.Close()
		}
	}()
	return l.Addr().String()
}

// mongo stands in for a mongod, which no package source here has: it reads one
// OP_MSG as the wire protocol has it, insists on every field, and answers as a
// server does with authentication off or on (error 13, Unauthorized).
func mongo(t *testing.T, open bool) string {
	t.Helper()
	return listening(t, func(c net.Conn) {
		var head [21]byte // length, request, response, code, flags, section kind
		if _, err := io.ReadFull(c, head[:]); err != nil {
			t.Errorf("mongod: no header: %v", err)
			return
		}
		length, code := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[12:])
		if code != 2013 || binary.LittleEndian.Uint32(head[16:]) != 0 || head[20] != 0 || length > 1<<10 {
			t.Errorf("mongod: not an OP_MSG with one document: %x", head)
			return
		}
		doc := make([]byte, length-uint32(len(head)))
		if _, err := io.ReadFull(c, doc); err != nil || binary.LittleEndian.Uint32(doc) != uint32(len(doc)) || doc[len(doc)-1] != 0 {
			t.Errorf("mongod: not a document of its length: %x, %v", doc, err)
			return
		}
		if want := "\x10listDatabases\x00\x01\x00\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00"; string(doc[4:]) != want {
			t.Errorf("mongod: asked %q, want %q", doc[4:], want)
		}
		bson := func(elements string) string {
			return string(binary.LittleEndian.AppendUint32(nil, uint32(len(elements)+5))) + elements + "\x00"
		}
		str := func(name, value string) string {
			return "\x02" + name + "\x00" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(value)+1))) + value + "\x00"
		}
		ok := func(v float64) string {
			return "\x01ok\x00" + string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
		}
		answer := bson(ok(0) + str("errmsg", "command listDatabases requires authentication") + "\x10code\x00\x0d\x00\x00\x00" + str("codeName", "Unauthorized"))
		if open {
			answer = bson("\x04databases\x00" + bson("\x030\x00"+bson(str("name", "orders"))) + ok(1))
		}
		reply := binary.LittleEndian.AppendUint32(nil, uint32(21+len(answer)))
		reply = append(reply, "\x07\x00\x00\x00\x01\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x00"...)
		_, _ = c.Write(append(reply, answer...))
	})
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
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "orders") }))
	defer secure.Close()
	// etcd answers a stranger's range with the error 16 (Unauthenticated) of gRPC,
	// which its gateway makes 401, once authentication is on.
	etcd := func(open bool) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var q struct {
				Key   []byte `json:"key"`
				Count bool   `json:"count_only"`
			}
			if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/v3/kv/range" || string(q.Key) != "\x00" || !q.Count {
				t.Errorf("etcd was asked %s %v: %v", r.URL, q, err)
			}
			if !open {
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"error":"etcdserver: user name is empty","code":16}`)
				return
			}
			fmt.Fprint(w, `{"header":{"revision":"7"}}`)
		}))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/version" {
			t.Errorf("Docker was asked %s %s", r.Method, r.URL)
		}
		fmt.Fprint(w, `{"Version":"27.0","ApiVersion":"1.46"}`)
	}))
	defer engine.Close()
	docker := strings.TrimPrefix(engine.URL, "http://")
	for address, want := range map[string]bool{
		open.URL: true, closed.URL: false, secure.URL: true,
		"elasticsearch://" + strings.TrimPrefix(open.URL, "http://"):      true,
		"redis://" + answering(t, "+PONG\r\n"):                            true,
		"redis://" + answering(t, "-NOAUTH Authentication required.\r\n"): false,
		"postgres://" + answering(t, "R\x00\x00\x00\x08\x00\x00\x00\x00"): true,
		"postgres://" + answering(t, "R\x00\x00\x00\x08\x00\x00\x00\x0a"): false,
		"mongodb://" + mongo(t, true):                                     true,
		"mongodb://" + mongo(t, false):                                    false,
		"etcd://" + etcd(true):                                            true,
		"etcd://" + etcd(false):                                           false,
		"docker://" + docker:                                              true,
		"memcached://" + answering(t, "STAT pid 1\r\n"):                   true,
		"redis://127.0.0.1:1":                                             false,
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

// TestNeighboursAreAskedWithinBounds: a neighbour that says nothing, never
// stops, or leads elsewhere costs a bounded time and a bounded reading.
func TestNeighboursAreAskedWithinBounds(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	redirect := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer redirect.Close()
	var sent atomic.Int64
	endless := listening(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		junk := bytes.Repeat([]byte("x"), 64<<10)
		for {
			n, err := c.Write(junk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	silent := listening(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	var wg sync.WaitGroup
	for _, address := range []string{redirect.URL, "http://" + endless, "http://" + silent, "redis://" + silent, "rediss://" + silent, "postgres://" + silent,
		"mongodb://" + silent, "memcached://" + silent, "etcd://" + silent, "docker://" + silent, "mongodb://" + answering(t, "\x00\x00\x00\x00"),
		"mongodb://" + answering(t, "\xff\xff\xff\xff"), "redis://" + answering(t, strings.Repeat("+", 100_000))} {
		wg.Go(func() {
			begin := time.Now()
			n := exposure.Ask(t.Context(), address)
			if n.Open != (address == "http://"+endless) {
				t.Errorf("%s is open: %v", address, n.Open)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s took %v", address, took)
			}
		})
	}
	wg.Wait()
	// What the sockets of both sides hold comes on top of what is read.
	if n := sent.Load(); n > 32<<20 {
		t.Errorf("%d bytes of an endless answer were taken", n)
	}
}

// TestNobodyChoosesTheNeighbours: who may ask for the exposure says in which
// language, and nothing else; what is asked is what the operator listed.
func TestNobodyChoosesTheNeighbours(t *testing.T) {
	t.Parallel()
	fields := (&watchwordv1.GetExposureRequest{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if name := fields.Get(i).Name(); name != "locale" {
			t.Errorf("a caller may say %s", name)
		}
	}
}

// TestDoctorFindsOldKeys looks at an installation that was made, with its keys,
// four hundred days ago.
func TestDoctorFindsOldKeys(t *testing.T) {
	t.Parallel()
	data, then := filepath.Join(t.TempDir(), "data"), time.Now().Add(-400*day)
	c := daemon.Default()
	c.Listen.GRPC, c.Listen.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	s, err := daemon.Start(t.Context(), daemon.Options{Config: c, DataDir: data, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return then }})
	if err != nil {
		t.Fatal(err)
	}
	o, err := daemon.Operate(data)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	far := timestamppb.New(time.Now().Add(900 * day))
	all := []string{"password.check", "password.hash", "credential.read", "credential.write", "credential.verify", "throttle.attempt", "throttle.admin", "breach.query", "policy.read"}
	for _, k := range []*watchwordv1.CreateKeyRequest{
		{Name: "signup", Scopes: []string{"password.check"}},
		{Name: "login", Scopes: []string{"credential.verify"}, ExpireTime: far},
		{Name: "admin", Scopes: []string{"key.admin"}, ExpireTime: far},
		{Name: "office", Scopes: []string{"key.admin"}, ExpireTime: far, Networks: []string{"0.0.0.0/0"}},
		{Name: "all", Scopes: all, ExpireTime: far},
		{Name: "tmp", Scopes: []string{"password.check"}, ExpireTime: far},
	} {
		if _, err := o.Admin.CreateKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	found := examine(t, "", t.TempDir(), data)
	for _, check := range []string{"key.old", "key.no-expiry", "key.far-expiry", "key.no-networks", "key.wide-networks", "key.wide", "key.test", "key.owner"} {
		if found[check] == "" {
			t.Errorf("%s is not among %v", check, found)
		}
	}
}

// TestDoctorAsksTheRealStores starts a Redis and a PostgreSQL as careless
// operators do, and as careful ones do.
func TestDoctorAsksTheRealStores(t *testing.T) {
	t.Parallel()
	clean := installed(t)
	config := func(addr, password string) string {
		return fmt.Sprintf("{store: {kind: redis}, throttle: {store: redis}, redis: {addrs: ['%s']%s}}", addr, password)
	}
	for _, c := range []struct {
		name         string
		args         []string
		password     bool
		want, silent []string
	}{
		{"careless", []string{"--maxmemory-policy", "allkeys-lru", "--appendonly", "no", "--protected-mode", "no"}, false,
			[]string{"redis.no-password", "redis.eviction", "redis.persistence", "redis.protected-mode", "store.durability"}, []string{"redis.unreachable", "redis.bind", "clock.offset"}},
		{"syncs every second", []string{"--appendfsync", "everysec"}, false, []string{"store.durability"}, []string{"redis.persistence", "redis.eviction"}},
		{"careful", []string{"--requirepass", "a-long-random-password"}, true, nil,
			[]string{"redis.no-password", "redis.unreachable", "redis.eviction", "redis.persistence", "redis.protected-mode", "redis.bind", "store.durability", "clock.offset"}},
	} {
		t.Run("Redis that is "+c.name, func(t *testing.T) {
			t.Parallel()
			dir, data := t.TempDir(), copied(t, clean)
			password := ""
			if c.password {
				put("redis.password", "a-long-random-password", 0o600)(t, dir, data)
				password = ", password_file: {dir}/redis.password"
			}
			check(t, examine(t, config(procs.RedisServer(t, c.args...).Addr, password), dir, data), c.want, c.silent)
		})
	}
	t.Run("PostgreSQL that lets everybody in", func(t *testing.T) {
		t.Parallel()
		dir, data := t.TempDir(), copied(t, clean)
		pg := procs.Postgres(t, "fsync=off")
		put("dsn", pg.DSN("postgres"), 0o600)(t, dir, data)
		check(t, examine(t, "{store: {kind: postgres}, postgres: {dsn_file: {dir}/dsn}}", dir, data),
			[]string{"postgres.no-password", "postgres.superuser", "store.durability", "throttle.alone"}, []string{"postgres.tls", "clock.offset"})
		u, err := url.Parse(pg.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		if n := exposure.Ask(t.Context(), "postgres://"+u.Host); !n.Open {
			t.Errorf("a stranger is not let in: %+v", n)
		}
		put("dsn", "postgres://app:secret-of-the-dsn@db.example/w?sslmode=require&connect_timeout=2", 0o600)(t, dir, data)
		// With a store that is out of reach all else is examined all the same.
		found := examine(t, "{store: {kind: postgres}, postgres: {dsn_file: {dir}/dsn}, retention: {events: 30d}}", dir, data)
		check(t, found, []string{"store.unusable", "postgres.tls", "retention.short"}, nil)
		if strings.Contains(found["store.unusable"], "secret-of-the-dsn") {
			t.Errorf("a finding repeats the DSN: %s", found["store.unusable"])
		}
	})
}

func check(t *testing.T, found map[string]string, want, silent []string) {
	t.Helper()
	for _, c := range want {
		if found[c] == "" {
			t.Errorf("%s is not among %v", c, found)
		}
	}
	for _, c := range silent {
		if found[c] != "" {
			t.Errorf("a false alarm: %s: %s", c, found[c])
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"github.com/watchword-project/watchword/server/internal/daemon"
)

// manual is the configuration as the reference shows it, with its defaults.
const manual = `
listen:   {grpc: 127.0.0.1:9443, http: 127.0.0.1:8443, tls: {cert: , key: , client_ca: }, allow: [127.0.0.0/8, "::1/128"],
           trusted_proxies: [], hosts: [], cors_origins: [], auth_policy: , auth_policy_secret_file: , forward_auth: , console: }
auth:     {mtls: [], oidc: {issuer: , audience: , algorithms: [], scope_claim: }}
hashing:  {memory: 19MiB, time: 2, parallelism: 1, memory_budget: 256MiB, queue_wait: 500ms, insecure_test_cost: false}
policy:   {default: nist-800-63b-4, dir: }
throttle: {store: memory, profile: nist, on_store_failure: degrade, subject_free: , prefix_burst: }
store:    {kind: embedded}
redis:    {addrs: [127.0.0.1:6379], username: , password_file: , tls: {}, mode: single, master: }
postgres: {dsn_file: }
corpora:  []
range:    {anonymous_from: []}
limits:   {per_key_rps: 0, per_key_concurrency: 0}
tenants:  []
pepper:   {keys: []}
events:   {sink: file, path: , checkpoint: }
retention: {}
doctor:   {neighbours: []}
webhook:  {url: , secret_file: }
telemetry: {otlp_endpoint: , metrics_addr: }
`

func read(text string) (daemon.Config, error) { return daemon.Read(strings.NewReader(text)) }

// same compares configurations; what is empty and what is absent is one.
var same = cmp.Options{cmpopts.IgnoreUnexported(daemon.Config{}), cmpopts.EquateEmpty()}

func TestDefaultsAreTheManuals(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "a comment": "# nothing\n", "the manual": manual, "an empty map": "{}"} {
		c, err := read(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(daemon.Default(), c, same); diff != "" {
			t.Errorf("%s differs from the defaults, want -, got +:\n%s", name, diff)
		}
	}
}

// TestReadRefuses: the error tells line or key, and repeats no value.
func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"lissten: {}":                                        "line 1: there is no key lissten here",
		"listen: {grpcc: marker7731}":                        "line 1: there is no key grpcc here",
		"policy:\n  default: a\n  default: marker7731":       "line 3",
		"policy: {}\npolicy: {}":                             "line 2",
		"hashing: {time: marker7731}":                        "line 1",
		"hashing: {time: 1e3}":                               "from 1 to 255",
		"hashing: {memory: marker7731}":                      "line 1: not a size",
		"hashing: {memory: -1MiB}":                           "not a size",
		"hashing: {memory: 99999999999999GiB}":               "not a size",
		"hashing: {memory: [19MiB]}":                         "not a size",
		"hashing: {memory: 19mb}":                            "not a size",
		"hashing: {queue_wait: marker7731}":                  "line 1",
		"hashing: {time: 0}":                                 "from 1 to 255",
		"hashing: {parallelism: 256}":                        "from 1 to 255",
		"hashing: {insecure_test_cost: marker7731}":          "line 1",
		"listen: [marker7731]":                               "line 1",
		"marker7731":                                         "line 1",
		"[marker7731]":                                       "line 1",
		"listen: {allow: {marker7731: 1}}":                   "line 1",
		"throttle: {store: marker7731}":                      "throttle.store must be one of memory, redis",
		"throttle: {on_store_failure: marker7731}":           "throttle.on_store_failure",
		"store: {kind: marker7731}":                          "store.kind",
		"corpora: [{name: a, path: b, preload: marker7731}]": "corpora[0].preload must be one of none, mapped, memory",
		"redis: {mode: marker7731}":                          "redis.mode",
		"events: {sink: marker7731}":                         "events.sink",
		"tenants: [{name: 'Marker7731 x'}]":                  "tenants[0].name is not",
		"tenants: [{name: a}, {name: a}]":                    "tenants[1].name stands twice",
		"tenants: [{name: a, case: marker7731}]":             "tenants[0].case",
		"auth: {mtls: [{name: marker7731}]}":                 "auth.mtls needs listen.tls.client_ca",
		"listen: {tls: {cert: marker7731}}":                  "both cert and key",
		"listen: {tls: {client_ca: marker7731}}":             "needs cert and key",
		"limits: {per_key_rps: -1}":                          "not negative",
		"limits: {per_key_rps: .nan}":                        "not negative",
		"limits: {per_key_rps: .inf}":                        "not negative",
		"policy: {}\n---\npolicy: {}":                        "more than one document",
		"hashing: {time: \"a`marker7731\"}":                  "line 1",
		"policy: !marker7731":                                "line 1: cannot unmarshal a value into daemon.Policy",
		"hashing: {time: !marker7731 7}":                     "",
		"hashing: {time: !!int marker7731}":                  "",
		"policy: *marker7731":                                "",
		"policy: {default: \"marker7731":                     "",
		"policy: {default: 'a', : 'marker7731', }\n\tx":      "",
		"policy: !!binary marker7731":                        "",
		"listen:\n\tgrpc: marker7731\n":                      "line 2: tabs may not indent",
		"listen:\n  grpc: a:1\n\thttp: marker7731\n":         "line 3: tabs may not indent",
		"\tlisten: {grpc: marker7731}":                       "line 1: tabs may not indent",
		"listen:\n \tgrpc: marker7731\n":                     "line 2: tabs may not indent",
		"listen:\n  grpc: @marker7731\n":                     "line 2: found character that cannot start",
		"webhook: {url:\n\ta}\nlisten:\n  grpc: @marker\n":   "line 4: found character that cannot start",
		"policy: {default: !!int marker7731}":                "",
		strings.Repeat("#", 1<<20) + "\n":                    "larger than",
		strings.Repeat("[", 20_000):                          "",
		"a: &a [x,x]\nb: &b [*a,*a]\nlisten: {allow: *b}":    "",
	} {
		c, err := read(text)
		if err == nil {
			t.Errorf("Read(%.60q) = %+v", text, c)
		} else if got := err.Error(); !strings.HasPrefix(got, "configuration: ") || !strings.Contains(got, want) || strings.Contains(strings.ToLower(got), "marker7731") {
			t.Errorf("Read(%.60q): %v, want …%s…", text, err, want)
		}
	}
}

// bomb is a document whose aliases stand for 10^n values.
func bomb(n int, key string) string {
	var b strings.Builder
	b.WriteString(key + ":\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range n {
		b.WriteString("  - &a" + string(rune('1'+i)) + " [" + strings.TrimSuffix(strings.Repeat("*a"+string(rune('0'+i))+", ", 10), ", ") + "]\n")
	}
	return b.String()
}

// TestAliasBombs: a few lines that stand for a billion values end at once.
func TestAliasBombs(t *testing.T) {
	for _, text := range []string{
		bomb(8, "corpora"), bomb(8, "unknown"), "listen:\n  " + strings.ReplaceAll(bomb(8, "allow"), "\n", "\n  "),
		"a: &a {b: *a}", "listen: &l {tls: *l}",
	} {
		begin := time.Now()
		if _, err := read(text); err == nil {
			t.Errorf("accepted: %.40q", text)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%.40q took %v", text, took)
		}
	}
}

func TestLoadStartsPathsAtTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "watchword.yaml")
	text := "listen: {tls: {cert: c.pem, key: /k.pem}}\ncorpora: [{name: x, path: sub/x.wwix}]\npepper: {keys: [{id: a, file: ../a.key}]}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := daemon.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range [][2]string{
		{c.Listen.TLS.Cert, filepath.Join(dir, "c.pem")}, {c.Listen.TLS.Key, "/k.pem"}, {c.Corpora[0].Path, filepath.Join(dir, "sub/x.wwix")},
		{c.Pepper.Keys[0].File, filepath.Join(filepath.Dir(dir), "a.key")}, {c.Policy.Dir, ""},
	} {
		if p[0] != p[1] {
			t.Errorf("path %s, want %s", p[0], p[1])
		}
	}
	if _, err := daemon.Load(filepath.Join(dir, "absent")); err == nil {
		t.Error("Load of no file")
	}
	if err := os.WriteFile(path, []byte("# "+strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.Load(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("Load of a huge file: %v", err)
	}
}

// FuzzRead: what is accepted is accepted again when it is written out, and says
// the same; and no error repeats a value, whatever it stands for.
func FuzzRead(f *testing.F) {
	f.Add(manual, "x")
	f.Add("policy: {default: VALUE}", "secret-value")
	f.Add("hashing: {memory: VALUE, time: 3}", "64MiB")
	f.Add("hashing: {time: VALUE}", "one two")
	f.Add("listen: {allow: [VALUE]}\ntenants: [{name: VALUE}]", "tenant")
	f.Add("throttle: {subject_free: 0, profile: VALUE}", "pci")
	f.Add("policy:\n  default: a\n  VALUE: b", "default")
	f.Add("&a VALUE: *a", "x")
	f.Add("retention: {VALUE: VALUE}", "90d")
	f.Add("VALUE", "!tag")
	f.Add("limits: {per_key_rps: VALUE}", "1e308")
	f.Fuzz(func(t *testing.T, text, value string) {
		if len(text) > 4096 || len(value) > 256 {
			return
		}
		// No message of ours or of the library contains it.
		const marker = "QzX77" // short: long scalars are quoted by their beginning
		text = strings.ReplaceAll(text, "VALUE", value+marker)
		c, err := read(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "configuration: ") || len(err.Error()) > 4096 {
				t.Fatalf("Read(%q): %v", text, err)
			}
			if i := strings.Index(err.Error(), marker); i >= 0 && !markerIsAKey(text, marker) {
				t.Fatalf("Read(%q): the error repeats a value: %v", text, err)
			}
			return
		}
		out, err := yaml.Marshal(c)
		if err != nil {
			t.Fatalf("Read(%q) cannot be written out: %v", text, err)
		}
		again, err := read(string(out))
		if err != nil {
			t.Fatalf("Read(%q) is written out as %q, which is refused: %v", text, out, err)
		}
		if diff := cmp.Diff(c, again, same, cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("Read(%q) is written out as something else, want -, got +:\n%s", text, diff)
		}
	})
}

// markerIsAKey tells whether the marker stands in the place of a key, whose
// name an error may tell.
func markerIsAKey(text, marker string) bool {
	var n yaml.Node
	if yaml.Unmarshal([]byte(text), &n) != nil {
		return false
	}
	var walk func(*yaml.Node) bool
	walk = func(n *yaml.Node) bool {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 && strings.Contains(c.Value, marker) || walk(c) {
				return true
			}
		}
		return false
	}
	return walk(&n)
}

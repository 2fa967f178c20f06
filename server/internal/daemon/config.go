// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/watchword-project/watchword/server/internal/exposure"
	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/telemetry"
	"github.com/watchword-project/watchword/wordlists"
)

// Config is the configuration file, and its manual. A field that is left out
// has the default its comment names; Default gives them all. Unknown and
// duplicate keys stop the start. Secrets are never written here: they are
// named by the path of a file that only the server's user can read. Relative
// paths start at the configuration file.
type Config struct {
	Listen    Listen    `yaml:"listen"`
	Auth      Auth      `yaml:"auth"`
	Hashing   Hashing   `yaml:"hashing"`
	Policy    Policy    `yaml:"policy"`
	Throttle  Throttle  `yaml:"throttle"`
	Store     Store     `yaml:"store"`
	Redis     Redis     `yaml:"redis"`
	Postgres  Postgres  `yaml:"postgres"`
	Corpora   []Corpus  `yaml:"corpora"`
	Range     Range     `yaml:"range"`
	Private   Private   `yaml:"private"`
	Limits    Limits    `yaml:"limits"`
	Tenants   []Tenant  `yaml:"tenants"`
	Pepper    Pepper    `yaml:"pepper"`
	Events    Events    `yaml:"events"`
	Retention Retention `yaml:"retention"`
	Doctor    Doctor    `yaml:"doctor"`
	Webhook   Webhook   `yaml:"webhook"`
	Telemetry Telemetry `yaml:"telemetry"`

	// allowWritten remembers that listen.allow stands in the file: a listener
	// beyond the loopback opens only to networks that somebody chose.
	allowWritten bool
	// path is where the file was read from; empty without one.
	path string
}

// Listen says where the service can be reached, and by whom.
type Listen struct {
	// GRPC is the address of the gRPC door. Default 127.0.0.1:9443.
	GRPC string `yaml:"grpc"`
	// HTTP is the address of the REST door. Default 127.0.0.1:8443.
	HTTP string `yaml:"http"`
	TLS  TLS    `yaml:"tls"`
	// Allow lists the networks that may connect, by the socket's own address.
	// Default: the loopback.
	Allow []string `yaml:"allow"`
	// TrustedProxies are the proxies whose forwarding headers the adapters
	// believe. Default: none.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Hosts are the names under which REST may be called besides localhost and
	// loopback addresses.
	Hosts []string `yaml:"hosts"`
	// CORSOrigins are the web origins that may call REST. Default: none.
	CORSOrigins []string `yaml:"cors_origins"`
	// AuthPolicy, ForwardAuth and Console are addresses of further doors, off
	// while empty. Each of the first two has a secret of its own, at least 16
	// bytes; on the loopback forward_auth may do without. The console stays on
	// the loopback, and shows what the key that is typed into it may see.
	AuthPolicy            string `yaml:"auth_policy"`
	AuthPolicySecretFile  string `yaml:"auth_policy_secret_file"`
	ForwardAuth           string `yaml:"forward_auth"`
	ForwardAuthSecretFile string `yaml:"forward_auth_secret_file"`
	// ForwardAuthDenyStatus answers a login without attempts left. Default 429;
	// nginx needs 403, since it turns 429 into 500.
	ForwardAuthDenyStatus int `yaml:"forward_auth_deny_status"`
	// ForwardedHeader is the header that the trusted proxies write:
	// X-Forwarded-For (default) or Forwarded.
	ForwardedHeader string `yaml:"forwarded_header"`
	// AdapterTenant is whose accounts those doors are for. Default: default.
	AdapterTenant string `yaml:"adapter_tenant"`
	// Envoy adds Envoy's rate-limit service to the gRPC door.
	Envoy bool `yaml:"envoy"`
	// Browser lets the REST door serve the engine that judges passwords in a
	// page, under /browser/, to whoever may connect, without a key. Default:
	// false.
	Browser bool   `yaml:"browser"`
	Console string `yaml:"console"`
}

// TLS names the files of the server's certificate. Both doors use it; without
// it they serve plaintext, on the loopback only.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ClientCA demands client certificates of this authority, and of no other.
	ClientCA string `yaml:"client_ca"`
}

// Auth says who may call besides holders of an API key.
type Auth struct {
	// MTLS maps names of client certificates to scopes.
	MTLS []Certificate `yaml:"mtls"`
	OIDC OIDC          `yaml:"oidc"`
}

// Certificate gives the holder of a client certificate its scopes.
type Certificate struct {
	// Name is a DNS or URI name of the certificate.
	Name   string   `yaml:"name"`
	Tenant string   `yaml:"tenant"`
	Scopes []string `yaml:"scopes"`
}

// OIDC accepts access tokens of one issuer; off while Issuer is empty. What a
// token may do comes from its claims alone, by ScopeClaim and Grants: without
// either it may do nothing.
type OIDC struct {
	// Issuer and Audience are demanded as they stand here, to the letter.
	Issuer   string `yaml:"issuer"`
	Audience string `yaml:"audience"`
	// Algorithms are the signatures that are taken, such as RS256, ES256 or
	// EdDSA; those with a shared secret are refused.
	Algorithms []string `yaml:"algorithms"`
	// JWKSURL or JWKSFile is where the issuer's keys are. Default: the issuer
	// is asked by OpenID Connect Discovery.
	JWKSURL  string `yaml:"jwks_url"`
	JWKSFile string `yaml:"jwks_file"`
	// CA is the authority of the issuer's certificate. Default: the system's.
	CA string `yaml:"ca"`
	// ScopeClaim is the claim that lists scopes of the contract.
	ScopeClaim string `yaml:"scope_claim"`
	// Tenant is whose tokens these are. Default: default.
	Tenant string `yaml:"tenant"`
	// Grants give scopes to tokens with a claim of a value.
	Grants []Grant `yaml:"grants"`
	// Leeway is how far the issuer's clock may be off. Default 30s.
	Leeway time.Duration `yaml:"leeway"`
	// MaxLifetime is the longest life of a token, from iat to exp. Default 1h.
	MaxLifetime time.Duration `yaml:"max_lifetime"`
	// Refresh is how often the keys are read again: so long a key that the
	// issuer took away may still be good. Default 1m.
	Refresh time.Duration `yaml:"refresh"`
	// Keep is how long the last good keys are used while the issuer does not
	// answer. Default 1h.
	Keep time.Duration `yaml:"keep"`
}

// Grant gives tokens with a claim of a value scopes, or those of a preset, in a
// tenant. A claim that begins with a slash is a JSON pointer.
type Grant struct {
	Claim  string   `yaml:"claim"`
	Value  string   `yaml:"value"`
	Tenant string   `yaml:"tenant"`
	Preset string   `yaml:"preset"`
	Scopes []string `yaml:"scopes"`
}

// Hashing is the cost of new hashes, and how many run at a time.
type Hashing struct {
	// Scheme of new hashes: argon2id (default), or pbkdf2-sha256,
	// pbkdf2-sha512 or pbkdf2-sm3 where a standard asks for an approved one.
	// Hashes of another scheme stay valid, and are replaced at their next login.
	Scheme string `yaml:"scheme"`
	// Rounds are PBKDF2's. Default, and least: the floor of OWASP ASVS 5.0
	// 11.4.2, 600000, or 210000 with SHA-512.
	Rounds int `yaml:"rounds"`
	// Memory, Time and Parallelism are argon2id's. Defaults 19MiB, 2, 1. Below
	// the floors of OWASP ASVS 5.0 11.4.2 the server does not start.
	Memory      Bytes `yaml:"memory"`
	Time        int   `yaml:"time"`
	Parallelism int   `yaml:"parallelism"`
	// MemoryBudget bounds the memory of all hashes together, and of any one
	// stored hash. Default 256MiB.
	MemoryBudget Bytes `yaml:"memory_budget"`
	// Slots is the most hashes that run at the same moment. Default: one for
	// each processor, as far as MemoryBudget holds them.
	Slots int `yaml:"slots"`
	// QueueWait is how long a login may wait for its turn. Default 500ms.
	QueueWait time.Duration `yaml:"queue_wait"`
	// Kernel is the implementation of argon2: auto (default, the fastest that
	// passes its self-test), avx512, avx2, generic or x/crypto.
	Kernel string `yaml:"kernel"`
	// Firebase is needed to verify hashes exported from Firebase Authentication.
	Firebase Firebase `yaml:"firebase"`
	// Calibrated is the day, YYYY-MM-DD, on which calibrate proposed these
	// numbers for this machine. Empty means that nobody measured.
	Calibrated string `yaml:"calibrated"`
	// InsecureTestCost permits costs under the floor, for tests.
	InsecureTestCost bool `yaml:"insecure_test_cost"`
}

// Firebase names the files of a project's hash parameters, each as the console
// shows it, in base64.
type Firebase struct {
	SignerKeyFile     string `yaml:"signer_key_file"`
	SaltSeparatorFile string `yaml:"salt_separator_file"`
}

// Policy names the policy that judges when a request names none.
type Policy struct {
	// Default is nist-800-63b-4 unless set.
	Default string `yaml:"default"`
	// Dir holds further policies, one YAML file each.
	Dir string `yaml:"dir"`
}

// Throttle says how login attempts are limited.
type Throttle struct {
	// Store is memory (in process, kept in the data directory) or redis.
	Store string `yaml:"store"`
	// Profile is nist (default), pci or mlps.
	Profile string `yaml:"profile"`
	// OnStoreFailure is degrade (default: a stricter limiter in process) or deny.
	OnStoreFailure string `yaml:"on_store_failure"`
	// SubjectFree and PrefixBurst change two numbers of the profile: wrong
	// guesses before an account waits, failures before an address does.
	SubjectFree *int `yaml:"subject_free"`
	PrefixBurst *int `yaml:"prefix_burst"`
}

// Store says where credentials and keys are kept.
type Store struct {
	// Kind is embedded (default), postgres or redis.
	Kind string `yaml:"kind"`
}

// Redis says how to reach Redis.
type Redis struct {
	Addrs        []string `yaml:"addrs"`
	Username     string   `yaml:"username"`
	PasswordFile string   `yaml:"password_file"`
	TLS          RedisTLS `yaml:"tls"`
	// Mode is single (default), sentinel or cluster.
	Mode string `yaml:"mode"`
	// Master is the name of the master that the sentinels watch.
	Master string `yaml:"master"`
}

// RedisTLS turns TLS to Redis on when any of it is set.
type RedisTLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	Name string `yaml:"server_name"`
}

// Postgres says how to reach PostgreSQL.
type Postgres struct {
	// DSNFile holds the connection string.
	DSNFile string `yaml:"dsn_file"`
}

// Corpus is one breach corpus.
type Corpus struct {
	Name string `yaml:"name"`
	Path string `yaml:"path"`
	// SignedBy are files of Ed25519 public keys (PEM). With any listed, a file
	// is taken only with a manifest beside it that one of them signed, and is
	// read through at the start.
	SignedBy []string `yaml:"signed_by"`
	// Unbounded lets any list take the place of the one in use, however much
	// shorter, longer or different it is: for lists that people edit by hand.
	Unbounded bool `yaml:"unbounded"`
	// Preload says how much of the file is brought into memory before it is
	// used. Default: none, pages come as look-ups need them. With mapped, what
	// look-ups need is read in, on Linux in pages of 2 MiB where the file system
	// has them, which makes look-ups faster by about a quarter; with memory it
	// is copied and checked.
	Preload string `yaml:"preload"`
}

// preloads are the values of Corpus.Preload.
var preloads = map[string]wordlists.Preload{
	"": wordlists.PreloadNone, "none": wordlists.PreloadNone, "mapped": wordlists.PreloadMapped, "memory": wordlists.PreloadMemory,
}

// Range is about GET /range/{prefix}.
type Range struct {
	// AnonymousFrom are the networks that may ask without a key. Default: none.
	AnonymousFrom []string `yaml:"anonymous_from"`
	// Padding is what Add-Padding brings: full (default), to the length of the
	// longest range and 0 to 200 lines more, or public, 10 to 209 lines, as the
	// public service does.
	Padding string `yaml:"padding"`
}

// Private is about lists that others ask without showing a password.
type Private struct {
	// Lists are offered, each under its version, which whoever asks knows. Two at
	// a time let callers change over. Default: none.
	Lists []PrivateList `yaml:"lists"`
	// ChecksPerSecond bounds each caller, whose every check is up to 32 guesses
	// at what is listed. Default 5.
	ChecksPerSecond float64 `yaml:"checks_per_second"`
}

// PrivateList names the files that corpus private build wrote.
type PrivateList struct {
	Path    string `yaml:"path"`
	KeyFile string `yaml:"key_file"`
}

// Limits bound each caller; 0 is off.
type Limits struct {
	PerKeyRPS         float64 `yaml:"per_key_rps"`
	PerKeyConcurrency int     `yaml:"per_key_concurrency"`
}

// Tenant is one customer of the service.
type Tenant struct {
	Name string `yaml:"name"`
	// Case is fold (default) or exact: whether letter case counts in account ids.
	Case   string `yaml:"case"`
	Policy string `yaml:"policy"`
}

// Pepper lists the keys that seal stored hashes. With none listed, one key
// lives in the data directory.
type Pepper struct {
	Keys []PepperKey `yaml:"keys"`
}

// PepperKey is one pepper key.
type PepperKey struct {
	ID   string `yaml:"id"`
	File string `yaml:"file"`
	// Command, in place of File, is a program with its arguments that prints
	// what the file would hold: one that asks a key management service, or has a
	// security module unwrap the key. It is run without a shell, at the start, and
	// by the commands that need the key.
	Command []string `yaml:"command"`
	// State is active, decrypt-only or retired.
	State string `yaml:"state"`
	// Cipher is aes-256-gcm (default), or sm4-gcm where the law asks for it. It
	// is the key's for good: a change of cipher is a rotation to another key.
	Cipher string `yaml:"cipher"`
}

// Events says where the event log goes.
type Events struct {
	Sink       string `yaml:"sink"`
	Path       string `yaml:"path"`
	Checkpoint string `yaml:"checkpoint"`
}

// Retention bounds how long data is kept, by class: events; keys that ended;
// audits that ended, and uploads that were never completed.
type Retention map[string]string

// Doctor configures the self-examination.
type Doctor struct {
	Neighbours []string `yaml:"neighbours"`
}

// Webhook receives signals.
type Webhook struct {
	URL        string `yaml:"url"`
	SecretFile string `yaml:"secret_file"`
}

// Telemetry is off while empty.
type Telemetry struct {
	// OTLPEndpoint is the base URL of a collector of traces. Default: what
	// OTEL_EXPORTER_OTLP_ENDPOINT says. The other OTEL_* variables hold as well.
	OTLPEndpoint string `yaml:"otlp_endpoint"`
	// MetricsAddr is the address of the door for metrics, GET /metrics. It asks
	// for a key or certificate with the scope system.read.
	MetricsAddr string `yaml:"metrics_addr"`
}

// Default gives the configuration of a server without a file.
func Default() Config {
	return Config{
		Listen: Listen{GRPC: "127.0.0.1:9443", HTTP: "127.0.0.1:8443", Allow: []string{"127.0.0.0/8", "::1/128"},
			ForwardAuthDenyStatus: 429, ForwardedHeader: "X-Forwarded-For", AdapterTenant: identity.DefaultTenant},
		Auth:     Auth{OIDC: OIDC{Tenant: identity.DefaultTenant, Leeway: 30 * time.Second, MaxLifetime: time.Hour, Refresh: time.Minute, Keep: time.Hour}},
		Hashing:  Hashing{Scheme: string(password.Argon2id), Kernel: "auto", Memory: 19 << 20, Time: 2, Parallelism: 1, MemoryBudget: 256 << 20, QueueWait: 500 * time.Millisecond},
		Policy:   Policy{Default: "nist-800-63b-4"},
		Throttle: Throttle{Store: "memory", Profile: "nist", OnStoreFailure: "degrade"},
		Store:    Store{Kind: "embedded"},
		Redis:    Redis{Addrs: []string{"127.0.0.1:6379"}, Mode: "single"},
		Events:   Events{Sink: "file"},
		Private:  Private{ChecksPerSecond: 5},
	}
}

// maxSlots bounds hashing.slots.
const maxSlots = 1024

// maxChecks bounds private.checks_per_second.
const maxChecks = 10_000

// maxConfig bounds a configuration file.
const maxConfig = 1 << 20

// Load reads a configuration file over the defaults.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	c, err := Read(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return Config{}, err
	}
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Config{}, err
	}
	c.resolve(base)
	c.path = path
	return c, nil
}

// Read reads a configuration over the defaults. An error names the line and
// the key, never a value: somebody may have written a secret there.
func Read(r io.Reader) (Config, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	if len(b) > maxConfig {
		return Config{}, fmt.Errorf("configuration: larger than %d bytes", maxConfig)
	}
	c := Default()
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		if line := policy.TabIndents(b, err); line > 0 {
			return Config{}, fmt.Errorf("configuration: line %d: tabs may not indent", line)
		}
		return Config{}, fmt.Errorf("configuration: %s", redacted(err))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("configuration: more than one document")
	}
	var written struct {
		Listen struct {
			Allow yaml.Node `yaml:"allow"`
		} `yaml:"listen"`
	}
	if err := yaml.Unmarshal(b, &written); err == nil {
		c.allowWritten = written.Listen.Allow.Kind != 0
	}
	return c, c.check()
}

// scalars and values are what the YAML library quotes of a file: a scalar with
// whatever is in it, its tag, which is what a scalar that begins with "!" is
// taken for, and names of anchors.
var (
	scalars = regexp.MustCompile("(?s)(cannot [a-z]+) .* (into|as) ")
	values  = regexp.MustCompile("(?s)`.*`|'[\\w-]{2,}'")
	unknown = regexp.MustCompile(`field (\S+) not found in type \S+`)
)

// maxFaults bounds how many faults of a file one error tells.
const maxFaults = 8

// redacted is the text of the YAML library's error without the file's values.
func redacted(err error) string {
	faults := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	var each *yaml.TypeError
	if errors.As(err, &each) {
		faults = each.Errors
	}
	for i := range faults {
		faults[i] = values.ReplaceAllString(scalars.ReplaceAllString(faults[i], "$1 a value $2 "), "a value")
		faults[i] = unknown.ReplaceAllString(faults[i], "there is no key $1 here")
	}
	if more := len(faults) - maxFaults; more > 0 {
		faults = append(faults[:maxFaults], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(faults, "; ")
}

// check finds what no single field shows.
func (c Config) check() error {
	oneOf := func(key, value string, choices ...string) error {
		for _, ch := range choices {
			if value == ch {
				return nil
			}
		}
		return fmt.Errorf("configuration: %s must be one of %s", key, strings.TrimPrefix(strings.Join(choices, ", "), ", "))
	}
	for _, err := range []error{
		oneOf("throttle.store", c.Throttle.Store, "memory", "redis"),
		oneOf("throttle.on_store_failure", c.Throttle.OnStoreFailure, "degrade", "deny"),
		oneOf("store.kind", c.Store.Kind, "embedded", "postgres", "redis"),
		oneOf("hashing.scheme", c.Hashing.Scheme, string(password.Argon2id), string(password.PBKDF2SHA256), string(password.PBKDF2SHA512), string(password.PBKDF2SM3)),
		oneOf("redis.mode", c.Redis.Mode, "single", "sentinel", "cluster"),
		oneOf("events.sink", c.Events.Sink, "file"),
		oneOf("range.padding", c.Range.Padding, "", "full", "public"),
	} {
		if err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for i, t := range c.Tenants {
		switch {
		case !validTenant(t.Name):
			return fmt.Errorf("configuration: tenants[%d].name is not a tenant name", i)
		case seen[t.Name]:
			return fmt.Errorf("configuration: tenants[%d].name stands twice", i)
		}
		if err := oneOf(fmt.Sprintf("tenants[%d].case", i), t.Case, "", "fold", "exact"); err != nil {
			return err
		}
		seen[t.Name] = true
	}
	for i, x := range c.Corpora {
		if err := oneOf(fmt.Sprintf("corpora[%d].preload", i), x.Preload, "", "none", "mapped", "memory"); err != nil {
			return err
		}
	}
	if (c.Listen.TLS.Cert == "") != (c.Listen.TLS.Key == "") {
		return errors.New("configuration: listen.tls needs both cert and key")
	}
	if c.Listen.TLS.ClientCA != "" && c.Listen.TLS.Cert == "" {
		return errors.New("configuration: listen.tls.client_ca needs cert and key")
	}
	if len(c.Auth.MTLS) > 0 && c.Listen.TLS.ClientCA == "" {
		return errors.New("configuration: auth.mtls needs listen.tls.client_ca: without it no client is asked for a certificate")
	}
	if c.Hashing.Time < 1 || c.Hashing.Time > math.MaxUint8 || c.Hashing.Parallelism < 1 || c.Hashing.Parallelism > math.MaxUint8 {
		return errors.New("configuration: hashing.time and hashing.parallelism must be from 1 to 255")
	}
	if c.Hashing.Rounds < 0 || c.Hashing.Rounds > math.MaxInt32 || c.Hashing.Slots < 0 || c.Hashing.Slots > maxSlots {
		return fmt.Errorf("configuration: hashing.rounds and hashing.slots must not be negative, and slots at most %d", maxSlots)
	}
	if _, err := time.Parse(time.DateOnly, c.Hashing.Calibrated); err != nil && c.Hashing.Calibrated != "" {
		return errors.New("configuration: hashing.calibrated is not a day such as 2026-01-31")
	}
	if !(c.Limits.PerKeyRPS >= 0) || math.IsInf(c.Limits.PerKeyRPS, 1) || c.Limits.PerKeyConcurrency < 0 { // NaN is not >= 0
		return errors.New("configuration: limits must be numbers that are not negative")
	}
	if !(c.Private.ChecksPerSecond > 0) || c.Private.ChecksPerSecond > maxChecks {
		return fmt.Errorf("configuration: private.checks_per_second must be above 0 and at most %d", maxChecks)
	}
	for i, l := range c.Private.Lists {
		if l.Path == "" || l.KeyFile == "" {
			return fmt.Errorf("configuration: private.lists[%d] needs both path and key_file", i)
		}
	}
	for i, n := range c.Doctor.Neighbours {
		if err := exposure.CheckNeighbour(n); err != nil {
			return fmt.Errorf("configuration: doctor.neighbours[%d]: %w", i, err)
		}
	}
	if c.Telemetry.OTLPEndpoint != "" {
		if err := telemetry.CheckEndpoint(c.Telemetry.OTLPEndpoint); err != nil {
			return fmt.Errorf("configuration: telemetry.otlp_endpoint: %w", err)
		}
	}
	if err := c.Retention.check(); err != nil {
		return err
	}
	return c.checkAdapters()
}

// resolve makes paths absolute, starting at the configuration file.
func (c *Config) resolve(base string) {
	paths := []*string{&c.Listen.TLS.Cert, &c.Listen.TLS.Key, &c.Listen.TLS.ClientCA, &c.Listen.AuthPolicySecretFile,
		&c.Listen.ForwardAuthSecretFile,
		&c.Policy.Dir, &c.Redis.PasswordFile, &c.Redis.TLS.CA, &c.Redis.TLS.Cert, &c.Redis.TLS.Key, &c.Postgres.DSNFile,
		&c.Hashing.Firebase.SignerKeyFile, &c.Hashing.Firebase.SaltSeparatorFile,
		&c.Auth.OIDC.JWKSFile, &c.Auth.OIDC.CA,
		&c.Events.Path, &c.Events.Checkpoint, &c.Webhook.SecretFile}
	for i := range c.Corpora {
		paths = append(paths, &c.Corpora[i].Path)
		for j := range c.Corpora[i].SignedBy {
			paths = append(paths, &c.Corpora[i].SignedBy[j])
		}
	}
	for i := range c.Private.Lists {
		paths = append(paths, &c.Private.Lists[i].Path, &c.Private.Lists[i].KeyFile)
	}
	for i := range c.Pepper.Keys {
		paths = append(paths, &c.Pepper.Keys[i].File)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(base, *p)
		}
	}
}

// Bytes is a size in bytes, written with a binary unit: 64KiB, 19MiB, 1GiB.
type Bytes int64

var units = map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

// ParseBytes reads the written form.
func ParseBytes(s string) (Bytes, error) {
	digits := strings.TrimRight(s, "BKMGi")
	unit, ok := units[s[len(digits):]]
	v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if !ok || err != nil || v < 0 || v > math.MaxInt64/unit {
		return 0, errors.New("not a size such as 19MiB")
	}
	return Bytes(v * unit), nil
}

// UnmarshalYAML reads the written form.
func (b *Bytes) UnmarshalYAML(n *yaml.Node) error {
	v, err := ParseBytes(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return fmt.Errorf("line %d: not a size such as 19MiB", n.Line)
	}
	*b = v
	return nil
}

// Params are the parameters of new hashes.
func (h Hashing) Params() password.Params {
	return password.Params{Memory: uint32(h.Memory >> 10), Time: uint32(h.Time), Parallelism: uint8(h.Parallelism)}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/events"
	"github.com/watchword-project/watchword/server/internal/exposure"
	"github.com/watchword-project/watchword/server/internal/identity"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/redisstore"
	"github.com/watchword-project/watchword/server/internal/telemetry"
	"github.com/watchword-project/watchword/wordlists"
)

// Exposure implements rpc.Installation.
func (i installation) Exposure(ctx context.Context, locale string) ([]*watchwordv1.ExposureFinding, error) {
	f, err := i.facts(ctx)
	if err != nil {
		return nil, err
	}
	return findings(f.Facts, locale), nil
}

// facts are those of the running server: what it has in force, not what its
// files say by now. One examination runs at a time, so that whoever may ask
// cannot make the server knock at its neighbours' doors as fast as they like.
func (i installation) facts(ctx context.Context) (*facts, error) {
	select {
	case i.s.examining <- struct{}{}:
		defer func() { <-i.s.examining }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f := i.s.config.facts(ctx, i.s.dir, i.v.Now())
	f.addKeys(i.s.keys.List("*"))
	if i.s.tokens != nil {
		if err := i.s.tokens.Err(); err != nil {
			f.Issuer.Err = err.Error()
		}
	}
	f.Corpora = nil
	for _, c := range i.s.corpora.List() {
		f.Corpora = append(f.Corpora, exposure.Corpus{Name: c.Name, Version: c.Version, Entries: c.Entries, Built: c.Built, Fault: c.Fault})
	}
	report, err := i.s.events.Verify()
	if err != nil {
		return nil, err
	}
	f.addEvents(i.s.events.Status(), report)
	if _, err := i.s.hasher.Kernel(); err != nil {
		f.Hashing.KernelFault = err.Error()
	}
	f.Hashing.Legacy = i.s.legacy()
	f.addStore(ctx, i.s.store)
	return f, nil
}

// addStore asks the store's server about itself. Who may not ask for the
// settings learns nothing about them.
func (f *facts) addStore(ctx context.Context, store *keep) {
	if store.durability != nil {
		if sentences, err := store.durability(ctx); err == nil {
			f.Durability = sentences
		}
	}
	if store.role != nil && f.Postgres != nil {
		begin := time.Now()
		if superuser, clock, err := store.role(ctx); err == nil {
			f.Postgres.Superuser = superuser
			f.addClock("PostgreSQL", clock, begin)
		}
	}
}

// addClock compares the clock of a server that was asked at a moment with ours,
// as it was in the middle between question and answer.
func (f *facts) addClock(source string, theirs, asked time.Time) {
	ours := asked.Add(time.Since(asked) / 2).Add(f.Now.Sub(f.began))
	f.ClockOffsets = append(f.ClockOffsets, exposure.ClockOffset{Source: source, Offset: theirs.Sub(ours)})
}

// findings gives the findings in the form of the contract.
func findings(f exposure.Facts, locale string) []*watchwordv1.ExposureFinding {
	out := []*watchwordv1.ExposureFinding{}
	for _, x := range exposure.Examine(f) {
		out = append(out, &watchwordv1.ExposureFinding{Check: x.Check, Severity: watchwordv1.Severity(x.Severity),
			Message: x.Message(locale), Clauses: x.Clauses(), Fix: x.Fix(locale)})
	}
	return out
}

// errNoDataDir keeps a path that is wrong from being found without a fault.
var errNoDataDir = errors.New("there is no such data directory, so nothing was examined: name it with --data-dir, or make it with watchword-server init")

// Examine gives the findings about an installation on which no server runs. A
// directory without keys gives those of the configuration alone.
func Examine(ctx context.Context, c Config, dir, locale string) ([]*watchwordv1.ExposureFinding, error) {
	f, err := c.atRest(ctx, dataDir(dir), func(*keep) error { return nil })
	if err != nil {
		return nil, err
	}
	return findings(f.Facts, locale), nil
}

// atRest gives the facts of an installation on which no server runs, and shows
// the store, if it can be opened, to also.
func (c Config) atRest(ctx context.Context, d dataDir, also func(*keep) error) (*facts, error) {
	if _, err := os.Stat(string(d)); errors.Is(err, fs.ErrNotExist) {
		return nil, errNoDataDir
	}
	f := c.facts(ctx, d, time.Now())
	if done, err := d.initialised(); err != nil || !done {
		return f, err
	}
	if _, err := os.Stat(d.path(boltstore.FileName)); err != nil && c.Store.Kind == "embedded" {
		return f, nil // made by init, never started
	}
	store, err := openStore(ctx, c, d)
	if err != nil { // and all else is worth knowing just then
		f.StoreFault = cause(err)
		return f, nil
	}
	defer store.close()
	keyring, err := identity.NewKeyring(ctx, store, time.Now)
	if err != nil {
		return nil, err
	}
	f.addKeys(keyring.List("*"))
	report, err := VerifyEvents(c, string(d))
	if err == nil {
		f.addEvents(events.Status{}, report)
	}
	f.addStore(ctx, store)
	return f, also(store)
}

// facts collects what the configuration, the files and the neighbours show.
type facts struct {
	exposure.Facts
	began   time.Time // the machine's time when Now was taken, which a test may move
	peppers []string  // files of keys in the data directory
}

func (c Config) facts(ctx context.Context, dir dataDir, now time.Time) *facts {
	f := &facts{began: time.Now(), Facts: exposure.Facts{Now: now, Root: os.Geteuid() == 0, AllowWritten: c.allowWritten,
		Limited: c.Limits.PerKeyRPS > 0 || c.Limits.PerKeyConcurrency > 0, Origins: c.Listen.CORSOrigins,
		Throttle:  c.throttleFacts(),
		Hashing:   c.hashingFacts(),
		FreeBytes: freeBytes(string(dir)), Retention: map[string]time.Duration{}}}
	for class, text := range c.Retention {
		if d, err := ParseRetention(text); err == nil {
			f.Retention[class] = d
		}
	}
	// Networks that cannot be read stop the start, and are no finding.
	f.Allow, _ = identity.ParseNetworks(c.Listen.Allow)
	f.TrustedProxies, _ = identity.ParseNetworks(c.Listen.TrustedProxies)
	f.AnonymousRange, _ = identity.ParseNetworks(c.Range.AnonymousFrom)
	f.Authenticated = c.Listen.TLS.ClientCA != "" || c.Auth.OIDC.Issuer != ""
	for _, m := range c.Auth.MTLS {
		f.CertCallers = append(f.CertCallers, exposure.CertCaller{Name: m.Name, Scopes: m.Scopes})
	}
	f.addDoors(ctx, c)
	f.addCertificates(c)
	f.addFiles(c, dir)
	f.addOutgoing(c)
	f.addIssuer(c.Auth.OIDC)
	var wait sync.WaitGroup
	wait.Go(func() { f.addRedis(ctx, c) })
	wait.Go(func() { f.addPostgres(ctx, c) })
	f.Neighbours = make([]exposure.Neighbour, len(c.Doctor.Neighbours))
	for i, n := range c.Doctor.Neighbours {
		wait.Go(func() { f.Neighbours[i] = exposure.Ask(ctx, n) })
	}
	wait.Wait()
	for _, x := range c.Corpora {
		f.addCorpus(x)
	}
	return f
}

func (c Config) hashingFacts() exposure.Hashing {
	h := c.Hashing
	f := exposure.Hashing{Scheme: h.Scheme, Memory: uint64(h.Memory), Time: h.Time, Parallelism: h.Parallelism, Rounds: h.Rounds,
		InsecureTestCost: h.InsecureTestCost, BelowFloor: c.belowFloor()}
	f.Calibrated, _ = time.Parse(time.DateOnly, h.Calibrated) // checked when the configuration was read
	if f.Rounds == 0 {
		f.Rounds = int(password.Scheme(h.Scheme).MinRounds())
	}
	return f
}

// throttleFacts tells how logins are limited. Rules that are out of bounds stop
// the start; here they are told as they are written.
func (c Config) throttleFacts() exposure.Throttle {
	f := exposure.Throttle{Shared: c.Store.Kind != "embedded", InProcess: c.Throttle.Store != "redis", Profile: c.Throttle.Profile,
		DenyOnLoss: c.Throttle.OnStoreFailure == "deny"}
	if rules, err := c.Rules(); err == nil {
		l := rules.Unknown[0]
		f.Free, f.First, f.Longest, f.Close, f.Devices = l.Free, l.First, l.Longest, l.Close, !rules.NoDevices
	}
	return f
}

func (c Config) belowFloor() string {
	h := c.Hashing
	err := password.Config{Scheme: password.Scheme(h.Scheme), Rounds: uint32(h.Rounds), Params: h.Params(), MemoryBudget: int64(h.MemoryBudget)}.Check()
	if err == nil {
		return ""
	}
	if password.Scheme(h.Scheme) != password.Argon2id {
		return "hashing.rounds"
	}
	return "hashing.memory"
}

func (f *facts) addDoors(ctx context.Context, c Config) {
	add := func(d door, x exposure.Door) {
		if d.addr == "" {
			return
		}
		// A door that cannot be resolved is not open to anybody.
		x.Setting = d.name
		x.Addr, _ = resolve(ctx, d)
		f.Doors = append(f.Doors, x)
	}
	secure, certified := c.Listen.TLS.Cert != "", c.Listen.TLS.ClientCA != ""
	for _, d := range c.doors() {
		add(d, exposure.Door{TLS: secure, ClientAuth: certified, Secret: true})
	}
	add(door{"listen.auth_policy", c.Listen.AuthPolicy}, exposure.Door{TLS: secure, Adapter: true, Secret: c.Listen.AuthPolicySecretFile != ""})
	add(door{"listen.forward_auth", c.Listen.ForwardAuth}, exposure.Door{TLS: secure, Adapter: true, Secret: c.Listen.ForwardAuthSecretFile != ""})
	add(door{consoleSetting, c.Listen.Console}, exposure.Door{Secret: true})
	add(door{"telemetry.metrics_addr", c.Telemetry.MetricsAddr}, exposure.Door{TLS: secure, ClientAuth: certified, Secret: true})
}

func (f *facts) addCertificates(c Config) {
	t := c.Listen.TLS
	if t.Cert != "" {
		x := readCertificate("listen.tls.cert", t.Cert)
		if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil && x.Problem == "" {
			x.Problem = "the key does not belong to it, or cannot be read"
		}
		f.Certificates = append(f.Certificates, x)
	}
	if t.ClientCA != "" {
		x := readCertificate("listen.tls.client_ca", t.ClientCA)
		x.Authority = true
		f.Certificates = append(f.Certificates, x)
	}
	others := map[string]string{"auth.oidc.ca": c.Auth.OIDC.CA}
	if c.usesRedis() {
		others["redis.tls.ca"], others["redis.tls.cert"] = c.Redis.TLS.CA, c.Redis.TLS.Cert
	}
	for setting, path := range others {
		if path != "" {
			f.Certificates = append(f.Certificates, readCertificate(setting, path))
		}
	}
	slices.SortFunc(f.Certificates, func(a, b exposure.Certificate) int { return strings.Compare(a.Setting, b.Setting) })
}

func (c Config) usesRedis() bool { return c.Store.Kind == "redis" || c.Throttle.Store == "redis" }

func readCertificate(setting, path string) exposure.Certificate {
	x := exposure.Certificate{Setting: setting}
	b, err := os.ReadFile(path)
	if err != nil {
		x.Problem = "the file cannot be read"
		return x
	}
	block, _ := pem.Decode(b)
	if block == nil {
		x.Problem = "the file holds no PEM"
		return x
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		x.Problem = "the file holds no certificate"
		return x
	}
	x.NotBefore, x.NotAfter = cert.NotBefore, cert.NotAfter
	if k, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		x.RSABits = k.N.BitLen()
	}
	switch cert.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		x.WeakSignature = true
	}
	return x
}

func (f *facts) addFiles(c Config, dir dataDir) {
	add := func(setting, path string, secret, optional bool) {
		if path == "" {
			return
		}
		st, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) && optional {
			return
		}
		x := exposure.File{Setting: setting, Secret: secret, Missing: err != nil}
		if err == nil {
			if st.Mode()&fs.ModeSymlink != 0 && !secret { // common for certificates and lists
				if to, err := os.Stat(path); err == nil {
					st = to
				}
			}
			x.Mode, x.Dir, x.Foreign = st.Mode(), st.IsDir(), foreign(st)
			if to, err := os.Stat(path); err == nil && secret && to.Mode().IsRegular() && mounted(to) {
				x.Mode = to.Mode() &^ 0o040 // as private sees it
			}
		}
		f.Files = append(f.Files, x)
	}
	add("the data directory", string(dir), true, true)
	for _, name := range []string{signingFile, adminFile, backupFile, socketFile, subjectKeysDir, boltstore.FileName} {
		add(name, dir.path(name), true, true)
	}
	peppers, _ := filepath.Glob(dir.path("pepper*.key")) // the pattern is a good one
	f.peppers = peppers
	for _, p := range peppers {
		add(filepath.Base(p), p, true, true)
		if st, err := os.Stat(p); err == nil && st.ModTime().After(f.PepperCreated) {
			f.PepperCreated = st.ModTime()
		}
	}
	log := c.eventLog(dir, make([]byte, keyBytes), nil)
	add("events.path", log.Path, false, true)
	add("events.checkpoint", log.Checkpoint, false, true)
	f.Events.Beside = filepath.Dir(log.Path) == filepath.Dir(log.Checkpoint)
	add("the configuration file", c.path, false, false)
	add("listen.tls.key", c.Listen.TLS.Key, true, false)
	add("listen.tls.cert", c.Listen.TLS.Cert, false, false)
	add("listen.tls.client_ca", c.Listen.TLS.ClientCA, false, false)
	add("auth.oidc.jwks_file", c.Auth.OIDC.JWKSFile, false, false)
	add("auth.oidc.ca", c.Auth.OIDC.CA, false, false)
	add("listen.auth_policy_secret_file", c.Listen.AuthPolicySecretFile, true, false)
	add("listen.forward_auth_secret_file", c.Listen.ForwardAuthSecretFile, true, false)
	add("hashing.firebase.signer_key_file", c.Hashing.Firebase.SignerKeyFile, true, false)
	add("redis.password_file", c.Redis.PasswordFile, true, false)
	add("redis.tls.key", c.Redis.TLS.Key, true, false)
	add("postgres.dsn_file", c.Postgres.DSNFile, true, false)
	add("webhook.secret_file", c.Webhook.SecretFile, true, false)
	for i, k := range c.Pepper.Keys {
		if k.File != "" {
			add(fmt.Sprintf("pepper.keys[%d].file", i), k.File, true, false)
		}
	}
	add("policy.dir", c.Policy.Dir, false, false)
	if c.Policy.Dir != "" {
		docs, _ := filepath.Glob(filepath.Join(c.Policy.Dir, "*.yaml")) // the pattern is a good one
		for _, p := range docs {
			add("policy.dir/"+filepath.Base(p), p, false, true)
		}
	}
	for _, x := range c.Corpora {
		add("corpus "+x.Name, x.Path, false, false)
	}
	for i, l := range c.Private.Lists {
		add(fmt.Sprintf("private.lists[%d].path", i), l.Path, false, false)
		add(fmt.Sprintf("private.lists[%d].key_file", i), l.KeyFile, true, false)
	}
}

func (f *facts) addOutgoing(c Config) {
	for _, o := range []struct {
		setting, to string
		secret      bool
	}{
		{"webhook.url", c.Webhook.URL, c.Webhook.SecretFile != ""},
		{"telemetry.otlp_endpoint", telemetry.Endpoint(c.Telemetry.OTLPEndpoint), true},
	} {
		if o.to == "" {
			continue
		}
		u, err := url.Parse(o.to)
		plain := err == nil && u.Scheme == "http" && !loopbackHost(u.Hostname())
		f.Outgoing = append(f.Outgoing, exposure.Outgoing{Setting: o.setting, Plain: plain, Secret: o.secret})
	}
}

func (f *facts) addKeys(keys []identity.Key) {
	for _, k := range keys {
		x := exposure.Key{ID: k.ID, Name: k.Name, Preset: k.Preset, Scopes: k.Scopes, Networks: len(k.Networks), Created: k.Created, Expires: k.Expires,
			Revoked: k.Revoked != nil}
		nets, _ := identity.ParseNetworks(k.Networks) // the keyring has read them
		x.WideNetwork = slices.ContainsFunc(nets, exposure.Everyone)
		f.Keys = append(f.Keys, x)
		f.Authenticated = f.Authenticated || k.Preset != identity.PresetOwner && k.Live(f.Now)
	}
}

func (f *facts) addEvents(st events.Status, r events.Report) {
	beside := f.Events.Beside
	f.Events = exposure.Events{Known: true, Intact: r.Intact, BrokenAt: r.BrokenAt, Why: r.Why, Uncovered: st.Uncovered, Lost: st.Lost, Beside: beside,
		Count: r.Events, NewestEvent: r.Newest}
	if st.Err != nil {
		f.Events.Err = cause(st.Err)
	}
	if st.CheckpointErr != nil {
		f.Events.MarkErr = cause(st.CheckpointErr)
	}
}

// cause tells an error without the path that is in it.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func (f *facts) addRedis(ctx context.Context, c Config) {
	if !c.usesRedis() {
		return
	}
	r := &exposure.Redis{TLS: c.Redis.TLS != (RedisTLS{}), Password: c.Redis.PasswordFile != ""}
	f.Redis = r
	for _, a := range c.Redis.Addrs {
		if ap, err := resolve(ctx, door{"redis.addrs", a}); err == nil {
			r.Addrs = append(r.Addrs, ap)
		}
		r.Anonymous = r.Anonymous || exposure.AskRedis(ctx, a, r.TLS)
	}
	rc, err := c.Redis.store()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*callLimit)
	defer cancel()
	begin := time.Now()
	settings, clock, err := redisstore.Settings(ctx, rc)
	if err != nil {
		return
	}
	r.Reached, r.Settings = true, settings
	f.addClock("Redis", clock, begin)
}

// sslMode finds the mode in both forms of a connection string.
var sslMode = regexp.MustCompile(`(?:^|[?&\s])sslmode\s*=\s*'?([a-z-]+)`)

func (f *facts) addPostgres(ctx context.Context, c Config) {
	if c.Store.Kind != "postgres" {
		return
	}
	dsn, err := c.Postgres.dsn()
	if err != nil {
		return // the file is a finding of its own
	}
	p := &exposure.Postgres{}
	if m := sslMode.FindStringSubmatch(dsn); m != nil {
		p.SSLMode = m[1]
	}
	host, port, user := "", "5432", ""
	if u, err := url.Parse(dsn); err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		host, user = u.Hostname(), u.User.Username()
		if u.Port() != "" {
			port = u.Port()
		}
		_, p.Password = u.User.Password()
		if h := u.Query().Get("host"); h != "" {
			host = h
		}
	} else {
		for _, part := range strings.Fields(dsn) {
			switch k, v, _ := strings.Cut(part, "="); k {
			case "host", "hostaddr":
				host = v
			case "port":
				port = v
			case "user":
				user = v
			case "password", "passfile":
				p.Password = true
			}
		}
	}
	p.Superuser = user == "postgres"
	p.Local = host == "" || strings.HasPrefix(host, "/") || loopbackHost(host)
	if strings.HasPrefix(host, "/") || host == "" {
		p.Password = true // over a socket in the file system, the kernel says who asks
	} else {
		p.Anonymous = exposure.AskPostgres(ctx, net.JoinHostPort(host, port), user)
	}
	f.Postgres = p
}

func (f *facts) addCorpus(c Corpus) {
	x := exposure.Corpus{Name: c.Name}
	index, err := wordlists.Open(c.Path, wordlists.Options{})
	if err != nil {
		x.Fault = "the file cannot be opened as an index"
	} else {
		info := index.Info()
		x.Built, x.Entries = info.Built, info.Entries
		if err := index.Close(); err != nil {
			x.Fault = "the file cannot be closed"
		}
	}
	f.Corpora = append(f.Corpora, x)
}

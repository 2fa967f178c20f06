// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package exposure examines an installation: facts about its doors, files,
// keys, stores and neighbours go in, findings with the clause that asks for
// better and the way to get there come out. It decides nothing and changes
// nothing; what it asks of other services is what an anonymous stranger would
// get from them, and it never tries a password.
package exposure

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Severity orders findings.
type Severity uint8

// The severities, in the order of the contract.
const (
	Info Severity = iota + 1
	Low
	Medium
	High
	Critical
)

func (s Severity) String() string {
	return [...]string{"", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"}[s]
}

// Finding is one weakness.
type Finding struct {
	Check    string
	Severity Severity
	// args fill the text: names of settings, numbers, never a secret.
	args []any
}

// Message says what was found, in en or zh-CN.
func (f Finding) Message(locale string) string { return fmt.Sprintf(f.text(locale).found, f.args...) }

// Fix says how to mend it, in en or zh-CN.
func (f Finding) Fix(locale string) string { return f.text(locale).fix }

// Clauses names what asks for better.
func (f Finding) Clauses() []string { return catalogue[f.Check].clauses }

func (f Finding) text(locale string) wording {
	if locale == "zh-CN" {
		return catalogue[f.Check].zh
	}
	return catalogue[f.Check].en
}

// Checks lists the names of all checks.
func Checks() []string {
	var out []string
	for name := range catalogue {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Facts are what is known about an installation. A part that is not known, or
// does not exist, is left zero and gives no finding.
type Facts struct {
	Now          time.Time
	Doors        []Door
	Allow        []netip.Prefix
	AllowWritten bool
	// Authenticated tells whether callers have another way to identify
	// themselves than the first key: certificates, tokens or keys.
	Authenticated  bool
	Certificates   []Certificate
	Files          []File
	Keys           []Key
	CertCallers    []CertCaller
	Origins        []string
	TrustedProxies []netip.Prefix
	AnonymousRange []netip.Prefix
	Limited        bool // each caller has a quota
	Hashing        Hashing
	Throttle       Throttle
	Redis          *Redis
	Postgres       *Postgres
	Durability     []string // sentences about the store's server
	StoreFault     string   // why the store cannot be opened; empty if it can
	Corpora        []Corpus
	Events         Events
	Retention      map[string]time.Duration
	Outgoing       []Outgoing
	Issuer         *Issuer
	Neighbours     []Neighbour
	ClockOffsets   []ClockOffset
	FreeBytes      uint64 // of the data directory's disk; 0 is not known
	Root           bool
	PepperCreated  time.Time
}

// Door is one address that the server listens on.
type Door struct {
	Setting    string
	Addr       netip.AddrPort
	TLS        bool
	ClientAuth bool
	Secret     bool // an adapter with a credential of its own, or a door with keys
	Adapter    bool
}

// Outside tells whether other machines can reach the door.
func (d Door) Outside() bool { return d.Addr.IsValid() && !d.Addr.Addr().Unmap().IsLoopback() }

// Certificate is one that is configured.
type Certificate struct {
	Setting             string
	NotBefore, NotAfter time.Time
	RSABits             int // 0: another kind of key
	WeakSignature       bool
	Problem             string // why it cannot be used; empty for none
	Authority           bool
}

// File is one that the server reads or keeps.
type File struct {
	Setting string
	Mode    fs.FileMode
	Missing bool
	// Foreign is a file of another user than the server's.
	Foreign bool
	// Secret must be readable by the owner only; other files must not be
	// writable by others.
	Secret bool
	Dir    bool
}

// Key is an API key that is in force.
type Key struct {
	ID, Name, Preset string
	Scopes           []string
	Networks         int
	WideNetwork      bool // one of the networks holds everybody
	Created          time.Time
	Expires          *time.Time
	Revoked          bool
}

// CertCaller is a certificate's name with its scopes.
type CertCaller struct {
	Name   string
	Scopes []string
}

// Hashing is the cost of new hashes.
type Hashing struct {
	Scheme            string
	Memory            uint64 // argon2id's, in bytes
	Time, Parallelism int    // argon2id's
	Rounds            int    // PBKDF2's
	InsecureTestCost  bool
	BelowFloor        string // which number is under the floor of ASVS 11.4.2
	// Calibrated is the day on which the cost was measured for this machine;
	// zero if it never was.
	Calibrated time.Time
	// KernelFault is why the argon2 in use is not the one asked for.
	KernelFault string
	// Legacy are the tenants with hashes of another scheme or cost, and how long
	// every "no match" of theirs takes at least.
	Legacy map[string]time.Duration
}

// Throttle is how logins are limited.
type Throttle struct {
	// Shared tells whether several servers may share the store, and InProcess
	// that each counts on its own.
	Shared, InProcess bool
	Profile           string
	// Free is how many wrong guesses bring no wait, First and Longest the waits
	// that follow, and Close the number of failures in a row that closes a lane.
	Free           int
	First, Longest time.Duration
	Close          int
	// Devices tells whether known devices are counted apart from strangers.
	Devices bool
	// DenyOnLoss refuses logins while the shared store is lost.
	DenyOnLoss bool
}

// Redis is the Redis of this installation.
type Redis struct {
	Addrs     []netip.AddrPort
	TLS       bool
	Password  bool
	Anonymous bool // it answers without a password
	Reached   bool
	Settings  map[string]string
}

// Postgres is the PostgreSQL of this installation.
type Postgres struct {
	Local     bool
	SSLMode   string
	Anonymous bool
	Superuser bool
	Password  bool
}

// Corpus is a configured breach corpus.
type Corpus struct {
	Name    string
	Version string // empty where no server reads it
	Entries uint64
	Built   time.Time
	Fault   string
}

// Events is the state of the event log.
type Events struct {
	Known       bool
	Err         string
	Intact      bool
	BrokenAt    uint64
	Why         string
	MarkErr     string
	Uncovered   time.Time // the oldest line without a checkpoint
	Beside      bool      // the checkpoints lie on the log's own disk directory
	Lost        uint64
	Count       uint64 // lines that hold together
	NewestEvent time.Time
}

// Outgoing is an address that the server sends to.
type Outgoing struct {
	Setting string
	Plain   bool // without TLS, and not to the loopback
	Secret  bool // what is sent is signed or authenticated
}

// Issuer is the token issuer.
type Issuer struct {
	Plain bool
	Err   string
	// Lifetime is the longest that its tokens may live.
	Lifetime time.Duration
}

// Neighbour is another service of the operator's, as an anonymous stranger
// sees it.
type Neighbour struct {
	Name string // without credentials
	Kind string // what it is: Elasticsearch, Redis, …
	Open bool
	What string // what it gave away, in a word
}

// ClockOffset is how far a clock is from ours.
type ClockOffset struct {
	Source string
	Offset time.Duration
}

// Limits of what is unremarkable.
const (
	expirySoon     = 30 * 24 * time.Hour
	keyAge         = 365 * 24 * time.Hour
	corpusAge      = 400 * 24 * time.Hour
	calibrationAge = 400 * 24 * time.Hour
	pepperAge      = 3 * 365 * 24 * time.Hour
	clockSkew      = 5 * time.Second
	eventsLag      = time.Minute
	halfYear       = 180 * 24 * time.Hour
	fewBytes       = 64 << 20
	freeGuesses    = 10
	legacyWait     = time.Second
	rsaBits        = 2048
	wideIPv4Bits   = 8
	wideIPv6Bits   = 16
)

// Everyone tells whether a network holds so many addresses that a list with it
// is none.
func Everyone(p netip.Prefix) bool {
	if p.Addr().IsLoopback() {
		return false
	}
	if p.Addr().Unmap().Is4() {
		return p.Bits() < wideIPv4Bits
	}
	return p.Bits() < wideIPv6Bits
}

// Examine gives the findings, worst first.
func Examine(f Facts) []Finding {
	e := &examiner{now: f.Now}
	e.doors(f)
	e.files(f)
	e.keys(f)
	e.stores(f)
	e.data(f)
	e.events(f)
	e.others(f)
	slices.SortStableFunc(e.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Check, b.Check))
	})
	return e.found
}

type examiner struct {
	now   time.Time
	found []Finding
}

func (e *examiner) say(check string, args ...any) {
	c, ok := catalogue[check]
	if !ok {
		panic("exposure: no check " + check)
	}
	e.found = append(e.found, Finding{Check: check, Severity: c.severity, args: args})
}

func (e *examiner) doors(f Facts) {
	outside := false
	for _, d := range f.Doors {
		if !d.Outside() {
			if d.Adapter && !d.Secret {
				e.say("door.no-secret", d.Setting)
			}
			continue
		}
		outside = true
		if d.Addr.Addr().IsUnspecified() {
			e.say("door.every-address", d.Setting)
		}
		if !d.TLS {
			e.say("door.plaintext", d.Setting)
		}
		if d.Adapter && !d.Secret {
			e.say("door.no-secret", d.Setting)
		}
		if !d.Adapter && !d.ClientAuth && !f.Authenticated {
			e.say("door.no-authentication", d.Setting)
		}
	}
	if outside {
		if !f.AllowWritten {
			e.say("door.no-allow-list")
		}
		if !f.Limited {
			e.say("door.no-quota")
		}
		if f.Root {
			e.say("process.root")
		}
		if f.Hashing.Calibrated.IsZero() {
			e.say("hashing.uncalibrated")
		}
		if len(f.Corpora) == 0 {
			e.say("corpus.none")
		}
	}
	for _, p := range f.Allow {
		if Everyone(p) && f.AllowWritten {
			e.say("door.allow-everyone", p.String())
		}
	}
	for _, p := range f.TrustedProxies {
		if Everyone(p) {
			e.say("proxy.everyone", p.String())
		}
	}
	for _, p := range f.AnonymousRange {
		if Everyone(p) {
			e.say("range.everyone", p.String())
		}
	}
	for _, o := range f.Origins {
		switch host := strings.TrimPrefix(o, "http://"); {
		case strings.Contains(o, "*") || o == "null":
			e.say("cors.everyone")
		case host != o && !strings.HasPrefix(host, "localhost") && !strings.HasPrefix(host, "127."):
			e.say("cors.plaintext")
		}
	}
	for _, c := range f.Certificates {
		switch {
		case c.Problem != "":
			e.say("tls.unusable", c.Setting, c.Problem)
			continue
		case !e.now.Before(c.NotAfter):
			e.say("tls.expired", c.Setting, c.NotAfter.Format(time.DateOnly))
		case e.now.Before(c.NotBefore):
			e.say("tls.not-yet", c.Setting, c.NotBefore.Format(time.DateOnly))
		case c.NotAfter.Sub(e.now) < expirySoon:
			e.say("tls.expires-soon", c.Setting, c.NotAfter.Format(time.DateOnly))
		}
		if c.RSABits > 0 && c.RSABits < rsaBits {
			e.say("tls.weak-key", c.Setting, c.RSABits)
		}
		if c.WeakSignature {
			e.say("tls.weak-signature", c.Setting)
		}
	}
}

func (e *examiner) files(f Facts) {
	for _, x := range f.Files {
		mode := fmt.Sprintf("%04o", x.Mode.Perm())
		switch {
		case x.Missing:
			e.say("file.missing", x.Setting)
			continue
		case x.Mode&fs.ModeSymlink != 0 && x.Secret:
			e.say("file.link", x.Setting)
			continue
		case x.Secret && x.Dir && x.Mode.Perm()&0o077 != 0:
			e.say("file.dir-open", x.Setting, mode)
		case x.Secret && x.Mode.Perm()&0o077 != 0:
			e.say("file.readable", x.Setting, mode)
		case !x.Secret && x.Mode.Perm()&0o002 != 0 && (!x.Dir || x.Mode&fs.ModeSticky == 0):
			e.say("file.writable", x.Setting, mode)
		}
		if x.Foreign {
			e.say("file.foreign", x.Setting)
		}
	}
	if f.FreeBytes > 0 && f.FreeBytes < fewBytes {
		e.say("disk.full", f.FreeBytes>>20)
	}
}

// powerful are the scopes whose keys should say from where they may be used.
var powerful = []string{"system.admin", "key.admin", "credential.write", "policy.write"}

// tokenLife is the longest that a token should live: none is called back.
const tokenLife = time.Hour

// testNames begin or end names that keys are given "just for testing".
var testNames = []string{"test", "tmp", "temp", "demo", "debug", "测试", "临时"}

func forTests(name string) bool {
	name = strings.ToLower(name)
	for _, t := range testNames {
		if strings.HasPrefix(name, t) || strings.HasSuffix(name, t) {
			return true
		}
	}
	return false
}

func (e *examiner) keys(f Facts) {
	roles := 0
	for _, k := range f.Keys {
		if !k.Revoked && k.Preset != "owner" {
			roles++
		}
	}
	for _, k := range f.Keys {
		if k.Revoked || k.Expires != nil && !e.now.Before(*k.Expires) {
			continue
		}
		if k.Preset == "owner" {
			if roles > 0 {
				e.say("key.owner", k.ID)
			}
			if e.now.Sub(k.Created) > keyAge {
				e.say("key.old", k.ID, int(e.now.Sub(k.Created).Hours()/24))
			}
			continue
		}
		if e.now.Sub(k.Created) > keyAge {
			e.say("key.old", k.ID, int(e.now.Sub(k.Created).Hours()/24))
		}
		switch {
		case k.Expires == nil:
			e.say("key.no-expiry", k.ID)
		case k.Expires.Sub(e.now) > 2*keyAge:
			e.say("key.far-expiry", k.ID, k.Expires.Format(time.DateOnly))
		}
		if k.Networks == 0 && slices.ContainsFunc(powerful, func(s string) bool { return slices.Contains(k.Scopes, s) }) {
			e.say("key.no-networks", k.ID)
		}
		if k.WideNetwork {
			e.say("key.wide-networks", k.ID)
		}
		if len(k.Scopes) > 8 {
			e.say("key.wide", k.ID, len(k.Scopes))
		}
		if forTests(k.Name) {
			e.say("key.test", k.ID)
		}
	}
	for _, c := range f.CertCallers {
		if len(c.Scopes) > 8 {
			e.say("key.wide", "mtls:"+c.Name, len(c.Scopes))
		}
		if forTests(c.Name) {
			e.say("key.test", "mtls:"+c.Name)
		}
	}
	if i := f.Issuer; i != nil {
		if i.Plain {
			e.say("oidc.plaintext")
		}
		if i.Err != "" {
			e.say("oidc.unreachable", i.Err)
		}
		if i.Lifetime > tokenLife {
			e.say("oidc.long-lived", i.Lifetime.String())
		}
	}
}

func (e *examiner) stores(f Facts) {
	if r := f.Redis; r != nil {
		remote := slices.ContainsFunc(r.Addrs, func(a netip.AddrPort) bool { return !a.Addr().Unmap().IsLoopback() })
		if remote && !r.TLS {
			e.say("redis.plaintext")
		}
		if !r.Password || r.Anonymous {
			e.say("redis.no-password")
		}
		if !r.Reached {
			e.say("redis.unreachable")
		}
		s := r.Settings
		if p := s["maxmemory-policy"]; p != "" && p != "noeviction" {
			e.say("redis.eviction", p)
		}
		if s["appendonly"] == "no" {
			e.say("redis.persistence")
		}
		if bind, ok := s["bind"]; ok && bindsOutside(bind) {
			e.say("redis.bind", bind)
		}
		if s["protected-mode"] == "no" && (!r.Password || r.Anonymous) {
			e.say("redis.protected-mode")
		}
	}
	if p := f.Postgres; p != nil {
		if !p.Local && p.SSLMode != "verify-full" {
			e.say("postgres.tls", cmp.Or(p.SSLMode, "prefer"))
		}
		if p.Anonymous || !p.Password {
			e.say("postgres.no-password")
		}
		if p.Superuser {
			e.say("postgres.superuser")
		}
	}
	for _, s := range f.Durability {
		e.say("store.durability", s)
	}
	if f.StoreFault != "" {
		e.say("store.unusable", f.StoreFault)
	}
	if f.Throttle.Shared && f.Throttle.InProcess {
		e.say("throttle.alone")
	}
	if f.Throttle.Free > freeGuesses {
		e.say("throttle.loose", f.Throttle.Free)
	}
}

func bindsOutside(bind string) bool {
	if strings.TrimSpace(bind) == "" {
		return true // Redis binds every address then
	}
	for _, b := range strings.Fields(bind) {
		b = strings.TrimPrefix(b, "-")
		if a, err := netip.ParseAddr(b); err != nil || !a.IsLoopback() {
			return true
		}
	}
	return false
}

func (e *examiner) data(f Facts) {
	if f.Hashing.InsecureTestCost {
		e.say("hashing.test-cost")
	}
	if f.Hashing.BelowFloor != "" {
		e.say("hashing.below-floor", f.Hashing.BelowFloor)
	}
	if c := f.Hashing.Calibrated; !c.IsZero() && e.now.Sub(c) > calibrationAge {
		e.say("hashing.old-calibration", c.Format(time.DateOnly))
	}
	if f.Hashing.KernelFault != "" {
		e.say("hashing.kernel", f.Hashing.KernelFault)
	}
	for _, tenant := range slices.Sorted(maps.Keys(f.Hashing.Legacy)) {
		if d := f.Hashing.Legacy[tenant]; d > legacyWait {
			e.say("hashing.legacy-wait", tenant, d.Round(10*time.Millisecond).String())
		}
	}
	for _, c := range f.Corpora {
		switch {
		case c.Fault != "":
			e.say("corpus.unusable", c.Name, c.Fault)
		case !c.Built.IsZero() && e.now.Sub(c.Built) > corpusAge:
			e.say("corpus.old", c.Name, int(e.now.Sub(c.Built).Hours()/24))
		}
	}
	if !f.PepperCreated.IsZero() && e.now.Sub(f.PepperCreated) > pepperAge {
		e.say("pepper.old", int(e.now.Sub(f.PepperCreated).Hours()/24))
	}
	if d, ok := f.Retention["events"]; ok && d < halfYear {
		e.say("retention.short", strconv.Itoa(int(d.Hours()/24)))
	}
	for _, c := range f.ClockOffsets {
		if c.Offset > clockSkew || c.Offset < -clockSkew {
			e.say("clock.offset", c.Source, c.Offset.Round(time.Second).String())
		}
	}
}

func (e *examiner) events(f Facts) {
	v := f.Events
	if !v.Known {
		return
	}
	if v.Err != "" {
		e.say("events.failing", v.Err)
	}
	if !v.Intact {
		e.say("events.broken", v.BrokenAt, v.Why)
	}
	if v.MarkErr != "" || !v.Uncovered.IsZero() && e.now.Sub(v.Uncovered) > eventsLag {
		e.say("events.no-checkpoint")
	}
	if v.Lost > 0 {
		e.say("events.lost", v.Lost)
	}
	if v.NewestEvent.Sub(e.now) > clockSkew {
		e.say("clock.offset", "event log", v.NewestEvent.Sub(e.now).Round(time.Second).String())
	}
	if v.Beside && slices.ContainsFunc(f.Doors, Door.Outside) {
		e.say("events.one-place")
	}
}

func (e *examiner) others(f Facts) {
	for _, o := range f.Outgoing {
		if o.Plain {
			e.say("outgoing.plaintext", o.Setting)
		}
		if !o.Secret {
			e.say("outgoing.unsigned", o.Setting)
		}
	}
	for _, n := range f.Neighbours {
		if n.Open {
			e.say("neighbour.open", n.Name, n.Kind, n.What)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package exposure_test

import (
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/exposure"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func at(d time.Duration) *time.Time {
	t := now.Add(d)
	return &t
}

// sound are the facts of an installation beyond the loopback in which all is as
// it should be, and everything that can be there is there.
func sound() exposure.Facts {
	return exposure.Facts{
		Now: now,
		Doors: []exposure.Door{
			{Setting: "listen.grpc", Addr: netip.MustParseAddrPort("10.0.0.5:9443"), TLS: true, ClientAuth: true, Secret: true},
			{Setting: "listen.auth_policy", Addr: netip.MustParseAddrPort("127.0.0.1:4001"), Adapter: true, Secret: true},
		},
		Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, AllowWritten: true, Authenticated: true, Limited: true,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.9/32")}, AnonymousRange: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		Origins:      []string{"https://app.example", "http://localhost:3000"},
		Certificates: []exposure.Certificate{{Setting: "listen.tls.cert", NotBefore: now.Add(-day), NotAfter: now.Add(31 * day), RSABits: 2048}},
		Files: []exposure.File{{Setting: "pepper.key", Mode: 0o600, Secret: true}, {Setting: "the data directory", Mode: fs.ModeDir | 0o700, Secret: true, Dir: true},
			{Setting: "policy.dir", Mode: fs.ModeDir | 0o755, Dir: true}},
		Keys: []exposure.Key{{ID: "k1", Name: "login", Scopes: []string{"credential.write"}, Networks: 1, Created: now.Add(-364 * day), Expires: at(200 * day)},
			{ID: "k2", Name: "attest", Scopes: []string{"key.admin"}, Created: now.Add(-900 * day), Expires: at(-day)},
			{ID: "k3", Preset: "owner", Created: now.Add(-900 * day), Revoked: true}},
		CertCallers: []exposure.CertCaller{{Name: "signup.internal", Scopes: []string{"password.check"}}},
		Hashing:     exposure.Hashing{Scheme: "argon2id", Calibrated: now.Add(-399 * day), Legacy: map[string]time.Duration{"default": time.Second}},
		Throttle:    exposure.Throttle{Free: 10, Shared: true},
		Redis: &exposure.Redis{Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.6:6379")}, TLS: true, Password: true, Reached: true,
			Settings: map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes", "bind": "127.0.0.1 -::1", "protected-mode": "yes"}},
		Postgres:  &exposure.Postgres{SSLMode: "verify-full", Password: true},
		Corpora:   []exposure.Corpus{{Name: "hibp", Built: now.Add(-399 * day)}},
		Events:    exposure.Events{Known: true, Intact: true, Uncovered: now.Add(-50 * time.Second), NewestEvent: now.Add(4 * time.Second)},
		Retention: map[string]time.Duration{"events": 180 * day},
		Outgoing:  []exposure.Outgoing{{Setting: "webhook.url", Secret: true}}, Issuer: &exposure.Issuer{Lifetime: time.Hour},
		Neighbours:   []exposure.Neighbour{{Name: "redis://10.0.0.6", Kind: "Redis"}},
		ClockOffsets: []exposure.ClockOffset{{Source: "Redis", Offset: -4 * time.Second}},
		FreeBytes:    1 << 30, PepperCreated: now.Add(-1000 * day),
	}
}

// faults has for each check the least change of sound facts that it must find,
// and nothing else must.
var faults = []struct {
	check string
	plant func(*exposure.Facts)
}{
	{"door.plaintext", func(f *exposure.Facts) { f.Doors[0].TLS = false }},
	{"door.no-authentication", func(f *exposure.Facts) { f.Doors[0].ClientAuth, f.Authenticated = false, false }},
	{"door.no-allow-list", func(f *exposure.Facts) { f.AllowWritten = false }},
	{"door.allow-everyone", func(f *exposure.Facts) { f.Allow = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }},
	{"door.allow-everyone", func(f *exposure.Facts) { f.Allow = []netip.Prefix{netip.MustParsePrefix("8.0.0.0/7")} }},
	{"door.allow-everyone", func(f *exposure.Facts) { f.Allow = []netip.Prefix{netip.MustParsePrefix("2000::/3")} }},
	{"door.every-address", func(f *exposure.Facts) { f.Doors[0].Addr = netip.MustParseAddrPort("[::]:9443") }},
	{"door.no-secret", func(f *exposure.Facts) { f.Doors[1].Secret = false }},
	{"door.no-quota", func(f *exposure.Facts) { f.Limited = false }},
	{"process.root", func(f *exposure.Facts) { f.Root = true }},
	{"proxy.everyone", func(f *exposure.Facts) { f.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/1")} }},
	{"range.everyone", func(f *exposure.Facts) { f.AnonymousRange = []netip.Prefix{netip.MustParsePrefix("::/0")} }},
	{"cors.everyone", func(f *exposure.Facts) { f.Origins = []string{"null"} }},
	{"cors.plaintext", func(f *exposure.Facts) { f.Origins = []string{"http://app.example"} }},
	{"tls.unusable", func(f *exposure.Facts) { f.Certificates[0].Problem = "the file holds no PEM" }},
	{"tls.expired", func(f *exposure.Facts) { f.Certificates[0].NotAfter = now }},
	{"tls.not-yet", func(f *exposure.Facts) { f.Certificates[0].NotBefore = now.Add(time.Second) }},
	{"tls.expires-soon", func(f *exposure.Facts) { f.Certificates[0].NotAfter = now.Add(29 * day) }},
	{"tls.weak-key", func(f *exposure.Facts) { f.Certificates[0].RSABits = 2047 }},
	{"tls.weak-signature", func(f *exposure.Facts) { f.Certificates[0].WeakSignature = true }},
	{"file.readable", func(f *exposure.Facts) { f.Files[0].Mode = 0o640 }},
	{"file.dir-open", func(f *exposure.Facts) { f.Files[1].Mode = fs.ModeDir | 0o710 }},
	{"file.writable", func(f *exposure.Facts) { f.Files[2].Mode = fs.ModeDir | 0o777 }},
	{"file.foreign", func(f *exposure.Facts) { f.Files[0].Foreign = true }},
	{"file.link", func(f *exposure.Facts) { f.Files[0].Mode = fs.ModeSymlink | 0o777 }},
	{"file.missing", func(f *exposure.Facts) { f.Files[0].Missing = true }},
	{"disk.full", func(f *exposure.Facts) { f.FreeBytes = 63 << 20 }},
	{"key.owner", func(f *exposure.Facts) {
		f.Keys = append(f.Keys, exposure.Key{ID: "o", Preset: "owner", Created: now.Add(-day)})
	}},
	{"key.old", func(f *exposure.Facts) { f.Keys[0].Created = now.Add(-366 * day) }},
	{"key.no-expiry", func(f *exposure.Facts) { f.Keys[0].Expires = nil }},
	{"key.far-expiry", func(f *exposure.Facts) { f.Keys[0].Expires = at(731 * day) }},
	{"key.no-networks", func(f *exposure.Facts) { f.Keys[0].Networks = 0 }},
	{"key.wide-networks", func(f *exposure.Facts) { f.Keys[0].WideNetwork = true }},
	{"key.wide", func(f *exposure.Facts) { f.Keys[0].Scopes = strings.Split("a b c d e f g h i", " ") }},
	{"key.test", func(f *exposure.Facts) { f.Keys[0].Name = "临时导入" }},
	{"oidc.plaintext", func(f *exposure.Facts) { f.Issuer.Plain = true }},
	{"oidc.long-lived", func(f *exposure.Facts) { f.Issuer.Lifetime += time.Second }},
	{"oidc.unreachable", func(f *exposure.Facts) { f.Issuer.Err = "no answer" }},
	{"redis.plaintext", func(f *exposure.Facts) { f.Redis.TLS = false }},
	{"redis.no-password", func(f *exposure.Facts) { f.Redis.Anonymous = true }},
	{"redis.unreachable", func(f *exposure.Facts) { f.Redis.Reached = false }},
	{"redis.eviction", func(f *exposure.Facts) { f.Redis.Settings["maxmemory-policy"] = "allkeys-lru" }},
	{"redis.persistence", func(f *exposure.Facts) { f.Redis.Settings["appendonly"] = "no" }},
	{"redis.bind", func(f *exposure.Facts) { f.Redis.Settings["bind"] = "127.0.0.1 10.0.0.6" }},
	{"redis.bind", func(f *exposure.Facts) { f.Redis.Settings["bind"] = "" }},
	{"redis.protected-mode", func(f *exposure.Facts) { f.Redis.Settings["protected-mode"], f.Redis.Anonymous = "no", true }},
	{"postgres.tls", func(f *exposure.Facts) { f.Postgres.SSLMode = "" }},
	{"postgres.tls", func(f *exposure.Facts) { f.Postgres.SSLMode = "require" }},
	{"postgres.no-password", func(f *exposure.Facts) { f.Postgres.Anonymous = true }},
	{"postgres.superuser", func(f *exposure.Facts) { f.Postgres.Superuser = true }},
	{"store.durability", func(f *exposure.Facts) { f.Durability = []string{"PostgreSQL runs with fsync=off"} }},
	{"store.unusable", func(f *exposure.Facts) { f.StoreFault = "connection refused" }},
	{"throttle.alone", func(f *exposure.Facts) { f.Throttle.InProcess = true }},
	{"throttle.loose", func(f *exposure.Facts) { f.Throttle.Free = 11 }},
	{"hashing.test-cost", func(f *exposure.Facts) { f.Hashing.InsecureTestCost = true }},
	{"hashing.below-floor", func(f *exposure.Facts) { f.Hashing.BelowFloor = "hashing.memory" }},
	{"hashing.uncalibrated", func(f *exposure.Facts) { f.Hashing.Calibrated = time.Time{} }},
	{"hashing.old-calibration", func(f *exposure.Facts) { f.Hashing.Calibrated = now.Add(-401 * day) }},
	{"hashing.kernel", func(f *exposure.Facts) { f.Hashing.KernelFault = "a tag differs" }},
	{"hashing.legacy-wait", func(f *exposure.Facts) { f.Hashing.Legacy["acme"] = 1500 * time.Millisecond }},
	{"corpus.none", func(f *exposure.Facts) { f.Corpora = nil }},
	{"corpus.unusable", func(f *exposure.Facts) { f.Corpora[0].Fault = "a block is damaged" }},
	{"corpus.old", func(f *exposure.Facts) { f.Corpora[0].Built = now.Add(-401 * day) }},
	{"pepper.old", func(f *exposure.Facts) { f.PepperCreated = now.Add(-1100 * day) }},
	{"retention.short", func(f *exposure.Facts) { f.Retention["events"] = 179 * day }},
	{"clock.offset", func(f *exposure.Facts) { f.ClockOffsets[0].Offset = -6 * time.Second }},
	{"clock.offset", func(f *exposure.Facts) { f.Events.NewestEvent = now.Add(time.Hour) }},
	{"events.failing", func(f *exposure.Facts) { f.Events.Err = "no space left on device" }},
	{"events.broken", func(f *exposure.Facts) { f.Events.Intact = false }},
	{"events.no-checkpoint", func(f *exposure.Facts) { f.Events.Uncovered = now.Add(-2 * time.Minute) }},
	{"events.no-checkpoint", func(f *exposure.Facts) { f.Events.MarkErr = "read-only file system" }},
	{"events.lost", func(f *exposure.Facts) { f.Events.Lost = 1 }},
	{"events.one-place", func(f *exposure.Facts) { f.Events.Beside = true }},
	{"outgoing.plaintext", func(f *exposure.Facts) { f.Outgoing[0].Plain = true }},
	{"outgoing.unsigned", func(f *exposure.Facts) { f.Outgoing[0].Secret = false }},
	{"neighbour.open", func(f *exposure.Facts) { f.Neighbours[0].Open = true }},
}

// also are the checks that cannot but find the same fault.
var also = map[string][]string{
	"redis.protected-mode": {"redis.no-password"},
}

func names(f []exposure.Finding) (out []string) {
	for _, x := range f {
		if !slices.Contains(out, x.Check) {
			out = append(out, x.Check)
		}
	}
	slices.Sort(out)
	return out
}

// TestEveryCheckFindsItsFault plants one fault after the other into facts that
// are sound: each check finds its own, and no other takes it for something else.
func TestEveryCheckFindsItsFault(t *testing.T) {
	if found := names(exposure.Examine(sound())); len(found) > 0 {
		t.Fatalf("sound facts have findings: %v", found)
	}
	if found := names(exposure.Examine(exposure.Facts{Now: now})); len(found) > 0 {
		t.Errorf("where nothing is known, there are findings: %v", found)
	}
	planted := map[string]bool{}
	for _, x := range faults {
		f := sound()
		x.plant(&f)
		want := append([]string{x.check}, also[x.check]...)
		slices.Sort(want)
		found := exposure.Examine(f)
		if got := names(found); !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", x.check, got, want)
		}
		planted[x.check] = true
		for _, f := range found {
			for _, locale := range []string{"en", "zh-CN"} {
				if f.Message(locale) == "" || f.Fix(locale) == "" || strings.Contains(f.Message(locale), "%!") || len(f.Clauses()) == 0 {
					t.Errorf("%s in %s is not whole: %q", f.Check, locale, f.Message(locale))
				}
			}
		}
	}
	for _, c := range exposure.Checks() {
		if !planted[c] {
			t.Errorf("no fault is planted for %s", c)
		}
	}
	t.Logf("%d faults for %d checks", len(faults), len(planted))
}

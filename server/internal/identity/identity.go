// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package identity tells who is calling: a key or a verified client
// certificate goes in, a Caller with tenant, scopes and networks comes out; for
// access tokens package oidc does the same. It knows no method names.
package identity

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DefaultTenant is the tenant of an installation that names none.
const DefaultTenant = "default"

// ValidTenant tells whether a name can be a tenant's: a small letter or digit,
// then at most 63 small letters, digits, dots, underlines or hyphens.
func ValidTenant(name string) bool { return tenantName.MatchString(name) }

var tenantName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ErrDenied is returned for every credential that does not identify a caller:
// absent, malformed, unknown, expired or revoked. There is one error, so that
// a guesser does not learn which it was.
var ErrDenied = errors.New("no valid credential")

// ErrRefused is returned, perhaps with the cause for the log, for a caller who is known but not let in: from
// outside the networks of the key, or without the scope.
var ErrRefused = errors.New("caller is not allowed to do this")

// Scopes are all scopes of the contract, in its order.
var Scopes = []string{
	"password.check", "password.hash",
	"credential.read", "credential.write", "credential.verify",
	"throttle.attempt", "throttle.admin",
	"breach.query",
	"policy.read", "policy.write",
	"corpus.write",
	"audit.run", "audit.read",
	"key.admin", "event.read", "system.read", "system.admin",
}

// PresetOwner is the preset of the first key: all scopes, from loopback only.
const PresetOwner = "owner"

// presets are the roles of which one key holds at most one: whoever runs the
// system does not set its security policy, and neither of them keeps the audit
// (GB/T 22239-2019 8.1.5, separation of administrators).
var presets = map[string][]string{
	"system-admin":   {"system.read", "system.admin", "corpus.write", "key.admin"},
	"security-admin": {"policy.read", "policy.write", "throttle.admin", "credential.read", "credential.write"},
	"audit-admin":    {"audit.run", "audit.read", "event.read"},
}

// Preset gives the scopes of a role preset.
func Preset(name string) ([]string, bool) {
	if name == PresetOwner {
		return slices.Clone(Scopes), true
	}
	s, ok := presets[name]
	return slices.Clone(s), ok
}

// CombinesPresets tells whether the scopes reach into more than one of the
// separated roles.
func CombinesPresets(scopes []string) bool {
	roles := 0
	for _, own := range presets {
		if slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(own, s) }) {
			roles++
		}
	}
	return roles > 1
}

// CheckScopes returns an error unless every name is a scope of the contract and
// there is at least one.
func CheckScopes(scopes []string) error {
	if len(scopes) == 0 {
		return errors.New("no scopes given")
	}
	for i, s := range scopes {
		if !slices.Contains(Scopes, s) {
			return fmt.Errorf("scope %d is not one of the contract's", i+1)
		}
	}
	return nil
}

// Caller is who is calling.
type Caller struct {
	// ID names the key ("key:<id>"), certificate ("mtls:<name>") or token's
	// subject ("oidc:<sub>") in logs.
	ID       string
	Tenant   string
	Preset   string
	Scopes   []string
	Networks []netip.Prefix // nil: from anywhere
	Expires  *time.Time     // the end of a key; nil for none
}

// Has tells whether the caller holds a scope.
func (c *Caller) Has(scope string) bool { return slices.Contains(c.Scopes, scope) }

// Bound holds a key that the caller makes to what the caller has: no scope it
// lacks, no end after its own, no network outside of its own. What the key
// leaves open it takes from its maker. The owner's key, which works from the
// loopback only and is there to make others, binds them in scopes alone. It
// returns ErrRefused.
func (c *Caller) Bound(k *Key) error {
	for _, scope := range k.Scopes {
		if !c.Has(scope) {
			return ErrRefused
		}
	}
	if c.Preset == PresetOwner {
		return nil
	}
	if c.Expires != nil {
		if k.Expires == nil {
			k.Expires = c.Expires
		}
		if k.Expires.After(*c.Expires) {
			return ErrRefused
		}
	}
	if len(c.Networks) == 0 {
		return nil
	}
	if len(k.Networks) == 0 {
		for _, n := range c.Networks {
			k.Networks = append(k.Networks, n.String())
		}
		return nil
	}
	own, err := ParseNetworks(k.Networks)
	if err != nil {
		return ErrRefused
	}
	for _, n := range own {
		if !slices.ContainsFunc(c.Networks, func(p netip.Prefix) bool { return p.Bits() <= n.Bits() && p.Contains(n.Addr()) }) {
			return ErrRefused
		}
	}
	return nil
}

// From tells whether the caller may call from an address. An invalid address
// is one of an in-process or Unix-socket peer and passes only an empty list.
func (c *Caller) From(addr netip.Addr) bool {
	return len(c.Networks) == 0 || Within(c.Networks, addr)
}

// Within tells whether an address lies in one of the networks. IPv4-mapped
// addresses are unmapped and zones dropped first: a netip.Prefix contains
// neither (CVE-2024-24790 and its kin).
func Within(networks []netip.Prefix, addr netip.Addr) bool {
	if !plantMappedAddresses {
		addr = addr.Unmap().WithZone("")
	}
	return addr.IsValid() && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// ThisMachine tells whether what a request calls its host, with or without a
// port, is this machine as it calls itself: an address of the loopback, or
// localhost. A name that a stranger had pointed at the loopback is not (DNS
// rebinding).
func ThisMachine(hostport string) bool {
	host := Host(hostport)
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// Host is a host without its port and without the brackets of an address.
func Host(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// ParseNetworks reads networks, or single addresses, as text. A mapped IPv6
// network is refused rather than guessed at.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	var nets []netip.Prefix
	for i, s := range texts {
		s = strings.TrimSpace(s)
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return nil, fmt.Errorf("network %d is neither an address nor a prefix", i+1)
			}
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("network %d is an IPv4-mapped IPv6 network: write it as IPv4", i+1)
		}
		nets = append(nets, p.Masked())
	}
	return nets, nil
}

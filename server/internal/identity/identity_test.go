// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package identity_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/identity"
)

func TestNewKeyParses(t *testing.T) {
	k, text := identity.NewKey(time.Unix(1_700_000_000, 5))
	id, secret, err := identity.ParseKey(text)
	if err != nil || id != k.ID || !k.Matches(secret) {
		t.Errorf("ParseKey(NewKey) = %q, matches %v, %v", id, k.Matches(secret), err)
	}
	if _, other := identity.NewKey(time.Now()); other == text {
		t.Error("two keys are one")
	}
	if strings.Contains(k.ID, secret) || len(secret) != 52 {
		t.Errorf("the secret has %d characters, want 52", len(secret))
	}
}

// TestParseKeyTakesOneSpelling changes a good key in every way of a character
// or two. The last characters of id and secret hold bits that the encoding
// does not use; they must be zero.
func TestParseKeyTakesOneSpelling(t *testing.T) {
	_, good := identity.NewKey(time.Now())
	refuse := func(text string) {
		t.Helper()
		if id, secret, err := identity.ParseKey(text); err != identity.ErrDenied || id != "" || secret != "" {
			t.Errorf("ParseKey of a key changed to %d characters gives %q, %v", len(text), id, err)
		}
	}
	for i := range len(good) {
		refuse(good[:i])
		refuse(good[:i] + "1" + good[i+1:]) // not a digit of base32
		refuse(good[:i] + "a" + good[i:])
		refuse(good[:i] + "é" + good[i+1:])
		if up := strings.ToUpper(good[i : i+1]); up != good[i:i+1] {
			refuse(good[:i] + up + good[i+1:])
		}
	}
	for _, text := range []string{"", "ww_", good + "\n", " " + good, good + "=", strings.Replace(good, "ww_", "WW_", 1), strings.ReplaceAll(good, "_", "-")} {
		refuse(text)
	}
	last := strings.IndexByte("abcdefghijklmnopqrstuvwxyz234567", good[len(good)-1])
	if last%16 != 0 {
		t.Errorf("the last character of a secret has value %d; 256 bits leave it one bit", last)
	}
	refuse(good[:len(good)-1] + string("abcdefghijklmnopqrstuvwxyz234567"[last+1]))
}

// FuzzParseKey: what is accepted prints back to what was read, and what is
// refused is refused with one error and nothing else.
func FuzzParseKey(f *testing.F) {
	_, good := identity.NewKey(time.Now())
	f.Add(good)
	f.Add("ww_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Add("ww_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")
	f.Add("ww__")
	f.Add("ww_AAAAAAAAAAAAAAAA_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Fuzz(func(t *testing.T, text string) {
		id, secret, err := identity.ParseKey(text)
		if err != nil {
			if err != identity.ErrDenied || id != "" || secret != "" {
				t.Fatalf("ParseKey(%q) = %q, %q, %v: a refusal must be ErrDenied alone", text, id, secret, err)
			}
			return
		}
		if "ww_"+id+"_"+secret != text {
			t.Fatalf("ParseKey(%q) = %q, %q, which do not print back", text, id, secret)
		}
		for _, c := range id + secret {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz234567", c) {
				t.Fatalf("ParseKey(%q) let %q through", text, c)
			}
		}
	})
}

func TestParseNetworks(t *testing.T) {
	for _, c := range []struct {
		text, addr string
		within     bool
	}{
		{"192.0.2.0/24", "192.0.2.1", true},
		{"192.0.2.77/24", "192.0.2.1", true}, // host bits do not narrow it
		{"192.0.2.0/24", "192.0.3.1", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{" 192.0.2.1 ", "192.0.2.1", true},
		{"::ffff:192.0.2.1", "192.0.2.1", true},
		{"192.0.2.0/24", "::ffff:192.0.2.1", true}, // as a socket of both families shows it
		{"0.0.0.0/0", "::1", false},
		{"::/0", "192.0.2.1", false},
		{"::/0", "::ffff:192.0.2.1", false},
		{"fe80::/10", "fe80::1%eth0", true}, // a zone names the way, not the place
		{"2001:db8::/32", "2001:db8::1", true},
		{"::1/128", "127.0.0.1", false},
	} {
		nets, err := identity.ParseNetworks([]string{c.text})
		if err != nil {
			t.Errorf("ParseNetworks(%q): %v", c.text, err)
			continue
		}
		if got := identity.Within(nets, netip.MustParseAddr(c.addr)); got != c.within {
			t.Errorf("Within(%q, %s) = %v, want %v", c.text, c.addr, got, c.within)
		}
	}
	for _, text := range []string{"", "x", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2/24", "192.0.2.0/024", "::ffff:192.0.2.0/120", "::ffff:0:0/96",
		"fe80::1%eth0", "fe80::%eth0/10", "192.0.2.1/24/24", "192.0.2.1-192.0.2.9", "0x7f.0.0.1", "127.1", "localhost", "192.0.2.0/24,10.0.0.0/8"} {
		if nets, err := identity.ParseNetworks([]string{"10.0.0.0/8", text}); err == nil {
			t.Errorf("ParseNetworks(%q) = %v", text, nets)
		} else if !strings.HasPrefix(err.Error(), "network 2 is ") || text != "" && text != "x" && strings.Contains(err.Error(), text) {
			t.Errorf("ParseNetworks(%q): %v", text, err)
		}
	}
	if identity.Within(identity.Loopback, netip.Addr{}) {
		t.Error("no address lies in the loopback")
	}
}

// FuzzNetworks: an address lies in the networks that were read if and only if
// it does by its bits alone, whatever the spelling of either: an IPv4 address is
// the same inside IPv6, an IPv6 one the same in every zone, and the families
// never meet. What was read prints back to the same.
func FuzzNetworks(f *testing.F) {
	f.Add("192.0.2.0/24", "::ffff:192.0.2.1", "eth0")
	f.Add("::ffff:192.0.2.0/120", "192.0.2.1", "")
	f.Add("fe80::/10", "fe80::1", "1")
	f.Add("::/0", "192.0.2.1", "")
	f.Add("fe80::1%eth0", "fe80::1", "eth0")
	f.Add("0.0.0.0/0", "::1", "")
	f.Fuzz(func(t *testing.T, network, address, zone string) {
		nets, err := identity.ParseNetworks([]string{network})
		if err != nil {
			if len(network) > 8 && strings.Contains(err.Error(), network) {
				t.Fatalf("the error repeats %q: %v", network, err)
			}
			if !strings.HasPrefix(err.Error(), "network 1 is ") || nets != nil {
				t.Fatalf("ParseNetworks(%q) = %v, %v", network, nets, err)
			}
			return
		}
		p := nets[0]
		if len(nets) != 1 || !p.IsValid() || p.Addr().Zone() != "" || p.Addr().Is4In6() || p != p.Masked() {
			t.Fatalf("ParseNetworks(%q) = %v", network, nets)
		}
		if again, err := identity.ParseNetworks([]string{p.String()}); err != nil || len(again) != 1 || again[0] != p {
			t.Fatalf("%v reads back as %v, %v", p, again, err)
		}
		a, err := netip.ParseAddr(address)
		if err != nil {
			return
		}
		want := inside(p, a)
		if got := identity.Within(nets, a); got != want {
			t.Fatalf("Within(%v, %v) = %v, want %v", p, a, got, want)
		}
		spellings := []netip.Addr{a.Unmap()}
		if a.Unmap().Is4() {
			spellings = append(spellings, netip.AddrFrom16(a.As16()))
		} else {
			spellings = append(spellings, a.WithZone(zone), a.WithZone(""))
		}
		for _, other := range spellings {
			if identity.Within(nets, other) != want {
				t.Fatalf("Within(%v, …) differs between %v and %v", p, a, other)
			}
		}
	})
}

// inside compares bits, without the help of netip's own Contains.
func inside(p netip.Prefix, a netip.Addr) bool {
	a = a.Unmap()
	if a.Is4() != p.Addr().Is4() {
		return false
	}
	x, y := a.AsSlice(), p.Addr().AsSlice()
	for i := range p.Bits() {
		if (x[i/8]^y[i/8])>>(7-i%8)&1 != 0 {
			return false
		}
	}
	return true
}

func TestScopesAndPresets(t *testing.T) {
	owner, ok := identity.Preset(identity.PresetOwner)
	if !ok || len(owner) != len(identity.Scopes) {
		t.Errorf("the owner has %d scopes of %d", len(owner), len(identity.Scopes))
	}
	roles := []string{"system-admin", "security-admin", "audit-admin"}
	for i, a := range roles {
		own, ok := identity.Preset(a)
		if !ok || identity.CombinesPresets(own) || identity.CheckScopes(own) != nil {
			t.Errorf("preset %s: %v", a, own)
		}
		for _, b := range roles[i+1:] {
			others, _ := identity.Preset(b)
			for _, x := range own {
				for _, y := range others {
					if !identity.CombinesPresets([]string{x, y}) {
						t.Errorf("%s and %s stand in one key", x, y)
					}
				}
			}
		}
	}
	if _, ok := identity.Preset("root"); ok {
		t.Error("there is a preset root")
	}
	if identity.CheckScopes(nil) == nil || identity.CheckScopes([]string{"password.check", "Password.Check"}) == nil {
		t.Error("CheckScopes takes what is no scope")
	}
	for name, want := range map[string]bool{"default": true, "a": true, "a.b-c_d": true, "": false, "A": false, "-a": false, "a b": false, "é": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "a\n": false} {
		if identity.ValidTenant(name) != want {
			t.Errorf("ValidTenant(%q) = %v", name, !want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package attacksim_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/throttle"
	"github.com/watchword-project/watchword/server/internal/throttle/attacksim"
)

// TestScenarios runs the built-in ones, the weeks on a tenth of the people: what
// befalls one account is the same.
func TestScenarios(t *testing.T) {
	for _, s := range attacksim.Scenarios() {
		if s.Last >= 7*24*time.Hour {
			s.Owners, s.Targets, s.Attacks, s.Addresses, s.Prefixes = s.Owners/10, s.Targets/10, s.Attacks/10, s.Addresses/10, s.Prefixes/10
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			rules, err := throttle.ProfileRules("nist")
			if err != nil {
				t.Fatal(err)
			}
			r, err := attacksim.Run(t.Context(), "nist", rules, s, 1)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("\n%s", r.Text())
			if r.Succeeded+r.GaveUp != r.Logins || r.Tries != s.Attacks {
				t.Errorf("numbers do not add up: %+v", r)
			}
			share := func(n int) float64 { return float64(n) / float64(r.Logins) }
			switch s.Name {
			case "stuffing", "spray":
				if r.Alarms == 0 || r.Admitted*2 > r.Tries {
					t.Errorf("%d of %d tries admitted, %d alarms", r.Admitted, r.Tries, r.Alarms)
				}
			case "slow-botnet":
				// Owners who keep no token end runs of failures by logging in; what is
				// left then is the slow budget, 100 and one every 7.2 hours, and a few
				// guesses that were right.
				if r.MostAtOne > 100+7*24*10/72+3 {
					t.Errorf("%d guesses at one account in a week, want at most 126", r.MostAtOne)
				}
			case "typo-owners", "nat":
				if r.FalseAlarms > 0 || share(r.Denied) > 0 || share(r.Delayed) > 0.02 {
					t.Errorf("nobody attacked: %d alarms, %.3f delayed, %.3f denied", r.FalseAlarms, share(r.Delayed), share(r.Denied))
				}
			}
			if s.Name != "stuffing" {
				return
			}
			again, err := attacksim.Run(t.Context(), "nist", rules, s, 1)
			if err != nil || again.Text() != r.Text() {
				t.Errorf("the same seed gave another result, %v", err)
			}
		})
	}
}

// TestPolicyShows turns the policy off as far as it goes: the numbers must tell.
func TestPolicyShows(t *testing.T) {
	nist, _ := throttle.ProfileRules("nist")
	lax := nist
	for c := range lax.Unknown {
		lax.Unknown[c] = throttle.Ladder{Free: 10, First: time.Millisecond, Longest: time.Millisecond, Close: 1000}
	}
	lax.Slow, lax.Pair, lax.Address, lax.Tenant = throttle.Rate{}, throttle.Rate{}, throttle.Rate{}, throttle.Rate{}
	s := attacksim.Scenario{
		Name: "small", Last: 24 * time.Hour, Owners: 50, LoginsPerDay: 2, KeepToken: 0.5, Typo: 0.1, Tries: 3,
		Attacks: 20_000, Addresses: 100, Prefixes: 100, Targets: 50, Hit: 0.001, Solves: 1,
	}
	a, err := attacksim.Run(t.Context(), "nist", nist, s, 7)
	if err != nil {
		t.Fatal(err)
	}
	b, err := attacksim.Run(t.Context(), "lax", lax, s, 7)
	if err != nil {
		t.Fatal(err)
	}
	if a.Admitted*3 > b.Admitted {
		t.Errorf("%d guesses under nist, %d under next to no policy", a.Admitted, b.Admitted)
	}
}

func TestSVGIsWellFormed(t *testing.T) {
	rules, _ := throttle.ProfileRules("pci")
	s := attacksim.Scenario{Name: "<&\">", Last: time.Hour, Owners: 5, LoginsPerDay: 100, Tries: 2, Attacks: 50, Addresses: 1, Prefixes: 1, Targets: 5}
	r, err := attacksim.Run(t.Context(), "a & b", rules, s, 1)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(r.SVG()))
	paths := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" {
			paths++
		}
	}
	if paths < 4 {
		t.Errorf("%d lines drawn, want at least four", paths)
	}
}

func TestRunStops(t *testing.T) {
	rules, _ := throttle.ProfileRules("nist")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := attacksim.Run(ctx, "nist", rules, attacksim.Scenarios()[0], 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Run under an ended context: %v", err)
	}
	for _, s := range []attacksim.Scenario{{}, {Owners: 1, Last: time.Second}, {Owners: 1, Last: time.Hour, Attacks: 1}} {
		if _, err := attacksim.Run(t.Context(), "nist", rules, s, 1); err == nil {
			t.Errorf("Run took %+v", s)
		}
	}
}

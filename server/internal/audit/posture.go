// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
)

// Limits say from when on an account is stale or dormant.
type Limits struct {
	StaleAfter   time.Duration
	DormantAfter time.Duration
}

// Default limits: a yearly change is the backstop of CIS, 90 days without a
// login the limit of PCI DSS 4.0.1 8.2.6.
const (
	DefaultStaleAfter   = 365 * 24 * time.Hour
	DefaultDormantAfter = 90 * 24 * time.Hour
)

// initialAfter is how long an initial password may wait for its change.
const initialAfter = 30 * 24 * time.Hour

// posture finds what can be told of a record without a guess.
func posture(r *Row, login string, l Limits, now time.Time) []Finding {
	var out []Finding
	add := func(k Kind, s Severity, class string) {
		out = append(out, Finding{Kind: k, Severity: s.weigh(r.Flags), Class: class})
	}
	if r.Fault != "" {
		return []Finding{{Kind: Malformed, Severity: Low, Class: r.Fault}}
	}
	if r.Hash != "" {
		if info, err := password.Parse(r.Hash); err == nil {
			hashPosture(info, r.Flags, add)
		}
	}
	if r.Flags&FlagLM != 0 {
		add(LegacyHash, Critical, "lm")
	}
	if !r.LastChanged.IsZero() && now.Sub(r.LastChanged) > l.StaleAfter {
		add(Stale, Low, ages(now.Sub(r.LastChanged)))
	}
	if r.Flags&FlagNeverChanged != 0 {
		add(NeverChanged, Medium, "initial")
	}
	if r.Flags&FlagDisabled != 0 {
		return out
	}
	switch {
	case r.Flags&FlagNeverLoggedIn != 0:
		add(Dormant, Low, "never")
	case !r.LastLogin.IsZero() && now.Sub(r.LastLogin) > l.DormantAfter:
		add(Dormant, Low, ages(now.Sub(r.LastLogin)))
	}
	switch {
	case r.Flags&FlagTest != 0, testName(login):
		add(DefaultCredential, Medium, "test-account")
	case defaultName(login):
		add(DefaultCredential, Low, "default-account")
	}
	return out
}

// hashPosture judges the scheme and cost of a hash.
func hashPosture(info password.Info, f Flags, add func(Kind, Severity, string)) {
	class := string(info.Scheme) + " " + info.Cost()
	switch {
	case info.Scheme == password.WrappedArgon2id:
		add(LegacyHash, Low, class)
	case info.Weak():
		add(LegacyHash, High, class)
	case !kept[info.Scheme]:
		add(LegacyHash, Medium, class)
	case info.BelowFloor():
		add(BelowFloor, Medium, class)
	}
	if f&FlagPeppered == 0 {
		add(NoPepper, Low, string(info.Scheme))
	}
}

// kept are the schemes that are fit to keep at a sufficient cost.
var kept = map[password.Scheme]bool{
	password.Argon2id: true, password.Bcrypt: true, password.BcryptSHA256: true, password.Scrypt: true,
	password.PBKDF2SHA256: true, password.PBKDF2SHA512: true, password.PBKDF2SM3: true,
}

// ages gives an age in coarse words, so that a report tells no day.
func ages(d time.Duration) string {
	const year = 365 * 24 * time.Hour
	switch {
	case d > 5*year:
		return ">5y"
	case d > 2*year:
		return ">2y"
	case d > year:
		return ">1y"
	case d > year/2:
		return ">180d"
	}
	return ">90d"
}

// Names of accounts that somebody set up to try something, and of those that
// systems are delivered with.
var (
	testNames = map[string]bool{"test": true, "tester": true, "testing": true, "testuser": true, "demo": true, "temp": true, "tmp": true,
		"ceshi": true, "测试": true, "sample": true, "example": true, "dummy": true, "foo": true, "guest": true, "qa": true}
	defaultNames = map[string]bool{"admin": true, "administrator": true, "root": true, "system": true, "sysadmin": true, "superuser": true,
		"sa": true, "sys": true, "oracle": true, "postgres": true, "tomcat": true, "guanliyuan": true, "管理员": true, "default": true}
)

// testName also knows numbered ones, such as test01.
func testName(login string) bool {
	return testNames[strings.TrimRight(strings.ToLower(login), "0123456789_-.")]
}

func defaultName(login string) bool { return defaultNames[strings.ToLower(login)] }

// knownNames yields the names above, for finding them among pseudonyms.
func knownNames() []string {
	var out []string
	for _, set := range []map[string]bool{testNames, defaultNames} {
		for n := range set {
			out = append(out, n)
			for _, d := range []string{"1", "2", "3", "01", "02", "03", "123"} {
				out = append(out, n+d)
			}
		}
	}
	return out
}

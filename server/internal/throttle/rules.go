// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"errors"
	"fmt"
	"time"
)

// Ladder is the rule of a lane that counts distinct wrong guesses.
type Ladder struct {
	// Free is how many wrong guesses bring no wait, 1 to 10.
	Free int
	// First is the wait after Free failures; each further failure doubles it,
	// up to Longest. At least 1 ms, at most 24 h.
	First, Longest time.Duration
	// Locks makes a refusal during a wait a Deny instead of a Delay.
	Locks bool
	// Close is the number of consecutive failures that closes the lane until
	// the authenticator is bound anew, Free+1 to 1000 (NIST SP 800-63B-4
	// §3.2.2: no more than 100).
	Close int
}

// Rate admits Burst at once and one more Every so often; in any window w at
// most Burst + w/Every. A zero Rate is no limit.
type Rate struct {
	Burst int           // at most 1,000,000
	Every time.Duration // 40 ms to 30 days; Burst of them at most ten years
}

// times widens a rate k-fold.
func (r Rate) times(k int) Rate { return Rate{r.Burst * k, r.Every / time.Duration(k)} }

// Rules is a whole policy.
type Rules struct {
	// Unknown and Device are the ladders of the subject lane and of a known
	// device's lane, by channel.
	Unknown, Device [channels]Ladder
	// NoDevices counts all devices on the subject lane: strangers can then make
	// the owner wait.
	NoDevices bool
	// Slow bounds the wrong guesses at a subject from unknown devices over a
	// long time; the owner's success does not restore what strangers used up.
	// Beyond it a challenge is asked for.
	Slow Rate
	// Pair bounds the failures of one subject from one address.
	Pair Rate
	// Address is the rate of failures of a /32 or /64. A /56 has twice, a /24
	// and a /48 four times as much.
	Address Rate
	// Tenant bounds the failures of a tenant; beyond it unknown devices are
	// asked for a challenge. It is counted by each server for itself.
	Tenant Rate
	// Pending is how long a reservation waits for its outcome before it counts
	// as a failure, 1 s to 1 h.
	Pending time.Duration
}

// ProfileRules returns the rules of a named profile:
//
//	nist  NIST SP 800-63B-4 §3.2.2: 5 free guesses, waits of 30 s to 1 h, closed at 100
//	pci   PCI DSS 4.0.1 8.3.4: locked for 30 minutes after 10 tries, whatever the device
//	mlps  GB/T 22239-2019 (login failure handling): locked for 30 minutes after 5 tries
func ProfileRules(name string) (Rules, error) {
	nist := Rules{
		Unknown: each(Ladder{Free: 5, First: 30 * time.Second, Longest: time.Hour, Close: 100}),
		Device:  each(Ladder{Free: 10, First: 30 * time.Second, Longest: time.Hour, Close: 100}),
		Slow:    Rate{100, 30 * 24 * time.Hour / 100},
		Pair:    Rate{20, time.Minute},
		Address: Rate{30, 20 * time.Second},
		Tenant:  Rate{6000, 100 * time.Millisecond},
		Pending: time.Minute,
	}
	switch name {
	case "", "nist":
		return nist, nil
	case "pci":
		r := nist
		r.Unknown = each(Ladder{Free: 10, First: 30 * time.Minute, Longest: 30 * time.Minute, Locks: true, Close: 100})
		r.Device = r.Unknown
		r.NoDevices = true
		return r, nil
	case "mlps":
		r := nist
		r.Unknown = each(Ladder{Free: 5, First: 30 * time.Minute, Longest: 30 * time.Minute, Locks: true, Close: 100})
		r.Device = r.Unknown
		return r, nil
	}
	return Rules{}, errors.New("throttle: no profile of this name (nist, pci, mlps)")
}

func each(l Ladder) (all [channels]Ladder) {
	for i := range all {
		all[i] = l
	}
	return all
}

// maxFree is the largest Ladder.Free: the number of guesses a record can hold.
const maxFree = 10

func (r *Rules) check() error {
	for _, ladders := range [][channels]Ladder{r.Unknown, r.Device} {
		for _, l := range ladders {
			switch {
			case l.Free < 1 || l.Free > maxFree:
				return fmt.Errorf("throttle: %d free guesses, want 1 to %d", l.Free, maxFree)
			case l.First < time.Millisecond || l.Longest < l.First || l.Longest > 24*time.Hour:
				return fmt.Errorf("throttle: waits of %v to %v, want 1ms to 24h", l.First, l.Longest)
			case l.Close <= l.Free || l.Close > 1000:
				return fmt.Errorf("throttle: closed after %d failures, want %d to 1000", l.Close, l.Free+1)
			}
		}
	}
	for _, x := range []Rate{r.Slow, r.Pair, r.Address, r.Tenant} {
		if x == (Rate{}) {
			continue
		}
		if x.Burst < 1 || x.Burst > 1e6 || x.Every < 40*time.Millisecond || x.Every > 30*24*time.Hour ||
			x.Every.Milliseconds()*int64(x.Burst) > closedLife {
			return fmt.Errorf("throttle: rate of %d and one every %v is out of bounds", x.Burst, x.Every)
		}
	}
	if r.Pending < time.Second || r.Pending > time.Hour {
		return fmt.Errorf("throttle: reservations of %v, want 1s to 1h", r.Pending)
	}
	return nil
}

// stricter returns the rules divided among n servers that cannot see each
// other, none below one.
func (r Rules) stricter(n int) Rules {
	for c := range channels {
		r.Unknown[c].Free = max(1, r.Unknown[c].Free/n)
		r.Device[c].Free = max(1, r.Device[c].Free/n)
	}
	for _, x := range []*Rate{&r.Slow, &r.Pair, &r.Address, &r.Tenant} {
		if *x != (Rate{}) {
			*x = Rate{max(1, x.Burst/n), min(x.Every*time.Duration(n), 30*24*time.Hour)}
		}
	}
	return r
}

// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package attacksim plays attacks and ordinary days against the throttle, on a
// simulated clock, and tells what a policy would have done: how many guesses
// reach the hash, how many owners have to wait, how often the alarm is false.
//
// What is simulated is the real limiter with its in-process store; only the
// people are made up, with a seed, so that the same scenario under two
// policies differs by the policy alone.
package attacksim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

// Scenario is a day, or a week, in the life of a login page.
type Scenario struct {
	Name string
	Note string // one line on what happens
	Last time.Duration

	// Owners log in LoginsPerDay times each. A share of them keep the device
	// token of their last login; each try is mistyped with probability Typo,
	// and tried again up to Tries times, ten seconds apart or as long as they
	// are told to wait, if that is no more than five minutes.
	Owners       int
	LoginsPerDay float64
	KeepToken    float64
	Typo         float64
	Tries        int
	// OneAddress puts all owners behind one address.
	OneAddress bool

	// Attack tries are spread evenly over Last. Each comes from one of Addresses
	// addresses in Prefixes networks, at one of the first Targets owners, and is
	// right with probability Hit. Passwords is how many different guesses the
	// attacker goes through, all subjects with one and then the next; 0 makes
	// every guess a new one. Solves is the probability that a challenge is solved.
	Attacks   int
	Addresses int
	Prefixes  int
	Targets   int
	Passwords int
	Hit       float64
	Solves    float64
}

// Scenarios are the built-in ones.
func Scenarios() []Scenario {
	life := Scenario{Owners: 2000, LoginsPerDay: 2, KeepToken: 0.7, Typo: 0.06, Tries: 4}
	with := func(change func(*Scenario)) Scenario {
		s := life
		change(&s)
		return s
	}
	return []Scenario{
		with(func(s *Scenario) {
			s.Name, s.Note, s.Last = "stuffing", "pairs of name and password leaked elsewhere, one try each, from 50 networks", 2*time.Hour
			s.Attacks, s.Addresses, s.Prefixes, s.Targets, s.Hit, s.Solves = 20_000, 400, 50, 2000, 0.005, 0.1
		}),
		with(func(s *Scenario) {
			s.Name, s.Note, s.Last = "spray", "twenty popular passwords, each at every account, from 200 networks", 24*time.Hour
			s.Attacks, s.Addresses, s.Prefixes, s.Targets, s.Passwords, s.Hit, s.Solves = 40_000, 1000, 200, 2000, 20, 0.001, 0.1
		}),
		with(func(s *Scenario) {
			s.Name, s.Note, s.Last = "slow-botnet", "five hundred machines in as many networks, a guess each every twenty minutes at 300 accounts", 7*24*time.Hour
			s.Attacks, s.Addresses, s.Prefixes, s.Targets, s.Hit, s.Solves = 252_000, 500, 500, 300, 0.0001, 0
		}),
		with(func(s *Scenario) {
			s.Name, s.Note, s.Last = "typo-owners", "nobody attacks; three tries in ten are mistyped", 7*24*time.Hour
			s.Typo, s.Tries = 0.3, 8
		}),
		with(func(s *Scenario) {
			s.Name, s.Note, s.Last = "nat", "nobody attacks; three thousand people behind one address log in within two hours", 2*time.Hour
			s.Owners, s.LoginsPerDay, s.KeepToken, s.OneAddress = 3000, 12, 0, true
		}),
	}
}

// Point is what happened in one of the Result's time steps.
type Point struct {
	Tries    int // of the attacker
	Admitted int // of these, how many reached the hash
	Logins   int // begun by owners
	Held     int // owners who were refused at their first try, for whatever reason
}

// Result is what a policy did in a scenario.
type Result struct {
	Scenario string
	Profile  string
	Step     time.Duration // of Series
	Series   []Point

	Tries     int // of the attacker
	Admitted  int // reached the hash
	MostAtOne int // the largest number of these at one account
	Taken     int // were right: accounts lost
	Closed    int // accounts with their lane for unknown devices closed at the end

	Logins     int // of owners
	Succeeded  int // in the end
	Delayed    int // were told to wait at least once
	Challenged int // had to solve a challenge
	Denied     int // met a DENY
	GaveUp     int // by mistyping too often or being told to wait too long

	// FirstAlarm is when the first SPRAY or STUFFING signal came, negative if
	// none did. FalseAlarms counts them in scenarios without an attack.
	FirstAlarm  time.Duration
	Alarms      int
	FalseAlarms int
}

type sim struct {
	Scenario
	l      *throttle.Limiter
	now    time.Time
	start  time.Time
	rnd    *rand.Rand
	tokens []string // of each owner
	tags   uint64
	atOne  []int
	taken  []bool
	res    *Result
	err    error
}

// steps is how many points a Series has.
const steps = 96

// Run plays one scenario under the rules, which profile only names. The same seed gives the
// same people. It stops early if ctx ends.
func Run(ctx context.Context, profile string, rules throttle.Rules, s Scenario, seed uint64) (Result, error) {
	if s.Owners < 1 || s.Owners > 1_000_000 || s.Last < time.Minute || s.Attacks < 0 || s.Attacks > 100_000_000 ||
		s.Attacks > 0 && (s.Addresses < 1 || s.Prefixes < 1 || s.Prefixes > 1<<20 || s.Targets < 1 || s.Targets > s.Owners) {
		return Result{}, errors.New("attacksim: scenario out of bounds")
	}
	x := &sim{
		Scenario: s, start: time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC), rnd: rand.New(rand.NewPCG(seed, 0)),
		tokens: make([]string, s.Owners), atOne: make([]int, s.Owners), taken: make([]bool, s.Owners),
		res: &Result{Scenario: s.Name, Profile: profile, Step: s.Last / steps, Series: make([]Point, steps), FirstAlarm: -1},
	}
	x.now = x.start
	var err error
	x.l, err = throttle.New(throttle.Config{
		Rules: &rules, Keys: throttle.Keys{Names: bytes.Repeat([]byte{1}, 32)}, Now: func() time.Time { return x.now },
		Memory: throttle.MemoryConfig{Subjects: max(1024, 2*s.Owners)}, Log: slog.New(slog.DiscardHandler),
	}, nil)
	if err != nil {
		return Result{}, err
	}
	defer x.l.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heard := x.l.Signals(ctx)
	if err := x.play(ctx, heard); err != nil {
		return Result{}, err
	}
	for n := range s.Owners {
		st, err := x.l.State(ctx, throttle.Query{Subject: subject(n)})
		if err != nil {
			return Result{}, err
		}
		for _, lane := range st.Lanes {
			if lane.Closed && !lane.KnownDevice {
				x.res.Closed++
			}
		}
		x.res.MostAtOne = max(x.res.MostAtOne, x.atOne[n])
	}
	return *x.res, nil
}

func subject(n int) (s [16]byte) {
	binary.LittleEndian.PutUint64(s[:], uint64(n)+1)
	return s
}

// play walks through the time in order: owners begin logins as a Poisson
// process, the attacker tries at even distances.
func (x *sim) play(ctx context.Context, heard <-chan throttle.Signal) error {
	// Before the clock starts those who keep tokens have logged in once.
	for n := range x.Owners {
		if x.rnd.Float64() < x.KeepToken {
			token, err := x.l.IssueDevice(ctx, "", subject(n))
			if err != nil {
				return err
			}
			x.tokens[n] = token
		}
	}
	perSecond := float64(x.Owners) * x.LoginsPerDay / 86_400
	nextLogin := x.gap(perSecond)
	every := math.Inf(1)
	if x.Attacks > 0 {
		every = x.Last.Seconds() / float64(x.Attacks)
	}
	nextTry, tried := every/2, 0
	for x.err == nil {
		at := min(nextLogin, nextTry)
		if at >= x.Last.Seconds() || ctx.Err() != nil {
			break
		}
		x.now = x.start.Add(time.Duration(at * float64(time.Second)))
		point := &x.res.Series[min(steps-1, int(at/x.Last.Seconds()*steps))]
		if nextLogin <= nextTry {
			x.login(ctx, x.rnd.IntN(x.Owners), point)
			nextLogin += x.gap(perSecond)
		} else {
			x.attack(ctx, tried, point)
			tried++
			nextTry += every
		}
		for more := true; more; {
			select {
			case s := <-heard:
				if s.Kind == throttle.SignalSpray || s.Kind == throttle.SignalStuffing {
					x.res.Alarms++
					if x.res.FirstAlarm < 0 {
						x.res.FirstAlarm = s.Time.Sub(x.start)
					}
					if x.Attacks == 0 {
						x.res.FalseAlarms++
					}
				}
			default:
				more = false
			}
		}
	}
	return errors.Join(x.err, ctx.Err())
}

func (x *sim) gap(perSecond float64) float64 {
	if perSecond <= 0 {
		return math.Inf(1)
	}
	return x.rnd.ExpFloat64() / perSecond
}

// home is where owner n sits: ten to a network, or all behind one address.
func (x *sim) home(n int) netip.Addr {
	if x.OneAddress {
		return netip.AddrFrom4([4]byte{198, 51, 100, 7})
	}
	return netip.AddrFrom4([4]byte{100, 64 + byte(n/10>>8&63), byte(n / 10), byte(10 + n%10)})
}

// tag is the digest of a try: wrong 0 is the owner's right password, any other
// number a guess.
func tag(n int, wrong uint64) []byte {
	t := binary.LittleEndian.AppendUint64(nil, wrong)
	if wrong == 0 {
		t = binary.LittleEndian.AppendUint64(t, uint64(n)+1)
	}
	return t
}

func (x *sim) finish(ctx context.Context, token string, o throttle.Outcome) string {
	r, err := x.l.Finish(ctx, "", token, o)
	if err != nil {
		x.err = err
	}
	return r.DeviceToken
}

// login is one owner's visit, retries included. The visit runs ahead of the
// others' clock by a few minutes at most and then hands it back.
func (x *sim) login(ctx context.Context, n int, point *Point) {
	begun := x.now
	defer func() { x.now = begun }()
	x.res.Logins++
	point.Logins++
	var delayed, challenged, denied bool
	passed := false
	for try := range x.Tries {
		wrong := uint64(0)
		if x.rnd.Float64() < x.Typo {
			x.tags++
			wrong = 1<<40 | x.tags
		}
		d, err := x.l.Begin(ctx, throttle.Attempt{
			Subject: subject(n), IP: x.home(n), Device: x.tokens[n], Tag: tag(n, wrong), ChallengePassed: passed,
		})
		if err != nil {
			x.err = err
			return
		}
		if d.Verdict != throttle.Allow && try == 0 {
			point.Held++
		}
		switch d.Verdict {
		case throttle.Challenge:
			challenged, passed = true, true
			continue
		case throttle.Delay, throttle.Deny:
			delayed = delayed || d.Verdict == throttle.Delay
			denied = denied || d.Verdict == throttle.Deny
			if d.RetryAfter <= 5*time.Minute {
				x.now = x.now.Add(d.RetryAfter)
				continue
			}
		case throttle.Allow:
			if wrong != 0 {
				x.finish(ctx, d.Token, throttle.BadSecret)
				x.now = x.now.Add(10 * time.Second)
				continue
			}
			token := x.finish(ctx, d.Token, throttle.Success)
			if x.rnd.Float64() < x.KeepToken {
				x.tokens[n] = token
			}
			x.res.Succeeded++
			x.count(delayed, challenged, denied)
			return
		}
		break
	}
	x.res.GaveUp++
	x.count(delayed, challenged, denied)
}

func (x *sim) count(delayed, challenged, denied bool) {
	if delayed {
		x.res.Delayed++
	}
	if challenged {
		x.res.Challenged++
	}
	if denied {
		x.res.Denied++
	}
}

// attack is one try of the attacker.
func (x *sim) attack(ctx context.Context, i int, point *Point) {
	x.res.Tries++
	point.Tries++
	target := i % x.Targets
	guess := uint64(1)<<50 | uint64(i)
	if x.Passwords > 0 {
		guess = 1<<50 | uint64(i/x.Targets%x.Passwords)
	}
	bot := x.rnd.IntN(x.Addresses)
	net := bot % x.Prefixes
	a := throttle.Attempt{
		Subject: subject(target), IP: netip.AddrFrom4([4]byte{20 + byte(net>>16&15), byte(net >> 8), byte(net), byte(1 + bot/x.Prefixes%250)}),
		Tag: tag(target, guess),
	}
	d, err := x.l.Begin(ctx, a)
	if err == nil && d.Verdict == throttle.Challenge && x.rnd.Float64() < x.Solves {
		a.ChallengePassed = true
		d, err = x.l.Begin(ctx, a)
	}
	if err != nil {
		x.err = err
		return
	}
	if d.Verdict != throttle.Allow {
		return
	}
	x.res.Admitted++
	point.Admitted++
	x.atOne[target]++
	if x.rnd.Float64() < x.Hit {
		if !x.taken[target] {
			x.taken[target] = true
			x.res.Taken++
		}
		x.finish(ctx, d.Token, throttle.Success)
		return
	}
	x.finish(ctx, d.Token, throttle.BadSecret)
}

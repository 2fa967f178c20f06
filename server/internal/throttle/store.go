// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"context"
	"errors"
)

// Name is what a lane is kept under: 16 bytes of a keyed digest. No store ever
// sees the subject or the address behind it. The zero Name is no lane.
type Name [16]byte

// Reason is a set of lanes that refused.
type Reason uint32

// The reasons, each with its code in Decision.Reasons.
const (
	LaneWaits   Reason = 1 << iota // the guess lane rests after failures
	LaneClosed                     // the guess lane is closed until bound anew
	TooParallel                    // too many attempts await their outcome, or one guess is repeated too fast
	SlowBudget                     // the long-time budget of the subject is used up
	AddressRate                    // /32 or /64
	NetworkRate                    // /56
	PrefixRate                     // /24 or /48
	PairRate                       // subject × address
	StoreFull                      // no room for the lane without forgetting a lock
	TenantRate                     // tenant
	Stuffing                       // many subjects, one prefix, hardly a success
	Spray                          // one guess, many subjects
	Degraded                       // the shared store is lost; stricter local rules apply
	reasonCount = iota
)

var reasonCodes = [reasonCount]string{
	"LANE_WAITS", "LANE_CLOSED", "TOO_MANY_PARALLEL", "SLOW_BUDGET",
	"ADDRESS_RATE", "NETWORK_RATE", "PREFIX_RATE", "PAIR_RATE",
	"STORE_FULL", "TENANT_RATE", "STUFFING", "SPRAY", "STORE_DEGRADED",
}

// Codes returns the codes of the set, in fixed order.
func (r Reason) Codes() []string {
	var codes []string
	for i, c := range reasonCodes {
		if r&(1<<i) != 0 {
			codes = append(codes, c)
		}
	}
	return codes
}

// fullWait is the RetryAfter, in ms, when a store has no room.
const fullWait = 30_000

// Limit is a rate in milliseconds: each event books Cost, up to Room at once.
// Cost 0 is no limit.
type Limit struct{ Cost, Room int64 }

// Lanes are all the records of one attempt, and their rules.
type Lanes struct {
	Subject Name
	Channel Channel
	// Device is the number in a device token with a right signature, or 0. The
	// device is known only if the store has it on the subject's list.
	Device uint32
	// Unknown and Known are the rules of the guess lane in either case.
	Unknown, Known Numbers
	// Pair is the lane of subject × address on this channel. Address are
	// the address's own: /32 or /64, /56, /24 or /48; all live in the slot of the
	// last. All are zero if the attempt has no address.
	Pair    Name
	Address [3]Name
	// PairLimit and Limits are their rules.
	PairLimit Limit
	Limits    [3]Limit
}

// Request asks for a reservation.
type Request struct {
	Lanes
	// Now is the time in ms since 1970. A store with a clock of its own uses that.
	Now    int64
	Tag    uint16 // the guess; without Tagged a random number
	Tagged bool
	// Share: the caller has an attempt with this very guess under way, kept as
	// Tag and Tagged say. Without it an awaited guess with the same tag is taken
	// for another guess, since sixteen bits cannot tell, and this one is charged
	// under Spare, a random number.
	Share bool
	Spare uint16
	// Challenged: the subject has passed a challenge. Demand: it must have, for
	// reasons the store does not know.
	Challenged, Demand bool
}

// Grant is the answer to a Request. The attempt may go on if Why is zero; if
// not, nothing was charged on any lane.
type Grant struct {
	Why      Reason
	Retry    int64 // ms until it is worth asking again; 0 if Why is zero
	Kind     Kind
	Tag      uint16 // the number under which the guess is kept
	Tagged   bool   // it is the request's tag
	Known    bool   // the device is on the subject's list
	At       int64  // when it was charged, by the store's clock, in ms
	NoneOpen bool   // no lane of the subject is left open on this channel
	// Twin: refused, but a guess with the same tag is awaited, which may be the
	// same; its outcome may change the answer.
	Twin bool
	// Firm: the guess lane refuses and no outcome is awaited on it, so that only
	// time, a reset or a report can change that.
	Firm bool
}

// Settlement is the outcome of a granted attempt.
type Settlement struct {
	Lanes
	Now     int64
	Nonce   [12]byte // names the reservation; a second settlement of it has no effect
	At      int64    // Grant.At
	Kind    Kind
	Tag     uint16
	Tagged  bool
	OnList  bool // Grant.Known
	Outcome Outcome
	// Enrol, unless 0, is put on the subject's list of known devices until the
	// end of day Until (since 1970), or the known device's own number again.
	Enrol uint32
	Until uint16
	// Report: there was no reservation; charge what the outcome says. At, Kind
	// and OnList are ignored, Nonce is not: telling twice books once.
	Report bool
}

// Settled is the answer to a Settlement.
type Settled struct {
	// Before is the outcome that was booked earlier under this nonce; 0 if this
	// is the first.
	Before Outcome
	// Expired: the reservation had already become a failure.
	Expired  bool
	Known    bool   // the device is on the subject's list, as far as the lanes were chosen by it
	Enrolled uint32 // the number that is on the list now; 0 if none was asked for
	Wiped    int64  // failures that a success wiped out
	ClosedIt bool   // the lane was closed by this
	NoneOpen bool   // no lane of the subject is left open on this channel
}

// Target is a subject or an address that is looked at or reset.
type Target struct {
	Subject        Name // zero: none
	Unknown, Known [channels]Numbers
	Address        [3]Name // zero: no address
	Limits         [3]Limit
}

func (t *Target) lane(c Channel, device uint32) Lanes {
	return Lanes{Subject: t.Subject, Channel: c, Device: device, Unknown: t.Unknown[c], Known: t.Known[c]}
}

// View is what a store knows of a subject or an address.
type View struct {
	// Unknown holds the subject lane of each channel, Devices those of the
	// devices on the list that have failures or are closed; DevicesKnown is the length of the list.
	Unknown      [channels]LaneView
	Devices      []LaneView
	DevicesKnown int
	// Address holds, for each prefix of Lanes.Address, how many ms are booked.
	Address [3]int64
	Now     int64
}

// LaneView is one guess lane.
type LaneView struct {
	Channel  Channel
	Failures int64 // consecutive, with those awaited
	Awaited  int64
	Until    int64 // ms; when the wait ends, or 0
	Closed   bool
}

// ErrStore is returned by a Store that cannot answer now. Nothing is known
// about whether the call had an effect unless the error also is ErrNoEffect.
var ErrStore = errors.New("throttle store not available")

// ErrNoEffect marks an error after which nothing has changed in the store.
var ErrNoEffect = errors.New("no effect")

// Store keeps the lanes. Begin is atomic: two attempts racing for the last
// guess of a lane never both get it. Settle acts once for each nonce during the
// life of a reservation. Reset and Revoke are durable when they return nil as
// far as the store is. No call takes more than a second; a store that is lost
// returns an error that is ErrStore.
type Store interface {
	Begin(ctx context.Context, r *Request) (Grant, error)
	Settle(ctx context.Context, s *Settlement) (Settled, error)
	View(ctx context.Context, l *Target, now int64) (View, error)
	// Reset opens and empties every guess lane of the subject, if it is not
	// zero, and every address lane given.
	Reset(ctx context.Context, l *Target, now int64) error
	// Revoke empties the subject's list of known devices.
	Revoke(ctx context.Context, subject Name, now int64) error
	Close() error
}

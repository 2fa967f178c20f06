// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"runtime"
	"strconv"
	"time"
)

// Params are the costs of argon2 (RFC 9106 §3.1).
type Params struct {
	Memory      uint32 // KiB
	Time        uint32 // passes over the memory
	Parallelism uint8  // lanes
}

// String is the PHC spelling, "m=19456,t=2,p=1".
func (p Params) String() string {
	b := append(make([]byte, 0, 32), "m="...)
	b = strconv.AppendUint(b, uint64(p.Memory), 10)
	b = append(b, ",t="...)
	b = strconv.AppendUint(b, uint64(p.Time), 10)
	b = append(b, ",p="...)
	return string(strconv.AppendUint(b, uint64(p.Parallelism), 10))
}

func (p Params) bytes() int64   { return int64(p.Memory) << 10 }
func (p Params) units() float64 { return float64(p.Memory) * float64(p.Time) }

// DefaultParams is the least that OWASP asks for with two passes.
func DefaultParams() Params { return Params{Memory: 19 << 10, Time: 2, Parallelism: 1} }

// Defaults of Config.
const (
	DefaultMemoryBudget = 256 << 20
	DefaultQueueWait    = 500 * time.Millisecond

	saltBytes = 16
	tagBytes  = 32
)

// Config says how a Hasher works. The zero value is usable.
type Config struct {
	// Params of new hashes; the zero value means DefaultParams.
	Params
	// MemoryBudget bounds, in bytes, the memory of all hashes running at the
	// same moment, and of any single stored hash. Zero means
	// DefaultMemoryBudget.
	MemoryBudget int64
	// QueueWait is the longest an interactive hash waits for a slot. Zero
	// means DefaultQueueWait.
	QueueWait time.Duration
	// Insecure permits parameters under the floor. It is for tests.
	Insecure bool
}

// Hasher makes and verifies password hashes within a memory budget. It is
// safe for use by many goroutines.
type Hasher struct {
	config Config
	pool   *pool
}

// NewHasher takes the memory of all its slots. It refuses parameters below
// the floors of OWASP ASVS 5.0 11.4.2 and above the ceilings for stored
// hashes, and says what to set instead.
func NewHasher(c Config) (*Hasher, error) {
	if c.Params == (Params{}) {
		c.Params = DefaultParams()
	}
	if c.MemoryBudget == 0 {
		c.MemoryBudget = DefaultMemoryBudget
	}
	if c.QueueWait == 0 {
		c.QueueWait = DefaultQueueWait
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	n := min(int(c.MemoryBudget/c.Params.bytes()), runtime.GOMAXPROCS(0))
	slots := make([]*slot, n)
	for i := range slots {
		s, err := newSlot(c.Params.Memory)
		if err != nil {
			for _, s := range slots[:i] {
				s.free()
			}
			return nil, fmt.Errorf("taking the memory of hashing slot %d of %d: %w", i+1, n, err)
		}
		slots[i] = s
	}
	h := &Hasher{config: c, pool: newPool(slots, c.MemoryBudget/int64(n), c.QueueWait)}
	// One hash before the first request: the queue's estimates begin with a
	// measurement of this machine.
	if err := h.derive(context.Background(), Batch, Text{reveal: func() []byte { return []byte("start") }}, h.fresh()); err != nil {
		return nil, err
	}
	return h, nil
}

func (c Config) check() error {
	p := c.Params
	switch {
	case p.Memory == 0 || p.Time == 0 || p.Parallelism == 0:
		return fmt.Errorf("hashing: memory, time and parallelism must each be at least 1")
	case p.Memory < 8*uint32(p.Parallelism):
		return fmt.Errorf("hashing: memory of %d KiB is below argon2's 8 KiB for each lane: set at least %d KiB", p.Memory, 8*uint32(p.Parallelism))
	case c.QueueWait < 0:
		return fmt.Errorf("hashing: queue_wait is negative")
	case c.MemoryBudget < p.bytes():
		return fmt.Errorf("hashing: memory_budget of %d KiB holds no hash of %d KiB: set it to at least %d KiB, better a multiple of it", c.MemoryBudget>>10, p.Memory, p.Memory)
	}
	if err := checkArgon2(Argon2id, p, uint32(p.Parallelism), c.MemoryBudget); err != nil {
		return fmt.Errorf("hashing: parameters would be refused on verifying: %w", err)
	}
	if floor := p.floor(); p.Memory < floor && !c.Insecure {
		return fmt.Errorf("hashing: %d KiB with %d pass(es) is below the floor of OWASP ASVS 5.0 11.4.2: set memory to at least %d KiB (%d MiB), or raise time", p.Memory, p.Time, floor, floor>>10)
	}
	return nil
}

// floor is the least memory in KiB that OWASP ASVS 5.0 11.4.2 (appendix C)
// allows with p's number of passes.
func (p Params) floor() uint32 {
	switch p.Time {
	case 0, 1:
		return 46 << 10
	case 2:
		return 19 << 10
	default:
		return 12 << 10
	}
}

// Config gives the configuration in force, defaults filled in.
func (h *Hasher) Config() Config { return h.config }

// Hash makes a PHC string for t under the live parameters, with a salt of 16
// random bytes and a tag of 32. It returns *BusyError at once when the queue
// is full, and ctx's error when ctx ends first.
func (h *Hasher) Hash(ctx context.Context, c Class, t Text) (string, error) {
	out := h.fresh()
	err := h.derive(ctx, c, t, out)
	if err != nil {
		return "", err
	}
	return out.String(), nil
}

// Result is what Verify found.
type Result struct {
	// Match tells whether the password is the hashed one.
	Match bool
	// Stale tells that the hash is weaker than a new one would be: after a
	// match it should be replaced by Hash of the same text.
	Stale bool
}

// Verify holds t against a hash in any form that Parse knows, in exactly one
// run of that hash's own KDF. A wrong password is not an error. A malformed
// hash gives ErrBadHash and one that costs too much *CostError, before any
// work; *BusyError and ctx's error are as in Hash.
func (h *Hasher) Verify(ctx context.Context, c Class, t Text, encoded string) (Result, error) {
	if t.IsZero() {
		return Result{}, ErrEmpty
	}
	d, err := parse(encoded)
	if err != nil {
		return Result{}, err
	}
	bytes, units, err := d.cost(h.config.MemoryBudget)
	if err != nil {
		return Result{}, err
	}
	match := false
	err = h.pool.do(ctx, &job{
		class: c, password: t, scheme: d.info().Scheme, bytes: bytes, units: units,
		run: func(w *work) { match = d.match(w) },
	})
	if err != nil {
		return Result{}, err
	}
	return Result{Match: match, Stale: h.stale(d)}, nil
}

// Check tells whether Verify would take encoded: nil, or an error that is
// ErrBadHash or *CostError. It does no work.
func (h *Hasher) Check(encoded string) error {
	d, err := parse(encoded)
	if err != nil {
		return err
	}
	_, _, err = d.cost(h.config.MemoryBudget)
	return err
}

// Decoy does the work of one Hash at the live parameters, through the same
// queue, and throws the result away: what an unknown subject costs.
func (h *Hasher) Decoy(ctx context.Context, c Class, t Text) error {
	return h.derive(ctx, c, t, h.fresh())
}

// fresh is a hash without a tag, under a new salt.
func (h *Hasher) fresh() *argon2Hash {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	return &argon2Hash{variant: variantID, version: 0x13, params: h.config.Params, lanes: uint32(h.config.Parallelism), salt: salt}
}

func (h *Hasher) derive(ctx context.Context, c Class, t Text, out *argon2Hash) error {
	if t.IsZero() {
		return ErrEmpty
	}
	p := h.config.Params
	var tag []byte
	err := h.pool.do(ctx, &job{
		class: c, password: t, scheme: Argon2id, bytes: p.bytes(), units: p.units(),
		run: func(w *work) {
			tag = w.argon2(variantID, 0x13, p, out.salt, tagBytes)
		},
	})
	if err == nil {
		out.tag = tag
	}
	return err
}

// Stale tells whether a hash should be replaced at the next match: its scheme
// is not the live one, its version is old, its salt or tag is shorter than a
// new one's, or its cost is lower. It is never true where replacing would
// lower the cost: one with less memory but more memory × time stays. A string
// that does not parse is stale.
func (h *Hasher) Stale(encoded string) bool {
	d, err := parse(encoded)
	return err != nil || h.stale(d)
}

func (h *Hasher) stale(d digest) bool {
	i, live := d.info(), h.config.Params
	switch {
	case i.Scheme != Argon2id, i.Version != 0x13, i.Salt < saltBytes, i.Tag < tagBytes:
		return true
	case i.Params.Memory >= live.Memory && i.Params.Time >= live.Time:
		return false
	}
	return i.Params.units() <= live.units()
}

// Stats gives the counters.
func (h *Hasher) Stats() Stats { return h.pool.snapshot() }

// Close refuses all that waits, lets the running hashes end and gives their
// memory back.
func (h *Hasher) Close() { h.pool.close() }

// equal compares in constant time. Unlike subtle.ConstantTimeCompare it says
// no to two empty tags.
func equal(a, b []byte) bool {
	return len(b) > 0 && subtle.ConstantTimeCompare(a, b) == 1
}

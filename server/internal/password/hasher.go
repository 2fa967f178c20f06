// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/watchword-project/watchword/server/internal/argon2"
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
	// Scheme of new hashes: Argon2id if empty, or PBKDF2SHA256, PBKDF2SHA512
	// or PBKDF2SM3 where a standard asks for an approved one.
	Scheme Scheme
	// Params of new hashes with Argon2id, and of wrapped ones with any scheme;
	// the zero value means DefaultParams.
	Params
	// Rounds of new hashes with PBKDF2; zero means the floor of OWASP ASVS 5.0
	// 11.4.2: 600,000, or 210,000 with SHA-512.
	Rounds uint32
	// MemoryBudget bounds, in bytes, the memory of all hashes running at the
	// same moment, and of any single stored hash. Zero means
	// DefaultMemoryBudget.
	MemoryBudget int64
	// Slots is the most hashes that run at the same moment; fewer do where the
	// budget does not hold as many. Zero means GOMAXPROCS. With fewer slots than
	// GOMAXPROCS the scheduler always has a thread left to take in requests, and
	// to refuse them at once when all slots are busy.
	Slots int
	// QueueWait is the longest an interactive hash waits for a slot. Zero
	// means DefaultQueueWait.
	QueueWait time.Duration
	// Kernel names the implementation of argon2, one of the Kernel constants
	// of package argon2; empty means the fastest that passes its self-test.
	Kernel string
	// Firebase is needed to verify hashes exported from Firebase.
	Firebase *FirebaseKeys
	// Measured, if set, hears of each interactive run whose caller waited for its
	// end: when it was asked for, when it began and when it ended. It must not
	// wait.
	Measured func(ctx context.Context, asked, began, ended time.Time)
	// Insecure permits parameters under the floor. It is for tests.
	Insecure bool
}

// Hasher makes and verifies password hashes within a memory budget. It is
// safe for use by many goroutines.
type Hasher struct {
	config Config
	core   *argon2.Core
	pool   *pool
	pages  argon2.PageInfo
}

// NewHasher takes the memory of all its slots, and makes one hash. It refuses
// parameters below the floors of OWASP ASVS 5.0 11.4.2 and above the ceilings
// for stored hashes, and says what to set instead.
func NewHasher(c Config) (*Hasher, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	core, err := argon2.New(c.Kernel)
	if err != nil {
		return nil, fmt.Errorf("hashing: kernel: %w", err)
	}
	n := int(min(c.MemoryBudget/c.Params.bytes(), int64(c.Slots)))
	slots := make([]*slot, n)
	var pages argon2.PageInfo
	for i := range slots {
		if slots[i], err = newSlot(core, c.Memory); err != nil {
			for _, s := range slots[:i] {
				s.free()
			}
			return nil, fmt.Errorf("taking the memory of hashing slot %d of %d: %w", i+1, n, err)
		}
		info := slots[i].memory.HugePages()
		pages.Bytes += info.Bytes
		pages.Huge += info.Huge
	}
	h := &Hasher{config: c, core: core, pages: pages, pool: newPool(slots, c.MemoryBudget/int64(n), c.QueueWait, c.Measured)}
	// One hash before the first request: the queue's estimates begin with a
	// measurement of this machine.
	if _, err := h.make(context.Background(), Batch, Text{reveal: func() []byte { return []byte("start") }}); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (c Config) withDefaults() Config {
	if c.Scheme == "" {
		c.Scheme = Argon2id
	}
	if c.Params == (Params{}) {
		c.Params = DefaultParams()
	}
	if f := c.Scheme.MinRounds(); c.Rounds == 0 && f > 0 {
		c.Rounds = f
	}
	if c.MemoryBudget == 0 {
		c.MemoryBudget = DefaultMemoryBudget
	}
	if c.QueueWait == 0 {
		c.QueueWait = DefaultQueueWait
	}
	if c.Slots == 0 {
		c.Slots = runtime.GOMAXPROCS(0)
	}
	return c
}

// Check tells whether NewHasher would take these parameters, without the
// allowance of Insecure.
func (c Config) Check() error {
	c.Insecure = false
	return c.withDefaults().check()
}

func (c Config) check() error {
	p := c.Params
	switch {
	case c.Scheme != Argon2id && c.Scheme.MinRounds() == 0:
		return fmt.Errorf("hashing: new hashes are made with %s, %s, %s or %s only", Argon2id, PBKDF2SHA256, PBKDF2SHA512, PBKDF2SM3)
	case c.Scheme == Argon2id && c.Rounds != 0:
		return fmt.Errorf("hashing: rounds belong to PBKDF2: leave them out with %s, or name a PBKDF2 scheme", Argon2id)
	case c.Rounds > maxRounds:
		return fmt.Errorf("hashing: rounds are above the %d that verifying accepts", maxRounds)
	case c.Rounds < c.Scheme.MinRounds() && !c.Insecure:
		return fmt.Errorf("hashing: %d rounds are below the floor of OWASP ASVS 5.0 11.4.2 for %s: set at least %d", c.Rounds, c.Scheme, c.Scheme.MinRounds())
	case p.Memory == 0 || p.Time == 0 || p.Parallelism == 0:
		return fmt.Errorf("hashing: memory, time and parallelism must each be at least 1")
	case p.Memory < 8*uint32(p.Parallelism):
		return fmt.Errorf("hashing: memory of %d KiB is below argon2's 8 KiB for each lane: set at least %d KiB", p.Memory, 8*uint32(p.Parallelism))
	case c.Firebase != nil && len(c.Firebase.SignerKey) != firebaseKeyBytes:
		return fmt.Errorf("hashing: the Firebase signer key is not of %d bytes: give base64_signer_key of the project's export, decoded", firebaseKeyBytes)
	case c.QueueWait < 0 || c.Slots < 0:
		return fmt.Errorf("hashing: queue_wait and slots must not be negative")
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

// MinRounds is the floor of OWASP ASVS 5.0 11.4.2 for the PBKDF2 schemes that
// make new hashes, and 0 for all other schemes. It names none for SM3, whose
// output and speed are close to SHA-256's.
func (s Scheme) MinRounds() uint32 {
	switch s {
	case PBKDF2SHA256, PBKDF2SM3:
		return 600_000
	case PBKDF2SHA512:
		return 210_000
	}
	return 0
}

// Config gives the configuration in force, defaults filled in.
func (h *Hasher) Config() Config { return h.config }

// Hash makes a PHC string for t under the live parameters, with a salt of 16
// random bytes and a tag of 32. It returns *BusyError at once when the queue
// is full, and ctx's error when ctx ends first.
func (h *Hasher) Hash(ctx context.Context, c Class, t Text) (string, error) {
	s, err := h.make(ctx, c, t)
	if err != nil {
		return "", err
	}
	return s.String(), nil
}

// Decoy does the work of one Hash at the live parameters, through the same
// queue, and throws the result away: what an unknown subject costs.
func (h *Hasher) Decoy(ctx context.Context, c Class, t Text) error {
	_, err := h.make(ctx, c, t)
	return err
}

// Admit says whether an interactive hash at the live cost would be let in now for
// a tenant: nil, or *BusyError. A caller that has other work to do before it hashes asks
// first, so that what is going to be refused costs next to nothing; the hash
// itself may still be refused.
func (h *Hasher) Admit(ctx context.Context, tenant string) error {
	units := h.config.Params.units()
	if h.config.Scheme != Argon2id {
		units = float64(h.config.Rounds)
	}
	return h.pool.admit(ctx, tenant, h.config.Scheme, units)
}

func (h *Hasher) make(ctx context.Context, c Class, t Text) (stored, error) {
	if h.config.Scheme == Argon2id {
		out := h.freshArgon2()
		if err := h.run(ctx, c, t, Argon2id, argon2Load(out.params), out.setTag); err != nil {
			return nil, err
		}
		return out, nil
	}
	out := &pbkdf2Hash{form: pbkdf2PHC, rounds: h.config.Rounds, salt: newSalt()}
	for out.prf.scheme() != h.config.Scheme {
		out.prf++
	}
	err := h.run(ctx, c, t, h.config.Scheme, load{units: float64(out.rounds)}, func(w *slot) error {
		tag, err := out.key(w.password, tagBytes)
		out.tag = tag
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// freshArgon2 is a hash at the live parameters, without a tag.
func (h *Hasher) freshArgon2() *argon2Hash {
	p := h.config.Params
	return &argon2Hash{variant: variantID, version: 0x13, params: p, lanes: uint32(p.Parallelism), salt: newSalt()}
}

func newSalt() []byte {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	return salt
}

// run runs f in a slot.
func (h *Hasher) run(ctx context.Context, c Class, t Text, s Scheme, l load, f taskFunc) error {
	return h.do(ctx, &job{class: c, password: t, scheme: s, load: l, task: f})
}

// do is the only way to a slot.
func (h *Hasher) do(ctx context.Context, j *job) error {
	if j.password.IsZero() {
		return ErrEmpty
	}
	return h.pool.do(ctx, j)
}

// Result is what Verify found.
type Result struct {
	// Match tells whether the password is the hashed one.
	Match bool
	// Stale tells that the hash is weaker than a new one would be: after a
	// match it should be replaced by Hash of the same text.
	Stale bool
	// Waited is how long it took until the run began.
	Waited time.Duration
}

// Verify holds t against a hash in any form that Parse knows, in exactly one
// run of that hash's own KDF. A wrong password is not an error. A malformed
// hash gives ErrBadHash and one that costs too much *CostError, before any
// work; *BusyError and ctx's error are as in Hash.
func (h *Hasher) Verify(ctx context.Context, c Class, t Text, encoded string) (Result, error) {
	s, l, err := h.read(encoded)
	if err != nil {
		return Result{}, err
	}
	v := &verification{stored: s}
	v.job = job{class: c, password: t, scheme: s.info().Scheme, load: l, task: v}
	came := time.Now()
	if err := h.do(ctx, &v.job); err != nil {
		return Result{}, err
	}
	return Result{Match: v.match, Stale: h.stale(s), Waited: v.started.Sub(came)}, nil
}

// verification is the job of Verify, in one piece with what it works on.
type verification struct {
	job
	stored
	match bool
}

func (v *verification) run(w *slot) (err error) {
	v.match, err = v.stored.match(w)
	return err
}

// Check tells whether Verify would take encoded: nil, or an error that is
// ErrBadHash or *CostError. It does no work.
func (h *Hasher) Check(encoded string) error {
	_, _, err := h.read(encoded)
	return err
}

// read parses encoded and holds its costs against the ceilings.
func (h *Hasher) read(encoded string) (stored, load, error) {
	s, err := parse(encoded)
	if err != nil {
		return nil, load{}, err
	}
	if f, ok := s.(*scryptHash); ok && f.form == scryptFirebase {
		f.firebase = h.config.Firebase
	}
	l, err := s.load(h.config.MemoryBudget)
	return s, l, err
}

// Stale tells whether a hash should be replaced at the next match: its scheme
// is not the live one, its version is old, its salt or tag is shorter than a
// new one's, or its cost is lower. It is never true where replacing would
// lower the cost: one with less memory but more memory × time stays. A string
// that does not parse is stale.
func (h *Hasher) Stale(encoded string) bool {
	s, err := parse(encoded)
	return err != nil || h.stale(s)
}

func (h *Hasher) stale(s stored) bool {
	i, live := s.info(), h.config
	if i.Scheme != live.Scheme || i.Salt < saltBytes || i.Tag < tagBytes {
		return true
	}
	if live.Scheme != Argon2id {
		return i.Rounds < uint64(live.Rounds)
	}
	if i.Version != 0x13 {
		return true
	}
	return (i.Params.Memory < live.Memory || i.Params.Time < live.Time) && i.Params.units() <= live.Params.units()
}

// ServiceTime is how long a run for encoded takes on this machine as measured
// so far: the mean, and a bound that few runs exceed. Before the first run of
// its scheme both are one guess. For a string that Verify would refuse they
// are zero.
func (h *Hasher) ServiceTime(encoded string) (mean, upper time.Duration) {
	s, l, err := h.read(encoded)
	if err != nil {
		return 0, 0
	}
	return h.pool.serviceTime(s.info().Scheme, l.units)
}

// Pace is the scheme of new hashes and how many nanoseconds one unit of its work
// takes of late; it tells how fast this machine is now. It is 0 before the
// first run.
func (h *Hasher) Pace() (Scheme, float64) { return h.config.Scheme, h.pool.pace(h.config.Scheme) }

// Kernel names the implementation of argon2 in use, and gives the reason when
// the one that was asked for has failed its self-test.
func (h *Hasher) Kernel() (string, error) { return h.core.Kernel(), h.core.SelfTest() }

// HugePages tells how many bytes all slots hold, and how many of them were on
// huge pages at the start. On small pages hashing is slower by a tenth to a
// quarter. Both are 0 when x/crypto does the work.
func (h *Hasher) HugePages() (huge, all int) { return h.pages.Huge, h.pages.Bytes }

// Stats gives the counters.
func (h *Hasher) Stats() Stats { return h.pool.snapshot() }

// Close refuses all that waits, lets the running hashes end and gives their
// memory back.
func (h *Hasher) Close() { h.pool.close() }

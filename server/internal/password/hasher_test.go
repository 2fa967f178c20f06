// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/watchword-project/watchword/server/internal/password"
)

// cheap is a Hasher at test cost.
func cheap(t testing.TB) *password.Hasher {
	t.Helper()
	h, err := password.NewHasher(password.Config{
		Params:       password.Params{Memory: 64, Time: 1, Parallelism: 1},
		MemoryBudget: 64 << 20,
		Insecure:     true,
	})
	if err != nil {
		t.Fatalf("NewHasher: %v", err)
	}
	t.Cleanup(h.Close)
	return h
}

func TestHashAndVerify(t *testing.T) {
	h := cheap(t)
	seen := map[string]bool{}
	for range 100 {
		phc, err := h.Hash(t.Context(), password.Interactive, text(t, "correct horse"))
		if err != nil {
			t.Fatalf("Hash: %v", err)
		}
		if !strings.HasPrefix(phc, "$argon2id$v=19$m=64,t=1,p=1$") || len(phc) != len("$argon2id$v=19$m=64,t=1,p=1$")+22+1+43 {
			t.Fatalf("Hash = %q", phc)
		}
		if seen[phc] {
			t.Fatal("a hash came twice: the salt repeats")
		}
		seen[phc] = true
		for in, want := range map[string]bool{"correct horse": true, "correct hors": false, "correct horse1": false, "Correct horse": false} {
			r, err := h.Verify(t.Context(), password.Interactive, text(t, in), phc)
			if err != nil || r.Match != want || r.Stale {
				t.Fatalf("Verify(%q) = %+v, %v, want match %v", in, r, err, want)
			}
		}
	}
}

// Each use is one run of one KDF, whatever it finds; what is refused is none.
func TestOneRunEach(t *testing.T) {
	h := cheap(t)
	phc, err := h.Hash(t.Context(), password.Interactive, text(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		runs uint64
		do   func() error
	}{
		{"right", 1, func() error {
			_, err := h.Verify(t.Context(), password.Interactive, text(t, "correct horse"), phc)
			return err
		}},
		{"wrong", 1, func() error {
			_, err := h.Verify(t.Context(), password.Interactive, text(t, "wrong"), phc)
			return err
		}},
		{"decoy", 1, func() error { return h.Decoy(t.Context(), password.Interactive, text(t, "wrong")) }},
		{"malformed", 0, func() error {
			_, err := h.Verify(t.Context(), password.Interactive, text(t, "wrong"), phc+"$")
			return err
		}},
		{"no password", 0, func() error { return h.Decoy(t.Context(), password.Interactive, password.Text{}) }},
		{"cancelled", 0, func() error { return h.Decoy(ctx, password.Interactive, text(t, "x")) }},
	} {
		before := h.Stats().Runs
		err := c.do()
		if runs := h.Stats().Runs - before; runs != c.runs || (err == nil) != (c.runs == 1) {
			t.Errorf("%s: %d KDF runs and error %v, want %d runs", c.name, runs, err, c.runs)
		}
	}
}

func TestFloors(t *testing.T) {
	for _, c := range []struct {
		m uint32
		t uint32
		p uint8
		// problem is a part of the error; empty: accepted.
		problem string
	}{
		{46 << 10, 1, 1, ""},
		{46<<10 - 1, 1, 1, "at least 47104 KiB (46 MiB)"},
		{19 << 10, 2, 1, ""},
		{19<<10 - 1, 2, 1, "at least 19456 KiB (19 MiB)"},
		{12 << 10, 3, 1, ""},
		{12<<10 - 1, 3, 1, "at least 12288 KiB (12 MiB)"},
		{12 << 10, 20, 4, ""},
		{7 << 10, 5, 1, "OWASP ASVS 5.0 11.4.2"},
		{12 << 10, 21, 1, "time above 20"},
		{19 << 10, 2, 17, "parallelism above 16"},
		{64 << 10, 0, 1, "at least 1"},
		{64 << 10, 3, 0, "at least 1"},
		{129 << 10, 3, 1, "memory_budget of 131072 KiB"},
		{128 << 10, 17, 1, "memory × time"},
	} {
		h, err := password.NewHasher(password.Config{
			Params:       password.Params{Memory: c.m, Time: c.t, Parallelism: c.p},
			MemoryBudget: 128 << 20,
		})
		if err == nil {
			h.Close()
		}
		if (c.problem == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("NewHasher(m=%d,t=%d,p=%d) = %v, want %q", c.m, c.t, c.p, err, c.problem)
		}
	}
	h, err := password.NewHasher(password.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if c := h.Config(); c.Params != password.DefaultParams() || c.MemoryBudget != 256<<20 {
		t.Errorf("the zero Config became %+v", c)
	}
}

const (
	salt16 = "c29tZXNhbHRzb21lc2FsdA"
	tag32  = "uL2hQzJmxaz0Tfm2KK6uNjA0+UvbrHBEBwVmJYrNXCE"
)

func TestMalformedAndCostlyHashes(t *testing.T) {
	h := cheap(t)
	long := strings.Repeat("A", 1<<20)
	type row struct {
		name, phc string
		costly    bool
	}
	rows := []row{
		{"empty", "", false},
		{"dollar", "$", false},
		{"dollars", "$$$$$$", false},
		{"only a name", "$argon2id", false},
		{"name and nothing", "$argon2id$", false},
		{"unknown name", "$argon2x$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"upper case name", "$ARGON2ID$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"no leading dollar", "argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"space before", " $argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"space after", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32 + " ", false},
		{"line feed after", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32 + "\n", false},
		{"NUL after", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32 + "\x00", false},
		{"NUL within", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "\x00$" + tag32, false},
		{"dollar after", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32 + "$", false},
		{"a seventh field", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32 + "$x", false},
		{"no tag", "$argon2id$v=19$m=64,t=1,p=1$" + salt16, false},
		{"empty tag", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$", false},
		{"empty salt", "$argon2id$v=19$m=64,t=1,p=1$$" + tag32, false},
		{"no parameters", "$argon2id$v=19$" + salt16 + "$" + tag32, false},
		{"empty parameters", "$argon2id$v=19$$" + salt16 + "$" + tag32, false},
		{"version 10", "$argon2id$v=10$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"version 18", "$argon2id$v=18$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"version 20", "$argon2id$v=20$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"version 019", "$argon2id$v=019$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"version 0x13", "$argon2id$v=0x13$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"version empty", "$argon2id$v=$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"version twice", "$argon2id$v=19$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"order t m p", "$argon2id$v=19$t=1,m=64,p=1$" + salt16 + "$" + tag32, false},
		{"p missing", "$argon2id$v=19$m=64,t=1$" + salt16 + "$" + tag32, false},
		{"m twice", "$argon2id$v=19$m=64,m=64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"comma after", "$argon2id$v=19$m=64,t=1,p=1,$" + salt16 + "$" + tag32, false},
		{"keyid", "$argon2id$v=19$m=64,t=1,p=1,keyid=AAAA$" + salt16 + "$" + tag32, false},
		{"data", "$argon2id$v=19$m=64,t=1,p=1,data=AAAA$" + salt16 + "$" + tag32, false},
		{"t is 0", "$argon2id$v=19$m=64,t=0,p=1$" + salt16 + "$" + tag32, false},
		{"p is 0", "$argon2id$v=19$m=64,t=1,p=0$" + salt16 + "$" + tag32, false},
		{"m is 0", "$argon2id$v=19$m=0,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m is 7", "$argon2id$v=19$m=7,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m below 8p", "$argon2id$v=19$m=31,t=1,p=4$" + salt16 + "$" + tag32, false},
		{"m negative", "$argon2id$v=19$m=-64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m with plus", "$argon2id$v=19$m=+64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m with leading zero", "$argon2id$v=19$m=064,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m hexadecimal", "$argon2id$v=19$m=0x40,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m with underscore", "$argon2id$v=19$m=6_4,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m fraction", "$argon2id$v=19$m=64.0,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m exponent", "$argon2id$v=19$m=6e4,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m with space", "$argon2id$v=19$m= 64,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m empty", "$argon2id$v=19$m=,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m of 2^32", "$argon2id$v=19$m=4294967296,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m of 2^64+64", "$argon2id$v=19$m=18446744073709551680,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"m of 200 digits", "$argon2id$v=19$m=" + strings.Repeat("9", 200) + ",t=1,p=1$" + salt16 + "$" + tag32, false},
		{"t of 2^32", "$argon2id$v=19$m=64,t=4294967296,p=1$" + salt16 + "$" + tag32, false},
		{"p of 2^24", "$argon2id$v=19$m=4294967295,t=1,p=16777216$" + salt16 + "$" + tag32, false},
		{"p of 257, m below 8p", "$argon2id$v=19$m=2048,t=1,p=257$" + salt16 + "$" + tag32, false},
		{"full-width digit", "$argon2id$v=19$m=６4,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"salt of 7 bytes", "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAA$" + tag32, false},
		{"salt of 49 bytes", "$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 66) + "$" + tag32, false},
		{"tag of 11 bytes", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + strings.Repeat("A", 15), false},
		{"tag of 65 bytes", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + strings.Repeat("A", 87), false},
		{"salt with padding", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "==$" + tag32, false},
		{"tag with padding", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32 + "=", false},
		{"salt in URL alphabet", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2Fs-_$" + tag32, false},
		{"tag in crypt alphabet", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$." + tag32[1:], false},
		{"salt with trailing bits", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdB$" + tag32, false},
		{"tag with trailing bits", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32[:42] + "F", false},
		{"salt of impossible length", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "AAA$" + tag32, false},
		{"salt with line feed", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHR\nzb21lc2FsdA$" + tag32, false},
		{"not UTF-8", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32[:42] + "\xff", false},
		{"format verb", "$argon2id$v=19$m=%d,t=1,p=1$" + salt16 + "$" + tag32, false},
		{"1 MiB of salt", "$argon2id$v=19$m=64,t=1,p=1$" + long + "$" + tag32, false},
		{"1 MiB of tag", "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + long, false},
		{"1 MiB of dollars", strings.Repeat("$", 1<<20), false},
		{"1 MiB of parameters", "$argon2id$v=19$" + strings.Repeat("m=1,", 1<<18) + "$" + salt16 + "$" + tag32, false},

		{"m of 4 GiB", "$argon2id$v=19$m=4194304,t=1,p=1$" + salt16 + "$" + tag32, true},
		{"m of 2^32-1", "$argon2id$v=19$m=4294967295,t=1,p=1$" + salt16 + "$" + tag32, true},
		{"m just over the budget", "$argon2id$v=19$m=65537,t=1,p=1$" + salt16 + "$" + tag32, true},
		{"t of 2^32-1", "$argon2id$v=19$m=64,t=4294967295,p=1$" + salt16 + "$" + tag32, true},
		{"t of 21", "$argon2id$v=19$m=64,t=21,p=1$" + salt16 + "$" + tag32, true},
		{"p of 17", "$argon2id$v=19$m=1024,t=1,p=17$" + salt16 + "$" + tag32, true},
		{"p of 256", "$argon2id$v=19$m=65536,t=1,p=256$" + salt16 + "$" + tag32, true},
		{"p of 2^24-1", "$argon2id$v=19$m=4294967295,t=1,p=16777215$" + salt16 + "$" + tag32, true},
		{"m·t over 2 GiB·passes", "$argon2i$v=19$m=65535,t=33,p=1$" + salt16 + "$" + tag32, true},
	}
	before := h.Stats().Runs
	for _, r := range rows {
		for door, err := range map[string]error{
			"Check": h.Check(r.phc),
			"Verify": func() error {
				_, err := h.Verify(t.Context(), password.Interactive, text(t, "x"), r.phc)
				return err
			}(),
		} {
			var costly *password.CostError
			if r.costly != errors.As(err, &costly) || r.costly == errors.Is(err, password.ErrBadHash) {
				t.Errorf("%s: %s = %v", r.name, door, err)
			}
			if err != nil && len(r.phc) > 3 && (strings.Contains(err.Error(), r.phc) || strings.Contains(err.Error(), tag32)) {
				t.Errorf("%s: the error repeats the hash", r.name)
			}
		}
		if got := testing.AllocsPerRun(10, func() { _ = h.Check(r.phc) }); got > 20 {
			t.Errorf("%s: Check allocates %v times", r.name, got)
		}
	}
	if got := h.Stats().Runs; got != before {
		t.Errorf("%d KDF runs for hashes that are refused", got-before)
	}
	t.Logf("%d rows", len(rows))
}

// The bombs of the tables above take no memory: not the gigabytes they ask
// for, and not even one slot's worth.
func TestCostBombsAllocateNothing(t *testing.T) {
	h := cheap(t)
	bombs := []string{
		"$argon2id$v=19$m=4294967295,t=1,p=1$" + salt16 + "$" + tag32,
		"$argon2id$v=19$m=65537,t=4294967295,p=16777215$" + salt16 + "$" + tag32,
		"$scrypt$ln=40,r=536870911,p=1$" + salt16 + "$" + tag32,
		"$2b$31$CCCCCCCCCCCCCCCCCCCCC.ug0A3dTXhy5U.dFjx/qguZ8I4CB77BC",
		"$5$rounds=999999999$salt$6tgnqVbdMI4.1tBobkxcejK8Alkw2NVqaYb3M.7uwr5",
		"pbkdf2_sha256$4294967295$salt$" + tag32 + "=",
		strings.Repeat("$argon2id", 1<<17),
	}
	var before, after runtime.MemStats
	secret := text(t, "x")
	runtime.ReadMemStats(&before)
	const turns = 100
	for range turns {
		for _, b := range bombs {
			if _, err := h.Verify(t.Context(), password.Interactive, secret, b); err == nil {
				t.Fatal("a bomb was taken")
			}
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / (turns * uint64(len(bombs))); each > 4096 {
		t.Errorf("refusing a bomb allocates %d bytes", each)
	}
}

// A stored hash larger than a slot's share takes several slots, grows the
// memory for itself alone, and leaves the slots as they were.
func TestLargeStoredHash(t *testing.T) {
	big, err := password.NewHasher(password.Config{Params: password.Params{Memory: 40 << 10, Time: 1, Parallelism: 2}, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	secret := text(t, "correct horse")
	phc, err := big.Hash(t.Context(), password.Interactive, secret)
	if err != nil {
		t.Fatal(err)
	}
	h := cheap(t) // 64 MiB for all
	small, err := h.Hash(t.Context(), password.Interactive, secret)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 40 {
		encoded := phc
		if i%2 == 0 {
			encoded = small
		}
		wg.Go(func() {
			for name, p := range map[bool]password.Text{true: secret, false: text(t, "wrong")} {
				r, err := h.Verify(t.Context(), password.Batch, p, encoded)
				if err != nil || r.Match != name {
					t.Errorf("Verify = %+v, %v, want match %v", r, err, name)
				}
			}
		})
	}
	wg.Wait()
}

// A thousand clients of a real Hasher, most of which hang up.
func TestCancelStormOnRealHashes(t *testing.T) {
	h, err := password.NewHasher(password.Config{
		Params: password.Params{Memory: 1 << 10, Time: 1, Parallelism: 1}, MemoryBudget: 3 << 20, Slots: 3, Insecure: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	secret := text(t, "correct horse")
	var wg sync.WaitGroup
	for i := range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			defer cancel()
			err := h.Decoy(ctx, [...]password.Class{password.Interactive, password.Batch}[i%2], secret)
			var busy *password.BusyError
			if err != nil && !errors.Is(err, context.Canceled) && !errors.As(err, &busy) {
				t.Errorf("Decoy = %v", err)
			}
		})
		if i%3 != 0 {
			go cancel()
		}
	}
	wg.Wait()
	h.Close()
	if s := h.Stats(); s.Peak > 3 || s.Running != 0 || s.Queued != 0 {
		t.Errorf("Stats = %+v, want at most 3 running together and none left", s)
	}
	if err := h.Decoy(t.Context(), password.Interactive, secret); !errors.Is(err, password.ErrClosed) {
		t.Errorf("after Close: Decoy = %v", err)
	}
}

func TestSchemesForNewHashes(t *testing.T) {
	for _, c := range []struct {
		config password.Config
		prefix string
		info   password.Info
	}{
		{password.Config{Scheme: password.PBKDF2SHA256}, "$pbkdf2-sha256$i=600000,l=32$", password.Info{Scheme: password.PBKDF2SHA256, Rounds: 600_000, Salt: 16, Tag: 32}},
		{password.Config{Scheme: password.PBKDF2SHA512}, "$pbkdf2-sha512$i=210000,l=32$", password.Info{Scheme: password.PBKDF2SHA512, Rounds: 210_000, Salt: 16, Tag: 32}},
		{password.Config{Scheme: password.PBKDF2SM3, Rounds: 10, Insecure: true}, "$pbkdf2-sm3$i=10,l=32$", password.Info{Scheme: password.PBKDF2SM3, Rounds: 10, Salt: 16, Tag: 32}},
		{password.Config{Params: password.Params{Memory: 19 << 10, Time: 2, Parallelism: 4}}, "$argon2id$v=19$m=19456,t=2,p=4$", password.Info{
			Scheme: password.Argon2id, Version: 0x13, Params: password.Params{Memory: 19 << 10, Time: 2, Parallelism: 4}, Salt: 16, Tag: 32,
		}},
	} {
		h, err := password.NewHasher(c.config)
		if err != nil {
			t.Errorf("NewHasher(%s): %v", c.info.Scheme, err)
			continue
		}
		phc, err := h.Hash(t.Context(), password.Interactive, text(t, "correct horse"))
		if err != nil || !strings.HasPrefix(phc, c.prefix) {
			t.Errorf("Hash = %q, %v, want %q", phc, err, c.prefix)
		}
		if info, err := password.Parse(phc); err != nil || info != c.info || info.BelowFloor() != c.config.Insecure {
			t.Errorf("Parse(%q) = %+v (below the floor: %v), %v, want %+v", phc, info, info.BelowFloor(), err, c.info)
		}
		for in, want := range map[string]bool{"correct horse": true, "wrong": false} {
			if r, err := h.Verify(t.Context(), password.Interactive, text(t, in), phc); err != nil || r.Match != want || r.Stale {
				t.Errorf("Verify(%q, %q) = %+v, %v, want match %v", in, phc, r, err, want)
			}
		}
		h.Close()
	}
	for problem, c := range map[string]password.Config{
		"at least 600000":   {Scheme: password.PBKDF2SHA256, Rounds: 599_999},
		"at least 210000":   {Scheme: password.PBKDF2SHA512, Rounds: 209_999},
		"above the 5000000": {Scheme: password.PBKDF2SM3, Rounds: 5_000_001},
		"are made with":     {Scheme: password.Bcrypt},
		"belong to PBKDF2":  {Rounds: 600_000},
		"signer key":        {Firebase: &password.FirebaseKeys{SignerKey: []byte("x")}},
		"kernel":            {Kernel: "quantum"},
		"negative":          {QueueWait: -1},
	} {
		if _, err := password.NewHasher(c); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("NewHasher = %v, want %q", err, problem)
		}
	}
}

func TestEveryKernelHashesAlike(t *testing.T) {
	const phc = "$argon2id$v=19$m=128,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$6SpFwR5TcA9Hz9XoenQTO+4uZObl7ec65+p5cDiEqHc"
	for _, kernel := range []string{"", "generic", "x/crypto"} {
		h, err := password.NewHasher(password.Config{Params: password.Params{Memory: 128, Time: 1, Parallelism: 1}, Kernel: kernel, Insecure: true})
		if err != nil {
			t.Fatalf("%q: %v", kernel, err)
		}
		if name, fault := h.Kernel(); fault != nil || (kernel != "" && name != kernel) {
			t.Errorf("%q: Kernel = %q, %v", kernel, name, fault)
		}
		if r, err := h.Verify(t.Context(), password.Interactive, text(t, "correct horse"), phc); err != nil || !r.Match {
			t.Errorf("%q: Verify = %+v, %v", kernel, r, err)
		}
		h.Close()
	}
}

func TestServiceTime(t *testing.T) {
	h := cheap(t)
	phc, err := h.Hash(t.Context(), password.Interactive, text(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	mean, upper := h.ServiceTime(phc)
	if mean <= 0 || upper < mean {
		t.Errorf("ServiceTime = %v, %v", mean, upper)
	}
	double := strings.Replace(phc, "t=1", "t=2", 1)
	if twice, _ := h.ServiceTime(double); twice < mean*19/10 || twice > mean*21/10 {
		t.Errorf("twice the passes take %v, want twice %v", twice, mean)
	}
	if mean, upper := h.ServiceTime("x"); mean != 0 || upper != 0 {
		t.Errorf("ServiceTime of no hash = %v, %v", mean, upper)
	}
}

// A verify costs the collector next to nothing.
func TestVerifyAllocations(t *testing.T) {
	h := cheap(t)
	secret := text(t, "correct horse")
	phc, err := h.Hash(t.Context(), password.Interactive, secret)
	if err != nil {
		t.Fatal(err)
	}
	verify := func() {
		if r, err := h.Verify(t.Context(), password.Interactive, secret, phc); err != nil || !r.Match {
			t.Fatalf("Verify = %+v, %v", r, err)
		}
	}
	const runs, most, mostBytes = 200, 8, 2 << 10
	if n := testing.AllocsPerRun(runs, verify); n > most {
		t.Errorf("a verify allocates %v times, want at most %d", n, most)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		verify()
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > mostBytes {
		t.Errorf("a verify allocates %d bytes, want at most %d", n, mostBytes)
	}
}

// The cost of everything around the KDF.
func BenchmarkVerifyOverhead(b *testing.B) {
	h := cheap(b)
	secret := text(b, "correct horse")
	phc, err := h.Hash(b.Context(), password.Interactive, secret)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Verify(b.Context(), password.Interactive, secret, phc); err != nil {
			b.Fatal(err)
		}
	}
}

func TestStale(t *testing.T) {
	h, err := password.NewHasher(password.Config{Params: password.Params{Memory: 32 << 10, Time: 3, Parallelism: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, c := range []struct {
		name, phc string
		want      bool
	}{
		{"as live", "$argon2id$v=19$m=32768,t=3,p=1$" + salt16 + "$" + tag32, false},
		{"other lanes", "$argon2id$v=19$m=32768,t=3,p=4$" + salt16 + "$" + tag32, false},
		{"more memory", "$argon2id$v=19$m=65536,t=3,p=1$" + salt16 + "$" + tag32, false},
		{"more passes", "$argon2id$v=19$m=32768,t=4,p=1$" + salt16 + "$" + tag32, false},
		{"less memory", "$argon2id$v=19$m=19456,t=3,p=1$" + salt16 + "$" + tag32, true},
		{"fewer passes", "$argon2id$v=19$m=32768,t=2,p=1$" + salt16 + "$" + tag32, true},
		{"fewer passes but more work", "$argon2id$v=19$m=65536,t=2,p=1$" + salt16 + "$" + tag32, false},
		{"short salt", "$argon2id$v=19$m=32768,t=3,p=1$" + strings.Repeat("A", 20) + "$" + tag32, true},
		{"short tag", "$argon2id$v=19$m=32768,t=3,p=1$" + salt16 + "$" + strings.Repeat("A", 22), true},
		{"argon2i", "$argon2i$v=19$m=32768,t=3,p=1$" + salt16 + "$" + tag32, true},
		{"not a hash", "x", true},
	} {
		if got := h.Stale(c.phc); got != c.want {
			t.Errorf("%s: Stale = %v, want %v", c.name, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32)
	f.Add("$argon2i$v=19$m=4294967295,t=4294967295,p=16777215$" + salt16 + "$" + tag32)
	f.Add("$argon2id$m=64,t=1,p=1$$")
	for _, v := range vectors {
		f.Add(v.encoded)
	}
	h := cheap(f)
	f.Fuzz(func(t *testing.T, s string) {
		info, err := password.Parse(s)
		var costly *password.CostError
		if checked := h.Check(s); err == nil && checked != nil && !errors.As(checked, &costly) && info.Scheme != password.FirebaseScrypt {
			t.Fatalf("Parse takes what Check calls malformed: %v", checked)
		} else if err != nil && !errors.Is(checked, password.ErrBadHash) {
			t.Fatalf("Parse = %v, but Check = %v", err, checked)
		}
		if err != nil {
			if !errors.Is(err, password.ErrBadHash) || info != (password.Info{}) {
				t.Fatalf("Parse = %+v, %v", info, err)
			}
			return
		}
		canonical, err := password.Print(s)
		if err != nil {
			t.Fatalf("Print: %v", err)
		}
		again, err := password.Parse(canonical)
		if err != nil || again != info {
			t.Fatalf("Parse(Print) = %+v, %v, want %+v", again, err, info)
		}
		if twice, _ := password.Print(canonical); twice != canonical {
			t.Fatalf("printing is not stable: %q, %q", canonical, twice)
		}
	})
}
